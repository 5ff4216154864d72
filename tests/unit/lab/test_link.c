#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lab/tools/link.h"

#define FRAMES 100000u

/* A link with @settings, and an account of what left it. */
struct rig {
	struct link *link;
	uint32_t seen[FRAMES]; /* how often each frame left */
	uint32_t order[2 * FRAMES];
	size_t left;
	uint64_t last_us;
};

static struct rig *rig_create(const struct link_settings *settings)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(link_create(&r->link, 7), OK);
	link_set(r->link, settings);
	return r;
}

static void rig_destroy(struct rig *r)
{
	link_destroy(r->link);
	free(r);
}

static enum link_fate rig_send(struct rig *r, uint64_t now_us, uint32_t number, size_t len)
{
	uint8_t frame[LINK_FRAME_BYTES];

	memset(frame, (int)(number & 0xff), sizeof(frame));
	memcpy(frame, &number, sizeof(number));
	return link_input(r->link, now_us, frame, len);
}

static void rig_take(struct rig *r, uint64_t now_us)
{
	uint8_t frame[LINK_FRAME_BYTES];
	uint32_t number;
	size_t len;

	while (link_pop(r->link, now_us, frame, &len)) {
		memcpy(&number, frame, sizeof(number));
		assert_true(number < FRAMES);
		for (size_t i = sizeof(number); i < len; i++)
			assert_int_equal(frame[i], number & 0xff);
		r->seen[number]++;
		assert_true(r->left < sizeof(r->order) / sizeof(r->order[0]));
		r->order[r->left++] = number;
		r->last_us = now_us;
	}
}

/* All frames, one each @gap_us, and every event at its time. */
static void rig_run(struct rig *r, uint64_t gap_us, size_t len)
{
	for (uint32_t i = 0; i < FRAMES; i++) {
		while (link_next_deadline(r->link) <= i * gap_us)
			rig_take(r, link_next_deadline(r->link));
		rig_send(r, i * gap_us, i, len);
	}
	while (link_next_deadline(r->link) != DEADLINE_NONE)
		rig_take(r, link_next_deadline(r->link));
}

static void a_frame_leaves_after_the_delay_and_not_before(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.delay_us = 20000});

	(void)state;
	assert_int_equal(link_next_deadline(r->link), DEADLINE_NONE);
	assert_int_equal(rig_send(r, 1000, 0, 100), LINK_PASSED);
	assert_int_equal(rig_send(r, 1007, 1, LINK_FRAME_BYTES), LINK_PASSED);
	assert_int_equal(link_next_deadline(r->link), 21000);
	rig_take(r, 20999);
	assert_int_equal(r->left, 0);
	rig_take(r, 21000);
	assert_int_equal(r->left, 1);
	assert_int_equal(link_next_deadline(r->link), 21007);
	rig_take(r, 21007);
	assert_int_equal(r->left, 2);
	rig_destroy(r);
}

static void a_shorter_delay_does_not_overtake(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.delay_us = 50000});

	(void)state;
	rig_send(r, 0, 0, 100);
	link_set(r->link, &(struct link_settings){.delay_us = 1000});
	rig_send(r, 10, 1, 100);
	rig_take(r, 49999);
	assert_int_equal(r->left, 0);
	rig_take(r, 50000);
	assert_int_equal(r->left, 2);
	assert_int_equal(r->order[0], 0);
	rig_send(r, 60000, 2, 100);
	assert_int_equal(link_next_deadline(r->link), 61000);
	rig_destroy(r);
}

static void jitter_adds_up_to_its_value_and_keeps_the_order(void **state)
{
	struct link_settings settings = {.delay_us = 5000, .jitter_us = 4000};
	struct rig *r = rig_create(&settings);
	uint64_t low = UINT64_MAX, high = 0;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		uint64_t now_us = i * 100000ULL, late_us;

		rig_send(r, now_us, i, 64);
		late_us = link_next_deadline(r->link) - now_us;
		low = late_us < low ? late_us : low;
		high = late_us > high ? late_us : high;
		rig_take(r, link_next_deadline(r->link));
	}
	assert_in_range(low, 5000, 5010);
	assert_in_range(high, 8990, 9000);
	rig_destroy(r);

	r = rig_create(&settings);
	rig_run(r, 10, 64);
	assert_int_equal(r->left, FRAMES);
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(r->order[i], i);
	rig_destroy(r);
}

static void loss_has_its_rate(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.loss_ppm = 30000});

	(void)state;
	rig_run(r, 100, 64);
	assert_int_equal(r->left, link_count(r->link, LINK_PASSED));
	assert_int_equal(r->left + link_count(r->link, LINK_LOST), FRAMES);
	assert_in_range(link_count(r->link, LINK_LOST), 2700, 3300);
	rig_destroy(r);

	r = rig_create(&(struct link_settings){.loss_ppm = LINK_ALL_PPM});
	rig_run(r, 100, 64);
	assert_int_equal(r->left, 0);
	rig_destroy(r);
}

static void losses_come_in_runs(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.loss_ppm = 50000, .loss_run = 4});
	uint32_t runs = 0, lost = 0;

	(void)state;
	rig_run(r, 100, 64);
	for (uint32_t i = 0; i < FRAMES; i++) {
		lost += !r->seen[i];
		runs += !r->seen[i] && (i == 0 || r->seen[i - 1]);
	}
	assert_in_range(lost, 4000, 6000);
	assert_in_range(10 * lost / runs, 36, 44);
	rig_destroy(r);
}

