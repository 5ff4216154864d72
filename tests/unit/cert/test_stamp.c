#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cert/stamp.h"

static void rises_and_never_falls(void **state)
{
	struct stamp_table t;

	(void)state;
	assert_int_equal(stamp_table_init(&t, 4), OK);
	assert_true(stamp_get(&t, "alice") == 0);
	stamp_set(&t, "alice", 10);
	stamp_set(&t, "bob", 7);
	stamp_set(&t, "alice", 9);
	assert_true(stamp_get(&t, "alice") == 10);
	stamp_set(&t, "alice", UINT64_MAX);
	assert_true(stamp_get(&t, "alice") == UINT64_MAX);
	assert_true(stamp_get(&t, "bob") == 7);
	assert_int_equal(t.count, 2);
	stamp_table_fini(&t);
}

static void lowest_goes_when_full(void **state)
{
	struct stamp_table t;
	char name[IDENTIFIER_BYTES];

	(void)state;
	assert_int_equal(stamp_table_init(&t, 3), OK);
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "host%u", i);
		stamp_set(&t, name, 100 + i);
	}
	stamp_set(&t, "late", 50); /* lower than all: it is not worth a place */
	assert_true(stamp_get(&t, "late") == 0);
	stamp_set(&t, "late", 500);
	assert_true(stamp_get(&t, "late") == 500);
	assert_true(stamp_get(&t, "host0") == 0);
	assert_true(stamp_get(&t, "host1") == 101);
	assert_int_equal(t.count, 3);
	stamp_table_fini(&t);
	/* Nothing fits, nothing breaks. */
	assert_int_equal(stamp_table_init(&t, 0), OK);
	stamp_set(&t, "alice", 1);
	assert_true(stamp_get(&t, "alice") == 0);
	stamp_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rises_and_never_falls),
		cmocka_unit_test(lowest_goes_when_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
