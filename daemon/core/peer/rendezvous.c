/* What comes from the rendezvous and goes there. */
#include <string.h>

#include "daemon/core/peer/peer.h"

void frame_send(struct overlay *o, const struct signal_message *m)
{
	size_t len;

	if (signal_message_encode(m, o->scratch, sizeof(o->scratch), &len) != OK ||
	    fifo_push(&o->frames, NULL, 0, o->scratch, len) != OK)
		o->drops.count[DROP_QUEUE_FULL]++;
}

/* What restarts have to say goes now, once on each link. */
static void hurry(struct overlay *o, uint64_t now_us)
{
	if (o->has_hurried)
		return;
	o->has_hurried = true;
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		if (o->peers[n].in_use)
			restart_hurry(o, &o->peers[n], now_us);
	}
}

static void on_registered(struct overlay *o, uint64_t now_us)
{
	struct signal_message watch = {.type = SIGNAL_WATCH};

	event_push(o, OVERLAY_EVENT_REGISTERED, OVERLAY_NO_PEER);
	frame_send(o, &watch);
	hurry(o, now_us);
	for (uint32_t n = 0; n < o->peer_limit && event_has_room(o); n++) {
		struct peer *p = &o->peers[n];

		if (!p->in_use || p->state != OVERLAY_PEER_FAILED ||
		    p->reason != OVERLAY_REASON_OFFLINE)
			continue;
		p->pause_until_us = now_us;
		if (p->wants_connection)
			peer_connect(o, p, now_us);
		else
			peer_set_state(o, p, now_us, OVERLAY_PEER_IDLE, OVERLAY_REASON_NONE);
	}
}

void rendezvous_drain(struct overlay *o, uint64_t now_us)
{
	struct registrar_event e;

	while (event_has_room(o) && registrar_pop_event(o->registrar, &e)) {
		switch (e.type) {
		case REGISTRAR_EVENT_REGISTERED:
			on_registered(o, now_us);
			break;
		case REGISTRAR_EVENT_REFUSED:
			event_push(o, OVERLAY_EVENT_REFUSED, OVERLAY_NO_PEER)->signal_error =
				e.code;
			break;
		case REGISTRAR_EVENT_SERVERS:
			event_push(o, OVERLAY_EVENT_SERVERS, OVERLAY_NO_PEER);
			break;
		case REGISTRAR_EVENT_LOST:
			event_push(o, OVERLAY_EVENT_UNREGISTERED, OVERLAY_NO_PEER);
			break;
		case REGISTRAR_EVENT_LINK_DEAD:
			event_push(o, OVERLAY_EVENT_LINK_DEAD, OVERLAY_NO_PEER);
			break;
		}
	}
}

void overlay_on_link(struct overlay *o, uint64_t now_us, bool up)
{
	o->link_up = up;
	/* What was meant for an old connection is repeated by its own timers. */
	if (!up) {
		fifo_clear(&o->frames);
		registrar_on_link_down(o->registrar, now_us);
	} else {
		registrar_on_link_up(o->registrar, now_us);
		o->has_hurried = false;
		if (registrar_is_heard(o->registrar))
			hurry(o, now_us);
	}
	rendezvous_drain(o, now_us);
}

static struct peer *peer_of_xid(struct overlay *o, const uint8_t xid[static SIGNAL_XID_BYTES])
{
	struct peer *looked = directory_find_lookup(o, xid);

	if (looked)
		return looked;
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (p->in_use && p->next && p->next->initiator &&
		    memcmp(p->next->xid, xid, SIGNAL_XID_BYTES) == 0)
			return p;
	}
	return NULL;
}

static enum err on_error(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	struct peer *p = peer_of_xid(o, m->xid);

	if (!p)
		return DROP_STALE;
	peer_on_error(o, p, now_us, m->code);
	return OK;
}

static enum err dispatch_signal(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	switch (m->type) {
	case SIGNAL_FOUND:
		return directory_on_found(o, now_us, m);
	case SIGNAL_PRESENCE:
		return directory_on_presence(o, now_us, m);
	case SIGNAL_DELIVER:
		return exchange_on_deliver(o, now_us, m);
	case SIGNAL_ERROR:
		return on_error(o, now_us, m);
	case SIGNAL_ACK:
		return OK;
	case SIGNAL_CHALLENGE:
	case SIGNAL_REGISTERED:
	case SIGNAL_PONG:
	case SIGNAL_REGISTER:
	case SIGNAL_PING:
	case SIGNAL_LOOKUP:
	case SIGNAL_FORWARD:
	case SIGNAL_WATCH:
	case SIGNAL_JOIN:
	case SIGNAL_JOINED:
	case SIGNAL_BYE:
	case SIGNAL_NONE:
	case SIGNAL_TYPE_COUNT:
		break;
	}
	return DROP_UNKNOWN_TYPE;
}

enum err overlay_on_signal(struct overlay *o, uint64_t now_us, const uint8_t *frame, size_t len)
{
	struct signal_message m;
	enum err e;

	if (!event_has_room(o))
		return drop_count(&o->drops, DROP_QUEUE_FULL);
	e = signal_message_decode(frame, len, &m);
	/* It has not heard what came before. */
	if (e == OK && m.type == SIGNAL_CHALLENGE)
		o->has_hurried = false;
	if (e == OK && !registrar_on_message(o->registrar, now_us, &m))
		e = dispatch_signal(o, now_us, &m);
	rendezvous_drain(o, now_us);
	overlay_drain_ice(o, now_us);
	return drop_count(&o->drops, e);
}

bool rendezvous_is_waited_for(const struct overlay *o)
{
	return o->link_up && !registrar_is_heard(o->registrar);
}

bool overlay_pop_signal(struct overlay *o, uint8_t *buf, size_t cap, size_t *ret_len)
{
	if (registrar_pop_transmit(o->registrar, buf, cap, ret_len))
		return true;
	if (rendezvous_is_waited_for(o))
		return false;
	return fifo_pop(&o->frames, NULL, 0, buf, cap, ret_len);
}

bool overlay_pop_inject(struct overlay *o, struct netaddr *ret_from, uint8_t *buf, size_t cap,
			size_t *ret_len)
{
	return fifo_pop(&o->inject, ret_from, sizeof(*ret_from), buf, cap, ret_len);
}

bool overlay_is_registered(const struct overlay *o)
{
	return o->link_up && registrar_state(o->registrar) == REGISTRAR_REGISTERED;
}

const struct signal_server *overlay_servers(const struct overlay *o, size_t *ret_count)
{
	return registrar_servers(o->registrar, ret_count);
}
