/* Allocating, keeping, losing and giving back. */
#include "tests/unit/turn/link.h"

static void allocates(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	link_start(&l);
	e = link_event(&l, TURN_EVENT_ALLOCATED);
	assert_non_null(e);
	assert_int_equal(l.server.challenges, 1);
	assert_ptr_equal(e->cookie, &l);
	assert_true(netaddr_equal(&e->mapped, &l.client));
	assert_true(turn_server_owns(&l.server, &e->relayed));
	assert_true(netaddr_equal(turn_allocation_relayed(l.a), &e->relayed));
	assert_int_equal(turn_allocation_state(l.a), TURN_ALLOCATED);
	assert_int_equal(turn_allocation_expires_us(l.a), l.now_us + 600 * US_PER_S);
	link_close(&l);
}

static void needs_no_credentials_of_an_open_server(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.server.config.open = true;
	link_start(&l);
	assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
	assert_int_equal(l.sent, 1);
	link_close(&l);
}

static void params_are_checked(void **state)
{
	struct link l;
	char longest[TURN_USERNAME_MAX_BYTES + 2];
	struct turn_params bad;

	(void)state;
	link_open(&l);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	bad = l.params;
	bad.username = "";
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
	bad = l.params;
	bad.username = longest;
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
	bad = l.params;
	bad.password = NULL;
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
	bad = l.params;
	bad.server.port = 0;
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
	bad = l.params;
	bad.family = 5;
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
	bad = l.params;
	bad.max_channels = 4097;
	assert_int_equal(turn_allocation_create(&l.a, &bad, 0), ERR_INVALID);
}

static void both_families_over_one_allocation(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	l.params.family = NETADDR_NONE;
	link_start(&l);
	e = link_event(&l, TURN_EVENT_ALLOCATED);
	assert_non_null(e);
	assert_int_equal(e->relayed.family, NETADDR_IP4);
	assert_int_equal(e->relayed_other.family, NETADDR_IP6);
	link_close(&l);
}

static void ip4_alone_where_the_server_has_no_ip6(void **state)
{
	static const uint16_t codes[] = {400, 440, 508};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct link l;
		const struct turn_event *e;

		link_open(&l);
		l.params.family = NETADDR_NONE;
		l.server.config.error_method = STUN_METHOD_ALLOCATE;
		l.server.config.error_code = codes[i];
		l.server.config.error_times = 1;
		link_start(&l);
		e = link_event(&l, TURN_EVENT_ALLOCATED);
		assert_non_null(e);
		assert_int_equal(e->relayed.family, NETADDR_IP4);
		assert_int_equal(e->relayed_other.family, NETADDR_NONE);
		link_close(&l);
	}
}

/* RFC 8656 s. 7.2: IPv4 at once, with ADDRESS-ERROR-CODE for the other. */
static void half_of_what_was_asked_for(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	l.params.family = NETADDR_NONE;
	l.server.config.ip6 = false;
	link_start(&l);
	e = link_event(&l, TURN_EVENT_ALLOCATED);
	assert_non_null(e);
	assert_int_equal(e->relayed.family, NETADDR_IP4);
	assert_int_equal(e->relayed_other.family, NETADDR_NONE);
	assert_int_equal(l.sent, 2);
	link_close(&l);
}

/* s. 7.3: it is given back. */
static void what_was_not_asked_for(void **state)
{
	static const uint8_t families[] = {NETADDR_IP4, NETADDR_IP6};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct link l;

		link_open(&l);
		l.params.family = families[i];
		l.server.config.wrong_family = true;
		link_start(&l);
		assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem, TURN_PROBLEM_PROTOCOL);
		assert_int_equal(l.server.releases, 1);
		assert_int_equal(turn_server_count(&l.server), 0);
		assert_int_equal(turn_allocation_state(l.a), TURN_FAILED);
		assert_int_equal(turn_allocation_relayed(l.a)->family, NETADDR_NONE);
		link_close(&l);
	}
}

static void ip6_alone(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	l.params.family = NETADDR_IP6;
	link_start(&l);
	e = link_event(&l, TURN_EVENT_ALLOCATED);
	assert_non_null(e);
	assert_int_equal(e->relayed.family, NETADDR_IP6);
	link_close(&l);
}

static void holds_until_told(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.params.hold = true;
	link_start(&l);
	assert_non_null(link_event(&l, TURN_EVENT_CHALLENGED));
	assert_int_equal(turn_allocation_state(l.a), TURN_HELD);
	assert_int_equal(turn_allocation_next_deadline(l.a), DEADLINE_NONE);
	assert_int_equal(turn_allocation_proceed(l.a, l.now_us), OK);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
	assert_int_equal(turn_allocation_proceed(l.a, l.now_us), ERR_WRONG_STATE);
	link_close(&l);
}

