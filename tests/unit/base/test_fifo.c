#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/fifo.h"

static void empty_and_full(void **state)
{
	uint8_t a[2], b[8];
	struct fifo f;
	size_t len;

	(void)state;
	assert_int_equal(fifo_init(&f, 16), OK);
	assert_true(fifo_is_empty(&f));
	assert_false(fifo_pop(&f, a, 0, b, sizeof(b), &len));
	assert_int_equal(fifo_push(&f, "ab", 2, "0123456789", 10), OK);
	assert_int_equal(fifo_push(&f, NULL, 0, NULL, 0), DROP_QUEUE_FULL);
	assert_false(fifo_is_empty(&f));
	fifo_fini(&f);
}

static void a_record_that_is_too_long_for_the_reader_is_passed_over(void **state)
{
	uint8_t a[1], b[4];
	struct fifo f;
	size_t len;

	(void)state;
	assert_int_equal(fifo_init(&f, 64), OK);
	assert_int_equal(fifo_push(&f, "x", 1, "12345", 5), OK);
	assert_int_equal(fifo_push(&f, "y", 1, "1234", 4), OK);
	assert_true(fifo_pop(&f, a, 1, b, sizeof(b), &len));
	assert_int_equal(a[0], 'y');
	assert_int_equal(len, 4);
	assert_memory_equal(b, "1234", 4);
	assert_true(fifo_is_empty(&f));
	/* The next record takes memory that was used before. */
	assert_int_equal(fifo_push(&f, "z", 1, NULL, 0), OK);
	assert_int_equal(f.head, 0);
	fifo_fini(&f);
}

/* Records of all lengths, around the end of the block many times, come out as they went in. */
static void order_and_content_survive_the_wrap(void **state)
{
	uint8_t buf[40], a[3], b[40];
	uint32_t in = 0, out = 0, waiting = 0;
	struct fifo f;
	size_t len;

	(void)state;
	assert_int_equal(fifo_init(&f, 101), OK);
	for (uint32_t step = 0; step < 100000; step++) {
		if (step * 2654435761u >> 31) {
			size_t n = in % 37;

			memset(buf, (int)(in & 0xff), sizeof(buf));
			if (fifo_push(&f, buf, 3, buf, n) == OK) {
				in++;
				waiting++;
			} else {
				assert_true(waiting > 0);
			}
		} else if (fifo_pop(&f, a, 3, b, sizeof(b), &len)) {
			memset(buf, (int)(out & 0xff), sizeof(buf));
			assert_memory_equal(a, buf, 3);
			assert_int_equal(len, out % 37);
			assert_memory_equal(b, buf, len);
			out++;
			waiting--;
		} else {
			assert_int_equal(waiting, 0);
		}
	}
	assert_true(out > 10000);
	fifo_fini(&f);
}

static void a_cleared_queue_is_as_new(void **state)
{
	struct fifo f;
	char out[8];
	size_t len;

	(void)state;
	assert_int_equal(fifo_init(&f, 16), OK);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fifo_push(&f, NULL, 0, "0123456789", 10), OK);
		fifo_clear(&f);
		assert_true(fifo_is_empty(&f));
		assert_false(fifo_pop(&f, NULL, 0, out, sizeof(out), &len));
	}
	assert_int_equal(fifo_push(&f, NULL, 0, "01234567", 8), OK);
	assert_true(fifo_pop(&f, NULL, 0, out, sizeof(out), &len));
	assert_memory_equal(out, "01234567", 8);
	fifo_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_and_full),
		cmocka_unit_test(a_record_that_is_too_long_for_the_reader_is_passed_over),
		cmocka_unit_test(order_and_content_survive_the_wrap),
		cmocka_unit_test(a_cleared_queue_is_as_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
