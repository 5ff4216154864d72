#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/core/base/time.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/pacer.h"

#define MS US_PER_MS

static void slots_are_five_milliseconds_apart(void **state)
{
	struct ice_pacer p = {0};
	struct ice_pace a = {0}, b = {0};

	(void)state;
	assert_int_equal(ice_pacer_deadline(&p), DEADLINE_NONE);
	ice_pacer_set(&p, &a, ICE_PACE_ORDINARY, 0, 0);
	ice_pacer_set(&p, &b, ICE_PACE_ORDINARY, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, 100 * MS), &a);
	assert_null(ice_pacer_pop(&p, 100 * MS));
	assert_int_equal(ice_pacer_deadline(&p), 105 * MS);
	assert_null(ice_pacer_pop(&p, 105 * MS - 1));
	assert_ptr_equal(ice_pacer_pop(&p, 105 * MS), &b);
	/* Unused slots do not pile up. */
	assert_ptr_equal(ice_pacer_pop(&p, 1000 * MS), &a);
	assert_null(ice_pacer_pop(&p, 1000 * MS));
	ice_pacer_set(&p, &a, ICE_PACE_IDLE, 0, 0);
	ice_pacer_set(&p, &b, ICE_PACE_IDLE, 0, 0);
	assert_int_equal(ice_pacer_deadline(&p), DEADLINE_NONE);
	assert_null(ice_pacer_pop(&p, 2000 * MS));
}

static void order_of_service(void **state)
{
	struct ice_pacer p = {0};
	struct ice_pace rest = {0}, good = {0}, worth = {0}, more = {0}, gather = {0},
			triggered = {0};
	uint64_t now = 0;

	(void)state;
	ice_pacer_set(&p, &rest, ICE_PACE_ORDINARY, 0, 0);
	ice_pacer_set(&p, &good, ICE_PACE_GOOD, 0, 0);
	ice_pacer_set(&p, &worth, ICE_PACE_WORTH, 1, 0);
	ice_pacer_set(&p, &more, ICE_PACE_WORTH, 9, 0);
	ice_pacer_set(&p, &gather, ICE_PACE_GATHER, 0, 0);
	ice_pacer_set(&p, &triggered, ICE_PACE_TRIGGERED, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &triggered);
	ice_pacer_set(&p, &triggered, ICE_PACE_IDLE, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &gather);
	/* The next 50 ms are not the gatherer's. */
	for (int i = 0; i < 9; i++)
		assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &more);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &gather);
	ice_pacer_set(&p, &more, ICE_PACE_IDLE, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &worth);
	ice_pacer_set(&p, &worth, ICE_PACE_IDLE, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &good);
	ice_pacer_set(&p, &good, ICE_PACE_IDLE, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &rest);
}

static void equals_take_turns(void **state)
{
	struct ice_pacer p = {0};
	struct ice_pace e[3] = {0};
	uint64_t now = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		ice_pacer_set(&p, &e[i], ICE_PACE_ORDINARY, 0, 0);
	for (int i = 0; i < 9; i++)
		assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &e[i % 3]);
}

static void who_is_not_ready_waits(void **state)
{
	struct ice_pacer p = {0};
	struct ice_pace a = {0}, b = {0};

	(void)state;
	ice_pacer_set(&p, &a, ICE_PACE_TRIGGERED, 0, 50 * MS);
	ice_pacer_set(&p, &b, ICE_PACE_ORDINARY, 0, 20 * MS);
	assert_int_equal(ice_pacer_deadline(&p), 20 * MS);
	assert_null(ice_pacer_pop(&p, 19 * MS));
	assert_ptr_equal(ice_pacer_pop(&p, 20 * MS), &b);
	ice_pacer_set(&p, &b, ICE_PACE_IDLE, 0, 0);
	assert_int_equal(ice_pacer_deadline(&p), 50 * MS);
	assert_ptr_equal(ice_pacer_pop(&p, 50 * MS), &a);
}

/* They are many, and in no hurry. */
static void few_stand_by_at_once(void **state)
{
	static struct ice_pace all[ICE_PACER_MAX_STANDBY + 1];
	struct ice_pacer p = {0};
	uint64_t now = 0;

	(void)state;
	for (size_t i = 0; i < ICE_PACER_MAX_STANDBY; i++) {
		assert_true(ice_pacer_takes_standby(&p, &all[i]));
		ice_pacer_set(&p, &all[i], ICE_PACE_STANDBY, 0, 0);
	}
	assert_true(ice_pacer_takes_standby(&p, &all[0]));
	assert_false(ice_pacer_takes_standby(&p, &all[ICE_PACER_MAX_STANDBY]));
	ice_pacer_set(&p, &all[ICE_PACER_MAX_STANDBY], ICE_PACE_ORDINARY, 0, 0);
	assert_ptr_equal(ice_pacer_pop(&p, now += 5 * MS), &all[ICE_PACER_MAX_STANDBY]);
	ice_pacer_set(&p, &all[ICE_PACER_MAX_STANDBY], ICE_PACE_IDLE, 0, 0);
	ice_pacer_set(&p, &all[7], ICE_PACE_TRIGGERED, 0, 0);
	assert_true(ice_pacer_takes_standby(&p, &all[ICE_PACER_MAX_STANDBY]));
	ice_pacer_set(&p, &all[7], ICE_PACE_STANDBY, 0, 0);
	ice_pacer_set(&p, &all[8], ICE_PACE_IDLE, 0, 0);
	assert_true(ice_pacer_takes_standby(&p, &all[ICE_PACER_MAX_STANDBY]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_five_milliseconds_apart),
		cmocka_unit_test(order_of_service),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(who_is_not_ready_waits),
		cmocka_unit_test(few_stand_by_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
