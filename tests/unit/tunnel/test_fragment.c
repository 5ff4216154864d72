#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/tunnel/fragment.h"
#include "tests/support/packet_model.h"

static uint8_t packet[9100], original[9100], joined[9100], payload[9000];

static size_t make(size_t len, size_t options)
{
	struct model_flow f = {
		.protocol = 17, .host = 1, .port = 5001, .ttl = 64, .ip_options = options};
	size_t packet_len;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	packet_len = model_packet(packet, &f, NULL, 0x1234, payload, len - 28 - options, false);
	memcpy(original, packet, packet_len);
	return packet_len;
}

/* Puts the fragments together as RFC 791 says, each overwritten when it was seen. Return: how
 * many. */
static size_t check(size_t len, size_t max_bytes, size_t first_offset, bool more)
{
	size_t out_len, count = 0, end = 0, header = model_ip_bytes(original);
	struct fragmenter f;
	uint8_t *out;
	bool last = false;

	memset(joined, 0, sizeof(joined));
	assert_int_equal(fragment_begin(&f, packet, len, max_bytes), OK);
	while (fragment_next(&f, &out, &out_len)) {
		size_t flags = model_get16(out + 6), at = (flags & 0x1fff) * 8 - first_offset;

		assert_false(last);
		assert_true(out_len <= max_bytes);
		assert_int_equal(model_get16(out + 2), out_len);
		assert_int_equal(model_sum(0, out, header), 0xffff);
		assert_memory_equal(out + 12, original + 12, 8);
		assert_int_equal(model_get16(out + 4), 0x1234);
		assert_int_equal(at, end);
		last = at + out_len == len;
		assert_int_equal((flags & 0x2000) != 0, !last || more);
		memcpy(joined + header + at, out + header, out_len - header);
		end = at + out_len - header;
		memset(out, 0xee, out_len);
		count++;
	}
	assert_true(last);
	assert_memory_equal(joined + header, original + header, len - header);
	return count;
}

static void test_all_sizes(void **state)
{
	(void)state;
	for (size_t len = 600; len < 9000; len += 93) {
		for (size_t max = 68; max < len; max += 131) {
			size_t chunk = (max - 20) / 8 * 8;

			assert_int_equal(check(make(len, 0), max, 0, false),
					 (len - 20 + chunk - 1) / chunk);
		}
	}
}

/* Byte for byte. */
static void test_bytes(void **state)
{
	static const uint8_t first[] = {0x45, 0,    0x01, 0xfc, 0x12, 0x34, 0x20, 0x00, 0x40, 0x11,
					0x32, 0x5a, 10,	  0,	0,    1,    10,	  0,	0,    99};
	static const uint8_t second[] = {0x45, 0,    0x01, 0x0c, 0x12, 0x34, 0x00, 0x3d, 0x40, 0x11,
					 0x53, 0x0d, 10,   0,	 0,    1,    10,   0,	 0,    99};
	struct fragmenter f;
	size_t out_len;
	uint8_t *out;

	(void)state;
	assert_int_equal(fragment_begin(&f, packet, make(756, 0), 512), OK);
	assert_true(fragment_next(&f, &out, &out_len));
	assert_int_equal(out_len, 20 + 488);
	assert_memory_equal(out, first, sizeof(first));
	assert_true(fragment_next(&f, &out, &out_len));
	assert_int_equal(out_len, 20 + 248);
	assert_memory_equal(out, second, sizeof(second));
	assert_memory_equal(out + 20, original + 20 + 488, 248);
	assert_false(fragment_next(&f, &out, &out_len));
}

static void test_fragments_of_a_fragment(void **state)
{
	size_t len = make(1400, 0);

	(void)state;
	model_put16(packet + 6, 0x2000 | 100);
	assert_int_equal(check(len, 600, 800, true), 3);
	len = make(1400, 0);
	model_put16(packet + 6, 100);
	assert_int_equal(check(len, 600, 800, false), 3);
}

/* RFC 791: those with the flag go into every fragment, the others into the first. */
static void test_options(void **state)
{
	static const uint8_t options[] = {7, 7, 4, 1, 2, 3, 4, 0x88, 4, 9, 9, 0};
	static const uint8_t later[] = {1, 1, 1, 1, 1, 1, 1, 0x88, 4, 9, 9, 0};
	size_t len = make(1200, sizeof(options)), out_len;
	struct fragmenter f;
	uint8_t *out;

	(void)state;
	memcpy(packet + 20, options, sizeof(options));
	assert_int_equal(fragment_begin(&f, packet, len, 500), OK);
	assert_true(fragment_next(&f, &out, &out_len));
	assert_memory_equal(out + 20, options, sizeof(options));
	assert_int_equal(out_len, 32 + 464);
	while (fragment_next(&f, &out, &out_len)) {
		assert_memory_equal(out + 20, later, sizeof(later));
		assert_int_equal(model_sum(0, out, 32), 0xffff);
	}
}

/* Options that cannot be read: nothing is read beyond the header. */
static void test_bad_options(void **state)
{
	static const uint8_t bad[][4] = {{7, 0, 1, 1}, {7, 1, 1, 1}, {7, 9, 1, 1}, {1, 1, 1, 7}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = make(1200, 4), out_len;
		struct fragmenter f;
		uint8_t *out;

		memcpy(packet + 20, bad[i], 4);
		assert_int_equal(fragment_begin(&f, packet, len, 600), OK);
		while (fragment_next(&f, &out, &out_len))
			assert_int_equal(model_sum(0, out, 24), 0xffff);
	}
}

static void test_no_room(void **state)
{
	struct fragmenter f;
	size_t len = make(1400, 0);

	(void)state;
	assert_int_equal(fragment_begin(&f, packet, len, 27), DROP_TOO_LONG);
	assert_int_equal(fragment_begin(&f, packet, len, 28), OK);
	assert_memory_equal(packet, original, len);
}

static void test_allowed(void **state)
{
	(void)state;
	make(1400, 0);
	assert_true(fragment_is_allowed(packet));
	packet[6] = 0x20;
	assert_true(fragment_is_allowed(packet));
	packet[6] = 0x40;
	assert_false(fragment_is_allowed(packet));
	packet[0] = 0x60;
	packet[6] = 0;
	assert_false(fragment_is_allowed(packet));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_sizes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_fragments_of_a_fragment),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
