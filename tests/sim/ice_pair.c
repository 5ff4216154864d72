/*
 * Two hosts connect, in as many ways as there are seeds.
 *
 *	sim_ice_pair --seeds COUNT [--from SEED] [--all]
 *	                                           many scenarios, until one goes wrong or all
 *	sim_ice_pair --seed SEED [--trace]         one scenario, told in detail
 *	sim_ice_pair --matrix                      each kind of NAT with each, as a table
 *
 * When UDP can go directly between the ends, both must be COMPLETED, in opposite roles, on pairs
 * that mirror each other, after one nomination, and data must flow; and 40 s later, the same. When
 * it cannot, both must be FAILED and never have had a path. See ice_world.h for what is held
 * against every datagram.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "tests/sim/ice_world.h"

/* Until checks have failed and RFC 8863's patience is over. */
#define LIMIT_US      (200 * US_PER_S)
#define AFTERWARDS_US (40 * US_PER_S)

static const char *program;

static bool wrong(const char *what)
{
	fprintf(stderr, "  %s\n", what);
	return false;
}

static struct simnet_link draw_link(const struct random_source *r)
{
	struct simnet_link link = {.delay_us = 500 + random_below(r, 100000)};

	link.jitter_us = random_below(r, 2) ? random_below(r, link.delay_us) : 0;
	if (random_below(r, 2)) {
		link.loss_permille = (uint16_t)random_below(r, 101);
		link.duplicate_permille = (uint16_t)random_below(r, 51);
		link.reorder_permille = (uint16_t)random_below(r, 101);
	}
	return link;
}

static struct ice_scenario draw_scenario(uint64_t seed)
{
	struct ice_scenario s = {.seed = seed};
	struct random_seeded seeded;
	struct random_source r;
	uint32_t families;

	random_seeded_init(&seeded, ~seed);
	r = random_seeded_source(&seeded);
	s.layout = random_below(&r, 4) ? ICE_APART : random_below(&r, ICE_LAYOUT_COUNT);
	s.hairpin = random_below(&r, 2);
	s.twin_addresses = random_below(&r, 4) == 0;
	s.glare = random_below(&r, 8) == 0;
	s.early = random_below(&r, 3) == 0;
	s.signalling_us = 1000 + random_below(&r, 400000);
	s.stun_servers = 1 + random_below(&r, 2);
	families = random_below(&r, 10);
	for (size_t i = 0; i < 2; i++) {
		s.home[i] = random_below(&r, ICE_HOME_COUNT);
		s.link[i] = draw_link(&r);
		s.ta_ms[i] = (uint16_t)(5 + random_below(&r, 46));
		s.ip6[i] = families == 7 || families == 8 || (families == 9 && random_below(&r, 2));
		s.ip4[i] = families != 8 && (families != 9 || !s.ip6[i] || random_below(&r, 2));
	}
	return s;
}

/* A lost answer of the STUN server can leave an end without a reflexive candidate in time; then a
 * direct path is not certain any more. */
static bool is_certain(const struct ice_scenario *s, const struct ice_end_result r[2])
{
	for (size_t i = 0; i < 2; i++)
		if (s->ip4[i] && !r[i].has_reflexive && s->home[i] != ICE_HOME_OPEN)
			return s->layout == ICE_SAME_LAN || (s->ip6[0] && s->ip6[1]);
	return true;
}

static bool check_connected(struct ice_world *w, const struct ice_end_result r[2])
{
	if (r[0].state != ICE_AGENT_COMPLETED || r[1].state != ICE_AGENT_COMPLETED)
		return wrong("not completed");
	if (!r[0].has_path || !r[1].has_path || !r[0].path.nominated || !r[1].path.nominated)
		return wrong("completed without a nominated path");
	if (r[0].controlling == r[1].controlling)
		return wrong("both ends have the same role");
	if (r[0].nominations + r[1].nominations != 1)
		return wrong("not exactly one nomination");
	if (!netaddr_equal(&r[0].path.local, &r[1].path.remote) ||
	    !netaddr_equal(&r[0].path.remote, &r[1].path.local))
		return wrong("the selected pairs are not mirrored");
	if (!ice_world_probe(w, 0) || !ice_world_probe(w, 1))
		return wrong("data does not arrive where the other end expects it");
	return true;
}

static bool check_failed(const struct ice_end_result r[2])
{
	for (size_t i = 0; i < 2; i++)
		if (r[i].had_path || r[i].state != ICE_AGENT_FAILED)
			return wrong("a path where there is none, or not failed");
	return true;
}

/* The connection lives on, in the same place, by its consent checks. */
static bool check_afterwards(struct ice_world *w, const struct ice_end_result before[2])
{
	struct simnet_link link = {.delay_us = 30000, .jitter_us = 5000, .loss_permille = 20};
	struct ice_end_result after[2];

	ice_world_set_links(w, &link);
	ice_world_run_on(w, AFTERWARDS_US);
	if (ice_world_has_failed(w))
		return false;
	for (size_t i = 0; i < 2; i++)
		ice_world_get_result(w, i, &after[i]);
	link.loss_permille = 0;
	ice_world_set_links(w, &link);
	for (size_t i = 0; i < 2; i++)
		if (!netaddr_equal(&before[i].path.remote, &after[i].path.remote))
			return wrong("the path changed after nomination");
	return check_connected(w, after);
}

