#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/signal/joiner.h"
#include "tests/support/samples.h"

static struct joiner *j;
static struct random_seeded seeded;
static uint64_t now_us;
static uint8_t frame[SIGNAL_MESSAGE_MAX_BYTES];
static struct signal_message sent;
static const uint8_t secret[TOKEN_SECRET_BYTES] = {1}, noise[DH_BYTES] = {2}, curve[DH_BYTES] = {3};

static int setup(void **state)
{
	struct joiner_params params = {
		.secret = secret, .name = "alice", .noise_public = noise, .curve_public = curve};

	(void)state;
	random_seeded_init(&seeded, 7);
	params.random = random_seeded_source(&seeded);
	now_us = 1234567;
	return joiner_create(&j, &params) == OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	joiner_destroy(j);
	return 0;
}

static bool pop_join(void)
{
	size_t len;

	if (!joiner_pop_transmit(j, frame, sizeof(frame), &len))
		return false;
	assert_int_equal(signal_message_decode(frame, len, &sent), OK);
	assert_int_equal(sent.type, SIGNAL_JOIN);
	assert_false(joiner_pop_transmit(j, frame, sizeof(frame), &len));
	return true;
}

static uint64_t step_ms(void)
{
	uint64_t deadline = joiner_next_deadline(j), waited = deadline - now_us;

	assert_true(deadline != DEADLINE_NONE);
	joiner_on_deadline(j, deadline - 1);
	assert_false(pop_join());
	now_us = deadline;
	joiner_on_deadline(j, now_us);
	return waited / US_PER_MS;
}

static void ask(void)
{
	joiner_on_link_up(j, now_us);
	assert_int_equal(joiner_state(j), JOINER_ASKING);
	assert_true(pop_join());
}

static struct signal_message error(enum signal_error code, uint32_t retry_ms)
{
	struct signal_message m = {.type = SIGNAL_ERROR, .code = code, .retry_ms = retry_ms};

	memcpy(m.xid, sent.xid, sizeof(m.xid));
	strcpy(m.detail, "because");
	return m;
}

static void input(struct signal_message m)
{
	joiner_on_message(j, now_us, &m);
}

static void assert_over(enum joiner_state state)
{
	size_t len;

	assert_int_equal(joiner_state(j), state);
	assert_true(joiner_next_deadline(j) == DEADLINE_NONE);
	joiner_on_link_down(j, now_us);
	joiner_on_link_up(j, now_us);
	assert_int_equal(joiner_state(j), state);
	assert_false(pop_join());
	assert_int_equal(joiner_certificate(j, &len) != NULL, state == JOINER_DONE);
}

static void test_joins(void **state)
{
	static const uint8_t certificate[CERT_MAX_BYTES] = {9};
	struct signal_message m = {.type = SIGNAL_JOINED,
				   .certificate = certificate,
				   .certificate_len = sizeof(certificate)};
	size_t len;

	(void)state;
	assert_false(pop_join());
	assert_true(joiner_next_deadline(j) == DEADLINE_NONE);
	ask();
	assert_string_equal(sent.name, "alice");
	assert_memory_equal(sent.secret, secret, sizeof(secret));
	assert_memory_equal(sent.noise_public, noise, sizeof(noise));
	assert_memory_equal(sent.curve_public, curve, sizeof(curve));
	input((struct signal_message){.type = SIGNAL_CHALLENGE}); /* not for us */
	input(m);						  /* another xid */
	assert_int_equal(joiner_state(j), JOINER_ASKING);
	memcpy(m.xid, sent.xid, sizeof(m.xid));
	input(m);
	assert_memory_equal(joiner_certificate(j, &len), certificate, sizeof(certificate));
	assert_int_equal(len, sizeof(certificate));
	assert_over(JOINER_DONE);
}

static void test_asks_again(void **state)
{
	static const uint64_t waits_ms[] = {1000, 2000, 4000, 4000};
	uint8_t xid[SIGNAL_XID_BYTES];

	(void)state;
	ask();
	memcpy(xid, sent.xid, sizeof(xid));
	for (size_t i = 0; i < ARRAY_SIZE(waits_ms); i++) {
		assert_int_equal(step_ms(), waits_ms[i]);
		assert_true(pop_join());
		assert_memory_equal(sent.xid, xid, sizeof(xid));
	}
	assert_int_equal(step_ms(), 4000); /* 15 s after the first */
	assert_int_equal(joiner_code(j), SIGNAL_ERROR_OTHER);
	assert_over(JOINER_FAILED);
}

static void test_refused(void **state)
{
	(void)state;
	ask();
	input(error(SIGNAL_ERROR_TOKEN_USED, 0));
	assert_int_equal(joiner_code(j), SIGNAL_ERROR_TOKEN_USED);
	assert_string_equal(joiner_detail(j), "because");
	assert_over(JOINER_FAILED);
}

static void test_errors_of_others(void **state)
{
	struct signal_message m;

	(void)state;
	ask();
	m = error(SIGNAL_ERROR_BAD, 0);
	m.xid[0] ^= 1;
	input(m);
	memset(m.xid, 0, sizeof(m.xid));
	input(m);
	assert_int_equal(joiner_state(j), JOINER_ASKING);
	m.code = SIGNAL_ERROR_VERSION; /* cannot know our xid */
	input(m);
	assert_over(JOINER_FAILED);
}

static void test_busy(void **state)
{
	(void)state;
	ask();
	input(error(SIGNAL_ERROR_BUSY, 3000));
	assert_int_equal(step_ms(), 3000);
	assert_true(pop_join());
	input(error(SIGNAL_ERROR_RATE, UINT32_MAX));
	assert_int_equal(step_ms(), 12000); /* that is beyond the 15 s */
	assert_int_equal(joiner_code(j), SIGNAL_ERROR_RATE);
	assert_over(JOINER_FAILED);
}

/* Another link, the same exchange, and the 15 s go on. */
static void test_link_comes_back(void **state)
{
	uint8_t xid[SIGNAL_XID_BYTES];

	(void)state;
	ask();
	memcpy(xid, sent.xid, sizeof(xid));
	assert_int_equal(step_ms(), 1000);
	joiner_on_link_down(j, now_us);
	assert_int_equal(joiner_state(j), JOINER_DOWN);
	assert_false(pop_join());
	now_us += 5 * US_PER_S;
	ask();
	assert_memory_equal(sent.xid, xid, sizeof(xid));
	joiner_on_link_down(j, now_us);
	assert_int_equal(step_ms(), 9000);
	assert_over(JOINER_FAILED);
}

static void test_create_refuses(void **state)
{
	struct joiner_params params = {
		.secret = secret, .name = "No Name", .noise_public = noise, .curve_public = curve};
	struct joiner *other;

	(void)state;
	params.random = random_seeded_source(&seeded);
	assert_int_equal(joiner_create(&other, &params), ERR_INVALID);
	joiner_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_joins),	   TEST(test_asks_again),
		TEST(test_refused),	   TEST(test_errors_of_others),
		TEST(test_busy),	   TEST(test_link_comes_back),
		TEST(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
