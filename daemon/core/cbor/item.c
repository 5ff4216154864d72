#include "daemon/core/cbor/item.h"

#include <cbor.h>

enum kind {
	KIND_NONE, /* nothing was decoded, or a kind that icetun does not use */
	KIND_UINT,
	KIND_NEGINT, /* the value is -1 - number */
	KIND_BYTES,
	KIND_TEXT,
	KIND_ARRAY,
	KIND_MAP,
	KIND_TAG,
	KIND_BOOL,
};

/* What the callbacks of the streaming decoder saw. */
struct item {
	enum kind kind;
	uint64_t number; /* value, count, tag or length */
	const uint8_t *data;
};

static void set(void *ctx, enum kind kind, uint64_t number)
{
	struct item *item = ctx;

	item->kind = kind;
	item->number = number;
}

static void on_uint8(void *ctx, uint8_t v)
{
	set(ctx, KIND_UINT, v);
}

static void on_uint16(void *ctx, uint16_t v)
{
	set(ctx, KIND_UINT, v);
}

static void on_uint32(void *ctx, uint32_t v)
{
	set(ctx, KIND_UINT, v);
}

static void on_uint64(void *ctx, uint64_t v)
{
	set(ctx, KIND_UINT, v);
}

static void on_negint8(void *ctx, uint8_t v)
{
	set(ctx, KIND_NEGINT, v);
}

static void on_negint16(void *ctx, uint16_t v)
{
	set(ctx, KIND_NEGINT, v);
}

static void on_negint32(void *ctx, uint32_t v)
{
	set(ctx, KIND_NEGINT, v);
}

static void on_negint64(void *ctx, uint64_t v)
{
	set(ctx, KIND_NEGINT, v);
}

static void on_bytes(void *ctx, cbor_data data, size_t len)
{
	set(ctx, KIND_BYTES, len);
	((struct item *)ctx)->data = data;
}

static void on_text(void *ctx, cbor_data data, size_t len)
{
	set(ctx, KIND_TEXT, len);
	((struct item *)ctx)->data = data;
}

static void on_array(void *ctx, size_t count)
{
	set(ctx, KIND_ARRAY, count);
}

static void on_map(void *ctx, size_t count)
{
	set(ctx, KIND_MAP, count);
}

static void on_tag(void *ctx, uint64_t tag)
{
	set(ctx, KIND_TAG, tag);
}

static void on_bool(void *ctx, bool v)
{
	set(ctx, KIND_BOOL, v);
}

static struct cbor_callbacks callbacks(void)
{
	struct cbor_callbacks c = cbor_empty_callbacks;

	c.uint8 = on_uint8;
	c.uint16 = on_uint16;
	c.uint32 = on_uint32;
	c.uint64 = on_uint64;
	c.negint8 = on_negint8;
	c.negint16 = on_negint16;
	c.negint32 = on_negint32;
	c.negint64 = on_negint64;
	c.byte_string = on_bytes;
	c.string = on_text;
	c.array_start = on_array;
	c.map_start = on_map;
	c.tag = on_tag;
	c.boolean = on_bool;
	return c;
}

/* Bytes of the shortest head for @number. */
static size_t head_bytes(uint64_t number)
{
	return number < 24	      ? 1
	       : number <= UINT8_MAX  ? 2
	       : number <= UINT16_MAX ? 3
	       : number <= UINT32_MAX ? 5
				      : 9;
}

static size_t item_bytes(const struct item *item)
{
	if (item->kind == KIND_BOOL)
		return 1;
	if (item->kind == KIND_BYTES || item->kind == KIND_TEXT)
		return head_bytes(item->number) + item->number;
	return head_bytes(item->number);
}

/* libcbor up to 0.8 refuses the tags 6 to 20 in their one-byte form, among them the 18 of
 * COSE_Sign1: they are read here. */
