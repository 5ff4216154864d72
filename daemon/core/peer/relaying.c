/*
 * Between the relays (relay.h) and the rest: their addresses become candidates, paths over them get
 * channels and move when an allocation is replaced, and what comes through them goes where it
 * belongs.
 */
#include <string.h>

#include "daemon/core/peer/peer.h"

/* A path over an allocation that is given up is moved; again after this time if that came to
 * nothing. */
#define MOVE_AGAIN_US (5 * US_PER_S)

/* --- events --- */

static void on_up(struct overlay *o, uint64_t now_us, const struct relays_event *e)
{
	/* An address that may not be a candidate, or one too many: the allocation serves nobody
	 * then. */
	enum err err = ice_engine_add_relay(o->ice, now_us, e->relay, e->socket, &e->relayed,
					    &e->mapped, &e->server, e->preference);

	(void)drop_count(&o->drops, err);
}

/* The data plane is told how it goes now, where it is the path. */
static void on_channel(struct overlay *o, uint64_t now_us, const struct relays_event *e)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];
		const struct session *s = p->in_use ? p->current : NULL;

		if (s && s->has_path && s->path.relay == e->relay &&
		    netaddr_equal(&s->path.remote, &e->peer))
			session_tell_path(o, p, s, now_us);
	}
}

static struct overlay_event *tell(struct overlay *o, enum overlay_event_type type,
				  const struct relays_event *e)
{
	struct overlay_event *out = event_push(o, type, OVERLAY_NO_PEER);

	out->socket = e->socket;
	out->server = e->server;
	out->relay_server = e->server_id;
	out->stream = e->stream;
	out->tls = e->tls;
	return out;
}

static void on_event(struct overlay *o, uint64_t now_us, const struct relays_event *e)
{
	switch (e->type) {
	case RELAYS_EVENT_UP:
		on_up(o, now_us, e);
		break;
	case RELAYS_EVENT_RETIRED:
		ice_engine_offer_relay(o->ice, now_us, e->relay, false);
		break;
	case RELAYS_EVENT_OFFERED:
		ice_engine_offer_relay(o->ice, now_us, e->relay, true);
		break;
	case RELAYS_EVENT_DOWN:
		if (e->is_lost)
			restart_on_relay_lost(o, now_us, e->relay);
		ice_engine_remove_relay(o->ice, now_us, e->relay);
		break;
	case RELAYS_EVENT_CHANNEL:
		on_channel(o, now_us, e);
		break;
	case RELAYS_EVENT_SERVER_ADD:
		tell(o, OVERLAY_EVENT_RELAY_SERVER_ADD, e);
		break;
	case RELAYS_EVENT_SERVER_REMOVE:
		tell(o, OVERLAY_EVENT_RELAY_SERVER_REMOVE, e);
		break;
	case RELAYS_EVENT_STREAM_OPEN:
		tell(o, OVERLAY_EVENT_STREAM_OPEN, e);
		break;
	case RELAYS_EVENT_STREAM_CLOSE:
		tell(o, OVERLAY_EVENT_STREAM_CLOSE, e);
		break;
	case RELAYS_EVENT_WANT_SOCKET:
		tell(o, OVERLAY_EVENT_WANT_SOCKET, e);
		break;
	}
}

bool relaying_drain(struct overlay *o, uint64_t now_us)
{
	bool pending = relays_is_pending(o->relays), any = false;
	struct relays_event e;

	while (event_has_room(o) && relays_pop_event(o->relays, &e)) {
		on_event(o, now_us, &e);
		any = true;
	}
	if (pending != o->relays_pending) {
		o->relays_pending = pending;
		ice_engine_set_relays_pending(o->ice, pending);
		any = true;
	}
	return any;
}

/* --- paths --- */

void relaying_describe(struct overlay *o, uint64_t now_us, struct overlay_event *e)
{
	enum turn_transport transport;

	if (!e->path.relay)
		return;
	relays_bind(o->relays, now_us, e->path.relay, &e->path.remote);
	e->by_overlay = !relays_describe(o->relays, now_us, e->path.relay, &e->path.remote,
					 &e->server, &e->channel);
	(void)relays_server_of(o->relays, e->path.relay, &e->relay_server, &transport);
}

static void move(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (now_us < p->move_us)
		return;
	p->move_us = now_us + MOVE_AGAIN_US;
	restart_want(o, p, now_us, OVERLAY_RESTART_RELAY_GOES);
}

static void mark(struct overlay *o, uint64_t now_us, const struct peer *p, const struct session *s)
{
	uint64_t patience_us = p->idle ? RELAYS_SILENT_IDLE_US : RELAYS_SILENT_US;
	struct ice_path next;

	if (!s)
		return;
	if (s->has_path && s->path.relay)
		relays_mark(o->relays, now_us, s->path.relay, &s->path.remote, s->heard_us,
			    patience_us);
	if (s->agent && ice_agent_get_next_path(s->agent, &next) && next.relay)
		relays_mark(o->relays, now_us, next.relay, &next.remote, now_us, patience_us);
}

