/* The side that answers: what the peer and strangers may ask. */
#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"

static struct wire w;
static struct ice_description us; /* host 0's */
static struct netaddr peer, stranger;

/* Host 0 has an agent that knows nothing of its peer yet. */
static int set_up(void **state)
{
	(void)state;
	wire_init(&w, 11);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_open(&w, 0, true);
	ice_agent_get_description(w.host[0].agent, &us);
	peer = wire_addr("192.0.2.2:2000");
	stranger = wire_addr("198.51.100.9:9");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static struct wire_forge good(void)
{
	return (struct wire_forge){.user = us.ufrag,
				   .peer_user = "theirs",
				   .pwd = us.pwd,
				   .priority = 5,
				   .controlled = true,
				   .tie_breaker = 1};
}

static void tell_remote(void)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = "theirpasswordtheirpassword"};

	d.candidates[0].addr = wire_addr("192.0.2.3:3000");
	d.candidates[0].priority = 1000;
	strcpy(d.candidates[0].foundation, "1");
	d.candidate_count = 1;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
}

static void expect_error(uint16_t code, bool authenticated)
{
	struct wire_datagram d;
	struct stun_message m;

	wire_take(&w, 0, &d, &m);
	assert_int_equal(m.class, STUN_CLASS_ERROR);
	assert_int_equal(m.error.code, code);
	assert_true(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(stun_check_integrity(&m, us.pwd, strlen(us.pwd)) == OK, authenticated);
	assert_true(wire_is_silent(&w, 0));
}

static void a_good_request_is_answered_at_once(void **state)
{
	struct wire_forge f = good();
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	wire_take(&w, 0, &d, &m);
	assert_true(netaddr_equal(&d.to, &peer));
	assert_int_equal(m.class, STUN_CLASS_SUCCESS);
	assert_true(netaddr_equal(&m.xor_mapped_address, &peer));
	assert_int_equal(stun_check_integrity(&m, us.pwd, strlen(us.pwd)), OK);
	assert_memory_equal(m.txid, "0123456789a", 12);
	assert_true(wire_is_silent(&w, 0));
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_NEW);
}

static void missing_parts_get_400(void **state)
{
	struct wire_forge f = good();

	(void)state;
	f.pwd = NULL;
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_INTEGRITY);
	expect_error(400, false);
	f = good();
	f.user = NULL;
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_INTEGRITY);
	expect_error(400, false);
	assert_int_equal(wire_drops(&w, 0)->count[DROP_INTEGRITY], 2);
}

static void wrong_credentials_get_401(void **state)
{
	struct wire_forge f = good();
	char longer[16];

	(void)state;
	f.pwd = "wrongwrongwrongwrongwrong";
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_INTEGRITY);
	expect_error(401, false);
	f = good();
	f.user = "nobody88";
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_UNKNOWN_USER);
	expect_error(401, false);
	/* Our fragment is compared whole: neither a prefix of it nor more will do. */
	snprintf(longer, sizeof(longer), "%.8sx", us.ufrag);
	f.user = longer;
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_UNKNOWN_USER);
	longer[7] = 0;
	assert_int_equal(wire_inject(&w, 0, &stranger, &f), DROP_UNKNOWN_USER);
}

static void unknown_attributes_get_420(void **state)
{
	struct wire_forge f = good();
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	f.unknown = 0x7777;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), DROP_UNKNOWN_TYPE);
	wire_take(&w, 0, &d, &m);
	assert_int_equal(m.error.code, 420);
	assert_int_equal(m.unknown_attributes.count, 1);
	assert_int_equal(m.unknown_attributes.type[0], 0x7777);
	assert_int_equal(stun_check_integrity(&m, us.pwd, strlen(us.pwd)), OK);
	/* An optional one is no reason. */
	f.unknown = 0xc001;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
}

