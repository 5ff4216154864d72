#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/tunnel/inner.h"

#define PACKET_MAX 128

static const uint8_t v4_source[4] = {10, 0, 0, 1}, v4_destination[4] = {10, 0, 0, 2};
static const uint8_t v6_source[16] = {0xfd, 0, [15] = 1}, v6_destination[16] = {0xfd, 0, [15] = 2};
static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1};
static const uint8_t compatible[16] = {[12] = 10, 0, 0, 1};

struct row {
	const char *name;
	uint8_t first;	  /* version and, for IPv4, header length in words */
	uint16_t claimed; /* IPv4 total length, IPv6 payload length */
	size_t there;	  /* bytes of the packet */
	enum err expected;
	size_t len; /* with OK */
};

static const struct row v4_rows[] = {
	{"header only", 0x45, 20, 20, OK, 20},
	{"some payload", 0x45, 60, 60, OK, 60},
	{"padded", 0x45, 60, 61, OK, 60},
	{"with options", 0x4f, 60, 60, OK, 60},
	{"claims one more", 0x45, 61, 60, DROP_TRUNCATED, 0},
	{"claims the maximum", 0x45, 65535, 60, DROP_TRUNCATED, 0},
	{"claims nothing", 0x45, 0, 60, DROP_MALFORMED, 0},
	{"claims less than a header", 0x45, 19, 60, DROP_MALFORMED, 0},
	{"claims less than its options", 0x4f, 59, 60, DROP_MALFORMED, 0},
	{"options beyond the end", 0x4f, 60, 59, DROP_TRUNCATED, 0},
	{"header of four words", 0x44, 60, 60, DROP_MALFORMED, 0},
	{"header of no words", 0x40, 60, 60, DROP_MALFORMED, 0},
	{"header cut", 0x45, 20, 19, DROP_TRUNCATED, 0},
	{"one byte", 0x45, 20, 1, DROP_TRUNCATED, 0},
};

static const struct row v6_rows[] = {
	{"header only", 0x60, 0, 40, OK, 40},
	{"some payload", 0x60, 20, 60, OK, 60},
	{"padded", 0x60, 20, 61, OK, 60},
	{"traffic class set", 0x6f, 20, 60, OK, 60},
	{"claims one more", 0x60, 21, 60, DROP_TRUNCATED, 0},
	{"claims the maximum", 0x60, 65535, 60, DROP_TRUNCATED, 0},
	{"header cut", 0x60, 0, 39, DROP_TRUNCATED, 0},
	{"length of an IPv4 header", 0x60, 0, 20, DROP_TRUNCATED, 0},
	{"one byte", 0x60, 0, 1, DROP_TRUNCATED, 0},
};

static void put_u16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void make_v4(uint8_t *p, uint8_t first, uint16_t claimed)
{
	memset(p, 0, PACKET_MAX);
	p[0] = first;
	put_u16(p + 2, claimed);
	memcpy(p + 12, v4_source, 4);
	memcpy(p + 16, v4_destination, 4);
}

static void make_v6(uint8_t *p, uint8_t first, uint16_t claimed)
{
	memset(p, 0, PACKET_MAX);
	p[0] = first;
	put_u16(p + 4, claimed);
	memcpy(p + 8, v6_source, 16);
	memcpy(p + 24, v6_destination, 16);
}

static void run_row(const struct row *row, const uint8_t *packet, const struct tunnel_inner *want)
{
	struct tunnel_inner inner = {.len = 77};
	enum err e = tunnel_inner_read(packet, row->there, &inner);

	if (e != row->expected)
		fail_msg("%s: %s", row->name, err_name(e));
	if (e != OK) {
		assert_int_equal(inner.len, 77);
		return;
	}
	assert_int_equal(inner.kind, want->kind);
	assert_int_equal(inner.len, row->len);
	assert_true(netaddr_equal(&inner.source, &want->source));
	assert_true(netaddr_equal(&inner.destination, &want->destination));
}

static void test_ip4(void **state)
{
	const struct tunnel_inner want = {
		.kind = TUNNEL_INNER_IP4,
		.source = netaddr_from_ip4(v4_source, 0),
		.destination = netaddr_from_ip4(v4_destination, 0),
	};
	uint8_t packet[PACKET_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v4_rows); i++) {
		make_v4(packet, v4_rows[i].first, v4_rows[i].claimed);
		run_row(&v4_rows[i], packet, &want);
	}
}

static void test_ip6(void **state)
{
	const struct tunnel_inner want = {
		.kind = TUNNEL_INNER_IP6,
		.source = netaddr_from_ip6(v6_source, 0),
		.destination = netaddr_from_ip6(v6_destination, 0),
	};
	uint8_t packet[PACKET_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v6_rows); i++) {
		make_v6(packet, v6_rows[i].first, v6_rows[i].claimed);
		run_row(&v6_rows[i], packet, &want);
	}
}

/* An IPv4 address written as IPv6 must not pass for the IPv4 address (4-in-6). */
static void test_mapped_addresses(void **state)
{
	struct tunnel_inner inner;
	uint8_t packet[PACKET_MAX];

	(void)state;
	make_v6(packet, 0x60, 0);
	memcpy(packet + 8, mapped, 16);
	assert_int_equal(tunnel_inner_read(packet, 40, &inner), DROP_MALFORMED);
	make_v6(packet, 0x60, 0);
	memcpy(packet + 24, mapped, 16);
	assert_int_equal(tunnel_inner_read(packet, 40, &inner), DROP_MALFORMED);
	/* ::10.0.0.1 is another address, of IPv6 */
	make_v6(packet, 0x60, 0);
	memcpy(packet + 8, compatible, 16);
	assert_int_equal(tunnel_inner_read(packet, 40, &inner), OK);
	assert_int_equal(inner.source.family, NETADDR_IP6);
}

static void test_first_bits(void **state)
{
	(void)state;
	for (unsigned int first = 0; first < 256; first++) {
		struct tunnel_inner inner;
		uint8_t packet[PACKET_MAX];
		enum err e;

		memset(packet, 0, sizeof(packet));
		packet[0] = (uint8_t)first;
		e = tunnel_inner_read(packet, sizeof(packet), &inner);
		if (first >> 4 == 0) {
			assert_int_equal(e, OK);
			assert_int_equal(inner.kind, TUNNEL_INNER_CONTROL);
			assert_int_equal(inner.len, sizeof(packet));
			assert_int_equal(inner.source.family, NETADDR_NONE);
			assert_int_equal(inner.destination.family, NETADDR_NONE);
		} else if (first >> 4 == 4) {
			assert_int_equal(e, DROP_MALFORMED);
		} else if (first >> 4 != 6) {
			assert_int_equal(e, DROP_UNKNOWN_TYPE);
		}
		assert_int_equal(tunnel_inner_read(packet, 0, &inner), DROP_TRUNCATED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip4),
		cmocka_unit_test(test_ip6),
		cmocka_unit_test(test_mapped_addresses),
		cmocka_unit_test(test_first_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
