#include <stdlib.h>
#include <string.h>

#include "daemon/core/cert/identifier.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"
#include "daemon/core/tunnel/inner.h"

#define FRAME_QUEUE_BYTES    (256 * 1024)
#define DATAGRAM_QUEUE_BYTES (256 * 1024)
#define INJECT_QUEUE_BYTES   (256 * 1024)

/* --- creation --- */

/* Our own addresses lead nowhere; the rest of the overlay has to be asked for. */
static enum err add_own_routes(struct overlay *o)
{
	enum err e = OK;

	for (size_t i = 0; e == OK && i < o->own.address_count; i++) {
		struct netprefix one = netprefix_of(&o->own.addresses[i], UINT8_MAX);

		e = route_table_add(o->routes, &one, ROUTE_SELF);
	}
	for (size_t i = 0; e == OK && i < o->own.network_count; i++)
		e = route_table_add(o->routes, &o->own.networks[i], ROUTE_UNRESOLVED);
	return e;
}

static enum err copy_stamps(struct overlay *o, const struct stamp_table *from)
{
	enum err e = stamp_table_init(&o->stamps, o->params.max_peers);

	for (size_t i = 0; e == OK && from && i < from->count; i++)
		stamp_set(&o->stamps, from->stamps[i].name, from->stamps[i].stamp_us);
	return e;
}

static enum err create_parts(struct overlay *o, const struct overlay_params *params)
{
	struct ice_engine_params ice = {
		.random = params->random,
		.max_agents = 2 * params->max_peers,
		.max_sockets = params->max_sockets,
		.ta_ms = params->ta_ms,
		.policy = params->policy,
	};
	struct registrar_params registrar = {
		.random = params->random,
		.certificate = o->certificate,
		.certificate_len = o->certificate_len,
		.epoch = params->epoch,
	};
	enum err e;

	secret_pool_init(&o->secrets, sizeof(struct session_secret));
	o->noise = secret_alloc(sizeof(*o->noise));
	o->peers = calloc(params->max_peers, sizeof(*o->peers));
	if (!o->noise || !o->peers)
		return ERR_NO_MEMORY;
	*o->noise = *params->noise;
	e = heap_init(&o->timers, params->max_peers);
	if (e == OK)
		e = table_init(&o->known, params->max_peers);
	if (e == OK)
		e = table_init(&o->lookups, params->max_peers / 4);
	if (e == OK)
		e = table_init(&o->sessions, params->max_peers);
	if (e == OK)
		e = fifo_init(&o->frames, FRAME_QUEUE_BYTES);
	if (e == OK)
		e = fifo_init(&o->datagrams, DATAGRAM_QUEUE_BYTES);
	if (e == OK)
		e = fifo_init(&o->inject, INJECT_QUEUE_BYTES);
	if (e == OK)
		e = copy_stamps(o, params->stamps);
	if (e == OK)
		e = packet_pool_create(&o->pool, (uint32_t)params->queue_packets, params->mtu);
	if (e == OK)
		e = route_table_create(&o->routes, 8 * params->max_peers);
	if (e == OK)
		e = add_own_routes(o);
	if (e == OK)
		e = registrar_create(&o->registrar, &registrar);
	if (e == OK)
		e = ice_engine_create(&o->ice, &ice);
	if (e == OK)
		e = relays_create(&o->relays, &o->random);
	if (e == OK)
		e = ice_engine_set_blocked(o->ice, o->own.networks, o->own.network_count);
	return e;
}

enum err overlay_create(struct overlay **ret, const struct overlay_params *params,
			enum err *ret_why)
{
	struct overlay *o;
	enum err e;

