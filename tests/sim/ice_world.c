#include "tests/sim/ice_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/sim/ice_rules.h"

#define MAX_MESSAGES   128
#define MAX_STANDSTILL 10000
#define START_US       US_PER_S /* not zero, so that a forgotten time shows */
#define SOCKET_PORT    40000

struct end {
	struct ice_engine *engine;
	struct ice_agent *agent;
	struct random_seeded seeded;
	size_t host;
	struct netaddr sockets[2];
	size_t socket_count;
	bool described; /* our description was sent */
	bool ended;	/* and that no candidate will follow */
	struct ice_rules rules;
	struct ice_end_result result;
};

enum message_kind {
	MESSAGE_DESCRIPTION,
	MESSAGE_CANDIDATE,
	MESSAGE_END,
};

struct message {
	uint64_t at_us;
	size_t to;
	enum message_kind kind;
	struct ice_description description;
	struct ice_candidate candidate;
};

struct ice_world {
	struct ice_scenario scenario;
	struct simnet *net;
	struct end ends[2];
	size_t servers[2];
	struct netaddr server_addrs[4];
	size_t server_addr_count;
	size_t link_nodes[2];
	struct message messages[MAX_MESSAGES]; /* in the order of their times */
	size_t message_head, message_count;
	uint64_t now_us, offered_us;
	size_t standstill;
	uint64_t hash;
	bool probe_arrived;
	bool failed;
};