static void attributes_after_integrity_do_not_count(void **state)
{
	struct wire_forge f = good();
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct wire_datagram d;
	struct stun_message m;
	struct stun_writer sw;
	size_t len;

	(void)state;
	tell_remote();
	assert_int_equal(ice_agent_set_controlling(w.host[0].agent, false), ERR_WRONG_STATE);
	while (!wire_is_silent(&w, 0))
		;
	f.no_fingerprint = true;
	len = wire_forge(&f, buf);
	/* USE-CANDIDATE and an unknown attribute behind MESSAGE-INTEGRITY, then FINGERPRINT. */
	memset(&sw, 0, sizeof(sw));
	sw.wr = wr_init(buf, sizeof(buf));
	assert_non_null(wr_reserve(&sw.wr, len));
	stun_write_flag(&sw, STUN_USE_CANDIDATE);
	wr_u16be(&sw.wr, 0x7777);
	wr_u16be(&sw.wr, 0);
	assert_int_equal(stun_write_finish(&sw, NULL, 0, true, &len), OK);
	assert_int_equal(ice_engine_input(w.host[0].engine, w.now_us, 0, &peer, buf, len), OK);
	wire_take(&w, 0, &d, &m);
	assert_int_equal(m.class, STUN_CLASS_SUCCESS);
	for (size_t i = 0; i < w.host[0].agent->current->list.pair_count; i++)
		assert_false(w.host[0].agent->current->list.pairs[i].use_candidate);
}

static void without_fingerprint_it_is_not_stun(void **state)
{
	struct wire_forge f = good();

	(void)state;
	f.no_fingerprint = true;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), DROP_FINGERPRINT);
	assert_true(wire_is_silent(&w, 0));
}

static void strangers_get_few_and_short_replies(void **state)
{
	struct wire_forge f = {.pwd = NULL}; /* the shortest: a header and FINGERPRINT */
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_transmit t;
	size_t replies = 0, in = 0, out = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		size_t len = wire_forge(&f, buf);

		in = len;
		(void)!ice_engine_input(w.host[0].engine, w.now_us, 0, &stranger, buf, len);
		while (ice_engine_pop_transmit(w.host[0].engine, &t, buf, sizeof(buf))) {
			assert_true(t.len <= 3 * in);
			out += t.len;
			replies++;
		}
		w.now_us += US_PER_MS / 2; /* 5 s in all */
	}
	assert_in_range(replies, 5 * ICE_STRANGER_REPLIES_PER_S,
			6 * ICE_STRANGER_REPLIES_PER_S + 1);
	assert_true(out < in * 10000);
}

static void role_conflict_both_controlling(void **state)
{
	struct wire_forge f = good();

	(void)state;
	f.controlled = false;
	f.controlling = true;
	w.host[0].agent->tie_breaker = 100;
	f.tie_breaker = 99;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	expect_error(487, true);
	f.tie_breaker = 100; /* equal: we stay */
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	expect_error(487, true);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
	f.tie_breaker = 101; /* we give in, and answer all the same */
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(w.host[0].agent->tie_breaker, 100);
	assert_int_equal(w.host[0].agent->current->early_count, 1);
	assert_false(wire_is_silent(&w, 0));
}

static void role_conflict_both_controlled(void **state)
{
	struct wire_forge f = good();

	(void)state;
	assert_int_equal(ice_agent_set_controlling(w.host[0].agent, false), OK);
	w.host[0].agent->tie_breaker = 100;
	f.tie_breaker = 101;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	expect_error(487, true);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	f.tie_breaker = 100;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
}

static void early_checks_are_remembered_within_a_bound(void **state)
{
	struct wire_forge f = good();
	struct netaddr from = peer;
	struct ice_generation *g = w.host[0].agent->current;

	(void)state;
	for (int i = 0; i < ICE_MAX_EARLY + 5; i++) {
		from.port = (uint16_t)(2000 + i);
		assert_int_equal(wire_inject(&w, 0, &from, &f), OK);
		assert_int_equal(wire_inject(&w, 0, &from, &f), OK);
	}
	assert_int_equal(g->early_count, ICE_MAX_EARLY);
	assert_int_equal(wire_drops(&w, 0)->count[DROP_LIMIT], 10);
	tell_remote();
	assert_int_equal(g->early_count, 0);
	assert_int_equal(g->list.remote_count, 1 + ICE_MAX_PRFLX_A_BASE);
	/* One of them was begun at once. */
	assert_int_equal(g->list.triggered_count, ICE_MAX_PRFLX_A_BASE - 1);
}

