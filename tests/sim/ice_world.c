#include "tests/sim/ice_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define MAX_STANDSTILL 10000
#define START_US       US_PER_S /* not zero, so that a forgotten time shows */
#define SOCKET_PORT    40000

void ice_world_fail(struct ice_world *w, const char *format, ...)
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

void ice_world_require(struct ice_world *w, enum err e, const char *what)
{
	if (e != OK)
		ice_world_fail(w, "%s: %s", what, err_text(e));
}

void ice_world_mix(struct ice_world *w, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		w->hash = (w->hash ^ p[i]) * 1099511628211u;
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

/* --- topology --- */

static struct nat_params nat_params(const struct ice_scenario *s, enum ice_home home,
				    struct netaddr outside)
{
	return (struct nat_params){
		.outside = outside,
		.mapping = ice_home_mapping(home),
		.filtering = ice_home_filtering(home),
		.random_ports = ice_home_mapping(home) != NAT_INDEPENDENT,
		.hairpin = s->hairpin,
		.inbound_refresh = true,
		.lifetime_us = s->mapping_us,
	};
}

static size_t add_router(struct ice_world *w, size_t above, enum ice_home home,
			 struct netaddr outside, const struct simnet_link *link)
{
	struct nat_params p = nat_params(&w->scenario, home, outside);
	size_t router = simnet_add_router(w->net, above, link, &p);

	simnet_set_blocked(w->net, router, home == ICE_HOME_BLOCKED);
	return router;
}

static bool has_carrier(const struct ice_scenario *s)
{
	return s->layout == ICE_SAME_CARRIER || s->layout == ICE_OWN_CARRIERS;
}

static void build_end(struct ice_world *w, size_t i)
{
	static const struct simnet_link near = {.delay_us = 100};
	const struct ice_scenario *s = &w->scenario;
	const struct simnet_link *link = &s->link[i];
	bool carrier = has_carrier(s);
	struct netaddr ip4;
	size_t host;

	if (s->layout == ICE_SAME_LAN) {
		host = w->link_nodes[i] = simnet_add_host(w->net, w->routers[0], link);
		ip4 = numbered("192.168.1.#", 2 + i);
	} else if (s->home[i] == ICE_HOME_OPEN) {
		host = w->link_nodes[i] = simnet_add_host(w->net, w->above[i], link);
		ip4 = numbered(carrier ? "100.64.1.#" : "203.0.113.#", 10 + i);
	} else {
		struct netaddr outside = numbered(carrier ? "100.64.0.#" : "203.0.113.#", 20 + i);

		w->routers[i] = add_router(w, w->above[i], s->home[i], outside, link);
		w->link_nodes[i] = w->routers[i];
		host = simnet_add_host(w->net, w->routers[i], &near);
		ip4 = numbered("192.168.#.2", s->twin_addresses ? 1 : 1 + i);
	}
	ice_end_start(w, i, host);
	if (s->ip4[i] && !w->failed)
		ice_end_add_socket(&w->ends[i], &ip4);
	ip4 = numbered("2001:db8:1::#", 10 + i);
	if (s->ip6[i] && !w->failed)
		ice_end_add_socket(&w->ends[i], &ip4);
}

static void build_network(struct ice_world *w)
{
	static const struct simnet_link wire = {.delay_us = 100};
	const struct ice_scenario *s = &w->scenario;

	for (size_t i = 0; i < 2 && has_carrier(s); i++) {
		if (s->layout == ICE_SAME_CARRIER && i == 1)
			w->above[1] = w->above[0];
		else
			w->above[i] = w->carriers[w->carrier_count++] =
				add_router(w, SIMNET_INTERNET, ICE_HOME_EIM_EIF,
					   numbered("203.0.113.#", 98 + i), &wire);
	}
	w->servers = ice_servers_create(w->net, s, w->now_us);
	if (s->layout == ICE_SAME_LAN)
		w->routers[0] =
			add_router(w, SIMNET_INTERNET, s->home[0], addr("203.0.113.20", 0), &wire);
	build_end(w, 0);
	build_end(w, 1);
}

void ice_world_set_links(struct ice_world *w, const struct simnet_link *link)
{
	for (size_t i = 0; i < 2; i++)
		simnet_set_link(w->net, w->link_nodes[i], link);
}

void ice_world_heal(struct ice_world *w)
{
	static const struct simnet_link clean = {.delay_us = 10000};

	ice_world_set_links(w, &clean);
	ice_servers_heal(w->servers);
	w->scenario.turn = ICE_MOOD_GOOD;
	w->scenario.forge_permille = 0;
}

void ice_world_roam(struct ice_world *w, struct ice_end *e, enum ice_home home)
{
	static const struct simnet_link near = {.delay_us = 100};
	struct ice_scenario *s = &w->scenario;
	size_t i = e->index;
	struct netaddr fresh[ICE_END_SOCKETS];
	size_t count = 0;

	for (size_t j = 0; j < ICE_END_SOCKETS; j++) {
		if (!e->sockets[j].is_open)
			continue;
		fresh[count++] = e->sockets[j].addr;
		ice_end_remove_socket(e, &e->sockets[j]);
	}
	if (s->layout == ICE_SAME_LAN) {
		w->routers[!i] = w->routers[0];
		s->home[!i] = s->home[0];
	}
	w->routers[i] =
		add_router(w, SIMNET_INTERNET, home,
			   numbered("203.0.113.#", 120 + 40 * i + e->roams % 40), &s->link[i]);
	simnet_set_link(w->net, e->host, &near);
	w->link_nodes[i] = w->routers[i];
	simnet_move_host(w->net, e->host, w->routers[i]);
	e->roams++;
	s->home[i] = home;
	s->layout = ICE_APART;
	for (size_t j = 0; j < count; j++) {
		fresh[j].ip[fresh[j].family == NETADDR_IP6 ? 15 : 3] =
			(uint8_t)(100 + 50 * i + e->roams % 40);
		ice_end_add_socket(e, &fresh[j]);
	}
}

/* --- signalling --- */

struct ice_message *ice_world_new_message(struct ice_world *w, size_t from,
					  enum ice_message_kind kind)
{
	struct ice_message *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->at_us = w->now_us + w->scenario.signalling_us;
	m->to = !from;
	m->kind = kind;
	DL_APPEND(w->messages, m);
	return m;
}

/* The offer goes out when the first end is ready; the answer when the offer is there, too. */
static void advance_signalling(struct ice_world *w, struct ice_end *e)
{
	if (e->index == 0 && !e->agent)
		ice_end_open_agent(e, true);
	if (e->agent && !e->is_described && !w->failed &&
	    (w->scenario.early || ice_engine_is_gathered(e->engine)))
		ice_end_send_description(e, ICE_MESSAGE_DESCRIPTION);
}

static void deliver_messages(struct ice_world *w)
{
	while (w->messages && w->messages->at_us <= w->now_us && !w->failed) {
		struct ice_message *m = w->messages;

		DL_DELETE(w->messages, m);
		ice_end_receive(&w->ends[m->to], m);
		free(m);
	}
}

/* --- time --- */

static void deliver_packets(struct ice_world *w)
{
	struct ice_stream_news news;
	uint8_t buf[SIMNET_MTU_BYTES];
	struct simnet_delivery d;

	while (simnet_pop_delivery(w->net, w->now_us, &d, buf, sizeof(buf))) {
		for (size_t i = 0; i < 2; i++)
			if (d.host == w->ends[i].host)
				ice_end_input(&w->ends[i], &d, buf);
		(void)ice_servers_input(w->servers, w->now_us, &d, buf);
	}
	ice_servers_on_deadline(w->servers, w->now_us);
	while (ice_servers_pop_stream(w->servers, w->now_us, &news))
		ice_end_on_stream(&w->ends[news.end], &news);
}

static uint64_t next_time(const struct ice_world *w)
{
	uint64_t t =
		deadline_min(simnet_next_deadline(w->net), ice_servers_next_deadline(w->servers));

	for (size_t i = 0; i < 2; i++)
		t = deadline_min(t, ice_end_next_deadline(&w->ends[i]));
	return w->messages ? deadline_min(t, w->messages->at_us) : t;
}

/* After each input: what the ends have to say is pulled. */
static void settle(struct ice_world *w)
{
	for (size_t i = 0; i < 2 && !w->failed; i++) {
		advance_signalling(w, &w->ends[i]);
		ice_end_drain(&w->ends[i]);
	}
}

static void step(struct ice_world *w)
{
	uint64_t t = next_time(w);

	w->standstill = t <= w->now_us ? w->standstill + 1 : 0;
	if (w->standstill > MAX_STANDSTILL)
		ice_world_fail(w, "time stands still");
	if (t > w->now_us)
		w->now_us = t;
	deliver_packets(w);
	deliver_messages(w);
	for (size_t i = 0; i < 2; i++)
		ice_end_on_deadline(&w->ends[i]);
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
	w->trace = trace;
	w->expects_changes = ice_scenario_is_rough(scenario);
	random_seeded_init(&w->seeded, scenario->seed ^ 0x5eed);
	w->random = random_seeded_source(&w->seeded);
	w->net = simnet_create(scenario->seed);
	simnet_set_trace(w->net, trace);
	build_network(w);
	settle(w);
	return w;
}

void ice_world_destroy(struct ice_world *w)
{
	struct ice_message *m, *next;

	if (!w)
		return;
	DL_FOREACH_SAFE (w->messages, m, next) {
		free(m);
	}
	for (size_t i = 0; i < 2; i++)
		ice_end_stop(&w->ends[i]);
	ice_servers_destroy(w->servers);
	simnet_destroy(w->net);
	free(w);
}

static bool both_are(const struct ice_world *w, enum ice_agent_state state)
{
	return w->ends[0].state == state && w->ends[1].state == state;
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

bool ice_world_probe(struct ice_world *w, size_t end)
{
	w->ends[!end].probe_arrived = false;
	if (!ice_owner_send_probe(&w->ends[end]))
		return false;
	ice_world_run_on(w, US_PER_S);
	return w->ends[!end].probe_arrived;
}

bool ice_world_has_agreed(const struct ice_world *w, bool *ret_direct)
{
	struct ice_path p[2];

	for (size_t i = 0; i < 2; i++)
		if (!w->ends[i].agent || !ice_agent_get_path(w->ends[i].agent, &p[i]) ||
		    !p[i].nominated || !p[i].consented || w->ends[i].state != ICE_AGENT_COMPLETED)
			return false;
	*ret_direct = p[0].relay == 0 && p[1].relay == 0;
	return ice_agent_is_controlling(w->ends[0].agent) !=
		       ice_agent_is_controlling(w->ends[1].agent) &&
	       netaddr_equal(&p[0].local, &p[1].remote) && netaddr_equal(&p[0].remote, &p[1].local);
}
