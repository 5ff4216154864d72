/* IP addresses and prefixes: one form for each, everything else fails the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cbor/address.h"
#include "tests/support/hex.h"

static void test_address(void **state)
{
	static const char *const good[][2] = {
		{"44c0000201", "192.0.2.1"},
		{"4400000000", "0.0.0.0"},
		{"5020010db8000000000000000000000001", "2001:db8::1"},
	};
	static const char *const bad[] = {
		"",
		"40",
		"43c00002",
		"45c000020100",
		"f4",
		"6431323334",
		"5000000000000000000000ffffc0000201",
		"4f20010db80000000000000000000000",
		"44c00002",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint8_t buf[32], out[32];
		size_t len = hex(good[i][0], buf);
		struct item_rd r = item_rd_init(buf, len);
		struct wr w = wr_init(out, sizeof(out));
		struct netaddr a, expected;

		assert_int_equal(netaddr_parse_ip(good[i][1], 7, &expected), OK);
		item_rd_ip(&r, 7, &a);
		assert_true(item_rd_at_end(&r));
		assert_true(netaddr_equal(&a, &expected));
		item_wr_ip(&w, &a);
		assert_int_equal(wr_len(&w), len);
		assert_memory_equal(out, buf, len);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t buf[32];
		struct item_rd r = item_rd_init(buf, hex(bad[i], buf));
		struct netaddr a;

		item_rd_ip(&r, 7, &a);
		assert_false(item_rd_ok(&r));
		assert_int_equal(a.family, NETADDR_NONE);
	}
}

static void test_prefix(void **state)
{
	static const char *const good[][2] = {
		{"82440a00000008", "10.0.0.0/8"},
		{"82440000000000", "0.0.0.0/0"},
		{"8244c00002011820", "192.0.2.1/32"},
		{"825020010db80000000000000000000000001820", "2001:db8::/32"},
	};
	static const char *const bad[] = {
		"82440a00000108",   "81440a00000008",
		"82440a0000001821", "81440a000000",
		"83440a0000000800", "82440a000000",
		"82440a00000020",   "8243000000",
		"440a000000",	    "825020010db80000000000000000000000011840",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint8_t buf[32], out[32];
		size_t len = hex(good[i][0], buf);
		struct item_rd r = item_rd_init(buf, len);
		struct wr w = wr_init(out, sizeof(out));
		struct netprefix p, expected;

		assert_int_equal(netprefix_parse(good[i][1], &expected), OK);
		item_rd_prefix(&r, &p);
		assert_true(item_rd_at_end(&r));
		assert_true(netprefix_equal(&p, &expected));
		item_wr_prefix(&w, &p);
		assert_int_equal(wr_len(&w), len);
		assert_memory_equal(out, buf, len);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t buf[32];
		struct item_rd r = item_rd_init(buf, hex(bad[i], buf));
		struct netprefix p;

		item_rd_prefix(&r, &p);
		assert_false(item_rd_ok(&r));
		assert_int_equal(p.family, NETADDR_NONE);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
