/* The side that asks: checks, their answers, and answers that are not. */
#include "tests/unit/ice/played_peer.h"

static void the_request(void **state)
{
	struct wire_datagram d;
	struct stun_message m;
	char user[64];

	(void)state;
	take_check(&d, &m); /* at once */
	snprintf(user, sizeof(user), "theirs:%s", w.host[0].agent->current->ufrag);
	assert_int_equal(m.username.len, strlen(user));
	assert_memory_equal(m.username.p, user, strlen(user));
	assert_int_equal(m.priority, ice_priority(ICE_CANDIDATE_PRFLX, 65535));
	assert_int_equal(m.ice_controlling, w.host[0].agent->tie_breaker);
	assert_false(stun_has(&m, STUN_ICE_CONTROLLED));
	assert_false(stun_has(&m, STUN_USE_CANDIDATE));
	assert_true(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(stun_check_integrity(&m, PWD, strlen(PWD)), OK);
}

static void sent_seven_times_and_then_failed(void **state)
{
	static const uint64_t times_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
	uint64_t start_us = w.now_us;
	struct wire_datagram d, first;
	struct stun_message m;
	struct ice_event ev;

	(void)state;
	take_check(&first, &m);
	for (size_t i = 1; i < ARRAY_SIZE(times_ms); i++) {
		while (w.now_us < start_us + times_ms[i] * US_PER_MS)
			advance();
		take_check(&d, &m);
		assert_int_equal(w.now_us, start_us + times_ms[i] * US_PER_MS);
		assert_int_equal(d.len, first.len);
		assert_memory_equal(d.buf, first.buf, d.len); /* the same request */
	}
	while (wire_state(&w, 0) == ICE_AGENT_CHECKING)
		advance();
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_FAILED);
	assert_int_equal(w.now_us, start_us + 39500 * US_PER_MS);
	assert_true(wire_is_silent(&w, 0));
	assert_int_equal(ice_engine_next_deadline(w.host[0].engine), DEADLINE_NONE);
	while (ice_engine_pop_event(w.host[0].engine, &ev)) {
		if (ev.type == ICE_EVENT_STATE)
			assert_int_equal(ev.state, ICE_AGENT_FAILED);
	}
}

static void success_makes_a_path_then_a_nomination(void **state)
{
	struct wire_datagram d;
	struct stun_message m;
	struct ice_path path;
	uint64_t start_us = w.now_us;

	(void)state;
	take_check(&d, &m);
	w.now_us += 7 * US_PER_MS;
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_true(ice_agent_get_path(w.host[0].agent, &path));
	assert_int_equal(path.rtt_us, 7 * US_PER_MS);
	assert_false(path.nominated);
	assert_int_equal(path.local_type, ICE_CANDIDATE_HOST);
	assert_true(wire_is_silent(&w, 0)); /* Ta is 20 ms, the larger of 10 and 20 */
	advance();
	assert_int_equal(w.now_us, start_us + 20 * US_PER_MS);
	take_check(&d, &m);
	assert_true(stun_has(&m, STUN_USE_CANDIDATE));
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_true(ice_agent_get_path(w.host[0].agent, &path) && path.nominated);
	assert_true(wire_is_silent(&w, 0)); /* once */
}

static void unauthenticated_answers_do_not_count(void **state)
{
	struct wire_datagram d;
	struct stun_message m;
	struct wire_forge f = {.mapped = &w.host[0].addr[0]};

	(void)state;
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, f), DROP_INTEGRITY);
	f.pwd = "wrongwrongwrongwrongwrong";
	assert_int_equal(answer(&m, &remote, f), DROP_INTEGRITY);
	f = (struct wire_forge){.class = STUN_CLASS_ERROR, .error = 401};
	assert_int_equal(answer(&m, &remote, f), DROP_INTEGRITY);
	f.error = 487;
	assert_int_equal(answer(&m, &remote, f), DROP_INTEGRITY);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(list->pairs[0].state, ICE_PAIR_IN_PROGRESS);
	/* The real one still does. */
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
}

