#include "tests/unit/ice/wire.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_the_whole_fragment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
