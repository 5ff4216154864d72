#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fnv.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"

/* The peer is asked so often, and then more seldom: the path may work in one direction only. */
#define ASK_US	      (100 * US_PER_MS)
#define ASK_OFTEN     30
#define ASK_SELDOM_US (1 * US_PER_S)

struct session *session_of_agent(struct peer *p, const struct ice_agent *agent)
{
	if (p->current && p->current->agent == agent)
		return p->current;
	return p->next && p->next->agent == agent ? p->next : NULL;
}

static struct session *find(const struct peer *p, uint32_t local_index)
{
	if (p->current && p->current->local_index == local_index)
		return p->current;
	if (p->next && p->next->local_index == local_index)
		return p->next;
	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		if (p->old[i] && p->old[i]->local_index == local_index)
			return p->old[i];
	}
	return NULL;
}

struct session *session_of_index(struct peer *p, uint32_t local_index)
{
	struct session *s = find(p, local_index);

	return s && s->secret ? s : NULL;
}

static bool index_is_taken(const struct overlay *o, uint32_t index)
{
	for (struct table_node *n = table_first(&o->sessions, index); n; n = n->next) {
		if (container_of(n, struct session, by_index)->local_index == index)
			return true;
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
	s->ask_us = DEADLINE_NONE;
	s->tell_us = DEADLINE_NONE;
	s->moved_us = DEADLINE_NONE;
	do {
		s->local_index = random_u32(&o->random);
	} while (s->local_index == 0 || index_is_taken(o, s->local_index));
	table_add(&o->sessions, s->local_index, &s->by_index);
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
		session_destroy(o, s, now_us);
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
	s->moved_us = from->moved_us;
	s->moved_told = from->moved_told;
	s->moved_seen = from->moved_seen;
}

void session_destroy(struct overlay *o, struct session *s, uint64_t now_us)
{
	if (!s)
		return;
	if (s->secret)
		event_push(o, OVERLAY_EVENT_SESSION_REMOVE, s->peer)->session = s->local_index;
	if (s->agent)
		ice_agent_close(s->agent, now_us);
	table_remove(&o->sessions, s->local_index, &s->by_index);
	noise_destroy(s->noise);
	aead_destroy(s->key);
	secret_pool_put(&o->secrets, s->secret);
	free(s->message);
	free(s->remote_ufrag);
	free(s);
}

/* Where one more goes: a free place, or that of the one which is least likely to be in use. */
static size_t place_for_old(const struct peer *p)
{
	size_t worst = 0;

	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		if (!p->old[i])
			return i;
		if (p->old[i]->heard != p->old[worst]->heard
			    ? !p->old[i]->heard
			    : p->old[i]->until_us < p->old[worst]->until_us)
			worst = i;
	}
	return worst;
}

void session_retire(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	size_t place = place_for_old(p);

	if (!s || !s->secret) {
		session_destroy(o, s, now_us);
		return;
	}
	if (s->agent)
		ice_agent_close(s->agent, now_us);
	s->agent = NULL;
	s->restart = false;
	s->has_path = false;
	s->ask_us = DEADLINE_NONE;
	s->tell_us = DEADLINE_NONE;
	s->until_us = now_us + SESSION_RETIRED_US;
	session_destroy(o, p->old[place], now_us);
	p->old[place] = s;
}

/* The peer sends with @s: what is older it will not use again. */
static void outdate_before(struct peer *p, const struct session *s, uint64_t now_us)
{
	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		struct session *old = p->old[i];

		if (old && old != s && old->order < s->order)
			old->until_us = deadline_min(old->until_us, now_us + SESSION_LINGER_US);
	}
}

enum err session_start(struct overlay *o, struct peer *p, struct session *s, struct noise *n,
		       uint32_t remote_index, uint8_t lanes, uint64_t now_us)
{
	struct session_secret *secret = secret_pool_get(&o->secrets);
	uint8_t hash[NOISE_HASH_BYTES];
	enum err e = ERR_NO_MEMORY;

	if (!secret)
		goto err;
	e = noise_split(n, secret->send_key, secret->receive_key, hash);
	if (e != OK)
		goto err;
	e = aead_create(&s->key, s->cipher, secret->send_key);
	if (e != OK)
		goto err;
	s->secret = secret;
	s->lane.receiver_index = remote_index;
	s->remote_index = remote_index;
	s->lanes = lanes;
	s->order = ++p->last_order;
	tunnel_rekey_init(&s->rekey, now_us, s->initiator);
	event_push(o, OVERLAY_EVENT_SESSION_ADD, s->peer)->session = s->local_index;
	if ((s->agent || s->restart) && s->candidates_version != o->candidates_version)
		trickle_send(o, p, s, now_us);
	return OK;
err:
	secret_pool_put(&o->secrets, secret);
	return e;
}

