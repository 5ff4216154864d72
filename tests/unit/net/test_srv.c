/* SRV records in DNS messages. (The whole way, with a name server, is tests/lab/srv.sh.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/net/srv.h"

/* clang-format off */
static const uint8_t answer[] = {
	0x12, 0x34, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0,
	/* 12: _stun._udp.a. SRV IN */
	5, '_', 's', 't', 'u', 'n', 4, '_', 'u', 'd', 'p', 1, 'a', 0, 0, 33, 0, 1,
	/* 30: the same is an alias: passed over */
	0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 'x', 0xc0, 23,
	/* 46: x.a.: 1 2 3478 s.a. */
	0xc0, 42, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10, 0, 1, 0, 2, 0x0d, 0x96, 1, 's', 0xc0, 23,
	/* 68: 258 0 9 . */
	0xc0, 42, 0, 33, 0, 1, 0, 0, 0, 60, 0, 7, 1, 2, 0, 0, 0, 9, 0,
};
/* clang-format on */

static void records(void **state)
{
	struct turn_srv_service s = {.record_count = 99};

	(void)state;
	assert_int_equal(net_srv_parse(answer, sizeof(answer), &s), OK);
	assert_int_equal(s.record_count, 2);
	assert_int_equal(s.records[0].priority, 1);
	assert_int_equal(s.records[0].weight, 2);
	assert_int_equal(s.records[0].port, 3478);
	assert_string_equal(s.records[0].target, "s.a");
	assert_int_equal(s.records[1].priority, 258);
	assert_int_equal(s.records[1].port, 9);
	assert_string_equal(s.records[1].target, "");
}

static void cut_short(void **state)
{
	struct turn_srv_service s;

	(void)state;
	for (size_t len = 0; len < sizeof(answer); len++) {
		assert_int_equal(net_srv_parse(answer, len, &s), DROP_MALFORMED);
		assert_int_equal(s.record_count, 0);
	}
}

static void a_name_that_points_at_itself(void **state)
{
	struct turn_srv_service s;
	uint8_t buf[sizeof(answer)];

	(void)state;
	memcpy(buf, answer, sizeof(buf));
	buf[64] = 0xc0; /* the target of the first record */
	buf[65] = 64;
	assert_int_equal(net_srv_parse(buf, sizeof(buf), &s), DROP_MALFORMED);
}

/* Each byte changed to everything: nothing but the answer's own bytes is read. */
static void any_byte(void **state)
{
	struct turn_srv_service s;
	uint8_t buf[sizeof(answer)];

	(void)state;
	for (size_t at = 0; at < sizeof(buf); at++) {
		for (unsigned int v = 0; v < 256; v++) {
			memcpy(buf, answer, sizeof(buf));
			buf[at] = (uint8_t)v;
			if (net_srv_parse(buf, sizeof(buf), &s) != OK)
				assert_int_equal(s.record_count, 0);
			assert_true(s.record_count <= TURN_SRV_RECORDS_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(a_name_that_points_at_itself),
		cmocka_unit_test(any_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
