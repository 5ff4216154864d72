/* What each error code does to each request, against a server that says so; and credentials. */
#include "tests/unit/turn/link.h"

struct refusal {
	uint16_t method, code;
	unsigned int times;
	enum turn_event_type type;
	enum turn_problem problem;
	uint32_t retry_s;
};

/* RFC 8656 s. 7.4, 8.3; the last row of each method is a code that nobody has defined. */
static const struct refusal refusals[] = {
	{STUN_METHOD_ALLOCATE, 300, 1, TURN_EVENT_FAILED, TURN_PROBLEM_ALTERNATE, 60},
	{STUN_METHOD_ALLOCATE, 400, 1, TURN_EVENT_FAILED, TURN_PROBLEM_PROTOCOL, 300},
	{STUN_METHOD_ALLOCATE, 403, 1, TURN_EVENT_FAILED, TURN_PROBLEM_FORBIDDEN, 0},
	{STUN_METHOD_ALLOCATE, 420, 1, TURN_EVENT_FAILED, TURN_PROBLEM_PROTOCOL, 0},
	{STUN_METHOD_ALLOCATE, 437, 1, TURN_EVENT_ALLOCATED, TURN_PROBLEM_NONE, 0},
	{STUN_METHOD_ALLOCATE, 437, 2, TURN_EVENT_FAILED, TURN_PROBLEM_MISMATCH, 120},
	{STUN_METHOD_ALLOCATE, 438, 2, TURN_EVENT_ALLOCATED, TURN_PROBLEM_NONE, 0},
	{STUN_METHOD_ALLOCATE, 438, 9, TURN_EVENT_FAILED, TURN_PROBLEM_CREDENTIALS, 0},
	{STUN_METHOD_ALLOCATE, 440, 1, TURN_EVENT_FAILED, TURN_PROBLEM_FAMILY, 0},
	{STUN_METHOD_ALLOCATE, 441, 1, TURN_EVENT_FAILED, TURN_PROBLEM_CREDENTIALS, 0},
	{STUN_METHOD_ALLOCATE, 442, 1, TURN_EVENT_FAILED, TURN_PROBLEM_TRANSPORT, 0},
	{STUN_METHOD_ALLOCATE, 486, 1, TURN_EVENT_FAILED, TURN_PROBLEM_QUOTA, 60},
	{STUN_METHOD_ALLOCATE, 500, 1, TURN_EVENT_FAILED, TURN_PROBLEM_SERVER, 60},
	{STUN_METHOD_ALLOCATE, 508, 1, TURN_EVENT_FAILED, TURN_PROBLEM_CAPACITY, 60},
	{STUN_METHOD_ALLOCATE, 599, 1, TURN_EVENT_FAILED, TURN_PROBLEM_SERVER, 60},
	{STUN_METHOD_ALLOCATE, 666, 1, TURN_EVENT_FAILED, TURN_PROBLEM_REFUSED, 300},
	{STUN_METHOD_REFRESH, 400, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_PROTOCOL, 0},
	{STUN_METHOD_REFRESH, 403, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_FORBIDDEN, 0},
	{STUN_METHOD_REFRESH, 437, 1, TURN_EVENT_LOST, TURN_PROBLEM_GONE, 1},
	{STUN_METHOD_REFRESH, 440, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_FAMILY, 0},
	{STUN_METHOD_REFRESH, 441, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_CREDENTIALS, 0},
	{STUN_METHOD_REFRESH, 443, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_FAMILY, 0},
	{STUN_METHOD_REFRESH, 486, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_QUOTA, 0},
	{STUN_METHOD_REFRESH, 500, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_SERVER, 0},
	{STUN_METHOD_REFRESH, 666, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_REFUSED, 0},
	{STUN_METHOD_CREATE_PERMISSION, 400, 9, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_PROTOCOL, 0},
	{STUN_METHOD_CREATE_PERMISSION, 403, 9, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_FORBIDDEN, 0},
	{STUN_METHOD_CREATE_PERMISSION, 437, 1, TURN_EVENT_LOST, TURN_PROBLEM_GONE, 1},
	{STUN_METHOD_CREATE_PERMISSION, 441, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_CREDENTIALS, 0},
	{STUN_METHOD_CREATE_PERMISSION, 443, 9, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_FAMILY, 0},
	{STUN_METHOD_CREATE_PERMISSION, 500, 1, TURN_EVENT_PERMITTED, TURN_PROBLEM_NONE, 0},
	{STUN_METHOD_CREATE_PERMISSION, 508, 9, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_CAPACITY, 0},
	{STUN_METHOD_CREATE_PERMISSION, 666, 9, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_REFUSED, 0},
	{STUN_METHOD_CHANNEL_BIND, 400, 1, TURN_EVENT_LOST, TURN_PROBLEM_SYNC, 1},
	{STUN_METHOD_CHANNEL_BIND, 403, 1, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_FORBIDDEN, 0},
	{STUN_METHOD_CHANNEL_BIND, 437, 1, TURN_EVENT_LOST, TURN_PROBLEM_GONE, 1},
	{STUN_METHOD_CHANNEL_BIND, 441, 1, TURN_EVENT_EXPIRING, TURN_PROBLEM_CREDENTIALS, 0},
	{STUN_METHOD_CHANNEL_BIND, 443, 1, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_FAMILY, 0},
	{STUN_METHOD_CHANNEL_BIND, 500, 1, TURN_EVENT_CHANNEL, TURN_PROBLEM_NONE, 0},
	{STUN_METHOD_CHANNEL_BIND, 508, 1, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_CAPACITY, 0},
	{STUN_METHOD_CHANNEL_BIND, 666, 1, TURN_EVENT_PEER_REFUSED, TURN_PROBLEM_REFUSED, 0},
};

