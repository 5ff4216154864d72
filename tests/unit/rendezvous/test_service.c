/* Forwarding, lookup, joining, leases, limits and bad input. */
#include "tests/unit/rendezvous/fixture.h"

static void test_forward(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct peer *bob = &f->peers[2];

	member(f, 2, 2, "bob");
	assert_int_equal(forward(f, alice, "bob", 8), OK);
	assert_int_equal(bob->last.type, SIGNAL_DELIVER);
	assert_string_equal(bob->last.from, "alice");
	assert_int_equal(bob->last.xid[3], 8);
	assert_memory_equal(bob->last.body, "body", 4);
	assert_int_equal(f->peers[1].last.type, SIGNAL_ACK);
	assert_int_equal(f->peers[1].last.xid[3], 8);

	forward(f, alice, "carol", 9);
	check_error(&f->peers[1], SIGNAL_ERROR_ABSENT, 9);
	bob->room = 0;
	forward(f, alice, "bob", 10);
	check_error(&f->peers[1], SIGNAL_ERROR_BUSY, 10);
	assert_true(f->peers[1].last.retry_ms > 0);
	/* The connection is found to be gone: absent from then on. */
	bob->is_gone = true;
	forward(f, alice, "bob", 11);
	check_error(&f->peers[1], SIGNAL_ERROR_ABSENT, 11);
	assert_int_equal(service_online_count(f->service), 1);
	assert_int_equal(f->events[SERVICE_EVENT_GONE], 1);
}

static void test_lease(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	const struct signal_message ping = {.type = SIGNAL_PING, .seq = 1};

	member(f, 2, 2, "bob");
	f->now_us += 50 * US_PER_S;
	assert_int_equal(say(f, alice, &ping), OK);
	f->now_us += 24 * US_PER_S;
	service_on_deadline(f->service, f->now_us);
	assert_int_equal(service_online_count(f->service), 2);
	f->now_us += 1 * US_PER_S;
	assert_true(service_next_deadline(f->service) <= f->now_us);
	service_on_deadline(f->service, f->now_us);
	assert_int_equal(service_online_count(f->service), 1);
	forward(f, alice, "bob", 1);
	check_error(&f->peers[1], SIGNAL_ERROR_ABSENT, 1);
	/* Everything runs out, and then nothing is scheduled any more. */
	for (int i = 0; i < 100 && service_next_deadline(f->service) != DEADLINE_NONE; i++) {
		assert_true(service_next_deadline(f->service) > f->now_us);
		f->now_us = service_next_deadline(f->service);
		service_on_deadline(f->service, f->now_us);
	}
	assert_int_equal(service_next_deadline(f->service), DEADLINE_NONE);
	assert_int_equal(service_online_count(f->service), 0);
}

static void test_unknown_is_challenged(void **state)
{
	struct fixture *f = *state;
	const struct voice stranger = {.connection = 5, .key = 5};

	assert_int_equal(forward(f, stranger, "bob", 1), OK);
	assert_int_equal(f->peers[5].last.type, SIGNAL_CHALLENGE);
	for (int i = 0; i < 100; i++)
		(void)!forward(f, stranger, "bob", 1);
	assert_int_equal(f->peers[5].count, 4);
}

static void test_lookup(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	const struct peer *p = &f->peers[1];
	struct signal_message m = {.type = SIGNAL_LOOKUP, .xid = {1}, .name = "bob"};
	struct cert cert;

	member(f, 2, 2, "bob");
	say(f, alice, &m);
	assert_int_equal(p->last.type, SIGNAL_FOUND);
	assert_true(p->last.online);
	assert_int_equal(cert_open(p->last.certificate, p->last.certificate_len, f->public, &cert),
			 OK);
	assert_string_equal(cert.name, "bob");
	m.name[0] = '\0';
	m.address = netaddr_from_ip4((const uint8_t[]){100, 96, 0, 2}, 0);
	say(f, alice, &m);
	assert_int_equal(p->seen[SIGNAL_FOUND], 2);
	/* Members who are not here are found by the issuer. */
	strcpy(m.name, "offline");
	m.address.family = NETADDR_NONE;
	say(f, alice, &m);
	assert_int_equal(p->seen[SIGNAL_FOUND], 3);
	assert_false(p->last.online);
	assert_int_equal(p->last.certificate[0], 2);
	strcpy(m.name, "nobody");
	memset(m.xid, 6, sizeof(m.xid));
	say(f, alice, &m);
	check_error(p, SIGNAL_ERROR_UNKNOWN, 6);
}

