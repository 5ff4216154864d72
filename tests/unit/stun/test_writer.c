#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/hash.h"
#include "daemon/core/stun/writer.h"
#include "tests/unit/stun/vectors.h"

static const uint8_t txid[STUN_TXID_BYTES] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
					      0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

/* A buffer full of something that must not leave the machine. */
struct out {
	uint8_t buf[STUN_SAFE_BYTES];
	struct stun_writer w;
	size_t len;
};

static void out_begin(struct out *o, size_t cap, enum stun_class class)
{
	memset(o->buf, 0xee, sizeof(o->buf));
	o->len = 0;
	stun_write_begin(&o->w, o->buf, cap, class, STUN_METHOD_BINDING, txid);
}

/* The same bytes as the vector, apart from its padding. */
static void rfc5769_response(void **state)
{
	uint8_t expected[sizeof(vector_response_ip4)];
	struct netaddr a;
	struct out o;

	(void)state;
	assert_int_equal(netaddr_parse_ip("192.0.2.1", 32853, &a), OK);
	out_begin(&o, sizeof(o.buf), STUN_CLASS_SUCCESS);
	stun_write_bytes(&o.w, STUN_SOFTWARE, "test vector", 11);
	stun_write_address(&o.w, STUN_XOR_MAPPED_ADDRESS, &a);
	assert_int_equal(
		stun_write_finish(&o.w, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD), true, &o.len),
		OK);
	assert_int_equal(o.len, sizeof(expected));
	memcpy(expected, vector_response_ip4, sizeof(expected));
	expected[35] = 0; /* padding; what follows the address differs with it */
	assert_memory_equal(o.buf, expected, 52);
}

/* RFC 5769 s. 2.4 has neither odd padding nor FINGERPRINT: every byte must be the same. */
static void rfc5769_long_term(void **state)
{
	uint8_t key[MD5_BYTES];
	struct out o;
	struct stun_message m;

	(void)state;
	assert_int_equal(stun_decode(&m, vector_long_term, sizeof(vector_long_term)), OK);
	memset(o.buf, 0xee, sizeof(o.buf));
	stun_write_begin(&o.w, o.buf, sizeof(o.buf), m.class, m.method, m.txid);
	stun_write_bytes(&o.w, STUN_USERNAME, m.username.p, m.username.len);
	stun_write_bytes(&o.w, STUN_NONCE, m.nonce.p, m.nonce.len);
	stun_write_bytes(&o.w, STUN_REALM, m.realm.p, m.realm.len);
	assert_int_equal(hash_md5(VECTOR_LONG_TERM_TEXT, strlen(VECTOR_LONG_TERM_TEXT), key), OK);
	assert_int_equal(stun_write_finish(&o.w, key, sizeof(key), false, &o.len), OK);
	assert_int_equal(o.len, sizeof(vector_long_term));
	assert_memory_equal(o.buf, vector_long_term, o.len);
}

static void a_check_with_everything(void **state)
{
	const uint64_t tie_breaker = 0x0123456789abcdef;
	struct stun_message m;
	struct out o;

	(void)state;
	out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
	stun_write_username(&o.w, "remote", "me");
	stun_write_number(&o.w, STUN_PRIORITY, 0x6e0001ff);
	stun_write_number(&o.w, STUN_ICE_CONTROLLING, tie_breaker);
	stun_write_flag(&o.w, STUN_USE_CANDIDATE);
	assert_int_equal(stun_write_finish(&o.w, "password", 8, true, &o.len), OK);
	assert_true(stun_is_message(o.buf, o.len));
	assert_int_equal(stun_decode(&m, o.buf, o.len), OK);
	assert_int_equal(m.username.len, 9);
	assert_memory_equal(m.username.p, "remote:me", 9);
	assert_int_equal(m.priority, 0x6e0001ff);
	assert_true(m.ice_controlling == tie_breaker);
	assert_true(stun_has(&m, STUN_USE_CANDIDATE));
	assert_true(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(stun_check_integrity(&m, "password", 8), OK);
	assert_int_equal(stun_check_integrity(&m, "passwore", 8), DROP_INTEGRITY);
}

static void padding_is_zero(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8; n++) {
		struct out o;

		out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
		stun_write_bytes(&o.w, STUN_SOFTWARE, "abcdefgh", n);
		assert_int_equal(stun_write_finish(&o.w, NULL, 0, false, &o.len), OK);
		assert_int_equal(o.len, 24 + (n + 3) / 4 * 4);
		for (size_t i = 24 + n; i < o.len; i++)
			assert_int_equal(o.buf[i], 0);
		assert_int_equal(o.buf[o.len], 0xee);
	}
}

static void reserved_bytes_are_zero(void **state)
{
	static const uint8_t expected[] = {0, 0x19, 0, 4, 17,	0, 0, 0,
					   0, 0x0c, 0, 4, 0x40, 1, 0, 0};
	struct out o;

	(void)state;
	out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
	stun_write_number(&o.w, STUN_REQUESTED_TRANSPORT, 17);
	stun_write_number(&o.w, STUN_CHANNEL_NUMBER, 0x4001);
	assert_int_equal(stun_write_finish(&o.w, NULL, 0, false, &o.len), OK);
	assert_memory_equal(o.buf + 20, expected, sizeof(expected));
}

