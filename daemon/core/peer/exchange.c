#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/cert/identifier.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"

/* Binds both handshake messages to the protocol, the network, the two hosts and the exchange. */
static size_t make_prologue(const struct overlay *o, const char *label, const char *offerer,
			    const char *answerer, const uint8_t xid[static SIGNAL_XID_BYTES],
			    uint8_t *buf, size_t cap)
{
	struct wr w = wr_init(buf, cap);

	wr_bytes(&w, label, strlen(label) + 1);
	wr_bytes(&w, o->own.network_id, sizeof(o->own.network_id));
	wr_bytes(&w, offerer, strlen(offerer) + 1);
	wr_bytes(&w, answerer, strlen(answerer) + 1);
	wr_bytes(&w, xid, SIGNAL_XID_BYTES);
	return wr_len(&w);
}

enum err exchange_make_noise(struct overlay *o, const struct peer *p, const struct session *s,
			     const char *label, struct noise **ret)
{
	uint8_t prologue[256];
	struct noise_params params = {
		.static_secret = o->noise->secret,
		.static_public = o->noise->public,
		.prologue = prologue,
		.random = o->random,
		.use_psk = true,
	};

	if (s->initiator) {
		params.remote_static = p->member->noise_public;
		params.prologue_len = make_prologue(o, label, o->own.name, p->name, s->xid,
						    prologue, sizeof(prologue));
		return noise_create_initiator(ret, &params);
	}
	params.prologue_len =
		make_prologue(o, label, p->name, o->own.name, s->xid, prologue, sizeof(prologue));
	return noise_create_responder(ret, &params);
}

uint64_t exchange_next_stamp(struct overlay *o, uint64_t now_us)
{
	uint64_t stamp_us = overlay_unix_us(o, now_us);

	if (stamp_us <= o->last_stamp_us)
		stamp_us = o->last_stamp_us + 1;
	o->last_stamp_us = stamp_us;
	event_push(o, OVERLAY_EVENT_STAMP, OVERLAY_NO_PEER)->stamp_us = stamp_us;
	return stamp_us;
}

bool exchange_stamp_is_new(const struct overlay *o, const struct peer *p, uint64_t stamp_us)
{
	return stamp_us > stamp_get(&o->stamps, p->name);
}

void exchange_accept_stamp(struct overlay *o, const struct peer *p, uint64_t stamp_us)
{
	stamp_set(&o->stamps, p->name, stamp_us);
	event_push(o, OVERLAY_EVENT_PEER_STAMP, p->number);
}

/* Best first. */
static const enum aead_cipher ciphers[] = {
#ifdef ICETUN_NULL_CIPHER
	AEAD_NULL,
#endif
	AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305};

/* Our side of the exchange: description, certificate, ciphers, stamp and index. In a restart the
 * peer has our certificate, and the message is to fit into one packet of the tunnel. */
static enum err make_payload(struct overlay *o, const struct peer *p, struct session *s,
			     uint64_t now_us, uint8_t *out, size_t cap, size_t *ret_len)
{
	struct signal_handshake *h = calloc(1, sizeof(*h));
	enum err e;

	if (!h)
		return ERR_NO_MEMORY;
	ice_agent_get_description(session_agent(p, s), &h->ice);
	h->ice.end_of_candidates = false; /* see trickle.c */
	s->candidates_version = o->candidates_version;
	if (s->restart) {
		h->restarts = p->current->remote_index;
	} else {
		h->certificate = o->certificate;
		h->certificate_len = o->certificate_len;
	}
	h->receiver_index = s->local_index;
	h->lanes = o->params.lanes;
	h->features = o->params.features;
	/* A smaller one is not said: the peer's own bounds what it sends. */
	if (o->params.mtu >= SIGNAL_MTU_MIN_BYTES)
		h->mtu_bytes = (uint16_t)o->params.mtu;
	if (s->initiator) {
		for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
			if (aead_cipher_is_fast(ciphers[i]))
				h->ciphers[h->cipher_count++] = (uint8_t)ciphers[i];
		}
		h->seen_us = stamp_get(&o->stamps, p->name);
	} else {
		h->ciphers[h->cipher_count++] = (uint8_t)s->cipher;
	}
	s->stamp_us = exchange_next_stamp(o, now_us);
	h->timestamp_us = s->stamp_us;
	e = signal_handshake_encode(h, out, cap, ret_len);
	secret_wipe(h, sizeof(*h));
	free(h);
	return e;
}

/* Builds the Noise message around our payload and keeps it in @s for repetition. */
static enum err make_message(struct overlay *o, const struct peer *p, struct session *s,
			     struct noise *n, uint64_t now_us)
{
	size_t payload_len, cap;
	enum err e;

