#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/ice/request.h"

#define COUNT 500

static void found_while_active(void **state)
{
	static struct ice_request r[COUNT];
	struct table t;
	struct random_seeded seed;
	struct random_source random;
	uint8_t old[STUN_TXID_BYTES];

	(void)state;
	random_seeded_init(&seed, 1);
	random = random_seeded_source(&seed);
	memset(r, 0, sizeof(r));
	assert_int_equal(table_init(&t, 10), OK);
	for (size_t i = 0; i < COUNT; i++)
		ice_request_start(&t, &r[i], &random, 0, STUN_RTO_US, 7, 16);
	for (size_t i = 0; i < COUNT; i++)
		assert_ptr_equal(ice_request_find(&t, r[i].txn.txid), &r[i]);
	for (size_t i = 0; i < COUNT; i += 2) {
		ice_request_stop(&t, &r[i]);
		ice_request_stop(&t, &r[i]);
	}
	for (size_t i = 0; i < COUNT; i++)
		assert_ptr_equal(ice_request_find(&t, r[i].txn.txid), i % 2 ? &r[i] : NULL);
	/* Started again: the id of before is not known any more. */
	memcpy(old, r[1].txn.txid, sizeof(old));
	ice_request_start(&t, &r[1], &random, 0, STUN_RTO_US, 7, 16);
	assert_null(ice_request_find(&t, old));
	assert_ptr_equal(ice_request_find(&t, r[1].txn.txid), &r[1]);
	table_fini(&t);
}

static void moved_with_its_times(void **state)
{
	struct ice_request from = {.pair = 3, .nominate = true}, to = {0};
	struct table t;
	struct random_seeded seed;
	struct random_source random;

	(void)state;
	random_seeded_init(&seed, 2);
	random = random_seeded_source(&seed);
	assert_int_equal(table_init(&t, 1), OK);
	ice_request_move(&t, &to, &from); /* not active: nothing to take over */
	assert_false(stun_transaction_is_active(&to.txn));
	ice_request_start(&t, &from, &random, 5, STUN_RTO_US, 7, 16);
	ice_request_move(&t, &to, &from);
	assert_false(stun_transaction_is_active(&from.txn));
	assert_ptr_equal(ice_request_find(&t, to.txn.txid), &to);
	assert_int_equal(stun_transaction_deadline(&to.txn), 5 + STUN_RTO_US);
	assert_int_equal(to.pair, 3);
	assert_true(to.nominate);
	ice_request_stop(&t, &to);
	assert_null(ice_request_find(&t, to.txn.txid));
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_while_active),
		cmocka_unit_test(moved_with_its_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