void session_rest(struct session *s)
{
	s->rests = true;
	aead_destroy(s->key);
	s->key = NULL;
	free(s->message);
	s->message = NULL;
}

/* On the control lane. @s has keys. */
static enum err seal(struct session *s, const uint8_t *plain, size_t len, uint8_t *out, size_t cap,
		     size_t *ret_len)
{
	enum err e = OK;

	if (!s->key)
		e = aead_create(&s->key, s->cipher, s->secret->send_key);
	if (e == OK)
		e = tunnel_lane_seal(&s->lane, s->key, TUNNEL_TYPE_DATA, plain, len, out, cap,
				     ret_len);
	if (s->rests) {
		aead_destroy(s->key);
		s->key = NULL;
	}
	return e;
}

enum err session_send(struct overlay *o, struct session *s, const uint8_t *plain, size_t len)
{
	struct ice_transmit t = {0};
	enum err e;

	if (!s->has_path || !s->secret || !s->shared)
		return ERR_WRONG_STATE;
	e = seal(s, plain, len, o->scratch, sizeof(o->scratch), &t.len);
	if (e != OK)
		return e;
	t.socket = s->path.socket;
	t.relay = s->path.relay;
	t.to = s->path.remote;
	e = fifo_push(&o->datagrams, &t, sizeof(t), o->scratch, t.len);
	if (e == OK) {
		o->peers[s->peer].tx_packets++;
		o->peers[s->peer].tx_bytes += len;
	}
	return drop_count(&o->drops, e);
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

	if (e == OK && !s->secret)
		e = ERR_WRONG_STATE;
	if (e == OK)
		e = seal(s, plain, len, o->plain, sizeof(o->plain), &forward.body_len);
	if (e != OK)
		return e;
	random_bytes(&o->random, forward.xid, sizeof(forward.xid));
	memcpy(forward.to, p->name, sizeof(p->name));
	frame_send(o, &forward);
	return OK;
}

/* What makes a path another one for people. Not 0. */
static uint64_t path_hash(const struct ice_path *path)
{
	uint64_t h = fnv_hash(FNV_SEED, &path->relay, sizeof(path->relay));

	h = fnv_hash(h, &path->local_type, sizeof(path->local_type));
	h = fnv_hash(h, &path->remote_type, sizeof(path->remote_type));
	h = fnv_hash(h, &path->local, sizeof(path->local));
	h = fnv_hash(h, &path->remote, sizeof(path->remote));
	return h ? h : 1;
}

void session_tell_path(struct overlay *o, struct peer *p, const struct session *s, uint64_t now_us)
{
	struct overlay_event *e = event_push(o, OVERLAY_EVENT_PATH, p->number);

	e->session = s->local_index;
	e->path = s->path;
	e->is_new_path = p->told != path_hash(&s->path);
	p->told = path_hash(&s->path);
	relaying_describe(o, now_us, e);
	mtu_on_path(o, p, s, now_us, e);
}

void session_tell_no_path(struct overlay *o, struct peer *p)
{
	event_push(o, OVERLAY_EVENT_PATH_CLEAR, p->number);
	p->told = 0;
}

void session_send_waiting(struct overlay *o, struct peer *p)
{
	const struct session *s = p->current;
	const uint8_t *packet;
	size_t len;

	if (!s || !s->has_path || !s->shared || p->asleep)
		return;
	while ((packet = packet_peek(o->pool, &p->queue, &len)) != NULL) {
		if (session_send(o, p->current, packet, len) != OK)
			o->drops.count[DROP_SEND]++;
		packet_pop(o->pool, &p->queue);
	}
}

/* Tells the data plane, and sends what waited. */
static void announce_path(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	session_tell_path(o, p, s, now_us);
	p->asleep = false;
	p->pause_us = 0;
	p->wants_connection = false;
	p->rekey_us = now_us; /* looked at with the next deadline */
	if (p->state != OVERLAY_PEER_CONNECTED) {
		peer_set_state(o, p, now_us, OVERLAY_PEER_CONNECTED, OVERLAY_REASON_NONE);
		idle_on_use(o, p, now_us);
	}
	session_send_waiting(o, p);
}

/* The peer hears from the first packet on that these keys are in use, and no older ones. */
static void greet(struct overlay *o, struct session *s)
{
	static const struct control_message hello = {.type = CONTROL_HELLO};

	if (session_send_control(o, s, &hello) != OK)
		o->drops.count[DROP_SEND]++;
}

/* Keys for a path of their own, or for that of the present ones. */
static bool brings_path(const struct session *s)
{
	return s->agent || s->restart;
}

