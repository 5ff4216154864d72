#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/crypto/random.h"
#include "tests/support/coalesce_model.h"

#define CWR 0x80
#define ECE 0x40
#define URG 0x20
#define ACK 0x10
#define PSH 0x08
#define RST 0x04
#define SYN 0x02
#define FIN 0x01

static struct coalescer *c;
static struct batch b;
static uint8_t payload[2000];

static int set_up(void **state)
{
	struct coalesce_params params = {.max_packets = BATCH_PACKETS, .tcp = true, .udp = true};

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 5 + i / 256);
	b.count = 0;
	return coalesce_create(&c, &params) != OK;
}

static int tear_down(void **state)
{
	(void)state;
	coalesce_destroy(c);
	return 0;
}

static const struct model_flow tcp4 = {.protocol = 6, .ttl = 64, .dont_fragment = true};
static const struct model_flow udp4 = {.protocol = 17, .ttl = 64, .dont_fragment = true};

struct say {
	struct model_flow flow;
	struct model_tcp tcp;
	uint16_t id;
	size_t len;
	bool is_complete;
	uintptr_t owner;
};

static void add(const struct say *s)
{
	uint8_t packet[BATCH_PACKET_BYTES];
	size_t len =
		model_packet(packet, &s->flow, &s->tcp, s->id, payload, s->len, !s->is_complete);

	batch_add(&b, packet, len, !s->is_complete, s->owner);
}

static struct say tcp_say(uint32_t sequence, size_t len, uint8_t flags)
{
	return (struct say){
		.flow = tcp4,
		.tcp = {.sequence = sequence, .acknowledgment = 5, .flags = flags, .window = 99},
		.len = len};
}

static void expect(size_t groups)
{
	assert_true(batch_run(&b, c));
	assert_int_equal(b.groups, groups);
	b.count = 0;
}

/* A stream in packets of one size, as superpackets are cut. */
static void add_stream(struct say s, size_t count, size_t last_len)
{
	for (size_t i = 0; i < count; i++) {
		s.id++;
		if (i + 1 == count) {
			s.len = last_len;
			s.tcp.flags |= PSH;
		}
		add(&s);
		s.tcp.sequence += (uint32_t)s.len;
	}
}

static void test_streams(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < 32; kind++) {
		struct say s = tcp_say(0xfffffff0, 1000, ACK | (kind & 16 ? ECE : 0));

		s.flow.protocol = kind & 1 ? 17 : 6;
		s.flow.ip6 = kind & 2;
		s.flow.dont_fragment = kind & 4;
		s.flow.tcp_options = kind & 16 ? 12 : 0;
		s.is_complete = kind & 8;
		add_stream(s, 45, kind & 4 ? 1000 : 1);
		expect(1);
		assert_int_equal(b.largest, 45);
	}
}

/* What differs from the packet before, and so begins a new group. */
static void test_what_does_not_join(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < 20; kind++) {
		struct say s = tcp_say(1, 1000, ACK);

		s.flow.dont_fragment = kind != 17;
		s.flow.tcp_options = 12;
		add(&s);
		s.tcp.sequence += 1000;
		s.id++;
		switch (kind) {
		case 0:
			s.tcp.sequence++;
			break;
		case 1:
			s.tcp.sequence--;
			break;
		case 2:
			s.tcp.acknowledgment++;
			break;
		case 3:
			s.tcp.window++;
			break;
		case 4:
			s.tcp.flags |= FIN;
			break;
		case 5:
			s.tcp.flags |= SYN;
			break;
		case 6:
			s.tcp.flags |= RST;
			break;
		case 7:
			s.tcp.flags |= URG;
			break;
		case 8:
			s.tcp.flags |= CWR;
			break;
		case 9:
			s.tcp.flags |= ECE;
			break;
		case 10:
			s.len = 1001;
			break;
		case 11:
			s.flow.tos = 4;
			break;
		case 12:
			s.flow.ttl = 63;
			break;
		case 13:
			s.flow.dont_fragment = false;
			break;
		case 14:
			s.flow.tcp_options = 16;
			break;
		case 15:
			s.owner = 1;
			break;
		case 16:
			s.is_complete = true;
			break;
		case 17:
			s.id++;
			break;
		case 18:
			s.flow.port++;
			break;
		case 19:
			s.flow.host++;
			break;
		}
		add(&s);
		expect(2);
	}
}

static void test_what_ends_a_group(void **state)
{
	struct say s = tcp_say(1, 1000, ACK | PSH);

	(void)state;
	add(&s);
	s.tcp.sequence += 1000;
	add(&s);
	expect(2); /* PSH */

	s = tcp_say(1, 1000, ACK);
	add(&s);
	s.tcp.sequence += 1000;
	s.len = 999;
	add(&s);
	s.tcp.sequence += 999;
	add(&s);
	expect(2); /* a shorter one */

	s = tcp_say(1, 1000, ACK);
	add(&s);
	s.tcp.sequence += 1000;
	s.tcp.flags = ACK | FIN;
	add(&s);
	s.tcp.flags = ACK;
	add(&s);
	expect(3); /* nothing passes a FIN */

	s = tcp_say(1, 1000, ACK);
	add(&s);
	s.len = 0;
	add(&s);
	s.len = 1000;
	s.tcp.sequence += 1000;
	add(&s);
	expect(2); /* a bare ACK does not end it */
	assert_int_equal(b.largest, 2);
}