static void inject_from_port(uint16_t port, bool is_new)
{
	const struct ice_checklist *l = &w.host[0].agent->current->list;
	struct wire_forge f = good();
	struct netaddr from = peer;

	from.port = port;
	assert_int_equal(wire_inject(&w, 0, &from, &f), OK);
	assert_int_equal(ice_checklist_find(l, ice_via_socket(0), &from) != ICE_NO_PAIR, is_new);
}

/* Two NATs that map each check anew and filter nothing make new addresses for ever. */
static void peer_reflexive_candidates_are_bounded(void **state)
{
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	tell_remote();
	for (uint16_t i = 0; i < ICE_MAX_PRFLX_A_BASE; i++)
		inject_from_port(2000 + i, true);
	inject_from_port(4000, false);
	/* It was answered all the same. */
	do {
		wire_take(&w, 0, &d, &m);
	} while (d.to.port != 4000);
	assert_int_equal(m.class, STUN_CLASS_SUCCESS);
	/* When those have failed and rested, new ones take their place, if some check has
	 * succeeded. */
	wire_run(&w, 80 * US_PER_S);
	inject_from_port(4001, false);
	w.host[0].agent->current->list.pairs[0].proof_us = w.now_us;
	inject_from_port(4002, true);
	assert_int_equal(w.host[0].agent->current->list.remote_count, 1 + ICE_MAX_PRFLX_A_BASE);
}

static void early_checks_of_another_session_do_not_count(void **state)
{
	struct wire_forge f = good();

	(void)state;
	f.peer_user = "older";
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	tell_remote();
	assert_int_equal(w.host[0].agent->current->list.remote_count, 1);
	/* Neither do later ones, though they are answered. */
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	assert_int_equal(w.host[0].agent->current->list.remote_count, 1);
}

static void a_check_from_elsewhere_is_a_peer_reflexive_candidate(void **state)
{
	struct wire_forge f = good();
	struct ice_checklist *l = &w.host[0].agent->current->list;

	(void)state;
	tell_remote();
	f.priority = 4321;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	assert_int_equal(l->remote_count, 2);
	assert_int_equal(l->remotes[1].type, ICE_CANDIDATE_PRFLX);
	assert_int_equal(l->remotes[1].priority, 4321);
	assert_int_equal(l->pair_count, 2);
	/* Without PRIORITY there is nothing to make a candidate of. */
	f.priority = 0;
	peer.port++;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	assert_int_equal(l->remote_count, 2);
}

static void forbidden_sources_are_not_heard(void **state)
{
	static const char *const texts[] = {"127.0.0.1:5", "224.0.0.1:5",  "0.0.0.0:5",
					    "192.0.2.7:0", "100.64.1.1:5", "[2001:db8::1]:5"};
	struct netprefix overlay;
	struct wire_forge f = good();

	(void)state;
	assert_int_equal(netprefix_parse("100.64.0.0/10", &overlay), OK);
	assert_int_equal(ice_engine_set_blocked(w.host[0].engine, &overlay, 1), OK);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct netaddr from = wire_addr(texts[i]);

		assert_int_equal(wire_inject(&w, 0, &from, &f), DROP_BLOCKED);
	}
	assert_true(wire_is_silent(&w, 0));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_good_request_is_answered_at_once),
		T(missing_parts_get_400),
		T(wrong_credentials_get_401),
		T(unknown_attributes_get_420),
		T(attributes_after_integrity_do_not_count),
		T(without_fingerprint_it_is_not_stun),
		T(strangers_get_few_and_short_replies),
		T(role_conflict_both_controlling),
		T(role_conflict_both_controlled),
		T(early_checks_are_remembered_within_a_bound),
		T(early_checks_of_another_session_do_not_count),
		T(a_check_from_elsewhere_is_a_peer_reflexive_candidate),
		T(peer_reflexive_candidates_are_bounded),
		T(forbidden_sources_are_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
