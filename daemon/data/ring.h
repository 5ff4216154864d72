/*
 * A bounded queue of byte records from one thread to one other, without locks.
 *
 * One block of memory, allocated at creation. A record takes its bytes and four more; one that does
 * not fit is refused whole. (For one thread alone there is base/fifo.h.)
 */
#ifndef ICETUN_DATA_RING_H
#define ICETUN_DATA_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

struct ring {
	uint8_t *bytes;
	size_t size;			      /* a power of two */
	_Alignas(64) _Atomic size_t taken;    /* bytes ever taken; written by the reader */
	_Alignas(64) _Atomic size_t appended; /* bytes ever appended; written by the writer */
};

/* @size_bytes: a power of two. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ring_init(struct ring *r, size_t size_bytes);
/* Frees the block; of a zeroed ring, too. */
void ring_fini(struct ring *r);

/* By the writer: a record of @len bytes fits, and will until the writer pushes something. */
bool ring_has_room(const struct ring *r, size_t len);
/* Appends one record that is @a followed by @b (NULL with length 0). Return: OK,
 * DROP_QUEUE_FULL. */
MUST_USE enum err ring_push(struct ring *r, const void *a, size_t a_len, const void *b,
			    size_t b_len);
/* Takes the oldest record: its first @a_len bytes to @a and the rest to @b. Every record must have
 * been pushed with at least @a_len bytes. Return: OK; ERR_EMPTY; DROP_TOO_LONG when the rest does
 * not fit @b_cap, the record is gone then. */
MUST_USE enum err ring_pop(struct ring *r, void *a, size_t a_len, void *b, size_t b_cap,
			   size_t *ret_b_len);

#endif
