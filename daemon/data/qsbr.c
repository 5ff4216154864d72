#include "daemon/data/qsbr.h"

#include <sched.h>

void qsbr_init(struct qsbr *q)
{
	for (unsigned int i = 0; i < DATA_MAX_WORKERS; i++)
		atomic_init(&q->readers[i].seen, 0);
	atomic_init(&q->epoch, 1);
	q->count = 0;
	q->first = NULL;
	q->last_next = &q->first;
}

/* The latest epoch whose blocks no reader can hold. */
static uint64_t passed_epoch(struct qsbr *q)
{
	uint64_t passed = atomic_load(&q->epoch);

	for (unsigned int i = 0; i < DATA_MAX_WORKERS; i++) {
		uint64_t seen = atomic_load(&q->readers[i].seen);

		if (seen && seen < passed)
			passed = seen;
	}
	return passed;
}

static void free_until(struct qsbr *q, uint64_t passed)
{
	while (q->first && q->first->epoch <= passed) {
		struct qsbr_item *item = q->first;

		q->first = item->next;
		if (!q->first)
			q->last_next = &q->first;
		q->count--;
		item->free(item);
	}
}

void qsbr_fini(struct qsbr *q)
{
	free_until(q, UINT64_MAX);
}

void qsbr_retire(struct qsbr *q, struct qsbr_item *item, void (*free_fn)(struct qsbr_item *))
{
	item->next = NULL;
	item->free = free_fn;
	item->epoch = atomic_fetch_add(&q->epoch, 1) + 1;
	*q->last_next = item;
	q->last_next = &item->next;
	if (++q->count < QSBR_MAX_WAITING)
		qsbr_reclaim(q);
	else
		qsbr_synchronize(q);
}

void qsbr_reclaim(struct qsbr *q)
{
	if (q->first)
		free_until(q, passed_epoch(q));
}

void qsbr_synchronize(struct qsbr *q)
{
	uint64_t epoch = atomic_fetch_add(&q->epoch, 1) + 1;

	while (passed_epoch(q) < epoch)
		sched_yield();
	qsbr_reclaim(q);
}
