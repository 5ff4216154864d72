/*
 * Each typed reader is tried on the input. Then one item is copied with the typed readers and
 * writers: since there is one encoding of each value, what could be read must come out byte for
 * byte.
 */
#include <string.h>

#include "daemon/core/cbor/item.h"
#include "tests/fuzz/fuzz.h"

#define MAX_TEXT_BYTES 4096
#define MAX_DEPTH      32

static void copy_item(struct item_rd *r, struct wr *w, size_t depth);

static void copy_text(struct item_rd *r, struct wr *w)
{
	static char text[MAX_TEXT_BYTES];

	item_rd_text_copy(r, text, sizeof(text), 0);
	item_wr_text(w, text);
}

static void copy_bytes(struct item_rd *r, struct wr *w)
{
	size_t len;
	const uint8_t *bytes = item_rd_bytes(r, &len);

	fuzz_check(item_rd_ok(r) == (bytes != NULL));
	item_wr_bytes(w, bytes, len);
}

static void copy_map(struct item_rd *r, struct wr *w, size_t depth)
{
	struct item_map map;
	uint64_t key;

	item_rd_map(r, &map);
	item_wr_map(w, map.left);
	while (item_map_next(r, &map, &key)) {
		item_wr_uint(w, key);
		copy_item(r, w, depth + 1);
	}
}

static void copy_array(struct item_rd *r, struct wr *w, size_t depth)
{
	size_t count = item_rd_array(r, SIZE_MAX);

	item_wr_array(w, count);
	for (size_t i = 0; i < count && item_rd_ok(r); i++)
		copy_item(r, w, depth + 1);
}

static void copy_item(struct item_rd *r, struct wr *w, size_t depth)
{
	if (rd_left(&r->r) == 0 || depth == MAX_DEPTH) {
		item_rd_fail(r);
		return;
	}
	switch (r->r.p[0] >> 5) {
	case 0:
		item_wr_uint(w, item_rd_uint(r));
		break;
	case 1:
		item_wr_int(w, item_rd_int(r));
		break;
	case 2:
		copy_bytes(r, w);
		break;
	case 3:
		copy_text(r, w);
		break;
	case 4:
		copy_array(r, w, depth);
		break;
	case 5:
		copy_map(r, w, depth);
		break;
	case 6:
		item_wr_tag(w, item_rd_tag(r));
		copy_item(r, w, depth + 1);
		break;
	case 7:
		item_wr_bool(w, item_rd_bool(r));
		break;
	}
}

static void try_every_reader(const uint8_t *data, size_t size)
{
	for (int reader = 0; reader < 8; reader++) {
		struct item_rd r = item_rd_init(data, size);
		uint8_t bytes[16];
		char text[16];
		size_t len = 1;

		switch (reader) {
		case 0:
			fuzz_check(item_rd_uint_max(&r, 99) <= 99);
			break;
		case 1:
			(void)item_rd_int(&r);
			break;
		case 2:
			fuzz_check(item_rd_array(&r, 7) <= 7);
			break;
		case 3:
			item_rd_bytes_exact(&r, bytes, sizeof(bytes));
			break;
		case 4:
			item_rd_text_copy(&r, text, sizeof(text), 1);
			fuzz_check(strlen(text) < sizeof(text));
			break;
		case 5:
			fuzz_check(item_rd_text(&r, &len) != NULL || len == 0);
			break;
		case 6:
			(void)item_rd_tag(&r);
			break;
		case 7:
			(void)item_rd_bool(&r);
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct item_rd r = item_rd_init(data, size);
	struct item_rd skipper = r;
	uint8_t *out = malloc(size + 16);
	struct wr w = wr_init(out, size + 16);
	struct rd raw;

	fuzz_check(out);
	try_every_reader(data, size);
	raw = item_rd_raw(&skipper);
	fuzz_check(rd_left(&raw) <= size);
	copy_item(&r, &w, 0);
	if (item_rd_ok(&r)) {
		size_t used = size - rd_left(&r.r);

		fuzz_check(wr_ok(&w));
		fuzz_check(wr_len(&w) == used);
		fuzz_check(memcmp(out, data, used) == 0);
		fuzz_check(!item_rd_ok(&skipper) || rd_left(&raw) == used);
	}
	free(out);
	return 0;
}
