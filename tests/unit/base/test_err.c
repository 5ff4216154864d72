#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/err.h"

static void every_code_has_name_and_text(void **state)
{
	(void)state;
	for (enum err e = OK; e < ERR_COUNT; e++) {
		assert_non_null(err_name(e));
		assert_non_null(err_text(e));
		for (enum err other = OK; other < e; other++)
			assert_string_not_equal(err_name(e), err_name(other));
	}
	assert_string_equal(err_name(OK), "ok");
	assert_string_equal(err_name(ERR_COUNT), "unknown");
	assert_string_equal(err_name((enum err)(-1)), "unknown");
	assert_string_equal(err_text((enum err)12345), "unknown error");
}

static void classes(void **state)
{
	(void)state;
	assert_false(err_is_drop(OK));
	assert_true(err_is_drop(DROP_TRUNCATED));
	assert_true(err_is_drop(DROP_IDENTITY));
	assert_false(err_is_drop(ERR_NO_MEMORY));
	assert_false(err_is_drop(ERR_COUNT));
	/* The class is told by the order of the table: the names must agree with it. */
#define X(code, name, text) assert_int_equal(err_is_drop(code), strncmp(#code, "DROP_", 5) == 0);
	ERR_TABLE(X)
#undef X
}

static void only_drops_are_counted(void **state)
{
	struct drop_counters c = {0};
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(drop_count(&c, OK), OK);
	assert_int_equal(drop_count(&c, ERR_NO_MEMORY), ERR_NO_MEMORY);
	assert_int_equal(drop_count(&c, DROP_REPLAY), DROP_REPLAY);
	assert_int_equal(drop_count(&c, DROP_REPLAY), DROP_REPLAY);
	for (size_t i = 0; i < ERR_COUNT; i++)
		sum += c.count[i];
	assert_true(sum == 2 && c.count[DROP_REPLAY] == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_name_and_text),
		cmocka_unit_test(classes),
		cmocka_unit_test(only_drops_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