	*ret_why = OK;
	if (params->certificate_len > CERT_MAX_BYTES || params->max_peers == 0 ||
	    params->max_peers >= OVERLAY_NO_PEER || params->mtu == 0)
		return ERR_INVALID;
	o = calloc(1, sizeof(*o));
	if (!o)
		return ERR_NO_MEMORY;
	o->params = *params;
	o->random = params->random;
	o->unix_offset_us = (int64_t)(params->unix_us - params->now_us);
	o->last_stamp_us = params->last_stamp_us;
	memcpy(o->authority_public, params->authority_public, sizeof(o->authority_public));
	memcpy(o->certificate, params->certificate, params->certificate_len);
	o->certificate_len = params->certificate_len;
	*ret_why = cert_verify(o->certificate, o->certificate_len, o->authority_public,
			       (int64_t)(params->unix_us / US_PER_S), &o->own);
	if (*ret_why == OK && memcmp(o->own.noise_public, params->noise->public, DH_BYTES) != 0)
		*ret_why = DROP_IDENTITY;
	e = *ret_why == OK ? create_parts(o, params) : ERR_INVALID;
	/* Pointers of the caller are not kept. */
	o->params.noise = NULL;
	o->params.certificate = NULL;
	o->params.authority_public = NULL;
	o->params.stamps = NULL;
	if (e != OK) {
		overlay_destroy(o);
		return e;
	}
	*ret = o;
	return OK;
}

void overlay_destroy(struct overlay *o)
{
	if (!o)
		return;
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		if (o->peers[n].in_use)
			peer_drop_sessions(o, &o->peers[n], 0);
		member_destroy(o->peers[n].member);
	}
	relays_destroy(o->relays);
	ice_engine_destroy(o->ice);
	registrar_destroy(o->registrar);
	route_table_destroy(o->routes);
	packet_pool_destroy(o->pool);
	fifo_fini(&o->frames);
	fifo_fini(&o->datagrams);
	fifo_fini(&o->inject);
	stamp_table_fini(&o->stamps);
	table_fini(&o->sessions);
	table_fini(&o->lookups);
	table_fini(&o->known);
	heap_fini(&o->timers);
	free(o->peers);
	secret_free(o->noise);
	secret_pool_fini(&o->secrets);
	free(o);
}

void overlay_set_wall_clock(struct overlay *o, uint64_t now_us, uint64_t unix_us)
{
	o->unix_offset_us = (int64_t)(unix_us - now_us);
}

uint64_t overlay_unix_us(const struct overlay *o, uint64_t now_us)
{
	return now_us + (uint64_t)o->unix_offset_us;
}

const struct cert *overlay_own_cert(const struct overlay *o)
{
	return &o->own;
}

/* --- events --- */

bool event_has_room(const struct overlay *o)
{
	return o->event_count + EVENT_RESERVE < EVENT_SLOTS;
}

struct overlay_event *event_push(struct overlay *o, enum overlay_event_type type, uint32_t peer)
{
	struct overlay_event *e;

	/* Inputs are refused while the reserve is not free, so this is never full; were it, the
	 * newest event would be overwritten, which is harmless to memory. */
	if (o->event_count < EVENT_SLOTS)
		o->event_count++;
	e = &o->events[(o->event_head + o->event_count - 1) % EVENT_SLOTS];
	*e = (struct overlay_event){.type = type, .peer = peer};
	return e;
}

bool overlay_pop_event(struct overlay *o, struct overlay_event *ret)
{
	if (o->event_count == 0)
		return false;
	*ret = o->events[o->event_head];
	o->event_head = (o->event_head + 1) % EVENT_SLOTS;
	o->event_count--;
	return true;
}

static void on_ice(struct overlay *o, uint64_t now_us, const struct ice_event *e)
{
	switch (e->type) {
	case ICE_EVENT_GATHERED:
	case ICE_EVENT_LOCAL_CANDIDATE:
		trickle_on_local(o, now_us);
		event_push(o, OVERLAY_EVENT_LOCAL_CANDIDATES, OVERLAY_NO_PEER);
		break;
	case ICE_EVENT_MAPPING_CHANGED:
		trickle_on_local(o, now_us);
		event_push(o, OVERLAY_EVENT_LOCAL_CANDIDATES, OVERLAY_NO_PEER);
		restart_on_socket(o, now_us, e->candidate.socket, NULL, OVERLAY_RESTART_MAPPING);
		break;
	case ICE_EVENT_STATE:
	case ICE_EVENT_PATH:
	case ICE_EVENT_NEXT_PATH:
	case ICE_EVENT_NEXT_FAILED:
	case ICE_EVENT_UPGRADE_ADVISED:
		peer_on_ice(o, now_us, e);
		break;
	case ICE_EVENT_PERMIT:
		relays_permit(o->relays, now_us, e->relay, &e->remote);
		break;
	}
}

