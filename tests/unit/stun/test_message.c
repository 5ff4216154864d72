#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/hash.h"
#include "daemon/core/stun/fingerprint.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/unit/stun/vectors.h"

#define assert_text(bytes, text)                                                                   \
	do {                                                                                       \
		assert_int_equal((bytes).len, strlen(text));                                       \
		assert_memory_equal((bytes).p, text, strlen(text));                                \
	} while (0)

static const uint8_t txid[STUN_TXID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/* A message put together by hand, so that it can be as wrong as a test wants. */
struct raw {
	uint8_t buf[70000];
	size_t len;
};

static struct raw *raw_new(void)
{
	struct raw *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	memcpy(r->buf, vector_request, STUN_HEADER_BYTES);
	memcpy(r->buf + 8, txid, sizeof(txid));
	r->len = STUN_HEADER_BYTES;
	return r;
}

static void raw_set_length(struct raw *r, size_t length)
{
	r->buf[2] = (uint8_t)(length >> 8);
	r->buf[3] = (uint8_t)length;
}

/* Type, @len_field, @len bytes of @value, padding. */
static void raw_add_lying(struct raw *r, uint16_t type, size_t len_field, const uint8_t *value,
			  size_t len)
{
	uint8_t *p = r->buf + r->len;

	p[0] = (uint8_t)(type >> 8);
	p[1] = (uint8_t)type;
	p[2] = (uint8_t)(len_field >> 8);
	p[3] = (uint8_t)len_field;
	memcpy(p + 4, value, len);
	r->len += 4 + (len + 3) / 4 * 4;
	raw_set_length(r, r->len - STUN_HEADER_BYTES);
}

static void raw_add(struct raw *r, uint16_t type, const void *value, size_t len)
{
	raw_add_lying(r, type, len, value, len);
}

static void raw_add_fingerprint(struct raw *r)
{
	uint32_t crc;
	uint8_t value[4];

	raw_set_length(r, r->len + STUN_FINGERPRINT_BYTES - STUN_HEADER_BYTES);
	crc = stun_fingerprint(r->buf, r->len);
	for (size_t i = 0; i < 4; i++)
		value[i] = (uint8_t)(crc >> (24 - 8 * i));
	raw_add(r, 0x8028, value, 4);
}

/* Decodes a copy that ends exactly where the memory ends. */
static enum err decode_exact(struct stun_message *ret, const uint8_t *buf, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum err e;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	e = stun_decode(ret, copy, len);
	free(copy);
	return e;
}

static void rfc5769_request(void **state)
{
	struct stun_message m;

	(void)state;
	assert_int_equal(stun_decode(&m, vector_request, sizeof(vector_request)), OK);
	assert_int_equal(m.class, STUN_CLASS_REQUEST);
	assert_int_equal(m.method, STUN_METHOD_BINDING);
	assert_memory_equal(m.txid, vector_request + 8, STUN_TXID_BYTES);
	assert_text(m.software, "STUN test client");
	assert_text(m.username, "evtj:h6vY");
	assert_true(stun_has(&m, STUN_PRIORITY));
	assert_int_equal(m.priority, 0x6e0001ff);
	assert_true(stun_has(&m, STUN_ICE_CONTROLLED));
	assert_true(m.ice_controlled == 0x932ff9b151263b36);
	assert_false(stun_has(&m, STUN_ICE_CONTROLLING));
	assert_false(stun_has(&m, STUN_USE_CANDIDATE));
	assert_true(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(m.unknown.count, 0);
	assert_int_equal(stun_check_integrity(&m, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD)), OK);
	assert_int_equal(stun_check_integrity(&m, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD) - 1),
			 DROP_INTEGRITY);
	assert_int_equal(stun_check_integrity(&m, NULL, 0), DROP_INTEGRITY);
	assert_int_equal(stun_check_integrity_sha256(&m, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD)),
			 DROP_INTEGRITY);
}

static void check_response(const uint8_t *buf, size_t len, const char *ip)
{
	struct stun_message m;
	struct netaddr expected;

	assert_int_equal(netaddr_parse_ip(ip, 32853, &expected), OK);
	assert_int_equal(stun_decode(&m, buf, len), OK);
	assert_int_equal(m.class, STUN_CLASS_SUCCESS);
	assert_text(m.software, "test vector");
	assert_true(stun_has(&m, STUN_XOR_MAPPED_ADDRESS));
	assert_true(netaddr_equal(&m.xor_mapped_address, &expected));
	assert_int_equal(stun_check_integrity(&m, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD)), OK);
}