static void spoofed_from_another_address(void **state)
{
	struct netaddr elsewhere = wire_addr("198.51.100.66:6");
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	take_check(&d, &m);
	/* Who does not know the password does no harm. */
	assert_int_equal(answer(&m, &elsewhere, (struct wire_forge){.mapped = &elsewhere}),
			 DROP_INTEGRITY);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_IN_PROGRESS);
	/* A real answer that comes from elsewhere fails the pair (RFC 8445 s. 7.2.5.2.1). */
	assert_int_equal(answer(&m, &elsewhere,
				(struct wire_forge){.pwd = PWD, .mapped = &w.host[0].addr[0]}),
			 DROP_ASYMMETRIC);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_FAILED);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING); /* 39.5 s are not over */
}

static void an_answer_counts_once(void **state)
{
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	take_check(&d, &m);
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(answer_well(&m), DROP_NO_TRANSACTION);
}

static void malformed_answers(void **state)
{
	struct netaddr blocked = wire_addr("100.64.0.1:5"), loop = wire_addr("127.0.0.1:5");
	struct netprefix overlay;
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	assert_int_equal(netprefix_parse("100.64.0.0/10", &overlay), OK);
	assert_int_equal(ice_engine_set_blocked(w.host[0].engine, &overlay, 1), OK);
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, (struct wire_forge){.pwd = PWD, .mapped = &blocked}),
			 DROP_BLOCKED);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_FAILED);
	tear_down(NULL);
	set_up(NULL);
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, (struct wire_forge){.pwd = PWD, .mapped = &loop}),
			 DROP_BLOCKED);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CHECKING);
	tear_down(NULL);
	set_up(NULL);
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, (struct wire_forge){.pwd = PWD}), DROP_MALFORMED);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_FAILED);
	tear_down(NULL);
	set_up(NULL);
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote,
				(struct wire_forge){.pwd = PWD,
						    .mapped = &w.host[0].addr[0],
						    .unknown = 0x7777}),
			 DROP_UNKNOWN_TYPE);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_FAILED);
}

static void a_mapped_address_of_no_candidate_is_peer_reflexive(void **state)
{
	struct netaddr mapped = wire_addr("203.0.113.5:5555");
	struct wire_datagram d;
	struct stun_message m;
	struct ice_path path;

	(void)state;
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, (struct wire_forge){.pwd = PWD, .mapped = &mapped}),
			 OK);
	assert_true(ice_agent_get_path(w.host[0].agent, &path));
	assert_int_equal(path.local_type, ICE_CANDIDATE_PRFLX);
	assert_true(netaddr_equal(&path.local, &mapped));
	assert_true(netaddr_equal(&path.remote, &remote));
	assert_int_equal(list->pairs[0].valid_local_priority,
			 ice_priority(ICE_CANDIDATE_PRFLX, 65535));
}

static void conflict_makes_us_switch_with_a_new_tie_breaker(void **state)
{
	struct wire_forge conflict = {.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 487};
	uint64_t old = w.host[0].agent->tie_breaker, priority = list->pairs[0].priority;
	struct wire_datagram d;
	struct stun_message m, second;
	struct wire_datagram d2;

	(void)state;
	take_check(&d, &m);
	assert_int_equal(answer(&m, &remote, conflict), OK);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	assert_true(w.host[0].agent->tie_breaker != old);
	assert_true(list->pairs[0].priority != priority);
	/* The check is done again, in the new role. */
	advance();
	take_check(&d2, &second);
	assert_true(stun_has(&second, STUN_ICE_CONTROLLED));
	assert_int_equal(second.ice_controlled, w.host[0].agent->tie_breaker);
	/* That answer again changes nothing; a conflict in the new role does. */
	assert_int_equal(answer(&m, &remote, conflict), DROP_NO_TRANSACTION);
	assert_int_equal(answer(&second, &remote, conflict), OK);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
}

