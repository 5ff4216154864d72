/* The side that asks, once there is a path: consent and nominations. */
#include "tests/unit/ice/played_peer.h"

/* Goes on until host 0 sends a request, which is left in @d and @m. */
static void next_request(struct wire_datagram *d, struct stun_message *m)
{
	struct ice_transmit t;

	while (!ice_engine_pop_transmit(w.host[0].engine, &t, d->buf, sizeof(d->buf)))
		advance();
	d->to = t.to;
	d->len = t.len;
	assert_int_equal(stun_decode(m, d->buf, d->len), OK);
	assert_int_equal(m->class, STUN_CLASS_REQUEST);
}

static void complete(void)
{
	struct wire_datagram d;
	struct stun_message m;

	while (wire_state(&w, 0) != ICE_AGENT_COMPLETED) {
		next_request(&d, &m);
		assert_int_equal(answer_well(&m), OK);
	}
}

static void consent_requests(void **state)
{
	struct wire_datagram d;
	struct stun_message m;
	uint64_t start_us;

	(void)state;
	complete();
	start_us = w.now_us;
	for (int i = 0; i < 2; i++) {
		next_request(&d, &m);
		assert_false(stun_has(&m, STUN_USE_CANDIDATE));
		assert_true(stun_has(&m, STUN_ICE_CONTROLLING));
		assert_int_equal(stun_check_integrity(&m, PWD, strlen(PWD)), OK);
	}
	/* Two have been asked without being sent again; the answer to the last is enough. */
	assert_in_range(w.now_us - start_us, 8 * US_PER_S, 12 * US_PER_S);
	assert_int_equal(answer_well(&m), OK);
	start_us = w.now_us;
	while (wire_state(&w, 0) == ICE_AGENT_COMPLETED)
		advance();
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	assert_int_equal(w.now_us, start_us + 30 * US_PER_S);
}

static void consent_is_revoked_by_403(void **state)
{
	struct wire_forge f = {.class = STUN_CLASS_ERROR, .error = 403};
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	complete();
	next_request(&d, &m);
	assert_int_equal(answer(&m, &remote, f), DROP_INTEGRITY);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	f.pwd = PWD;
	assert_int_equal(answer(&m, &remote, f), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
}

static void a_nomination_in_vain_does_not_end_a_live_pair(void **state)
{
	uint64_t start_us = w.now_us;
	uint8_t first[STUN_TXID_BYTES] = {0};
	struct wire_datagram d;
	struct stun_message m;
	size_t nominations = 0;

	(void)state;
	/* Every answer to USE-CANDIDATE is lost. */
	while (w.now_us < start_us + 60 * US_PER_S) {
		next_request(&d, &m);
		if (!stun_has(&m, STUN_USE_CANDIDATE)) {
			assert_int_equal(answer_well(&m), OK);
		} else if (memcmp(first, m.txid, sizeof(first)) != 0) {
			memcpy(first, m.txid, sizeof(first));
			nominations++;
		}
		assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	}
	assert_int_equal(nominations, 2); /* another one only after the first has failed */
	while (!stun_has(&m, STUN_USE_CANDIDATE))
		next_request(&d, &m);
	assert_int_equal(answer_well(&m), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
}

/* Nothing of STUN comes back any more, but the tunnel's data does. */
static void a_lost_nomination_does_not_end_a_path_with_data(void **state)
{
	uint64_t start_us = w.now_us;
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	next_request(&d, &m);
	assert_int_equal(answer_well(&m), OK);
	while (w.now_us < start_us + 100 * US_PER_S) {
		wire_run(&w, US_PER_S);
		ice_agent_on_authenticated(w.host[0].agent, w.now_us);
		assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	}
}

static void a_conflict_over_the_nomination(void **state)
{
	struct wire_forge theirs = {.user = w.host[0].agent->current->ufrag,
				    .peer_user = "theirs",
				    .pwd = w.host[0].agent->current->pwd,
				    .priority = 1,
				    .controlling = true,
				    .use_candidate = true};
	struct wire_datagram d;
	struct stun_message m;

	(void)state;
	next_request(&d, &m);
	assert_int_equal(answer_well(&m), OK);
	next_request(&d, &m);
	assert_true(stun_has(&m, STUN_USE_CANDIDATE));
	assert_int_equal(
		answer(&m, &remote,
		       (struct wire_forge){.class = STUN_CLASS_ERROR, .pwd = PWD, .error = 487}),
		OK);
	/* They control: they nominate. */
	assert_false(ice_agent_is_controlling(w.host[0].agent));
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_CONNECTED);
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
}

static void the_best_of_several_nominations(void **state)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = PWD};
	struct wire_forge theirs = {
		.peer_user = "theirs", .priority = 1, .controlling = true, .use_candidate = true};
	struct netaddr best = wire_addr("192.0.2.10:10"), other = wire_addr("192.0.2.11:11");
	struct wire_datagram dg;
	struct stun_message m;
	struct ice_path path;
	struct ice_transmit t;

	(void)state;
	ice_agent_close(w.host[0].agent, w.now_us);
	while (!wire_is_silent(&w, 0))
		;
	wire_open(&w, 0, false);
	theirs.user = w.host[0].agent->current->ufrag;
	theirs.pwd = w.host[0].agent->current->pwd;
	d.candidates[0] = (struct ice_candidate){.addr = best, .priority = 2, .foundation = "1"};
	d.candidates[1] = (struct ice_candidate){.addr = other, .priority = 1, .foundation = "2"};
	d.candidate_count = 2;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	/* The peer nominates both with its checks, before ours are answered; the worse first. */
	assert_int_equal(wire_inject(&w, 0, &other, &theirs), OK);
	assert_int_equal(wire_inject(&w, 0, &best, &theirs), OK);
	for (int i = 0; i < 1000 && wire_state(&w, 0) != ICE_AGENT_COMPLETED; i++) {
		while (ice_engine_pop_transmit(w.host[0].engine, &t, dg.buf, sizeof(dg.buf))) {
			assert_int_equal(stun_decode(&m, dg.buf, t.len), OK);
			if (m.class == STUN_CLASS_REQUEST && netaddr_equal(&t.to, &other))
				(void)!answer(&m, &other,
					      (struct wire_forge){.pwd = PWD,
								  .mapped = &w.host[0].addr[0]});
		}
		advance();
	}
	assert_true(ice_agent_get_path(w.host[0].agent, &path));
	assert_true(netaddr_equal(&path.remote, &other));
	/* The better one is still being checked, and takes over. */
	for (int i = 0; i < 1000 && netaddr_equal(&path.remote, &other); i++) {
		while (ice_engine_pop_transmit(w.host[0].engine, &t, dg.buf, sizeof(dg.buf))) {
			assert_int_equal(stun_decode(&m, dg.buf, t.len), OK);
			if (m.class == STUN_CLASS_REQUEST)
				(void)!answer(&m, &t.to,
					      (struct wire_forge){.pwd = PWD,
								  .mapped = &w.host[0].addr[0]});
		}
		assert_true(ice_agent_get_path(w.host[0].agent, &path));
		advance();
	}
	assert_true(netaddr_equal(&path.remote, &best));
	assert_true(path.nominated);
}

