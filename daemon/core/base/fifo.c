#include "daemon/core/base/fifo.h"

#include <stdlib.h>
#include <string.h>

enum err fifo_init(struct fifo *f, size_t capacity_bytes)
{
	*f = (struct fifo){.capacity_bytes = capacity_bytes};
	f->buf = calloc(1, capacity_bytes);
	return f->buf ? OK : ERR_NO_MEMORY;
}

void fifo_fini(struct fifo *f)
{
	free(f->buf);
	*f = (struct fifo){0};
}

static void put(struct fifo *f, const void *src, size_t len)
{
	size_t at = (f->head + f->used_bytes) % f->capacity_bytes;
	size_t first = f->capacity_bytes - at;

	if (first > len)
		first = len;
	if (len) {
		memcpy(f->buf + at, src, first);
		memcpy(f->buf, (const uint8_t *)src + first, len - first);
	}
	f->used_bytes += len;
}

static void get(struct fifo *f, void *dst, size_t len)
{
	size_t first = f->capacity_bytes - f->head;

	if (first > len)
		first = len;
	if (len && dst) {
		memcpy(dst, f->buf + f->head, first);
		memcpy((uint8_t *)dst + first, f->buf, len - first);
	}
	f->used_bytes -= len;
	/* From the start again: of a long queue that is nearly always empty few pages are used. */
	f->head = f->used_bytes ? (f->head + len) % f->capacity_bytes : 0;
}

enum err fifo_push(struct fifo *f, const void *a, size_t a_len, const void *b, size_t b_len)
{
	uint32_t len;

	if (a_len > UINT32_MAX / 2 || b_len > UINT32_MAX / 2 ||
	    a_len + b_len + sizeof(len) > f->capacity_bytes - f->used_bytes)
		return DROP_QUEUE_FULL;
	len = (uint32_t)(a_len + b_len);
	put(f, &len, sizeof(len));
	put(f, a, a_len);
	put(f, b, b_len);
	return OK;
}

bool fifo_pop(struct fifo *f, void *a, size_t a_len, void *b, size_t b_cap, size_t *ret_b_len)
{
	while (f->used_bytes) {
		uint32_t len;

		get(f, &len, sizeof(len));
		if (len < a_len || len - a_len > b_cap) {
			get(f, NULL, len);
			continue;
		}
		get(f, a, a_len);
		get(f, b, len - a_len);
		*ret_b_len = len - a_len;
		return true;
	}
	return false;
}
