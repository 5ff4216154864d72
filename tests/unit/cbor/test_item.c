#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cbor/item.h"
#include "tests/support/hex.h"

/* An encoding as a reader over memory of exactly its size. */
struct input {
	uint8_t *buf;
	size_t len;
	struct item_rd r;
};

static struct input input(const char *text)
{
	struct input in = {.len = strlen(text) / 2};

	in.buf = malloc(in.len ? in.len : 1);
	assert_non_null(in.buf);
	hex(text, in.buf);
	in.r = item_rd_init(in.buf, in.len);
	return in;
}

static bool is_accepted(const char *text)
{
	struct input in = input(text);
	bool ok;

	item_rd_skip(&in.r);
	ok = item_rd_at_end(&in.r);
	free(in.buf);
	return ok;
}

/* RFC 8949 appendix A, whole: what icetun speaks and what it refuses. */
static void rfc8949_appendix_a(void **state)
{
	static const char *const accepted[] = {
		"00",
		"01",
		"0a",
		"17",
		"1818",
		"1819",
		"1864",
		"1903e8",
		"1a000f4240",
		"1b000000e8d4a51000",
		"1bffffffffffffffff",
		"c249010000000000000000",
		"3bffffffffffffffff",
		"c349010000000000000000",
		"20",
		"29",
		"3863",
		"3903e7",
		"f4",
		"f5",
		"c074323031332d30332d32315432303a30343a30305a",
		"c11a514b67b0",
		"d74401020304",
		"d818456449455446",
		"d82076687474703a2f2f7777772e6578616d706c652e636f6d",
		"40",
		"4401020304",
		"60",
		"6161",
		"6449455446",
		"62225c",
		"62c3bc",
		"63e6b0b4",
		"64f0908591",
		"80",
		"83010203",
		"8301820203820405",
		"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
		"a0",
		"a201020304",
		"a26161016162820203",
		"826161a161626163",
		"a56161614161626142616361436164614461656145",
	};
	static const char *const refused[] = {
		/* floats */
		"f90000",
		"f98000",
		"f93c00",
		"fb3ff199999999999a",
		"f93e00",
		"f97bff",
		"fa47c35000",
		"fa7f7fffff",
		"fb7e37e43c8800759c",
		"f90001",
		"f90400",
		"f9c400",
		"fbc010666666666666",
		"f97c00",
		"f97e00",
		"f9fc00",
		"fa7f800000",
		"fa7fc00000",
		"faff800000",
		"fb7ff0000000000000",
		"fb7ff8000000000000",
		"fbfff0000000000000",
		"c1fb41d452d9e20000 ",
		/* null, undefined, simple values */
		"f6",
		"f7",
		"f0",
		"f818",
		"f8ff",
		/* indefinite lengths */
		"5f42010243030405ff",
		"7f657374726561646d696e67ff",
		"9fff",
		"9f018202039f0405ffff",
		"9f01820203820405ff",
		"83018202039f0405ff",
		"83019f0203ff820405",
		"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
		"bf61610161629f0203ffff",
		"826161bf61626163ff",
		"bf6346756ef563416d7421ff",
		/* reserved and stray */
		"1c",
		"1d",
		"1e",
		"1f",
		"3c",
		"5c",
		"7c",
		"9c",
		"bc",
		"dc",
		"fc",
		"fd",
		"fe",
		"ff",
		"f800",
		"f81f",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
		if (!is_accepted(accepted[i]))
			fail_msg("refused: %s", accepted[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		char text[80];
		size_t len = strcspn(refused[i], " ");

		memcpy(text, refused[i], len);
		text[len] = '\0';
		if (is_accepted(text))
			fail_msg("accepted: %s", text);
	}
}

static void only_the_shortest_form(void **state)
{
	static const char *const longer[] = {
		"1800",
		"1817",
		"190000",
		"1900ff",
		"1a00000000",
		"1a0000ffff",
		"1b0000000000000000",
		"1b00000000ffffffff",
		"3800",
		"3817",
		"3900ff",
		"3a0000ffff",
		"3b00000000ffffffff",
		"5800",
		"581700000000000000000000000000000000000000000000000000",
		"590001aa",
		"5a00000001aa",
		"5b0000000000000001aa",
		"7800",
		"780161",
		"79000161",
		"9800",
		"980100",
		"990000",
		"9a00000000",
		"9b0000000000000000",
		"b800",
		"b80100f4",
		"b90000",
		"ba00000000",
		"bb0000000000000000",
		"d80100",
		"d9000100",
		"da0000000100",
		"db000000000000000100",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(longer); i++)
		if (is_accepted(longer[i]))
			fail_msg("accepted: %s", longer[i]);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t v;
	} rows[] = {
		{"00", 0},
		{"17", 23},
		{"1818", 24},
		{"18ff", 255},
		{"190100", 256},
		{"19ffff", 65535},
		{"1a00010000", 65536},
		{"1affffffff", UINT32_MAX},
		{"1b0000000100000000", 1ULL << 32},
		{"1bffffffffffffffff", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct input in = input(rows[i].text);
		uint8_t out[9];
		struct wr w = wr_init(out, sizeof(out));

		assert_true(item_rd_uint(&in.r) == rows[i].v);
		assert_true(item_rd_at_end(&in.r));
		item_wr_uint(&w, rows[i].v);
		assert_true(wr_ok(&w));
		assert_int_equal(wr_len(&w), in.len);
		assert_memory_equal(out, in.buf, in.len);
		free(in.buf);
	}
}

static void signed_numbers(void **state)
{
	static const int64_t values[] = {0,	 23,	      24,	   INT64_MAX, -1,
					 -24,	 -25,	      -256,	   -257,      -65536,
					 -65537, -4294967296, -4294967297, INT64_MIN};
	struct input in;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint8_t out[9];
		struct wr w = wr_init(out, sizeof(out));
		struct item_rd r;

		item_wr_int(&w, values[i]);
		assert_true(wr_ok(&w));
		r = item_rd_init(out, wr_len(&w));
		assert_true(item_rd_int(&r) == values[i]);
		assert_true(item_rd_at_end(&r));
	}
	in = input("1b8000000000000000"); /* INT64_MAX + 1 */
	assert_int_equal(item_rd_int(&in.r), 0);
	assert_false(item_rd_ok(&in.r));
	free(in.buf);
	in = input("3b8000000000000000"); /* INT64_MIN - 1 */
	assert_int_equal(item_rd_int(&in.r), 0);
	assert_false(item_rd_ok(&in.r));
	free(in.buf);
}

/* Each reader on each other kind: nothing, and the reader has failed. */
static void the_wrong_kind_fails(void **state)
{
	static const char *const kinds[] = {"01", "20",	  "4161", "6161", "80",
					    "a0", "c100", "f5",	  "",	  "f6"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (size_t reader = 0; reader < 9; reader++) {
			struct input in = input(kinds[i]);
			uint8_t byte[1] = {9};
			struct item_map map;
			char text[4] = "zz";
			size_t len = 9;
			bool right = false;

			switch (reader) {
			case 0:
				right = i == 0;
				assert_int_equal(item_rd_uint(&in.r), right);
				break;
			case 1:
				right = i <= 1;
				assert_int_equal(item_rd_int(&in.r), i == 0 ? 1 : i == 1 ? -1 : 0);
				break;
			case 2:
				right = i == 7;
				assert_int_equal(item_rd_bool(&in.r), right);
				break;
			case 3:
				right = i == 2;
				assert_int_equal(item_rd_bytes(&in.r, &len) != NULL, right);
				assert_int_equal(len, right);
				break;
			case 4:
				right = i == 3;
				assert_int_equal(item_rd_text(&in.r, &len) != NULL, right);
				assert_int_equal(len, right);
				break;
			case 5:
				right = i == 2;
				item_rd_bytes_exact(&in.r, byte, 1);
				assert_int_equal(byte[0], right ? 'a' : 0);
				break;
			case 6:
				right = i == 3;
				item_rd_text_copy(&in.r, text, sizeof(text), 0);
				assert_string_equal(text, right ? "a" : "");
				break;
			case 7:
				right = i == 4;
				assert_int_equal(item_rd_array(&in.r, 5), 0);
				break;
			case 8:
				right = i == 5;
				item_rd_map(&in.r, &map);
				assert_true(map.left == 0);
				break;
			}
			assert_int_equal(item_rd_ok(&in.r), right);
			free(in.buf);
		}
	}
}

static void strings(void **state)
{
	struct input in = input("40604361626361784362c3");
	uint8_t three[3];
	size_t len;

	(void)state;
	assert_non_null(item_rd_bytes(&in.r, &len));
	assert_int_equal(len, 0);
	assert_non_null(item_rd_text(&in.r, &len));
	assert_int_equal(len, 0);
	item_rd_bytes_exact(&in.r, three, 3);
	assert_memory_equal(three, "abc", 3);
	assert_memory_equal(item_rd_text(&in.r, &len), "x", 1);
	free(in.buf);
}

/* Text is shown to people: printable ASCII and nothing else. */
static void text_is_printable_ascii(void **state)
{
	(void)state;
	for (unsigned int c = 0; c < 256; c++) {
		uint8_t buf[3] = {0x62, 'a', (uint8_t)c};
		struct item_rd r = item_rd_init(buf, sizeof(buf));
		size_t len;

		assert_int_equal(item_rd_text(&r, &len) != NULL, c >= 0x20 && c <= 0x7e);
		assert_int_equal(item_rd_ok(&r), c >= 0x20 && c <= 0x7e);
	}
}

static void text_copy_bounds(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8; n++) {
		uint8_t buf[9] = {(uint8_t)(0x60 + n), 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'};
		struct item_rd r = item_rd_init(buf, n + 1);
		char text[6];

		item_rd_text_copy(&r, text, sizeof(text), 2);
		assert_int_equal(item_rd_ok(&r), n >= 2 && n <= 5);
		assert_int_equal(strlen(text), item_rd_ok(&r) ? n : 0);
	}
}

static void limits_of_numbers_and_arrays(void **state)
{
	struct input in = input("0a");

	(void)state;
	assert_int_equal(item_rd_uint_max(&in.r, 10), 10);
	free(in.buf);
	in = input("0a");
	assert_int_equal(item_rd_uint_max(&in.r, 9), 0);
	assert_false(item_rd_ok(&in.r));
	free(in.buf);
	in = input("83010203");
	assert_int_equal(item_rd_array(&in.r, 3), 3);
	free(in.buf);
	in = input("83010203");
	assert_int_equal(item_rd_array(&in.r, 2), 0);
	assert_false(item_rd_ok(&in.r));
	free(in.buf);
	in = input("9bffffffffffffffff");
	assert_int_equal(item_rd_array(&in.r, SIZE_MAX), SIZE_MAX);
	free(in.buf);
}

static bool read_map(const char *text, uint64_t *ret_sum)
{
	struct input in = input(text);
	struct item_map map;
	uint64_t key;
	bool ok;

	*ret_sum = 0;
	item_rd_map(&in.r, &map);
	while (item_map_next(&in.r, &map, &key)) {
		*ret_sum += key;
		item_rd_skip(&in.r);
	}
	ok = item_rd_at_end(&in.r);
	free(in.buf);
	return ok;
}

static void map_keys_rise_strictly(void **state)
{
	uint64_t sum;

	(void)state;
	assert_true(read_map("a0", &sum));
	assert_true(read_map("a3000001001802f4", &sum) == false); /* 18 02 is not shortest */
	assert_true(read_map("a3000001000200", &sum));
	assert_true(sum == 3);
	assert_false(read_map("a201000000", &sum)); /* falls */
	assert_false(read_map("a200000000", &sum)); /* twice the same */
	assert_false(read_map("a12000", &sum));	    /* negative */
	assert_false(read_map("a1616100", &sum));   /* text */
	assert_false(read_map("a100", &sum));	    /* no value */
	assert_false(read_map("a2000001", &sum));
	assert_false(read_map("a10000ff", &sum));		/* trailing */
	assert_false(read_map("bbffffffffffffffff0000", &sum)); /* a count that lies */
	assert_true(read_map("a2001bffffffffffffffff1bffffffffffffffff00", &sum));
}

static bool read_int_map(const char *text, int64_t *ret_last)
{
	struct input in = input(text);
	struct item_map map;
	int64_t key;
	bool ok;

	item_rd_map(&in.r, &map);
	while (item_map_next_int(&in.r, &map, &key)) {
		*ret_last = key;
		item_rd_skip(&in.r);
	}
	ok = item_rd_at_end(&in.r);
	free(in.buf);
	return ok;
}

/* RFC 8949 s. 4.2.1: in the order of the encodings, so negative keys come after all others. */
static void negative_map_keys(void **state)
{
	int64_t last;

	(void)state;
	assert_true(read_int_map("a0", &last));
	assert_true(read_int_map("a500001700200021003a0001000000", &last));
	assert_true(last == -65537);
	assert_true(read_int_map("a21b7fffffffffffffff003b7fffffffffffffff00", &last));
	assert_true(last == INT64_MIN);
	assert_false(read_int_map("a220000000", &last));	     /* -1 before 0 */
	assert_false(read_int_map("a221002000", &last));	     /* -2 before -1 */
	assert_false(read_int_map("a220002000", &last));	     /* twice the same */
	assert_false(read_int_map("a11bffffffffffffffff00", &last)); /* no int64_t */
	assert_false(read_int_map("a13bffffffffffffffff00", &last));
	assert_false(read_int_map("a1616100", &last));
	assert_false(read_int_map("a22000", &last));
	assert_false(read_int_map("bbffffffffffffffff0000", &last));
}

static void nesting_is_bounded(void **state)
{
	(void)state;
	for (size_t depth = 0; depth < 20; depth++) {
		char arrays[64] = "", maps[128] = "", tags[64] = "";

		for (size_t i = 0; i < depth; i++) {
			strcat(arrays, "81");
			strcat(maps, "a100");
			strcat(tags, "c1");
		}
		strcat(arrays, "00");
		strcat(maps, "00");
		strcat(tags, "00");
		assert_int_equal(is_accepted(arrays), depth <= ITEM_SKIP_DEPTH);
		assert_int_equal(is_accepted(maps), depth <= ITEM_SKIP_DEPTH);
		assert_int_equal(is_accepted(tags), depth <= ITEM_SKIP_DEPTH);
	}
	/* Wide and deep at once comes back up properly. */
	assert_true(is_accepted("8381820102a101820304f5"));
	assert_false(is_accepted("8381820102a101820304"));
	assert_false(is_accepted("bbffffffffffffffff")); /* 2 * count would wrap */
	assert_false(is_accepted("9bffffffffffffffff00"));
}

static void truncated_everywhere(void **state)
{
	/* {0: 1, 1: "name", 2: h'0102030405', 3: [1, -500, true], 4: 18(h'aa'), 5: 2^40} */
	static const char text[] = "a6000101646e616d650245010203040503830139"
				   "01f3f504d241aa051b0000010000000000";
	struct input in = input(text);
	struct rd raw;

	(void)state;
	raw = item_rd_raw(&in.r);
	assert_true(item_rd_at_end(&in.r));
	assert_ptr_equal(raw.p, in.buf);
	assert_int_equal(rd_left(&raw), in.len);
	for (size_t len = 0; len < in.len; len++) {
		uint8_t *cut = malloc(len ? len : 1);
		struct item_rd r;

		assert_non_null(cut);
		memcpy(cut, in.buf, len);
		r = item_rd_init(cut, len);
		raw = item_rd_raw(&r);
		assert_false(item_rd_ok(&r));
		assert_false(rd_ok(&raw));
		assert_int_equal(rd_left(&raw), 0);
		free(cut);
	}
	free(in.buf);
}

/* All 24 tags of one byte: libcbor 0.8 leaves out 6 to 20. */
static void short_tags(void **state)
{
	(void)state;
	for (uint8_t tag = 0; tag < 24; tag++) {
		uint8_t buf[2], expected = (uint8_t)(0xc0 + tag);
		struct wr w = wr_init(buf, sizeof(buf));
		struct item_rd r;

		item_wr_tag(&w, tag);
		item_wr_uint(&w, 5);
		assert_int_equal(wr_len(&w), 2);
		assert_int_equal(buf[0], expected);
		r = item_rd_init(buf, sizeof(buf));
		assert_true(item_rd_tag(&r) == tag);
		assert_int_equal(item_rd_uint(&r), 5);
		assert_true(item_rd_at_end(&r));
		r = item_rd_init(buf, sizeof(buf));
		item_rd_skip(&r);
		assert_true(item_rd_at_end(&r));
	}
}

static void failure_is_sticky(void **state)
{
	struct input in = input("f6010203");
	size_t len;

	(void)state;
	item_rd_skip(&in.r);
	assert_int_equal(item_rd_uint(&in.r), 0);
	assert_null(item_rd_bytes(&in.r, &len));
	assert_false(item_rd_ok(&in.r));
	free(in.buf);
	in = input("01");
	item_rd_fail(&in.r);
	assert_int_equal(item_rd_uint(&in.r), 0);
	free(in.buf);
}

/* Everything that can be written, into each size of buffer: whole or failed, and read back. */
static void writing(void **state)
{
	uint8_t out[64];
	size_t needed = 0;

	(void)state;
	for (size_t cap = sizeof(out); cap-- > 0;) {
		struct wr w = wr_init(out, cap);

		memset(out, 0xee, sizeof(out));
		item_wr_map(&w, 3);
		item_wr_uint(&w, 0);
		item_wr_text(&w, "name");
		item_wr_uint(&w, 1);
		item_wr_tag(&w, 18);
		item_wr_array(&w, 3);
		item_wr_bytes(&w, "\1\2\3", 3);
		item_wr_bytes(&w, NULL, 0);
		item_wr_bool(&w, false);
		item_wr_uint(&w, 2);
		item_wr_int(&w, -1000);
		if (cap == sizeof(out) - 1)
			needed = wr_len(&w);
		assert_int_equal(wr_ok(&w), cap >= needed);
		for (size_t i = cap; i < sizeof(out); i++)
			assert_int_equal(out[i], 0xee);
		if (wr_ok(&w)) {
			struct item_rd r = item_rd_init(out, wr_len(&w));

			item_rd_skip(&r);
			assert_true(item_rd_at_end(&r));
		}
	}
	assert_int_equal(needed, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc8949_appendix_a),
		cmocka_unit_test(only_the_shortest_form),
		cmocka_unit_test(numbers),
		cmocka_unit_test(signed_numbers),
		cmocka_unit_test(the_wrong_kind_fails),
		cmocka_unit_test(strings),
		cmocka_unit_test(text_is_printable_ascii),
		cmocka_unit_test(text_copy_bounds),
		cmocka_unit_test(limits_of_numbers_and_arrays),
		cmocka_unit_test(map_keys_rise_strictly),
		cmocka_unit_test(negative_map_keys),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(truncated_everywhere),
		cmocka_unit_test(short_tags),
		cmocka_unit_test(failure_is_sticky),
		cmocka_unit_test(writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