static void rfc5769_responses(void **state)
{
	(void)state;
	check_response(vector_response_ip4, sizeof(vector_response_ip4), "192.0.2.1");
	check_response(vector_response_ip6, sizeof(vector_response_ip6),
		       "2001:db8:1234:5678:11:2233:4455:6677");
}

static void rfc5769_long_term(void **state)
{
	struct stun_message m;
	uint8_t key[MD5_BYTES];

	(void)state;
	assert_int_equal(stun_decode(&m, vector_long_term, sizeof(vector_long_term)), OK);
	assert_text(m.username, VECTOR_LONG_TERM_USER);
	assert_text(m.nonce, "f//499k954d6OL34oL9FSTvy64sA");
	assert_text(m.realm, "example.org");
	assert_false(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(hash_md5(VECTOR_LONG_TERM_TEXT, strlen(VECTOR_LONG_TERM_TEXT), key), OK);
	assert_int_equal(stun_check_integrity(&m, key, sizeof(key)), OK);
}

static void rfc8489_sha256(void **state)
{
	static const char user[] = VECTOR_LONG_TERM_USER ":example.org";
	uint8_t key[SHA256_BYTES], hash[SHA256_BYTES], changed[sizeof(vector_sha256)];
	struct stun_message m;

	(void)state;
	assert_int_equal(stun_decode(&m, vector_sha256, sizeof(vector_sha256)), OK);
	assert_text(m.nonce, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
	assert_text(m.realm, "example.org");
	assert_int_equal(m.userhash.len, sizeof(hash));
	assert_int_equal(hash_sha256(user, strlen(user), hash), OK);
	assert_memory_equal(m.userhash.p, hash, sizeof(hash));
	assert_int_equal(m.password_algorithm.len, 4);
	assert_memory_equal(m.password_algorithm.p, "\0\2\0\0", 4);
	assert_int_equal(hash_sha256(VECTOR_LONG_TERM_TEXT, strlen(VECTOR_LONG_TERM_TEXT), key),
			 OK);
	assert_int_equal(stun_check_integrity_sha256(&m, key, sizeof(key)), OK);
	memcpy(changed, vector_sha256, sizeof(changed));
	changed[30] ^= 1;
	assert_int_equal(stun_decode(&m, changed, sizeof(changed)), OK);
	assert_int_equal(stun_check_integrity_sha256(&m, key, sizeof(key)), DROP_INTEGRITY);
}

/* No bit can be changed: FINGERPRINT tells, or is not FINGERPRINT any more; and the same for the
 * integrity of the message without FINGERPRINT. */
static void every_flipped_bit_is_noticed(void **state)
{
	uint8_t buf[sizeof(vector_request)];
	struct stun_message m;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(buf); bit++) {
		memcpy(buf, vector_request, sizeof(buf));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (stun_decode(&m, buf, sizeof(buf)) == OK)
			assert_false(stun_has(&m, STUN_FINGERPRINT));
		else
			assert_int_equal(m.present, 0);
	}
	for (size_t bit = 0; bit < 8 * (sizeof(buf) - STUN_FINGERPRINT_BYTES); bit++) {
		memcpy(buf, vector_request, sizeof(buf));
		buf[3] -= STUN_FINGERPRINT_BYTES;
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (stun_decode(&m, buf, sizeof(buf) - STUN_FINGERPRINT_BYTES) == OK)
			assert_int_equal(
				stun_check_integrity(&m, VECTOR_PASSWORD, strlen(VECTOR_PASSWORD)),
				DROP_INTEGRITY);
	}
}

static void every_truncation_is_refused(void **state)
{
	uint8_t buf[sizeof(vector_request)];
	struct stun_message m;

	(void)state;
	for (size_t len = 0; len < sizeof(vector_request); len++) {
		memcpy(buf, vector_request, len);
		assert_int_equal(decode_exact(&m, buf, len),
				 len < STUN_HEADER_BYTES ? DROP_TRUNCATED : DROP_MALFORMED);
		if (len < STUN_HEADER_BYTES)
			continue;
		/* The same with a header that does not lie. */
		buf[2] = 0;
		buf[3] = (uint8_t)(len - STUN_HEADER_BYTES);
		if (len % 4 != 0)
			assert_int_equal(decode_exact(&m, buf, len), DROP_MALFORMED);
		else
			(void)!decode_exact(&m, buf, len);
	}
}

static void framing(void **state)
{
	struct raw *r = raw_new();

	(void)state;
	raw_set_length(r, 0);
	assert_true(stun_is_message(r->buf, 20));
	assert_false(stun_is_message(r->buf, 19));
	assert_false(stun_is_message(r->buf, 21));
	assert_false(stun_is_message(r->buf, 24));
	assert_false(stun_is_message(NULL, 0));
	r->buf[0] |= 0x40;
	assert_false(stun_is_message(r->buf, 20));
	r->buf[0] = 0x80;
	assert_false(stun_is_message(r->buf, 20));
	r->buf[0] = 0;
	r->buf[7] ^= 1;
	assert_false(stun_is_message(r->buf, 20));
	r->buf[7] ^= 1;
	raw_set_length(r, 2);
	assert_false(stun_is_message(r->buf, 22));
	raw_set_length(r, 4);
	assert_true(stun_is_message(r->buf, 24));
	free(r);
}

/* A value of @len bytes that is right for the codec when its length is. */
static void make_value(enum stun_codec codec, uint8_t *value, size_t len)
{
	memset(value, 'x', len + 1);
	if ((codec == STUN_CODEC_ADDRESS || codec == STUN_CODEC_XOR_ADDRESS) && len >= 2)
		value[1] = len == 20 ? 2 : 1;
	if (codec == STUN_CODEC_ERROR && len >= 4) {
		value[2] = 4;
		value[3] = 20;
	}
}

static bool length_is_legal(const struct stun_attribute_row *row, size_t len)
{
	if (len < row->min_bytes || len > row->max_bytes)
		return false;
	switch (row->codec) {
	case STUN_CODEC_ADDRESS:
	case STUN_CODEC_XOR_ADDRESS:
		return len == 8 || len == 20;
	case STUN_CODEC_TYPES:
		return len % 2 == 0;
	case STUN_CODEC_POSITION:
		return len % 4 == 0;
	case STUN_CODEC_BYTES:
	case STUN_CODEC_FLAG:
	case STUN_CODEC_U8:
	case STUN_CODEC_U16:
	case STUN_CODEC_U32:
	case STUN_CODEC_U64:
	case STUN_CODEC_ERROR:
		break;
	}
	return true;
}

/* The class of error behind PJSIP CVE-2021-37706 and its relatives: each attribute at each
 * length. */
static void every_attribute_at_every_length(void **state)
{
	static uint8_t value[66000];
	struct stun_message m;

	(void)state;
	for (enum stun_attribute a = 0; a < STUN_ATTRIBUTE_COUNT; a++) {
		const struct stun_attribute_row *row = stun_attribute_row(a);
		size_t last = row->max_bytes < 1000 ? row->max_bytes + 5u : 1000;

		if (a == STUN_FINGERPRINT)
			continue; /* its value would have to be right: next test */
		for (size_t len = 0; len <= last; len++) {
			struct raw *r = raw_new();
			bool legal = length_is_legal(row, len);

			make_value(row->codec, value, len);
			raw_add(r, row->type, value, len);
			assert_int_equal(decode_exact(&m, r->buf, r->len),
					 legal ? OK : DROP_MALFORMED);
			assert_int_equal(stun_has(&m, a), legal);

			/* Missing padding, and a header that claims more than there is. */
			if (len % 4 != 0) {
				raw_set_length(r, len + 4);
				assert_int_equal(decode_exact(&m, r->buf, len + 24),
						 DROP_MALFORMED);
			}
			r->len = STUN_HEADER_BYTES;
			raw_add_lying(r, row->type, len + 4, value, len);
			assert_int_equal(decode_exact(&m, r->buf, r->len), DROP_TRUNCATED);
			r->len = STUN_HEADER_BYTES;
			raw_add_lying(r, row->type, 0xffff, value, len);
			assert_int_equal(decode_exact(&m, r->buf, r->len), DROP_TRUNCATED);
			free(r);
		}
	}
}

static void fingerprint_must_be_last_and_right(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	raw_add(r, 0x0024, "\0\0\0\7", 4);
	raw_add_fingerprint(r);
	assert_int_equal(decode_exact(&m, r->buf, r->len), OK);
	assert_int_equal(m.fingerprint_offset, r->len - 8);
	r->buf[r->len - 1] ^= 1;
	assert_int_equal(decode_exact(&m, r->buf, r->len), DROP_FINGERPRINT);
	r->buf[r->len - 1] ^= 1;
	raw_add(r, 0x8022, "late", 4);
	assert_int_equal(decode_exact(&m, r->buf, r->len), DROP_MALFORMED);
	for (size_t len = 0; len < 12; len++) {
		r->len = STUN_HEADER_BYTES;
		raw_add(r, 0x8028, "abcdefghijkl", len);
		assert_int_equal(decode_exact(&m, r->buf, r->len),
				 len == 4 ? DROP_FINGERPRINT : DROP_MALFORMED);
	}
	free(r);
}

/* Attributes that someone appends behind the integrity (coturn, 2026). */
static void attributes_behind_integrity_are_ignored(void **state)
{
	uint8_t buf[STUN_SAFE_BYTES];
	struct stun_writer w;
	struct stun_message m;
	struct raw *r = raw_new();
	size_t len;

	(void)state;
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING, txid);
	stun_write_number(&w, STUN_PRIORITY, 5);
	assert_int_equal(stun_write_finish(&w, "key", 3, false, &len), OK);
	memcpy(r->buf, buf, len);
	r->len = len;
	raw_add(r, 0x0025, "", 0); /* USE-CANDIDATE */
	raw_add(r, 0x0024, "\0\0\0\7", 4);
	raw_add(r, 0x7ffe, "", 0);   /* required, unknown */
	raw_add(r, 0x0020, "xx", 2); /* XOR-MAPPED-ADDRESS, wrong */
	raw_add_fingerprint(r);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_false(stun_has(&m, STUN_USE_CANDIDATE));
	assert_false(stun_has(&m, STUN_XOR_MAPPED_ADDRESS));
	assert_int_equal(m.priority, 5);
	assert_int_equal(m.unknown.count, 0);
	assert_true(stun_has(&m, STUN_FINGERPRINT));
	assert_int_equal(stun_check_integrity(&m, "key", 3), OK);
	free(r);
}