	e = make_payload(o, p, s, now_us, o->plain, sizeof(o->plain), &payload_len);
	if (e != OK)
		return e;
	cap = payload_len + NOISE_MESSAGE1_OVERHEAD;
	s->message = malloc(cap);
	e = s->message ? noise_write(n, o->plain, payload_len, s->message, cap, &s->message_len)
		       : ERR_NO_MEMORY;
	secret_wipe(o->plain, payload_len);
	return e;
}

/* The second way of a restart's messages: inside the tunnel, as long as its old path lives. */
static void send_inside(struct overlay *o, const struct peer *p, const struct session *s)
{
	uint8_t body[CONTROL_MAX_BYTES];
	struct control_message m = {
		.type = s->initiator ? CONTROL_RESTART_OFFER : CONTROL_RESTART_ANSWER,
		.body = body,
	};
	struct wr w = wr_init(body, sizeof(body));

	if (!p->current || p->current == s || !p->current->has_path)
		return;
	wr_bytes(&w, s->xid, sizeof(s->xid));
	wr_bytes(&w, s->message, s->message_len);
	m.body_len = wr_len(&w);
	/* One that is too long goes through the rendezvous alone. */
	if (!wr_ok(&w) || session_send_control(o, p->current, &m) != OK)
		o->drops.count[DROP_SEND]++;
}

void exchange_resend(struct overlay *o, const struct peer *p, const struct session *s)
{
	struct signal_message m = {.type = SIGNAL_FORWARD};

	if (s->restart)
		send_inside(o, p, s);

	memcpy(m.xid, s->xid, sizeof(m.xid));
	memcpy(m.to, p->name, sizeof(p->name));
	m.kind = s->initiator ? SIGNAL_BODY_OFFER : SIGNAL_BODY_ANSWER;
	m.body = s->message;
	m.body_len = s->message_len;
	frame_send(o, &m);
}

/* @s, which is not of the peer yet, becomes its next session. Return: OK; ERR_*, then it is
 * destroyed. */
static enum err offer(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	enum err e;

	random_bytes(&o->random, s->xid, sizeof(s->xid));
	e = exchange_make_noise(o, p, s, EXCHANGE_LABEL_OFFER, &s->noise);
	if (e == OK)
		e = make_message(o, p, s, s->noise, now_us);
	if (e != OK) {
		session_destroy(o, s, now_us);
		return e;
	}
	session_retire(o, p, p->next, now_us);
	p->next = s;
	exchange_resend(o, p, s);
	return OK;
}

enum err exchange_offer(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct session *s;
	enum err e = session_create(o, p, now_us, true, &s);

	return e == OK ? offer(o, p, s, now_us) : e;
}

enum err exchange_offer_restart(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct session *s;
	enum err e = session_create_keys(o, p, true, &s);

	if (e != OK)
		return e;
	s->restart = true;
	e = ice_agent_restart(p->current->agent, now_us);
	if (e != OK) {
		session_destroy(o, s, now_us);
		return e;
	}
	e = offer(o, p, s, now_us);
	if (e != OK)
		ice_agent_abandon_restart(p->current->agent, now_us);
	return e;
}

/* A session with keys takes its place: the first one at once, a second one beside the first. */
static void settle(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	p->retry_us = DEADLINE_NONE;
	p->give_up_us = DEADLINE_NONE;
	p->restart.fresh_us = DEADLINE_NONE;
	if (s->restart) {
		p->next = s;
	} else if (!p->current || !p->current->has_path) {
		session_retire(o, p, p->current, now_us);
		p->current = s;
		mtu_forget(p);
		if (p->next == s)
			p->next = NULL;
		if (!s->shared)
			p->give_up_us = now_us + OFFER_GIVE_UP_US;
		peer_set_state(o, p, now_us, OVERLAY_PEER_CHECKING, OVERLAY_REASON_NONE);
	} else {
		p->next = s;
	}
	peer_update_timer(o, p);
}

/* The first of our ciphers that the offer has too. Return: false when there is none. */
static bool choose_cipher(const struct signal_handshake *h, enum aead_cipher *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		for (size_t k = 0; k < h->cipher_count; k++) {
			if (h->ciphers[k] == ciphers[i] && aead_cipher_is_fast(ciphers[i])) {
				*ret = ciphers[i];
				return true;
			}
		}
	}
	return false;
}

/* An offer of a session that we have is for a next generation of its agent; any other one, also of
 * a session that we have forgotten, gets an agent of its own. */
