#include "tests/sim/ice_end.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/sim/ice_world.h"

#define MAX_OF_TYPE(type)                                                                          \
	((type) == ICE_CANDIDATE_HOST	 ? ICE_MAX_HOST_CANDIDATES                                 \
	 : (type) == ICE_CANDIDATE_SRFLX ? ICE_MAX_SRFLX_CANDIDATES                                \
					 : ICE_MAX_RELAY_CANDIDATES)

/* --- life --- */

static void start_relays(struct ice_end *e)
{
	struct ice_world *w = e->world;
	struct overlay_relay_server server = {
		.id = 1,
		.name = "turn.example.org",
		.username = e->index ? "bob" : "alice",
		.password = ICE_SERVERS_PASSWORD,
		.expires_us = DEADLINE_NONE,
	};
	struct random_source random = random_seeded_source(&e->seeded);

	if (!w->scenario.relay[e->index])
		return;
	for (size_t i = 0; i < 4; i++)
		server.targets[server.target_count++] = (struct overlay_relay_target){
			.transport = i < 2 ? TURN_TRANSPORT_UDP : TURN_TRANSPORT_TCP,
			.address = ice_servers_turn(i % 2 == 0),
		};
	ice_world_require(w, relays_create(&e->relays, &random), "create relays");
	if (!w->failed)
		ice_world_require(w, relays_set_servers(e->relays, w->now_us, &server, 1),
				  "set the relay servers");
}

void ice_end_start(struct ice_world *w, size_t index, size_t host)
{
	struct ice_end *e = &w->ends[index];
	struct ice_engine_params params = {.max_agents = 2, .ta_ms = w->scenario.ta_ms[index]};
	const struct netaddr *servers;
	size_t count = ice_servers_stun(w->servers, &servers);

	e->world = w;
	e->index = index;
	e->host = host;
	e->broken_ip4 = w->scenario.broken_ip4[index];
	e->broken_ip6 = w->scenario.broken_ip6[index];
	e->beat_us = DEADLINE_NONE;
	e->ask_us = DEADLINE_NONE;
	e->want_us = DEADLINE_NONE;
	e->rules = ice_rules_create();
	random_seeded_init(&e->seeded, 2 * w->scenario.seed + index);
	params.random = random_seeded_source(&e->seeded);
	ice_world_require(w, ice_engine_create(&e->engine, &params), "create an engine");
	if (w->failed)
		return;
	for (size_t i = 0; i < count; i++)
		ice_rules_allow_server(e->rules, &servers[i]);
	start_relays(e);
	ice_world_require(w, ice_engine_set_stun_servers(e->engine, w->now_us, servers, count),
			  "set the servers");
}

void ice_end_stop(struct ice_end *e)
{
	ice_engine_destroy(e->engine);
	relays_destroy(e->relays);
	ice_rules_destroy(e->rules);
}

void ice_end_note_generation(struct ice_end *e)
{
	struct ice_description d;

	ice_agent_get_description(e->agent, &d);
	ice_rules_set_generation(e->rules, e->generations, d.ufrag);
}

void ice_end_open_agent(struct ice_end *e, bool controlling)
{
	struct ice_agent_params params = {.cookie = e, .controlling = controlling};

	ice_world_require(e->world, ice_agent_open(&e->agent, e->engine, e->world->now_us, &params),
			  "open an agent");
	if (e->agent)
		ice_end_note_generation(e);
}

/* Unique among the sockets, IPv6 first and the families in turn (RFC 8421 s. 4). */
static uint16_t preference_of(uint16_t number, bool ip6)
{
	return (uint16_t)(65535 - 2 * number + ip6);
}

void ice_end_add_socket(struct ice_end *e, const struct netaddr *addr)
{
	uint16_t preference = preference_of(++e->last_socket, addr->family == NETADDR_IP6);
	struct ice_world *w = e->world;
	struct ice_socket *s = e->sockets;

	while (s->is_open)
		s++;
	*s = (struct ice_socket){.is_open = true, .number = e->last_socket, .addr = *addr};
	simnet_add_address(w->net, e->host, addr);
	ice_world_require(w,
			  ice_engine_add_socket(e->engine, w->now_us, s->number, addr, preference),
			  "add a socket");
	if (e->relays)
		relays_add_socket(e->relays, w->now_us, s->number, addr, preference, false);
	ice_end_drain(e);
}