/* RFC 8445 s. 7.2.5.1 comes before 7.2.5.2.1: where the answer is from does not matter. */
static void a_conflict_counts_wherever_it_comes_from(void **state)
{
	struct wire_forge conflict = {.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 487};
	struct wire_forge other = {.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 400};
	struct netaddr elsewhere = wire_addr("198.51.100.66:6");
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	take_check(&d, &m);
	assert_int_equal(answer(&m, &elsewhere,
				(struct wire_forge){.class = STUN_CLASS_ERROR, .error = 487}),
			 DROP_INTEGRITY);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(answer(&m, &elsewhere, conflict), OK);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	advance();
	take_check(&d, &m);
	assert_true(stun_has(&m, STUN_ICE_CONTROLLED));
	assert_int_equal(answer(&m, &elsewhere, other), DROP_ASYMMETRIC);
}

static void a_stale_conflict_does_not_flip_the_role_back(void **state)
{
	struct wire_forge conflict = {.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 487};
	struct wire_forge theirs = {.user = w.host[0].agent->current->ufrag,
				    .peer_user = "theirs",
				    .pwd = w.host[0].agent->current->pwd,
				    .priority = 1,
				    .controlling = true,
				    .tie_breaker = UINT64_MAX};
	struct wire_datagram d, reply;
	struct stun_message m, reply_message;

	(void)state;
	take_check(&d, &m);
	/* Their own check has already made us controlled. */
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	wire_take(&w, 0, &reply, &reply_message);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(answer(&m, &remote, conflict), OK);
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	/* And the check is done again. */
	advance();
	take_check(&d, &m);
	assert_true(stun_has(&m, STUN_ICE_CONTROLLED));
}

static void an_inbound_check_renews_ours(void **state)
{
	struct wire_forge theirs = {.user = w.host[0].agent->current->ufrag,
				    .peer_user = "theirs",
				    .pwd = w.host[0].agent->current->pwd,
				    .priority = 1,
				    .controlled = true};
	struct wire_datagram d, again;
	struct stun_message m, second;
	uint64_t start_us = w.now_us;

	(void)state;
	take_check(&d, &m); /* lost, say */
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	wire_take(&w, 0, &again, &second);
	assert_int_equal(second.class, STUN_CLASS_SUCCESS);
	/* A new transaction in the next slot, not after the RTO of 500 ms. */
	advance();
	assert_int_equal(w.now_us, start_us + 20 * US_PER_MS);
	take_check(&again, &second);
	assert_memory_not_equal(second.txid, m.txid, STUN_TXID_BYTES);
	/* The old one is not sent again ... */
	w.now_us = start_us + 510 * US_PER_MS;
	ice_engine_on_deadline(w.host[0].engine, w.now_us);
	assert_true(wire_is_silent(&w, 0));
	/* ... but its answer still counts. */
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_int_equal(answer_well(&second), DROP_NO_TRANSACTION);
}

