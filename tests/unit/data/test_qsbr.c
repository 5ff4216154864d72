/* Reclamation: nothing is freed while a reader that may hold it is in its turn, and everything is
 * afterwards; and a reader that loads a block all the time while it is being replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "daemon/data/qsbr.h"

struct block {
	struct qsbr_item item;
	uint64_t a, b; /* a + b == UINT64_MAX as long as it lives */
};

static unsigned int freed;

static void block_free(struct qsbr_item *item)
{
	struct block *b = container_of(item, struct block, item);

	b->a = b->b = 0;
	freed++;
	free(b);
}

static struct block *block_new(uint64_t a)
{
	struct block *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->a = a;
	b->b = UINT64_MAX - a;
	return b;
}

static void test_waits_for_the_reader(void **state)
{
	struct qsbr q;

	(void)state;
	qsbr_init(&q);
	freed = 0;
	qsbr_retire(&q, &block_new(1)->item, block_free); /* nobody reads: at once */
	assert_int_equal(freed, 1);

	qsbr_begin(&q, 0);
	qsbr_retire(&q, &block_new(2)->item, block_free);
	qsbr_retire(&q, &block_new(3)->item, block_free);
	qsbr_reclaim(&q);
	assert_int_equal(freed, 1);
	qsbr_begin(&q, 0); /* the next turn, without a rest */
	qsbr_retire(&q, &block_new(4)->item, block_free);
	assert_int_equal(freed, 3);
	qsbr_rest(&q, 0);
	assert_int_equal(freed, 3); /* only the writer frees */
	qsbr_reclaim(&q);
	assert_int_equal(freed, 4);

	qsbr_begin(&q, 0);
	qsbr_retire(&q, &block_new(5)->item, block_free);
	assert_int_equal(freed, 4);
	qsbr_rest(&q, 0);
	qsbr_synchronize(&q);
	assert_int_equal(freed, 5);
	qsbr_begin(&q, 0);
	qsbr_retire(&q, &block_new(6)->item, block_free);
	qsbr_fini(&q);
	assert_int_equal(freed, 6);
}

#define REPLACEMENTS 100000

struct shared {
	struct qsbr q;
	struct block *_Atomic published;
	_Atomic bool is_done;
	uint64_t broken;
};

static void *read_all(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->is_done)) {
		qsbr_begin(&s->q, 0);
		for (int i = 0; i < 10; i++) {
			const struct block *b = atomic_load(&s->published);

			s->broken += b->a + b->b != UINT64_MAX;
		}
		qsbr_rest(&s->q, 0);
	}
	return NULL;
}

static void test_reader_under_replacement(void **state)
{
	static struct shared s;
	pthread_t thread;

	(void)state;
	qsbr_init(&s.q);
	freed = 0;
	atomic_store(&s.published, block_new(0));
	assert_int_equal(pthread_create(&thread, NULL, read_all, &s), 0);
	for (uint64_t i = 1; i <= REPLACEMENTS; i++) {
		struct block *old = atomic_exchange(&s.published, block_new(i));

		qsbr_retire(&s.q, &old->item, block_free);
		if (i % 1000 == 0) {
			qsbr_synchronize(&s.q);
			assert_int_equal(freed, i);
		}
	}
	atomic_store(&s.is_done, true);
	pthread_join(thread, NULL);
	assert_int_equal(s.broken, 0);
	free(atomic_load(&s.published));
	qsbr_fini(&s.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_the_reader),
		cmocka_unit_test(test_reader_under_replacement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
