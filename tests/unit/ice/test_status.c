#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"

static struct wire w;

static void the_pairs_best_first(void **state)
{
	struct ice_description d;
	struct ice_pair_info rows[8];

	(void)state;
	wire_init(&w, 71);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 0, 1, "192.0.2.3:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, rows, 8), 0);
	ice_agent_get_description(w.host[1].agent, &d);
	d.candidates[1] = d.candidates[0];
	d.candidates[1].addr.port = 9;
	d.candidates[1].type = ICE_CANDIDATE_RELAY;
	d.candidates[1].priority = ice_priority(ICE_CANDIDATE_RELAY, 1);
	strcpy(d.candidates[1].foundation, "r");
	d.candidate_count = 2;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, rows, 8), 4);
	for (size_t i = 1; i < 4; i++)
		assert_true(rows[i - 1].priority >= rows[i].priority);
	assert_int_equal(rows[0].socket, 0);
	assert_int_equal(rows[0].state, ICE_PAIR_IN_PROGRESS);
	assert_int_equal(rows[3].remote_type, ICE_CANDIDATE_RELAY);
	assert_true(netaddr_equal(&rows[0].local, &w.host[0].addr[0]));
	assert_false(rows[0].valid);
	wire_run(&w, US_PER_S);
	/* A table that is too short gets the best rows. */
	memset(rows, 0, sizeof(rows));
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, rows, 1), 4);
	assert_true(rows[0].valid && rows[0].nominated);
	assert_int_equal(rows[0].state, ICE_PAIR_SUCCEEDED);
	assert_int_equal(rows[0].rtt_us, 20 * US_PER_MS);
	assert_int_equal(rows[1].priority, 0);
	wire_fini(&w);
}

static void names(void **state)
{
	static const char *const agents[] = {"new",	  "checking",	  "connected",
					     "completed", "disconnected", "failed"};
	static const char *const pairs[] = {"frozen", "waiting", "in-progress", "succeeded",
					    "failed"};
	static const char *const types[] = {"host", "srflx", "prflx", "relay"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(agents); i++)
		assert_string_equal(ice_agent_state_name((enum ice_agent_state)i), agents[i]);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_string_equal(ice_pair_state_name((enum ice_pair_state)i), pairs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_string_equal(ice_candidate_type_name((enum ice_candidate_type)i), types[i]);
}

static void worth_moves_an_agent_forward(void **state)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = "theirpasswordtheirpassword"};
	struct ice_agent *a[3];
	struct wire_datagram sent;
	struct stun_message m;

	(void)state;
	wire_init(&w, 72);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	d.candidates[0].addr = wire_addr("192.0.2.2:1");
	d.candidates[0].priority = 1;
	strcpy(d.candidates[0].foundation, "1");
	d.candidate_count = 1;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ice_agent_open(&a[i], w.host[0].engine, w.now_us,
						&(struct ice_agent_params){0}),
				 OK);
		d.candidates[0].addr.port = (uint16_t)(i + 1);
		assert_int_equal(ice_agent_set_remote(a[i], w.now_us, &d), OK);
	}
	wire_take(&w, 0, &sent, &m);
	assert_int_equal(sent.to.port, 1);
	ice_agent_set_worth(a[2], 5); /* a packet waits for this one now */
	w.now_us += 5 * US_PER_MS;
	ice_engine_on_deadline(w.host[0].engine, w.now_us);
	wire_take(&w, 0, &sent, &m);
	assert_int_equal(sent.to.port, 3);
	ice_agent_set_worth(a[2], 0); /* it has nothing to begin any more: fine */
	wire_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pairs_best_first),
		cmocka_unit_test(names),
		cmocka_unit_test(worth_moves_an_agent_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
