/*
 * A bounded queue of byte records of any length, first in, first out.
 *
 * One block of memory, allocated at creation; a record takes its length and four bytes. A record
 * that does not fit is refused whole. Used for what a core object wants to send until the shell
 * pulls it.
 */
#ifndef ICETUN_BASE_FIFO_H
#define ICETUN_BASE_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

struct fifo {
	uint8_t *buf;
	size_t capacity_bytes;
	size_t head; /* offset of the oldest record */
	size_t used_bytes;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err fifo_init(struct fifo *f, size_t capacity_bytes);
/* Frees the block. */
void fifo_fini(struct fifo *f);

/* Appends one record that is @a followed by @b. Return: OK, DROP_QUEUE_FULL. */
MUST_USE enum err fifo_push(struct fifo *f, const void *a, size_t a_len, const void *b,
			    size_t b_len);
/* Takes the oldest record: its first @a_len bytes to @a and the rest to @b.
 * Return: false when empty. A record that does not fit @b_cap is dropped and the next is tried. */
bool fifo_pop(struct fifo *f, void *a, size_t a_len, void *b, size_t b_cap, size_t *ret_b_len);

/* Drops every record. */
static inline void fifo_clear(struct fifo *f)
{
	f->used_bytes = 0;
}

static inline bool fifo_is_empty(const struct fifo *f)
{
	return f->used_bytes == 0;
}

#endif