/* RFC 8489 s. 6.2.1. */
static void a_silent_server_is_asked_seven_times(void **state)
{
	static const uint64_t at_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
	struct link l;
	const struct turn_event *e;
	uint64_t start_us;

	(void)state;
	link_open(&l);
	l.server.config.silent = true;
	start_us = l.now_us;
	link_start(&l);
	link_run(&l, 39499 * US_PER_MS);
	assert_int_equal(l.sent, 7);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(l.first_us[i] - start_us, at_ms[i] * US_PER_MS);
	assert_null(link_event(&l, TURN_EVENT_FAILED));
	link_run(&l, 2 * US_PER_MS);
	e = link_event(&l, TURN_EVENT_FAILED);
	assert_non_null(e);
	assert_int_equal(e->problem, TURN_PROBLEM_SILENT);
	assert_int_equal(e->retry_us, 30 * US_PER_S);
	assert_int_equal(turn_allocation_next_deadline(l.a), DEADLINE_NONE);
	/* And begins anew when told. */
	l.server.config.silent = false;
	assert_int_equal(turn_allocation_restart(l.a, l.now_us, NULL), OK);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_ALLOCATED));
	link_close(&l);
}

static void a_stream_is_not_repeated(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.params.stream = true;
	l.server.config.silent = true;
	link_start(&l);
	link_run(&l, 40 * US_PER_S);
	assert_int_equal(l.sent, 1);
	assert_int_equal(link_event(&l, TURN_EVENT_FAILED)->problem, TURN_PROBLEM_SILENT);
	link_close(&l);
}

static void is_kept_for_hours(void **state)
{
	static const uint32_t lifetimes_s[] = {1, 20, 61, 600, 3600, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lifetimes_s); i++) {
		struct link l;

		link_open(&l);
		l.server.config.lifetime_s = lifetimes_s[i];
		l.server.config.nonce_life_us = 47 * US_PER_S;
		link_start(&l);
		link_run(&l, (lifetimes_s[i] == 1 ? 1U : 6U) * 3600 * US_PER_S);
		assert_int_equal(turn_allocation_state(l.a), TURN_ALLOCATED);
		assert_non_null(turn_server_find(&l.server, &l.client));
		assert_int_equal(l.server.requests[STUN_METHOD_ALLOCATE], 1);
		assert_int_equal(l.event_count, 1);
		link_close(&l);
	}
}

/* min(L/2, L - 60 s) +-10 %, and not all of them at one time. */
static void refreshes_with_jitter(void **state)
{
	uint64_t earliest = UINT64_MAX, latest = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct link l;
		uint64_t start_us, at_us;

		link_open(&l);
		random_seeded_init(&l.seed, seed);
		link_start(&l);
		start_us = l.now_us;
		while (l.server.requests[STUN_METHOD_REFRESH] == 0)
			link_run(&l, US_PER_S);
		at_us = l.now_us - start_us;
		earliest = at_us < earliest ? at_us : earliest;
		latest = at_us > latest ? at_us : latest;
		link_close(&l);
	}
	assert_in_range(earliest, 269 * US_PER_S, 290 * US_PER_S);
	assert_in_range(latest, 310 * US_PER_S, 331 * US_PER_S);
}

static void expires_and_recovers(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.server.config.silent = true;
	link_run(&l, 400 * US_PER_S);
	e = link_event(&l, TURN_EVENT_EXPIRING);
	assert_non_null(e);
	assert_int_equal(e->problem, TURN_PROBLEM_SILENT);
	assert_true(turn_allocation_is_usable(l.a));
	l.server.config.silent = false;
	link_run(&l, 80 * US_PER_S);
	assert_non_null(link_event(&l, TURN_EVENT_RENEWED));
	assert_int_equal(turn_allocation_state(l.a), TURN_ALLOCATED);
	link_close(&l);
}

static void is_lost_when_it_runs_out(void **state)
{
	struct link l;
	const struct turn_event *e;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.server.config.silent = true;
	link_run(&l, 601 * US_PER_S);
	e = link_event(&l, TURN_EVENT_LOST);
	assert_non_null(e);
	assert_int_equal(e->problem, TURN_PROBLEM_EXPIRED);
	assert_int_equal(turn_allocation_relayed(l.a)->family, NETADDR_NONE);
	assert_int_equal(link_count(&l, TURN_EVENT_LOST), 1);
	link_close(&l);
}

/* The server has been restarted: keepalives go on, but the next Refresh meets 401 and then 437. */
static void notices_a_restarted_server(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	turn_server_restart(&l.server, l.now_us);
	turn_allocation_verify(l.a, l.now_us);
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_LOST)->problem, TURN_PROBLEM_GONE);
	assert_int_equal(turn_allocation_restart(l.a, l.now_us, NULL), OK);
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_ALLOCATED), 2);
	link_close(&l);
}

