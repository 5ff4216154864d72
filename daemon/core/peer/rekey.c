/*
 * Renewal of the keys inside the tunnel: the same Noise handshake as the exchange, over control
 * packets, without ICE. The end that wrote message 1 of the present keys begins; the other end
 * steps in when that one does not (the policy is core/tunnel/rekey.h). Message 1 goes out again
 * each second until its answer comes or the present keys expire. The answer proves the new keys to
 * the one that began, which asks with them until the other one is heard; a packet under the new
 * keys proves them to that one.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"

/* What the handshake payload says: our receiver index, our stamp. */
#define PAYLOAD_BYTES (4 + 8)

static enum err write_message(struct overlay *o, struct session *s, struct noise *n,
			      uint64_t now_us)
{
	uint8_t payload[PAYLOAD_BYTES];
	struct wr w = wr_init(payload, sizeof(payload));
	size_t cap = SIGNAL_XID_BYTES + sizeof(payload) + NOISE_MESSAGE1_OVERHEAD;
	size_t len;
	enum err e;

	s->stamp_us = exchange_next_stamp(o, now_us);
	wr_u32be(&w, s->local_index);
	wr_u64be(&w, s->stamp_us);
	s->message = malloc(cap);
	if (!s->message)
		return ERR_NO_MEMORY;
	memcpy(s->message, s->xid, SIGNAL_XID_BYTES);
	e = noise_write(n, payload, sizeof(payload), s->message + SIGNAL_XID_BYTES,
			cap - SIGNAL_XID_BYTES, &len);
	s->message_len = SIGNAL_XID_BYTES + len;
	return e;
}

static enum err read_message(struct noise *n, const uint8_t *msg, size_t len, uint32_t *ret_index,
			     uint64_t *ret_stamp_us)
{
	uint8_t payload[PAYLOAD_BYTES];
	size_t payload_len;
	struct rd r;
	enum err e = noise_read(n, msg, len, payload, sizeof(payload), &payload_len);

	if (e != OK)
		return e;
	r = rd_init(payload, payload_len);
	*ret_index = rd_u32be(&r);
	*ret_stamp_us = rd_u64be(&r);
	return rd_at_end(&r) && *ret_index != 0 ? OK : DROP_MALFORMED;
}

/* Goes over the present keys, whose path works. */
static void send_message(struct overlay *o, struct peer *p, const struct session *s)
{
	struct control_message m = {
		.type = s->initiator ? CONTROL_OFFER : CONTROL_ANSWER,
		.body = s->message,
		.body_len = s->message_len,
	};

	if (session_send_control(o, p->current, &m) != OK)
		o->drops.count[DROP_SEND]++;
}

static void begin(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct session *s;

	if (session_create_keys(o, p, true, &s) != OK)
		return;
	s->cipher = p->current->cipher;
	s->features = p->current->features;
	s->mtu_bytes = p->current->mtu_bytes;
	random_bytes(&o->random, s->xid, sizeof(s->xid));
	if (exchange_make_noise(o, p, s, EXCHANGE_LABEL_REKEY, &s->noise) != OK ||
	    write_message(o, s, s->noise, now_us) != OK) {
		session_destroy(o, s, now_us);
		return;
	}
	p->next = s;
	p->retry_us = now_us + US_PER_S;
	send_message(o, p, s);
}

void rekey_on_use(struct overlay *o, struct peer *p, uint64_t now_us, uint64_t packets)
{
	struct session *s = p->current;

	if (!s || !s->has_path)
		return;
	tunnel_rekey_on_use(&s->rekey, now_us, packets);
	rekey_on_deadline(o, p, now_us);
}

void rekey_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct session *s = p->current;

	p->rekey_us = DEADLINE_NONE;
	if (!s || !s->secret)
		return;
	switch (tunnel_rekey_get_state(&s->rekey, now_us)) {
	case TUNNEL_REKEY_FRESH:
		p->rekey_us = tunnel_rekey_next_deadline(&s->rekey, now_us);
		break;
	case TUNNEL_REKEY_DUE:
		p->rekey_us = tunnel_rekey_next_deadline(&s->rekey, now_us);
		if (s->has_path && !p->next)
			begin(o, p, now_us);
		break;
	case TUNNEL_REKEY_EXPIRED:
		peer_drop_sessions(o, p, now_us);
		peer_set_state(o, p, now_us, OVERLAY_PEER_IDLE, OVERLAY_REASON_NONE);
		break;
	}
}

