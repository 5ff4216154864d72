#include "daemon/core/base/heap.h"

#include <stdlib.h>

enum err heap_init(struct heap *h, size_t capacity)
{
	*h = (struct heap){.capacity = capacity};
	h->nodes = calloc(capacity ? capacity : 1, sizeof(struct heap_node *));
	return h->nodes ? OK : ERR_NO_MEMORY;
}

void heap_fini(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}

static void place(struct heap *h, struct heap_node *n, size_t index)
{
	h->nodes[index] = n;
	n->index = index;
}

static void sift_up(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;

	while (i > 0 && h->nodes[(i - 1) / 2]->deadline_us > n->deadline_us) {
		place(h, h->nodes[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	place(h, n, i);
}

static void sift_down(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count &&
		    h->nodes[child + 1]->deadline_us < h->nodes[child]->deadline_us)
			child++;
		if (h->nodes[child]->deadline_us >= n->deadline_us)
			break;
		place(h, h->nodes[child], i);
		i = child;
	}
	place(h, n, i);
}

static void take_out(struct heap *h, struct heap_node *n)
{
	struct heap_node *last = h->nodes[--h->count];

	if (last != n) {
		place(h, last, n->index);
		sift_up(h, last);
		sift_down(h, last);
	}
	heap_node_init(n);
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t deadline_us)
{
	if (n->deadline_us != DEADLINE_NONE) {
		if (deadline_us == DEADLINE_NONE) {
			take_out(h, n);
			return;
		}
		n->deadline_us = deadline_us;
		sift_up(h, n);
		sift_down(h, n);
		return;
	}
	if (deadline_us == DEADLINE_NONE || h->count == h->capacity)
		return;
	n->deadline_us = deadline_us;
	place(h, n, h->count++);
	sift_up(h, n);
}

struct heap_node *heap_pop_due(struct heap *h, uint64_t now_us)
{
	struct heap_node *n;

	if (h->count == 0 || h->nodes[0]->deadline_us > now_us)
		return NULL;
	n = h->nodes[0];
	take_out(h, n);
	return n;
}