static void sha256_behind_sha1_is_checked_too(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();
	uint8_t code[SHA256_BYTES];

	(void)state;
	raw_add(r, 0x0024, "\0\0\0\7", 4);
	raw_set_length(r, r->len + 24 - STUN_HEADER_BYTES);
	assert_int_equal(hmac_sha1("key", 3, r->buf, r->len, NULL, 0, code), OK);
	raw_add(r, 0x0008, code, SHA1_BYTES);
	raw_set_length(r, r->len + 20 - STUN_HEADER_BYTES); /* cut to 16 bytes */
	assert_int_equal(hmac_sha256("key", 3, r->buf, r->len, NULL, 0, code), OK);
	raw_add(r, 0x001c, code, 16);
	raw_add(r, 0x0025, "", 0);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_false(stun_has(&m, STUN_USE_CANDIDATE));
	assert_int_equal(stun_check_integrity(&m, "key", 3), OK);
	assert_int_equal(stun_check_integrity_sha256(&m, "key", 3), OK);
	r->buf[r->len - 8] ^= 1; /* in the SHA-256 code */
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_int_equal(stun_check_integrity(&m, "key", 3), DROP_INTEGRITY);
	free(r);
}

/* MESSAGE-INTEGRITY that follows the SHA-256 one is unprotected and does not count. */
static void sha1_behind_sha256_does_not_count(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();
	uint8_t code[SHA256_BYTES];

	(void)state;
	raw_set_length(r, r->len + 36 - STUN_HEADER_BYTES);
	assert_int_equal(hmac_sha256("key", 3, r->buf, r->len, NULL, 0, code), OK);
	raw_add(r, 0x001c, code, 32);
	raw_set_length(r, r->len + 24 - STUN_HEADER_BYTES);
	assert_int_equal(hmac_sha1("key", 3, r->buf, r->len, NULL, 0, code), OK);
	raw_add(r, 0x0008, code, SHA1_BYTES);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_int_equal(stun_check_integrity(&m, "key", 3), DROP_INTEGRITY);
	assert_int_equal(stun_check_integrity_sha256(&m, "key", 3), OK);
	free(r);
}

