#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"

struct session *session_of_agent(struct peer *p, const struct ice_agent *agent)
{
	if (p->current && p->current->agent == agent)
		return p->current;
	return p->next && p->next->agent == agent ? p->next : NULL;
}

struct session *session_of_index(struct peer *p, uint32_t local_index)
{
	struct session *all[] = {p->current, p->next, p->old};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] && all[i]->secret && all[i]->local_index == local_index)
			return all[i];
	}
	return NULL;
}

static bool index_is_taken(struct overlay *o, uint32_t index)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];
		struct session *all[] = {p->current, p->next, p->old};

		for (size_t i = 0; p->in_use && i < ARRAY_SIZE(all); i++) {
			if (all[i] && all[i]->local_index == index)
				return true;
		}
	}
	return false;
}

enum err session_create_keys(struct overlay *o, struct peer *p, bool initiator,
			     struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NO_MEMORY;
	s->peer = p->number;
	s->initiator = initiator;
	do {
		s->local_index = random_u32(&o->random);
	} while (s->local_index == 0 || index_is_taken(o, s->local_index));
	*ret = s;
	return OK;
}

struct ice_agent *session_agent(const struct peer *p, const struct session *s)
{
	return s->agent ? s->agent : p->current ? p->current->agent : NULL;
}

enum err session_open_agent(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	struct ice_agent_params params = {.cookie = p, .controlling = s->initiator, .worth = 1};

	return ice_agent_open(&s->agent, o->ice, now_us, &params);
}

enum err session_create(struct overlay *o, struct peer *p, uint64_t now_us, bool initiator,
			struct session **ret)
{
	struct session *s;
	enum err e = session_create_keys(o, p, initiator, &s);

	if (e != OK)
		return e;
	e = session_open_agent(o, p, s, now_us);
	if (e != OK) {
		free(s);
		return e;
	}
	*ret = s;
	return OK;
}

void session_take_path(struct session *s, const struct session *from)
{
	s->has_path = from->has_path;
	s->path = from->path;
	s->heard_us = from->heard_us;
}

void session_destroy(struct overlay *o, struct session *s, uint64_t now_us)
{
	if (!s)
		return;
	if (s->secret)
		event_push(o, OVERLAY_EVENT_SESSION_REMOVE, s->peer)->session = s->local_index;
	if (s->agent)
		ice_agent_close(s->agent, now_us);
	noise_destroy(s->noise);
	tunnel_tx_destroy(s->tx);
	secret_free(s->secret);
	free(s->message);
	free(s);
}

enum err session_start(struct overlay *o, struct peer *p, struct session *s, struct noise *n,
		       uint32_t remote_index, uint8_t lanes, uint64_t now_us)
{
	struct session_secret *secret = secret_alloc(sizeof(*secret));
	uint8_t hash[NOISE_HASH_BYTES];
	struct tunnel_tx *tx = NULL;
	enum err e = ERR_NO_MEMORY;

	if (!secret)
		goto err;
	e = noise_split(n, secret->send_key, secret->receive_key, hash);
	if (e != OK)
		goto err;
	e = tunnel_tx_create(&tx, s->cipher, secret->send_key, remote_index, 0);
	if (e != OK)
		goto err;
	s->secret = secret;
	s->tx = tx;
	s->remote_index = remote_index;
	s->lanes = lanes;
	tunnel_rekey_init(&s->rekey, now_us, s->initiator);
	event_push(o, OVERLAY_EVENT_SESSION_ADD, s->peer)->session = s->local_index;
	if ((s->agent || s->restart) && s->candidates_version != o->candidates_version)
		trickle_send(o, p, s);
	return OK;
err:
	secret_free(secret);
	return e;
}

enum err session_send(struct overlay *o, struct session *s, const uint8_t *plain, size_t len)
{
	struct ice_transmit t = {0};
	enum err e;

	if (!s->has_path || !s->tx)
		return ERR_WRONG_STATE;
	e = tunnel_seal(s->tx, plain, len, o->scratch, sizeof(o->scratch), &t.len);
	if (e != OK)
		return e;
	t.socket = s->path.socket;
	t.relay = s->path.relay;
	t.to = s->path.remote;
	return drop_count(&o->drops, fifo_push(&o->datagrams, &t, sizeof(t), o->scratch, t.len));
}

enum err session_send_control(struct overlay *o, struct session *s, const struct control_message *m)
{
	uint8_t plain[CONTROL_MAX_BYTES];
	size_t len;
	enum err e = control_encode(m, plain, sizeof(plain), &len);

