/* What paths over relays need: permissions, channels, wrapping, and somebody who looks after
 * them. */
#include "daemon/core/peer/relay_private.h"

/* A permission is for an address without a port (RFC 8656 s. 9). */
static struct relay_peer *want_permission(struct relay_slot *s, uint64_t now_us,
					  const struct netaddr *peer)
{
	struct netaddr ip = *peer;

	ip.port = 0;
	return slot_want_peer(s, now_us, &ip);
}

void relays_permit(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer)
{
	struct relay_slot *s = slot_of_relay(r, relay);

	/* Without room its packets are not sent. */
	if (s)
		(void)want_permission(s, now_us, peer);
	relays_settle(r, now_us);
}

void relays_bind(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer)
{
	struct relay_slot *s = slot_of_relay(r, relay);

	/* Over a stream it saves 32 bytes a packet as well. Without room it goes without. */
	if (s)
		(void)slot_want_peer(s, now_us, peer);
	r->sweep_us = deadline_min(r->sweep_us, now_us + RELAYS_PATHS_US);
	relays_settle(r, now_us);
}

enum err relays_wrap(struct relays *r, uint16_t relay, const struct netaddr *peer,
		     const uint8_t *in, size_t len, struct ice_transmit *ret, uint8_t *out,
		     size_t cap)
{
	struct relay_slot *s = slot_of_relay(r, relay);
	uint64_t now_us = r->now_us;
	struct relay_peer *p = s && s->turn ? want_permission(s, now_us, peer) : NULL;
	enum err e;

	*ret = (struct ice_transmit){.socket = ICE_NO_SOCKET};
	if (!p)
		return DROP_STATE;
	if (p->is_refused)
		return DROP_BLOCKED;
	if (s->stream)
		slot_pump_stream(s);
	e = turn_allocation_wrap(s->turn, now_us, peer, in, len, out, cap, &ret->len);
	if (e != OK)
		return e;
	if (!s->stream) {
		ret->socket = s->socket;
		ret->to = s->target.address;
		return OK;
	}
	e = fifo_push(&s->out, NULL, 0, out, ret->len);
	ret->len = 0;
	return e;
}

bool relays_describe(const struct relays *r, uint64_t now_us, uint16_t relay,
		     const struct netaddr *peer, struct netaddr *ret_server, uint16_t *ret_channel)
{
	const struct relay_slot *s = slot_of_relay(r, relay);

	if (!s || !s->turn || s->stream)
		return false;
	*ret_server = s->target.address;
	*ret_channel = turn_allocation_channel(s->turn, now_us, peer);
	return *ret_channel != TURN_NO_CHANNEL;
}

bool relays_is_retired(const struct relays *r, uint16_t relay)
{
	const struct relay_slot *s = slot_of_relay(r, relay);

	return s && (s->state == SLOT_RETIRED || s->in_doubt);
}

bool relays_server_of(const struct relays *r, uint16_t relay, uint32_t *ret_id,
		      enum turn_transport *ret_transport)
{
	const struct relay_slot *s = slot_of_relay(r, relay);

	if (!s)
		return false;
	*ret_id = s->server_id;
	*ret_transport = s->target.transport;
	return true;
}

/* --- is it still there --- */

static void verify(struct relay_slot *s, uint64_t now_us)
{
	bool was_calm = now_us > s->doubted_us + RELAYS_CALM_US;

	s->doubted_us = now_us;
	if (was_calm && !s->is_verifying) {
		s->verify_delay_us = 0;
		s->verify_us = s->verify_since_us ? s->verify_since_us + 2 * RELAYS_VERIFY_US : 0;
	}
	if (s->stream || !s->turn || !turn_allocation_is_usable(s->turn) || s->is_verifying ||
	    now_us < s->verify_us)
		return;
	s->is_verifying = true;
	s->verify_expires_us = turn_allocation_expires_us(s->turn);
	s->verify_since_us = now_us;
	s->verify_us = now_us + RELAYS_VERIFY_US;
	turn_allocation_verify(s->turn, now_us);
}

/* A question that nobody answers is asked again; after an answer the next one waits longer and
 * longer, for then the server is not what is wrong. */
void slot_on_verify_deadline(struct relay_slot *s, uint64_t now_us)
{
	if (turn_allocation_expires_us(s->turn) != s->verify_expires_us) {
		s->is_verifying = false;
		slot_set_doubt(s, false);
		s->verify_delay_us =
			s->verify_delay_us ? 2 * s->verify_delay_us : 2 * RELAYS_VERIFY_US;
		if (s->verify_delay_us > RELAYS_VERIFY_MAX_US)
			s->verify_delay_us = RELAYS_VERIFY_MAX_US;
		s->verify_us = s->verify_since_us + s->verify_delay_us;
	} else if (now_us >= s->verify_since_us + RELAYS_VERIFY_MAX_US) {
		s->is_verifying = false;
	} else {
		s->verify_us = now_us + RELAYS_VERIFY_US;
		if (now_us >= s->verify_since_us + RELAYS_DOUBT_US)
			slot_set_doubt(s, true);
		turn_allocation_verify(s->turn, now_us);
	}
}

void relays_verify_server(struct relays *r, uint64_t now_us, const struct netaddr *server)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		if (!server || netaddr_ip_equal(&r->slots[i].target.address, server))
			verify(&r->slots[i], now_us);
	}
}

void relays_verify(struct relays *r, uint64_t now_us)
{
	relays_verify_server(r, now_us, NULL);
	relays_settle(r, now_us);
}

/* --- which are used --- */

bool relays_wants_sweep(const struct relays *r, uint64_t now_us)
{
	return now_us >= r->sweep_us;
}

void relays_mark_begin(struct relays *r)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		r->slots[i].path_count = 0;
		r->slots[i].is_silent = false;
		for (size_t k = 0; k < r->slots[i].peer_count; k++)
			r->slots[i].peers[k].is_marked = false;
	}
}

void relays_mark(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer,
		 uint64_t heard_us, uint64_t patience_us)
{
	struct relay_slot *s = slot_of_relay(r, relay);

	if (!s)
		return;
	s->path_count++;
	for (size_t i = 0; i < s->peer_count; i++) {
		struct relay_peer *p = &s->peers[i];

		if (!netaddr_ip_equal(&p->addr, peer) ||
		    (p->addr.port && p->addr.port != peer->port))
			continue;
		p->is_marked = true;
		p->used_us = now_us;
		if (p->heard_us > heard_us)
			heard_us = p->heard_us;
	}
	s->is_silent |= now_us > heard_us + patience_us;
}

void relays_sweep(struct relays *r, uint64_t now_us)
{
	bool soon = false;

	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (!s->turn)
			continue;
		if (s->is_silent)
			verify(s, now_us);
		slot_sweep(r, s, now_us);
		soon |= s->state == SLOT_RETIRED || s->path_count > 0;
	}
	r->sweep_us = now_us + (soon ? RELAYS_PATHS_US : RELAYS_SWEEP_US);
	relays_settle(r, now_us);
}
