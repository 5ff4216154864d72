#include "daemon/data/ring.h"

#include <stdlib.h>
#include <string.h>

enum err ring_init(struct ring *r, size_t size_bytes)
{
	r->bytes = malloc(size_bytes);
	if (!r->bytes)
		return ERR_NO_MEMORY;
	r->size = size_bytes;
	atomic_init(&r->taken, 0);
	atomic_init(&r->appended, 0);
	return OK;
}

void ring_fini(struct ring *r)
{
	free(r->bytes);
	r->bytes = NULL;
}

/* Copies to the place of byte number @at; returns the number after it. */
static size_t copy_in(struct ring *r, size_t at, const void *src, size_t len)
{
	size_t start = at & (r->size - 1);
	size_t first = len < r->size - start ? len : r->size - start;

	if (len) {
		memcpy(r->bytes + start, src, first);
		memcpy(r->bytes, (const uint8_t *)src + first, len - first);
	}
	return at + len;
}

static size_t copy_out(const struct ring *r, size_t at, void *dst, size_t len)
{
	size_t start = at & (r->size - 1);
	size_t first = len < r->size - start ? len : r->size - start;

	if (len) {
		memcpy(dst, r->bytes + start, first);
		memcpy((uint8_t *)dst + first, r->bytes, len - first);
	}
	return at + len;
}

bool ring_has_room(const struct ring *r, size_t len)
{
	size_t used = atomic_load_explicit(&r->appended, memory_order_relaxed) -
		      atomic_load_explicit(&r->taken, memory_order_acquire);

	return sizeof(uint32_t) + len <= r->size - used;
}

enum err ring_push(struct ring *r, const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t at = atomic_load_explicit(&r->appended, memory_order_relaxed);
	uint32_t len = (uint32_t)(a_len + b_len);

	if (!ring_has_room(r, a_len + b_len))
		return DROP_QUEUE_FULL;
	at = copy_in(r, at, &len, sizeof(len));
	at = copy_in(r, at, a, a_len);
	at = copy_in(r, at, b, b_len);
	atomic_store_explicit(&r->appended, at, memory_order_release);
	return OK;
}

enum err ring_pop(struct ring *r, void *a, size_t a_len, void *b, size_t b_cap, size_t *ret_b_len)
{
	size_t at = atomic_load_explicit(&r->taken, memory_order_relaxed);
	enum err e = OK;
	uint32_t len;

	if (at == atomic_load_explicit(&r->appended, memory_order_acquire))
		return ERR_EMPTY;
	at = copy_out(r, at, &len, sizeof(len));
	if (len - a_len > b_cap) {
		e = DROP_TOO_LONG;
		at += len;
	} else {
		at = copy_out(r, at, a, a_len);
		at = copy_out(r, at, b, len - a_len);
		*ret_b_len = len - a_len;
	}
	atomic_store_explicit(&r->taken, at, memory_order_release);
	return e;
}
