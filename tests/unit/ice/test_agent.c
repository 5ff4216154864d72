/* Two agents from open to the nomination, and what may come in between. */
#include "tests/unit/ice/two_agents.h"

static void host_to_host(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	wire_connect(&w);
	/* One round trip to the first path. */
	wire_run_until(&w, start_us + 20 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_CONNECTED);
	/* One more, within Ta, to the nomination. */
	wire_run_until(&w, start_us + 45 * US_PER_MS);
	expect_completed_alike();
	assert_int_equal(path_of(0).rtt_us, 20 * US_PER_MS);
	assert_int_equal(path_of(0).local_type, ICE_CANDIDATE_HOST);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_int_equal(w.host[i].states[ICE_AGENT_CHECKING], 1);
		assert_int_equal(w.host[i].states[ICE_AGENT_CONNECTED], 1);
		assert_int_equal(w.host[i].states[ICE_AGENT_COMPLETED], 1);
		assert_int_equal(w.host[i].path_events, 2); /* valid, nominated */
	}
	/* One check each, which the other's renewed before its answer was there, and one
	 * nomination. */
	assert_int_equal(w.host[0].sent_requests, 3);
	assert_int_equal(w.host[1].sent_requests, 2);
}

static void ipv6_and_several_sockets(void **state)
{
	struct ice_path path;

	(void)state;
	wire_add_socket(&w, 0, 0, "[2001:db8::1]:1000");
	wire_add_socket(&w, 0, 1, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_add_socket(&w, 1, 1, "[2001:db8::2]:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, US_PER_S);
	expect_completed_alike();
	path = path_of(0);
	/* The controlling end's preference decides between pairs that are otherwise equal. */
	assert_int_equal(path.local.family, NETADDR_IP6);
}

static void the_answerer_learns_first(void **state)
{
	uint64_t start_us;

	(void)state;
	/* As it is in practice: host 1 has the offer, its answer takes 40 ms. */
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	start_us = w.now_us;
	wire_tell(&w, 1);
	wire_run(&w, 40 * US_PER_MS);
	/* Its check was answered early: it may already send. */
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_NEW);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_CONNECTED);
	assert_int_equal(w.host[0].agent->current->early_count, 1);
	wire_tell(&w, 0);
	wire_run_until(&w, start_us + 60 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	wire_run(&w, 100 * US_PER_MS);
	expect_completed_alike();
}

static void glare_both_controlling(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 120; seed++) {
		uint64_t tie_breakers[2];

		tear_down(NULL);
		wire_init(&w, seed);
		wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
		wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
		for (size_t i = 0; i < 2; i++) {
			wire_open(&w, i, true);
			tie_breakers[i] = w.host[i].agent->tie_breaker;
		}
		wire_tell(&w, 0);
		wire_tell(&w, 1);
		wire_run(&w, US_PER_S);
		expect_completed_alike();
		assert_true(ice_agent_is_controlling(
			w.host[tie_breakers[0] > tie_breakers[1] ? 0 : 1].agent));
	}
}

static void both_controlled(void **state)
{
	(void)state;
	for (uint64_t seed = 200; seed < 220; seed++) {
		tear_down(NULL);
		wire_init(&w, seed);
		wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
		wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
		wire_open(&w, 0, false);
		wire_open(&w, 1, false);
		wire_tell(&w, 0);
		wire_tell(&w, 1);
		wire_run(&w, US_PER_S);
		expect_completed_alike();
	}
}

static struct random_seeded losses;

static bool lossy(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	struct random_source r = random_seeded_source(&losses);

	(void)wire;
	(void)sender;
	(void)d;
	return random_below(&r, 100) >= 25;
}

static void lost_packets(void **state)
{
	(void)state;
	for (uint64_t seed = 300; seed < 400; seed++) {
		tear_down(NULL);
		wire_init(&w, seed);
		random_seeded_init(&losses, seed);
		w.filter = lossy;
		wire_connect(&w);
		wire_run(&w, 20 * US_PER_S);
		if (wire_state(&w, 0) != ICE_AGENT_COMPLETED ||
		    wire_state(&w, 1) != ICE_AGENT_COMPLETED)
			fail_msg("seed %llu", (unsigned long long)seed);
	}
}

