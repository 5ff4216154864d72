/*
 * A table of objects by the hash of what names them.
 *
 * Each object embeds a `struct table_node`; the table holds pointers to nodes and never allocates
 * after its creation, so its objects may be more than expected, only slower. It knows hashes and no
 * names: whoever looks compares.
 *
 *	for (struct table_node *n = table_first(&t, hash); n; n = n->next) {
 *		struct x *x = container_of(n, struct x, node);
 *
 *		if (strcmp(x->name, name) == 0)
 *			return x;
 *	}
 *
 * One bucket's objects are a list. So hashes are of what strangers do not choose: our own random
 * numbers, or names that somebody vouches for.
 */
#ifndef ICETUN_BASE_TABLE_H
#define ICETUN_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

struct table_node {
	struct table_node *next; /* in its bucket, also with other hashes */
};

struct table {
	struct table_node **buckets;
	size_t mask;
};

/* @expected: how many objects there usually are. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err table_init(struct table *t, size_t expected);
/* Frees the buckets, also of a table of zeros; the objects belong to the caller. */
void table_fini(struct table *t);

/* The bits of @hash that count are the low ones. @n must not be in the table. */
void table_add(struct table *t, uint64_t hash, struct table_node *n);
/* @hash: as it was added. Fine when it is not in the table. */
void table_remove(struct table *t, uint64_t hash, struct table_node *n);
static inline struct table_node *table_first(const struct table *t, uint64_t hash)
{
	return t->buckets[hash & t->mask];
}

#endif