PRINTF_LIKE(2, 3)
static void fail(struct ice_world *w, const char *format, ...)
{
	va_list args;

	if (w->failed)
		return;
	w->failed = true;
	ice_scenario_print(&w->scenario, stderr);
	fprintf(stderr, "  at %" PRIu64 " us: ", w->now_us);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void require(struct ice_world *w, enum err e, const char *what)
{
	if (e != OK)
		fail(w, "%s: %s", what, err_text(e));
}

static struct netaddr addr(const char *text, uint16_t port)
{
	struct netaddr a;

	if (netaddr_parse_ip(text, port, &a) != OK)
		abort();
	return a;
}

/* @format with the number of the end in it. */
static struct netaddr numbered(const char *format, size_t number)
{
	char text[64];
	const char *hash = strchr(format, '#');

	snprintf(text, sizeof(text), "%.*s%zu%s", (int)(hash - format), format, number, hash + 1);
	return addr(text, SOCKET_PORT);
}

static void mix(struct ice_world *w, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		w->hash = (w->hash ^ p[i]) * 1099511628211u;
}

/* Topology */

static struct nat_params nat_params(const struct ice_scenario *s, enum ice_home home,
				    struct netaddr outside)
{
	struct nat_params p = {
		.outside = outside,
		.hairpin = s->hairpin,
		.inbound_refresh = true,
		.lifetime_us = 60 * US_PER_S,
	};

	switch (home) {
	case ICE_HOME_OPEN:
	case ICE_HOME_FULL:
	case ICE_HOME_BLOCKED:
	case ICE_HOME_COUNT:
		p.filtering = NAT_INDEPENDENT;
		break;
	case ICE_HOME_ADDRESS:
		p.filtering = NAT_ADDRESS;
		break;
	case ICE_HOME_PORT:
		p.filtering = NAT_ADDRESS_AND_PORT;
		break;
	case ICE_HOME_SYMMETRIC:
		p.mapping = NAT_ADDRESS_AND_PORT;
		p.filtering = NAT_ADDRESS_AND_PORT;
		p.random_ports = true;
		break;
	}
	return p;
}

static size_t add_router(struct ice_world *w, size_t above, size_t i, struct netaddr outside,
			 const struct simnet_link *link)
{
	const struct ice_scenario *s = &w->scenario;
	struct nat_params p = nat_params(s, s->home[i], outside);
	size_t router = simnet_add_router(w->net, above, link, &p);

	simnet_set_blocked(w->net, router, s->home[i] == ICE_HOME_BLOCKED);
	return router;
}

static void build_end(struct ice_world *w, size_t i, size_t above)
{
	static const struct simnet_link near = {.delay_us = 100};
	const struct ice_scenario *s = &w->scenario;
	const struct simnet_link *link = &s->link[i];
	bool open = s->home[i] == ICE_HOME_OPEN;
	bool carrier = s->layout == ICE_SAME_CARRIER;
	struct end *e = &w->ends[i];
	struct netaddr ip4;

	if (s->layout == ICE_SAME_LAN) {
		e->host = simnet_add_host(w->net, above, link);
		w->link_nodes[i] = e->host;
		ip4 = numbered("192.168.1.#", 2 + i);
	} else if (open) {
		e->host = simnet_add_host(w->net, above, link);
		w->link_nodes[i] = e->host;
		ip4 = numbered(carrier ? "100.64.1.#" : "203.0.113.#", 10 + i);
	} else {
		struct netaddr outside = numbered(carrier ? "100.64.0.#" : "203.0.113.#", 20 + i);

		w->link_nodes[i] = add_router(w, above, i, outside, link);
		e->host = simnet_add_host(w->net, w->link_nodes[i], &near);
		ip4 = numbered("192.168.#.2", s->twin_addresses ? 1 : 1 + i);
	}
	if (s->ip4[i])
		e->sockets[e->socket_count++] = ip4;
	if (s->ip6[i])
		e->sockets[e->socket_count++] = numbered("2001:db8:1::#", 10 + i);
	for (size_t j = 0; j < e->socket_count; j++)
		simnet_add_address(w->net, e->host, &e->sockets[j]);
}

static void build_network(struct ice_world *w)
{
	static const struct simnet_link wire = {.delay_us = 100};
	const struct ice_scenario *s = &w->scenario;
	size_t above = SIMNET_INTERNET;
	struct nat_params carrier = nat_params(s, ICE_HOME_FULL, addr("203.0.113.99", 0));

	for (size_t i = 0; i < s->stun_servers; i++) {
		w->servers[i] = simnet_add_host(w->net, SIMNET_INTERNET, &wire);
		w->server_addrs[2 * i] = numbered("198.51.100.#", 1 + i);
		w->server_addrs[2 * i + 1] = numbered("2001:db8:5::#", 1 + i);
		for (size_t j = 2 * i; j < 2 * i + 2; j++)
			simnet_add_address(w->net, w->servers[i], &w->server_addrs[j]);
	}
	w->server_addr_count = 2 * s->stun_servers;
	if (s->layout == ICE_SAME_CARRIER)
		above = simnet_add_router(w->net, above, &wire, &carrier);
	if (s->layout == ICE_SAME_LAN)
		above = add_router(w, above, 0, addr("203.0.113.20", 0), &wire);
	build_end(w, 0, above);
	build_end(w, 1, above);
}

static void start_end(struct ice_world *w, size_t i)
{
	const struct ice_scenario *s = &w->scenario;
	struct end *e = &w->ends[i];
	struct ice_engine_params params = {.max_agents = 2, .ta_ms = s->ta_ms[i]};

	random_seeded_init(&e->seeded, 2 * s->seed + i);
	params.random = random_seeded_source(&e->seeded);
	require(w, ice_engine_create(&e->engine, &params), "create an engine");
	if (w->failed)
		return;
	for (size_t j = 0; j < w->server_addr_count; j++)
		ice_rules_allow(&e->rules, &w->server_addrs[j]);
	for (size_t j = 0; j < e->socket_count; j++)
		require(w,
			ice_engine_add_socket(e->engine, w->now_us, (uint16_t)j, &e->sockets[j],
					      (uint16_t)(65535 - j)),
			"add a socket");
	require(w,
		ice_engine_set_stun_servers(e->engine, w->now_us, w->server_addrs,
					    w->server_addr_count),
		"set the servers");
}

/* Signalling: reliable, in order, with a delay */

static struct message *new_message(struct ice_world *w, size_t from, enum message_kind kind)
{
	struct message *m;

	if (w->message_head + w->message_count == MAX_MESSAGES) {
		fail(w, "too many messages");
		w->message_count = 0;
		w->message_head = 0;
	}
	m = &w->messages[w->message_head + w->message_count++];
	m->at_us = w->now_us + w->scenario.signalling_us;
	m->to = !from;
	m->kind = kind;
	return m;
}

static void note_candidate(struct end *e, const struct ice_candidate *c)
{
	if (c->type == ICE_CANDIDATE_SRFLX && c->addr.family == NETADDR_IP4)
		e->result.has_reflexive = true;
}

static void send_description(struct ice_world *w, size_t i)
{
	struct end *e = &w->ends[i];
	struct message *m = new_message(w, i, MESSAGE_DESCRIPTION);

	if (!w->offered_us)
		w->offered_us = w->now_us;
	ice_agent_get_description(e->agent, &m->description);
	require(w, ice_description_check(&m->description), "check our own description");
	for (size_t j = 0; j < m->description.candidate_count; j++)
		note_candidate(e, &m->description.candidates[j]);
	e->described = true;
	e->ended = m->description.end_of_candidates;
}

static void open_agent(struct ice_world *w, size_t i)
{
	struct end *e = &w->ends[i];
	struct ice_agent_params params = {
		.cookie = e,
		.controlling = i == 0 || w->scenario.glare,
	};

	require(w, ice_agent_open(&e->agent, e->engine, w->now_us, &params), "open an agent");
}

/* The offer goes out when the first end is ready; the answer when the offer is there, too. */
static void advance_signalling(struct ice_world *w, size_t i)
{
	struct end *e = &w->ends[i];

	if (i == 0 && !e->agent)
		open_agent(w, 0);
	if (e->agent && !e->described && !w->failed &&
	    (w->scenario.early || ice_engine_is_gathered(e->engine)))
		send_description(w, i);
}

static void receive_message(struct ice_world *w, const struct message *m)
{
	struct end *e = &w->ends[m->to];
	enum err err = OK;

	if (!e->agent)
		open_agent(w, m->to);
	if (w->failed)
		return;
	switch (m->kind) {
	case MESSAGE_DESCRIPTION:
		for (size_t i = 0; i < m->description.candidate_count; i++)
			ice_rules_allow(&e->rules, &m->description.candidates[i].addr);
		err = ice_agent_set_remote(e->agent, w->now_us, &m->description);
		break;
	case MESSAGE_CANDIDATE:
		ice_rules_allow(&e->rules, &m->candidate.addr);
		err = ice_agent_add_remote_candidate(e->agent, w->now_us, NULL, &m->candidate);
		if (err == ERR_WRONG_STATE)
			err = OK; /* too late: nominated */
		break;
	case MESSAGE_END:
		ice_agent_end_remote(e->agent, w->now_us, NULL);
		break;
	}
	require(w, err, "take a message of signalling");
}

/* What comes out of an engine */

static void on_state(struct ice_world *w, struct end *e, enum ice_agent_state state)
{
	e->result.state = state;
	if (state == ICE_AGENT_COMPLETED && !e->result.completed_us)
		e->result.completed_us = w->now_us - w->offered_us;
}

static void on_path(struct ice_world *w, struct end *e, const struct ice_event *event)
{
	if (event->has_path && !e->result.had_path) {
		e->result.had_path = true;
		e->result.first_path_us = w->now_us - w->offered_us;
	}
	if (event->has_path && !ice_rules_is_allowed(&e->rules, &event->path.remote))
		fail(w, "a path to an address that nobody has");
}

static void pull_events(struct ice_world *w, size_t i)
{
	struct end *e = &w->ends[i];
	struct ice_event event;

	while (ice_engine_pop_event(e->engine, &event)) {
		switch (event.type) {
		case ICE_EVENT_LOCAL_CANDIDATE:
			if (e->described && !e->ended) {
				new_message(w, i, MESSAGE_CANDIDATE)->candidate = event.candidate;
				note_candidate(e, &event.candidate);
			}
			break;
		case ICE_EVENT_GATHERED:
			if (e->described && !e->ended) {
				(void)new_message(w, i, MESSAGE_END);
				e->ended = true;
			}
			break;
		case ICE_EVENT_MAPPING_CHANGED:
			fail(w, "a mapping changed that did not change");
			break;
		case ICE_EVENT_STATE:
			on_state(w, e, event.state);
			break;
		case ICE_EVENT_PATH:
			on_path(w, e, &event);
			break;
		case ICE_EVENT_PERMIT:
		case ICE_EVENT_NEXT_PATH:
		case ICE_EVENT_NEXT_FAILED:
		case ICE_EVENT_UPGRADE_ADVISED:
			fail(w, "an event of a relay or a restart that is not there");
			break;
		}
	}
	if (e->agent && ice_agent_get_pairs(e->agent, NULL, 0) > ICE_MAX_PAIRS_DEFAULT)
		fail(w, "more than 100 pairs");
}

static void pull_transmits(struct ice_world *w, size_t i)
{
	struct end *e = &w->ends[i];
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_transmit t;
	struct ice_path path;

	while (ice_engine_pop_transmit(e->engine, &t, buf, sizeof(buf))) {
		bool has_path = e->agent && ice_agent_get_path(e->agent, &path);
		const char *broken =
			ice_rules_check(&e->rules, w->now_us, &t, buf, has_path ? &path : NULL);

		if (broken)
			fail(w, "end %zu: %s", i, broken);
		mix(w, &w->now_us, sizeof(w->now_us));
		mix(w, buf, t.len);
		if (t.socket >= e->socket_count) {
			fail(w, "a datagram from socket %u", t.socket);
			return;
		}
		if (!simnet_send(w->net, w->now_us, e->host, &e->sockets[t.socket], &t.to, buf,
				 t.len))
			fail(w, "the network did not take a datagram");
	}
}

/* What arrives */

static void answer_as_server(struct ice_world *w, const struct simnet_delivery *d,
			     const uint8_t *buf)
{
	uint8_t out[STUN_SAFE_BYTES];
	struct stun_message m;
	struct stun_writer writer;
	size_t len;

	if (stun_decode(&m, buf, d->len) != OK || m.class != STUN_CLASS_REQUEST ||
	    m.method != STUN_METHOD_BINDING)
		return;
	stun_write_begin(&writer, out, sizeof(out), STUN_CLASS_SUCCESS, STUN_METHOD_BINDING,
			 m.txid);
	stun_write_address(&writer, STUN_XOR_MAPPED_ADDRESS, &d->from);
	require(w, stun_write_finish(&writer, NULL, 0, true, &len), "answer as a server");
	(void)simnet_send(w->net, w->now_us, d->host, &d->to, &d->from, out, len);
}

static void arrive(struct ice_world *w, size_t i, const struct simnet_delivery *d,
		   const uint8_t *buf)
{
	struct end *e = &w->ends[i];
	struct ice_path path;

	if (d->len > 0 && buf[0] > 3) { /* data: a probe */
		if (ice_agent_get_path(e->agent, &path))
			w->probe_arrived = netaddr_equal(&d->from, &path.remote) &&
					   netaddr_equal(&d->to, &e->sockets[path.socket]);
		return;
	}
	ice_rules_allow(&e->rules, &d->from);
	for (size_t j = 0; j < e->socket_count; j++)
		if (netaddr_equal(&e->sockets[j], &d->to))
			(void)!ice_engine_input(e->engine, w->now_us, (uint16_t)j, &d->from, buf,
						d->len);
}

static void pull_deliveries(struct ice_world *w)
{
	struct simnet_delivery d;
	uint8_t buf[SIMNET_MTU_BYTES];

	while (simnet_pop_delivery(w->net, w->now_us, &d, buf, sizeof(buf))) {
		if (d.host == w->ends[0].host)
			arrive(w, 0, &d, buf);
		else if (d.host == w->ends[1].host)
			arrive(w, 1, &d, buf);
		else
			answer_as_server(w, &d, buf);
	}
}

/* Time */

static uint64_t next_time(const struct ice_world *w)
{
	uint64_t t = simnet_next_deadline(w->net);

	for (size_t i = 0; i < 2; i++)
		t = deadline_min(t, ice_engine_next_deadline(w->ends[i].engine));
	if (w->message_count > 0)
		t = deadline_min(t, w->messages[w->message_head].at_us);
	return t;
}

/* After each input: what the engines have to say is pulled. */
static void settle(struct ice_world *w)
{
	for (size_t i = 0; i < 2 && !w->failed; i++) {
		advance_signalling(w, i);
		pull_events(w, i);
		pull_transmits(w, i);
	}
}

static void step(struct ice_world *w)
{
	uint64_t t = next_time(w);

	w->standstill = t <= w->now_us ? w->standstill + 1 : 0;
	if (w->standstill > MAX_STANDSTILL)
		fail(w, "time stands still");
	if (t > w->now_us)
		w->now_us = t;
	pull_deliveries(w);
	while (w->message_count > 0 && w->messages[w->message_head].at_us <= w->now_us) {
		w->message_count--;
		receive_message(w, &w->messages[w->message_head++]);
	}
	for (size_t i = 0; i < 2; i++)
		if (ice_engine_next_deadline(w->ends[i].engine) <= w->now_us)
			ice_engine_on_deadline(w->ends[i].engine, w->now_us);
	settle(w);
}

struct ice_world *ice_world_create(const struct ice_scenario *scenario, FILE *trace)
{
	struct ice_world *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->scenario = *scenario;
	w->now_us = START_US;
	w->hash = 14695981039346656037u;
	w->net = simnet_create(scenario->seed);
	simnet_set_trace(w->net, trace);
	build_network(w);
	start_end(w, 0);
	start_end(w, 1);
	settle(w);
	return w;
}

void ice_world_destroy(struct ice_world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < 2; i++)
		ice_engine_destroy(w->ends[i].engine);
	simnet_destroy(w->net);
	free(w);
}