void ice_end_remove_socket(struct ice_end *e, struct ice_socket *s)
{
	struct ice_world *w = e->world;

	s->is_open = false;
	simnet_remove_address(w->net, e->host, &s->addr);
	ice_rules_drop_base(e->rules, s->number, 0);
	ice_engine_remove_socket(e->engine, w->now_us, s->number);
	if (e->relays)
		relays_remove_socket(e->relays, w->now_us, s->number);
	ice_end_drain(e);
}

static struct ice_socket *socket_by_number(struct ice_end *e, uint16_t number)
{
	for (size_t i = 0; i < ICE_END_SOCKETS; i++)
		if (e->sockets[i].is_open && e->sockets[i].number == number)
			return &e->sockets[i];
	return NULL;
}

/* --- signalling --- */

static void note_candidate(struct ice_end *e, const struct ice_candidate *c)
{
	if (c->type == ICE_CANDIDATE_SRFLX && c->addr.family == NETADDR_IP4)
		e->has_reflexive = true;
	e->has_relayed |= c->type == ICE_CANDIDATE_RELAY;
}

static void check_candidates(struct ice_end *e, const struct ice_description *d)
{
	size_t of_type[ICE_CANDIDATE_TYPE_COUNT] = {0};

	ice_world_require(e->world, ice_description_check(d), "check our own description");
	for (size_t i = 0; i < d->candidate_count; i++) {
		const struct ice_candidate *c = &d->candidates[i];

		note_candidate(e, c);
		if (++of_type[c->type] > MAX_OF_TYPE(c->type))
			ice_world_fail(e->world, "too many candidates of one type");
		for (size_t k = 0; k < i; k++)
			if (d->candidates[k].priority == c->priority)
				ice_world_fail(e->world, "two candidates of one priority");
	}
}

void ice_end_send_description(struct ice_end *e, enum ice_message_kind kind)
{
	struct ice_world *w = e->world;
	struct ice_message *m = ice_world_new_message(w, e->index, kind);

	if (!w->offered_us)
		w->offered_us = w->now_us;
	ice_agent_get_description(e->agent, &m->description);
	check_candidates(e, &m->description);
	m->restart = e->restart;
	memcpy(e->ufrag, m->description.ufrag, sizeof(e->ufrag));
	e->is_described = true;
	e->is_ended = m->description.end_of_candidates;
}

static void allow_candidate(struct ice_end *e, const struct ice_candidate *c)
{
	ice_rules_allow(e->rules, &c->addr);
}

static void take_description(struct ice_end *e, const struct ice_message *m)
{
	const uint16_t *ta_ms = e->world->scenario.ta_ms;

	ice_rules_set_ta(e->rules, (ta_ms[0] > ta_ms[1] ? ta_ms[0] : ta_ms[1]) * US_PER_MS);
	ice_world_require(e->world,
			  ice_agent_set_remote(e->agent, e->world->now_us, &m->description),
			  "take a description");
	ice_rules_on_description(e->rules, e->world->now_us);
}

void ice_end_receive(struct ice_end *e, const struct ice_message *m)
{
	struct ice_world *w = e->world;
	enum err err;

	if (!e->agent)
		ice_end_open_agent(e, w->scenario.glare);
	switch (m->kind) {
	case ICE_MESSAGE_DESCRIPTION:
	case ICE_MESSAGE_RESTART:
	case ICE_MESSAGE_RESTARTED:
		for (size_t i = 0; i < m->description.candidate_count; i++)
			allow_candidate(e, &m->description.candidates[i]);
		ice_rules_add_password(e->rules, m->description.pwd);
		if (m->kind == ICE_MESSAGE_DESCRIPTION)
			take_description(e, m);
		else
			ice_owner_on_message(e, m);
		break;
	case ICE_MESSAGE_CANDIDATE:
		allow_candidate(e, &m->candidate);
		err = ice_agent_add_remote_candidate(e->agent, w->now_us, m->ufrag, &m->candidate);
		/* Nominated meanwhile, or replaced. */
		if (err != ERR_WRONG_STATE && err != DROP_STALE)
			ice_world_require(w, err, "take a candidate");
		break;
	case ICE_MESSAGE_END:
		ice_agent_end_remote(e->agent, w->now_us, m->ufrag);
		break;
	}
}

static void tell_candidate(struct ice_end *e, const struct ice_candidate *c)
{
	struct ice_message *m;

	if (!e->is_described || e->is_ended)
		return;
	m = ice_world_new_message(e->world, e->index, ICE_MESSAGE_CANDIDATE);
	m->candidate = *c;
	memcpy(m->ufrag, e->ufrag, sizeof(m->ufrag));
	note_candidate(e, c);
}