static void duplicates_follow_at_once(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.delay_us = 9, .duplicate_ppm = 100000});
	size_t twice = 0;

	(void)state;
	rig_run(r, 10, 64);
	for (uint32_t i = 0; i < FRAMES; i++)
		twice += r->seen[i] == 2;
	assert_int_equal(twice, link_count(r->link, LINK_DUPLICATED));
	assert_in_range(twice, 9500, 10500);
	assert_int_equal(r->left, FRAMES + twice);
	for (size_t i = 1; i < r->left; i++)
		assert_in_range(r->order[i], r->order[i - 1], r->order[i - 1] + 1);
	rig_destroy(r);
}

static void a_frame_is_overtaken_by_as_many_as_said(void **state)
{
	struct rig *r = rig_create(
		&(struct link_settings){.delay_us = 1000, .reorder_ppm = 50000, .reorder_by = 3});
	uint32_t late = 0, highest = 0;

	(void)state;
	rig_run(r, 10, 64);
	assert_int_equal(r->left, FRAMES);
	for (size_t i = 0; i + 10 < r->left; i++) {
		uint32_t overtook = 0;

		highest = r->order[i] > highest ? r->order[i] : highest;
		if (r->order[i] == highest)
			continue;
		for (size_t k = i > 20 ? i - 20 : 0; k < i; k++)
			overtook += r->order[k] > r->order[i];
		assert_int_equal(overtook, 3);
		late++;
	}
	assert_in_range(late, 4500, 5500);
	assert_in_range(late, link_count(r->link, LINK_REORDERED) - 3,
			link_count(r->link, LINK_REORDERED));
	rig_destroy(r);
}

static void a_held_frame_that_nothing_follows_leaves_in_the_end(void **state)
{
	struct rig *r =
		rig_create(&(struct link_settings){.delay_us = 1000, .reorder_ppm = LINK_ALL_PPM});

	(void)state;
	assert_int_equal(rig_send(r, 0, 0, 64), LINK_REORDERED);
	assert_int_equal(link_next_deadline(r->link), 1000 + LINK_HOLD_US);
	rig_take(r, 1000 + LINK_HOLD_US);
	assert_int_equal(r->left, 1);
	assert_int_equal(link_next_deadline(r->link), DEADLINE_NONE);
	rig_destroy(r);
}

static void the_rate_holds_and_the_queue_overflows(void **state)
{
	/* 8 Mbit/s: 1000 bytes take 1 ms. The queue holds 10. */
	struct rig *r = rig_create(&(struct link_settings){
		.delay_us = 500, .rate_bps = 8000000, .queue_bytes = 10000});

	(void)state;
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(rig_send(r, 0, i, 1000), i < 10 ? LINK_PASSED : LINK_QUEUE_FULL);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(link_next_deadline(r->link), 1500 + i * 1000);
		rig_take(r, link_next_deadline(r->link));
	}
	assert_int_equal(r->left, 10);
	assert_int_equal(rig_send(r, 10000, 20, 1000), LINK_PASSED);
	assert_int_equal(link_next_deadline(r->link), 11500);
	rig_destroy(r);

	/* Twice as much as fits is offered: half of it passes, at the rate. */
	r = rig_create(&(struct link_settings){.rate_bps = 8000000, .queue_bytes = 10000});
	rig_run(r, 500, 1000);
	assert_in_range(r->left, FRAMES / 2 - 20, FRAMES / 2 + 20);
	assert_in_range(r->last_us / r->left, 990, 1010);
	rig_destroy(r);
}

static void a_frame_that_is_too_long_is_dropped(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){0});
	static const uint8_t frame[LINK_FRAME_BYTES + 1];

	(void)state;
	assert_int_equal(link_input(r->link, 0, frame, sizeof(frame)), LINK_TOO_LONG);
	assert_int_equal(link_next_deadline(r->link), DEADLINE_NONE);
	rig_destroy(r);
}

static void memory_is_bounded(void **state)
{
	struct rig *r = rig_create(&(struct link_settings){.delay_us = 1000000});
	uint32_t i = 0;

	(void)state;
	while (rig_send(r, i, i, 1500) == LINK_PASSED)
		i++;
	assert_in_range(i, LINK_MEMORY_BYTES / 1600, LINK_MEMORY_BYTES / 1500);
	rig_take(r, 2000000);
	assert_int_equal(r->left, i);
	rig_destroy(r);
}

static void the_seed_decides_and_settings_move_no_other(void **state)
{
	struct link_settings plain = {.loss_ppm = 100000}, more = plain;
	struct rig *a, *b;

	(void)state;
	more.jitter_us = 5000;
	more.duplicate_ppm = 200000;
	a = rig_create(&plain);
	b = rig_create(&more);
	rig_run(a, 100, 64);
	rig_run(b, 100, 64);
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(!a->seen[i], !b->seen[i]);
	rig_destroy(a);
	rig_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_leaves_after_the_delay_and_not_before),
		cmocka_unit_test(a_shorter_delay_does_not_overtake),
		cmocka_unit_test(jitter_adds_up_to_its_value_and_keeps_the_order),
		cmocka_unit_test(loss_has_its_rate),
		cmocka_unit_test(losses_come_in_runs),
		cmocka_unit_test(duplicates_follow_at_once),
		cmocka_unit_test(a_frame_is_overtaken_by_as_many_as_said),
		cmocka_unit_test(a_held_frame_that_nothing_follows_leaves_in_the_end),
		cmocka_unit_test(the_rate_holds_and_the_queue_overflows),
		cmocka_unit_test(a_frame_that_is_too_long_is_dropped),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(the_seed_decides_and_settings_move_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
