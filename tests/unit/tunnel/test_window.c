#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/tunnel/window.h"
#include "tests/unit/tunnel/window_model.h"

#define K    TUNNEL_WINDOW_BLOCK_BITS
#define B    TUNNEL_WINDOW_BITS
#define W    TUNNEL_WINDOW_PACKETS
#define LAST (TUNNEL_WINDOW_NUMBERS - 1)

static enum err take(struct tunnel_window *w, uint64_t number)
{
	struct tunnel_window before;
	enum err e;

	memcpy(&before, w, sizeof(before));
	e = tunnel_window_check(w, number);
	assert_memory_equal(&before, w, sizeof(before));
	assert_int_equal(tunnel_window_commit(w, number), e);
	if (e)
		assert_memory_equal(&before, w, sizeof(before));
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
	/* The oldest number that is still remembered, whatever has come. */
	static const struct row oldest[] = {
		{B - 1, OK},	  {0, OK},	    {1, OK},
		{B, OK}, /* takes the place of 0..31 */
		{0, DROP_REPLAY}, {2, DROP_REPLAY}, {K - 1, DROP_REPLAY},
		{K, OK},	  {K, DROP_REPLAY}, {B + 1, OK},
		{B, DROP_REPLAY},
	};
	/* What is older is remembered as long as nothing has come by its place. */
	static const struct row old_and_unseen[] = {
		{3 * B + 5, OK},      {K, OK},	   {K, DROP_REPLAY},
		{0, DROP_REPLAY},     {K + 1, OK}, {3 * B + 4, OK},
		{2 * B, DROP_REPLAY}, {B + K, OK}, {K, DROP_REPLAY},
		{K + 2, DROP_REPLAY},
	};
	/* The edges of blocks and of the ring. */
	static const struct row blocks[] = {
		{K - 1, OK},	      {K, OK},
		{K - 2, OK},	      {K + 1, OK},
		{K - 1, DROP_REPLAY}, {2 * K - 1, OK},
		{2 * K, OK},	      {2 * K - 1, DROP_REPLAY},
		{B - 1, OK},	      {B, OK},
		{B - 1, DROP_REPLAY}, {B, DROP_REPLAY},
		{B + K, OK},	      {K - 1, DROP_REPLAY},
		{K, DROP_REPLAY},     {2 * K + 1, OK},
		{B + 2 * K, OK},      {2 * K + 2, DROP_REPLAY},
	};
	/* Where a stale bit of the ring would show: same place, one round later. */
	static const struct row rounds[] = {
		{1, OK},	  {B, OK},	   {B + 1, OK},		 {B + 1, DROP_REPLAY},
		{1, DROP_REPLAY}, {2 * B + 1, OK}, {2 * B, OK},		 {2 * B - 1, OK},
		{3 * B + 1, OK},  {3 * B, OK},	   {B + 2, DROP_REPLAY},
	};
	static const struct row end[] = {
		{LAST - 1, OK},		 {LAST, OK},
		{LAST, DROP_REPLAY},	 {LAST - 1, DROP_REPLAY},
		{LAST - B, DROP_REPLAY}, {LAST - W + 1, OK},
		{LAST + 1, DROP_REPLAY}, {UINT64_MAX, DROP_REPLAY},
		{LAST - 2, OK},
	};

	(void)state;
	run_rows("start", start, ARRAY_SIZE(start));
	run_rows("first is not zero", first_is_not_zero, ARRAY_SIZE(first_is_not_zero));
	run_rows("oldest", oldest, ARRAY_SIZE(oldest));
	run_rows("old and unseen", old_and_unseen, ARRAY_SIZE(old_and_unseen));
	run_rows("blocks", blocks, ARRAY_SIZE(blocks));
	run_rows("rounds", rounds, ARRAY_SIZE(rounds));
	run_rows("end", end, ARRAY_SIZE(end));
}