static void tell_end(struct ice_end *e)
{
	if (!e->is_described || e->is_ended)
		return;
	memcpy(ice_world_new_message(e->world, e->index, ICE_MESSAGE_END)->ufrag, e->ufrag,
	       sizeof(e->ufrag));
	e->is_ended = true;
}

/* --- events --- */

static void trace_event(const struct ice_end *e, const struct ice_event *event)
{
	char local[NETADDR_TEXT_BYTES], remote[NETADDR_TEXT_BYTES];
	FILE *f = e->world->trace;
	bool has_path = event->has_path;

	if (!f)
		return;
	if (event->type == ICE_EVENT_STATE)
		fprintf(f, "%10" PRIu64 " us  -- end %zu is %s\n", e->world->now_us, e->index,
			ice_agent_state_name(event->state));
	if (event->type != ICE_EVENT_PATH && event->type != ICE_EVENT_NEXT_PATH)
		return;
	fprintf(f, "%10" PRIu64 " us  -- end %zu, generation %" PRIu32 ": %s%s", e->world->now_us,
		e->index, event->generation, event->type == ICE_EVENT_PATH ? "path" : "next path",
		has_path ? "" : " lost");
	if (has_path)
		fprintf(f, " %s > %s socket %u relay %u%s%s",
			netaddr_format(&event->path.local, local),
			netaddr_format(&event->path.remote, remote), event->path.socket,
			event->path.relay, event->path.nominated ? ", nominated" : "",
			event->path.consented ? "" : ", without consent");
	fputc('\n', f);
}

static void on_event(struct ice_end *e, const struct ice_event *event)
{
	struct ice_world *w = e->world;
	const char *broken = NULL;

	trace_event(e, event);

	switch (event->type) {
	case ICE_EVENT_LOCAL_CANDIDATE:
		tell_candidate(e, &event->candidate);
		break;
	case ICE_EVENT_GATHERED:
		tell_end(e);
		break;
	case ICE_EVENT_MAPPING_CHANGED:
		e->mappings_changed++;
		if (!w->expects_changes)
			ice_world_fail(w, "a mapping changed that did not change");
		break;
	case ICE_EVENT_STATE:
		e->state = event->state;
		if (event->state == ICE_AGENT_COMPLETED && !e->completed_us)
			e->completed_us = w->now_us - w->offered_us;
		if (event->state == ICE_AGENT_FAILED)
			broken = ice_rules_on_failed(e->rules, w->now_us);
		break;
	case ICE_EVENT_PATH:
		if (event->has_path && !e->had_path) {
			e->had_path = true;
			e->first_path_us = w->now_us - w->offered_us;
		}
		broken = ice_rules_on_path(e->rules, w->now_us,
					   event->has_path ? &event->path : NULL);
		if (event->has_path && event->path.relay)
			relays_bind(e->relays, w->now_us, event->path.relay, &event->path.remote);
		break;
	case ICE_EVENT_PERMIT:
		if (e->relays)
			relays_permit(e->relays, w->now_us, event->relay, &event->remote);
		break;
	case ICE_EVENT_NEXT_PATH:
		broken = ice_rules_on_next_path(e->rules, event->has_path ? &event->path : NULL,
						event->generation);
		break;
	case ICE_EVENT_NEXT_FAILED:
	case ICE_EVENT_UPGRADE_ADVISED:
		break;
	}
	if (broken)
		ice_world_fail(w, "end %zu: %s", e->index, broken);
	ice_owner_on_event(e, event);
}

static void on_relay_up(struct ice_end *e, const struct relays_event *event)
{
	ice_world_require(e->world,
			  ice_engine_add_relay(e->engine, e->world->now_us, event->relay,
					       event->socket, &event->relayed, &event->mapped,
					       &event->server, event->preference),
			  "add a relay");
}

static bool family_works(const struct ice_end *e, const struct netaddr *to)
{
	const struct ice_scenario *s = &e->world->scenario;
	bool ip6 = to->family == NETADDR_IP6;

	return ip6 ? s->ip6[e->index] && !e->broken_ip6 : s->ip4[e->index] && !e->broken_ip4;
}

