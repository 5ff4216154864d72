/* The ring between two threads: bounds, wrapping, and a million records across threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "daemon/data/ring.h"

static void test_bounds(void **state)
{
	struct ring r;
	uint8_t head[4], rest[64];
	size_t len = 99;

	(void)state;
	assert_int_equal(ring_init(&r, 64), OK);
	assert_int_equal(ring_pop(&r, head, 4, rest, 64, &len), ERR_EMPTY);
	assert_int_equal(ring_push(&r, "abcd", 4, NULL, 0), OK);	       /* 8 bytes */
	assert_int_equal(ring_push(&r, "efgh", 4, rest, 49), DROP_QUEUE_FULL); /* 57: one more */
	assert_int_equal(ring_push(&r, "efgh", 4, "0123456789", 10), OK);      /* 18, in all 26 */
	assert_int_equal(ring_push(&r, "long", 4, rest, 30), OK);	       /* 38, in all 64 */
	assert_int_equal(ring_push(&r, "", 0, NULL, 0), DROP_QUEUE_FULL);
	assert_int_equal(ring_pop(&r, head, 4, rest, 0, &len), OK);
	assert_memory_equal(head, "abcd", 4);
	assert_int_equal(len, 0);
	assert_int_equal(ring_pop(&r, head, 4, rest, 10, &len), OK);
	assert_memory_equal(head, "efgh", 4);
	assert_memory_equal(rest, "0123456789", 10);
	assert_int_equal(len, 10);
	assert_int_equal(ring_pop(&r, head, 4, rest, 29, &len), DROP_TOO_LONG);
	assert_int_equal(ring_pop(&r, head, 4, rest, 29, &len), ERR_EMPTY);
	ring_fini(&r);
}

static void test_wraps_at_every_offset(void **state)
{
	struct ring r;

	(void)state;
	assert_int_equal(ring_init(&r, 64), OK);
	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t bytes[40], back[40];
		size_t len = i % sizeof(bytes), back_len;
		uint32_t number;

		memset(bytes, (int)i, sizeof(bytes));
		assert_int_equal(ring_push(&r, &i, 4, bytes, len), OK);
		assert_int_equal(ring_pop(&r, &number, 4, back, sizeof(back), &back_len), OK);
		assert_int_equal(number, i);
		assert_int_equal(back_len, len);
		assert_memory_equal(back, bytes, len);
	}
	ring_fini(&r);
}

#define RECORDS 300000

static void *push_all(void *arg)
{
	for (uint32_t i = 0; i < RECORDS;) {
		if (ring_push(arg, &i, sizeof(i), &i, i % 5) == OK)
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	struct ring r;
	pthread_t thread;

	(void)state;
	assert_int_equal(ring_init(&r, 256), OK);
	assert_int_equal(pthread_create(&thread, NULL, push_all, &r), 0);
	for (uint32_t i = 0; i < RECORDS;) {
		uint32_t number;
		uint8_t bytes[8];
		size_t len;

		if (ring_pop(&r, &number, sizeof(number), bytes, sizeof(bytes), &len)) {
			sched_yield();
			continue;
		}
		if (number != i || len != i % 5 || memcmp(bytes, &i, len > 4 ? 4 : len) != 0)
			fail_msg("record %u came as %u with %zu bytes", i, number, len);
		i++;
	}
	pthread_join(thread, NULL);
	ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_wraps_at_every_offset),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
