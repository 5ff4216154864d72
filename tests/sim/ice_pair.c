/*
 * Two hosts connect, in as many ways as there are seeds.
 *
 *	sim_ice_pair --seeds COUNT [--from SEED] [--all]
 *	                                           many scenarios, until one goes wrong or all
 *	sim_ice_pair --seed SEED [--trace]         one scenario, told in detail
 *	sim_ice_pair --matrix                      each kind of NAT with each, as a table
 *
 * Where a path is possible, both ends must be COMPLETED, in opposite roles, on pairs that mirror
 * each other, after one nomination, and data must flow; and 40 s later, the same. Where it is not,
 * both must be FAILED and never have had a path. Then, in some scenarios, things happen
 * (ice_life.h), and when all is well again the ends must have found the best way that there is. See
 * ice_rules.h and ice_world.h for what is held against every datagram and path.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "tests/sim/ice_life.h"
#include "tests/sim/ice_world.h"

/* Until checks have failed and RFC 8863's patience is over. */
#define LIMIT_US      (200 * US_PER_S)
#define AFTERWARDS_US (40 * US_PER_S)

static const char *program;

struct outcome {
	bool completed, direct, was_uncertain, recovered;
	uint64_t first_path_us[2], hash;
	size_t restarts, switches;
};

static bool wrong(const char *what)
{
	fprintf(stderr, "  %s\n", what);
	return false;
}

/* A server that answers late, or not at all, can leave an end without a reflexive or relayed
 * candidate in time; then the best way is not certain. Neither is it where both mappings differ by
 * destination and packets get lost: what has to come one after the other there does not. */
static bool is_certain(const struct ice_world *w)
{
	const struct ice_scenario *s = &w->scenario;
	bool is_relayed = ice_scenario_way(s) == ICE_WAY_RELAYED;

	for (size_t i = 0; i < 2 && is_relayed; i++)
		if (s->relay[i] && !w->ends[i].has_relayed)
			return false;
	if ((!is_relayed && s->layout == ICE_SAME_LAN) ||
	    (is_relayed && s->relay[0] && s->relay[1]))
		return true;
	for (size_t i = 0; i < 2; i++)
		if (s->ip6[i] && !s->broken_ip6[i] && s->ip6[!i] && !s->broken_ip6[!i])
			return true;
	for (size_t i = 0; i < 2; i++)
		if (!w->ends[i].has_reflexive &&
		    (s->home[i] != ICE_HOME_OPEN || s->layout == ICE_OWN_CARRIERS))
			return false;
	return is_relayed || ice_scenario_is_clean(s) ||
	       ice_home_mapping(s->home[0]) == NAT_INDEPENDENT ||
	       ice_home_mapping(s->home[1]) == NAT_INDEPENDENT;
}

static bool check_connected(struct ice_world *w, bool *ret_direct)
{
	size_t nominations =
		ice_rules_nominations(w->ends[0].rules) + ice_rules_nominations(w->ends[1].rules);

	if (!ice_world_has_agreed(w, ret_direct))
		return wrong("the ends are not completed on one pair in opposite roles");
	if (nominations != 1)
		return wrong("not exactly one nomination");
	if (!ice_world_probe(w, 0) || !ice_world_probe(w, 1))
		return wrong("data does not arrive where the other end expects it");
	return true;
}

static bool check_failed(const struct ice_world *w)
{
	for (size_t i = 0; i < 2; i++)
		if (w->ends[i].had_path || w->ends[i].state != ICE_AGENT_FAILED)
			return wrong("a path where there is none, or not failed");
	return true;
}

/* The connection lives on, in the same place, by its consent checks. */
static bool check_afterwards(struct ice_world *w)
{
	struct simnet_link link = {.delay_us = 30000, .jitter_us = 5000, .loss_permille = 20};
	struct ice_path before[2], after[2];
	bool is_direct;

	for (size_t i = 0; i < 2; i++)
		(void)ice_agent_get_path(w->ends[i].agent, &before[i]);
	ice_world_set_links(w, &link);
	ice_world_run_on(w, AFTERWARDS_US);
	link.loss_permille = 0;
	ice_world_set_links(w, &link);
	if (w->failed || !check_connected(w, &is_direct))
		return false;
	for (size_t i = 0; i < 2; i++) {
		(void)ice_agent_get_path(w->ends[i].agent, &after[i]);
		if (!netaddr_equal(&before[i].remote, &after[i].remote))
			return wrong("the path changed after nomination");
	}
	return true;
}

