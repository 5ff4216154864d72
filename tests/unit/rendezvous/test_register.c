/* REGISTER: who may have which name. */
#include "tests/unit/rendezvous/fixture.h"

static void test_registration(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	const struct signal_message ping = {.type = SIGNAL_PING, .seq = 77};

	assert_int_equal(f->peers[1].last.lease_ms, 75000);
	/* A quarter of the life of credentials, which is 60 s here. */
	assert_int_equal(f->peers[1].last.ping_ms, 15000);
	assert_string_equal(f->peers[1].last.servers[0].uri, "stun:192.0.2.1:3478");
	assert_int_equal(say(f, alice, &ping), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_PONG);
	assert_int_equal(f->peers[1].last.seq, 77);
	assert_int_equal(service_online_count(f->service), 1);
	assert_int_equal(f->events[SERVICE_EVENT_REGISTERED], 1);
}

/* Before the credentials of the TURN server end, a host gets new ones with its PING. */
static void test_new_credentials(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	const struct signal_message ping = {.type = SIGNAL_PING};

	assert_int_equal(f->peers[1].last.servers[1].lifetime_s, 60);
	f->now_us += 29 * US_PER_S;
	assert_int_equal(say(f, alice, &ping), OK);
	assert_int_equal(f->peers[1].seen[SIGNAL_REGISTERED], 1);
	f->now_us += US_PER_S;
	assert_int_equal(say(f, alice, &ping), OK);
	assert_int_equal(f->peers[1].seen[SIGNAL_REGISTERED], 2);
	assert_int_equal(f->peers[1].last.type, SIGNAL_PONG);
	f->now_us += 20 * US_PER_S;
	assert_int_equal(say(f, alice, &ping), OK);
	assert_int_equal(f->peers[1].seen[SIGNAL_REGISTERED], 2);
	assert_int_equal(f->events[SERVICE_EVENT_REGISTERED], 1);
}

static void test_nonce(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1};
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = 1};
	uint8_t certificate[CERT_MAX_BYTES];

	m.certificate = certificate;
	m.certificate_len = make_certificate(f, "alice", 1, certificate);
	/* Without a challenge, and with a wrong nonce: a challenge, always the same one. */
	memset(m.nonce, 5, sizeof(m.nonce));
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
	assert_int_equal(f->peers[1].last.server_time_s, UNIX_S);
	memcpy(m.nonce, f->peers[1].last.nonce, sizeof(m.nonce));
	m.nonce[0] ^= 1;
	assert_int_equal(say(f, v, &m), OK);
	m.nonce[0] ^= 1;
	assert_memory_equal(m.nonce, f->peers[1].last.nonce, sizeof(m.nonce));
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_REGISTERED);
	/* It is good once. */
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
	assert_memory_not_equal(m.nonce, f->peers[1].last.nonce, sizeof(m.nonce));
}

/* A host that comes back begins with REGISTER, and what it says behind it is heard. Only as long as
 * the connection was not challenged and is nobody's. */
static void test_without_challenge(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1}, stranger = {.connection = 3, .key = 3};
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = 1};
	uint8_t certificate[CERT_MAX_BYTES];

	member(f, 2, 2, "bob");
	m.certificate = certificate;
	m.certificate_len = make_certificate(f, "alice", 1, certificate);
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_REGISTERED);
	assert_int_equal(f->peers[1].seen[SIGNAL_CHALLENGE], 0);
	assert_int_equal(forward(f, v, "bob", 1), OK);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 1);
	m.epoch = 2;
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].seen[SIGNAL_CHALLENGE], 2);
	/* The key has to be the certificate's, as ever. */
	assert_int_equal(say(f, stranger, &m), DROP_IDENTITY);
	check_error(&f->peers[3], SIGNAL_ERROR_CERTIFICATE, 0);
}

static void test_wrong_certificates(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1};
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = 1};
	uint8_t certificate[CERT_MAX_BYTES];
	uint8_t key[DH_BYTES];
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	/* Another host's certificate. */
	say_bytes(f, v, "", 0);
	memcpy(m.nonce, f->peers[1].last.nonce, sizeof(m.nonce));
	m.certificate = certificate;
	m.certificate_len = make_certificate(f, "bob", 2, certificate);
	assert_int_equal(say(f, v, &m), DROP_IDENTITY);
	check_error(&f->peers[1], SIGNAL_ERROR_CERTIFICATE, 0);
	/* A broken signature. */
	f->now_us += US_PER_S;
	v.connection = 2;
	say_bytes(f, v, "", 0);
	memcpy(m.nonce, f->peers[2].last.nonce, sizeof(m.nonce));
	m.certificate_len = make_certificate(f, "alice", 1, certificate);
	certificate[m.certificate_len - 1] ^= 1;
	assert_int_equal(say(f, v, &m), DROP_SIGNATURE);
	check_error(&f->peers[2], SIGNAL_ERROR_CERTIFICATE, 0);
	/* One that has expired. */
	v.connection = 3;
	say_bytes(f, v, "", 0);
	memcpy(m.nonce, f->peers[3].last.nonce, sizeof(m.nonce));
	m.certificate_len = make_certificate(f, "alice", 1, certificate);
	assert_int_equal(signal_message_encode(&m, buf, sizeof(buf), &len), OK);
	memset(key, v.key, sizeof(key));
	assert_int_equal(service_input(f->service, f->now_us, UNIX_S + 10, 3, key, buf, len),
			 DROP_EXPIRED);
	check_error(&f->peers[3], SIGNAL_ERROR_EXPIRED, 0);
	assert_int_equal(service_online_count(f->service), 0);
}

