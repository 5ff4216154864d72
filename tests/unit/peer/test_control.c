#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/peer/control.h"

static void round_trip(void **state)
{
	static const uint8_t body[] = {1, 2, 3};
	const struct netaddr ip4 = netaddr_from_ip4((const uint8_t[]){192, 0, 2, 1}, 1000);
	const struct netaddr ip6 = {
		.family = NETADDR_IP6, .port = 2000, .ip = {0x20, 1, 0xd, 0xb8, [15] = 9}};
	const struct control_message all[] = {
		{.type = CONTROL_PING, .id = 0x0102030405060708},
		{.type = CONTROL_PONG, .id = UINT64_MAX},
		{.type = CONTROL_HELLO},
		{.type = CONTROL_CLOSE},
		{.type = CONTROL_OFFER, .body = body, .body_len = sizeof(body)},
		{.type = CONTROL_ANSWER, .body = body, .body_len = sizeof(body)},
		{.type = CONTROL_CANDIDATES, .body = body, .body_len = sizeof(body)},
		{.type = CONTROL_PROBE, .number = 0x01020304, .size = 40},
		{.type = CONTROL_PROBED, .number = UINT32_MAX, .size = 9000},
		{.type = CONTROL_MOVED, .number = 7, .sender = ip4, .reader = ip6},
		{.type = CONTROL_MOVED, .number = 8, .sender = ip6, .reader = ip4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint8_t buf[64];
		struct control_message m;
		size_t len;

		assert_int_equal(control_encode(&all[i], buf, sizeof(buf), &len), OK);
		assert_int_equal(buf[0] >> 4, 0);
		assert_int_equal(control_decode(buf, len, &m), OK);
		assert_int_equal(m.type, all[i].type);
		assert_int_equal(m.id, all[i].id);
		assert_int_equal(m.number, all[i].number);
		assert_int_equal(m.size, all[i].size);
		assert_true(netaddr_equal(&m.sender, &all[i].sender));
		assert_true(netaddr_equal(&m.reader, &all[i].reader));
		assert_int_equal(m.body_len, all[i].body_len);
		if (m.body_len)
			assert_memory_equal(m.body, body, sizeof(body));
		for (size_t cap = 0; cap < len; cap++)
			assert_int_equal(control_encode(&all[i], buf, cap, &len), ERR_NO_SPACE);
	}
}

/* A probe is as long as it says, and says nothing else: what pads it is passed over. */
static void probes(void **state)
{
	static const uint8_t expected[] = {10, 1, 2, 3, 4, 0, 0, 0};
	static const uint8_t padded[] = {10, 1, 2, 3, 4, 9, 9};
	static const uint8_t probed[] = {11, 1, 2, 3, 4, 0x04, 0xb0};
	struct control_message m = {.type = CONTROL_PROBE, .number = 0x01020304, .size = 8};
	uint8_t buf[16];
	size_t len;

	(void)state;
	assert_int_equal(control_encode(&m, buf, sizeof(buf), &len), OK);
	assert_int_equal(len, sizeof(expected));
	assert_memory_equal(buf, expected, len);
	assert_int_equal(control_decode(padded, sizeof(padded), &m), OK);
	assert_int_equal(m.size, sizeof(padded));
	assert_int_equal(control_decode(padded, 4, &m), DROP_TRUNCATED);
	m = (struct control_message){.type = CONTROL_PROBED, .number = 0x01020304, .size = 1200};
	assert_int_equal(control_encode(&m, buf, sizeof(buf), &len), OK);
	assert_int_equal(len, sizeof(probed));
	assert_memory_equal(buf, probed, len);
	assert_int_equal(control_decode(probed, 6, &m), DROP_TRUNCATED);
}

static void moved(void **state)
{
	static const uint8_t good[] = {12, 0, 0, 0, 1, 4,   0, 9, 192, 0,
				       2,  1, 4, 0, 8, 192, 0, 2, 2};
	static const uint8_t strange[] = {12, 0, 0, 0, 1, 5,   0, 9, 192, 0,
					  2,  1, 4, 0, 8, 192, 0, 2, 2};
	struct control_message m;

	(void)state;
	assert_int_equal(control_decode(good, sizeof(good), &m), OK);
	assert_int_equal(m.sender.port, 9);
	assert_int_equal(m.reader.ip[3], 2);
	for (size_t len = 1; len < sizeof(good); len++)
		assert_int_equal(control_decode(good, len, &m), DROP_TRUNCATED);
	assert_int_equal(control_decode(strange, sizeof(strange), &m), DROP_MALFORMED);
}

static void refused(void **state)
{
	static const uint8_t ping[] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 7};
	static const uint8_t unknown[] = {15}, zero[] = {0};
	struct control_message m;

	(void)state;
	assert_int_equal(control_decode(ping, 0, &m), DROP_TRUNCATED);
	for (size_t len = 1; len < 9; len++)
		assert_int_equal(control_decode(ping, len, &m), DROP_TRUNCATED);
	assert_int_equal(control_decode(ping, 9, &m), OK);
	assert_int_equal(control_decode(ping, 10, &m), DROP_MALFORMED);
	assert_int_equal(control_decode(unknown, 1, &m), DROP_UNKNOWN_TYPE);
	assert_int_equal(control_decode(zero, 1, &m), DROP_UNKNOWN_TYPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(probes),
		cmocka_unit_test(moved),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
