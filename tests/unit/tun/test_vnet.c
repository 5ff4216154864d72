#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "tun/vnet.h"

/* The layout of Linux' include/uapi/linux/virtio_net.h: flags, gso_type, hdr_len, gso_size,
 * csum_start, csum_offset. */
static void put(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void test_write(void **state)
{
	static const struct {
		enum tun_gso gso;
		uint8_t type;
	} kinds[] = {{TUN_GSO_TCP4, 1}, {TUN_GSO_TCP6, 4}, {TUN_GSO_UDP, 5}};
	uint8_t buf[TUN_VNET_BYTES], expected[TUN_VNET_BYTES] = {0};
	struct tun_vnet v = {0}, back;

	(void)state;
	tun_vnet_write(buf, &v);
	assert_memory_equal(buf, expected, sizeof(buf));
	for (size_t i = 0; i < 3; i++) {
		v = (struct tun_vnet){.is_partial = true,
				      .csum_start = 40,
				      .csum_offset = 16,
				      .gso = kinds[i].gso,
				      .gso_size = 1400,
				      .header_bytes = 72};
		expected[0] = 1;
		expected[1] = kinds[i].type;
		put(expected + 2, 72);
		put(expected + 4, 1400);
		put(expected + 6, 40);
		put(expected + 8, 16);
		tun_vnet_write(buf, &v);
		assert_memory_equal(buf, expected, sizeof(buf));
		buf[1] |= 0x80; /* ECN */
		assert_int_equal(tun_vnet_read(buf, &back), 0);
		assert_int_equal(back.gso, v.gso);
		assert_int_equal(back.gso_size, 1400);
		assert_true(back.is_partial);
		assert_int_equal(back.csum_start, 40);
		assert_int_equal(back.csum_offset, 16);
	}
}

static void test_read(void **state)
{
	uint8_t buf[TUN_VNET_BYTES] = {0};
	struct tun_vnet v = {.gso_size = 7};

	(void)state;
	put(buf + 4, 99);
	put(buf + 6, 99);
	assert_int_equal(tun_vnet_read(buf, &v), 0);
	assert_int_equal(v.gso, TUN_GSO_NONE);
	assert_int_equal(v.gso_size, 0);
	assert_false(v.is_partial);
	assert_int_equal(v.csum_start, 0);
	buf[1] = 3; /* fragments of UDP, long gone */
	assert_int_equal(tun_vnet_read(buf, &v), -EPROTO);
	buf[1] = 1;
	put(buf + 4, 0);
	assert_int_equal(tun_vnet_read(buf, &v), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