static void test_same_number_other_key(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct voice thief = {.connection = 1, .key = 66};

	member(f, 2, 2, "bob");
	/* A routing id can be claimed; without the key it is a stranger. */
	assert_int_equal(forward(f, thief, "bob", 1), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 0);
	assert_int_equal(forward(f, alice, "bob", 2), OK);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 1);
}

static void test_taken_identifier(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct voice mallory = {.connection = 2, .key = 2};

	assert_int_equal(try_register(f, mallory, "alice", 99), DROP_IDENTITY);
	check_error(&f->peers[2], SIGNAL_ERROR_NAME_TAKEN, 0);
	assert_int_equal(f->events[SERVICE_EVENT_NAME_CONFLICT], 1);
	forward(f, alice, "alice", 3);
	assert_int_equal(f->peers[1].seen[SIGNAL_DELIVER], 1);
	/* When the first one is gone, the name is free. */
	f->peers[1].is_gone = true;
	f->now_us += 76 * US_PER_S;
	service_on_deadline(f->service, f->now_us);
	assert_int_equal(try_register(f, mallory, "alice", 99), OK);
}

static void test_takeover(void **state)
{
	struct fixture *f = *state;
	struct voice bob = member(f, 9, 9, "bob");
	struct voice v = {.connection = 2, .key = 1};

	member(f, 1, 1, "alice");
	assert_int_equal(try_register(f, v, "alice", 1), DROP_STALE);
	check_error(&f->peers[2], SIGNAL_ERROR_REPLACED, 0);
	f->now_us += US_PER_S;
	assert_int_equal(try_register(f, v, "alice", 2), OK);
	check_error(&f->peers[1], SIGNAL_ERROR_REPLACED, 0);
	assert_int_equal(f->peers[2].last.type, SIGNAL_REGISTERED);
	forward(f, bob, "alice", 4);
	assert_int_equal(f->peers[2].seen[SIGNAL_DELIVER], 1);
	assert_int_equal(f->peers[1].seen[SIGNAL_DELIVER], 0);
	assert_int_equal(service_online_count(f->service), 2);
	/* The old connection is a stranger now. */
	v.connection = 1;
	assert_int_equal(forward(f, v, "bob", 5), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
}

static void test_fighting_is_frozen(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1};

	member(f, 1, 1, "alice");
	for (uint32_t i = 2; i <= 6; i++) {
		v.connection = i;
		assert_int_equal(try_register(f, v, "alice", i << SIGNAL_EPOCH_COUNTER_BITS), OK);
	}
	v.connection = 7;
	assert_int_equal(try_register(f, v, "alice", 7 << SIGNAL_EPOCH_COUNTER_BITS), DROP_LIMIT);
	check_error(&f->peers[7], SIGNAL_ERROR_RATE, 0);
	assert_int_equal(f->peers[7].last.retry_ms, 60000);
	assert_int_equal(f->events[SERVICE_EVENT_FROZEN], 1);
	/* The one that is there keeps working. */
	v.connection = 6;
	forward(f, v, "alice", 1);
	assert_int_equal(f->peers[6].seen[SIGNAL_DELIVER], 1);
	f->now_us += 61 * US_PER_S;
	v.connection = 8;
	assert_int_equal(try_register(f, v, "alice", 8 << SIGNAL_EPOCH_COUNTER_BITS), OK);
}

static void test_moving_is_no_fighting(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1};

	member(f, 1, 1, "alice");
	for (uint32_t i = 2; i <= 20; i++) {
		f->peers[v.connection].is_gone = true;
		v.connection = i;
		assert_int_equal(try_register(f, v, "alice", i), OK);
	}
	assert_int_equal(f->events[SERVICE_EVENT_TAKEN_OVER], 0);
}

/* The connection from the old address, with which nothing can come any more, is still open. */
static void test_the_same_run_may_move_as_it_likes(void **state)
{
	struct fixture *f = *state;
	struct voice v = {.connection = 1, .key = 1};

	member(f, 1, 1, "alice");
	for (uint32_t i = 2; i <= 20; i++) {
		v.connection = i;
		assert_int_equal(try_register(f, v, "alice", i), OK);
	}
	assert_int_equal(f->events[SERVICE_EVENT_FROZEN], 0);
	assert_int_equal(service_online_count(f->service), 1);
}

static void test_one_connection_one_name(void **state)
{
	struct fixture *f = *state;
	struct voice v = member(f, 1, 1, "alice");
	struct voice bob = member(f, 2, 2, "bob");
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = 5};
	uint8_t certificate[CERT_MAX_BYTES];

	/* The same key has a certificate under another name as well. */
	m.certificate = certificate;
	m.certificate_len = make_certificate(f, "alicia", 1, certificate);
	assert_int_equal(say(f, v, &m), OK);
	assert_int_equal(f->peers[1].last.type, SIGNAL_CHALLENGE);
	memcpy(m.nonce, f->peers[1].last.nonce, sizeof(m.nonce));
	assert_int_equal(say(f, v, &m), OK);
	forward(f, bob, "alice", 1);
	check_error(&f->peers[2], SIGNAL_ERROR_ABSENT, 1);
	forward(f, bob, "alicia", 2);
	assert_int_equal(f->peers[2].last.type, SIGNAL_ACK);
	assert_int_equal(service_online_count(f->service), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(test_registration),
		SERVICE_TEST(test_new_credentials),
		SERVICE_TEST(test_nonce),
		SERVICE_TEST(test_without_challenge),
		SERVICE_TEST(test_wrong_certificates),
		SERVICE_TEST(test_same_number_other_key),
		SERVICE_TEST(test_taken_identifier),
		SERVICE_TEST(test_takeover),
		SERVICE_TEST(test_fighting_is_frozen),
		SERVICE_TEST(test_moving_is_no_fighting),
		SERVICE_TEST(test_the_same_run_may_move_as_it_likes),
		SERVICE_TEST(test_one_connection_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