static bool next_is_short_tag(const struct item_rd *r)
{
	return r->r.p[0] >= 0xc6 && r->r.p[0] <= 0xd4;
}

/* Decodes one item head (with the data of a string). KIND_NONE fails the reader. */
static struct item next(struct item_rd *r)
{
	struct cbor_callbacks c = callbacks();
	struct item item = {.kind = KIND_NONE};
	struct cbor_decoder_result result;

	if (!item_rd_ok(r) || rd_left(&r->r) == 0) {
		item_rd_fail(r);
		return item;
	}
	if (next_is_short_tag(r))
		return (struct item){.kind = KIND_TAG, .number = rd_u8(&r->r) & 0x1f};
	result = cbor_stream_decode(r->r.p, rd_left(&r->r), &c, &item);
	if (result.status != CBOR_DECODER_FINISHED || item.kind == KIND_NONE ||
	    result.read != item_bytes(&item)) {
		item_rd_fail(r);
		return (struct item){.kind = KIND_NONE};
	}
	rd_skip(&r->r, result.read);
	return item;
}

static struct item expect(struct item_rd *r, enum kind kind)
{
	struct item item = next(r);

	if (item.kind == kind)
		return item;
	item_rd_fail(r);
	return (struct item){.kind = KIND_NONE};
}

uint64_t item_rd_uint(struct item_rd *r)
{
	return expect(r, KIND_UINT).number;
}

uint64_t item_rd_uint_max(struct item_rd *r, uint64_t max)
{
	uint64_t v = item_rd_uint(r);

	if (v <= max)
		return v;
	item_rd_fail(r);
	return 0;
}

int64_t item_rd_int(struct item_rd *r)
{
	struct item item = next(r);

	if (item.number > INT64_MAX || (item.kind != KIND_UINT && item.kind != KIND_NEGINT)) {
		item_rd_fail(r);
		return 0;
	}
	return item.kind == KIND_UINT ? (int64_t)item.number : -1 - (int64_t)item.number;
}

bool item_rd_bool(struct item_rd *r)
{
	return expect(r, KIND_BOOL).number != 0;
}

const uint8_t *item_rd_bytes(struct item_rd *r, size_t *ret_len)
{
	struct item item = expect(r, KIND_BYTES);

	*ret_len = item.number;
	return item.data;
}

const char *item_rd_text(struct item_rd *r, size_t *ret_len)
{
	struct item item = expect(r, KIND_TEXT);

	for (size_t i = 0; i < item.number; i++) {
		if (item.data[i] < 0x20 || item.data[i] > 0x7e) {
			item_rd_fail(r);
			*ret_len = 0;
			return NULL;
		}
	}
	*ret_len = item.number;
	return (const char *)item.data;
}

void item_rd_bytes_exact(struct item_rd *r, void *dst, size_t n)
{
	size_t len;
	const uint8_t *data = item_rd_bytes(r, &len);

	if (!data || len != n) {
		item_rd_fail(r);
		memset(dst, 0, n);
		return;
	}
	memcpy(dst, data, n);
}

void item_rd_text_copy(struct item_rd *r, char *dst, size_t cap, size_t min)
{
	size_t len;
	const char *text = item_rd_text(r, &len);

	dst[0] = '\0';
	if (!text || len < min || len >= cap) {
		item_rd_fail(r);
		return;
	}
	memcpy(dst, text, len);
	dst[len] = '\0';
}

uint64_t item_rd_tag(struct item_rd *r)
{
	return expect(r, KIND_TAG).number;
}

size_t item_rd_array(struct item_rd *r, size_t max)
{
	struct item item = expect(r, KIND_ARRAY);

	if (item.number <= max)
		return item.number;
	item_rd_fail(r);
	return 0;
}

void item_rd_map(struct item_rd *r, struct item_map *ret)
{
	*ret = (struct item_map){.left = expect(r, KIND_MAP).number};
}