static void test_join(void **state)
{
	struct fixture *f = *state;
	const struct peer *p = &f->peers[1];
	const struct voice v = {.connection = 1, .key = 1};
	struct signal_message m = {
		.type = SIGNAL_JOIN, .xid = {3}, .name = "alice", .secret = {0x77}};

	memset(m.xid, 3, sizeof(m.xid));
	memset(m.noise_public, 2, sizeof(m.noise_public));
	memset(m.curve_public, 1, sizeof(m.curve_public));
	f->join_result = ISSUER_OK;
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(p->last.type, SIGNAL_JOINED);
	assert_int_equal(p->last.certificate[0], 1);
	/* A key that is not the connection's does not come to the issuer. */
	m.curve_public[0] = 9;
	assert_int_equal(say(f, v, &m), DROP_IDENTITY);
	check_error(p, SIGNAL_ERROR_BAD, 3);
	assert_int_equal(f->joins, 1);
	m.curve_public[0] = 1;
	/* Guessing ends soon. */
	f->join_result = ISSUER_TOKEN_UNKNOWN;
	for (int i = 0; i < 10; i++)
		(void)!say(f, v, &m);
	check_error(p, SIGNAL_ERROR_TOKEN_INVALID, 3);
	assert_int_equal(f->joins, 5);
	assert_int_equal(p->seen[SIGNAL_ERROR], 5);
}

static void test_join_answers(void **state)
{
	static const struct {
		enum issuer_result result;
		enum signal_error code;
	} rows[] = {
		{ISSUER_TOKEN_UNKNOWN, SIGNAL_ERROR_TOKEN_INVALID},
		{ISSUER_TOKEN_EXPIRED, SIGNAL_ERROR_TOKEN_EXPIRED},
		{ISSUER_TOKEN_USED, SIGNAL_ERROR_TOKEN_USED},
		{ISSUER_NAME_INVALID, SIGNAL_ERROR_NAME_INVALID},
		{ISSUER_NAME_TAKEN, SIGNAL_ERROR_NAME_TAKEN},
		{ISSUER_NO_ADDRESS, SIGNAL_ERROR_NO_ADDRESS},
		{ISSUER_FAILED, SIGNAL_ERROR_BUSY},
	};
	struct fixture *f = *state;

	for (uint8_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct voice v = {.connection = i, .key = i};
		struct signal_message m = {
			.type = SIGNAL_JOIN, .xid = {1}, .name = "alice", .secret = {0x77}};

		memset(m.noise_public, 7, sizeof(m.noise_public));
		memset(m.curve_public, i, sizeof(m.curve_public));
		f->join_result = rows[i].result;
		assert_int_equal(say(f, v, &m), OK);
		check_error(&f->peers[i], rows[i].code, 0);
	}
}

static void test_rates(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	const struct peer *p = &f->peers[1];

	member(f, 2, 2, "bob");
	for (uint8_t i = 0; i < 40; i++)
		(void)!forward(f, alice, "bob", i);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 30);
	check_error(p, SIGNAL_ERROR_RATE, 39);
	assert_in_range(p->last.retry_ms, 1, 100);
	f->now_us += US_PER_S;
	for (uint8_t i = 0; i < 40; i++)
		(void)!forward(f, alice, "bob", i);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 40);
	/* Nothing at all is answered beyond the rate of messages. */
	for (int i = 0; i < 1000; i++)
		(void)!forward(f, alice, "bob", 1);
	assert_in_range(p->count, 200, 250);
}

static void test_bad_input(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct voice stranger = {.connection = 2, .key = 2};
	const struct signal_message pong = {.type = SIGNAL_PONG, .seq = 1};
	static const uint8_t future[] = {0xa2, 0x00, 0x02, 0x01, 0x04};
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES + 1] = {0};
	unsigned count = f->peers[1].count;

	assert_int_not_equal(say_bytes(f, alice, "rubbish", 7), OK);
	assert_int_equal(say_bytes(f, alice, buf, sizeof(buf)), DROP_TOO_LONG);
	assert_int_equal(say(f, alice, &pong), DROP_UNKNOWN_TYPE);
	assert_int_equal(say_bytes(f, alice, "", 0), DROP_STATE);
	assert_int_equal(f->peers[1].count, count);
	assert_int_not_equal(say_bytes(f, stranger, "rubbish", 7), OK);
	assert_int_equal(f->peers[2].count, 0);
	assert_int_equal(say_bytes(f, stranger, future, sizeof(future)), DROP_VERSION);
	check_error(&f->peers[2], SIGNAL_ERROR_VERSION, 0);
	assert_int_equal(service_counters(f->service)->drops.count[DROP_TOO_LONG], 1);
}

static void test_connections_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");

	/* More strangers than are remembered do not cost a member its registration. */
	for (uint32_t i = 2; i < CONNECTIONS; i++) {
		const struct voice v = {.connection = i, .key = (uint8_t)i};

		assert_int_equal(say_bytes(f, v, "", 0), OK);
	}
	forward(f, alice, "alice", 1);
	assert_int_equal(f->peers[1].seen[SIGNAL_DELIVER], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(test_forward),
		SERVICE_TEST(test_lease),
		SERVICE_TEST(test_unknown_is_challenged),
		SERVICE_TEST(test_lookup),
		SERVICE_TEST(test_join),
		SERVICE_TEST(test_join_answers),
		SERVICE_TEST(test_rates),
		SERVICE_TEST(test_bad_input),
		SERVICE_TEST(test_connections_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
