/*
 * The newest stamp that was accepted from each host, by identifier.
 *
 * An offer is a first message, which a server could send again; its stamp has to be above the last
 * one from the same host (docs/PROTOCOL.md). The table survives restarts on disk, so that an offer
 * that was recorded before is refused after them too. It is bounded: when it is full, the host
 * whose stamp is lowest is forgotten.
 */
#ifndef ICETUN_CERT_STAMP_H
#define ICETUN_CERT_STAMP_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/table.h"
#include "daemon/core/cert/identifier.h"

struct stamp {
	char name[IDENTIFIER_BYTES];
	uint64_t stamp_us;
	struct table_node node;
};

struct stamp_table {
	struct stamp *stamps;
	size_t count;
	size_t capacity;
	struct table names;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err stamp_table_init(struct stamp_table *t, size_t capacity);
void stamp_table_fini(struct stamp_table *t);
/* Return: the stamp of @name, 0 when there is none. */
uint64_t stamp_get(const struct stamp_table *t, const char *name);
/* Raises the stamp of @name, a valid identifier. A lower one changes nothing. */
void stamp_set(struct stamp_table *t, const char *name, uint64_t stamp_us);

#endif