/* Counts one key. @rank: its place in the order of encodings. */
static bool map_take(struct item_rd *r, struct item_map *map, uint64_t rank)
{
	if (!item_rd_ok(r))
		return false;
	if (map->started && rank <= map->last_key) {
		item_rd_fail(r);
		return false;
	}
	map->started = true;
	map->last_key = rank;
	map->left--;
	return true;
}

bool item_map_next(struct item_rd *r, struct item_map *map, uint64_t *ret_key)
{
	uint64_t key;

	if (!item_rd_ok(r) || map->left == 0)
		return false;
	key = item_rd_uint(r);
	if (!map_take(r, map, key))
		return false;
	*ret_key = key;
	return true;
}

bool item_map_next_int(struct item_rd *r, struct item_map *map, int64_t *ret_key)
{
	uint64_t rank;
	int64_t key;

	if (!item_rd_ok(r) || map->left == 0)
		return false;
	key = item_rd_int(r);
	rank = key >= 0 ? (uint64_t)key : ((uint64_t)1 << 63) + (uint64_t)(-1 - key);
	if (!map_take(r, map, rank))
		return false;
	*ret_key = key;
	return true;
}

void item_rd_skip(struct item_rd *r)
{
	uint64_t left[ITEM_SKIP_DEPTH + 1] = {1};
	size_t depth = 0;

	while (item_rd_ok(r)) {
		struct item item;

		while (left[depth] == 0) {
			if (depth == 0)
				return;
			depth--;
		}
		left[depth]--;
		item = next(r);
		if (item.kind != KIND_ARRAY && item.kind != KIND_MAP && item.kind != KIND_TAG)
			continue;
		if (++depth > ITEM_SKIP_DEPTH || item.number > UINT64_MAX / 2) {
			item_rd_fail(r);
			return;
		}
		left[depth] = item.kind == KIND_TAG   ? 1
			      : item.kind == KIND_MAP ? 2 * item.number
						      : item.number;
	}
}

struct rd item_rd_raw(struct item_rd *r)
{
	const uint8_t *from = r->r.p;
	struct rd raw;

	item_rd_skip(r);
	raw = rd_init(from, item_rd_ok(r) ? (size_t)(r->r.p - from) : 0);
	raw.failed = !item_rd_ok(r);
	return raw;
}

/* Takes what an encoder of libcbor wrote: it returns 0 when there was no room. */
static void commit(struct wr *w, size_t written)
{
	if (written == 0)
		w->failed = true;
	else
		(void)wr_reserve(w, written);
}

void item_wr_uint(struct wr *w, uint64_t v)
{
	commit(w, cbor_encode_uint(v, w->p, wr_left(w)));
}

void item_wr_int(struct wr *w, int64_t v)
{
	if (v >= 0)
		item_wr_uint(w, (uint64_t)v);
	else
		commit(w, cbor_encode_negint((uint64_t)(-1 - v), w->p, wr_left(w)));
}

void item_wr_bool(struct wr *w, bool v)
{
	commit(w, cbor_encode_bool(v, w->p, wr_left(w)));
}

void item_wr_bytes(struct wr *w, const void *buf, size_t len)
{
	commit(w, cbor_encode_bytestring_start(len, w->p, wr_left(w)));
	wr_bytes(w, buf, len);
}

void item_wr_text(struct wr *w, const char *text)
{
	size_t len = strlen(text);

	commit(w, cbor_encode_string_start(len, w->p, wr_left(w)));
	wr_bytes(w, text, len);
}

void item_wr_tag(struct wr *w, uint64_t tag)
{
	commit(w, cbor_encode_tag(tag, w->p, wr_left(w)));
}

void item_wr_array(struct wr *w, size_t count)
{
	commit(w, cbor_encode_array_start(count, w->p, wr_left(w)));
}

void item_wr_map(struct wr *w, size_t count)
{
	commit(w, cbor_encode_map_start(count, w->p, wr_left(w)));
}