static void keepalives_find_a_silent_server(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	link_run(&l, 40 * US_PER_S);
	l.cut = true;
	link_run(&l, 110 * US_PER_S);
	/* Three misses, then a Refresh that nobody answers: long before its time. */
	assert_non_null(link_event(&l, TURN_EVENT_EXPIRING));
	link_close(&l);
}

static void servers_without_binding_are_fine(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.server.config.no_keepalive = true;
	link_start(&l);
	link_run(&l, 3600 * US_PER_S);
	assert_int_equal(l.event_count, 1);
	/* About twelve in an hour: the regular ones, not one for every third miss. */
	assert_in_range(l.server.requests[STUN_METHOD_REFRESH], 10, 14);
	link_close(&l);
}

/* The NAT has given us another address: the server knows another 5-tuple and no allocation for
 * it. */
static void another_mapping_is_noticed(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.client = link_address("198.51.100.7:4001");
	link_run(&l, 20 * US_PER_S);
	assert_int_equal(link_event(&l, TURN_EVENT_LOST)->problem, TURN_PROBLEM_GONE);
	link_close(&l);
}

static void refreshes_after_a_suspend(void **state)
{
	struct link l;
	unsigned int before;

	(void)state;
	link_open(&l);
	link_start(&l);
	before = l.server.requests[STUN_METHOD_REFRESH];
	l.now_us += 200 * US_PER_S;
	turn_allocation_on_deadline(l.a, l.now_us);
	link_pump(&l);
	assert_int_equal(l.server.requests[STUN_METHOD_REFRESH], before + 1);
	link_close(&l);
}

static void gives_back(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	turn_allocation_release(l.a, l.now_us);
	assert_int_equal(turn_allocation_state(l.a), TURN_RELEASING);
	link_pump(&l);
	assert_non_null(link_event(&l, TURN_EVENT_RELEASED));
	assert_int_equal(l.server.releases, 1);
	assert_null(turn_server_find(&l.server, &l.client));
	assert_int_equal(turn_allocation_next_deadline(l.a), DEADLINE_NONE);
	link_close(&l);
}

static void gives_back_in_vain(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	l.cut = true;
	turn_allocation_release(l.a, l.now_us);
	link_run(&l, 3499 * US_PER_MS);
	assert_null(link_event(&l, TURN_EVENT_RELEASED));
	link_run(&l, 2 * US_PER_MS);
	assert_non_null(link_event(&l, TURN_EVENT_RELEASED));
	link_close(&l);
}

static void a_closed_stream_ends_it(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.params.stream = true;
	link_start(&l);
	turn_allocation_on_stream_closed(l.a, l.now_us);
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_LOST)->problem, TURN_PROBLEM_SILENT);
	link_close(&l);
}

static void strangers_change_nothing(void **state)
{
	static const uint8_t garbage[][8] = {{0},    {1, 2, 3}, {0x40}, {0x40, 0, 0, 9, 1},
					     {0x80}, {0x50}};
	struct link l;
	struct turn_data data;
	uint64_t due;

	(void)state;
	link_open(&l);
	link_start(&l);
	due = turn_allocation_next_deadline(l.a);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		for (size_t len = 0; len <= sizeof(garbage[i]); len++) {
			assert_int_not_equal(
				turn_allocation_input(l.a, l.now_us, garbage[i], len, &data), OK);
			assert_int_equal(data.kind, TURN_DATA_NONE);
		}
	}
	assert_int_equal(turn_allocation_next_deadline(l.a), due);
	link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocates),
		cmocka_unit_test(needs_no_credentials_of_an_open_server),
		cmocka_unit_test(params_are_checked),
		cmocka_unit_test(both_families_over_one_allocation),
		cmocka_unit_test(ip4_alone_where_the_server_has_no_ip6),
		cmocka_unit_test(half_of_what_was_asked_for),
		cmocka_unit_test(what_was_not_asked_for),
		cmocka_unit_test(ip6_alone),
		cmocka_unit_test(holds_until_told),
		cmocka_unit_test(a_silent_server_is_asked_seven_times),
		cmocka_unit_test(a_stream_is_not_repeated),
		cmocka_unit_test(is_kept_for_hours),
		cmocka_unit_test(refreshes_with_jitter),
		cmocka_unit_test(expires_and_recovers),
		cmocka_unit_test(is_lost_when_it_runs_out),
		cmocka_unit_test(notices_a_restarted_server),
		cmocka_unit_test(keepalives_find_a_silent_server),
		cmocka_unit_test(servers_without_binding_are_fine),
		cmocka_unit_test(another_mapping_is_noticed),
		cmocka_unit_test(refreshes_after_a_suspend),
		cmocka_unit_test(gives_back),
		cmocka_unit_test(gives_back_in_vain),
		cmocka_unit_test(a_closed_stream_ends_it),
		cmocka_unit_test(strangers_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
