/*
 * The overlay's routes: which peer has an overlay address.
 *
 * One table holds prefixes of every length. An entry is found by hashing the address cut to the
 * prefix's length, so an exact address (/32, /128) costs one probe, and a lookup tries only the
 * lengths that occur in the table, longest first. The table grows as entries come, up to the limit
 * given at creation, and never on lookup.
 *
 * A route leads to a peer number or to one of the ROUTE_* targets below. A table that is not being
 * changed may be read by any number of threads; the data plane works on a clone.
 */
#ifndef ICETUN_ROUTE_TABLE_H
#define ICETUN_ROUTE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

/* Not a target: what a lookup gives when no prefix matches. */
#define ROUTE_NONE UINT32_MAX
/* One of our own overlay addresses, or one that nobody may use: packets for it are dropped. */
#define ROUTE_SELF (UINT32_MAX - 1)
/* Inside the overlay, but whose address it is has to be asked for first. */
#define ROUTE_UNRESOLVED (UINT32_MAX - 2)
/* Peer numbers are at most this. */
#define ROUTE_MAX_PEER (UINT32_MAX - 16)

struct route_table;

/* @max_entries: most prefixes the table will ever hold, 1..2^24.
 * Return: OK, ERR_INVALID, ERR_NO_MEMORY. */
MUST_USE enum err route_table_create(struct route_table **ret, size_t max_entries);
/* NULL is fine. */
void route_table_destroy(struct route_table *t);
/* An independent copy with the same limit. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err route_table_clone(struct route_table **ret, const struct route_table *t);

/* @prefix: host bits zero, length 0..32 or 0..128. @target: a peer number, ROUTE_SELF or
 * ROUTE_UNRESOLVED. The same prefix with the same target again is OK and changes nothing.
 * Return: OK; ERR_INVALID; ERR_EXISTS when the prefix leads elsewhere; ERR_LIMIT; ERR_NO_MEMORY. */
MUST_USE enum err route_table_add(struct route_table *t, const struct netprefix *prefix,
				  uint32_t target);
/* Return: OK, ERR_NOT_FOUND. */
MUST_USE enum err route_table_remove(struct route_table *t, const struct netprefix *prefix);
/* Removes every prefix that leads to @target. */
void route_table_remove_target(struct route_table *t, uint32_t target);

/* The target of the longest prefix that contains @addr (port and scope are not looked at), or
 * ROUTE_NONE. */
uint32_t route_table_lookup(const struct route_table *t, const struct netaddr *addr);
size_t route_table_count(const struct route_table *t);

#endif
