#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/tunnel/packet.h"

static const uint8_t golden[TUNNEL_OVERHEAD_BYTES] = {
	0xc1, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x03, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
};

static void test_golden(void **state)
{
	uint8_t buf[TUNNEL_HEADER_BYTES];
	struct tunnel_header h;

	(void)state;
	assert_int_equal(tunnel_header_read(golden, sizeof(golden), &h), OK);
	assert_int_equal(h.receiver_index, 0x12345678);
	assert_int_equal(h.type, TUNNEL_TYPE_DATA);
	assert_int_equal(h.lane, 3);
	assert_int_equal(h.number, 0x01020304050607);
	assert_true(h.counter == 0x0301020304050607);
	assert_true(tunnel_header_write(buf, h.type, h.receiver_index, h.lane, h.number) ==
		    h.counter);
	assert_memory_equal(buf, golden, sizeof(buf));
}

/* A number that is too large must not reach into the lane. */
static void test_number_stays_in_its_field(void **state)
{
	uint8_t buf[TUNNEL_HEADER_BYTES];

	(void)state;
	assert_true(tunnel_header_write(buf, TUNNEL_TYPE_DATA, 0, 1, UINT64_MAX) ==
		    0x01ffffffffffffff);
}

static void test_every_first_byte(void **state)
{
	struct tunnel_header h;

	(void)state;
	for (unsigned int first = 0; first < 256; first++) {
		bool known = first == TUNNEL_TYPE_DATA || first == TUNNEL_TYPE_PARTIAL;
		uint8_t buf[TUNNEL_OVERHEAD_BYTES];

		memcpy(buf, golden, sizeof(buf));
		buf[0] = (uint8_t)first;
		assert_int_equal(tunnel_header_read(buf, sizeof(buf), &h),
				 known ? OK : DROP_UNKNOWN_TYPE);
		if (known)
			assert_int_equal(h.type, first);
		assert_int_equal(tunnel_header_read(buf, 1, &h),
				 known ? DROP_TRUNCATED : DROP_UNKNOWN_TYPE);
	}
}

static void test_lengths(void **state)
{
	struct tunnel_header h;

	(void)state;
	assert_int_equal(tunnel_header_read(NULL, 0, &h), DROP_TRUNCATED);
	for (size_t len = 0; len < TUNNEL_OVERHEAD_BYTES; len++)
		assert_int_equal(tunnel_header_read(golden, len, &h), DROP_TRUNCATED);
}

static void test_reserved(void **state)
{
	struct tunnel_header h;

	(void)state;
	for (size_t bit = 8; bit < 32; bit++) {
		uint8_t buf[TUNNEL_OVERHEAD_BYTES];

		memcpy(buf, golden, sizeof(buf));
		buf[bit / 8] |= (uint8_t)(1u << (bit % 8));
		assert_int_equal(tunnel_header_read(buf, sizeof(buf), &h), DROP_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_number_stays_in_its_field),
		cmocka_unit_test(test_every_first_byte),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
