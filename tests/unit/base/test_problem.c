#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/problem.h"

static void test_codes_and_names_are_unique(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < PROBLEM_COUNT; i++) {
		enum problem p = (enum problem)i;

		assert_in_range(problem_exit(p), 0, 63);
		assert_int_equal(problem_find(problem_name(p)), p);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(problem_exit(p), problem_exit((enum problem)j));
	}
	assert_int_equal(problem_exit(PROBLEM_NONE), 0);
	assert_int_equal(problem_find("Nothing"), PROBLEM_COUNT);
	assert_int_equal(problem_find(""), PROBLEM_COUNT);
}

/* A fragment that can stand before ": detail", and advice that fits behind it. */
static void test_sentences(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < PROBLEM_COUNT; i++) {
		const char *text = problem_text((enum problem)i);
		const char *advice = problem_advice((enum problem)i);

		if (!islower((unsigned char)text[0]) || strchr(".!?:", text[strlen(text) - 1]) ||
		    strlen(text) > 80)
			fail_msg("text: %s", text);
		if (strlen(advice) < 10 || islower((unsigned char)advice[0]) ||
		    strchr(advice, '\n') || strlen(advice) > 120)
			fail_msg("advice: %s", advice);
	}
}

/* Codes are for scripts: one that was given out never means anything else. */
static void test_codes_that_are_promised(void **state)
{
	static const struct {
		const char *name;
		int exit;
	} rows[] = {
		{"Internal", 1},
		{"Usage", 2},
		{"NotRunning", 3},
		{"Permission", 4},
		{"NotJoined", 5},
		{"AlreadyJoined", 6},
		{"NotUp", 7},
		{"Busy", 8},
		{"Version", 9},
		{"TokenBad", 10},
		{"TokenDamaged", 11},
		{"TokenExpired", 12},
		{"TokenUsed", 13},
		{"TokenUnknown", 14},
		{"NameInvalid", 15},
		{"NameTaken", 16},
		{"NoAddress", 17},
		{"TokenVersion", 18},
		{"ServerKey", 20},
		{"ServerUnreachable", 21},
		{"ServerRefused", 22},
		{"ServerVersion", 23},
		{"MembershipExpired", 24},
		{"MembershipRevoked", 25},
		{"Replaced", 26},
		{"PeerUnknown", 30},
		{"PeerAbsent", 31},
		{"PeerUnreachable", 32},
		{"NoReply", 33},
		{"NoTun", 40},
		{"TunPermission", 41},
		{"RouteOverlap", 42},
		{"InterfaceExists", 43},
		{"Timeout", 50},
		{"Cancelled", 51},
		{"Config", 60},
		{"StateUnsafe", 61},
		{"StateDamaged", 62},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(problem_exit(problem_find(rows[i].name)), rows[i].exit);
}

static void test_outside_of_the_table(void **state)
{
	(void)state;
	assert_string_equal(problem_name(PROBLEM_COUNT), "Internal");
	assert_int_equal(problem_exit((enum problem)12345), 1);
	assert_true(problem_is_wire(PROBLEM_COUNT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes_and_names_are_unique),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_codes_that_are_promised),
		cmocka_unit_test(test_outside_of_the_table),
	};

	return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
