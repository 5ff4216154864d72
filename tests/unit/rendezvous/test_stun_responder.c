#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "rendezvous/stun_responder.h"

static const uint8_t txid[STUN_TXID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t ip4[4] = {192, 0, 2, 1};
static const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

static int setup(void **state)
{
	struct random_seeded seed;
	struct random_source random = random_seeded_source(&seed);
	struct stun_responder *r;

	random_seeded_init(&seed, 1);
	assert_int_equal(stun_responder_create(&r, &random), OK);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	stun_responder_destroy(*state);
	return 0;
}

static size_t make(uint8_t *buf, size_t cap, enum stun_class class, uint16_t method,
		   bool fingerprint)
{
	struct stun_writer w;
	size_t len;

	stun_write_begin(&w, buf, cap, class, method, txid);
	assert_int_equal(stun_write_finish(&w, NULL, 0, fingerprint, &len), OK);
	return len;
}

static void test_mapped_address(void **state)
{
	static const struct {
		bool is_ip6;
		bool fingerprint;
		size_t bytes;
	} rows[] = {{false, false, 32}, {false, true, 40}, {true, false, 44}, {true, true, 52}};
	uint8_t buf[128];
	uint8_t out[STUN_REPLY_MAX_BYTES];
	struct stun_message m;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct netaddr from =
			rows[i].is_ip6 ? netaddr_from_ip6(ip6, 999) : netaddr_from_ip4(ip4, 999);
		size_t n = make(buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING,
				rows[i].fingerprint);

		assert_int_equal(stun_responder_input(*state, 0, &from, buf, n, out, &len), OK);
		assert_int_equal(len, rows[i].bytes);
		assert_int_equal(stun_decode(&m, out, len), OK);
		assert_int_equal(m.class, STUN_CLASS_SUCCESS);
		assert_memory_equal(m.txid, txid, sizeof(txid));
		assert_true(netaddr_equal(&m.xor_mapped_address, &from));
		assert_int_equal(stun_has(&m, STUN_FINGERPRINT), rows[i].fingerprint);
	}
}

static void test_unknown_attribute(void **state)
{
	/* A request with the attribute 0x7abc, which has to be understood, and is empty. */
	uint8_t buf[24] = {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42};
	struct netaddr from = netaddr_from_ip4(ip4, 999);
	uint8_t out[STUN_REPLY_MAX_BYTES];
	struct stun_message m;
	size_t len;

	buf[20] = 0x7a;
	buf[21] = 0xbc;
	assert_int_equal(stun_responder_input(*state, 0, &from, buf, sizeof(buf), out, &len), OK);
	assert_int_equal(stun_decode(&m, out, len), OK);
	assert_int_equal(m.class, STUN_CLASS_ERROR);
	assert_int_equal(m.error.code, STUN_ERROR_UNKNOWN_ATTRIBUTE);
	assert_int_equal(m.unknown_attributes.count, 1);
	assert_int_equal(m.unknown_attributes.type[0], 0x7abc);
}

static void test_silence(void **state)
{
	struct netaddr from = netaddr_from_ip4(ip4, 999);
	uint8_t out[STUN_REPLY_MAX_BYTES];
	uint8_t buf[128];
	size_t len;
	size_t n;

	n = make(buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_BINDING, false);
	assert_int_equal(stun_responder_input(*state, 0, &from, buf, n, out, &len),
			 DROP_UNKNOWN_TYPE);
	n = make(buf, sizeof(buf), STUN_CLASS_SUCCESS, STUN_METHOD_BINDING, false);
	assert_int_equal(stun_responder_input(*state, 0, &from, buf, n, out, &len),
			 DROP_UNKNOWN_TYPE);
	n = make(buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_ALLOCATE, false);
	assert_int_equal(stun_responder_input(*state, 0, &from, buf, n, out, &len),
			 DROP_UNKNOWN_TYPE);
	n = make(buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING, true);
	buf[n - 1] ^= 1;
	assert_int_equal(stun_responder_input(*state, 0, &from, buf, n, out, &len),
			 DROP_FINGERPRINT);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_not_equal(stun_responder_input(*state, 0, &from, buf, cut, out, &len),
				     OK);
	assert_int_equal(stun_responder_drops(*state)->count[DROP_UNKNOWN_TYPE], 3);
}

static unsigned answers(struct stun_responder *r, uint64_t now_us, const struct netaddr *from,
			unsigned tries)
{
	uint8_t out[STUN_REPLY_MAX_BYTES];
	uint8_t buf[128];
	size_t n = make(buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING, false);
	unsigned count = 0;
	size_t len;

	while (tries--)
		count += stun_responder_input(r, now_us, from, buf, n, out, &len) == OK;
	return count;
}

static void test_rate(void **state)
{
	struct netaddr from = netaddr_from_ip4(ip4, 999);
	struct netaddr other = from;
	struct netaddr v6 = netaddr_from_ip6(ip6, 999);

	assert_int_equal(answers(*state, 0, &from, 100), 40);
	/* Another port is the same source; another address is not. */
	from.port = 1;
	assert_int_equal(answers(*state, 0, &from, 10), 0);
	other.ip[3] = 2;
	assert_int_equal(answers(*state, 0, &other, 10), 10);
	assert_int_equal(answers(*state, 1000000, &from, 100), 20);
	/* A whole /64 is one source. */
	assert_int_equal(answers(*state, 0, &v6, 30), 30);
	v6.ip[15] = 9;
	assert_int_equal(answers(*state, 0, &v6, 30), 10);
	v6.ip[7] = 9;
	assert_int_equal(answers(*state, 0, &v6, 30), 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mapped_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_attribute, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
