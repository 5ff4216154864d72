#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/tunnel/pmtu.h"

#define START_US (1000 * US_PER_S)
#define RTT_US	 (20 * US_PER_MS)

/* A path to a peer that acknowledges, and what has gone over it. */
struct path {
	struct pmtu m;
	uint64_t now_us;
	uint16_t fits;	     /* 0: nothing comes through */
	uint16_t link_bytes; /* above this the system refuses; 0: no limit */
	unsigned int probes; /* without witnesses */
	uint16_t first, last;
	uint64_t began_us;
};

static void path_init(struct path *p, uint16_t fits)
{
	*p = (struct path){.now_us = START_US, .fits = fits};
}

/* Sends what is to be sent, one round trip. */
static void exchange(struct path *p)
{
	uint16_t size, acked[2];
	uint32_t number, numbers[2];
	size_t count = 0;

	while (pmtu_pop_probe(&p->m, p->now_us, &size, &number)) {
		if (size != PMTU_WITNESS_BYTES) {
			p->first = p->probes ? p->first : size;
			p->last = size;
			p->probes++;
		}
		if (p->link_bytes && size > p->link_bytes) {
			pmtu_on_refused(&p->m, p->now_us, size);
		} else if (size <= p->fits) {
			assert_true(count < ARRAY_SIZE(acked));
			acked[count] = size;
			numbers[count++] = number;
		}
	}
	if (count)
		p->now_us += RTT_US;
	for (size_t i = 0; i < count; i++)
		pmtu_on_ack(&p->m, p->now_us, numbers[i], acked[i]);
}

/* Until nothing is under way. */
static void run(struct path *p)
{
	p->probes = 0;
	p->began_us = p->now_us;
	exchange(p);
	while (pmtu_next_deadline(&p->m) != DEADLINE_NONE) {
		if (p->m.unsent == 0) {
			p->now_us = pmtu_next_deadline(&p->m);
			pmtu_on_deadline(&p->m, p->now_us);
		}
		exchange(p);
	}
}

static void start(struct path *p, uint16_t ceiling)
{
	pmtu_start(&p->m, p->now_us, ceiling);
	run(p);
}

static void test_disabled(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 9000);
	pmtu_disable(&p.m, 1280);
	assert_int_equal(p.m.size, 1280);
	pmtu_disable(&p.m, 9000);
	assert_int_equal(p.m.state, PMTU_DISABLED);
	assert_int_equal(p.m.size, PMTU_DEFAULT_BYTES);
	assert_true(p.m.is_found);
	pmtu_disable(&p.m, 700);
	assert_int_equal(p.m.size, 700);
	pmtu_on_use(&p.m, p.now_us);
	pmtu_on_doubt(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.probes, 0);
}

/* What nearly every path does: one probe, one round trip. */
static void test_ceiling_fits(void **state)
{
	static const uint16_t ceilings[] = {576, 1280, 1420, 8900, PMTU_MAX_BYTES};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
		struct path p;

		path_init(&p, ceilings[i]);
		pmtu_start(&p.m, p.now_us, ceilings[i]);
		assert_int_equal(p.m.state, PMTU_BASE);
		assert_int_equal(p.m.size, ceilings[i] < 1280 ? ceilings[i] : 1280);
		assert_false(p.m.is_found);
		run(&p);
		assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
		assert_int_equal(p.m.size, ceilings[i]);
		assert_true(p.m.is_found);
		assert_int_equal(p.probes, 1);
		assert_true(p.now_us == START_US + RTT_US);
	}
}

static void test_no_more_than_jumbo(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 65535);
	start(&p, 65535);
	assert_int_equal(p.first, PMTU_MAX_BYTES);
	assert_int_equal(p.m.size, PMTU_MAX_BYTES);
}

/* Every size of a path is found, within a step, and never one that is too long. */
static void test_search(void **state)
{
	(void)state;
	for (uint16_t ceiling = 1280; ceiling <= 9000; ceiling = (uint16_t)(ceiling + 965)) {
		for (uint16_t fits = PMTU_MIN_BYTES; fits <= ceiling + 50;
		     fits = (uint16_t)(fits + 7)) {
			uint16_t most = fits < ceiling ? fits : ceiling;
			struct path p;

			path_init(&p, fits);
			start(&p, ceiling);
			if (p.m.state != PMTU_SEARCH_COMPLETE || p.m.size > most ||
			    p.m.size + PMTU_STEP_BYTES <= most || !p.m.is_found)
				fail_msg("ceiling %u fits %u: %u", ceiling, fits, p.m.size);
			/* The ceiling, the base, the usual, ten halves; each lost one thrice. */
			assert_true(p.probes <= 14 * PMTU_MAX_PROBES);
			assert_true(p.now_us - p.began_us < 7 * US_PER_S);
		}
	}
}

