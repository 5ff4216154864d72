#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/turn/frame.h"

/* STUN of 20 + 4, ChannelData of 5 with padding, ChannelData of 0, STUN of 20. */
static const uint8_t stream[] = {
	0x01, 0x01, 0,	  4,  0x21, 0x12, 0xa4, 0x42, 1,   2,	 3,    4,    5,	 6,   7,
	8,    9,    10,	  11, 12,   'd',  'a',	't',  'a', 0x40, 0x00, 0,    5,	 'h', 'e',
	'l',  'l',  'o',  0,  0,    0,	  0x4f, 0xff, 0,   0,	 0x00, 0x01, 0,	 0,   0x21,
	0x12, 0xa4, 0x42, 1,  2,    3,	  4,	5,    6,   7,	 8,    9,    10, 11,  12,
};
static const size_t offsets[] = {0, 24, 36, 40};
static const size_t lengths[] = {24, 9, 4, 20};

static void put(struct turn_framer *f, const uint8_t *bytes, size_t len)
{
	size_t room;
	uint8_t *at = turn_framer_reserve(f, &room);

	assert_true(len <= room);
	memcpy(at, bytes, len);
	turn_framer_commit(f, len);
}

static void frames_come_out_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t first = 0; first <= sizeof(stream); first++) {
		for (size_t second = first; second <= sizeof(stream); second++) {
			size_t cuts[] = {0, first, second, sizeof(stream)};
			struct turn_framer *f;
			const uint8_t *frame;
			size_t len, seen = 0;
			enum err e = ERR_EMPTY;

			assert_int_equal(turn_framer_create(&f, 64), OK);
			for (size_t i = 0; i < 3; i++) {
				put(f, stream + cuts[i], cuts[i + 1] - cuts[i]);
				while ((e = turn_framer_next(f, &frame, &len)) == OK) {
					assert_int_equal(len, lengths[seen]);
					assert_memory_equal(frame, stream + offsets[seen], len);
					seen++;
				}
				assert_int_equal(e, ERR_EMPTY);
			}
			assert_int_equal(seen, 4);
			turn_framer_destroy(f);
		}
	}
}

static void a_frame_that_is_too_long_is_skipped(void **state)
{
	uint8_t head[] = {0x40, 0x01, 0, 200}, zeros[64] = {0};
	struct turn_framer *f;
	const uint8_t *frame;
	size_t len, left = 200;

	(void)state;
	assert_int_equal(turn_framer_create(&f, 64), OK);
	put(f, head, sizeof(head));
	assert_int_equal(turn_framer_next(f, &frame, &len), DROP_TOO_LONG);
	while (left > 0) {
		size_t n = left < 50 ? left : 50;

		put(f, zeros, n);
		assert_int_equal(turn_framer_next(f, &frame, &len), ERR_EMPTY);
		left -= n;
	}
	put(f, stream, 24);
	assert_int_equal(turn_framer_next(f, &frame, &len), OK);
	assert_int_equal(len, 24);
	turn_framer_destroy(f);
}

static void what_is_neither_ends_the_stream(void **state)
{
	static const uint8_t bad[][4] = {{0x50, 0, 0, 0},
					 {0x80, 0, 0, 0},
					 {0xff, 0xff, 0, 0},
					 {0, 1, 0, 1},
					 {0x40 - 1, 0, 0, 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct turn_framer *f;
		const uint8_t *frame;
		size_t len;

		assert_int_equal(turn_framer_create(&f, 64), OK);
		put(f, bad[i], 4);
		assert_int_equal(turn_framer_next(f, &frame, &len), DROP_MALFORMED);
		put(f, stream, 24);
		assert_int_equal(turn_framer_next(f, &frame, &len), DROP_MALFORMED);
		turn_framer_reset(f);
		put(f, stream, 24);
		assert_int_equal(turn_framer_next(f, &frame, &len), OK);
		turn_framer_destroy(f);
	}
}

static void sizes_are_checked(void **state)
{
	struct turn_framer *f;
	size_t room;

	(void)state;
	assert_int_equal(turn_framer_create(&f, 63), ERR_INVALID);
	assert_int_equal(turn_framer_create(&f, TURN_FRAME_MAX_BYTES + 1), ERR_INVALID);
	assert_int_equal(turn_framer_create(&f, TURN_FRAME_MAX_BYTES), OK);
	assert_non_null(turn_framer_reserve(f, &room));
	assert_int_equal(room, TURN_FRAME_MAX_BYTES);
	turn_framer_destroy(f);
	turn_framer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_however_they_are_cut),
		cmocka_unit_test(a_frame_that_is_too_long_is_skipped),
		cmocka_unit_test(what_is_neither_ends_the_stream),
		cmocka_unit_test(sizes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
