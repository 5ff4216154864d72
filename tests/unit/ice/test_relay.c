/* Relayed candidates: pairs, permissions, what goes over them. */
#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"

static struct wire w;

static int set_up(void **state)
{
	(void)state;
	wire_init(&w, 91);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static void expect_completed_alike(void)
{
	struct ice_path a = wire_path(&w, 0), b = wire_path(&w, 1);

	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	assert_true(netaddr_equal(&a.remote, &b.local));
	assert_true(netaddr_equal(&b.remote, &a.local));
}

/* Only what goes to or comes from a relay passes. */
static bool only_relayed(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	return d->from.ip[0] == 198 || d->to.ip[0] == 198;
}

static void open_both(void)
{
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
}

static void parameters(void **state)
{
	struct ice_engine *e = w.host[0].engine;
	struct netaddr ok = wire_addr("198.51.100.9:50000"), loop = wire_addr("127.0.0.1:5");
	struct netaddr overlay_addr = wire_addr("100.64.0.1:1");
	struct netprefix overlay;

	(void)state;
	assert_int_equal(netprefix_parse("100.64.0.0/10", &overlay), OK);
	assert_int_equal(ice_engine_set_blocked(e, &overlay, 1), OK);
	assert_int_equal(ice_engine_add_relay(e, 0, 0, 1, &ok, &ok, &ok, 1), ERR_INVALID);
	assert_int_equal(ice_engine_add_relay(e, 0, 1, 1, &loop, &ok, &ok, 1), ERR_INVALID);
	assert_int_equal(ice_engine_add_relay(e, 0, 1, 1, &overlay_addr, &ok, &ok, 1),
			 DROP_BLOCKED);
	assert_int_equal(ice_engine_add_relay(e, 0, 1, 1, &ok, &ok, &ok, 1), OK);
	assert_int_equal(ice_engine_add_relay(e, 0, 1, 2, &ok, &ok, &ok, 1), ERR_EXISTS);
	for (uint16_t i = 2; i <= ICE_MAX_RELAYS; i++)
		assert_int_equal(ice_engine_add_relay(e, 0, i, ICE_NO_SOCKET, &ok, &ok, &ok, i),
				 OK);
	assert_int_equal(ice_engine_add_relay(e, 0, 99, 1, &ok, &ok, &ok, 1), ERR_LIMIT);
	ice_engine_remove_relay(e, 0, 99);
	ice_engine_remove_relay(e, 0, 1);
	assert_int_equal(ice_engine_add_relay(e, 0, 99, 1, &ok, &ok, &ok, 1), OK);
	assert_int_equal(ice_engine_input_relayed(e, 0, 98, &ok, (const uint8_t *)"", 0),
			 DROP_STATE);
}

static void in_the_description(void **state)
{
	struct ice_description d;

	(void)state;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_drain(&w);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_RELAY], 1);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_int_equal(ice_description_check(&d), OK);
	assert_true(ice_description_has_option(&d, "trickle"));
	assert_int_equal(d.candidate_count, 2);
	assert_int_equal(d.candidates[1].type, ICE_CANDIDATE_RELAY);
	assert_int_equal(d.candidates[1].priority >> 24, 0);
	assert_int_equal(d.candidates[1].related.port, 6666);
	/* While others are still being allocated nothing is said to be the last. */
	assert_true(d.end_of_candidates);
	ice_engine_set_relays_pending(w.host[0].engine, true);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_false(d.end_of_candidates);
	ice_engine_set_relays_pending(w.host[0].engine, false);
	wire_drain(&w);
	assert_int_equal(w.host[0].gathered_events, 2);
	assert_true(ice_engine_is_gathered(w.host[0].engine));
}

static void our_relay_to_their_host(void **state)
{
	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 3 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 1);
	assert_int_equal(wire_path(&w, 0).socket, 0);
	assert_int_equal(wire_path(&w, 0).local_type, ICE_CANDIDATE_RELAY);
	assert_int_equal(wire_path(&w, 0).local.port, 50000);
	assert_int_equal(wire_path(&w, 1).relay, 0);
	assert_int_equal(wire_path(&w, 1).remote_type, ICE_CANDIDATE_RELAY);
	/* One permission, asked for before any check: nothing was refused. */
	assert_int_equal(w.host[0].permit_events, 1);
	assert_int_equal(w.host[0].relays[1].refused, 0);
	/* It lives on its consent. */
	wire_run(&w, 100 * US_PER_S);
	expect_completed_alike();
}