static void nobody_there(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	w.filter = drop_all;
	wire_connect(&w);
	wire_run_until(&w, start_us + 39499 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	wire_run_until(&w, start_us + 39600 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_FAILED);
	assert_int_equal(w.host[0].states[ICE_AGENT_FAILED], 1);
	assert_int_equal(w.host[0].path_events, 0);
	assert_int_equal(w.host[0].sent_requests, 7);
	/* Quiet from now on. */
	wire_run(&w, 100 * US_PER_S);
	assert_int_equal(w.host[0].sent_requests, 7);
}

static void no_candidates_is_no_failure_before_its_time(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run_until(&w, start_us + 39499 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	wire_run_until(&w, start_us + 39501 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_FAILED);
}

static bool drop_first(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)sender;
	(void)d;
	wire->filter = NULL;
	return false;
}

static void lose_a_socket_after(uint64_t us)
{
	tear_down(NULL);
	wire_init(&w, 31);
	/* So that the second pair has succeeded, too, when the first is nominated. */
	w.filter = drop_first;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 0, 1, "198.51.100.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, us);
	expect_completed_alike();
	assert_int_equal(path_of(0).socket, 0);
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 0);
	w.host[0].addr[0] = (struct netaddr){0};
	/* The other pair was valid before: no gap, and it is nominated. */
	assert_int_equal(path_of(0).socket, 1);
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
}

static void a_removed_socket_ends_its_pairs(void **state)
{
	(void)state;
	/* Long after the conclusion a nomination is a change of mind, and the peer follows at
	 * once. */
	lose_a_socket_after(5 * US_PER_S);
	expect_completed_alike();
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 1);
	w.host[0].addr[1] = (struct netaddr){0};
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	wire_run(&w, 100 * US_PER_S);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_DISCONNECTED);
	/* Soon after it, it could be one of several: the best counts until its consent is gone. */
	lose_a_socket_after(US_PER_S);
	assert_int_equal(path_of(1).remote.ip[0], 192);
	wire_run(&w, 35 * US_PER_S);
	expect_completed_alike();
}

static void a_socket_added_while_checking_takes_part(void **state)
{
	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	w.filter = drop_from_0;
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	w.filter = NULL;
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 0);
	w.host[0].addr[0] = (struct netaddr){0};
	wire_add_socket(&w, 0, 1, "192.0.2.5:1000");
	wire_run(&w, US_PER_S);
	expect_completed_alike();
	assert_int_equal(path_of(1).remote_type, ICE_CANDIDATE_PRFLX);
}

static void trickled_candidates(void **state)
{
	struct ice_description d;
	struct ice_candidate c;

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	ice_agent_get_description(w.host[1].agent, &d);
	c = d.candidates[0];
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c),
			 ERR_WRONG_STATE);
	d.candidate_count = 0;
	d.end_of_candidates = false;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), ERR_EXISTS);
	wire_run(&w, 30 * US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	c.addr.port = 0;
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c),
			 ERR_INVALID);
	c.addr = wire_addr("224.0.0.1:5");
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c),
			 DROP_BLOCKED);
	c = d.candidates[0];
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c), OK);
	wire_tell(&w, 1);
	wire_run(&w, 20 * US_PER_S); /* longer than 39.5 s after the description */
	expect_completed_alike();
	ice_agent_end_remote(w.host[0].agent, w.now_us, NULL);
	/* Again is fine, another one is not. */
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c), OK);
	c.addr.port++;
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c),
			 ERR_WRONG_STATE);
}

static void hostile_descriptions(void **state)
{
	static const char *const texts[] = {"224.0.0.1:5",	 "127.0.0.1:5", "0.0.0.0:5",
					    "255.255.255.255:5", "10.9.9.9:5",	"[::1]:5",
					    "[ff02::1]:5"};
	struct netprefix overlay;
	struct ice_description d;

	(void)state;
	assert_int_equal(netprefix_parse("10.9.0.0/16", &overlay), OK);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 0, 1, "[2001:db8::1]:1000");
	assert_int_equal(ice_engine_set_blocked(w.host[0].engine, &overlay, 1), OK);
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	ice_agent_get_description(w.host[1].agent, &d);
	d.ufrag[0] = ':';
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), ERR_INVALID);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_NEW);
	ice_agent_get_description(w.host[1].agent, &d);
	d.candidate_count = ARRAY_SIZE(texts);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		d.candidates[i].addr = wire_addr(texts[i]);
		d.candidates[i].priority = 100;
		strcpy(d.candidates[i].foundation, "1");
	}
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	assert_int_equal(wire_drops(&w, 0)->count[DROP_BLOCKED], ARRAY_SIZE(texts));
	assert_int_equal(w.host[0].agent->current->list.pair_count, 0);
	wire_run(&w, US_PER_S);
	assert_int_equal(w.host[0].sent, 0);
}

static void a_lite_peer_makes_us_control(void **state)
{
	struct ice_description d;

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, false);
	wire_open(&w, 1, false);
	ice_agent_get_description(w.host[1].agent, &d);
	d.lite = true;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	/* Host 1 only answers, as a lite agent does: it never learns about us. */
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(w.host[1].sent_requests, 0);
}

