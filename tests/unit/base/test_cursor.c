#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/cursor.h"

static const uint8_t bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10};

static void numbers_are_big_endian(void **state)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	struct rd r64 = rd_init(bytes, 8);

	(void)state;
	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16be(&r), 0x2345);
	assert_int_equal(rd_u32be(&r), 0x6789abcd);
	assert_int_equal(rd_left(&r), 2);
	assert_false(rd_at_end(&r));
	rd_skip(&r, 2);
	assert_true(rd_at_end(&r));
	assert_true(rd_u64be(&r64) == 0x0123456789abcdef);
}

/* Each read over each length: it gets all or nothing. */
static void short_reads_fail_and_stay_failed(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		uint8_t *copy = malloc(len ? len : 1);
		struct rd r;

		assert_non_null(copy);
		memcpy(copy, bytes, len);
		r = rd_init(copy, len);
		(void)rd_u64be(&r);
		assert_int_equal(rd_ok(&r), len >= 8);
		r = rd_init(copy, len);
		(void)rd_u32be(&r);
		assert_int_equal(rd_ok(&r), len >= 4);
		r = rd_init(copy, len);
		(void)rd_u16be(&r);
		assert_int_equal(rd_ok(&r), len >= 2);
		r = rd_init(copy, len);
		assert_null(rd_bytes(&r, len + 1));
		assert_false(rd_ok(&r));
		assert_false(rd_at_end(&r));
		assert_int_equal(rd_left(&r), 0);
		assert_null(rd_bytes(&r, 0));
		assert_int_equal(rd_u8(&r), 0);
		assert_int_equal(rd_u64be(&r), 0);
		free(copy);
	}
}

static void huge_lengths_do_not_wrap(void **state)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	uint8_t out[4];
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	rd_skip(&r, 1);
	assert_null(rd_bytes(&r, SIZE_MAX));
	wr_u8(&w, 1);
	assert_null(wr_reserve(&w, SIZE_MAX));
	assert_false(wr_ok(&w));
}

static void copy_fills_with_zeros_on_failure(void **state)
{
	struct rd r = rd_init(bytes, 2);
	uint8_t out[3] = {9, 9, 9};

	(void)state;
	assert_false(rd_copy(&r, out, 3));
	assert_int_equal(out[0] | out[1] | out[2], 0);
	r = rd_init(bytes, 2);
	assert_true(rd_copy(&r, out, 2));
	assert_memory_equal(out, bytes, 2);
	assert_true(rd_copy(&r, out, 0));
}

static void empty_readers(void **state)
{
	struct rd r = rd_init(NULL, 0);

	(void)state;
	assert_true(rd_at_end(&r));
	rd_skip(&r, 0);
	assert_true(rd_ok(&r));
	assert_int_equal(rd_u8(&r), 0);
	assert_false(rd_ok(&r));
}

static void a_reader_within_a_reader(void **state)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	struct rd sub = rd_sub(&r, 3);

	(void)state;
	assert_int_equal(rd_left(&sub), 3);
	assert_int_equal(rd_left(&r), 6);
	(void)rd_u32be(&sub);
	assert_false(rd_ok(&sub));
	assert_true(rd_ok(&r));
	sub = rd_sub(&r, 7);
	assert_false(rd_ok(&sub));
	assert_false(rd_ok(&r));
	assert_int_equal(rd_u8(&sub), 0);
}

static void what_is_written_is_read(void **state)
{
	uint8_t out[20];
	struct wr w = wr_init(out, sizeof(out));
	struct rd r;

	(void)state;
	wr_u8(&w, 0xfe);
	wr_u16be(&w, 0xfedc);
	wr_u32be(&w, 0xfedcba98);
	wr_u64be(&w, 0xfedcba9876543210);
	wr_bytes(&w, "ab", 2);
	wr_bytes(&w, NULL, 0);
	wr_zero(&w, 3);
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), 20);
	assert_int_equal(wr_left(&w), 0);
	r = rd_init(out, sizeof(out));
	assert_int_equal(rd_u8(&r), 0xfe);
	assert_int_equal(rd_u16be(&r), 0xfedc);
	assert_int_equal(rd_u32be(&r), 0xfedcba98);
	assert_true(rd_u64be(&r) == 0xfedcba9876543210);
	assert_memory_equal(rd_bytes(&r, 5), "ab\0\0\0", 5);
	assert_true(rd_at_end(&r));
}

static void a_full_writer_fails_and_writes_no_part(void **state)
{
	uint8_t out[4] = {7, 7, 7, 7};
	struct wr w = wr_init(out, 3);

	(void)state;
	wr_u32be(&w, 0xffffffff);
	assert_false(wr_ok(&w));
	assert_int_equal(out[0] & out[3], 7);
	wr_u8(&w, 1); /* would fit, but failure is sticky */
	assert_int_equal(out[0], 7);
	assert_int_equal(wr_left(&w), 0);
	w = wr_init(NULL, 0);
	wr_zero(&w, 0);
	assert_true(wr_ok(&w));
	wr_u8(&w, 1);
	assert_false(wr_ok(&w));
}

static void patching(void **state)
{
	uint8_t out[4] = {0};
	struct wr w = wr_init(out, sizeof(out));

	(void)state;
	wr_u16be(&w, 0);
	wr_u8(&w, 5);
	wr_patch_u16be(&w, 0, 0x1234);
	wr_patch_u16be(&w, 1, 0x5678);
	assert_true(wr_ok(&w));
	assert_memory_equal(out, "\x12\x56\x78", 3);
	wr_patch_u16be(&w, 2, 0);
	assert_false(wr_ok(&w));
	w = wr_init(out, sizeof(out));
	wr_u8(&w, 1);
	wr_patch_u16be(&w, 0, 0);
	assert_false(wr_ok(&w));
	w = wr_init(out, sizeof(out));
	wr_u32be(&w, 0);
	wr_patch_u16be(&w, SIZE_MAX, 0);
	assert_false(wr_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(short_reads_fail_and_stay_failed),
		cmocka_unit_test(huge_lengths_do_not_wrap),
		cmocka_unit_test(copy_fills_with_zeros_on_failure),
		cmocka_unit_test(empty_readers),
		cmocka_unit_test(a_reader_within_a_reader),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_full_writer_fails_and_writes_no_part),
		cmocka_unit_test(patching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
