#include "daemon/core/cert/stamp.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/fnv.h"

enum err stamp_table_init(struct stamp_table *t, size_t capacity)
{
	*t = (struct stamp_table){.capacity = capacity};
	t->stamps = calloc(capacity ? capacity : 1, sizeof(*t->stamps));
	return t->stamps ? table_init(&t->names, capacity) : ERR_NO_MEMORY;
}

void stamp_table_fini(struct stamp_table *t)
{
	table_fini(&t->names);
	free(t->stamps);
	*t = (struct stamp_table){0};
}

static uint64_t hash_of(const char *name)
{
	return fnv_hash(FNV_SEED, name, strlen(name));
}

static struct stamp *find(const struct stamp_table *t, const char *name)
{
	for (struct table_node *n = table_first(&t->names, hash_of(name)); n; n = n->next) {
		struct stamp *s = container_of(n, struct stamp, node);

		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

uint64_t stamp_get(const struct stamp_table *t, const char *name)
{
	const struct stamp *s = find(t, name);

	return s ? s->stamp_us : 0;
}

/* A free place, or that of the lowest stamp when it is below @stamp_us. */
static struct stamp *place(struct stamp_table *t, uint64_t stamp_us)
{
	struct stamp *lowest = t->stamps;

	if (t->count < t->capacity)
		return &t->stamps[t->count++];
	for (size_t i = 1; i < t->count; i++) {
		if (t->stamps[i].stamp_us < lowest->stamp_us)
			lowest = &t->stamps[i];
	}
	if (t->count == 0 || lowest->stamp_us >= stamp_us)
		return NULL;
	table_remove(&t->names, hash_of(lowest->name), &lowest->node);
	return lowest;
}

void stamp_set(struct stamp_table *t, const char *name, uint64_t stamp_us)
{
	struct stamp *s = find(t, name);
	size_t len = strlen(name);

	if (len >= sizeof(s->name))
		return;
	if (!s) {
		s = place(t, stamp_us);
		if (!s)
			return;
		*s = (struct stamp){0};
		memcpy(s->name, name, len + 1);
		table_add(&t->names, hash_of(name), &s->node);
	}
	if (stamp_us > s->stamp_us)
		s->stamp_us = stamp_us;
}