/* The next session takes over; the present one only opens what the peer still sends with it. */
static void promote(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct session *s = p->next, *before = p->current;
	bool restart = s->restart, had_path = before && before->has_path;
	struct ice_path path = before ? before->path : s->path;

	/* The path may have gone just now: then there is nothing to switch to. */
	if (restart && ice_agent_switch(before->agent, now_us, s->generation) != OK)
		return;
	if (brings_path(s))
		mtu_forget(p);
	/* New keys alone go on with the agent, a new session has brought its own. */
	if (before && !s->agent) {
		if (!restart) {
			session_take_path(s, before);
			s->remote_ufrag = before->remote_ufrag;
			before->remote_ufrag = NULL;
		}
		s->agent = before->agent;
		before->agent = NULL;
	}
	s->restart = false;
	p->current = s;
	p->next = NULL;
	p->retry_us = DEADLINE_NONE;
	p->give_up_us = DEADLINE_NONE;
	if (s->has_path) {
		announce_path(o, p, s, now_us);
		greet(o, s);
	}
	session_retire(o, p, before, now_us);
	if (s->used)
		outdate_before(p, s, now_us);
	if (restart)
		restart_on_switched(o, p, now_us, had_path ? &path : NULL);
	peer_update_timer(o, p);
}

/* @s may send: does it carry the data? */
static void use(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	bool has_other = p->current && p->current != s && p->current->has_path;

	if (s == p->next && (s->heard || (brings_path(s) && !has_other))) {
		promote(o, p, now_us);
	} else if (s == p->current && p->state != OVERLAY_PEER_CONNECTED) {
		p->give_up_us = DEADLINE_NONE;
		announce_path(o, p, s, now_us);
		greet(o, s);
	}
}

/* Asks whether the peer gets what is sealed with the keys of @s, which has come to a path. */
static void ask(struct overlay *o, struct session *s, uint64_t now_us)
{
	static const struct control_message m = {.type = CONTROL_PING, .id = CONTROL_PATH_PING};

	s->ask_us = DEADLINE_NONE;
	if (s->heard || !s->shared || !s->has_path)
		return;
	s->ask_us = now_us + (++s->asked < ASK_OFTEN ? ASK_US : ASK_SELDOM_US);
	if (session_send_control(o, s, &m) != OK)
		o->drops.count[DROP_SEND]++;
}

void session_on_path(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
		     const struct ice_path *path)
{
	bool first = !s->has_path;
	struct ice_path before = s->path;

	if (first || path->relay != s->path.relay || !netaddr_equal(&path->remote, &s->path.remote))
		s->heard_us = now_us;
	s->has_path = true;
	s->path = *path;
	if (!s->shared)
		return;
	if (first)
		ask(o, s, now_us);
	if (s == p->current)
		restart_on_moved(p, now_us, path);
	if (s == p->current && !path->consented)
		idle_on_lapsed(o, p);
	else if (s == p->current && p->state == OVERLAY_PEER_CONNECTED)
		announce_path(o, p, s, now_us);
	else
		use(o, p, s, now_us);
	if (s == p->current)
		moved_on_path(o, s, now_us, &before);
}

void session_on_shared(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	if (s->shared)
		return;
	s->shared = true;
	if (!s->has_path || (s != p->current && s != p->next))
		return;
	ask(o, s, now_us);
	use(o, p, s, now_us);
}

void session_on_heard(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
		      bool uses)
{
	s->heard = true;
	s->heard_us = now_us;
	s->ask_us = DEADLINE_NONE;
	p->unanswered_us = 0;
	s->used |= uses;
	if (s->agent)
		ice_agent_on_authenticated(s->agent, now_us);
	session_on_shared(o, p, s, now_us);
	if (s == p->next && s->has_path)
		promote(o, p, now_us);
	/* What was told through the rendezvous may have been lost, and the best path may need
	 * it. */
	if (s->tell_us != DEADLINE_NONE)
		trickle_send(o, p, s, now_us);
	if (s->used)
		outdate_before(p, s, now_us);
	peer_update_timer(o, p);
}

void session_take_over(struct overlay *o, struct peer *p, uint64_t now_us)
{
	p->next->shared = true;
	promote(o, p, now_us);
	ask(o, p->current, now_us);
}

void session_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->current && now_us >= p->current->ask_us)
		ask(o, p->current, now_us);
	if (p->next && now_us >= p->next->ask_us)
		ask(o, p->next, now_us);
	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		if (!p->old[i] || now_us < p->old[i]->until_us)
			continue;
		session_destroy(o, p->old[i], now_us);
		p->old[i] = NULL;
	}
}

uint64_t session_deadline(const struct peer *p)
{
	uint64_t due = p->current ? p->current->ask_us : DEADLINE_NONE;

	if (p->next)
		due = deadline_min(due, p->next->ask_us);
	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		if (p->old[i])
			due = deadline_min(due, p->old[i]->until_us);
	}
	return due;
}
