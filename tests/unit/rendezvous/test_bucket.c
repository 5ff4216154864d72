#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rendezvous/bucket.h"

static const struct bucket_rate ten_a_second = {.interval_us = 100000, .burst = 30};

static unsigned take_all(struct bucket *b, uint64_t now_us)
{
	unsigned n = 0;

	while (bucket_take(b, now_us, &ten_a_second))
		n++;
	return n;
}

static void test_burst_then_rate(void **state)
{
	struct bucket b = {0};

	(void)state;
	assert_int_equal(take_all(&b, 0), 30);
	assert_int_equal(bucket_wait_us(&b, 0, &ten_a_second), 100000);
	assert_int_equal(bucket_wait_us(&b, 40000, &ten_a_second), 60000);
	assert_int_equal(take_all(&b, 99999), 0);
	assert_int_equal(take_all(&b, 100000), 1);
	assert_int_equal(take_all(&b, 1100000), 10);
	/* A long rest fills it, and not more. */
	assert_int_equal(take_all(&b, 3600000000), 30);
}

static void test_burst_of_one(void **state)
{
	const struct bucket_rate rate = {.interval_us = 10, .burst = 1};
	struct bucket b = {0};

	(void)state;
	assert_true(bucket_take(&b, 5, &rate));
	assert_false(bucket_take(&b, 14, &rate));
	assert_true(bucket_take(&b, 15, &rate));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_burst_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
