/*
 * How long packets to a peer may be: the prober (tunnel/pmtu.h) of the path that carries its data.
 * It begins anew with each path, and with each session and restart even if the path looks the same;
 * it goes on over new keys. A path is what the data plane is told, so a relayed one is another with
 * its channel: there are other bytes in front.
 *
 * Not probed are peers that do not answer (SIGNAL_FEATURE_PROBE), and paths that the overlay itself
 * sends on, over a stream or until there is a channel: their packets are wrapped in more than those
 * of a path.
 */
#include "daemon/core/peer/peer.h"

/* After whatever has been told to the prober: sends what there is to be sent, and tells a
 * change. */
static void follow(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct control_message probe = {.type = CONTROL_PROBE};
	struct peer_mtu *m = &p->mtu;

	while (pmtu_pop_probe(&m->pmtu, now_us, &probe.size, &probe.number)) {
		size_t len;
		enum err e = control_encode(&probe, o->plain, sizeof(o->plain), &len);

		if (p->asleep || !p->current)
			e = ERR_WRONG_STATE;
		if (e == OK)
			e = session_send(o, p->current, o->plain, len);
		if (e != OK)
			pmtu_rest(&m->pmtu);
	}
	if (m->told_bytes != m->pmtu.size || m->told_is_found != m->pmtu.is_found) {
		struct overlay_event *e = event_push(o, OVERLAY_EVENT_PATH_SIZE, p->number);

		m->told_bytes = e->max_bytes = m->pmtu.size;
		m->told_is_found = e->is_found = m->pmtu.is_found;
	}
	peer_update_timer(o, p);
}

static uint16_t ceiling_of(const struct overlay *o, const struct session *s)
{
	size_t own = o->params.mtu < PMTU_MAX_BYTES ? o->params.mtu : PMTU_MAX_BYTES;

	return s->mtu_bytes && s->mtu_bytes < own ? s->mtu_bytes : (uint16_t)own;
}

static bool is_same_path(const struct peer_mtu *m, const struct overlay_event *e)
{
	return m->is_known && m->socket == e->path.socket && m->relay == e->path.relay &&
	       m->channel == e->channel && m->by_overlay == e->by_overlay &&
	       netaddr_equal(&m->remote, &e->path.remote);
}

void mtu_on_path(struct overlay *o, struct peer *p, const struct session *s, uint64_t now_us,
		 struct overlay_event *e)
{
	struct peer_mtu *m = &p->mtu;

	if (!is_same_path(m, e)) {
		m->is_known = true;
		m->socket = e->path.socket;
		m->relay = e->path.relay;
		m->channel = e->channel;
		m->by_overlay = e->by_overlay;
		m->remote = e->path.remote;
		if (e->by_overlay || !(s->features & SIGNAL_FEATURE_PROBE))
			pmtu_disable(&m->pmtu, ceiling_of(o, s));
		else
			pmtu_start(&m->pmtu, now_us, ceiling_of(o, s));
	}
	m->told_bytes = e->max_bytes = m->pmtu.size;
	m->told_is_found = e->is_found = m->pmtu.is_found;
	follow(o, p, now_us);
}

void mtu_forget(struct peer *p)
{
	p->mtu.is_known = false;
}

void mtu_on_use(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (!p->mtu.is_known)
		return;
	pmtu_on_use(&p->mtu.pmtu, now_us);
	follow(o, p, now_us);
}

void mtu_on_doubt(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (!p->mtu.is_known)
		return;
	pmtu_on_doubt(&p->mtu.pmtu, now_us);
	follow(o, p, now_us);
}

uint64_t mtu_deadline(const struct peer *p)
{
	return p->mtu.is_known ? pmtu_next_deadline(&p->mtu.pmtu) : DEADLINE_NONE;
}

void mtu_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (now_us < mtu_deadline(p))
		return;
	pmtu_on_deadline(&p->mtu.pmtu, now_us);
	follow(o, p, now_us);
}

enum err mtu_on_control(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
			const struct control_message *m)
{
	struct control_message answer = {
		.type = CONTROL_PROBED, .number = m->number, .size = m->size};

	if (m->type == CONTROL_PROBE)
		return session_send_control(o, s->has_path || !p->current ? s : p->current,
					    &answer);
	if (!p->mtu.is_known)
		return DROP_STALE;
	pmtu_on_ack(&p->mtu.pmtu, now_us, m->number, m->size);
	follow(o, p, now_us);
	return OK;
}

/* The peer whose path it is, and not over a relay: there the length says nothing. Or NULL. */
static struct peer *peer_of_path(struct overlay *o, uint16_t socket, const struct netaddr *to)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (p->in_use && p->mtu.is_known && !p->mtu.relay && p->mtu.socket == socket &&
		    netaddr_equal(&p->mtu.remote, to))
			return p;
	}
	return NULL;
}

void overlay_on_too_long(struct overlay *o, uint64_t now_us, uint16_t socket,
			 const struct netaddr *to, size_t len)
{
	struct peer *p = peer_of_path(o, socket, to);

	if (!p || len < TUNNEL_OVERHEAD_BYTES || len - TUNNEL_OVERHEAD_BYTES > PMTU_MAX_BYTES)
		return;
	pmtu_on_refused(&p->mtu.pmtu, now_us, (uint16_t)(len - TUNNEL_OVERHEAD_BYTES));
	follow(o, p, now_us);
}

void overlay_on_packet_too_long(struct overlay *o, uint64_t now_us, uint32_t peer)
{
	struct peer *p = directory_get(o, peer);

	if (p)
		mtu_on_doubt(o, p, now_us);
}