static enum err prepare_agent(struct overlay *o, struct peer *p, struct session *s,
			      const struct signal_handshake *h, uint64_t now_us)
{
	s->restart = h->restarts && p->current && p->current->agent &&
		     session_of_index(p, h->restarts) &&
		     session_of_index(p, h->restarts) != p->next;
	return s->restart ? ice_agent_restart(p->current->agent, now_us)
			  : session_open_agent(o, p, s, now_us);
}

static enum err set_remote(struct peer *p, struct session *s, const struct signal_handshake *h,
			   uint64_t now_us)
{
	size_t bytes = strlen(h->ice.ufrag) + 1;

	free(s->remote_ufrag);
	s->remote_ufrag = malloc(bytes);
	if (!s->remote_ufrag)
		return ERR_NO_MEMORY;
	memcpy(s->remote_ufrag, h->ice.ufrag, bytes);
	return ice_agent_set_remote(session_agent(p, s), now_us, &h->ice);
}

static enum err make_answer(struct overlay *o, struct peer *p, struct session *s, struct noise *n,
			    const struct signal_handshake *h, uint64_t now_us)
{
	enum err e = make_message(o, p, s, n, now_us);

	s->features = h->features;
	s->mtu_bytes = h->mtu_bytes;
	if (e == OK)
		e = session_start(o, p, s, n, h->receiver_index, h->lanes, now_us);
	if (e == OK)
		e = set_remote(p, s, h, now_us);
	if (e != OK && s->restart)
		ice_agent_abandon_restart(p->current->agent, now_us);
	return e;
}

static enum err answer(struct overlay *o, struct peer *p, struct session *s, struct noise *n,
		       const struct signal_handshake *h, uint64_t now_us)
{
	enum err e;

	if (!choose_cipher(h, &s->cipher))
		return DROP_HANDSHAKE;
	e = ice_description_check(&h->ice);
	if (e == OK)
		e = prepare_agent(o, p, s, h, now_us);
	if (e == OK)
		e = make_answer(o, p, s, n, h, now_us);
	if (e != OK)
		return e;
	exchange_accept_stamp(o, p, h->timestamp_us);
	session_retire(o, p, p->next, now_us);
	p->next = NULL;
	settle(o, p, s, now_us);
	exchange_resend(o, p, s);
	if (s->restart)
		restart_on_begun(o, p, now_us, OVERLAY_RESTART_PEER);
	return OK;
}

/* Opens the offer and checks who sent it, before anything of the peer changes. */
static enum err open_offer(struct overlay *o, struct peer *p, struct noise *n, uint64_t now_us,
			   const uint8_t *body, size_t len, struct signal_handshake *ret)
{
	uint8_t remote[DH_BYTES];
	struct peer *learned;
	size_t plain_len;
	enum err e = noise_read(n, body, len, o->plain, sizeof(o->plain), &plain_len);

	if (e == OK)
		e = signal_handshake_decode(o->plain, plain_len, ret);
	if (e == OK && ret->certificate_len > 0)
		e = directory_learn(o, now_us, ret->certificate, ret->certificate_len, p, &learned);
	if (e == OK && !p->member)
		e = DROP_IDENTITY;
	if (e == OK)
		e = noise_remote_static(n, remote);
	if (e == OK && memcmp(remote, p->member->noise_public, sizeof(remote)) != 0)
		e = DROP_IDENTITY;
	if (e == OK && !exchange_stamp_is_new(o, p, ret->timestamp_us))
		e = DROP_STALE;
	return e;
}

/* Glare: both have offered, and neither knew of the other's offer. That of the higher identifier
 * stands (RFC 8445 has no rule). A sender that knew of ours has given it up for this one. */
static bool is_glare_won(const struct overlay *o, const struct peer *p,
			 const struct signal_handshake *h)
{
	const struct session *s = p->next;

	return s && s->noise && (s->agent || s->restart) && h->seen_us < s->stamp_us &&
	       strcmp(o->own.name, p->name) > 0;
}

/* The peer has not seen our offer yet. If it is not under way any more, it was lost. */
static void hurry_offer(struct overlay *o, struct peer *p, uint64_t now_us)
{
	p->retry_us = deadline_min(p->retry_us, now_us + OFFER_SPACING_US);
	peer_update_timer(o, p);
}

