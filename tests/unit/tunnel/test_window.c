#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/tunnel/window.h"
#include "tests/unit/tunnel/window_model.h"

#define W    TUNNEL_WINDOW_PACKETS
#define B    TUNNEL_WINDOW_BITS
#define LAST ((1ULL << 56) - 1) /* highest number on the wire */

static enum err take(struct tunnel_window *w, uint64_t number)
{
	struct tunnel_window before = *w;
	enum err e = tunnel_window_check(w, number);

	assert_memory_equal(&before, w, sizeof(before));
	if (e == OK)
		tunnel_window_commit(w, number);
	return e;
}

struct row {
	uint64_t number;
	enum err expected;
};

/* Each table begins with an empty window. */
static void run_rows(const char *name, const struct row *rows, size_t count)
{
	struct tunnel_window w = {0};

	for (size_t i = 0; i < count; i++) {
		enum err e = take(&w, rows[i].number);

		if (e != rows[i].expected)
			fail_msg("%s, row %zu: number %llu gave %s", name, i,
				 (unsigned long long)rows[i].number, err_name(e));
	}
}

static void test_tables(void **state)
{
	static const struct row start[] = {
		{0, OK},	  {0, DROP_REPLAY}, {1, OK}, {1, DROP_REPLAY},
		{0, DROP_REPLAY}, {9, OK},	    {8, OK}, {7, OK},
		{7, DROP_REPLAY}, {2, OK},	    {3, OK}, {9, DROP_REPLAY},
	};
	static const struct row first_is_not_zero[] = {
		{5, OK}, {0, OK}, {4, OK}, {5, DROP_REPLAY}, {0, DROP_REPLAY}, {6, OK},
	};
	/* The oldest number that is still taken, before and after the window has moved. */
	static const struct row oldest[] = {
		{W - 1, OK},
		{0, OK},
		{W, OK},
		{0, DROP_REPLAY},
		{1, OK},
		{1, DROP_REPLAY},
		{2 * W, OK},
		{W, DROP_REPLAY},
		{W - 1, DROP_REPLAY},
		{W + 1, OK},
		{W + 1, DROP_REPLAY},
		{2 * W - 1, OK},
		{2 * W + 1, OK},
		{W + 1, DROP_REPLAY},
		{W + 2, OK},
	};
	/* Too old although its bit is clear, because it was never seen. */
	static const struct row old_and_unseen[] = {
		{W, OK}, {0, DROP_REPLAY}, {3 * W, OK}, {2 * W, DROP_REPLAY}, {2 * W + 1, OK},
	};
	/* The edges of words and of the ring. */
	static const struct row words[] = {
		{63, OK},
		{64, OK},
		{62, OK},
		{65, OK},
		{63, DROP_REPLAY},
		{127, OK},
		{128, OK},
		{127, DROP_REPLAY},
		{B - 1, OK},
		{B, OK},
		{B - 1, DROP_REPLAY},
		{B, DROP_REPLAY},
		{B - W, DROP_REPLAY},
		{B - W + 2, OK},
		{B + 63, OK},
		{B + 64, OK},
		{B + 64 - W, DROP_REPLAY},
		{B + 65 - W, OK},
		{B + 1, OK},
		{B + 1, DROP_REPLAY},
	};
	/* Where a stale bit of the ring would show: same place, one round later. */
	static const struct row rounds[] = {
		{1, OK},	  {B, OK},	   {B + 1, OK}, {B + 1, DROP_REPLAY},
		{1, DROP_REPLAY}, {2 * B + 1, OK}, {2 * B, OK}, {2 * B - 1, OK},
		{3 * B + 1, OK},  {3 * B, OK},
	};
	static const struct row jumps[] = {
		{10, OK},
		{10 + W, OK},
		{10, DROP_REPLAY},
		{11, OK},
		/* by exactly the ring, less and more than it */
		{10 + W + B, OK},
		{10 + B, DROP_REPLAY},
		{10 + W + B, DROP_REPLAY},
		{11 + B, OK},
		{10 + W + 2 * B - 1, OK},
		{10 + W + 3 * B, OK},
		{9 + W + 3 * B, OK},
		{1000000, OK},
		{999999, OK},
		{1000000, DROP_REPLAY},
		{1000000 - W, DROP_REPLAY},
		{1000001 - W, OK},
		{10, DROP_REPLAY},
	};
	static const struct row end[] = {
		{LAST - 1, OK},
		{LAST, OK},
		{LAST, DROP_REPLAY},
		{LAST - 1, DROP_REPLAY},
		{LAST - W, DROP_REPLAY},
		{LAST - W + 1, OK},
		{0, DROP_REPLAY},
		{UINT64_MAX - 1, OK},
		{UINT64_MAX - 1, DROP_REPLAY},
		{UINT64_MAX - 2, OK},
		{LAST, DROP_REPLAY},
	};

	(void)state;
	run_rows("start", start, ARRAY_SIZE(start));
	run_rows("first is not zero", first_is_not_zero, ARRAY_SIZE(first_is_not_zero));
	run_rows("oldest", oldest, ARRAY_SIZE(oldest));
	run_rows("old and unseen", old_and_unseen, ARRAY_SIZE(old_and_unseen));
	run_rows("words", words, ARRAY_SIZE(words));
	run_rows("rounds", rounds, ARRAY_SIZE(rounds));
	run_rows("jumps", jumps, ARRAY_SIZE(jumps));
	run_rows("end", end, ARRAY_SIZE(end));
}