/* States and sizes on the way to a size between base and ceiling. */
static void test_steps(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 1300);
	pmtu_start(&p.m, p.now_us, 1420);
	for (int i = 0; i < PMTU_MAX_PROBES; i++) {
		assert_int_equal(p.m.state, PMTU_BASE);
		assert_int_equal(p.m.size, PMTU_DEFAULT_BYTES);
		exchange(&p);
		assert_int_equal(p.last, 1420);
		/* The witness is there: not a whole second more. */
		assert_true(pmtu_next_deadline(&p.m) == p.now_us + PMTU_LOST_US);
		p.now_us += PMTU_LOST_US;
		pmtu_on_deadline(&p.m, p.now_us);
	}
	assert_int_equal(p.m.state, PMTU_BASE);
	assert_int_equal(p.m.size, PMTU_BASE_BYTES);
	exchange(&p);
	assert_int_equal(p.last, PMTU_BASE_BYTES);
	assert_int_equal(p.m.state, PMTU_SEARCHING);
	assert_int_equal(p.m.size, PMTU_BASE_BYTES);
	exchange(&p);
	assert_int_equal(p.last, 1310);
	assert_int_equal(p.m.size, PMTU_BASE_BYTES);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_in_range(p.m.size, 1293, 1300);
}

/* Most networks are of one size. */
static void test_the_usual(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, PMTU_USUAL_BYTES);
	start(&p, 8900);
	assert_int_equal(p.m.size, PMTU_USUAL_BYTES);
	/* Ceiling, base, the usual, one step more. */
	assert_int_equal(p.probes, PMTU_MAX_PROBES + 1 + 1 + PMTU_MAX_PROBES);
	path_init(&p, PMTU_USUAL_BYTES + PMTU_STEP_BYTES);
	start(&p, 8900);
	assert_in_range(p.m.size, PMTU_USUAL_BYTES + 1, PMTU_USUAL_BYTES + PMTU_STEP_BYTES);
}

static void test_below_base(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 940);
	pmtu_start(&p.m, p.now_us, 1280);
	while (p.m.state == PMTU_BASE) {
		exchange(&p);
		p.now_us = pmtu_next_deadline(&p.m);
		pmtu_on_deadline(&p.m, p.now_us);
	}
	assert_int_equal(p.m.state, PMTU_ERROR);
	assert_int_equal(p.m.size, PMTU_MIN_BYTES);
	exchange(&p);
	assert_int_equal(p.last, PMTU_MIN_BYTES);
	assert_int_equal(p.m.state, PMTU_SEARCHING);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_in_range(p.m.size, 933, 940);
}

/* Below the minimum: it is asked again and again while it is used, and found when it grows. */
static void test_error(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 300);
	start(&p, 1280);
	assert_int_equal(p.m.state, PMTU_ERROR);
	assert_int_equal(p.m.size, PMTU_MIN_BYTES);
	assert_false(p.m.is_found);
	p.now_us += PMTU_ERROR_US - US_PER_S;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.probes, 0);
	p.fits = 1280;
	p.now_us += US_PER_S;
	pmtu_on_use(&p.m, p.now_us);
	assert_int_equal(p.m.size, PMTU_MIN_BYTES);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_int_equal(p.m.size, 1280);
}

/* A path of which nothing comes back says nothing about sizes; and is not asked for ever. */
static void test_silence(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 0);
	start(&p, 1280);
	assert_int_equal(p.m.state, PMTU_BASE);
	assert_int_equal(p.m.size, PMTU_DEFAULT_BYTES);
	assert_int_equal(p.probes, PMTU_SILENT_TRIES);
	assert_int_equal(p.last, 1280);
	assert_true(p.now_us - START_US == (1 + 2 + 4 + 8 + 15) * US_PER_S);
	p.fits = 1280;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_int_equal(p.m.size, 1280);
}