static void on_relay_event(struct ice_end *e, const struct relays_event *event)
{
	struct ice_world *w = e->world;

	switch (event->type) {
	case RELAYS_EVENT_UP:
		on_relay_up(e, event);
		break;
	case RELAYS_EVENT_RETIRED:
		ice_engine_offer_relay(e->engine, w->now_us, event->relay, false);
		break;
	case RELAYS_EVENT_OFFERED:
		ice_engine_offer_relay(e->engine, w->now_us, event->relay, true);
		break;
	case RELAYS_EVENT_DOWN:
		ice_rules_drop_base(e->rules, 0, event->relay);
		ice_engine_remove_relay(e->engine, w->now_us, event->relay);
		break;
	case RELAYS_EVENT_CHANNEL:
	case RELAYS_EVENT_SERVER_ADD:
	case RELAYS_EVENT_SERVER_REMOVE:
	case RELAYS_EVENT_WANT_SOCKET:
		break;
	case RELAYS_EVENT_STREAM_OPEN:
		if (event->stream > e->last_stream)
			e->last_stream = event->stream;
		ice_servers_open_stream(w->servers, w->now_us, e->index, event->stream,
					event->server.family == NETADDR_IP6,
					family_works(e, &event->server));
		break;
	case RELAYS_EVENT_STREAM_CLOSE:
		ice_servers_close_stream(w->servers, w->now_us, e->index, event->stream);
		break;
	}
}

/* --- out --- */

static void send_datagram(struct ice_end *e, uint16_t socket, const struct netaddr *to,
			  const uint8_t *buf, size_t len)
{
	struct ice_world *w = e->world;
	const struct ice_socket *s = socket_by_number(e, socket);

	ice_world_mix(w, &w->now_us, sizeof(w->now_us));
	ice_world_mix(w, buf, len);
	if (!s) {
		ice_world_fail(w, "a datagram from socket %u", socket);
		return;
	}
	if (to->family == NETADDR_IP6 ? e->broken_ip6 : e->broken_ip4)
		return;
	if (!simnet_send(w->net, w->now_us, e->host, &s->addr, to, buf, len))
		ice_world_fail(w, "the network did not take a datagram");
}

/* Streams that want to be written to. */
static void drain_streams(struct ice_end *e)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	size_t len;

	for (uint32_t stream = 1; stream <= e->last_stream; stream++)
		while (relays_pop_stream(e->relays, stream, buf, sizeof(buf), &len))
			ice_servers_write_stream(e->world->servers, e->world->now_us, e->index,
						 stream, buf, len);
}

static void drain_relays(struct ice_end *e)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct relays_event event;
	struct ice_transmit t;

	if (!e->relays)
		return;
	while (relays_pop_event(e->relays, &event))
		on_relay_event(e, &event);
	while (relays_pop_transmit(e->relays, &t, buf, sizeof(buf)))
		send_datagram(e, t.socket, &t.to, buf, t.len);
	drain_streams(e);
	if (relays_is_pending(e->relays) != e->relays_pending) {
		e->relays_pending = !e->relays_pending;
		ice_engine_set_relays_pending(e->engine, e->relays_pending);
	}
}

void ice_end_transmit(struct ice_end *e, const struct ice_transmit *t, const uint8_t *buf)
{
	uint8_t wrapped[TURN_REQUEST_MAX_BYTES];
	struct ice_transmit out = *t;

	if (!t->relay) {
		send_datagram(e, t->socket, &t->to, buf, t->len);
		return;
	}
	/* What the packet needs goes before it. */
	drain_relays(e);
	if (relays_wrap(e->relays, t->relay, &t->to, buf, t->len, &out, wrapped, sizeof(wrapped)) ==
		    OK &&
	    out.len > 0)
		send_datagram(e, out.socket, &out.to, wrapped, out.len);
	drain_streams(e);
}

static void pull_events(struct ice_end *e)
{
	struct ice_event event;

	while (ice_engine_pop_event(e->engine, &event))
		on_event(e, &event);
	if (e->agent && ice_agent_get_pairs(e->agent, NULL, 0) > ICE_MAX_PAIRS_DEFAULT)
		ice_world_fail(e->world, "more than 100 pairs");
}

static void pull_transmits(struct ice_end *e)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_path path, next;
	struct ice_transmit t;

	while (ice_engine_pop_transmit(e->engine, &t, buf, sizeof(buf))) {
		bool has_path = e->agent && ice_agent_get_path(e->agent, &path);
		bool has_next = e->agent && ice_agent_get_next_path(e->agent, &next);
		const char *broken =
			ice_rules_check(e->rules, e->world->now_us, &t, buf,
					has_path ? &path : NULL, has_next ? &next : NULL);

		if (broken)
			ice_world_fail(e->world, "end %zu: %s", e->index, broken);
		ice_end_transmit(e, &t, buf);
		ice_attacker_on_output(e, &t, buf);
	}
}

void ice_end_drain(struct ice_end *e)
{
	drain_relays(e);
	pull_events(e);
	drain_relays(e);
	pull_transmits(e);
}

/* --- in --- */

