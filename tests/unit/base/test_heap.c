#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/heap.h"

#define NODES 64

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void empty(void **state)
{
	struct heap h;

	(void)state;
	assert_int_equal(heap_init(&h, 1), OK);
	assert_true(heap_next_deadline(&h) == DEADLINE_NONE);
	assert_null(heap_pop_due(&h, UINT64_MAX));
	heap_fini(&h);
}

static void nothing_is_popped_early(void **state)
{
	struct heap_node n;
	struct heap h;

	(void)state;
	assert_int_equal(heap_init(&h, 1), OK);
	heap_node_init(&n);
	heap_set(&h, &n, 10);
	assert_true(heap_next_deadline(&h) == 10);
	assert_null(heap_pop_due(&h, 9));
	assert_ptr_equal(heap_pop_due(&h, 10), &n);
	assert_true(n.deadline_us == DEADLINE_NONE);
	assert_null(heap_pop_due(&h, 10));
	heap_set(&h, &n, 3);
	heap_set(&h, &n, DEADLINE_NONE);
	heap_set(&h, &n, DEADLINE_NONE);
	assert_true(heap_next_deadline(&h) == DEADLINE_NONE);
	heap_fini(&h);
}

/* Random sets, moves, removals and pops against a table that is searched whole. */
static void against_a_slow_model(void **state)
{
	struct heap_node nodes[NODES];
	uint64_t model[NODES];
	uint32_t seed = 1;
	struct heap h;

	(void)state;
	assert_int_equal(heap_init(&h, NODES), OK);
	for (size_t i = 0; i < NODES; i++) {
		heap_node_init(&nodes[i]);
		model[i] = DEADLINE_NONE;
	}
	for (size_t step = 0; step < 200000; step++) {
		size_t i = next_random(&seed) % NODES;
		uint64_t min = DEADLINE_NONE;

		switch (next_random(&seed) % 4) {
		case 0:
		case 1:
			model[i] = next_random(&seed) % 1000;
			heap_set(&h, &nodes[i], model[i]);
			break;
		case 2:
			model[i] = DEADLINE_NONE;
			heap_set(&h, &nodes[i], model[i]);
			break;
		case 3: {
			uint64_t now = next_random(&seed) % 1000;
			struct heap_node *n = heap_pop_due(&h, now);
			size_t at = n ? (size_t)(n - nodes) : 0;

			if (n) {
				assert_true(model[at] <= now);
				for (size_t j = 0; j < NODES; j++)
					assert_true(model[j] >= model[at]);
				model[at] = DEADLINE_NONE;
			}
			break;
		}
		}
		for (size_t j = 0; j < NODES; j++)
			min = deadline_min(min, model[j]);
		assert_true(heap_next_deadline(&h) == min);
	}
	heap_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(nothing_is_popped_early),
		cmocka_unit_test(against_a_slow_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
