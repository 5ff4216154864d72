#include "tests/unit/tun/netns.h"

static void test_valid(void **state)
{
	struct tun_prefix p = {.family = 4, .length_bits = 32};

	(void)state;
	assert_true(tun_prefix_is_valid(&p));
	p.length_bits = 33;
	assert_false(tun_prefix_is_valid(&p));
	p.family = 6;
	assert_true(tun_prefix_is_valid(&p));
	p.length_bits = 128;
	assert_true(tun_prefix_is_valid(&p));
	p.length_bits = 129;
	assert_false(tun_prefix_is_valid(&p));
	p = (struct tun_prefix){.family = 0};
	assert_false(tun_prefix_is_valid(&p));
	p.family = AF_INET6;
	assert_false(tun_prefix_is_valid(&p));
}

static void check_network(const char *from, const char *want)
{
	struct tun_prefix p = netns_prefix(from);
	char text[TUN_PREFIX_TEXT_CAP];

	p = tun_prefix_network(&p);
	assert_string_equal(tun_prefix_format(&p, text), want);
}

static void test_network(void **state)
{
	(void)state;
	check_network("10.7.9.1/16", "10.7.0.0/16");
	check_network("255.255.255.255/0", "0.0.0.0/0");
	check_network("255.255.255.255/1", "128.0.0.0/1");
	check_network("255.255.255.255/31", "255.255.255.254/31");
	check_network("192.0.2.1/32", "192.0.2.1/32");
	check_network("fd00:7:ffff::1/44", "fd00:7:fff0::/44");
	check_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127",
		      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
	check_network("::1/128", "::1/128");
}

static void test_format(void **state)
{
	struct tun_prefix p = {.family = 6, .length_bits = 128};
	struct tun_prefix bad = {.family = 5, .length_bits = 1};
	char text[TUN_PREFIX_TEXT_CAP];

	(void)state;
	memset(p.ip, 0xff, sizeof(p.ip));
	assert_string_equal(tun_prefix_format(&p, text),
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	assert_string_equal(tun_prefix_format(&bad, text), "invalid");
}

static void test_overlaps(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlaps;
	} rows[] = {
		{"10.7.0.0/16", "10.7.0.0/16", true},
		{"10.7.0.0/16", "10.7.200.0/24", true},
		{"10.7.0.0/16", "10.0.0.0/8", true},
		{"10.7.0.0/16", "10.8.0.0/16", false},
		{"10.7.0.0/16", "10.6.255.255/32", false},
		{"10.7.0.0/16", "10.7.255.255/32", true},
		{"10.7.0.0/17", "10.7.128.0/17", false},
		{"10.7.0.0/16", "0.0.0.0/0", true},
		{"10.7.0.9/32", "10.7.0.9/32", true},
		{"10.7.0.9/32", "10.7.0.8/32", false},
		{"fd00:7::/64", "fd00::/8", true},
		{"fd00:7::/64", "fd00:7:0:1::/64", false},
		{"fd00:7::/64", "fd00:7::1/128", true},
		{"0.0.0.0/0", "::/0", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tun_prefix a = netns_prefix(rows[i].a);
		struct tun_prefix b = netns_prefix(rows[i].b);

		/* Bytes that IPv4 does not use must not matter. */
		if (a.family == 4)
			memset(a.ip + 4, 0xaa, 12);
		assert_int_equal(tun_prefix_overlaps(&a, &b), rows[i].overlaps);
		assert_int_equal(tun_prefix_overlaps(&b, &a), rows[i].overlaps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_overlaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
