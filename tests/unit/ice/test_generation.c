#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

static void found_by_the_whole_fragment(void **state)
{
	static struct wire w;
	struct ice_agent *agents[100];
	struct ice_agent_params p = {0};
	struct ice_engine *e;

	(void)state;
	wire_init_params(&w, 61, (struct ice_engine_params){.max_agents = 100, .max_pairs = 4});
	e = w.host[0].engine;
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(ice_agent_open(&agents[i], e, 0, &p), OK);
	for (size_t i = 0; i < 100; i += 2) {
		ice_agent_close(agents[i], 0);
		agents[i] = NULL;
	}
	for (size_t i = 1; i < 100; i += 2) {
		struct ice_generation *g = agents[i]->current;
		const uint8_t *ufrag = (const uint8_t *)g->ufrag;
		uint8_t other[8];

		assert_true(ice_is_ice_chars(g->ufrag, 8, 8));
		assert_true(ice_is_ice_chars(g->pwd, 24, 24));
		assert_ptr_equal(ice_generation_find(e, ufrag, 8), g);
		assert_null(ice_generation_find(e, ufrag, 7));
		assert_null(ice_generation_find(e, ufrag, 9));
		memcpy(other, ufrag, 8);
		other[7] ^= 0x20;
		assert_ptr_not_equal(ice_generation_find(e, other, 8), g);
	}
	wire_fini(&w);
}

/* RFC 8445 s. 5.3. Characters of 6 bits each. */
static void credentials_are_new_each_time(void **state)
{
	static struct wire w;
	struct ice_description seen[20], d;
	size_t used[256] = {0}, kinds = 0;

	(void)state;
	wire_init(&w, 63);
	wire_connect(&w);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		assert_int_equal(ice_agent_restart(w.host[0].agent, w.now_us), OK);
		ice_agent_get_description(w.host[0].agent, &d);
		assert_int_equal(strlen(d.ufrag), ICE_OUR_UFRAG_BYTES);
		assert_int_equal(strlen(d.pwd), ICE_OUR_PWD_BYTES);
		assert_int_equal(ice_description_check(&d), OK);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(seen[k].ufrag, d.ufrag);
			assert_string_not_equal(seen[k].pwd, d.pwd);
		}
		for (const char *c = d.pwd; *c; c++)
			kinds += used[(uint8_t)*c]++ == 0;
		seen[i] = d;
	}
	/* 480 characters: all of the 64 but perhaps one or two. */
	assert_in_range(kinds, 60, 64);
	wire_fini(&w);
}

/* A server that was restarted gives us another relayed address of the same foundation. The check to
 * the dead one goes on for 39.5 s; from its first repetition on nothing waits for it. */
static void what_has_to_be_repeated_holds_nothing_up(void **state)
{
	static struct wire w;
	struct ice_description d = {.ufrag = "theirs", .pwd = "theirpasswordtheirpassword"};
	struct ice_candidate next = {.priority = 999, .foundation = "1"};
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_transmit t = {0};
	uint64_t start_us;

	(void)state;
	wire_init(&w, 65);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_open(&w, 0, true);
	d.candidates[0] = (struct ice_candidate){
		.addr = wire_addr("192.0.2.2:2000"), .priority = 1000, .foundation = "1"};
	d.candidate_count = 1;
	next.addr = wire_addr("192.0.2.2:3000");
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	assert_false(wire_is_silent(&w, 0));
	start_us = w.now_us;
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &next),
			 OK);
	while (!netaddr_equal(&t.to, &next.addr)) {
		w.now_us = ice_engine_next_deadline(w.host[0].engine);
		assert_true(w.now_us < start_us + US_PER_S);
		ice_engine_on_deadline(w.host[0].engine, w.now_us);
		while (!netaddr_equal(&t.to, &next.addr) &&
		       ice_engine_pop_transmit(w.host[0].engine, &t, buf, sizeof(buf)))
			;
	}
	assert_true(w.now_us >= start_us + 500 * US_PER_MS);
	wire_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_the_whole_fragment),
		cmocka_unit_test(credentials_are_new_each_time),
		cmocka_unit_test(what_has_to_be_repeated_holds_nothing_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