static bool check_world(struct ice_world *w, const struct ice_scenario *s,
			struct ice_end_result ret[2])
{
	static const struct simnet_link clean = {.delay_us = 1000};
	bool ended = ice_world_run(w, LIMIT_US);
	bool direct = ice_scenario_is_direct(s);

	if (ice_world_has_failed(w))
		return false;
	for (size_t i = 0; i < 2; i++)
		ice_world_get_result(w, i, &ret[i]);
	if (!ended)
		return wrong("neither completed nor failed in time");
	if (direct && !is_certain(s, ret))
		direct = ret[0].state == ICE_AGENT_COMPLETED;
	if (!direct)
		return check_failed(ret);
	ice_world_set_links(w, &clean);
	return check_connected(w, ret) && check_afterwards(w, ret);
}

static void print_ends(const struct ice_end_result r[2], FILE *f)
{
	for (size_t i = 0; i < 2; i++) {
		char local[NETADDR_TEXT_BYTES], remote[NETADDR_TEXT_BYTES];

		fprintf(f, "  end %zu: %s, %s", i, ice_agent_state_name(r[i].state),
			r[i].controlling ? "controlling" : "controlled");
		if (r[i].has_path)
			fprintf(f,
				", %s > %s, first path %" PRIu64 " us, completed %" PRIu64
				" us after the offer",
				netaddr_format(&r[i].path.local, local),
				netaddr_format(&r[i].path.remote, remote), r[i].first_path_us,
				r[i].completed_us);
		fprintf(f, "\n");
	}
}

static bool run(const struct ice_scenario *s, FILE *trace, struct ice_end_result ret[2],
		uint64_t *ret_hash)
{
	struct ice_world *w = ice_world_create(s, trace);
	bool ok = !ice_world_has_failed(w) && check_world(w, s, ret);

	if (!ok && !ice_world_has_failed(w)) {
		ice_scenario_print(s, stderr);
		print_ends(ret, stderr);
	}
	*ret_hash = ice_world_hash(w);
	ice_world_destroy(w);
	return ok;
}

static bool run_seed(uint64_t seed, FILE *trace, struct ice_end_result ret[2])
{
	struct ice_scenario s = draw_scenario(seed);
	struct ice_end_result again[2];
	uint64_t hash, hash_again;
	bool ok;

	ok = run(&s, trace, ret, &hash);
	if (ok && seed % 8 == 0) {
		ok = run(&s, NULL, again, &hash_again);
		if (ok && hash != hash_again)
			ok = wrong("the same seed ran in another way");
	}
	if (!ok)
		fprintf(stderr, "replay: %s --seed %" PRIu64 " --trace\n", program, seed);
	return ok;
}

static int run_seeds(uint64_t from, uint64_t count, bool all)
{
	size_t direct = 0, failed = 0, uncertain = 0, bad = 0;

	for (uint64_t seed = from; seed < from + count; seed++) {
		struct ice_scenario s = draw_scenario(seed);
		struct ice_end_result r[2];

		if (!run_seed(seed, NULL, r)) {
			if (!all)
				return 1;
			bad++;
			continue;
		}
		uncertain += ice_scenario_is_direct(&s) && !is_certain(&s, r);
		direct += r[0].has_path;
		failed += !r[0].has_path;
	}
	printf("%" PRIu64 " seeds from %" PRIu64 ": %zu direct, %zu without a path, as they should "
	       "(%zu left open), %zu wrong\n",
	       count, from, direct, failed, uncertain, bad);
	return bad > 0;
}

static int run_one(uint64_t seed, FILE *trace)
{
	struct ice_scenario s = draw_scenario(seed);
	struct ice_end_result r[2];
	bool ok = run_seed(seed, trace, r);

	if (!ok)
		return 1;
	ice_scenario_print(&s, stdout);
	print_ends(r, stdout);
	return 0;
}

/* 20 ms one way between the ends, 20 ms of signalling, no loss: D and the time from the offer until
 * both ends have a path. */
static int run_matrix(void)
{
	int failed = 0;

	printf("%-10s", "");
	for (enum ice_home b = 0; b < ICE_HOME_COUNT; b++)
		printf("%12s", ice_home_name(b));
	printf("\n");
	for (enum ice_home a = 0; a < ICE_HOME_COUNT; a++) {
		printf("%-10s", ice_home_name(a));
		for (enum ice_home b = 0; b < ICE_HOME_COUNT; b++) {
			struct ice_scenario s = {
				.seed = 1,
				.home = {a, b},
				.ip4 = {true, true},
				.link = {{.delay_us = 10000}, {.delay_us = 10000}},
				.signalling_us = 20000,
				.stun_servers = 1,
			};
			struct ice_end_result r[2];
			uint64_t hash, us;

			if (!run(&s, NULL, r, &hash)) {
				failed = 1;
				printf("%12s", "WRONG");
				continue;
			}
			us = r[0].first_path_us > r[1].first_path_us ? r[0].first_path_us
								     : r[1].first_path_us;
			if (r[0].has_path)
				printf("   D %4" PRIu64 " ms", us / 1000);
			else
				printf("%12s", "R");
		}
		printf("\n");
	}
	return failed;
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
