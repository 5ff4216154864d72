#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/netaddr.h"

static struct netaddr ip(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse_ip(text, 0, &a), OK);
	return a;
}

static struct netprefix prefix(const char *text)
{
	struct netprefix p;

	assert_int_equal(netprefix_parse(text, &p), OK);
	return p;
}

static void text_there_and_back(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0:0",	      "192.0.2.1:3478", "255.255.255.255:65535",   "[::]:0",
		"[2001:db8::1]:3478", "[fe80::1]:1",	"[1:2:3:4:5:6:7:8]:65535",
	};
	char buf[NETADDR_TEXT_BYTES];
	struct netaddr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(netaddr_parse(texts[i], &a), OK);
		assert_string_equal(netaddr_format(&a, buf), texts[i]);
	}
}

static void longest_text_fits(void **state)
{
	struct netaddr a = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	char buf[NETADDR_TEXT_BYTES];

	(void)state;
	a.port = 65535;
	a.scope_id = UINT32_MAX;
	assert_string_equal(netaddr_format(&a, buf),
			    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
	a.family = NETADDR_NONE;
	assert_string_equal(netaddr_format_ip(&a, buf), "-");
}

static void bad_text_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4: 1",
		"1.2.3.4:1x",
		"1.2.3:1",
		"1.2.3.256:1",
		"01.2.3.4:1",
		"::1:80",
		"[::1]",
		"[::1]:",
		"[::1]80",
		"[::1:80",
		"::1]:80",
		"[1.2.3.4]:80",
		"[]:80",
		"[::1]]:80",
		"[::g]:80",
		"[::1]:99999999",
		"example.org:80",
		"[:::1]:1",
		"1.2.3.4:4294967376",
		"[1111:2222:3333:4444:5555:6666:7777:8888:1111:2222:3333:4444:5555]:80",
	};
	struct netaddr a, before;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(netaddr_parse(bad[i], &a), ERR_INVALID);
		assert_memory_equal(&a, &before, sizeof(a));
	}
	assert_int_equal(netaddr_parse_ip("::1%1", 0, &a), ERR_INVALID);
	assert_int_equal(netaddr_parse_ip(" 1.2.3.4", 0, &a), ERR_INVALID);
}

/* The ways around filters that CVEs were about: coturn #1945, Nebula 4-in-6. */
static void mapped_addresses_become_ip4(void **state)
{
	struct netaddr a = ip("::ffff:127.0.0.1");
	struct netaddr b = ip("127.0.0.1");

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(netaddr_is_loopback(&a));
	a = ip("::ffff:0:7f00:1"); /* looks similar, is not mapped */
	assert_int_equal(a.family, NETADDR_IP6);
}

enum property {
	UNSPECIFIED = 1,
	LOOPBACK = 2,
	LINK_LOCAL = 4,
	MULTICAST = 8,
	DEPRECATED = 16,
	PRIVATE = 32,
};

