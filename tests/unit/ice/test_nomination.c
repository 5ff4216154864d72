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
struct row {
	const char *name;
	struct ice_nominee pairs[3];
	size_t count;
	size_t index;
	uint64_t at_us;
};

static void check(const struct row *row, struct ice_nomination n)
{
	size_t index = NONE;
	uint64_t at_us;

	for (size_t i = 0; i < row->count; i++) {
		struct ice_nominee p = row->pairs[i];

		p.valid_since_us = NOW;
		ice_nomination_offer(&n, i, &p);
	}
	at_us = ice_nomination_decide(&n, NOW, &index);
	if (at_us != row->at_us || index != row->index)
		fail_msg("%s: pair %zu at %llu", row->name, index, (unsigned long long)at_us);
}

static void decisions(void **state)
{
	static const struct row table[] = {
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
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		check(&table[i], (struct ice_nomination){0});
}

static void decisions_after_a_restart(void **state)
{
	static const struct row table[] = {
		{"nothing valid", {{.priority = 9, .pending = true}}, 1, NONE, DEADLINE_NONE},
		{"nothing better is pending",
		 {{.priority = 9, .valid = true}, {.priority = 8, .pending = true}},
		 2,
		 0,
		 NOW},
		{"the better one has more time",
		 {{.priority = 9, .pending = true}, {.priority = 8, .valid = true, .rtt_us = MS}},
		 2,
		 1,
		 NOW + 2000 * MS},
		{"as long as it would for a relayed one",
		 {{.priority = 9, .pending = true},
		  {.priority = 8, .valid = true, .relayed = true, .rtt_us = MS}},
		 2,
		 1,
		 NOW + 2000 * MS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		check(&table[i], (struct ice_nomination){.is_restart = true});
}

static void decisions_after_a_loss(void **state)
{
	static const struct row table[] = {
		{"nothing valid", {{.priority = 9, .pending = true}}, 1, NONE, DEADLINE_NONE},
		{"what there is, at once",
		 {{.priority = 9, .pending = true}, {.priority = 8, .valid = true, .rtt_us = MS}},
		 2,
		 1,
		 NOW},
		{"a relayed one as well",
		 {{.priority = 9, .pending = true},
		  {.priority = 8, .valid = true, .relayed = true}},
		 2,
		 1,
		 NOW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		check(&table[i], (struct ice_nomination){.is_restart = true, .has_lost = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(decisions_after_a_restart),
		cmocka_unit_test(decisions_after_a_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
