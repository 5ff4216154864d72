/* Scripts: a server's messages and a clock go in, messages, events and deadlines come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/signal/registrar.h"
#include "tests/support/samples.h"

#define EPOCH 1000
#define LEASE 75000
#define PING  20000

static struct registrar *r;
static struct random_seeded seeded;
static uint64_t now_us;
static uint8_t frame[SIGNAL_MESSAGE_MAX_BYTES];
static struct signal_message sent; /* the last thing the registrar sent */
static const uint8_t certificate[100] = {1, 2, 3};

static int setup(void **state)
{
	struct registrar_params params = {
		.certificate = certificate,
		.certificate_len = sizeof(certificate),
		.epoch = EPOCH,
	};

	(void)state;
	random_seeded_init(&seeded, 42);
	params.random = random_seeded_source(&seeded);
	now_us = 77;
	return registrar_create(&r, &params) == OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	registrar_destroy(r);
	return 0;
}

/* Return: the type of what was sent, SIGNAL_NONE when nothing; never more than one at a time. */
static enum signal_type pop(void)
{
	size_t len;

	if (!registrar_pop_transmit(r, frame, sizeof(frame), &len))
		return SIGNAL_NONE;
	assert_int_equal(signal_message_decode(frame, len, &sent), OK);
	assert_false(registrar_pop_transmit(r, frame, sizeof(frame), &len));
	return sent.type;
}

static void assert_event(enum registrar_event_type type)
{
	struct registrar_event e;

	assert_true(registrar_pop_event(r, &e));
	assert_int_equal(e.type, type);
	assert_int_equal(e.code, registrar_code(r));
}

static void assert_quiet(void)
{
	struct registrar_event e;

	assert_int_equal(pop(), SIGNAL_NONE);
	assert_false(registrar_pop_event(r, &e));
}

static void assert_state(enum registrar_state state)
{
	assert_int_equal(registrar_state(r), state);
}

static void input(struct signal_message m)
{
	assert_true(registrar_on_message(r, now_us, &m));
}

static void challenge(uint8_t nonce)
{
	input((struct signal_message){
		.type = SIGNAL_CHALLENGE, .nonce = {nonce}, .server_time_s = 5000});
}

static void registered(void)
{
	struct signal_message m = {
		.type = SIGNAL_REGISTERED, .lease_ms = LEASE, .ping_ms = PING, .server_count = 1};

	strcpy(m.servers[0].uri, "stun:192.0.2.1:3478");
	input(m);
}

static void refuse(enum signal_error code, uint32_t retry_ms)
{
	input((struct signal_message){.type = SIGNAL_ERROR, .code = code, .retry_ms = retry_ms});
}

/* Goes to the next deadline. Return: how long that was. */
static uint64_t step(void)
{
	uint64_t deadline = registrar_next_deadline(r), waited = deadline - now_us;

	assert_true(deadline != DEADLINE_NONE && deadline >= now_us);
	registrar_on_deadline(r, deadline - 1); /* too early: nothing */
	assert_true(registrar_next_deadline(r) == deadline);
	now_us = deadline;
	registrar_on_deadline(r, now_us);
	return waited;
}

static void assert_between(uint64_t us, uint64_t low_ms, uint64_t high_ms)
{
	assert_in_range(us, low_ms * US_PER_MS, high_ms * US_PER_MS);
}

static void be_registered(void)
{
	now_us += US_PER_S;
	registrar_on_link_up(r, now_us);
	if (pop() == SIGNAL_PING) {
		challenge(1);
		(void)pop();
	}
	assert_int_equal(sent.type, SIGNAL_REGISTER);
	registered();
	assert_event(REGISTRAR_EVENT_REGISTERED);
	assert_quiet();
}