static void provoke(struct link *l, const struct refusal *r)
{
	struct netaddr peer = link_address("192.0.2.9:1000");

	l->server.config.error_method = r->method;
	l->server.config.error_code = r->code;
	l->server.config.error_times = r->times;
	link_start(l);
	if (r->method == STUN_METHOD_REFRESH)
		turn_allocation_verify(l->a, l->now_us);
	if (r->method == STUN_METHOD_CREATE_PERMISSION)
		assert_int_equal(turn_allocation_permit(l->a, l->now_us, &peer, 1), OK);
	if (r->method == STUN_METHOD_CHANNEL_BIND)
		assert_int_equal(turn_allocation_bind(l->a, l->now_us, &peer), OK);
	link_run(l, 45 * US_PER_S);
}

static void each_code_has_its_consequence(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		const struct turn_event *e;
		struct link l;

		link_open(&l);
		provoke(&l, r);
		e = link_event(&l, r->type);
		if (!e || e->problem != r->problem)
			fail_msg("method %u, code %u", (unsigned int)r->method,
				 (unsigned int)r->code);
		if (r->problem != TURN_PROBLEM_NONE)
			assert_int_equal(e->code, r->code);
		if (r->type == TURN_EVENT_FAILED || r->type == TURN_EVENT_LOST)
			assert_int_equal(e->retry_us, r->retry_s * US_PER_S);
		link_close(&l);
	}
}

/* An error without integrity may be anybody's: it is not believed, but it is what a person is told
 * when nothing better came. */
static void an_unauthentic_error_is_only_a_hint(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.server.config.error_method = STUN_METHOD_ALLOCATE;
	l.server.config.error_code = 403;
	l.server.config.error_times = 1;
	l.server.config.error_bare = true;
	link_start(&l);
	assert_int_equal(l.event_count, 0);
	link_run(&l, US_PER_S);
	assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
	link_close(&l);

	link_open(&l);
	l.server.config.error_method = STUN_METHOD_ALLOCATE;
	l.server.config.error_code = 403;
	l.server.config.error_times = 99;
	l.server.config.error_bare = true;
	link_start(&l);
	link_run(&l, 41 * US_PER_S);
	assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem, TURN_PROBLEM_FORBIDDEN);
	link_close(&l);
}

/* Made by an earlier life of ours with other credentials: what the server says of it has no
 * integrity that we could look at. */
static void an_older_allocation_is_left_at_once(void **state)
{
	const struct turn_event *e;
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	turn_allocation_destroy(l.a);
	l.event_count = 0;
	l.params.username = "another";
	l.server.config.username = NULL;
	l.server.config.error_method = STUN_METHOD_ALLOCATE;
	l.server.config.error_code = 437;
	l.server.config.error_times = 2;
	l.server.config.error_bare = true;
	link_start(&l);
	e = link_event(&l, TURN_EVENT_FAILED);
	assert_non_null(e);
	assert_int_equal(e->problem, TURN_PROBLEM_MISMATCH);
	assert_int_equal(e->code, 437);
	link_close(&l);
}

