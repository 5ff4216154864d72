#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/tunnel/packet.h"
#include "daemon/core/tunnel/segment.h"
#include "tests/support/packet_model.h"

#define CWR 0x80
#define ECE 0x40
#define URG 0x20
#define ACK 0x10
#define PSH 0x08
#define RST 0x04
#define SYN 0x02
#define FIN 0x01

static uint8_t packet[70000], original[70000], payload[65536];

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

static size_t make(const struct model_flow *f, uint8_t flags, size_t len, bool is_partial)
{
	struct model_tcp tcp = {
		.sequence = 0xfffff000, .acknowledgment = 77, .flags = flags, .window = 1000};
	size_t packet_len = model_packet(packet, f, &tcp, 0xfff0, payload, len, is_partial);

	memcpy(original, packet, packet_len);
	return packet_len;
}

static struct segment_hints hints_of(const struct model_flow *f, size_t segment_bytes)
{
	return (struct segment_hints){
		.is_partial = true,
		.csum_start = (uint16_t)model_ip_bytes(packet),
		.csum_offset = f->protocol == 6 ? 16 : 6,
		.segment_bytes = (uint16_t)segment_bytes,
		.protocol = f->protocol,
	};
}

/* Cuts what make() has made, and compares with the model. Each packet is overwritten when it was
 * seen, as sealing in place may do it. */
static void check_cut(size_t len, const struct segment_hints *h, size_t max_bytes, size_t chunk,
		      bool may_be_partial)
{
	struct segmenter s;
	uint8_t expected[70000], *out;
	size_t out_len, count = 0;

	assert_int_equal(segment_begin(&s, packet, len, h, max_bytes, may_be_partial), OK);
	assert_int_equal(s.type, may_be_partial ? TUNNEL_TYPE_PARTIAL : TUNNEL_TYPE_DATA);
	while (segment_next(&s, &out, &out_len)) {
		size_t expected_len = model_cut(expected, original, len, chunk, count++);

		assert_int_equal(out_len, expected_len);
		assert_true(out_len <= max_bytes);
		if (may_be_partial)
			assert_true(model_complete(out, out_len));
		assert_memory_equal(out, expected, out_len);
		memset(out, 0xee, out_len);
	}
	assert_int_equal(model_cut(expected, original, len, chunk, count), 0);
	assert_int_equal(s.count, count);
}

static void test_superpackets(void **state)
{
	static const size_t lengths[] = {1, 999, 1000, 1001, 2000, 15000, 64000};

	(void)state;
	for (unsigned int kind = 0; kind < 64; kind++) {
		struct model_flow f = {.ip6 = kind & 1,
				       .protocol = kind & 2 ? 6 : 17,
				       .ttl = 64,
				       .tos = 0x2c,
				       .dont_fragment = kind & 8,
				       .tcp_options = kind & 16 ? 12 : 0,
				       .ip_options = kind & 32 ? 8 : 0};

		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			size_t len = make(&f, ACK | PSH | FIN | CWR | ECE, lengths[i], true);
			struct segment_hints h = hints_of(&f, 1000);

			check_cut(len, &h, 1400, 1000, kind & 4);
		}
	}
}

/* The path takes less than the kernel thought. */
static void test_cut_to_the_path(void **state)
{
	struct model_flow tcp = {.protocol = 6, .ttl = 64, .tcp_options = 12};
	struct model_flow udp = {.protocol = 17, .ttl = 64};
	struct segment_hints h;
	struct segmenter s;
	size_t len;

	(void)state;
	for (size_t max = 53; max < 1500; max += 1 + max / 10) {
		len = make(&tcp, ACK | PSH, 9000, true);
		h = hints_of(&tcp, 1448);
		check_cut(len, &h, max, max - 52 < 1448 ? max - 52 : 1448, max % 2);
	}
	len = make(&tcp, ACK, 9000, true);
	h = hints_of(&tcp, 1448);
	assert_int_equal(segment_begin(&s, packet, len, &h, 52, true), DROP_TOO_LONG);
	/* A datagram is not cut, one that fits is not held back. */
	len = make(&udp, 0, 3000, true);
	h = hints_of(&udp, 1000);
	assert_int_equal(segment_begin(&s, packet, len, &h, 1027, true), DROP_TOO_LONG);
	check_cut(len, &h, 1028, 1000, true);
	len = make(&udp, 0, 900, true);
	check_cut(len, &h, 928, 1000, true);
}