/* A whole window upwards, and all of it again, from several alignments. */
static void test_forward_sweep(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 3 * K; first += 13) {
		struct tunnel_window w = {0};

		for (uint64_t n = first; n < first + 2 * B; n++)
			assert_int_equal(take(&w, n), OK);
		for (uint64_t n = first; n < first + 2 * B; n++)
			assert_int_equal(take(&w, n), DROP_REPLAY);
	}
}

/* The highest first, then all the others of its window downwards. */
static void test_backward_sweep(void **state)
{
	(void)state;
	for (uint64_t top = W; top < W + 3 * K; top += 13) {
		struct tunnel_window w = {0};

		for (uint64_t n = top; n > top - W; n--)
			assert_int_equal(take(&w, n), OK);
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
			assert_int_equal(take(&w, n - W + 2), OK);
		if (n >= B + K)
			assert_int_equal(take(&w, n - B - K + 1), DROP_REPLAY);
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
		struct tunnel_window w = {0};
		uint32_t base = 0;

		window_model_init(model);
		random_seeded_init(&seeded, seed);
		random = random_seeded_source(&seeded);
		if (offset) {
			/* the model knows nothing below the offset */
			for (uint64_t n = offset; n < offset + B; n += K) {
				assert_int_equal(take(&w, n), OK);
				assert_true(window_model_take(model, (uint32_t)(n - offset)));
			}
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

#define RACERS	     4
#define RACE_NUMBERS (64 * 1024)

struct race {
	struct tunnel_window w;
	_Atomic unsigned int taken[RACE_NUMBERS];
	pthread_barrier_t start;
};

/* Every racer brings every number, in an order of its own within a window. */
static void *run_race(void *arg)
{
	static _Atomic uint32_t racers;
	struct race *r = arg;
	struct random_seeded seeded;
	struct random_source random = random_seeded_source(&seeded);

	random_seeded_init(&seeded, atomic_fetch_add(&racers, 1));
	pthread_barrier_wait(&r->start);
	for (uint32_t n = 0; n < RACE_NUMBERS; n++) {
		uint32_t number = n ^ random_below(&random, 64);

		if (tunnel_window_check(&r->w, number) == OK &&
		    tunnel_window_commit(&r->w, number) == OK)
			atomic_fetch_add(&r->taken[number], 1);
		if (tunnel_window_check(&r->w, n) == OK && tunnel_window_commit(&r->w, n) == OK)
			atomic_fetch_add(&r->taken[n], 1);
	}
	return NULL;
}

/* Threads that share a window take each number once: never twice, and not never. */
static void test_threads(void **state)
{
	struct race *r = calloc(1, sizeof(*r));
	pthread_t threads[RACERS];

	(void)state;
	assert_non_null(r);
	pthread_barrier_init(&r->start, NULL, RACERS);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_race, r), 0);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t n = 0; n < RACE_NUMBERS; n++)
		assert_true(atomic_load(&r->taken[n]) <= 1);
	for (uint32_t n = RACE_NUMBERS - W; n < RACE_NUMBERS; n++)
		assert_int_equal(atomic_load(&r->taken[n]), 1);
	pthread_barrier_destroy(&r->start);
	free(r);
}

/* Each number once, in any order, however far ahead others are. */
static void test_first(void **state)
{
	struct tunnel_window_first w = {0};

	(void)state;
	for (uint64_t i = 0; i < TUNNEL_WINDOW_FIRST; i++) {
		uint64_t number = i * 293 % TUNNEL_WINDOW_FIRST;

		assert_int_equal(tunnel_window_first_check(&w, number), OK);
		assert_int_equal(tunnel_window_first_check(&w, number), OK);
		assert_int_equal(tunnel_window_first_commit(&w, number), OK);
		assert_int_equal(tunnel_window_first_check(&w, number), DROP_REPLAY);
		assert_int_equal(tunnel_window_first_commit(&w, number), DROP_REPLAY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_forward_sweep),
		cmocka_unit_test(test_backward_sweep),
		cmocka_unit_test(test_two_interleaved_streams),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_first),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
