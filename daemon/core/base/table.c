#include "daemon/core/base/table.h"

#include <stdlib.h>

enum err table_init(struct table *t, size_t expected)
{
	size_t count = 64;

	while (count < expected)
		count *= 2;
	*t = (struct table){.buckets = calloc(count, sizeof(struct table_node *)),
			    .mask = count - 1};
	return t->buckets ? OK : ERR_NO_MEMORY;
}

void table_fini(struct table *t)
{
	free(t->buckets);
	*t = (struct table){0};
}

void table_add(struct table *t, uint64_t hash, struct table_node *n)
{
	struct table_node **bucket = &t->buckets[hash & t->mask];

	n->next = *bucket;
	*bucket = n;
}

void table_remove(struct table *t, uint64_t hash, struct table_node *n)
{
	struct table_node **at = &t->buckets[hash & t->mask];

	while (*at && *at != n)
		at = &(*at)->next;
	if (*at)
		*at = n->next;
	n->next = NULL;
}
