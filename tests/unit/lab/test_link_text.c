#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "tests/lab/tools/link_text.h"

static void a_word_is_for_both_directions_or_one(void **state)
{
	struct link_settings s[LINK_DIRECTIONS] = {0};

	(void)state;
	assert_true(link_text_apply(s, "delay_ms=12.5"));
	assert_true(link_text_apply(s, "out.loss_percent=0.1"));
	assert_true(link_text_apply(s, "in.rate_mbit=10000"));
	assert_true(link_text_apply(s, "queue_kib=64"));
	assert_int_equal(s[LINK_OUT].delay_us, 12500);
	assert_int_equal(s[LINK_IN].delay_us, 12500);
	assert_int_equal(s[LINK_OUT].loss_ppm, 1000);
	assert_int_equal(s[LINK_IN].loss_ppm, 0);
	assert_int_equal(s[LINK_OUT].rate_bps, 0);
	assert_int_equal(s[LINK_IN].rate_bps, 10000000000);
	assert_int_equal(s[LINK_OUT].queue_bytes, 65536);
}

static void what_is_wrong_changes_nothing(void **state)
{
	static const char *const words[] = {
		"",
		"delay_ms",
		"delay_ms=",
		"delay_ms=x",
		"delay_ms=1x",
		"=1",
		"delay=1",
		"up.delay_ms=1",
		"out.=1",
		"out.",
		"delay_ms=-1",
		"loss_percent=101",
		"delay_ms=nan",
		"in.out.delay_ms=1",
	};
	struct link_settings s[LINK_DIRECTIONS] = {0}, zero[LINK_DIRECTIONS] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		assert_false(link_text_apply(s, words[i]));
		assert_memory_equal(s, zero, sizeof(s));
	}
}

static void what_is_shown_can_be_set(void **state)
{
	struct link_settings s[LINK_DIRECTIONS] = {0}, again[LINK_DIRECTIONS] = {0};
	char text[1024], *rest = NULL;

	(void)state;
	s[LINK_IN] = (struct link_settings){
		.delay_us = 20500,
		.jitter_us = 1,
		.loss_ppm = 12345,
		.loss_run = 3,
		.duplicate_ppm = 1,
		.reorder_ppm = LINK_ALL_PPM,
		.reorder_by = 4,
		.rate_bps = 2500000,
		.queue_bytes = 1536,
	};
	link_text_format(LINK_IN, &s[LINK_IN], text, sizeof(text));
	for (char *word = strtok_r(text, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest))
		assert_true(link_text_apply(again, word));
	assert_memory_equal(s, again, sizeof(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_is_for_both_directions_or_one),
		cmocka_unit_test(what_is_wrong_changes_nothing),
		cmocka_unit_test(what_is_shown_can_be_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