/* Return: false when something is wrong; *ret_again: it is not as good as it can be yet. */
static bool check_first_connection(struct ice_world *w, struct outcome *ret, bool *ret_again)
{
	static const struct simnet_link calm = {.delay_us = 1000};
	const struct ice_scenario *s = &w->scenario;
	enum ice_way way = ice_scenario_way(s);
	bool ended = ice_world_run(w, LIMIT_US);
	bool is_certain_now = is_certain(w);

	*ret_again = false;
	if (w->failed)
		return false;
	if (!ended && !ice_scenario_is_rough(s))
		return wrong("neither completed nor failed in time");
	if (way == ICE_WAY_NONE)
		return ended ? check_failed(w) : wrong("not failed in time");
	ret->completed =
		w->ends[0].state == ICE_AGENT_COMPLETED && w->ends[1].state == ICE_AGENT_COMPLETED;
	ret->was_uncertain = !is_certain_now;
	if (!ret->completed) {
		*ret_again = true;
		if (ice_scenario_is_rough(s) || ret->was_uncertain)
			return true;
		return wrong("not completed");
	}
	ice_world_set_links(w, &calm);
	if (!ice_scenario_is_rough(s) &&
	    (!check_connected(w, &ret->direct) || !check_afterwards(w)))
		return false;
	*ret_again = way == ICE_WAY_DIRECT && !ret->direct;
	return true;
}

static bool check_world(struct ice_world *w, struct outcome *ret)
{
	bool again;

	if (!check_first_connection(w, ret, &again))
		return false;
	for (size_t i = 0; i < 2; i++)
		ret->first_path_us[i] = w->ends[i].first_path_us;
	if (ice_scenario_way(&w->scenario) == ICE_WAY_NONE || (!again && !w->scenario.events))
		return true;
	ice_life_run(w);
	if (w->failed)
		return false;
	ret->recovered = true;
	/* It may have moved to where no way leads from. */
	ice_world_heal(w);
	if (ice_scenario_way(&w->scenario) != ICE_WAY_NONE && !ice_life_recovers(w))
		return w->failed ? false : wrong("not connected in the best way in the end");
	return !w->failed;
}

static void print_ends(const struct ice_world *w, FILE *f)
{
	for (size_t i = 0; i < 2; i++) {
		const struct ice_end *e = &w->ends[i];
		char local[NETADDR_TEXT_BYTES], remote[NETADDR_TEXT_BYTES];
		struct ice_path path;

		fprintf(f, "  end %zu: %s", i, ice_agent_state_name(e->state));
		if (e->agent)
			fprintf(f, ", %s",
				ice_agent_is_controlling(e->agent) ? "controlling" : "controlled");
		if (e->agent && ice_agent_get_path(e->agent, &path))
			fprintf(f, ", %s > %s%s%s", netaddr_format(&path.local, local),
				netaddr_format(&path.remote, remote),
				path.relay ? ", over a relay" : "",
				path.nominated ? "" : ", not nominated");
		fprintf(f,
			", first path %" PRIu64 " us, completed %" PRIu64
			" us after the offer, %zu restarts begun, %zu switches\n",
			e->first_path_us, e->completed_us, e->restarts_begun, e->switches);
	}
}

static bool run(const struct ice_scenario *s, FILE *trace, FILE *told, struct outcome *ret)
{
	struct ice_world *w = ice_world_create(s, trace);
	bool ok;

	*ret = (struct outcome){0};
	ok = !w->failed && check_world(w, ret);
	if (!ok && !w->failed)
		ice_scenario_print(s, stderr);
	if (!ok)
		print_ends(w, stderr);
	if (told)
		print_ends(w, told);
	ret->hash = w->hash;
	for (size_t i = 0; i < 2; i++) {
		ret->restarts += w->ends[i].restarts_begun;
		ret->switches += w->ends[i].switches;
	}
	ice_world_destroy(w);
	return ok;
}