void overlay_drain_ice(struct overlay *o, uint64_t now_us)
{
	struct ice_event e;

	/* Each may have something for the other. */
	do {
		while (event_has_room(o) && ice_engine_pop_event(o->ice, &e))
			on_ice(o, now_us, &e);
	} while (event_has_room(o) && relaying_drain(o, now_us));
}

/* --- the network --- */

enum err overlay_add_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
			    const struct netaddr *base, uint16_t local_preference)
{
	enum err e = ice_engine_add_socket(o->ice, now_us, socket, base, local_preference);

	if (e == OK)
		relays_add_socket(o->relays, now_us, socket, base, local_preference, false);
	if (e == OK)
		restart_on_new_socket(o, now_us, local_preference);
	overlay_drain_ice(o, now_us);
	return e;
}

void overlay_remove_socket(struct overlay *o, uint64_t now_us, uint16_t socket)
{
	/* Wanted before, while it is known whose path goes over it. */
	restart_on_socket(o, now_us, socket, NULL, OVERLAY_RESTART_ADDRESS_LOST);
	relays_remove_socket(o->relays, now_us, socket);
	ice_engine_remove_socket(o->ice, now_us, socket);
	overlay_drain_ice(o, now_us);
}

void overlay_set_preferences(struct overlay *o, uint64_t now_us,
			     const struct overlay_preference *preferences, size_t count)
{
	if (count > OVERLAY_MAX_PREFERENCES)
		count = OVERLAY_MAX_PREFERENCES;
	restart_on_preferences(o, now_us, preferences, count);
	for (size_t i = 0; i < count; i++)
		ice_engine_set_socket_preference(o->ice, preferences[i].socket,
						 preferences[i].local_preference);
	overlay_drain_ice(o, now_us);
}

void overlay_on_rerouted(struct overlay *o, uint64_t now_us, uint16_t socket)
{
	restart_on_socket(o, now_us, socket, NULL, OVERLAY_RESTART_REROUTED);
	ice_engine_gather_again(o->ice, now_us, socket);
	overlay_drain_ice(o, now_us);
}

enum err overlay_set_stun_servers(struct overlay *o, uint64_t now_us, const struct netaddr *servers,
				  size_t count)
{
	enum err e = ice_engine_set_stun_servers(o->ice, now_us, servers, count);

	overlay_drain_ice(o, now_us);
	return e;
}

const struct ice_candidate *overlay_local_candidates(const struct overlay *o, size_t *ret_count)
{
	return ice_engine_local_candidates(o->ice, ret_count);
}

enum err overlay_on_datagram(struct overlay *o, uint64_t now_us, uint16_t socket,
			     const struct netaddr *from, const uint8_t *buf, size_t len)
{
	enum err e;

	if (!relaying_input(o, now_us, socket, from, buf, len, &e))
		e = ice_engine_input(o->ice, now_us, socket, from, buf, len);
	overlay_drain_ice(o, now_us);
	return e;
}

void overlay_on_send_error(struct overlay *o, uint64_t now_us, uint16_t socket,
			   const struct netaddr *to)
{
	ice_engine_on_send_error(o->ice, now_us, socket, to);
	restart_on_socket(o, now_us, socket, to, OVERLAY_RESTART_SEND_ERROR);
	overlay_drain_ice(o, now_us);
}

bool overlay_has_output(const struct overlay *o)
{
	return o->event_count > 0 || !fifo_is_empty(&o->datagrams) || !fifo_is_empty(&o->inject) ||
	       (!fifo_is_empty(&o->frames) && !rendezvous_is_waited_for(o));
}

bool overlay_pop_transmit(struct overlay *o, struct ice_transmit *ret, uint8_t *buf, size_t cap)
{
	size_t len;

	/* A server has to hear of a peer before the first packet for it. Checks go ahead of what is
	 * sealed here. */
	for (;;) {
		if (relays_pop_transmit(o->relays, ret, buf, cap))
			return true;
		if (ice_engine_pop_transmit(o->ice, ret, buf, cap) ||
		    fifo_pop(&o->datagrams, ret, sizeof(*ret), buf, cap, &len)) {
			if (!ret->relay || relaying_wrap(o, ret, buf, cap))
				return true;
			continue;
		}
		if (!o->is_closing)
			return false;
		/* The goodbyes that went over relays are out. */
		o->is_closing = false;
		relays_release_all(o->relays, o->closing_us);
		overlay_drain_ice(o, o->closing_us);
	}
}

