/*
 * Checked cursors: the only way to read bytes from outside and to write bytes for outside.
 *
 * A reader walks over [p, end) and never past it. The first read that does not fit sets `failed`;
 * from then on each read returns zero (or NULL) and moves nothing. So a decoder reads a whole
 * message in sequence and asks `rd_ok()` once, BEFORE it uses any value. `rd_sub()` makes a reader
 * of the next n bytes, for nested structures with a length of their own. All numbers are in network
 * byte order on the wire and host order in C.
 *
 * A writer is the same for output: it knows its capacity, padding included, and is sticky as well.
 * A length that is known only later is patched in with `wr_patch_u16be()`.
 */
#ifndef ICETUN_BASE_CURSOR_H
#define ICETUN_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/base/compiler.h"

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};

/* @buf: @len readable bytes, which must outlive the reader; may be NULL when @len is 0. */
static inline struct rd rd_init(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return (struct rd){.p = p, .end = len ? p + len : p, .failed = false};
}

static inline size_t rd_left(const struct rd *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->p);
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->failed;
}

/* True when nothing failed and nothing is left: for messages in which trailing bytes are
 * illegal. */
static inline bool rd_at_end(const struct rd *r)
{
	return !r->failed && r->p == r->end;
}

/* Return: the next @n bytes inside the buffer, or NULL when there are fewer. n = 0 gives non-NULL
 * only for a reader over a non-NULL buffer. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->failed || n > (size_t)(r->end - r->p)) {
		r->failed = true;
		return NULL;
	}
	if (n)
		r->p += n;
	return at;
}

/* Copies the next @n bytes to @dst; on failure @dst is filled with zeros. */
static inline bool rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *src = rd_bytes(r, n);

	if (n == 0)
		return rd_ok(r);
	if (!src) {
		memset(dst, 0, n);
		return false;
	}
	memcpy(dst, src, n);
	return true;
}

static inline void rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 1);

	return b ? b[0] : 0;
}

static inline uint16_t rd_u16be(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 2);

	return (uint16_t)(b ? b[0] << 8 | b[1] : 0);
}

static inline uint32_t rd_u32be(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 4);

	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

static inline uint64_t rd_u64be(struct rd *r)
{
	uint64_t hi = rd_u32be(r);
	uint64_t lo = rd_u32be(r);

	return r->failed ? 0 : hi << 32 | lo;
}

/* A reader of the next @n bytes; the outer one moves behind them. Fails both when there are
 * fewer. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *b = rd_bytes(r, n);
	struct rd sub = rd_init(b, b ? n : 0);

	sub.failed = r->failed;
	return sub;
}

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool failed;
};

/* @buf: @cap writable bytes that outlive the writer. */
static inline struct wr wr_init(void *buf, size_t cap)
{
	uint8_t *p = buf;

	return (struct wr){.start = p, .p = p, .end = cap ? p + cap : p, .failed = false};
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->failed;
}

/* Bytes written so far. */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

static inline size_t wr_left(const struct wr *w)
{
	return w->failed ? 0 : (size_t)(w->end - w->p);
}

/* Return: room for @n bytes that the caller fills, or NULL. */
static inline uint8_t *wr_reserve(struct wr *w, size_t n)
{
	uint8_t *at = w->p;

	if (w->failed || n > (size_t)(w->end - w->p)) {
		w->failed = true;
		return NULL;
	}
	if (n)
		w->p += n;
	return at;
}

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *at = wr_reserve(w, n);

	if (at && n)
		memcpy(at, src, n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *at = wr_reserve(w, n);

	if (at && n)
		memset(at, 0, n);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_u16be(struct wr *w, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_u32be(struct wr *w, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_u64be(struct wr *w, uint64_t v)
{
	wr_u32be(w, (uint32_t)(v >> 32));
	wr_u32be(w, (uint32_t)v);
}

/* Overwrites two bytes at @offset from the start, which must have been written already. */
static inline void wr_patch_u16be(struct wr *w, size_t offset, uint16_t v)
{
	if (w->failed || wr_len(w) < 2 || offset > wr_len(w) - 2) {
		w->failed = true;
		return;
	}
	w->start[offset] = (uint8_t)(v >> 8);
	w->start[offset + 1] = (uint8_t)v;
}

#endif