static bool run_seed(uint64_t seed, FILE *trace, FILE *told, struct outcome *ret)
{
	struct ice_scenario s = ice_scenario_draw(seed);
	struct outcome again;
	bool ok = run(&s, trace, told, ret);

	if (ok && seed % 16 == 0) {
		ok = run(&s, NULL, NULL, &again);
		if (ok && ret->hash != again.hash)
			ok = wrong("the same seed ran in another way");
	}
	if (!ok)
		fprintf(stderr, "replay: %s --seed %" PRIu64 " --trace\n", program, seed);
	return ok;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int run_seeds(uint64_t from, uint64_t count, bool all)
{
	size_t direct = 0, relayed = 0, without = 0, uncertain = 0, recovered = 0, bad = 0;
	size_t restarts = 0, switches = 0;
	struct timespec start;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t seed = from; seed < from + count; seed++) {
		struct outcome r;

		if (!run_seed(seed, NULL, NULL, &r)) {
			if (!all)
				return 1;
			bad++;
			continue;
		}
		uncertain += r.was_uncertain;
		recovered += r.recovered;
		direct += r.completed && r.direct;
		relayed += r.completed && !r.direct;
		without += !r.completed;
		restarts += r.restarts;
		switches += r.switches;
	}
	seconds = seconds_since(&start);
	printf("%" PRIu64 " seeds from %" PRIu64
	       ": at first %zu direct, %zu relayed, %zu without a "
	       "path (%zu left open); then %zu with %zu restarts and %zu switches; %zu wrong\n",
	       count, from, direct, relayed, without, uncertain, recovered, restarts, switches,
	       bad);
	printf("%.1f s, %.0f seeds a second\n", seconds, (double)count / seconds);
	return bad > 0;
}

static int run_one(uint64_t seed, FILE *trace)
{
	struct ice_scenario s = ice_scenario_draw(seed);
	struct outcome r;

	if (!run_seed(seed, trace, stdout, &r))
		return 1;
	ice_scenario_print(&s, stdout);
	return 0;
}

/* --- the matrix --- */

/* 20 ms one way between the ends, 20 ms of signalling, no loss. */
static struct ice_scenario plain(enum ice_home a, enum ice_home b)
{
	return (struct ice_scenario){
		.seed = 1,
		.home = {a, b},
		.ip4 = {true, true},
		.relay = {true, true},
		.early = true,
		.link = {{.delay_us = 10000}, {.delay_us = 10000}},
		.signalling_us = 20000,
		.mapping_us = 60 * US_PER_S,
		.stun_servers = 1,
	};
}

/* Return: true when it came out as it must: the way, and at once. */
static bool run_cell(const struct ice_scenario *s, char ret[static 16])
{
	enum ice_way way = ice_scenario_way(s), got = ICE_WAY_NONE;
	struct outcome r;
	uint64_t us;
	bool ok = run(s, NULL, NULL, &r);

	us = r.first_path_us[0] > r.first_path_us[1] ? r.first_path_us[0] : r.first_path_us[1];
	if (r.completed)
		got = r.direct ? ICE_WAY_DIRECT : ICE_WAY_RELAYED;
	if (!ok || got != way)
		snprintf(ret, 16, "WRONG");
	else if (got == ICE_WAY_NONE)
		snprintf(ret, 16, "-");
	else
		snprintf(ret, 16, "%c %u", got == ICE_WAY_DIRECT ? 'D' : 'R',
			 (unsigned int)(us / 1000));
	return ok && got == way;
}

static bool print_cell(const char *name, const struct ice_scenario *s)
{
	char text[16];
	bool ok = run_cell(s, text);

	printf("  %-66s %s\n", name, text);
	return ok;
}