/* Two losses are chance; an acknowledgement of an earlier try counts. */
static void test_lost_probes(void **state)
{
	uint32_t number[2];
	uint16_t size[2];
	struct path p;

	(void)state;
	path_init(&p, 0);
	pmtu_start(&p.m, p.now_us, 1280);
	for (int i = 0; i < 2; i++) {
		assert_true(pmtu_pop_probe(&p.m, p.now_us, &size[0], &number[0]));
		assert_true(pmtu_pop_probe(&p.m, p.now_us, &size[1], &number[1]));
		assert_false(pmtu_pop_probe(&p.m, p.now_us, &size[1], &number[1]));
		assert_int_equal(size[0], 1280);
		assert_int_equal(number[0], number[1]);
		p.now_us += RTT_US;
		pmtu_on_ack(&p.m, p.now_us, number[1] + 1, PMTU_WITNESS_BYTES);
		assert_true(pmtu_next_deadline(&p.m) == p.now_us - RTT_US + PMTU_TIMER_US);
		pmtu_on_ack(&p.m, p.now_us, number[1], PMTU_WITNESS_BYTES);
		p.now_us = pmtu_next_deadline(&p.m);
		pmtu_on_deadline(&p.m, p.now_us - 1);
		assert_int_equal(p.m.lost, i);
		pmtu_on_deadline(&p.m, p.now_us);
		assert_int_equal(p.m.lost, i + 1);
	}
	pmtu_on_ack(&p.m, p.now_us, number[0], 1279);
	assert_int_equal(p.m.state, PMTU_BASE);
	pmtu_on_ack(&p.m, p.now_us, number[0], 1280);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	/* And again: nothing is under way. */
	pmtu_on_ack(&p.m, p.now_us, number[0], 1280);
	pmtu_on_refused(&p.m, p.now_us, 1280);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_int_equal(p.m.size, 1280);
}

/* A long round trip: the probe gets as much time as its witness took. */
static void test_long_round_trip(void **state)
{
	uint32_t number;
	uint16_t size;
	struct path p;

	(void)state;
	path_init(&p, 0);
	pmtu_start(&p.m, p.now_us, 1280);
	while (pmtu_pop_probe(&p.m, p.now_us, &size, &number)) {
	}
	p.now_us += 700 * US_PER_MS;
	pmtu_on_ack(&p.m, p.now_us, number, PMTU_WITNESS_BYTES);
	assert_true(pmtu_next_deadline(&p.m) == p.now_us + 700 * US_PER_MS);
	/* Its copy changes nothing. */
	pmtu_on_ack(&p.m, p.now_us + 1, number, PMTU_WITNESS_BYTES);
	assert_true(pmtu_next_deadline(&p.m) == p.now_us + 700 * US_PER_MS);
}

/* What the system refuses costs no time. */
static void test_refused(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 9000);
	p.link_bytes = 1440;
	start(&p, 9000);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_in_range(p.m.size, 1433, 1440);
	assert_true(p.now_us - START_US < US_PER_S / 2);
	assert_true(p.probes <= 13);
}

static void test_confirm(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 1280);
	start(&p, 1280);
	p.now_us += PMTU_CONFIRM_US - RTT_US;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.probes, 0);
	p.now_us += RTT_US;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.probes, 1);
	assert_int_equal(p.last, 1280);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	/* Doubt asks at once. */
	pmtu_on_doubt(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.probes, 1);
	assert_int_equal(p.m.size, 1280);
	/* Hours without use: nothing goes out. */
	assert_true(pmtu_next_deadline(&p.m) == DEADLINE_NONE);
}

static void test_black_hole(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 1400);
	start(&p, 1400);
	p.fits = 1300;
	pmtu_on_doubt(&p.m, p.now_us);
	for (int i = 0; i < PMTU_MAX_PROBES; i++) {
		assert_int_equal(p.m.size, 1400);
		exchange(&p);
		p.now_us = pmtu_next_deadline(&p.m);
		pmtu_on_deadline(&p.m, p.now_us);
	}
	assert_int_equal(p.m.state, PMTU_BASE);
	assert_int_equal(p.m.size, PMTU_BASE_BYTES);
	assert_false(p.m.is_found);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_in_range(p.m.size, 1293, 1300);
	/* And one below the base. */
	p.fits = 700;
	pmtu_on_doubt(&p.m, p.now_us);
	run(&p);
	assert_in_range(p.m.size, 693, 700);
	p.fits = 600;
	pmtu_on_doubt(&p.m, p.now_us);
	for (int i = 0; i < PMTU_MAX_PROBES; i++) {
		exchange(&p);
		p.now_us = pmtu_next_deadline(&p.m);
		pmtu_on_deadline(&p.m, p.now_us);
	}
	assert_int_equal(p.m.size, PMTU_MIN_BYTES);
	run(&p);
	assert_in_range(p.m.size, 593, 600);
}