/* Runs for @us; what goes to @alive is answered. */
static void play(const struct netaddr *alive, uint64_t us)
{
	uint64_t end_us = w.now_us + us;
	struct wire_datagram d;
	struct stun_message m;
	struct ice_transmit t;

	while (ice_engine_next_deadline(w.host[0].engine) <= end_us) {
		while (ice_engine_pop_transmit(w.host[0].engine, &t, d.buf, sizeof(d.buf))) {
			assert_int_equal(stun_decode(&m, d.buf, t.len), OK);
			if (m.class == STUN_CLASS_REQUEST && netaddr_equal(&t.to, alive))
				(void)!answer(&m, alive,
					      (struct wire_forge){.pwd = PWD,
								  .mapped = &w.host[0].addr[0]});
		}
		advance();
	}
	w.now_us = end_us;
}

static bool path_goes_to(const struct netaddr *to)
{
	struct ice_path path;

	return ice_agent_get_path(w.host[0].agent, &path) && netaddr_equal(&path.remote, to);
}

/* The controlled end has left the nominated pair, which did not answer for some time; the
 * controlling end has not: it still asks for consent there. Both have to end on one pair. */
static void back_to_what_the_peer_has_nominated(void **state)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = PWD};
	struct wire_forge theirs = {
		.peer_user = "theirs", .priority = 1, .controlling = true, .use_candidate = true};
	struct netaddr other = wire_addr("192.0.2.11:11");

	(void)state;
	ice_agent_close(w.host[0].agent, w.now_us);
	while (!wire_is_silent(&w, 0))
		;
	wire_open(&w, 0, false);
	theirs.user = w.host[0].agent->current->ufrag;
	theirs.pwd = w.host[0].agent->current->pwd;
	d.candidates[0] = (struct ice_candidate){.addr = remote, .priority = 2, .foundation = "1"};
	d.candidate_count = 1;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	play(&remote, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	theirs.use_candidate = false;
	/* Somebody sends an old check of the peer's again, from elsewhere, and lets everything
	 * through. */
	play(&other, 20 * US_PER_S);
	assert_int_equal(wire_inject(&w, 0, &other, &theirs), OK);
	play(&other, US_PER_S);
	assert_true(path_goes_to(&other));
	play(&remote, US_PER_S);
	assert_true(path_goes_to(&other));
	assert_int_equal(wire_inject(&w, 0, &remote, &theirs), OK);
	play(&remote, US_PER_S);
	assert_true(path_goes_to(&remote));
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(consent_requests),
		T(consent_is_revoked_by_403),
		T(a_nomination_in_vain_does_not_end_a_live_pair),
		T(a_lost_nomination_does_not_end_a_path_with_data),
		T(a_conflict_over_the_nomination),
		T(the_best_of_several_nominations),
		T(back_to_what_the_peer_has_nominated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