static void errors_and_unknown_attributes(void **state)
{
	const struct stun_types types = {.type = {0x7ffe, 0x7ffd, 0x0003}, .count = 3};
	struct stun_message m;
	struct out o;

	(void)state;
	out_begin(&o, sizeof(o.buf), STUN_CLASS_ERROR);
	stun_write_error(&o.w, STUN_ERROR_UNKNOWN_ATTRIBUTE);
	stun_write_unknown(&o.w, &types);
	assert_int_equal(stun_write_finish(&o.w, NULL, 0, true, &o.len), OK);
	assert_int_equal(stun_decode(&m, o.buf, o.len), OK);
	assert_int_equal(m.error.code, 420);
	assert_int_equal(m.error.reason.len, strlen("Unknown Attribute"));
	assert_int_equal(m.unknown_attributes.count, 3);
	assert_memory_equal(m.unknown_attributes.type, types.type, 6);
}

/* Every address that is written comes back, in both codings. */
static void addresses(void **state)
{
	static const char *const texts[] = {"0.0.0.0:0", "255.255.255.255:65535", "192.0.2.1:3478",
					    "[::]:1",	 "[2001:db8::1]:65535",	  "[fe80::1]:9"};
	static const enum stun_attribute attributes[] = {STUN_MAPPED_ADDRESS,
							 STUN_XOR_MAPPED_ADDRESS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(attributes); j++) {
			struct stun_message m;
			struct netaddr a;
			struct out o;

			assert_int_equal(netaddr_parse(texts[i], &a), OK);
			out_begin(&o, sizeof(o.buf), STUN_CLASS_SUCCESS);
			stun_write_address(&o.w, attributes[j], &a);
			assert_int_equal(stun_write_finish(&o.w, NULL, 0, true, &o.len), OK);
			assert_int_equal(stun_decode(&m, o.buf, o.len), OK);
			assert_true(netaddr_equal(&a, j == 0 ? &m.mapped_address
							     : &m.xor_mapped_address));
		}
	}
}

static void sha256(void **state)
{
	struct stun_message m;
	struct out o;

	(void)state;
	out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
	stun_write_number(&o.w, STUN_LIFETIME, 600);
	assert_int_equal(stun_write_finish_sha256(&o.w, "key", 3, true, &o.len), OK);
	assert_int_equal(stun_decode(&m, o.buf, o.len), OK);
	assert_int_equal(m.lifetime_s, 600);
	assert_int_equal(stun_check_integrity_sha256(&m, "key", 3), OK);
	assert_int_equal(stun_check_integrity_sha256(&m, "kex", 3), DROP_INTEGRITY);
	assert_int_equal(stun_check_integrity(&m, "key", 3), DROP_INTEGRITY);
}

/* At each capacity but the right one, and never a byte behind it. */
static void every_capacity(void **state)
{
	struct out o;
	size_t needed;

	(void)state;
	out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
	stun_write_username(&o.w, "a", "bc");
	assert_int_equal(stun_write_finish(&o.w, "key", 3, true, &needed), OK);
	for (size_t cap = 0; cap <= needed; cap++) {
		out_begin(&o, cap, STUN_CLASS_REQUEST);
		stun_write_username(&o.w, "a", "bc");
		assert_int_equal(stun_write_finish(&o.w, "key", 3, true, &o.len),
				 cap < needed ? ERR_NO_SPACE : OK);
		for (size_t i = cap; i < sizeof(o.buf); i++)
			assert_int_equal(o.buf[i], 0xee);
	}
}

static void wrong_calls_are_refused(void **state)
{
	const struct netaddr none = {.family = NETADDR_NONE};
	const struct stun_types many = {.count = 33};
	char long_text[514];
	enum err e;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	long_text[513] = '\0';
	for (int i = 0; i < 12; i++) {
		struct out o;

		out_begin(&o, sizeof(o.buf), STUN_CLASS_REQUEST);
		switch (i) {
		case 0:
			stun_write_number(&o.w, STUN_USERNAME, 1);
			break;
		case 1:
			stun_write_number(&o.w, STUN_PRIORITY, 1ULL << 32);
			break;
		case 2:
			stun_write_number(&o.w, STUN_REQUESTED_TRANSPORT, 256);
			break;
		case 3:
			stun_write_flag(&o.w, STUN_SOFTWARE);
			break;
		case 4:
			stun_write_bytes(&o.w, STUN_MESSAGE_INTEGRITY, long_text, 20);
			break;
		case 5:
			stun_write_bytes(&o.w, STUN_USERNAME, NULL, 0);
			break;
		case 6:
			stun_write_bytes(&o.w, STUN_USERHASH, long_text, 31);
			break;
		case 7:
			stun_write_address(&o.w, STUN_XOR_MAPPED_ADDRESS, &none);
			break;
		case 8:
			stun_write_address(&o.w, STUN_SOFTWARE, &none);
			break;
		case 9:
			stun_write_username(&o.w, long_text, "b");
			break;
		case 10:
			stun_write_error(&o.w, 299);
			break;
		case 11:
			stun_write_unknown(&o.w, &many);
			break;
		}
		e = stun_write_finish(&o.w, "key", 3, true, &o.len);
		assert_int_equal(e, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc5769_response),
		cmocka_unit_test(rfc5769_long_term),
		cmocka_unit_test(a_check_with_everything),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(reserved_bytes_are_zero),
		cmocka_unit_test(errors_and_unknown_attributes),
		cmocka_unit_test(addresses),
		cmocka_unit_test(sha256),
		cmocka_unit_test(every_capacity),
		cmocka_unit_test(wrong_calls_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