/* Its pairs go on, and nobody is told of it any more. */
static void retired(void **state)
{
	struct ice_description d;
	struct ice_path next;

	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 3 * US_PER_S);
	expect_completed_alike();
	ice_engine_offer_relay(w.host[0].engine, w.now_us, 99, false);
	ice_engine_offer_relay(w.host[0].engine, w.now_us, 1, false);
	ice_engine_offer_relay(w.host[0].engine, w.now_us, 1, true);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_int_equal(d.candidate_count, 2);
	ice_engine_offer_relay(w.host[0].engine, w.now_us, 1, false);
	wire_run(&w, 100 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 1);
	/* What leaves from it is relayed, though it is no candidate any more: consent asks. */
	assert_int_equal(wire_path(&w, 0).local_type, ICE_CANDIDATE_RELAY);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_int_equal(d.candidate_count, 1);
	assert_int_equal(d.candidates[0].type, ICE_CANDIDATE_HOST);
	/* The next generation has no pair of it. */
	wire_add_relay(&w, 0, 2, 0, "198.51.100.9:50001");
	assert_int_equal(ice_agent_restart(w.host[0].agent, w.now_us), OK);
	wire_tell(&w, 1);
	wire_tell(&w, 0);
	wire_run(&w, 3 * US_PER_S);
	assert_true(ice_agent_get_next_path(w.host[0].agent, &next));
	assert_int_equal(next.relay, 2);
	assert_int_equal(wire_path(&w, 0).relay, 1);
}

static bool only_relay_to_relay(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	return d->from.ip[0] == 198 && d->to.ip[0] == 198;
}

static void relay_to_relay(void **state)
{
	(void)state;
	w.filter = only_relay_to_relay;
	open_both();
	/* The allocation of host 1 is reached over TLS. */
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_add_relay(&w, 1, 2, ICE_NO_SOCKET, "198.51.100.9:50001");
	wire_tell(&w, 1);
	wire_run(&w, 40 * US_PER_MS); /* the answer's way: its checks are refused until then */
	wire_tell(&w, 0);
	wire_run(&w, 4 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 1).relay, 2);
	assert_int_equal(wire_path(&w, 1).socket, ICE_NO_SOCKET);
}

static void a_direct_path_is_preferred(void **state)
{
	(void)state;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_add_relay(&w, 1, 1, 0, "198.51.100.10:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 4 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 0);
	assert_int_equal(wire_path(&w, 1).remote_type, ICE_CANDIDATE_HOST);
	assert_int_equal(w.host[0].upgrade_events, 0);
}

static void a_direct_path_that_comes_late_wins(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	/* The relayed pair is a path at once; direct packets pass from 1.2 s on. */
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run_until(&w, start_us + 300 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_int_equal(wire_path(&w, 0).relay, 1);
	wire_run_until(&w, start_us + 1200 * US_PER_MS);
	w.filter = NULL;
	wire_run_until(&w, start_us + 1900 * US_PER_MS);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 0);
}

static void one_permission_an_address(void **state)
{
	struct ice_description d;

	(void)state;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_add_relay(&w, 0, 2, ICE_NO_SOCKET, "198.51.100.10:50000");
	ice_agent_get_description(w.host[1].agent, &d);
	for (size_t i = 1; i < 6; i++) {
		d.candidates[i] = d.candidates[0];
		d.candidates[i].addr.port = (uint16_t)(3000 + i);
		d.candidates[i].addr.ip[3] = (uint8_t)(i < 4 ? 2 : 3);
		snprintf(d.candidates[i].foundation, 33, "x%zu", i);
	}
	d.candidate_count = 6;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	wire_drain(&w);
	/* Two addresses over two relays. */
	assert_int_equal(w.host[0].permit_events, 4);
	assert_int_equal(w.host[0].relays[1].permit_count, 2);
	assert_int_equal(w.host[0].relays[2].permit_count, 2);
	/* One that comes later. */
	d.candidates[0].addr = wire_addr("192.0.2.77:77");
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, d.ufrag,
							&d.candidates[0]),
			 ERR_WRONG_STATE); /* the description had said that none would follow */
	wire_drain(&w);
	assert_int_equal(w.host[0].permit_events, 4);
}

static void a_late_relay_trickles(void **state)
{
	struct ice_description d;
	uint64_t start_us = w.now_us;

	(void)state;
	w.filter = only_relayed;
	ice_engine_set_relays_pending(w.host[0].engine, true);
	open_both();
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run_until(&w, start_us + US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	ice_engine_set_relays_pending(w.host[0].engine, false);
	wire_drain(&w);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_RELAY], 1);
	assert_int_equal(w.host[0].permit_events, 1);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_int_equal(ice_agent_add_remote_candidate(w.host[1].agent, w.now_us, d.ufrag,
							&w.host[0].last_candidate),
			 OK);
	ice_agent_end_remote(w.host[1].agent, w.now_us, d.ufrag);
	wire_run(&w, 4 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 1);
}