static bool both_are(const struct ice_world *w, enum ice_agent_state state)
{
	return w->ends[0].result.state == state && w->ends[1].result.state == state;
}

bool ice_world_run(struct ice_world *w, uint64_t limit_us)
{
	uint64_t end_us = w->now_us + limit_us;

	while (!w->failed && next_time(w) <= end_us) {
		if (both_are(w, ICE_AGENT_COMPLETED) || both_are(w, ICE_AGENT_FAILED))
			return true;
		step(w);
	}
	return false;
}

void ice_world_run_on(struct ice_world *w, uint64_t us)
{
	uint64_t end_us = w->now_us + us;

	while (!w->failed && next_time(w) <= end_us)
		step(w);
	w->now_us = end_us;
}

void ice_world_set_links(struct ice_world *w, const struct simnet_link *link)
{
	for (size_t i = 0; i < 2; i++)
		simnet_set_link(w->net, w->link_nodes[i], link);
}

bool ice_world_probe(struct ice_world *w, size_t end)
{
	static const uint8_t data[] = {0xc1, 0, 0, 0};
	struct end *e = &w->ends[end];
	struct ice_path path;

	w->probe_arrived = false;
	if (!ice_agent_get_path(e->agent, &path) ||
	    !simnet_send(w->net, w->now_us, e->host, &e->sockets[path.socket], &path.remote, data,
			 sizeof(data)))
		return false;
	ice_world_run_on(w, US_PER_S);
	return w->probe_arrived;
}

bool ice_world_has_failed(const struct ice_world *w)
{
	return w->failed;
}

void ice_world_get_result(const struct ice_world *w, size_t end, struct ice_end_result *ret)
{
	const struct end *e = &w->ends[end];

	*ret = e->result;
	ret->nominations = e->rules.nominations;
	ret->controlling = ice_agent_is_controlling(e->agent);
	ret->has_path = ice_agent_get_path(e->agent, &ret->path);
}

uint64_t ice_world_hash(const struct ice_world *w)
{
	return w->hash;
}
