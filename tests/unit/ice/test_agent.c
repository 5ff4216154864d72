#include "tests/unit/ice/wire.h"

static struct wire w;

static void host_to_host_connects_and_nominates(void **state)
{
	struct ice_path p0, p1;
	uint64_t start_us;

	(void)state;
	wire_init(&w, 1);
	start_us = w.now_us;
	wire_connect(&w);
	wire_run(&w, 200 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	(void)start_us;
	assert_true(ice_agent_get_path(w.host[0].agent, &p0));
	assert_true(ice_agent_get_path(w.host[1].agent, &p1));
	assert_true(netaddr_equal(&p0.remote, &w.host[1].addr[0]));
	assert_true(netaddr_equal(&p1.remote, &w.host[0].addr[0]));
	assert_true(p0.nominated && p1.nominated);
	assert_int_equal(p0.rtt_us, 20 * US_PER_MS);
	wire_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_to_host_connects_and_nominates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