static enum err take_offer(struct overlay *o, struct peer *p, uint64_t now_us,
			   const uint8_t xid[static SIGNAL_XID_BYTES], const uint8_t *body,
			   size_t len)
{
	struct signal_handshake *h = calloc(1, sizeof(*h));
	struct session *s = NULL;
	struct noise *n = NULL;
	enum err e = h ? session_create_keys(o, p, false, &s) : ERR_NO_MEMORY;

	if (e == OK) {
		memcpy(s->xid, xid, sizeof(s->xid));
		e = exchange_make_noise(o, p, s, EXCHANGE_LABEL_OFFER, &n);
	}
	if (e == OK)
		e = open_offer(o, p, n, now_us, body, len, h);
	if (e == OK && is_glare_won(o, p, h)) {
		exchange_accept_stamp(o, p, h->timestamp_us);
		hurry_offer(o, p, now_us);
		e = DROP_STATE;
	}
	if (e == OK)
		e = answer(o, p, s, n, h, now_us);
	if (e != OK)
		session_destroy(o, s, now_us);
	noise_destroy(n);
	secret_wipe(o->plain, sizeof(o->plain));
	if (h)
		secret_wipe(h, sizeof(*h));
	free(h);
	return e;
}

enum err exchange_on_offer(struct overlay *o, struct peer *p, uint64_t now_us,
			   const uint8_t xid[static SIGNAL_XID_BYTES], const uint8_t *body,
			   size_t len)
{
	struct session *all[] = {p->current, p->next};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] && memcmp(all[i]->xid, xid, SIGNAL_XID_BYTES) == 0) {
			/* Our answer was lost, or it came both ways: the same one again. */
			if (!all[i]->initiator && all[i]->message)
				exchange_resend(o, p, all[i]);
			return OK;
		}
	}
	if (p->last_offer_us && now_us - p->last_offer_us < OFFER_SPACING_US)
		return DROP_LIMIT;
	p->last_offer_us = now_us;
	return take_offer(o, p, now_us, xid, body, len);
}

static enum err on_offer(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	struct peer *p = directory_find_name(o, m->from);

	if (!identifier_is_valid(m->from) || strcmp(m->from, o->own.name) == 0)
		return DROP_IDENTITY;
	if (!p) {
		p = directory_add_name(o, now_us, m->from);
		if (!p)
			return DROP_LIMIT;
	}
	return exchange_on_offer(o, p, now_us, m->xid, m->body, m->body_len);
}

enum err exchange_on_answer(struct overlay *o, struct peer *p, uint64_t now_us,
			    const uint8_t xid[static SIGNAL_XID_BYTES], const uint8_t *body,
			    size_t len)
{
	struct session *s = p->next;
	struct signal_handshake *h;
	size_t plain_len;
	enum err e;

	if (!s || !s->noise || (!s->agent && !s->restart) ||
	    memcmp(s->xid, xid, SIGNAL_XID_BYTES) != 0)
		return DROP_STALE;
	h = calloc(1, sizeof(*h));
	e = h ? noise_read(s->noise, body, len, o->plain, sizeof(o->plain), &plain_len)
	      : ERR_NO_MEMORY;
	if (e == OK)
		e = signal_handshake_decode(o->plain, plain_len, h);
	if (e == OK)
		e = ice_description_check(&h->ice);
	if (e == OK && (h->cipher_count != 1 || !choose_cipher(h, &s->cipher)))
		e = DROP_HANDSHAKE;
	if (e == OK) {
		s->features = h->features;
		s->mtu_bytes = h->mtu_bytes;
		e = session_start(o, p, s, s->noise, h->receiver_index, h->lanes, now_us);
	}
	if (e == OK) {
		noise_destroy(s->noise);
		s->noise = NULL;
		s->shared = true;
		if (exchange_stamp_is_new(o, p, h->timestamp_us))
			exchange_accept_stamp(o, p, h->timestamp_us);
		settle(o, p, s, now_us);
		e = set_remote(p, s, h, now_us);
	}
	secret_wipe(o->plain, sizeof(o->plain));
	if (h)
		secret_wipe(h, sizeof(*h));
	free(h);
	return e;
}

static enum err on_answer(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	struct peer *p = directory_find_name(o, m->from);

	return p ? exchange_on_answer(o, p, now_us, m->xid, m->body, m->body_len) : DROP_STALE;
}

enum err exchange_on_deliver(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	static const struct netaddr nowhere;

	switch ((enum signal_body)m->kind) {
	case SIGNAL_BODY_OFFER:
		return on_offer(o, now_us, m);
	case SIGNAL_BODY_ANSWER:
		return on_answer(o, now_us, m);
	case SIGNAL_BODY_SEALED:
		return fifo_push(&o->inject, &nowhere, sizeof(nowhere), m->body, m->body_len);
	}
	return DROP_UNKNOWN_TYPE;
}