static void test_registers(void **state)
{
	size_t count, len;

	(void)state;
	assert_state(REGISTRAR_DOWN);
	assert_true(registrar_next_deadline(r) == DEADLINE_NONE);
	registrar_on_link_up(r, now_us);
	assert_state(REGISTRAR_WAITING);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_false(registrar_is_heard(r));
	assert_quiet();
	challenge(9);
	assert_state(REGISTRAR_REGISTERING);
	assert_int_equal(registrar_server_time_s(r), 5000);
	assert_false(registrar_is_heard(r));
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_int_equal(sent.nonce[0], 9);
	assert_true(sent.epoch == EPOCH * 65536 + 1);
	assert_int_equal(sent.certificate_len, sizeof(certificate));
	assert_memory_equal(sent.certificate, certificate, sizeof(certificate));
	registered();
	assert_state(REGISTRAR_REGISTERED);
	assert_event(REGISTRAR_EVENT_REGISTERED);
	assert_string_equal(registrar_servers(r, &count)->uri, "stun:192.0.2.1:3478");
	assert_int_equal(count, 1);
	assert_null(registrar_revocation(r, &len));
	assert_int_equal(len, 0);
	assert_quiet();
}

/* Who was registered before does not wait for a challenge, and what it has to say need not wait. */
static void test_registers_at_once(void **state)
{
	static const uint8_t none[SIGNAL_NONCE_BYTES];

	(void)state;
	be_registered();
	now_us += US_PER_S;
	registrar_on_link_down(r, now_us);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_false(registrar_is_heard(r));
	registrar_on_link_up(r, now_us);
	assert_state(REGISTRAR_REGISTERING);
	assert_true(registrar_is_heard(r));
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_memory_equal(sent.nonce, none, sizeof(none));
	assert_true(sent.epoch == EPOCH * 65536 + 2);
	registered();
	assert_event(REGISTRAR_EVENT_REGISTERED);
	/* Links that come and go fast wait for the time between two. */
	registrar_on_link_up(r, now_us);
	assert_false(registrar_is_heard(r));
	assert_between(step(), 500, 500);
	assert_true(registrar_is_heard(r));
	assert_int_equal(pop(), SIGNAL_REGISTER);
}

/* A server that wants to challenge first is asked first from then on. */
static void test_challenged_nevertheless(void **state)
{
	(void)state;
	be_registered();
	now_us += US_PER_S;
	registrar_on_link_up(r, now_us);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	challenge(7);
	assert_false(registrar_is_heard(r));
	assert_between(step(), 500, 500);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_int_equal(sent.nonce[0], 7);
	refuse(SIGNAL_ERROR_BUSY, 1000);
	registrar_on_link_up(r, now_us);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_state(REGISTRAR_WAITING);
}

/* New credentials for the servers come before the old ones end; nothing else changes. */
static void test_registered_again(void **state)
{
	struct signal_message m = {
		.type = SIGNAL_REGISTERED, .lease_ms = LEASE, .ping_ms = PING, .server_count = 1};
	const struct signal_server *servers;
	uint64_t due;
	size_t count;

	(void)state;
	be_registered();
	due = registrar_next_deadline(r);
	strcpy(m.servers[0].uri, "turn:192.0.2.1");
	strcpy(m.servers[0].username, "2:alice");
	input(m);
	assert_event(REGISTRAR_EVENT_SERVERS);
	assert_quiet();
	assert_state(REGISTRAR_REGISTERED);
	assert_int_equal(registrar_next_deadline(r), due);
	servers = registrar_servers(r, &count);
	assert_int_equal(count, 1);
	assert_string_equal(servers[0].username, "2:alice");
}

static void test_pings(void **state)
{
	uint64_t shortest = UINT64_MAX, longest = 0, seq = 1;

	(void)state;
	be_registered();
	for (int i = 0; i < 200; i++) {
		uint64_t waited = step();

		assert_int_equal(pop(), SIGNAL_PING);
		assert_true(sent.seq == ++seq);
		shortest = waited < shortest ? waited : shortest;
		longest = waited > longest ? waited : longest;
		input((struct signal_message){.type = SIGNAL_PONG, .seq = sent.seq});
		assert_quiet();
	}
	assert_between(shortest, PING * 8 / 10, PING * 9 / 10);
	assert_between(longest, PING * 11 / 10, PING * 12 / 10);
}