static void properties(void **state)
{
	static const struct {
		const char *text;
		unsigned int is;
	} rows[] = {
		{"0.0.0.0", UNSPECIFIED},
		{"127.0.0.1", LOOPBACK},
		{"127.255.255.254", LOOPBACK},
		{"126.255.255.255", 0},
		{"169.254.0.1", LINK_LOCAL},
		{"169.253.255.255", 0},
		{"224.0.0.1", MULTICAST},
		{"239.255.255.255", MULTICAST},
		{"240.0.0.1", 0},
		{"255.255.255.255", MULTICAST},
		{"9.255.255.255", 0},
		{"10.0.0.0", PRIVATE},
		{"11.0.0.0", 0},
		{"172.15.255.255", 0},
		{"172.16.0.0", PRIVATE},
		{"172.31.255.255", PRIVATE},
		{"172.32.0.0", 0},
		{"192.168.0.1", PRIVATE},
		{"192.169.0.1", 0},
		{"100.63.255.255", 0},
		{"100.64.0.0", PRIVATE},
		{"100.127.255.255", PRIVATE},
		{"100.128.0.0", 0},
		{"::", UNSPECIFIED},
		{"::1", LOOPBACK},
		{"::2", DEPRECATED},
		{"::192.0.2.1", DEPRECATED},
		{"fe80::1", LINK_LOCAL},
		{"febf::1", LINK_LOCAL},
		{"fec0::1", DEPRECATED},
		{"feff::1", DEPRECATED},
		{"fe7f::1", 0},
		{"ff02::1", MULTICAST},
		{"fc00::1", PRIVATE},
		{"fdff::1", PRIVATE},
		{"fbff::1", 0},
		{"2001:db8::1", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct netaddr a = ip(rows[i].text);

		assert_int_equal(netaddr_is_unspecified(&a), (rows[i].is & UNSPECIFIED) != 0);
		assert_int_equal(netaddr_is_loopback(&a), (rows[i].is & LOOPBACK) != 0);
		assert_int_equal(netaddr_is_link_local(&a), (rows[i].is & LINK_LOCAL) != 0);
		assert_int_equal(netaddr_is_multicast(&a), (rows[i].is & MULTICAST) != 0);
		assert_int_equal(netaddr_is_deprecated_ip6(&a), (rows[i].is & DEPRECATED) != 0);
		assert_int_equal(netaddr_is_private(&a), (rows[i].is & PRIVATE) != 0);
	}
}

static void nothing_is_only_unspecified(void **state)
{
	struct netaddr a = {0};

	(void)state;
	assert_true(netaddr_is_unspecified(&a));
	assert_false(netaddr_is_loopback(&a) || netaddr_is_link_local(&a) ||
		     netaddr_is_multicast(&a) || netaddr_is_private(&a));
	assert_int_equal(netaddr_ip_bytes(&a), 0);
}

static void equality(void **state)
{
	struct netaddr a = ip("fe80::1");
	struct netaddr b = a;

	(void)state;
	b.port = 1;
	assert_true(netaddr_ip_equal(&a, &b));
	assert_false(netaddr_equal(&a, &b));
	assert_int_not_equal(netaddr_hash(&a), netaddr_hash(&b));
	b = a;
	b.scope_id = 2;
	assert_false(netaddr_ip_equal(&a, &b));
	b = a;
	b.ip[15] ^= 1;
	assert_false(netaddr_ip_equal(&a, &b));
	assert_int_equal(netaddr_hash(&a), netaddr_hash(&a));
}

static void prefix_text(void **state)
{
	static const char *const good[] = {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32",
					   "::/0",	"fc00::/7",   "2001:db8::1/128"};
	static const char *const bad[] = {
		"10.0.0.1/8",	 "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0",    "/8",
		"2001:db8::/16", "::/129",	"10.0.0.0/8 ", "10.0.0.0/-1", "128.0.0.0/0",
	};
	char buf[NETPREFIX_TEXT_BYTES];
	struct netprefix p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		p = prefix(good[i]);
		assert_string_equal(netprefix_format(&p, buf), good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(netprefix_parse(bad[i], &p), ERR_INVALID);
}

/* Against a slow model: bit by bit, for each length. */
static void containment_for_each_length(void **state)
{
	static const char *const texts[] = {"172.16.37.201", "2001:db8:1234:5678:9abc:def0:1:203"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct netaddr a = ip(texts[i]);
		uint8_t bits = (uint8_t)(8 * netaddr_ip_bytes(&a));

		for (uint8_t length = 0; length <= bits; length++) {
			struct netprefix p = netprefix_of(&a, length);

			assert_true(netprefix_contains(&p, &a));
			for (uint8_t bit = 0; bit < bits; bit++) {
				struct netaddr b = a;
				struct netprefix q;

				b.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
				assert_int_equal(netprefix_contains(&p, &b), bit >= length);
				q = netprefix_of(&b, bits);
				assert_int_equal(netprefix_overlaps(&p, &q), bit >= length);
				assert_int_equal(netprefix_overlaps(&q, &p), bit >= length);
			}
		}
	}
}

static void families_do_not_mix(void **state)
{
	struct netprefix all4 = prefix("0.0.0.0/0"), all6 = prefix("::/0"), none = {0};
	struct netaddr a4 = ip("1.2.3.4"), a6 = ip("2001:db8::1"), nobody = {0};

	(void)state;
	assert_true(netprefix_contains(&all4, &a4));
	assert_false(netprefix_contains(&all4, &a6));
	assert_false(netprefix_contains(&all6, &a4));
	assert_false(netprefix_overlaps(&all4, &all6));
	assert_false(netprefix_contains(&none, &nobody));
	assert_false(netprefix_overlaps(&none, &none));
	assert_false(netprefix_equal(&all4, &all6));
	assert_true(netprefix_equal(&all4, &all4));
	all6 = netprefix_of(&a4, 200);
	assert_int_equal(all6.length_bits, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_there_and_back),
		cmocka_unit_test(longest_text_fits),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(mapped_addresses_become_ip4),
		cmocka_unit_test(properties),
		cmocka_unit_test(nothing_is_only_unspecified),
		cmocka_unit_test(equality),
		cmocka_unit_test(prefix_text),
		cmocka_unit_test(containment_for_each_length),
		cmocka_unit_test(families_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