static void test_whole_packets_are_cut(void **state)
{
	static const uint8_t never[] = {SYN, ACK | RST, ACK | URG};
	struct model_flow f = {.protocol = 6, .ttl = 64};
	struct segment_hints none = {0}, h;
	struct segmenter s;
	size_t len;

	(void)state;
	for (unsigned int kind = 0; kind < 8; kind++) {
		f.ip6 = kind & 1;
		len = make(&f, ACK | FIN, 1440, kind & 2);
		h = kind & 2 ? hints_of(&f, 0) : none;
		check_cut(len, &h, 1280, 1280 - model_header_bytes(original), kind & 4);
	}
	f.ip6 = false;
	for (size_t i = 0; i < sizeof(never); i++) {
		len = make(&f, never[i], 1440, false);
		assert_int_equal(segment_begin(&s, packet, len, &none, 1280, true), DROP_TOO_LONG);
	}
	/* A wrong checksum stays wrong. */
	len = make(&f, ACK, 1440, false);
	packet[100] ^= 1;
	assert_int_equal(segment_begin(&s, packet, len, &none, 1280, true), DROP_MALFORMED);
	f.protocol = 17;
	len = make(&f, 0, 1440, false);
	assert_int_equal(segment_begin(&s, packet, len, &none, 1280, true), DROP_TOO_LONG);
}

/* What is neither TCP nor UDP, a fragment, or complete, passes as it is. */
static void test_single_packets(void **state)
{
	struct model_flow f = {.protocol = 6, .ttl = 64};
	struct segment_hints none = {0}, h;
	struct segmenter s;
	uint8_t *out;
	size_t len, out_len;

	(void)state;
	for (unsigned int kind = 0; kind < 8; kind++) {
		f.ip6 = kind & 1;
		f.protocol = kind & 2 ? 6 : 17;
		len = make(&f, ACK, 777, false);
		if (kind & 4)
			packet[f.ip6 ? 6 : 9] = original[f.ip6 ? 6 : 9] = 132;
		assert_int_equal(segment_begin(&s, packet, len, &none, 1400, kind % 3), OK);
		assert_int_equal(s.type, TUNNEL_TYPE_DATA);
		assert_true(segment_next(&s, &out, &out_len));
		assert_ptr_equal(out, packet);
		assert_int_equal(out_len, len);
		assert_memory_equal(packet, original, len);
		assert_false(segment_next(&s, &out, &out_len));

		f.protocol = kind & 2 ? 6 : 17;
		len = make(&f, ACK, 777, true);
		h = hints_of(&f, 0);
		assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), OK);
		assert_int_equal(s.type, TUNNEL_TYPE_PARTIAL);
		assert_memory_equal(packet, original, len);
		assert_int_equal(segment_begin(&s, packet, len, &h, 1400, false), OK);
		assert_int_equal(s.type, TUNNEL_TYPE_DATA);
		model_finish(original, len, false);
		assert_memory_equal(packet, original, len);
	}
}

/* A checksum of something else than TCP or UDP is completed whatever the peer takes. */
static void test_other_partial_checksum(void **state)
{
	struct model_flow f = {.protocol = 17, .ttl = 64};
	struct segment_hints h;
	struct segmenter s;
	size_t len = make(&f, 0, 100, false);

	(void)state;
	packet[9] = 58;
	h = (struct segment_hints){.is_partial = true, .csum_start = 20, .csum_offset = 2};
	packet[22] = packet[23] = 0;
	assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), OK);
	assert_int_equal(s.type, TUNNEL_TYPE_DATA);
	assert_int_equal(model_sum(0, packet + 20, len - 20), 0xffff);
}