static void test_silence(void **state)
{
	(void)state;
	be_registered();
	step();
	assert_int_equal(pop(), SIGNAL_PING);
	assert_between(step(), PING / 2, PING / 2);
	assert_state(REGISTRAR_REGISTERED);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_between(step(), PING / 2, PING / 2);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	assert_quiet();
	assert_state(REGISTRAR_DOWN);
	assert_true(registrar_next_deadline(r) == DEADLINE_NONE);
	be_registered();
	assert_true(sent.epoch == EPOCH * 65536 + 2);
}

/* Not only PONG: whatever comes from the server shows that it is there. */
static void test_any_message_is_a_sign_of_life(void **state)
{
	struct signal_message deliver = {.type = SIGNAL_DELIVER};

	(void)state;
	be_registered();
	step();
	assert_int_equal(pop(), SIGNAL_PING);
	step();
	assert_int_equal(pop(), SIGNAL_PING);
	assert_false(registrar_on_message(r, now_us, &deliver));
	assert_between(step(), PING * 8 / 10, PING * 12 / 10);
	assert_int_equal(pop(), SIGNAL_PING);
	/* And then there are two tries again. */
	assert_between(step(), PING / 2, PING / 2);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_quiet();
}

static void test_no_challenge(void **state)
{
	(void)state;
	registrar_on_link_up(r, now_us);
	assert_between(step(), 10000, 10000);
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	assert_quiet();
	assert_state(REGISTRAR_DOWN);
}

static void test_no_answer_to_register(void **state)
{
	(void)state;
	registrar_on_link_up(r, now_us);
	challenge(1);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_between(step(), 10000, 10000);
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	assert_quiet();
}

static void test_challenged_again(void **state)
{
	(void)state;
	be_registered();
	now_us += US_PER_S;
	challenge(2);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_int_equal(sent.nonce[0], 2);
	assert_true(sent.epoch == EPOCH * 65536 + 2);
	registered();
	assert_event(REGISTRAR_EVENT_REGISTERED);
}

/* However fast a server challenges, there are two registrations a second, with the newest nonce. */
static void test_flood_of_challenges(void **state)
{
	size_t registers = 0;
	uint64_t end_us;

	(void)state;
	registrar_on_link_up(r, now_us);
	end_us = now_us + 10 * US_PER_S;
	for (uint8_t nonce = 0; now_us < end_us; nonce++) {
		if (registrar_next_deadline(r) <= now_us)
			registrar_on_deadline(r, now_us);
		if (pop() == SIGNAL_REGISTER) {
			assert_int_equal(sent.nonce[0], (uint8_t)(nonce - 1));
			registers++;
		}
		challenge(nonce);
		registers += pop() == SIGNAL_REGISTER; /* the first */
		now_us += 10 * US_PER_MS;
	}
	assert_int_equal(registers, 20);
}

/* The answer to an earlier REGISTER does not count for the one that waits to be sent. */
static void test_early_registered_is_ignored(void **state)
{
	(void)state;
	registrar_on_link_up(r, now_us);
	registered();
	assert_state(REGISTRAR_WAITING);
	challenge(1);
	registered();
	assert_state(REGISTRAR_REGISTERING);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	challenge(2);
	registered();
	assert_state(REGISTRAR_REGISTERING);
	assert_between(step(), 500, 500);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	assert_int_equal(sent.nonce[0], 2);
	registered();
	assert_state(REGISTRAR_REGISTERED);
	registered(); /* unasked: only new servers */
	assert_event(REGISTRAR_EVENT_REGISTERED);
	assert_event(REGISTRAR_EVENT_SERVERS);
	assert_quiet();
}

static void test_busy(void **state)
{
	(void)state;
	registrar_on_link_up(r, now_us);
	challenge(1);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	refuse(SIGNAL_ERROR_BUSY, 3000);
	assert_state(REGISTRAR_WAITING);
	assert_int_equal(registrar_code(r), SIGNAL_ERROR_BUSY);
	assert_between(step(), 3000, 3600);
	assert_int_equal(pop(), SIGNAL_PING); /* asks to be challenged */
	challenge(2);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	refuse(SIGNAL_ERROR_RATE, 0);
	assert_between(step(), 5000, 6000);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_between(step(), 10000, 10000); /* no answer */
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	registrar_on_link_up(r, now_us);
	challenge(3);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	refuse(SIGNAL_ERROR_OTHER, UINT32_MAX); /* a reason of a later version */
	assert_between(step(), 60000, 72000);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_quiet();
}

