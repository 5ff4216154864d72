#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"

static void memory_is_zeroed_and_wiped(void **state)
{
	uint8_t *p = secret_alloc(100);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0xaa, 100);
	secret_wipe(p, 99);
	for (size_t i = 0; i < 99; i++)
		assert_int_equal(p[i], 0);
	assert_int_equal(p[99], 0xaa);
	secret_free(p);
	secret_free(NULL);
}

static void comparing(void **state)
{
	uint8_t a[64], b[64];

	(void)state;
	memset(a, 0x11, sizeof(a));
	memset(b, 0x11, sizeof(b));
	assert_true(secret_equal(a, b, sizeof(a)));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(secret_equal(a, b, sizeof(a)));
		assert_true(secret_equal(a, b, bit / 8));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void starting_twice_is_fine(void **state)
{
	(void)state;
	assert_int_equal(crypto_start(), OK);
	assert_int_equal(crypto_start(), OK);
}

/* More than one block; slots are distinct, zero when they come, and come again. */
static void pool_of_secrets(void **state)
{
	uint8_t *slots[200];
	struct secret_pool p;

	(void)state;
	secret_pool_init(&p, 61);
	for (size_t round = 0; round < 2; round++) {
		void *blocks = p.blocks;

		for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
			slots[i] = secret_pool_get(&p);
			assert_non_null(slots[i]);
			for (size_t k = 0; k < 61; k++)
				assert_int_equal(slots[i][k], 0);
			memset(slots[i], (int)i, 61);
		}
		for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
			for (size_t k = 0; k < 61; k++)
				assert_int_equal(slots[i][k], (uint8_t)i);
		}
		if (round == 1)
			assert_ptr_equal(p.blocks, blocks);
		for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
			secret_pool_put(&p, slots[i]);
	}
	secret_pool_put(&p, NULL);
	secret_pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_of_secrets),
		cmocka_unit_test(memory_is_zeroed_and_wiped),
		cmocka_unit_test(comparing),
		cmocka_unit_test(starting_twice_is_fine),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