static void a_storm_of_checks_does_not_make_us_forget_answers(void **state)
{
	struct wire_forge theirs = {.user = w.host[0].agent->current->ufrag,
				    .peer_user = "theirs",
				    .pwd = w.host[0].agent->current->pwd,
				    .priority = 1,
				    .controlled = true};
	struct stun_message m, checks[8];
	struct wire_datagram d;
	struct ice_transmit t;
	uint64_t start_us = w.now_us, times_us[8];
	size_t count = 0;

	(void)state;
	/* Theirs come every 50 ms for 10 s, the answers to ours take longer than that. */
	while (w.now_us < start_us + 10 * US_PER_S) {
		assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
		w.now_us += 50 * US_PER_MS;
		ice_engine_on_deadline(w.host[0].engine, w.now_us);
		while (ice_engine_pop_transmit(w.host[0].engine, &t, d.buf, sizeof(d.buf))) {
			bool is_new;

			assert_int_equal(stun_decode(&m, d.buf, t.len), OK);
			is_new = m.class == STUN_CLASS_REQUEST;
			for (size_t i = 0; i < count; i++)
				is_new &= memcmp(checks[i].txid, m.txid, STUN_TXID_BYTES) != 0;
			if (!is_new)
				continue;
			assert_true(count < ARRAY_SIZE(checks));
			checks[count] = m;
			times_us[count++] = w.now_us;
		}
	}
	/* The first one was renewed at once, then ever more rarely. */
	assert_in_range(times_us[1] - start_us, 1, 50 * US_PER_MS);
	for (size_t i = 2; i < count; i++)
		assert_true(times_us[i] - times_us[i - 2] >=
			    (STUN_RTO_US << (i - 2)) - 50 * US_PER_MS);
	assert_in_range(count, 4, 8);
	/* The last two both still count. */
	assert_int_equal(answer_well(&checks[count - 3]), DROP_NO_TRANSACTION);
	assert_int_equal(answer_well(&checks[count - 2]), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
}

static void a_failed_pair_comes_back_by_the_peers_check(void **state)
{
	struct wire_forge theirs = {.user = w.host[0].agent->current->ufrag,
				    .peer_user = "theirs",
				    .pwd = w.host[0].agent->current->pwd,
				    .priority = 1,
				    .controlled = true};
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	while (wire_state(&w, 0) != ICE_AGENT_FAILED)
		advance();
	while (!wire_is_silent(&w, 0))
		;
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	wire_take(&w, 0, &d, &m);
	take_check(&d, &m);
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
}

static void other_errors_fail_the_pair(void **state)
{
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	take_check(&d, &m);
	assert_int_equal(
		answer(&m, &remote,
		       (struct wire_forge){.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 500}),
		OK);
	assert_int_equal(list->pairs[0].state, ICE_PAIR_FAILED);
}

static void rto_grows_with_the_number_of_checks(void **state)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = PWD, .ta_ms = 50};
	struct ice_checklist *l;

	(void)state;
	ice_agent_close(w.host[0].agent, w.now_us);
	wire_open(&w, 0, true);
	for (size_t i = 0; i < 20; i++) {
		d.candidates[i].addr = wire_addr("192.0.2.100:1");
		d.candidates[i].addr.port = (uint16_t)(i + 1);
		d.candidates[i].priority = (uint32_t)(1000 - i);
		snprintf(d.candidates[i].foundation, 33, "%zu", i);
	}
	d.candidate_count = 20;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	l = &w.host[0].agent->current->list;
	/* The pacer's slot was used by the check of set_up(). */
	advance();
	assert_int_equal(l->pairs[0].state, ICE_PAIR_IN_PROGRESS);
	/* 20 x 50 ms > 500 ms. */
	assert_int_equal(l->pairs[0].requests->check.txn.rto_us, 1000 * US_PER_MS);
	assert_int_equal(l->pairs[1].state, ICE_PAIR_WAITING);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_request),
		T(sent_seven_times_and_then_failed),
		T(success_makes_a_path_then_a_nomination),
		T(unauthenticated_answers_do_not_count),
		T(spoofed_from_another_address),
		T(an_answer_counts_once),
		T(malformed_answers),
		T(a_mapped_address_of_no_candidate_is_peer_reflexive),
		T(conflict_makes_us_switch_with_a_new_tie_breaker),
		T(a_conflict_counts_wherever_it_comes_from),
		T(a_stale_conflict_does_not_flip_the_role_back),
		T(an_inbound_check_renews_ours),
		T(a_storm_of_checks_does_not_make_us_forget_answers),
		T(a_failed_pair_comes_back_by_the_peers_check),
		T(other_errors_fail_the_pair),
		T(rto_grows_with_the_number_of_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