static void test_refused(void **state)
{
	static const enum signal_error codes[] = {
		SIGNAL_ERROR_REPLACED,	   SIGNAL_ERROR_REVOKED, SIGNAL_ERROR_NAME_TAKEN,
		SIGNAL_ERROR_NAME_INVALID, SIGNAL_ERROR_VERSION, SIGNAL_ERROR_EXPIRED,
		SIGNAL_ERROR_CERTIFICATE,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		registrar_on_link_up(r, now_us);
		now_us += US_PER_S;
		challenge(1);
		assert_int_equal(pop(), SIGNAL_REGISTER);
		refuse(codes[i], 0);
		assert_state(REGISTRAR_REFUSED);
		assert_int_equal(registrar_code(r), codes[i]);
		assert_event(REGISTRAR_EVENT_REFUSED);
		/* Nothing moves it... */
		challenge(2);
		registered();
		registrar_on_link_down(r, now_us);
		registrar_on_link_up(r, now_us);
		challenge(3);
		assert_true(registrar_next_deadline(r) == DEADLINE_NONE);
		assert_state(REGISTRAR_REFUSED);
		assert_quiet();
		/* ...but this. */
		registrar_retry(r, now_us);
		assert_event(REGISTRAR_EVENT_LINK_DEAD);
		assert_state(REGISTRAR_DOWN);
		registrar_retry(r, now_us);
		assert_quiet();
	}
}

/* Another host has registered with our key while we were. */
static void test_replaced_later(void **state)
{
	(void)state;
	be_registered();
	refuse(SIGNAL_ERROR_BUSY, 1000); /* no answer to anything we asked: not about us */
	assert_state(REGISTRAR_REGISTERED);
	refuse(SIGNAL_ERROR_REPLACED, 0);
	assert_state(REGISTRAR_REFUSED);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_event(REGISTRAR_EVENT_REFUSED);
	assert_quiet();
}

static void test_errors_of_others(void **state)
{
	struct signal_message m = {.type = SIGNAL_ERROR, .xid = {1}, .code = SIGNAL_ERROR_REVOKED};

	(void)state;
	be_registered();
	assert_false(registrar_on_message(r, now_us, &m));
	assert_state(REGISTRAR_REGISTERED);
	assert_quiet();
}

static void test_link_down(void **state)
{
	(void)state;
	be_registered();
	registrar_on_link_down(r, now_us);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_state(REGISTRAR_DOWN);
	challenge(1); /* left over */
	registered();
	assert_state(REGISTRAR_DOWN);
	assert_quiet();
	/* Another link without a word about the end of the old one. */
	be_registered();
	registrar_on_link_up(r, now_us);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_state(REGISTRAR_REGISTERING);
	/* What was not sent on the old link is not sent on the new one. */
	now_us += US_PER_S;
	challenge(1);
	registrar_on_link_down(r, now_us);
	registrar_on_link_up(r, now_us);
	assert_int_equal(pop(), SIGNAL_PING);
	assert_quiet();
}

static void test_new_certificate(void **state)
{
	static const uint8_t renewed[CERT_MAX_BYTES + 1] = {7};

	(void)state;
	assert_int_equal(registrar_set_certificate(r, now_us, renewed, 0), ERR_INVALID);
	assert_int_equal(registrar_set_certificate(r, now_us, renewed, sizeof(renewed)),
			 ERR_INVALID);
	be_registered();
	assert_int_equal(registrar_set_certificate(r, now_us, renewed, CERT_MAX_BYTES), OK);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	now_us += US_PER_S;
	be_registered();
	assert_int_equal(sent.certificate_len, CERT_MAX_BYTES);
	refuse(SIGNAL_ERROR_EXPIRED, 0);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_event(REGISTRAR_EVENT_REFUSED);
	assert_int_equal(registrar_set_certificate(r, now_us, renewed, 5), OK);
	assert_event(REGISTRAR_EVENT_LINK_DEAD);
	assert_quiet();
}