static void giving_back_ends_with_any_answer(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.server.config.error_method = STUN_METHOD_REFRESH;
	l.server.config.error_code = 441;
	l.server.config.error_times = 1;
	l.server.config.error_bare = true;
	turn_allocation_release(l.a, l.now_us);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_RELEASED));
	assert_int_equal(turn_allocation_state(l.a), TURN_RELEASED);
	link_close(&l);
}

static void wrong_credentials_are_tried_once(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.params.password = "wrong";
	link_start(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem, TURN_PROBLEM_CREDENTIALS);
	assert_int_equal(l.sent, 2);
	/* With the right ones it begins anew. */
	assert_int_equal(turn_allocation_set_credentials(l.a, l.now_us, "user", "secret"), OK);
	assert_int_equal(turn_allocation_restart(l.a, l.now_us, NULL), OK);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
	/* A standing allocation belongs to its user (441). */
	assert_int_equal(turn_allocation_set_credentials(l.a, l.now_us, "other", "x"),
			 ERR_WRONG_STATE);
	assert_int_equal(turn_allocation_set_credentials(l.a, l.now_us, "user", ""), ERR_INVALID);
	link_close(&l);
}

static void a_new_password_is_taken_up(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.server.config.password = "changed";
	turn_allocation_verify(l.a, l.now_us);
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_EXPIRING)->problem, TURN_PROBLEM_CREDENTIALS);
	assert_int_equal(turn_allocation_set_credentials(l.a, l.now_us, "user", "changed"), OK);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_RENEWED));
	link_close(&l);
}

static void a_nonce_goes_stale_at_any_request(void **state)
{
	struct netaddr peer = link_address("192.0.2.9:1000");
	struct link l;

	(void)state;
	link_open(&l);
	l.server.config.nonce_life_us = 1;
	link_start(&l);
	l.now_us += US_PER_S;
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peer, 1), OK);
	link_pump(&l);
	l.now_us += US_PER_S;
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	link_pump(&l);
	l.now_us += US_PER_S;
	turn_allocation_verify(l.a, l.now_us);
	link_pump(&l);
	l.now_us += US_PER_S;
	turn_allocation_release(l.a, l.now_us);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_PERMITTED));
	assert_non_null(link_event(&l, TURN_EVENT_CHANNEL));
	assert_int_equal(l.server.requests[STUN_METHOD_REFRESH], 2);
	assert_int_equal(l.server.releases, 1);
	link_close(&l);
}

static void another_realm_ends_it(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.server.config.realm = "example.com";
	turn_allocation_verify(l.a, l.now_us);
	l.server.config.nonce_life_us = 0;
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_EXPIRING)->problem, TURN_PROBLEM_REALM);
	link_close(&l);
}

/* RFC 8489 s. 9.2. */
static void sha256_where_the_server_offers_it(void **state)
{
	struct link l;

	(void)state;
	for (int i = 0; i < 2; i++) {
		link_open(&l);
		l.server.config.algorithms = i ? TURN_SERVER_MD5 : TURN_SERVER_SHA256;
		turn_server_restart(&l.server, l.now_us);
		link_start(&l);
		assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
		assert_int_equal(l.server.sha256_requests, 1);
		turn_allocation_verify(l.a, l.now_us);
		link_pump(&l);
		assert_int_equal(l.server.sha256_requests, 2);
		link_close(&l);
	}
	link_open(&l);
	link_start(&l);
	assert_int_equal(l.server.sha256_requests, 0);
	link_close(&l);
}

/* s. 9.2.4: USERHASH. Of the features in the nonce some servers have the first bit at one end, some
 * at the other (erratum 6290). */
static void whom_nobody_may_know(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 8; bits++) {
		struct link l;

		link_open(&l);
		l.server.config.anonymous = bits & 1;
		l.server.config.lowest_first = bits & 2;
		l.server.config.algorithms = bits & 4 ? TURN_SERVER_SHA256 : TURN_SERVER_MD5_SHA1;
		turn_server_restart(&l.server, l.now_us);
		link_start(&l);
		assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
		turn_allocation_verify(l.a, l.now_us);
		link_pump(&l);
		assert_int_equal(l.server.requests[STUN_METHOD_REFRESH], 1);
		assert_int_equal(l.server.sha256_requests, bits & 4 ? 2 : 0);
		link_close(&l);
	}
}

