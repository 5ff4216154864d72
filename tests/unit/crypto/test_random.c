#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"

static void a_seed_gives_one_stream(void **state)
{
	struct random_seeded a, b, c;
	struct random_source ra, rb, rc;

	(void)state;
	random_seeded_init(&a, 42);
	random_seeded_init(&b, 42);
	random_seeded_init(&c, 43);
	ra = random_seeded_source(&a);
	rb = random_seeded_source(&b);
	rc = random_seeded_source(&c);
	for (size_t i = 0; i < 100; i++) {
		uint64_t v = random_u64(&ra);

		assert_true(v == random_u64(&rb));
		assert_true(v != random_u64(&rc));
	}
}

/* Two requests of one stream never repeat, whatever their lengths. */
static void requests_differ(void **state)
{
	struct random_seeded s;
	struct random_source r;
	uint8_t first[40], next[40];

	(void)state;
	random_seeded_init(&s, 0);
	r = random_seeded_source(&s);
	random_bytes(&r, first, sizeof(first));
	for (size_t i = 0; i < 100; i++) {
		random_bytes(&r, next, sizeof(next));
		assert_memory_not_equal(first, next, 8);
	}
	random_bytes(&r, next, 0);
}

static void below_a_bound(void **state)
{
	struct random_seeded s;
	struct random_source r;
	size_t seen[7] = {0};

	(void)state;
	random_seeded_init(&s, 1);
	r = random_seeded_source(&s);
	for (size_t i = 0; i < 7000; i++) {
		uint32_t v = random_below(&r, 7);

		assert_true(v < 7);
		seen[v]++;
	}
	for (size_t i = 0; i < 7; i++)
		assert_in_range(seen[i], 850, 1150);
	assert_int_equal(random_below(&r, 1), 0);
}

static void the_system_is_random(void **state)
{
	struct random_source r = random_system();
	uint8_t a[32], b[32];

	(void)state;
	random_bytes(&r, a, sizeof(a));
	random_bytes(&r, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_one_stream),
		cmocka_unit_test(requests_differ),
		cmocka_unit_test(below_a_bound),
		cmocka_unit_test(the_system_is_random),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