bool rekey_retry(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (!p->next || p->next->agent || p->next->restart || !p->next->noise || !p->current)
		return false;
	send_message(o, p, p->next);
	p->retry_us = now_us + US_PER_S;
	return true;
}

static enum err answer(struct overlay *o, struct peer *p, struct session *s, struct noise *n,
		       const uint8_t *msg, size_t len, uint64_t now_us)
{
	uint8_t remote[NOISE_KEY_BYTES];
	uint32_t index;
	uint64_t stamp_us;
	enum err e = read_message(n, msg, len, &index, &stamp_us);

	if (e == OK)
		e = noise_remote_static(n, remote);
	if (e == OK && memcmp(remote, p->member->noise_public, sizeof(remote)) != 0)
		e = DROP_IDENTITY;
	if (e == OK && !exchange_stamp_is_new(o, p, stamp_us))
		e = DROP_STALE;
	if (e == OK)
		e = write_message(o, s, n, now_us);
	if (e == OK)
		e = session_start(o, p, s, n, index, p->current->lanes, now_us);
	if (e != OK)
		return e;
	exchange_accept_stamp(o, p, stamp_us);
	session_retire(o, p, p->next, now_us);
	p->next = s;
	p->retry_us = DEADLINE_NONE;
	session_take_path(s, p->current);
	send_message(o, p, s);
	return OK;
}

enum err rekey_on_offer(struct overlay *o, struct peer *p, uint64_t now_us, const uint8_t *body,
			size_t len)
{
	struct session *s = NULL;
	struct noise *n = NULL;
	enum err e;

	if (len < SIGNAL_XID_BYTES || !p->current || !p->current->has_path)
		return DROP_STATE;
	if (p->next && !p->next->initiator && !p->next->restart &&
	    memcmp(p->next->xid, body, SIGNAL_XID_BYTES) == 0) {
		send_message(o, p, p->next); /* our answer was lost */
		return OK;
	}
	/* A whole new session is on its way, or both began: the higher identifier's offer
	 * stands. */
	if (p->next && (p->next->agent || p->next->restart ||
			(p->next->noise && strcmp(o->own.name, p->name) > 0)))
		return DROP_STATE;
	e = session_create_keys(o, p, false, &s);
	if (e == OK) {
		memcpy(s->xid, body, sizeof(s->xid));
		s->cipher = p->current->cipher;
		s->features = p->current->features;
		s->mtu_bytes = p->current->mtu_bytes;
		e = exchange_make_noise(o, p, s, EXCHANGE_LABEL_REKEY, &n);
	}
	if (e == OK)
		e = answer(o, p, s, n, body + SIGNAL_XID_BYTES, len - SIGNAL_XID_BYTES, now_us);
	if (e != OK)
		session_destroy(o, s, now_us);
	noise_destroy(n);
	return e;
}

enum err rekey_on_answer(struct overlay *o, struct peer *p, uint64_t now_us, const uint8_t *body,
			 size_t len)
{
	struct session *s = p->next;
	uint32_t index;
	uint64_t stamp_us;
	enum err e;

	if (len < SIGNAL_XID_BYTES || !s || s->agent || s->restart || !s->noise || !p->current ||
	    memcmp(s->xid, body, SIGNAL_XID_BYTES) != 0)
		return DROP_STALE;
	e = read_message(s->noise, body + SIGNAL_XID_BYTES, len - SIGNAL_XID_BYTES, &index,
			 &stamp_us);
	if (e == OK)
		e = session_start(o, p, s, s->noise, index, p->current->lanes, now_us);
	if (e != OK)
		return e;
	noise_destroy(s->noise);
	s->noise = NULL;
	if (exchange_stamp_is_new(o, p, stamp_us))
		exchange_accept_stamp(o, p, stamp_us);
	session_take_over(o, p, now_us);
	return OK;
}