static void ta_is_the_larger_one(void **state)
{
	static const struct {
		uint16_t ours, theirs;
		uint64_t agreed_us;
	} table[] = {
		{0, 0, 50 * US_PER_MS}, {0, 10, 10 * US_PER_MS},      {0, 5, 10 * US_PER_MS},
		{0, 1, 10 * US_PER_MS}, {20, 10, 20 * US_PER_MS},     {100, 0, 100 * US_PER_MS},
		{5, 5, 5 * US_PER_MS},	{10, 2000, 2000 * US_PER_MS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct ice_description d;

		tear_down(NULL);
		wire_init_params(
			&w, 1, (struct ice_engine_params){.max_agents = 1, .ta_ms = table[i].ours});
		wire_open(&w, 0, true);
		wire_open(&w, 1, true);
		ice_agent_get_description(w.host[1].agent, &d);
		assert_int_equal(d.ta_ms, table[i].ours ? table[i].ours : ICE_TA_DEFAULT_MS);
		d.ta_ms = table[i].theirs;
		assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
		assert_int_equal(w.host[0].agent->current->ta_us, table[i].agreed_us);
	}
}

static void closing_tells_nobody_and_leaves_nothing(void **state)
{
	struct ice_event ev;

	(void)state;
	wire_connect(&w);
	ice_agent_close(w.host[0].agent, w.now_us);
	ice_agent_close(NULL, w.now_us);
	while (ice_engine_pop_event(w.host[0].engine, &ev))
		assert_null(ev.agent);
	assert_int_equal(ice_engine_next_deadline(w.host[0].engine), DEADLINE_NONE);
	wire_run(&w, US_PER_S);
	assert_true(wire_drops(&w, 0)->count[DROP_UNKNOWN_USER] > 0);
}

static void unreachable_pairs_do_not_hold_up_the_nomination(void **state)
{
	struct ice_description d;
	uint64_t start_us;

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 1);
	ice_agent_get_description(w.host[1].agent, &d);
	d.candidates[1] = d.candidates[0];
	d.candidates[1].addr = wire_addr("192.0.2.99:9");
	d.candidates[1].priority = ICE_PRIORITY_MAX;
	strcpy(d.candidates[1].foundation, "dead");
	d.candidate_count = 2;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	start_us = w.now_us;
	wire_run_until(&w, start_us + 90 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED); /* in its grace time */
	ice_engine_on_send_error(w.host[0].engine, w.now_us, 0, &d.candidates[1].addr);
	wire_run_until(&w, start_us + 115 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_drops(&w, 0)->count[DROP_SEND], 1);
}

static size_t sent_to_the_dead;

static bool count_dead(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	sent_to_the_dead += d->to.ip[3] == 99;
	return true;
}

static void the_conclusion_ends_other_checks(void **state)
{
	struct ice_description d;
	struct ice_pair_info rows[2];

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	sent_to_the_dead = 0;
	w.filter = count_dead;
	wire_tell(&w, 1);
	ice_agent_get_description(w.host[1].agent, &d);
	d.candidates[1] = d.candidates[0];
	d.candidates[1].addr = wire_addr("192.0.2.99:9");
	d.candidates[1].priority = ICE_PRIORITY_MAX;
	strcpy(d.candidates[1].foundation, "dead");
	d.candidate_count = 2;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	wire_run(&w, 300 * US_PER_MS);
	expect_completed_alike();
	assert_int_equal(sent_to_the_dead, 1);
	wire_run(&w, 2500 * US_PER_MS);
	assert_int_equal(sent_to_the_dead, 1);
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, rows, 2), 2);
	assert_int_equal(rows[0].state, ICE_PAIR_FROZEN);
	/* Could it stand by? That is asked once. */
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(sent_to_the_dead, 1 + 7);
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, rows, 2), 2);
	assert_int_equal(rows[0].state, ICE_PAIR_FAILED);
	expect_completed_alike();
}

static void a_better_pair_takes_over_before_nomination(void **state)
{
	(void)state;
	/* Controlled by nobody: host 0 does not know us yet, so nothing is nominated. */
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 1, "192.0.2.3:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 1);
	wire_run(&w, US_PER_S);
	assert_int_equal(path_of(1).socket, 1);
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_run(&w, US_PER_S);
	assert_int_equal(path_of(1).socket, 0);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_CONNECTED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(host_to_host),
		T(ipv6_and_several_sockets),
		T(the_answerer_learns_first),
		T(glare_both_controlling),
		T(both_controlled),
		T(lost_packets),
		T(nobody_there),
		T(no_candidates_is_no_failure_before_its_time),
		T(a_removed_socket_ends_its_pairs),
		T(a_socket_added_while_checking_takes_part),
		T(trickled_candidates),
		T(hostile_descriptions),
		T(a_lite_peer_makes_us_control),
		T(ta_is_the_larger_one),
		T(closing_tells_nobody_and_leaves_nothing),
		T(unreachable_pairs_do_not_hold_up_the_nomination),
		T(the_conclusion_ends_other_checks),
		T(a_better_pair_takes_over_before_nomination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