static void test_bye(void **state)
{
	(void)state;
	be_registered();
	registrar_bye(r, now_us);
	assert_event(REGISTRAR_EVENT_LOST);
	assert_int_equal(pop(), SIGNAL_BYE);
	assert_state(REGISTRAR_DOWN);
	assert_true(registrar_next_deadline(r) == DEADLINE_NONE);
	registrar_bye(r, now_us);
	assert_quiet();
	be_registered();
}

static void test_ping_interval_is_bounded(void **state)
{
	static const struct {
		uint32_t lease_ms, ping_ms;
		uint64_t low_ms, high_ms;
	} rows[] = {
		{75000, 20000, 16000, 24000},
		{75000, 60000, 20000, 30000},
		{75000, 1, 4000, 6000},
		{1, 20000, 4000, 6000},
		{UINT32_MAX, UINT32_MAX, 96000, 144000},
		{0, 20000, 16000, 24000},
		{0, 0, 4000, 6000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		registrar_on_link_up(r, now_us);
		now_us += US_PER_S;
		challenge(1);
		assert_int_equal(pop(), SIGNAL_REGISTER);
		input((struct signal_message){.type = SIGNAL_REGISTERED,
					      .lease_ms = rows[i].lease_ms,
					      .ping_ms = rows[i].ping_ms});
		assert_between(step(), rows[i].low_ms, rows[i].high_ms);
		assert_int_equal(pop(), SIGNAL_PING);
	}
}

static void test_revocation_list(void **state)
{
	static const uint8_t list[REVOCATION_MAX_BYTES] = {5};
	const uint8_t *kept;
	size_t len;

	(void)state;
	registrar_on_link_up(r, now_us);
	challenge(1);
	assert_int_equal(pop(), SIGNAL_REGISTER);
	input((struct signal_message){
		.type = SIGNAL_REGISTERED, .revocation = list, .revocation_len = sizeof(list)});
	kept = registrar_revocation(r, &len);
	assert_int_equal(len, sizeof(list));
	assert_memory_equal(kept, list, len);
}

/* Nobody takes events: the last ones are kept. */
static void test_events_are_bounded(void **state)
{
	struct registrar_event e, last = {.type = REGISTRAR_EVENT_LINK_DEAD};
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		registrar_on_link_up(r, now_us);
		now_us += US_PER_S;
		challenge(1);
		assert_int_equal(pop(), SIGNAL_REGISTER);
		registered();
	}
	while (registrar_pop_event(r, &e)) {
		last = e;
		count++;
	}
	assert_in_range(count, 2, 16);
	assert_int_equal(last.type, REGISTRAR_EVENT_REGISTERED);
}

static void test_create_refuses(void **state)
{
	struct registrar_params params = {.certificate = certificate, .certificate_len = 0};
	struct registrar *other;

	(void)state;
	assert_int_equal(registrar_create(&other, &params), ERR_INVALID);
	params.certificate_len = CERT_MAX_BYTES + 1;
	assert_int_equal(registrar_create(&other, &params), ERR_INVALID);
	params.certificate_len = 1;
	params.epoch = 1ull << 48;
	assert_int_equal(registrar_create(&other, &params), ERR_INVALID);
	registrar_destroy(NULL);
	assert_string_equal(registrar_state_name(REGISTRAR_REFUSED), "refused");
	assert_string_equal(registrar_state_name(REGISTRAR_STATE_COUNT), "down");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_registers),
		TEST(test_registers_at_once),
		TEST(test_challenged_nevertheless),
		TEST(test_pings),
		TEST(test_registered_again),
		TEST(test_silence),
		TEST(test_any_message_is_a_sign_of_life),
		TEST(test_no_challenge),
		TEST(test_no_answer_to_register),
		TEST(test_challenged_again),
		TEST(test_flood_of_challenges),
		TEST(test_early_registered_is_ignored),
		TEST(test_busy),
		TEST(test_refused),
		TEST(test_replaced_later),
		TEST(test_errors_of_others),
		TEST(test_link_down),
		TEST(test_new_certificate),
		TEST(test_bye),
		TEST(test_ping_interval_is_bounded),
		TEST(test_revocation_list),
		TEST(test_events_are_bounded),
		TEST(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