static void test_limits(void **state)
{
	struct say s = tcp_say(1, 1400, ACK);

	(void)state;
	add_stream(s, 60, 1400);
	expect(2);
	assert_int_equal(b.largest, (65535 - 40) / 1400);
	s.flow = udp4;
	s.len = 10;
	add_stream(s, BATCH_PACKETS, 10);
	expect(1);
	add_stream(s, BATCH_PACKETS, 10);
	assert_true(batch_run(&b, c));
	/* One more than there is room for. */
	assert_false(coalesce_join(c, NULL, b.packets[0].bytes, b.packets[0].len, true));
	assert_int_equal(coalesce_start(c, NULL, b.packets[0].bytes, b.packets[0].len, true),
			 DROP_LIMIT);
	assert_int_equal(coalesce_count(c), BATCH_PACKETS);
}

static void test_udp(void **state)
{
	struct say s = {.flow = udp4, .len = 0};

	(void)state;
	add(&s);
	add(&s);
	expect(2); /* empty datagrams stay alone */

	s.len = 500;
	s.is_complete = true;
	for (int i = 0; i < 3; i++) {
		add(&s);
		memset(model_checksum_field(b.packets[i].bytes), 0, 2);
		memset(model_checksum_field(b.packets[i].original), 0, 2);
	}
	expect(3); /* no checksum */
}

static void test_wrong_checksums_stay(void **state)
{
	(void)state;
	for (size_t bad = 0; bad < 4; bad++) {
		struct say s = tcp_say(1, 1000, ACK);

		s.is_complete = true;
		add_stream(s, 4, 1000);
		b.packets[bad].bytes[500] ^= 1;
		b.packets[bad].original[500] ^= 1;
		/* The first that is bad makes the second begin a group. */
		expect(bad == 0 ? 2 : bad == 3 ? 2 : 3);
	}
}

static void test_interleaved_flows(void **state)
{
	struct say flows[3] = {tcp_say(1, 1000, ACK), tcp_say(1, 900, ACK), {.flow = udp4}};

	(void)state;
	flows[1].flow.port = 7;
	flows[2].len = 300;
	for (int i = 0; i < 60; i++) {
		struct say *s = &flows[i % 3];

		add(s);
		s->tcp.sequence += (uint32_t)s->len;
	}
	expect(3);
}

static void test_off(void **state)
{
	struct say s = tcp_say(1, 1000, ACK);

	(void)state;
	coalesce_set(c, false, true);
	add_stream(s, 5, 1000);
	s.flow = udp4;
	add_stream(s, 5, 1000);
	expect(6);
	coalesce_set(c, true, false);
	add_stream(s, 5, 1000);
	s.flow = tcp4;
	add_stream(s, 5, 1000);
	expect(6);
}

static void test_what_cannot_be_partial(void **state)
{
	struct say s = tcp_say(1, 100, ACK);

	(void)state;
	add(&s);
	b.packets[0].bytes[9] = 1;
	assert_false(coalesce_join(c, NULL, b.packets[0].bytes, b.packets[0].len, true));
	assert_int_equal(coalesce_start(c, NULL, b.packets[0].bytes, b.packets[0].len, true),
			 DROP_MALFORMED);
	assert_int_equal(coalesce_start(c, NULL, b.packets[0].bytes, b.packets[0].len, false), OK);
	b.count = 0;
	/* Options of IP stay alone, but may be partial. */
	s.flow.ip_options = 4;
	add(&s);
	add(&s);
	expect(2);
}

static void add_random(const struct random_source *r, struct say *flows)
{
	struct say *s = &flows[random_below(r, 4)];
	struct say now = *s;
	uint32_t event = random_below(r, 24);

	if (s->flow.protocol == 17 || event > 6)
		now.len = event == 9 ? random_below(r, (uint32_t)s->len) : s->len;
	switch (event) {
	case 0:
		now.tcp.flags |= (uint8_t)(1u << random_below(r, 8));
		break;
	case 1:
		now.len = 0;
		break;
	case 2:
		now.tcp.sequence += random_below(r, 3) - 1;
		break;
	case 3:
		s->len = 1 + random_below(r, 1400);
		break;
	case 4:
		now.owner ^= 1;
		break;
	case 5:
		now.is_complete = !now.is_complete;
		break;
	case 6:
		now.tcp.flags |= PSH;
		break;
	case 7:
		now.flow.tos ^= 1;
		break;
	case 8:
		s->id = (uint16_t)random_below(r, 65536);
		break;
	}
	add(&now);
	if (event == 10 && now.is_complete)
		b.packets[b.count - 1].bytes[30] ^= 4;
	memcpy(b.packets[b.count - 1].original, b.packets[b.count - 1].bytes, BATCH_PACKET_BYTES);
	s->tcp.sequence += (uint32_t)now.len;
	s->id++;
}

static void test_random_batches(void **state)
{
	struct random_seeded seeded;
	struct random_source random = random_seeded_source(&seeded);
	size_t joined = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct say flows[4] = {tcp_say(1, 1000, ACK),
				       tcp_say(9, 700, ACK),
				       {.flow = udp4},
				       tcp_say(5, 1200, ACK)};

		random_seeded_init(&seeded, seed);
		flows[1].flow.ip6 = true;
		flows[2].len = 600;
		flows[3].flow.port = 77;
		flows[3].is_complete = true;
		flows[3].flow.dont_fragment = false;
		b.count = 0;
		for (size_t n = random_below(&random, BATCH_PACKETS); n > 0; n--)
			add_random(&random, flows);
		if (!batch_run(&b, c))
			fail_msg("seed %llu", (unsigned long long)seed);
		joined += b.count - b.groups;
	}
	assert_true(joined > 10000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_streams),
		TEST(test_what_does_not_join),
		TEST(test_what_ends_a_group),
		TEST(test_limits),
		TEST(test_udp),
		TEST(test_wrong_checksums_stay),
		TEST(test_interleaved_flows),
		TEST(test_off),
		TEST(test_what_cannot_be_partial),
		TEST(test_random_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
