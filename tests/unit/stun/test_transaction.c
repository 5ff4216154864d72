#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/stun/transaction.h"

static const uint8_t txid[STUN_TXID_BYTES] = {1, 2, 3};

static struct stun_transaction started(uint64_t now_us)
{
	struct stun_transaction t;

	stun_transaction_start(&t, txid, now_us, STUN_RTO_US, STUN_RC, STUN_RM);
	return t;
}

static void sends_when_rfc8489_says(void **state)
{
	static const uint64_t sends_ms[] = {500, 1500, 3500, 7500, 15500, 31500};
	const uint64_t t0 = 123456789;
	struct stun_transaction t = started(t0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sends_ms); i++) {
		uint64_t at = t0 + sends_ms[i] * US_PER_MS;

		assert_true(stun_transaction_deadline(&t) == at);
		assert_int_equal(stun_transaction_on_deadline(&t, at - 1),
				 STUN_TRANSACTION_NOTHING);
		assert_int_equal(stun_transaction_on_deadline(&t, at), STUN_TRANSACTION_RETRANSMIT);
		assert_int_equal(stun_transaction_on_deadline(&t, at), STUN_TRANSACTION_NOTHING);
	}
	assert_true(stun_transaction_deadline(&t) == t0 + 39500 * US_PER_MS);
	assert_true(stun_transaction_is_active(&t));
	assert_int_equal(stun_transaction_on_deadline(&t, t0 + 39500 * US_PER_MS),
			 STUN_TRANSACTION_TIMED_OUT);
	assert_false(stun_transaction_is_active(&t));
	assert_true(stun_transaction_deadline(&t) == DEADLINE_NONE);
	assert_int_equal(stun_transaction_on_deadline(&t, UINT64_MAX), STUN_TRANSACTION_NOTHING);
}

static void one_send_only(void **state)
{
	struct stun_transaction t;

	(void)state;
	stun_transaction_start(&t, txid, 0, 1000, 1, 16);
	assert_true(stun_transaction_deadline(&t) == 16000);
	assert_int_equal(stun_transaction_on_deadline(&t, 16000), STUN_TRANSACTION_TIMED_OUT);
}

/* After a suspend of an hour there is one send, not six. */
static void late_deadlines_do_not_burst(void **state)
{
	const uint64_t hour = 3600 * US_PER_S;
	struct stun_transaction t = started(0);

	(void)state;
	assert_int_equal(stun_transaction_on_deadline(&t, hour), STUN_TRANSACTION_RETRANSMIT);
	assert_int_equal(stun_transaction_on_deadline(&t, hour), STUN_TRANSACTION_NOTHING);
	assert_true(stun_transaction_deadline(&t) == hour + 1000 * US_PER_MS);
}

static void stopping_retransmits_keeps_the_end(void **state)
{
	(void)state;
	for (size_t sends = 0; sends <= 6; sends++) {
		struct stun_transaction t = started(0);

		for (size_t i = 0; i < sends; i++)
			(void)stun_transaction_on_deadline(&t, stun_transaction_deadline(&t));
		stun_transaction_stop_retransmits(&t);
		assert_true(stun_transaction_is_active(&t));
		assert_true(stun_transaction_matches(&t, txid));
		assert_true(stun_transaction_deadline(&t) == 39500 * US_PER_MS);
		assert_int_equal(stun_transaction_on_deadline(&t, 39500 * US_PER_MS),
				 STUN_TRANSACTION_TIMED_OUT);
	}
}

static void stop_ends_it(void **state)
{
	struct stun_transaction t = started(0);

	(void)state;
	assert_true(stun_transaction_matches(&t, txid));
	stun_transaction_stop(&t);
	assert_false(stun_transaction_is_active(&t));
	assert_false(stun_transaction_matches(&t, txid));
	stun_transaction_stop_retransmits(&t);
	assert_false(stun_transaction_is_active(&t));
	assert_memory_equal(t.txid, txid, sizeof(txid));
}

static void only_the_whole_id_matches(void **state)
{
	struct stun_transaction t = started(0);
	uint8_t other[STUN_TXID_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(other); i++) {
		memcpy(other, txid, sizeof(other));
		other[i] ^= 1;
		assert_false(stun_transaction_matches(&t, other));
	}
}

static void round_trip_by_karn(void **state)
{
	struct stun_transaction t = started(1000);
	uint64_t rtt_us = 7;

	(void)state;
	assert_false(stun_transaction_rtt(&t, 999, &rtt_us));
	assert_true(stun_transaction_rtt(&t, 1400, &rtt_us));
	assert_true(rtt_us == 400);
	(void)stun_transaction_on_deadline(&t, 501000);
	assert_false(stun_transaction_rtt(&t, 501001, &rtt_us));
	assert_true(rtt_us == 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_when_rfc8489_says),
		cmocka_unit_test(one_send_only),
		cmocka_unit_test(late_deadlines_do_not_burst),
		cmocka_unit_test(stopping_retransmits_keeps_the_end),
		cmocka_unit_test(stop_ends_it),
		cmocka_unit_test(only_the_whole_id_matches),
		cmocka_unit_test(round_trip_by_karn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
