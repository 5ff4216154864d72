/* The alarm: once, never early, and what was set last counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/net/alarm.h"

struct fixture {
	uv_loop_t loop;
	struct net_alarm *alarm;
	unsigned int calls;
	uint64_t at_us;
	uint64_t again_us; /* set from the call, 0 = not */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static void on_alarm(void *ctx)
{
	struct fixture *f = ctx;

	f->calls++;
	f->at_us = now_us();
	if (f->again_us)
		net_alarm_set(f->alarm, f->again_us);
	f->again_us = 0;
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	uv_loop_init(&f.loop);
	assert_int_equal(net_alarm_open(&f.alarm, &f.loop, on_alarm, &f), OK);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	net_alarm_close(f->alarm);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f->loop);
}

static void run_until(struct fixture *f, unsigned int calls)
{
	while (f->calls < calls)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void comes_once_and_not_early(void **state)
{
	struct fixture *f = *state;
	uint64_t due_us = now_us() + 2300;

	net_alarm_set(f->alarm, due_us);
	run_until(f, 1);
	assert_true(f->at_us >= due_us);
	for (int i = 0; i < 10; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 1);
}

static void what_is_over_comes_at_once(void **state)
{
	struct fixture *f = *state;

	net_alarm_set(f->alarm, 0);
	run_until(f, 1);
	net_alarm_set(f->alarm, now_us() - 1);
	run_until(f, 2);
}

static void the_last_setting_counts(void **state)
{
	struct fixture *f = *state;
	uint64_t due_us = now_us() + 3000;

	net_alarm_set(f->alarm, now_us() - 1);
	net_alarm_set(f->alarm, due_us);
	run_until(f, 1);
	assert_true(f->at_us >= due_us);
	net_alarm_set(f->alarm, now_us() - 1);
	net_alarm_set(f->alarm, DEADLINE_NONE);
	for (int i = 0; i < 10; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 1);
}

static void the_call_may_set_it_again(void **state)
{
	struct fixture *f = *state;
	uint64_t due_us = now_us() + 1000;

	/* The same time again: it is over, so it comes at once. */
	f->again_us = due_us;
	net_alarm_set(f->alarm, due_us);
	run_until(f, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_once_and_not_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_over_comes_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_setting_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_call_may_set_it_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