static bool print_layouts(void)
{
	struct ice_scenario s = plain(ICE_HOME_EIM_APDF, ICE_HOME_EIM_APDF);
	bool ok;

	s.layout = ICE_SAME_LAN;
	ok = print_cell("one LAN", &s);
	s.home[0] = ICE_HOME_BLOCKED;
	ok &= print_cell("one LAN whose router lets no UDP pass", &s);
	s = plain(ICE_HOME_EIM_APDF, ICE_HOME_EIM_APDF);
	s.layout = ICE_SAME_CARRIER;
	ok &= print_cell("two homes behind one carrier's NAT, no hairpin", &s);
	s.hairpin = true;
	ok &= print_cell("two homes behind one carrier's NAT, hairpin", &s);
	s.layout = ICE_OWN_CARRIERS;
	ok &= print_cell("two NATs deep at both ends", &s);
	s = plain(ICE_HOME_EIM_APDF, ICE_HOME_EIM_APDF);
	s.twin_addresses = true;
	ok &= print_cell("both ends have the same private address", &s);
	return ok;
}

static bool print_families(void)
{
	struct ice_scenario s = plain(ICE_HOME_APDM_APDF, ICE_HOME_APDM_APDF);
	bool ok;

	s.ip6[0] = s.ip6[1] = true;
	ok = print_cell("symmetric NATs and IPv6", &s);
	s.broken_ip6[1] = true;
	ok &= print_cell("the same, IPv6 of one end leads nowhere", &s);
	s = plain(ICE_HOME_EIM_APDF, ICE_HOME_EIM_APDF);
	s.ip6[0] = s.ip6[1] = s.broken_ip4[0] = true;
	ok &= print_cell("home routers and IPv6, IPv4 of one end leads nowhere", &s);
	s = plain(ICE_HOME_EIM_APDF, ICE_HOME_EIM_APDF);
	s.ip4[1] = false;
	s.ip6[1] = true;
	ok &= print_cell("IPv4 alone and IPv6 alone", &s);
	s = plain(ICE_HOME_BLOCKED, ICE_HOME_EIM_APDF);
	s.relay[1] = false;
	ok &= print_cell("no UDP at one end, that has the only relay", &s);
	s = plain(ICE_HOME_BLOCKED, ICE_HOME_EIM_APDF);
	s.relay[0] = false;
	ok &= print_cell("no UDP at one end, the other has the only relay", &s);
	s = plain(ICE_HOME_APDM_APDF, ICE_HOME_EIM_APDF);
	s.relay[0] = s.relay[1] = false;
	ok &= print_cell("symmetric and home without a relay", &s);
	return ok;
}

static int run_matrix(void)
{
	bool ok = true;

	printf("First path after the offer in ms; D direct, R relayed, - none. 20 ms one "
	       "way.\n\n%-10s",
	       "");
	for (enum ice_home b = 0; b < ICE_HOME_COUNT; b++)
		printf("%10s", ice_home_name(b));
	printf("\n");
	for (enum ice_home a = 0; a < ICE_HOME_COUNT; a++) {
		printf("%-10s", ice_home_name(a));
		for (enum ice_home b = 0; b < ICE_HOME_COUNT; b++) {
			struct ice_scenario s = plain(a, b);
			char text[16];

			ok &= run_cell(&s, text);
			printf("%10s", text);
		}
		printf("\n");
	}
	printf("\n");
	ok &= print_layouts();
	ok &= print_families();
	return ok ? 0 : 1;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: %s --seeds COUNT [--from SEED] [--all] | --seed SEED [--trace] | "
		"--matrix\n",
		program);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seed = 0, count = 0, from = 1;
	bool one = false, matrix = false, all = false;
	FILE *trace = NULL;

	program = argv[0];
	if (crypto_start() != OK)
		return 1;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;
		uint64_t number = strtoull(value, &end, 10);
		bool is_number = *value && !*end;

		if (strcmp(argv[i], "--trace") == 0) {
			trace = stdout;
			continue;
		}
		if (strcmp(argv[i], "--all") == 0) {
			all = true;
			continue;
		}
		if (strcmp(argv[i], "--matrix") == 0) {
			matrix = true;
			continue;
		}
		if (!is_number)
			return usage();
		if (strcmp(argv[i], "--seed") == 0) {
			one = true;
			seed = number;
		} else if (strcmp(argv[i], "--seeds") == 0) {
			count = number;
		} else if (strcmp(argv[i], "--from") == 0) {
			from = number;
		} else {
			return usage();
		}
		i++;
	}
	if (matrix)
		return run_matrix();
	if (one)
		return run_one(seed, trace);
	return count > 0 ? run_seeds(from, count, all) : usage();
}