static void nobody_talks_us_into_weaker_algorithms(void **state)
{
	static const enum turn_server_algorithms bad[] = {TURN_SERVER_DOWNGRADED,
							  TURN_SERVER_UNKNOWN};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct link l;

		link_open(&l);
		l.server.config.algorithms = bad[i];
		turn_server_restart(&l.server, l.now_us);
		link_start(&l);
		assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem,
				 TURN_PROBLEM_DOWNGRADE);
		assert_int_equal(l.sent, 1);
		link_close(&l);
	}
}

static void follow(struct link *l, const char *to)
{
	link_open(l);
	l->server.config.error_method = STUN_METHOD_ALLOCATE;
	l->server.config.error_code = 300;
	l->server.config.error_times = 99;
	l->server.config.alternate = link_address(to);
	link_start(l);
}

static void another_server_is_named(void **state)
{
	static const char *const useless[] = {"127.0.0.1:3478", "[2001:db8::1]:3478",
					      "203.0.113.1:3478", "0.0.0.0:3478"};
	struct link l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
		follow(&l, useless[i]);
		assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem,
				 TURN_PROBLEM_ALTERNATE);
		link_close(&l);
	}
	follow(&l, "203.0.113.2:3478");
	assert_int_equal(turn_allocation_state(l.a), TURN_REDIRECTED);
	assert_true(netaddr_equal(&link_event(&l, TURN_EVENT_ALTERNATE)->server,
				  &l.server.config.alternate));
	/* Three times; not for ever. */
	for (unsigned int port = 1; port < 5; port++) {
		l.server.address = l.server.config.alternate;
		l.server.config.alternate.port = (uint16_t)port;
		if (turn_allocation_state(l.a) != TURN_REDIRECTED)
			break;
		assert_int_equal(turn_allocation_restart(l.a, l.now_us, &l.server.address), OK);
		link_pump(&l);
	}
	assert_int_equal(link_count(&l, TURN_EVENT_ALTERNATE), 3);
	assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem, TURN_PROBLEM_ALTERNATE);
	link_close(&l);
}

/* That was a loop; one who is sent on now and then is not. */
static void servers_move_now_and_then(void **state)
{
	struct link l;

	(void)state;
	follow(&l, "203.0.113.2:3478");
	for (unsigned int port = 1; port < 8; port++) {
		assert_int_equal(turn_allocation_state(l.a), TURN_REDIRECTED);
		l.server.address = l.server.config.alternate;
		l.server.config.error_times = 0;
		assert_int_equal(turn_allocation_restart(l.a, l.now_us, &l.server.address), OK);
		link_pump(&l);
		assert_int_equal(turn_allocation_state(l.a), TURN_ALLOCATED);
		turn_server_restart(&l.server, l.now_us);
		turn_allocation_verify(l.a, l.now_us);
		link_pump(&l);
		assert_int_equal(turn_allocation_state(l.a), TURN_LOST);
		l.server.config.alternate.port = (uint16_t)port;
		l.server.config.error_times = 1;
		assert_int_equal(turn_allocation_restart(l.a, l.now_us, NULL), OK);
		link_pump(&l);
	}
	link_close(&l);
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < TURN_STATE_COUNT; i++)
		assert_string_not_equal(turn_state_name((enum turn_state)i), "unknown");
	for (int i = 0; i < TURN_PROBLEM_COUNT; i++) {
		assert_string_not_equal(turn_problem_name((enum turn_problem)i), "unknown");
		assert_true(strlen(turn_problem_text((enum turn_problem)i)) > 10);
	}
	assert_string_equal(turn_state_name(TURN_STATE_COUNT), "unknown");
	assert_string_equal(turn_problem_name(TURN_PROBLEM_COUNT), "unknown");
	assert_string_equal(turn_problem_text(TURN_PROBLEM_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_its_consequence),
		cmocka_unit_test(an_unauthentic_error_is_only_a_hint),
		cmocka_unit_test(an_older_allocation_is_left_at_once),
		cmocka_unit_test(giving_back_ends_with_any_answer),
		cmocka_unit_test(wrong_credentials_are_tried_once),
		cmocka_unit_test(a_new_password_is_taken_up),
		cmocka_unit_test(a_nonce_goes_stale_at_any_request),
		cmocka_unit_test(another_realm_ends_it),
		cmocka_unit_test(sha256_where_the_server_offers_it),
		cmocka_unit_test(whom_nobody_may_know),
		cmocka_unit_test(nobody_talks_us_into_weaker_algorithms),
		cmocka_unit_test(another_server_is_named),
		cmocka_unit_test(servers_move_now_and_then),
		cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
