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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_the_whole_fragment),
		cmocka_unit_test(credentials_are_new_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