static void first_occurrence_wins(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	raw_add(r, 0x0024, "\0\0\0\7", 4);
	raw_add(r, 0x0024, "\0\0\0\10", 4);
	raw_add(r, 0x0024, "x", 1);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_int_equal(m.priority, 7);
	free(r);
}

static void unknown_required_attributes_are_collected(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	raw_add(r, 0xc001, "abcd", 4); /* optional: ignored */
	for (uint16_t i = 0; i < 20; i++)
		raw_add(r, (uint16_t)(0x7f00 + i), "", 0);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_int_equal(m.unknown.count, STUN_MAX_UNKNOWN);
	for (uint16_t i = 0; i < STUN_MAX_UNKNOWN; i++)
		assert_int_equal(m.unknown.type[i], 0x7f00 + i);
	free(r);
}

static void at_most_32_attributes(void **state)
{
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	for (size_t i = 0; i < STUN_MAX_ATTRIBUTES; i++)
		raw_add(r, 0xc001, "", 0);
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	raw_add(r, 0xc001, "", 0);
	assert_int_equal(stun_decode(&m, r->buf, r->len), DROP_MALFORMED);
	free(r);
}

static void error_codes(void **state)
{
	struct stun_message m;

	(void)state;
	for (unsigned int class = 0; class < 256; class ++) {
		for (unsigned int number = 0; number < 256; number++) {
			uint8_t value[6] = {0, 0, (uint8_t) class, (uint8_t)number, 'n', 'o'};
			bool legal = (class & 7) >= 3 && (class & 7) <= 6 && number < 100;
			struct raw r;

			memcpy(r.buf, vector_request, STUN_HEADER_BYTES);
			r.len = STUN_HEADER_BYTES;
			raw_add(&r, 0x0009, value, sizeof(value));
			memset(r.buf + 30, 0, 2);
			assert_int_equal(stun_decode(&m, r.buf, r.len),
					 legal ? OK : DROP_MALFORMED);
			if (!legal)
				continue;
			assert_int_equal(m.error.code, (class & 7) * 100 + number);
			assert_text(m.error.reason, "no");
		}
	}
	assert_string_equal(stun_error_reason(487), "Role Conflict");
	assert_string_equal(stun_error_reason(699), "Error");
}