	if (e == OK)
		e = session_send(o, s, plain, len);
	secret_wipe(plain, sizeof(plain));
	return e;
}

enum err session_forward_control(struct overlay *o, const struct peer *p, struct session *s,
				 const struct control_message *m)
{
	struct signal_message forward = {
		.type = SIGNAL_FORWARD, .kind = SIGNAL_BODY_SEALED, .body = o->plain};
	uint8_t plain[CONTROL_MAX_BYTES];
	size_t len;
	enum err e = control_encode(m, plain, sizeof(plain), &len);

	if (e == OK && !s->tx)
		e = ERR_WRONG_STATE;
	if (e == OK)
		e = tunnel_seal(s->tx, plain, len, o->plain, sizeof(o->plain), &forward.body_len);
	if (e != OK)
		return e;
	random_bytes(&o->random, forward.xid, sizeof(forward.xid));
	memcpy(forward.to, p->name, sizeof(p->name));
	frame_send(o, &forward);
	return OK;
}

void session_tell_path(struct overlay *o, struct peer *p, const struct session *s, uint64_t now_us)
{
	struct overlay_event *e = event_push(o, OVERLAY_EVENT_PATH, p->number);

	e->session = s->local_index;
	e->path = s->path;
	relaying_describe(o, now_us, e);
	mtu_on_path(o, p, s, now_us, e);
}

/* Tells the data plane, and sends what waited. */
static void announce_path(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	const uint8_t *packet;
	size_t len;

	session_tell_path(o, p, s, now_us);
	p->asleep = false;
	p->pause_us = 0;
	p->wants_connection = false;
	p->rekey_us = now_us; /* looked at with the next deadline */
	if (p->state != OVERLAY_PEER_CONNECTED) {
		peer_set_state(o, p, now_us, OVERLAY_PEER_CONNECTED, OVERLAY_REASON_NONE);
		idle_on_use(o, p, now_us);
	}
	while ((packet = packet_peek(o->pool, &p->queue, &len)) != NULL) {
		if (session_send(o, s, packet, len) != OK)
			o->drops.count[DROP_SEND]++;
		packet_pop(o->pool, &p->queue);
	}
}

/* The next session takes over; the present one only opens what is still in flight. */
static void promote(struct overlay *o, struct peer *p, uint64_t now_us)
{
	bool restart = p->next->restart;

	/* The path may have gone just now: then there is nothing to switch to. */
	if (restart && ice_agent_switch(p->current->agent, now_us, p->next->generation) != OK)
		return;
	if (restart || p->next->agent)
		mtu_forget(p);
	if (p->current) {
		session_destroy(o, p->old, now_us);
		p->old = p->current;
		p->old_until_us = now_us + SESSION_LINGER_US;
		/* New keys alone go on with the agent; a new session has brought its own. */
		if (p->next->agent)
			ice_agent_close(p->old->agent, now_us);
		else
			p->next->agent = p->old->agent;
		p->old->agent = NULL;
		p->old->has_path = false;
	}
	p->current = p->next;
	p->current->restart = false;
	p->next = NULL;
	p->retry_us = DEADLINE_NONE;
	p->give_up_us = DEADLINE_NONE;
	announce_path(o, p, p->current, now_us);
	if (restart)
		restart_on_switched(o, p, now_us);
	peer_update_timer(o, p);
}

void session_on_path(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
		     const struct ice_path *path)
{
	static const struct control_message hello = {.type = CONTROL_HELLO};
	static const struct control_message ask = {.type = CONTROL_PING, .id = CONTROL_PATH_PING};
	bool first = !s->has_path;

	if (first || path->relay != s->path.relay || !netaddr_equal(&path->remote, &s->path.remote))
		s->heard_us = now_us;
	s->has_path = true;
	s->path = *path;
	if (first && session_send_control(o, s, s->restart ? &ask : &hello) != OK)
		o->drops.count[DROP_SEND]++;
	if (s == p->current && !path->consented)
		idle_on_lapsed(o, p);
	else if (s == p->current)
		announce_path(o, p, s, now_us);
	else if (s == p->next && (!p->current || !p->current->has_path || s->heard))
		promote(o, p, now_us);
}

void session_on_heard(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	s->heard = true;
	s->heard_us = now_us;
	p->unanswered_us = 0;
	if (s->agent)
		ice_agent_on_authenticated(s->agent, now_us);
	if (s == p->next && s->has_path)
		promote(o, p, now_us);
}
