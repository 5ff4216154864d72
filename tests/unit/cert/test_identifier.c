#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/cert/identifier.h"

static void test_valid(void **state)
{
	static const char *const good[] = {
		"a",
		"0",
		"alice",
		"web-1.example_x",
		"a--b",
		"9.9",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	static const char *const bad[] = {
		"",
		"-",
		".",
		"_a",
		"a_",
		"a.",
		"-a",
		"A",
		"aB",
		"a b",
		"a/b",
		"a\n",
		"\n",
		"a*",
		"a>",
		"..",
		"a\x7f",
		"\xc3\xa4",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(identifier_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(identifier_is_valid(bad[i]));
}

/* An array without a NUL is not read beyond its size. */
static void test_unterminated(void **state)
{
	char name[IDENTIFIER_BYTES];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_false(identifier_is_valid(name));
}

static void test_order(void **state)
{
	static const char *const rising[] = {"0", "a", "a-b", "a.b", "a0", "a_b", "aa", "b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rising); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(rising); k++) {
			int c = identifier_compare(rising[i], rising[k]);

			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_unterminated),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