static void test_bad_hints(void **state)
{
	static const struct {
		uint16_t start, offset;
	} bad[] = {{65535, 0}, {128, 0}, {127, 0}, {20, 107}, {0, 65535}, {65535, 65535}};
	struct model_flow f = {.protocol = 17, .ttl = 64};
	struct segment_hints h;
	struct segmenter s;
	size_t len = make(&f, 0, 100, true);

	(void)state;
	assert_int_equal(len, 128);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		h = (struct segment_hints){.is_partial = true,
					   .csum_start = bad[i].start,
					   .csum_offset = bad[i].offset};
		assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), DROP_MALFORMED);
	}
	h = hints_of(&f, 50);
	h.protocol = 6;
	assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), DROP_MALFORMED);
	h = hints_of(&f, 50);
	h.is_partial = false;
	assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), DROP_MALFORMED);
	h = hints_of(&f, 50);
	h.csum_start++;
	assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), DROP_MALFORMED);
	h = hints_of(&f, 50);
	packet[6] |= 0x20; /* a fragment */
	assert_int_equal(segment_begin(&s, packet, len, &h, 1400, true), DROP_MALFORMED);
	h = (struct segment_hints){0};
	assert_int_equal(segment_begin(&s, packet, len, &h, 100, true), DROP_TOO_LONG);
}

/* @options: what goes in place of the no-ops of the model. */
static size_t make_syn(bool ip6, const uint8_t *options, size_t options_len, bool is_partial)
{
	struct model_flow f = {.ip6 = ip6, .protocol = 6, .ttl = 64, .tcp_options = options_len};
	size_t len = make(&f, SYN | (is_partial ? ACK : 0), 0, is_partial);

	memcpy(packet + model_ip_bytes(packet) + 20, options, options_len);
	model_finish(packet, len, is_partial);
	memcpy(original, packet, len);
	return len;
}

static void check_mss(const uint8_t *options, size_t options_len, size_t at, uint16_t expected)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		bool is_partial = kind & 2, ip6 = kind & 1;
		size_t len = make_syn(ip6, options, options_len, is_partial);

		/* 1,000 bytes for TCP without options */
		segment_clamp_mss(packet, len, ip6 ? 1060 : 1040, is_partial);
		if (at)
			model_put16(original + model_ip_bytes(original) + 20 + at, expected);
		model_finish(original, len, is_partial);
		assert_memory_equal(packet, original, len);
	}
}

static void test_mss(void **state)
{
	static const uint8_t plain[] = {2, 4, 0x05, 0xb4};
	static const uint8_t odd[] = {1, 2, 4, 0x23, 0x45, 1, 1, 0};
	static const uint8_t behind[] = {8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0xff, 0xff, 0, 0};
	static const uint8_t small[] = {2, 4, 0x03, 0xe8};
	static const uint8_t after_end[] = {0, 1, 1, 1, 2, 4, 0x05, 0xb4};
	static const uint8_t cut[] = {1, 1, 2, 4};
	static const uint8_t strange[] = {2, 3, 0x05, 0xb4};
	static const uint8_t empty[] = {3, 0, 2, 4, 0x05, 0xb4, 1, 1};
	static const uint8_t beyond[] = {3, 9, 2, 4, 0x05, 0xb4, 1, 1};

	(void)state;
	check_mss(plain, sizeof(plain), 2, 1000);
	check_mss(odd, sizeof(odd), 3, 1000);
	check_mss(behind, sizeof(behind), 12, 1000);
	check_mss(small, sizeof(small), 2, 1000);
	check_mss(after_end, sizeof(after_end), 0, 0);
	check_mss(cut, sizeof(cut), 0, 0);
	check_mss(strange, sizeof(strange), 0, 0);
	check_mss(empty, sizeof(empty), 0, 0);
	check_mss(beyond, sizeof(beyond), 0, 0);
}

static void test_mss_of_syns_only(void **state)
{
	static const uint8_t plain[] = {2, 4, 0x05, 0xb4};
	size_t len = make_syn(false, plain, sizeof(plain), false);

	(void)state;
	segment_clamp_mss(packet, len, 70000, false);
	segment_clamp_mss(packet, len, 40, false); /* no payload at all */
	packet[33] = ACK;
	segment_clamp_mss(packet, len, 1040, false);
	packet[33] = SYN;
	packet[9] = 17;
	segment_clamp_mss(packet, len, 1040, false);
	packet[9] = 6;
	assert_memory_equal(packet, original, len);
	segment_clamp_mss(packet, len, 1040, false);
	assert_int_equal(model_get16(packet + 42), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_superpackets),
		cmocka_unit_test(test_cut_to_the_path),
		cmocka_unit_test(test_whole_packets_are_cut),
		cmocka_unit_test(test_single_packets),
		cmocka_unit_test(test_other_partial_checksum),
		cmocka_unit_test(test_bad_hints),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_mss_of_syns_only),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