static void sweep(struct overlay *o, uint64_t now_us)
{
	relays_mark_begin(o->relays);
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (!p->in_use)
			continue;
		mark(o, now_us, p, p->current);
		mark(o, now_us, p, p->next);
		if (p->current && p->current->has_path && p->current->path.relay &&
		    relays_is_retired(o->relays, p->current->path.relay))
			move(o, p, now_us);
	}
	relays_sweep(o->relays, now_us);
}

void relaying_on_deadline(struct overlay *o, uint64_t now_us)
{
	if (relays_next_deadline(o->relays) > now_us)
		return;
	relays_on_deadline(o->relays, now_us);
	if (relays_wants_sweep(o->relays, now_us))
		sweep(o, now_us);
}

void overlay_on_unanswered(struct overlay *o, uint64_t now_us, uint32_t peer)
{
	struct peer *p = directory_get(o, peer);

	if (!p || !p->current || !p->current->has_path)
		return;
	relaying_doubt(o, now_us, &p->current->path);
	idle_on_use(o, p, now_us);
	restart_on_unanswered(o, p, now_us);
	mtu_on_doubt(o, p, now_us);
	overlay_drain_ice(o, now_us);
}

void relaying_doubt(struct overlay *o, uint64_t now_us, const struct ice_path *path)
{
	if (path->relay || path->remote_type == ICE_CANDIDATE_RELAY)
		relays_verify(o->relays, now_us);
}

/* --- what comes and goes --- */

static enum err on_data(struct overlay *o, uint64_t now_us, const struct relays_data *d)
{
	if (d->relay == 0)
		return OK;
	if (d->len > 0 && d->bytes[0] >= TUNNEL_TYPE_MIN)
		return fifo_push(&o->inject, &d->peer, sizeof(d->peer), d->bytes, d->len);
	return ice_engine_input_relayed(o->ice, now_us, d->relay, &d->peer, d->bytes, d->len);
}

bool relaying_input(struct overlay *o, uint64_t now_us, uint16_t socket, const struct netaddr *from,
		    const uint8_t *buf, size_t len, enum err *ret_err)
{
	struct relays_data data;

	if (!relays_input(o->relays, now_us, socket, from, buf, len, &data, ret_err))
		return false;
	if (*ret_err == OK)
		*ret_err = on_data(o, now_us, &data);
	return true;
}

bool relaying_wrap(struct overlay *o, struct ice_transmit *t, uint8_t *buf, size_t cap)
{
	struct ice_transmit out;
	enum err e;

	if (t->len > sizeof(o->scratch))
		return false;
	memcpy(o->scratch, buf, t->len);
	e = relays_wrap(o->relays, t->relay, &t->to, o->scratch, t->len, &out, buf, cap);
	*t = out;
	if (e != OK)
		o->drops.count[err_is_drop(e) ? e : DROP_SEND]++;
	return e == OK && t->len > 0;
}

void overlay_on_stream_open(struct overlay *o, uint64_t now_us, uint32_t stream)
{
	relays_on_stream_open(o->relays, now_us, stream);
	overlay_drain_ice(o, now_us);
}

void overlay_on_stream_bytes(struct overlay *o, uint64_t now_us, uint32_t stream,
			     const uint8_t *buf, size_t len)
{
	struct relays_data data;
	enum err e;
	bool more;

	do {
		more = relays_stream_input(o->relays, now_us, stream, &buf, &len, &data, &e);
		if (more)
			e = on_data(o, now_us, &data);
		(void)drop_count(&o->drops, e);
	} while (more);
	overlay_drain_ice(o, now_us);
}

void overlay_on_stream_closed(struct overlay *o, uint64_t now_us, uint32_t stream)
{
	relays_on_stream_closed(o->relays, now_us, stream);
	overlay_drain_ice(o, now_us);
}

bool overlay_pop_stream(struct overlay *o, uint32_t stream, uint8_t *buf, size_t cap,
			size_t *ret_len)
{
	return relays_pop_stream(o->relays, stream, buf, cap, ret_len);
}

const char *overlay_stream_name(const struct overlay *o, uint32_t stream)
{
	return relays_stream_name(o->relays, stream);
}

/* --- servers and sockets --- */

enum err overlay_set_relay_servers(struct overlay *o, uint64_t now_us,
				   const struct overlay_relay_server *servers, size_t count)
{
	enum err e = relays_set_servers(o->relays, now_us, servers, count);

	overlay_drain_ice(o, now_us);
	return e;
}

void overlay_add_spare_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
			      const struct netaddr *base, uint16_t local_preference)
{
	relays_add_socket(o->relays, now_us, socket, base, local_preference, true);
	overlay_drain_ice(o, now_us);
}

bool overlay_relay_info(const struct overlay *o, size_t i, struct overlay_relay_info *ret)
{
	return relays_info(o->relays, i, ret);
}

bool overlay_relay_of_path(const struct overlay *o, const struct ice_path *path, uint32_t *ret_id,
			   enum turn_transport *ret_transport)
{
	return path->relay && relays_server_of(o->relays, path->relay, ret_id, ret_transport);
}
