/*
 * How one thread wakes another that polls: an eventfd that is written once, not once an item.
 *
 * The writer puts something where the reader looks, then rings. The reader takes all that is there,
 * hushes the bell, and looks once more: what came before the hush was not announced again.
 */
#ifndef ICETUN_DATA_BELL_H
#define ICETUN_DATA_BELL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/core/base/err.h"

struct bell {
	int fd; /* readable since somebody rang */
	_Atomic bool is_rung;
};

/* Return: OK, ERR_SYSTEM; bell_fini() is fine even then. */
MUST_USE enum err bell_init(struct bell *b);
void bell_fini(struct bell *b);

/* By any thread. */
void bell_ring(struct bell *b);
/* By the reader. */
void bell_hush(struct bell *b);

#endif
