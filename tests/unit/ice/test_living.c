/* What keeps the path of two agents, what ends it, and what brings it back. */
#include "tests/unit/ice/two_agents.h"

static size_t requests_to_lose;

static bool lose_requests(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	if (sender != 0 || !requests_to_lose || d->buf[0] != 0 || d->buf[1] != 1)
		return true;
	requests_to_lose--;
	return false;
}

/* Requests for consent are sent once each, and more are lost in a row than there are in 30 s. */
static void bad_luck_does_not_end_a_path(void **state)
{
	(void)state;
	wire_connect(&w);
	wire_run(&w, 5 * US_PER_S);
	requests_to_lose = 8;
	w.filter = lose_requests;
	for (int i = 0; i < 600; i++) {
		wire_run(&w, 100 * US_PER_MS);
		assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	}
	assert_int_equal(requests_to_lose, 0);
	expect_completed_alike();
}

static void consent_is_asked_for_and_expires(void **state)
{
	uint64_t cut_us;

	(void)state;
	wire_connect(&w);
	wire_run(&w, 60 * US_PER_S);
	expect_completed_alike();
	/* About twelve of each, and the start. */
	assert_in_range(w.host[0].sent_requests, 11, 18);
	w.filter = drop_all;
	cut_us = w.now_us;
	while (wire_state(&w, 0) == ICE_AGENT_COMPLETED)
		wire_run(&w, 100 * US_PER_MS);
	/* 30 s after the last answer, which came at most 6 s before the cut. */
	assert_in_range(w.now_us - cut_us, 23 * US_PER_S, 31 * US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	assert_false(ice_agent_get_path(w.host[0].agent, &(struct ice_path){0}));
	wire_run(&w, 10 * US_PER_S);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_DISCONNECTED);
	/* The consent is gone: nothing is sent any more. */
	w.host[0].sent = 0;
	wire_run(&w, 100 * US_PER_S);
	assert_int_equal(w.host[0].sent, 0);
}

static void authenticated_data_keeps_a_session(void **state)
{
	(void)state;
	wire_connect(&w);
	wire_run(&w, US_PER_S);
	w.filter = drop_all; /* checks, not data */
	for (int i = 0; i < 300; i++) {
		wire_run(&w, US_PER_S);
		ice_agent_on_authenticated(w.host[0].agent, w.now_us);
	}
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_DISCONNECTED);
}

static void the_peers_check_revives(void **state)
{
	(void)state;
	wire_connect(&w);
	wire_run(&w, US_PER_S);
	w.filter = drop_all;
	for (int i = 0; i < 60; i++) {
		wire_run(&w, US_PER_S);
		ice_agent_on_authenticated(w.host[1].agent, w.now_us);
	}
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	/* Host 1 still asks for consent; when that gets through, host 0 checks and is back. */
	w.filter = NULL;
	wire_run(&w, 10 * US_PER_S);
	expect_completed_alike();
}

static void data_of_the_peer_revives(void **state)
{
	(void)state;
	wire_connect(&w);
	wire_run(&w, US_PER_S);
	w.filter = drop_all;
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_DISCONNECTED);
	w.filter = NULL;
	for (int i = 0; i < 100; i++)
		ice_agent_on_authenticated(w.host[0].agent, w.now_us);
	w.host[0].sent_requests = 0;
	wire_run(&w, US_PER_S);
	expect_completed_alike();
	assert_in_range(w.host[0].sent_requests, 1, 4);
}

/* Host 0's NAT has been restarted: its port is another one. */
static bool rebound(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	if (sender == 0) {
		d->from.port = 4444;
		return true;
	}
	if (d->to.port == 1000)
		return false;
	d->to.port = 1000;
	return true;
}

static void a_restarted_nat(void **state)
{
	(void)state;
	for (size_t controlling = 0; controlling < 2; controlling++) {
		tear_down(NULL);
		wire_init(&w, 81 + controlling);
		wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
		wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
		wire_open(&w, 0, controlling == 0);
		wire_open(&w, 1, controlling == 1);
		wire_tell(&w, 0);
		wire_tell(&w, 1);
		wire_run(&w, 10 * US_PER_S);
		expect_completed_alike();
		w.filter = rebound;
		/* Data of host 0 still arrives and keeps the session; it must not keep the path. */
		for (int i = 0; i < 20; i++) {
			wire_run(&w, US_PER_S);
			ice_agent_on_authenticated(w.host[1].agent, w.now_us);
		}
		expect_completed_alike();
		assert_int_equal(path_of(1).remote.port, 4444);
		assert_int_equal(path_of(0).local.port, 4444);
		wire_run(&w, 100 * US_PER_S);
		expect_completed_alike();
		assert_int_equal(w.host[1].states[ICE_AGENT_DISCONNECTED], 0);
	}
}

static bool nominates(const struct wire_datagram *d)
{
	struct stun_message m;

	assert_int_equal(stun_decode(&m, d->buf, d->len), OK);
	return stun_has(&m, STUN_USE_CANDIDATE);
}

static bool no_nominations(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	return !nominates(d);
}

static bool rebound_without_nominations(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	return !nominates(d) && rebound(wire, sender, d);
}

/* The same while the nomination gets lost all the time. */
static void a_restarted_nat_before_the_nomination(void **state)
{
	(void)state;
	w.filter = no_nominations;
	wire_connect(&w);
	wire_run(&w, 10 * US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	w.filter = rebound_without_nominations;
	for (int i = 0; i < 60; i++) {
		wire_run(&w, US_PER_S);
		ice_agent_on_authenticated(w.host[1].agent, w.now_us);
	}
	assert_int_equal(path_of(1).remote.port, 4444);
	assert_int_equal(path_of(0).local.port, 4444);
	w.filter = rebound;
	wire_run(&w, 60 * US_PER_S);
	expect_completed_alike();
	assert_int_equal(w.host[1].states[ICE_AGENT_DISCONNECTED], 0);
}

static bool keep_alive_seen;

/* A Binding indication with FINGERPRINT and nothing else (RFC 8445 s. 11). */
static bool cut_consent(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	struct stun_message m;

	(void)wire;
	(void)sender;
	assert_int_equal(stun_decode(&m, d->buf, d->len), OK);
	if (m.class != STUN_CLASS_INDICATION)
		return true;
	assert_int_equal(m.method, STUN_METHOD_BINDING);
	assert_int_equal(m.present, 1ULL << STUN_FINGERPRINT);
	assert_int_equal(d->len, STUN_HEADER_BYTES + 8);
	keep_alive_seen = true;
	return true;
}

static void valid_pairs_are_kept_open_before_nomination(void **state)
{
	(void)state;
	/* The controlling end hears nothing of us, so it never nominates. */
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_add_socket(&w, 1, 1, "192.0.2.3:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	keep_alive_seen = false;
	w.filter = cut_consent;
	wire_tell(&w, 1);
	wire_run(&w, 10 * US_PER_S);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_CONNECTED);
	assert_false(keep_alive_seen);
	wire_run(&w, 6 * US_PER_S);
	assert_true(keep_alive_seen);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_CONNECTED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(bad_luck_does_not_end_a_path),
		T(consent_is_asked_for_and_expires),
		T(authenticated_data_keeps_a_session),
		T(the_peers_check_revives),
		T(data_of_the_peer_revives),
		T(a_restarted_nat),
		T(a_restarted_nat_before_the_nomination),
		T(valid_pairs_are_kept_open_before_nomination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
