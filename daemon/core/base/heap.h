/*
 * A bounded heap of deadlines: which of many objects is due first.
 *
 * Each object embeds a `struct heap_node`; the heap holds pointers to nodes and never allocates
 * after its creation. Setting, moving and removing a deadline is O(log n), looking at the first is
 * O(1). Nodes with equal deadlines come out in an order that depends only on the calls made before.
 */
#ifndef ICETUN_BASE_HEAP_H
#define ICETUN_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/time.h"

struct heap_node {
	uint64_t deadline_us; /* DEADLINE_NONE when not in the heap */
	size_t index;
};

struct heap {
	struct heap_node **nodes;
	size_t count;
	size_t capacity;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err heap_init(struct heap *h, size_t capacity);
/* Frees the table; the nodes belong to the caller. */
void heap_fini(struct heap *h);

/* Makes @n a node that is in no heap. */
static inline void heap_node_init(struct heap_node *n)
{
	n->deadline_us = DEADLINE_NONE;
	n->index = 0;
}

/* Sets the deadline of @n, which is in @h or in no heap; DEADLINE_NONE takes it out. A heap whose
 * capacity is the number of objects that exist cannot be full. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t deadline_us);

static inline uint64_t heap_next_deadline(const struct heap *h)
{
	return h->count ? h->nodes[0]->deadline_us : DEADLINE_NONE;
}

/* Takes out and returns the first node that is due at @now_us, or NULL. */
struct heap_node *heap_pop_due(struct heap *h, uint64_t now_us);

#endif
