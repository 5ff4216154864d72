/*
 * When may a block that was replaced be freed? Quiescent-state based reclamation.
 *
 * Readers (workers) say when they begin a turn and when they rest; in between they may hold
 * pointers that they loaded from a published place. One writer (the control thread) first
 * unpublishes a block, then retires it with the number of a new epoch. A reader that rests, or has
 * begun a turn in that epoch or later, can no longer hold the block. A reader that waits for events
 * rests, so an idle worker never holds anything back.
 *
 * Published pointers, `epoch` and `seen` are all accessed sequentially consistent: a reader's
 * "I am here, now load" and the writer's "unpublished, now who is here" must not both miss the
 * other.
 */
#ifndef ICETUN_DATA_QSBR_H
#define ICETUN_DATA_QSBR_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/data/plane.h"

/* So much may wait to be freed: a writer that is faster than this waits for the readers. */
#define QSBR_MAX_WAITING 1024

/* Part of each block that can be retired. */
struct qsbr_item {
	struct qsbr_item *next;
	uint64_t epoch;
	void (*free)(struct qsbr_item *item);
};

/* A line of its own for each reader. */
struct qsbr_reader {
	_Alignas(64) _Atomic uint64_t seen; /* 0: resting */
};

struct qsbr {
	struct qsbr_reader readers[DATA_MAX_WORKERS];
	_Alignas(64) _Atomic uint64_t epoch;
	size_t count; /* of the retired; this and the rest is the writer's own */
	struct qsbr_item *first;
	struct qsbr_item **last_next;
};

void qsbr_init(struct qsbr *q);
/* Frees everything retired. No reader may be active any more. */
void qsbr_fini(struct qsbr *q);

static inline void qsbr_begin(struct qsbr *q, unsigned int reader)
{
	atomic_store(&q->readers[reader].seen, atomic_load(&q->epoch));
}

static inline void qsbr_rest(struct qsbr *q, unsigned int reader)
{
	atomic_store(&q->readers[reader].seen, 0);
}

/* Has @item, already unpublished, freed by @free_fn once no reader can hold it. @free_fn must not
 * retire anything. */
void qsbr_retire(struct qsbr *q, struct qsbr_item *item, void (*free_fn)(struct qsbr_item *));
/* Frees what can be freed now. */
void qsbr_reclaim(struct qsbr *q);
/* Waits, one turn of a worker at most, until no reader holds anything unpublished before; frees. */
void qsbr_synchronize(struct qsbr *q);

#endif
