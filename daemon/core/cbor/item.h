/*
 * CBOR items (RFC 8949), in the one form that icetun speaks: deterministic encoding (s. 4.2.1).
 *
 * Reading goes over libcbor's streaming decoder, one item at a time, with nothing allocated: a
 * count in a message never decides how much memory is used. An item that is not in its shortest
 * form, has indefinite length, or is of a kind that icetun has no use for (floats, undefined) fails
 * the reader, and failure is sticky as with the byte cursors: read all, then ask `item_rd_ok()`.
 * Text is printable ASCII only, so that what comes from outside can be shown and logged.
 *
 * A map with integer keys is read so:
 *
 *	struct item_map map;
 *	uint64_t key;
 *
 *	item_rd_map(&r, &map);
 *	while (item_map_next(&r, &map, &key)) {
 *		switch (key) {
 *		case 1: name = item_rd_text(&r, &len); break;
 *		default: item_rd_skip(&r);              // unknown keys are ignored
 *		}
 *	}
 *	if (!item_rd_at_end(&r)) return DROP_MALFORMED;
 *
 * Keys must be unsigned and rise strictly; `item_map_next()` fails the reader where they do not.
 *
 * Writing appends to a byte cursor; the writer keeps the order of keys itself.
 */
#ifndef ICETUN_CBOR_ITEM_H
#define ICETUN_CBOR_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/cursor.h"

/* Deepest nesting that item_rd_skip() accepts in a value that is ignored. */
#define ITEM_SKIP_DEPTH 8

struct item_rd {
	struct rd r;
};

struct item_map {
	uint64_t left;
	uint64_t last_key;
	bool started;
};

static inline struct item_rd item_rd_init(const void *buf, size_t len)
{
	return (struct item_rd){.r = rd_init(buf, len)};
}

static inline bool item_rd_ok(const struct item_rd *r)
{
	return rd_ok(&r->r);
}

static inline bool item_rd_at_end(const struct item_rd *r)
{
	return rd_at_end(&r->r);
}

/* Marks the reader as failed: for values that are well formed but not allowed. */
static inline void item_rd_fail(struct item_rd *r)
{
	r->r.failed = true;
}

/* Each reads one item of its kind. On another kind, or after a failure: 0, false or NULL. */
uint64_t item_rd_uint(struct item_rd *r);
/* An unsigned integer of at most @max. */
uint64_t item_rd_uint_max(struct item_rd *r, uint64_t max);
/* A signed integer (COSE has negative labels). */
int64_t item_rd_int(struct item_rd *r);
bool item_rd_bool(struct item_rd *r);
/* Return: the bytes inside the message, *ret_len of them. For an empty string a non-NULL
 * pointer. */
const uint8_t *item_rd_bytes(struct item_rd *r, size_t *ret_len);
const char *item_rd_text(struct item_rd *r, size_t *ret_len);
/* Byte string of exactly @n bytes, copied. */
void item_rd_bytes_exact(struct item_rd *r, void *dst, size_t n);
/* Text of @min..@cap-1 characters, copied to @dst with a NUL; "" on failure. */
void item_rd_text_copy(struct item_rd *r, char *dst, size_t cap, size_t min);
uint64_t item_rd_tag(struct item_rd *r);
/* The number of items in an array; fails when above @max. */
size_t item_rd_array(struct item_rd *r, size_t max);
void item_rd_map(struct item_rd *r, struct item_map *ret);
/* Return: true with the next key, then the caller reads exactly one item; false at the end of the
 * map or after a failure. */
bool item_map_next(struct item_rd *r, struct item_map *map, uint64_t *ret_key);
/* The same for a map that also has negative keys (the private claims of a CWT). Rising is meant in
 * the order of the encodings: 0, 1, 2, ... then -1, -2, ... */
bool item_map_next_int(struct item_rd *r, struct item_map *map, int64_t *ret_key);
/* Passes over one item of any allowed kind with all that is in it. */
void item_rd_skip(struct item_rd *r);
/* Passes over one item and returns its encoding. */
struct rd item_rd_raw(struct item_rd *r);

void item_wr_uint(struct wr *w, uint64_t v);
void item_wr_int(struct wr *w, int64_t v);
void item_wr_bool(struct wr *w, bool v);
void item_wr_bytes(struct wr *w, const void *buf, size_t len);
/* @text: NUL-terminated printable ASCII. */
void item_wr_text(struct wr *w, const char *text);
void item_wr_tag(struct wr *w, uint64_t tag);
void item_wr_array(struct wr *w, size_t count);
void item_wr_map(struct wr *w, size_t count);

#endif
