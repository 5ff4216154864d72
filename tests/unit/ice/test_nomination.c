#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/ice/nomination.h"

#define MS   US_PER_MS
#define NOW  (1000 * MS)
#define NONE SIZE_MAX

/* Each pair was valid since NOW. */
static void decisions(void **state)
{
	static const struct {
		const char *name;
		struct ice_nominee pairs[3];
		size_t count;
		size_t index;
		uint64_t at_us;
	} table[] = {
		{"nothing at all", {{0}}, 0, NONE, DEADLINE_NONE},
		{"nothing valid", {{.priority = 9, .pending = true}}, 1, NONE, DEADLINE_NONE},
		{"the only pair", {{.priority = 9, .valid = true}}, 1, 0, NOW},
		{"nothing better is pending",
		 {{.priority = 9, .valid = true}, {.priority = 8, .pending = true}},
		 2,
		 0,
		 NOW},
		{"a better one has failed",
		 {{.priority = 9}, {.priority = 8, .valid = true}},
		 2,
		 1,
		 NOW},
		{"a better one is pending, round trip unknown",
		 {{.priority = 9, .pending = true}, {.priority = 8, .valid = true}},
		 2,
		 1,
		 NOW + 500 * MS},
		{"twice the round trip",
		 {{.priority = 9, .pending = true},
		  {.priority = 8, .valid = true, .rtt_us = 100 * MS}},
		 2,
		 1,
		 NOW + 200 * MS},
		{"at least 100 ms",
		 {{.priority = 9, .pending = true}, {.priority = 8, .valid = true, .rtt_us = 1}},
		 2,
		 1,
		 NOW + 100 * MS},
		{"at most 500 ms",
		 {{.priority = 9, .pending = true},
		  {.priority = 8, .valid = true, .rtt_us = 800 * MS}},
		 2,
		 1,
		 NOW + 500 * MS},
		{"a relayed pair waits longer",
		 {{.priority = 9, .pending = true},
		  {.priority = 8, .valid = true, .relayed = true, .rtt_us = MS}},
		 2,
		 1,
		 NOW + 2000 * MS},
		{"the best of the valid ones",
		 {{.priority = 5, .valid = true}, {.priority = 7, .valid = true}, {.priority = 6}},
		 3,
		 1,
		 NOW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct ice_nomination n = {0};
		size_t index = NONE;
		uint64_t at_us;

		for (size_t j = 0; j < table[i].count; j++) {
			struct ice_nominee p = table[i].pairs[j];

			p.valid_since_us = NOW;
			ice_nomination_offer(&n, j, &p);
		}
		at_us = ice_nomination_decide(&n, NOW, &index);
		if (at_us != table[i].at_us || index != table[i].index)
			fail_msg("%s: pair %zu at %llu", table[i].name, index,
				 (unsigned long long)at_us);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