void ice_end_put(struct ice_end *e, uint16_t socket, uint16_t relay, const struct netaddr *from,
		 const uint8_t *buf, size_t len)
{
	uint64_t now_us = e->world->now_us;

	ice_rules_on_input(e->rules, now_us, socket, relay, from, buf, len);
	if (relay)
		(void)!ice_engine_input_relayed(e->engine, now_us, relay, from, buf, len);
	else
		(void)!ice_engine_input(e->engine, now_us, socket, from, buf, len);
}

/* What is for the agent or its owner, as the first byte says. */
static void input_from_peer(struct ice_end *e, uint16_t socket, uint16_t relay,
			    const struct netaddr *from, const uint8_t *buf, size_t len,
			    bool is_genuine)
{
	if (len == 0)
		return;
	if (buf[0] > 3) {
		/* The tunnel would not open what was changed on the way. */
		if (is_genuine)
			ice_owner_on_data(e, socket, relay, from, buf, len);
		return;
	}
	ice_end_put(e, socket, relay, from, buf, len);
	ice_attacker_on_input(e, socket, relay, from, buf, len);
}

static void on_relayed(struct ice_end *e, const struct relays_data *data, bool is_genuine)
{
	uint8_t copy[SIMNET_MTU_BYTES];

	if (data->relay == 0 || data->len > sizeof(copy))
		return;
	memcpy(copy, data->bytes, data->len);
	input_from_peer(e, ICE_NO_SOCKET, data->relay, &data->peer, copy, data->len, is_genuine);
}

void ice_end_input(struct ice_end *e, const struct simnet_delivery *d, const uint8_t *buf)
{
	struct ice_socket *s = NULL;
	struct relays_data data;
	enum err err;

	if (d->from.family == NETADDR_IP6 ? e->broken_ip6 : e->broken_ip4)
		return;
	for (size_t i = 0; i < ICE_END_SOCKETS; i++)
		if (e->sockets[i].is_open && netaddr_equal(&e->sockets[i].addr, &d->to))
			s = &e->sockets[i];
	if (!s)
		return;
	if (e->relays && relays_input(e->relays, e->world->now_us, s->number, &d->from, buf, d->len,
				      &data, &err)) {
		if (err == OK)
			on_relayed(e, &data, d->is_genuine);
		return;
	}
	input_from_peer(e, s->number, 0, &d->from, buf, d->len, d->is_genuine);
}

void ice_end_on_stream(struct ice_end *e, const struct ice_stream_news *news)
{
	const uint8_t *bytes = news->bytes;
	size_t len = news->len;
	struct relays_data data;
	enum err err;

	switch (news->kind) {
	case ICE_STREAM_OPEN:
		relays_on_stream_open(e->relays, e->world->now_us, news->stream);
		break;
	case ICE_STREAM_CLOSED:
		relays_on_stream_closed(e->relays, e->world->now_us, news->stream);
		break;
	case ICE_STREAM_BYTES:
		while (relays_stream_input(e->relays, e->world->now_us, news->stream, &bytes, &len,
					   &data, &err))
			on_relayed(e, &data, true);
		break;
	}
}

/* --- time --- */

uint64_t ice_end_next_deadline(const struct ice_end *e)
{
	uint64_t due =
		deadline_min(ice_engine_next_deadline(e->engine), ice_owner_next_deadline(e));

	return e->relays ? deadline_min(due, relays_next_deadline(e->relays)) : due;
}

static void mark_paths(struct ice_end *e)
{
	uint64_t patience_us = e->is_idle ? RELAYS_SILENT_IDLE_US : RELAYS_SILENT_US;
	uint64_t now_us = e->world->now_us;
	struct ice_path path;

	relays_mark_begin(e->relays);
	if (e->agent && ice_agent_get_path(e->agent, &path) && path.relay)
		relays_mark(e->relays, now_us, path.relay, &path.remote,
			    e->has_traffic ? e->heard_us : now_us, patience_us);
	if (e->agent && ice_agent_get_next_path(e->agent, &path) && path.relay)
		relays_mark(e->relays, now_us, path.relay, &path.remote, now_us, patience_us);
	relays_sweep(e->relays, now_us);
}

void ice_end_on_deadline(struct ice_end *e)
{
	uint64_t now_us = e->world->now_us;

	if (ice_engine_next_deadline(e->engine) <= now_us)
		ice_engine_on_deadline(e->engine, now_us);
	if (e->relays && relays_next_deadline(e->relays) <= now_us) {
		relays_on_deadline(e->relays, now_us);
		if (relays_wants_sweep(e->relays, now_us))
			mark_paths(e);
	}
	ice_owner_on_deadline(e);
}