/* --- the data plane --- */

/* The peer's check may succeed before ours does; then the answer waits for the path like a
 * packet. */
static enum err answer_ping(struct overlay *o, struct peer *p, struct session *s, uint64_t id)
{
	const struct control_message pong = {.type = CONTROL_PONG, .id = id};
	uint8_t plain[CONTROL_MAX_BYTES];
	size_t len;
	enum err e = session_send_control(o, s->has_path || !p->current ? s : p->current, &pong);

	if (e != ERR_WRONG_STATE)
		return e;
	e = control_encode(&pong, plain, sizeof(plain), &len);
	return e == OK ? packet_push(o->pool, &p->queue, plain, len) : e;
}

enum err overlay_on_control(struct overlay *o, uint64_t now_us, uint32_t peer, uint32_t session,
			    bool over_path, const uint8_t *text, size_t len)
{
	struct peer *p = directory_get(o, peer);
	struct session *s = p ? session_of_index(p, session) : NULL;
	struct control_message m;
	enum err e;

	if (!s || !event_has_room(o))
		return drop_count(&o->drops, DROP_UNKNOWN_INDEX);
	e = control_decode(text, len, &m);
	if (e != OK)
		return drop_count(&o->drops, e);
	if (over_path)
		session_on_heard(o, p, s, now_us, control_shows_use(&m));
	else
		session_on_shared(o, p, s, now_us);
	switch (m.type) {
	case CONTROL_PING:
		e = answer_ping(o, p, s, m.id);
		break;
	case CONTROL_PONG:
		if (m.id != CONTROL_PATH_PING)
			event_push(o, OVERLAY_EVENT_PONG, peer)->ping_id = m.id;
		break;
	case CONTROL_HELLO:
		break;
	case CONTROL_CLOSE:
		if (s == p->current) {
			peer_drop_sessions(o, p, now_us);
			peer_set_state(o, p, now_us, OVERLAY_PEER_IDLE, OVERLAY_REASON_CLOSED);
		}
		break;
	case CONTROL_OFFER:
		e = rekey_on_offer(o, p, now_us, m.body, m.body_len);
		break;
	case CONTROL_ANSWER:
		e = rekey_on_answer(o, p, now_us, m.body, m.body_len);
		break;
	case CONTROL_CANDIDATES:
		e = trickle_on_message(p, s, now_us, m.body, m.body_len);
		break;
	case CONTROL_RESTART_OFFER:
	case CONTROL_RESTART_ANSWER:
		e = restart_on_control(o, p, now_us, &m);
		break;
	case CONTROL_PROBE:
	case CONTROL_PROBED:
		e = mtu_on_control(o, p, s, now_us, &m);
		break;
	case CONTROL_MOVED:
		e = moved_on_control(p, s, now_us, &m);
		break;
	}
	peer_update_timer(o, p);
	overlay_drain_ice(o, now_us);
	return drop_count(&o->drops, e);
}

enum err overlay_on_packet(struct overlay *o, uint64_t now_us, const uint8_t *packet, size_t len)
{
	struct tunnel_inner inner;
	struct peer *p;
	enum err e = tunnel_inner_read(packet, len, &inner);

	if (e == OK && inner.kind == TUNNEL_INNER_CONTROL)
		e = DROP_MALFORMED;
	if (e != OK)
		return drop_count(&o->drops, e);
	p = directory_find_address(o, &inner.destination);
	if (!p) {
		if (!directory_is_overlay_address(o, &inner.destination) || !event_has_room(o))
			return drop_count(&o->drops, DROP_NO_ROUTE);
		p = directory_add_address(o, now_us, &inner.destination);
		if (!p)
			return drop_count(&o->drops, DROP_LIMIT);
	}
	idle_on_use(o, p, now_us);
	if (p->current && p->current->has_path && p->current->shared && !p->asleep) {
		/* Over a stream all come here; else the path came up while the packet was on its
		 * way. */
		p->current->sent_us = now_us;
		return drop_count(&o->drops, session_send(o, p->current, packet, len));
	}
	e = packet_push(o->pool, &p->queue, packet, len);
	peer_connect(o, p, now_us);
	restart_on_packet(o, p, now_us);
	overlay_drain_ice(o, now_us);
	return drop_count(&o->drops, e);
}