/* A whole window upwards, and all of it again, from several alignments. */
static void test_forward_sweep(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 3 * 64; first += 31) {
		struct tunnel_window w = {0};

		for (uint64_t n = first; n < first + 2 * B; n++)
			assert_int_equal(take(&w, n), OK);
		for (uint64_t n = first; n < first + 2 * B; n++)
			assert_int_equal(take(&w, n), DROP_REPLAY);
	}
}

/* The highest first, then all the others of its window downwards, none below. */
static void test_backward_sweep(void **state)
{
	(void)state;
	for (uint64_t top = W; top < W + 3 * 64; top += 31) {
		struct tunnel_window w = {0};

		for (uint64_t n = top; n > top - W; n--)
			assert_int_equal(take(&w, n), OK);
		assert_int_equal(take(&w, top - W), DROP_REPLAY);
		for (uint64_t n = top; n > top - W; n--)
			assert_int_equal(take(&w, n), DROP_REPLAY);
	}
}

/* Even numbers upwards over several rounds of the ring, the odd ones behind them. */
static void test_two_interleaved_streams(void **state)
{
	struct tunnel_window w = {0};

	(void)state;
	for (uint64_t n = 0; n < 4 * B; n += 2) {
		assert_int_equal(take(&w, n), OK);
		if (n >= W)
			assert_int_equal(take(&w, n - W + 1), OK);
		if (n >= W + 2)
			assert_int_equal(take(&w, n - W - 1), DROP_REPLAY);
	}
}

/* A naive set of all numbers decides the same, over runs of many shapes. */
static void test_against_model(void **state)
{
	struct window_model *model = malloc(sizeof(*model));
	struct random_seeded seeded;
	struct random_source random;

	(void)state;
	assert_non_null(model);
	for (uint64_t seed = 0; seed < 60; seed++) {
		/* how far packets stray, and how fast the numbers go up */
		uint32_t spread = 1u << (seed % 15), step = 1u << (seed % 5 * 3);
		uint64_t offset = seed % 2 ? LAST / B / 2 * B : 0;
		struct tunnel_window w = {.next = 0};
		uint32_t base = 0;

		memset(model, 0, sizeof(*model));
		random_seeded_init(&seeded, seed);
		random = random_seeded_source(&seeded);
		if (offset) {
			/* the model knows nothing below the offset, so the window starts there */
			assert_int_equal(take(&w, offset), OK);
			assert_true(window_model_take(model, 0));
		}
		for (int i = 0; i < 20000; i++) {
			uint32_t number;
			enum err e;

			base += random_below(&random, step + 1);
			if (base >= WINDOW_MODEL_NUMBERS - spread)
				base = WINDOW_MODEL_NUMBERS - spread;
			number = base + random_below(&random, spread);
			if (random_below(&random, 16) == 0)
				number = random_below(&random, number + 1);
			e = take(&w, offset + number);
			if ((e == OK) != window_model_take(model, number))
				fail_msg("seed %llu, step %d: number %u gave %s",
					 (unsigned long long)seed, i, number, err_name(e));
		}
	}
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_forward_sweep),
		cmocka_unit_test(test_backward_sweep),
		cmocka_unit_test(test_two_interleaved_streams),
		cmocka_unit_test(test_against_model),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