/* The link has shrunk under our feet, and the system says so. */
static void test_black_hole_refused(void **state)
{
	struct path p;

	(void)state;
	path_init(&p, 1400);
	start(&p, 1400);
	p.link_bytes = 1250;
	pmtu_on_doubt(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_in_range(p.m.size, 1243, 1250);
	assert_true(p.now_us - p.began_us < US_PER_S / 2);
}

static void test_raise(void **state)
{
	uint16_t before;
	struct path p;

	(void)state;
	path_init(&p, 1300);
	start(&p, 1400);
	before = p.m.size;
	p.fits = 1400;
	p.now_us += PMTU_RAISE_US - 1;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.m.size, before);
	p.now_us++;
	pmtu_on_use(&p.m, p.now_us);
	assert_int_equal(p.m.state, PMTU_SEARCHING);
	/* What is known stays in use, and stays known. */
	assert_int_equal(p.m.size, before);
	assert_true(p.m.is_found);
	run(&p);
	assert_int_equal(p.first, 1400);
	assert_int_equal(p.m.size, 1400);
	/* There is nothing above the ceiling. */
	p.now_us += 2 * PMTU_RAISE_US;
	pmtu_on_use(&p.m, p.now_us);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	run(&p);
	assert_int_equal(p.m.size, 1400);
}

static void test_raise_in_vain(void **state)
{
	uint16_t before;
	struct path p;

	(void)state;
	path_init(&p, 1300);
	start(&p, 1400);
	before = p.m.size;
	p.now_us += PMTU_RAISE_US;
	pmtu_on_use(&p.m, p.now_us);
	run(&p);
	assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
	assert_true(p.m.size >= before && p.m.size <= 1300);
}

/* In the middle of anything; the next use goes on. */
static void test_rest(void **state)
{
	uint32_t number;
	uint16_t size;
	struct path p;

	(void)state;
	for (unsigned int steps = 0; steps < 40; steps++) {
		path_init(&p, steps % 2 ? 940 : 1300);
		pmtu_start(&p.m, p.now_us, 1400);
		for (unsigned int i = 0; i < steps; i++) {
			exchange(&p);
			if (pmtu_next_deadline(&p.m) == DEADLINE_NONE)
				break;
			p.now_us = pmtu_next_deadline(&p.m);
			pmtu_on_deadline(&p.m, p.now_us);
		}
		pmtu_rest(&p.m);
		assert_true(pmtu_next_deadline(&p.m) == DEADLINE_NONE);
		assert_false(pmtu_pop_probe(&p.m, p.now_us, &size, &number));
		p.now_us += US_PER_S;
		pmtu_on_use(&p.m, p.now_us);
		run(&p);
		assert_int_equal(p.m.state, PMTU_SEARCH_COMPLETE);
		assert_in_range(p.m.size, p.fits - 7, p.fits);
	}
}

/* Numbers go on: an old acknowledgement is none of the new path. */
static void test_new_path(void **state)
{
	uint32_t number;
	uint16_t size;
	struct path p;

	(void)state;
	path_init(&p, 0);
	pmtu_start(&p.m, p.now_us, 1280);
	while (pmtu_pop_probe(&p.m, p.now_us, &size, &number)) {
	}
	pmtu_start(&p.m, p.now_us, 1280);
	pmtu_on_ack(&p.m, p.now_us, number, 1280);
	assert_int_equal(p.m.state, PMTU_BASE);
	p.fits = 1280;
	run(&p);
	assert_int_equal(p.m.size, 1280);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_ceiling_fits),
		cmocka_unit_test(test_no_more_than_jumbo),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_the_usual),
		cmocka_unit_test(test_below_base),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_lost_probes),
		cmocka_unit_test(test_long_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_confirm),
		cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_black_hole_refused),
		cmocka_unit_test(test_raise),
		cmocka_unit_test(test_raise_in_vain),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_new_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