void overlay_on_authenticated(struct overlay *o, uint64_t now_us, uint32_t peer, uint32_t session,
			      uint64_t sealed_packets)
{
	struct peer *p = directory_get(o, peer);
	struct session *s = p ? session_of_index(p, session) : NULL;

	if (s) {
		session_on_heard(o, p, s, now_us, true);
		idle_on_use(o, p, now_us);
	}
	if (s && s == p->current) {
		p->activity = (uint32_t)(sealed_packets >= p->sealed_packets
						 ? sealed_packets - p->sealed_packets
						 : sealed_packets);
		p->sealed_packets = sealed_packets;
		if (p->activity)
			mtu_on_use(o, p, now_us);
		rekey_on_use(o, p, now_us, sealed_packets);
		peer_update_timer(o, p);
	}
	overlay_drain_ice(o, now_us);
}

/* --- peers --- */

enum err overlay_connect(struct overlay *o, uint64_t now_us, const char *name, uint32_t *ret_peer)
{
	struct peer *p;

	if (!identifier_is_valid(name) || strcmp(name, o->own.name) == 0)
		return ERR_INVALID;
	p = directory_find_name(o, name);
	if (!p) {
		p = directory_add_name(o, now_us, name);
		if (!p)
			return ERR_LIMIT;
	}
	*ret_peer = p->number;
	p->pause_us = 0;
	p->pause_until_us = now_us;
	peer_connect(o, p, now_us);
	overlay_drain_ice(o, now_us);
	return OK;
}

enum err overlay_ping(struct overlay *o, uint64_t now_us, uint32_t peer, uint64_t ping_id)
{
	struct control_message m = {.type = CONTROL_PING, .id = ping_id};
	struct peer *p = directory_get(o, peer);

	(void)now_us;
	if (!p)
		return ERR_NOT_FOUND;
	return p->current ? session_send_control(o, p->current, &m) : ERR_WRONG_STATE;
}

void overlay_close_peers(struct overlay *o, uint64_t now_us)
{
	struct control_message close = {.type = CONTROL_CLOSE};

	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (p->in_use && p->current && p->current->has_path &&
		    session_send_control(o, p->current, &close) != OK)
			o->drops.count[DROP_SEND]++;
		if (p->in_use && p->current) {
			peer_drop_sessions(o, p, now_us);
			peer_set_state(o, p, now_us, OVERLAY_PEER_IDLE, OVERLAY_REASON_CLOSED);
			peer_update_timer(o, p);
		}
	}
	o->is_closing = true;
	o->closing_us = now_us;
	registrar_bye(o->registrar, now_us);
}

/* --- time --- */

uint64_t overlay_next_deadline(const struct overlay *o)
{
	uint64_t due = heap_next_deadline(&o->timers);

	due = deadline_min(due, registrar_next_deadline(o->registrar));
	due = deadline_min(due, relays_next_deadline(o->relays));
	return deadline_min(due, ice_engine_next_deadline(o->ice));
}

void overlay_on_deadline(struct overlay *o, uint64_t now_us)
{
	struct heap_node *n;

	while (event_has_room(o) && (n = heap_pop_due(&o->timers, now_us)) != NULL)
		peer_on_deadline(o, container_of(n, struct peer, timer), now_us);
	if (registrar_next_deadline(o->registrar) <= now_us)
		registrar_on_deadline(o->registrar, now_us);
	relaying_on_deadline(o, now_us);
	if (ice_engine_next_deadline(o->ice) <= now_us)
		ice_engine_on_deadline(o->ice, now_us);
	rendezvous_drain(o, now_us);
	overlay_drain_ice(o, now_us);
}
