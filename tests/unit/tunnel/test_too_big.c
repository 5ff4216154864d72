#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/tunnel/too_big.h"
#include "tests/support/packet_model.h"

static uint8_t packet[9000], message[TOO_BIG_MAX_BYTES];

static size_t make(bool ip6, size_t len)
{
	struct model_flow f = {.ip6 = ip6,
			       .protocol = 17,
			       .host = 1,
			       .port = 5001,
			       .ttl = 64,
			       .dont_fragment = true};
	static const uint8_t zeros[9000];

	return model_packet(packet, &f, NULL, 7, zeros, len - (ip6 ? 48 : 28), false);
}

/* Byte for byte: the headers as tcpdump would want them. */
static void test_ip4_bytes(void **state)
{
	static const uint8_t expected[] = {
		0x45, 0xc0, 0x02, 0x40, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x23, 0x9a, /* IP */
		10,   0,    0,	  99,	10,   0,    0,	  1,	/* reversed */
		3,    4,    0x00, 0x00, 0x00, 0x00, 0x04, 0xd0, /* MTU 1232 */
	};
	size_t len = make(false, 1400);

	(void)state;
	assert_int_equal(too_big_write(packet, len, 1232, message), 576);
	/* The checksum is what makes the sum all ones. */
	assert_int_equal(model_sum(0, message + 20, 556), 0xffff);
	message[22] = message[23] = 0;
	assert_memory_equal(message, expected, sizeof(expected));
	assert_memory_equal(message + 28, packet, 548);
	assert_int_equal(model_sum(0, message, 20), 0xffff);
}

static void test_ip6_bytes(void **state)
{
	static const uint8_t expected[] = {
		0x60, 0, 0, 0, 0x04, 0xd8, 58,	 64, /* IP, 1240 bytes */
		0,    0, 0, 0, 0,    0,	   0,	 0,
		0,    0, 0, 0, 0,    0,	   0,	 99, /* from the target */
		0xfd, 0, 0, 0, 0,    0,	   0,	 0,
		0,    0, 0, 0, 0,    0,	   0,	 1,    /* to the sender */
		2,    0, 0, 0, 0,    0,	   0x05, 0x14, /* MTU 1300 */
	};
	size_t len = make(true, 1400);
	uint32_t pseudo;

	(void)state;
	packet[24] = 0; /* the model's addresses: fd.. on one side only */
	packet[23] = 1;
	assert_int_equal(too_big_write(packet, len, 1300, message), 1280);
	pseudo = model_sum(58 + 1240, message + 8, 32);
	assert_int_equal(model_sum(pseudo, message + 40, 1240), 0xffff);
	message[42] = message[43] = 0;
	assert_memory_equal(message, expected, sizeof(expected));
	assert_memory_equal(message + 48, packet, 1232);
}

/* A short packet is quoted whole. */
static void test_short(void **state)
{
	size_t len = make(false, 300);

	(void)state;
	assert_int_equal(too_big_write(packet, len, 200, message), 328);
	assert_memory_equal(message + 28, packet, 300);
	assert_int_equal(model_sum(0, message + 20, 308), 0xffff);
	len = make(true, 601);
	assert_int_equal(too_big_write(packet, len, 512, message), 649);
	assert_memory_equal(message + 48, packet, 601);
}

/* IPv6 hosts do not know a path below 1,280. */
static void test_ip6_minimum(void **state)
{
	size_t len = make(true, 1400);

	(void)state;
	assert_int_equal(too_big_write(packet, len, 900, message), 1280);
	assert_int_equal(model_get32(message + 44), 1280);
}

static void test_no_answer_ip4(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} silent[] = {
		{12, 0},   /* from nowhere */
		{12, 224}, /* from many */
		{12, 127}, /* from itself */
		{16, 239}, /* to many */
		{16, 255}, /* to all */
		{6, 0x01}, /* a later fragment */
		{7, 0x01},
	};
	static const uint8_t errors[] = {3, 4, 5, 11, 12}, questions[] = {0, 8, 13, 14};
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		len = make(false, 1400);
		packet[silent[i].at] = silent[i].value;
		assert_int_equal(too_big_write(packet, len, 1200, message), 0);
	}
	len = make(false, 1400);
	packet[9] = 1;
	for (size_t i = 0; i < sizeof(errors); i++) {
		packet[20] = errors[i];
		assert_int_equal(too_big_write(packet, len, 1200, message), 0);
	}
	for (size_t i = 0; i < sizeof(questions); i++) {
		packet[20] = questions[i];
		assert_int_equal(too_big_write(packet, len, 1200, message), 576);
	}
	packet[6] = 0x20; /* the first fragment */
	assert_int_equal(too_big_write(packet, len, 1200, message), 576);
}

static void test_no_answer_ip6(void **state)
{
	size_t len = make(true, 1400);

	(void)state;
	packet[24] = 0xff;
	assert_int_equal(too_big_write(packet, len, 1300, message), 0);
	len = make(true, 1400);
	packet[8] = 0xff;
	assert_int_equal(too_big_write(packet, len, 1300, message), 0);
	memset(packet + 8, 0, 16);
	assert_int_equal(too_big_write(packet, len, 1300, message), 0);
	len = make(true, 1400);
	packet[6] = 58;
	packet[40] = 1;
	assert_int_equal(too_big_write(packet, len, 1300, message), 0);
	packet[40] = 127;
	assert_int_equal(too_big_write(packet, len, 1300, message), 0);
	packet[40] = 128; /* echo request */
	assert_int_equal(too_big_write(packet, len, 1300, message), 1280);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip4_bytes),     cmocka_unit_test(test_ip6_bytes),
		cmocka_unit_test(test_short),	      cmocka_unit_test(test_ip6_minimum),
		cmocka_unit_test(test_no_answer_ip4), cmocka_unit_test(test_no_answer_ip6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