static void mapped_ip4_in_ip6_is_ip4(void **state)
{
	static const uint8_t value[20] = {0, 2, 0x12, 0x34, 0,	  0,	0,   0, 0, 0,
					  0, 0, 0,    0,    0xff, 0xff, 192, 0, 2, 1};
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	raw_add(r, 0x0001, value, sizeof(value));
	assert_int_equal(stun_decode(&m, r->buf, r->len), OK);
	assert_int_equal(m.mapped_address.family, NETADDR_IP4);
	assert_int_equal(m.mapped_address.port, 0x1234);
	free(r);
}

static void types_of_all_classes_and_methods(void **state)
{
	struct stun_message m;

	(void)state;
	for (uint16_t method = 0; method <= 0xfff; method++) {
		for (enum stun_class class = STUN_CLASS_REQUEST; class <= STUN_CLASS_ERROR;
		     class ++) {
			uint8_t buf[STUN_HEADER_BYTES];
			struct stun_writer w;
			size_t len;

			stun_write_begin(&w, buf, sizeof(buf), class, method, txid);
			assert_int_equal(stun_write_finish(&w, NULL, 0, false, &len), OK);
			assert_int_equal(stun_decode(&m, buf, len), OK);
			assert_int_equal(m.class, class);
			assert_int_equal(m.method, method);
		}
	}
}

/* The longest framing there can be. */
static void longest_message(void **state)
{
	static uint8_t value[65528];
	struct stun_message m;
	struct raw *r = raw_new();

	(void)state;
	raw_add(r, 0x0013, value, 65528);
	assert_int_equal(decode_exact(&m, r->buf, r->len), OK);
	assert_int_equal(m.data.len, 65528);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc5769_request),
		cmocka_unit_test(rfc5769_responses),
		cmocka_unit_test(rfc5769_long_term),
		cmocka_unit_test(rfc8489_sha256),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(framing),
		cmocka_unit_test(every_attribute_at_every_length),
		cmocka_unit_test(fingerprint_must_be_last_and_right),
		cmocka_unit_test(attributes_behind_integrity_are_ignored),
		cmocka_unit_test(sha256_behind_sha1_is_checked_too),
		cmocka_unit_test(sha1_behind_sha256_does_not_count),
		cmocka_unit_test(first_occurrence_wins),
		cmocka_unit_test(unknown_required_attributes_are_collected),
		cmocka_unit_test(at_most_32_attributes),
		cmocka_unit_test(error_codes),
		cmocka_unit_test(mapped_ip4_in_ip6_is_ip4),
		cmocka_unit_test(types_of_all_classes_and_methods),
		cmocka_unit_test(longest_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