static void a_lost_relay_ends_its_pairs(void **state)
{
	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_add_relay(&w, 0, 2, ICE_NO_SOCKET, "198.51.100.10:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 10 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(wire_path(&w, 0).relay, 1);
	ice_engine_remove_relay(w.host[0].engine, w.now_us, 1);
	w.host[0].relays[1].addr = (struct netaddr){0};
	/* The other was valid before: it takes over at once. */
	assert_int_equal(wire_path(&w, 0).relay, 2);
	wire_run(&w, 5 * US_PER_S);
	expect_completed_alike();
	ice_engine_remove_relay(w.host[0].engine, w.now_us, 2);
	w.host[0].relays[2].addr = (struct netaddr){0};
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	/* What was to stand by is asked to the end. */
	wire_run(&w, 40 * US_PER_S);
	w.host[0].sent = 0;
	wire_run(&w, 100 * US_PER_S);
	assert_int_equal(w.host[0].sent, 0);
}

static void an_answer_over_another_way_is_asymmetric(void **state)
{
	struct netaddr remote = wire_addr("192.0.2.2:2000");
	struct wire_forge f = {.class = STUN_CLASS_SUCCESS, .mapped = &w.host[0].addr[0]};
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_event ev;
	struct wire_datagram d;
	struct stun_message m;
	size_t len;

	(void)state;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	while (ice_engine_pop_event(w.host[0].engine, &ev))
		wire_on_event(&w.host[0], &ev);
	wire_take(&w, 0, &d, &m); /* from the socket */
	f.txid = m.txid;
	f.pwd = w.host[1].agent->current->pwd;
	len = wire_forge(&f, buf);
	assert_int_equal(ice_engine_input_relayed(w.host[0].engine, w.now_us, 1, &remote, buf, len),
			 DROP_ASYMMETRIC);
}

static void replies_go_back_over_the_relay(void **state)
{
	struct netaddr stranger = wire_addr("203.0.113.9:9999");
	struct wire_forge f = {.class = STUN_CLASS_REQUEST};
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_transmit t;
	size_t len;

	(void)state;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	len = wire_forge(&f, buf);
	assert_int_equal(
		ice_engine_input_relayed(w.host[0].engine, w.now_us, 1, &stranger, buf, len),
		DROP_INTEGRITY);
	assert_true(ice_engine_pop_transmit(w.host[0].engine, &t, buf, sizeof(buf)));
	assert_int_equal(t.relay, 1);
	assert_true(netaddr_equal(&t.to, &stranger));
}

static void upgrades_are_advised(void **state)
{
	uint64_t done_us;

	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	while (wire_state(&w, 0) != ICE_AGENT_COMPLETED)
		wire_run(&w, 10 * US_PER_MS);
	done_us = w.now_us;
	wire_run_until(&w, done_us + 9900 * US_PER_MS);
	assert_int_equal(w.host[0].upgrade_events, 0);
	wire_run_until(&w, done_us + 10 * US_PER_S);
	assert_int_equal(w.host[0].upgrade_events, 1);
	wire_run_until(&w, done_us + 71 * US_PER_S);
	assert_int_equal(w.host[0].upgrade_events, 2);
	wire_run_until(&w, done_us + 371 * US_PER_S);
	assert_int_equal(w.host[0].upgrade_events, 3);
	/* The controlled end waits half as long again: 15 s, 90 s, 450 s. */
	assert_int_equal(w.host[1].upgrade_events, 2);
	wire_add_socket(&w, 1, 1, "192.0.2.3:2000");
	wire_run(&w, US_PER_S);
	assert_int_equal(w.host[1].upgrade_events, 3);
	/* One more relay is no reason. */
	wire_run(&w, 10 * US_PER_S);
	wire_add_relay(&w, 1, 1, 0, "198.51.100.11:50000");
	wire_run(&w, US_PER_S);
	assert_int_equal(w.host[1].upgrade_events, 3);
}

/* The controlling end restarts when it is advised to: then the other is never advised. */
static void one_end_upgrades_for_both(void **state)
{
	size_t advised = 0;

	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	while (wire_state(&w, 0) != ICE_AGENT_COMPLETED)
		wire_run(&w, 10 * US_PER_MS);
	for (int s = 0; s < 1000; s++) {
		wire_run(&w, US_PER_S);
		assert_int_equal(w.host[1].upgrade_events, 0);
		if (w.host[0].upgrade_events == advised)
			continue;
		advised++;
		assert_int_equal(ice_agent_restart(w.host[0].agent, w.now_us), OK);
		wire_tell(&w, 1);
		wire_tell(&w, 0);
	}
	assert_int_equal(advised, 5); /* 10, 70, 370, 670, 970 */
}

/* A relay that was never signalled: the end that controls does not know what its path goes over,
 * the other end does. */
static void the_end_that_knows_of_the_relay_upgrades(void **state)
{
	(void)state;
	w.filter = only_relayed;
	open_both();
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_add_relay(&w, 1, 1, 0, "198.51.100.9:50000");
	while (wire_state(&w, 0) != ICE_AGENT_COMPLETED)
		wire_run(&w, 10 * US_PER_MS);
	wire_run(&w, 20 * US_PER_S);
	assert_int_equal(w.host[0].upgrade_events, 0);
	assert_int_equal(w.host[1].upgrade_events, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(parameters),
		T(in_the_description),
		T(our_relay_to_their_host),
		T(retired),
		T(relay_to_relay),
		T(a_direct_path_is_preferred),
		T(a_direct_path_that_comes_late_wins),
		T(one_permission_an_address),
		T(a_late_relay_trickles),
		T(a_lost_relay_ends_its_pairs),
		T(an_answer_over_another_way_is_asymmetric),
		T(replies_go_back_over_the_relay),
		T(upgrades_are_advised),
		T(one_end_upgrades_for_both),
		T(the_end_that_knows_of_the_relay_upgrades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
