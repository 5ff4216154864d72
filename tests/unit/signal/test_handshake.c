#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cbor/item.h"
#include "tests/support/samples.h"

static const uint8_t certificate[CERT_MAX_BYTES] = {7};
static struct signal_handshake h, decoded;
static uint8_t buf[SIGNAL_HANDSHAKE_MAX_BYTES + 1];
static size_t len;

static void encode_sample(bool full)
{
	h = sample_handshake(full, certificate, sizeof(certificate));
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), OK);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		encode_sample(full != 0);
		assert_int_equal(signal_handshake_decode(buf, len, &decoded), OK);
		assert_memory_equal(&decoded.ice, &h.ice, sizeof(h.ice));
		assert_int_equal(decoded.certificate_len, h.certificate_len);
		assert_memory_equal(decoded.certificate, certificate, sizeof(certificate));
		assert_true(decoded.certificate > buf && decoded.certificate < buf + len);
		assert_int_equal(decoded.cipher_count, h.cipher_count);
		assert_memory_equal(decoded.ciphers, h.ciphers, sizeof(h.ciphers));
		assert_true(decoded.timestamp_us == h.timestamp_us);
		assert_int_equal(decoded.receiver_index, h.receiver_index);
		assert_int_equal(decoded.lanes, h.lanes);
		assert_int_equal(decoded.mtu_bytes, h.mtu_bytes);
		assert_int_equal(decoded.features, h.features);
		assert_true(decoded.seen_us == h.seen_us);
	}
}

static void assert_refused(size_t n, enum err expected)
{
	static struct signal_handshake before;
	uint8_t *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	memcpy(exact, buf, n);
	memset(&before, 0x5a, sizeof(before));
	decoded = before;
	assert_int_equal(signal_handshake_decode(exact, n, &decoded), expected);
	assert_memory_equal(&decoded, &before, sizeof(decoded));
	free(exact);
}

static void test_truncated_and_trailing(void **state)
{
	(void)state;
	encode_sample(true);
	for (size_t n = 0; n < len; n += 3)
		assert_refused(n, DROP_MALFORMED);
	buf[len] = 0;
	assert_refused(len + 1, DROP_MALFORMED);
	assert_refused(sizeof(buf), DROP_TOO_LONG);
}

/* Each key taken out: all but the MTU have to be there. */
static void test_required(void **state)
{
	struct item_rd r;
	struct item_map map;
	uint64_t key;
	size_t seen = 0;

	(void)state;
	encode_sample(false);
	r = item_rd_init(buf, len);
	item_rd_map(&r, &map);
	while (item_map_next(&r, &map, &key)) {
		static uint8_t less[sizeof(buf)];
		struct rd value = item_rd_raw(&r);
		size_t before = (size_t)(value.p - buf) - 1;
		size_t after = (size_t)(buf + len - value.end);

		memcpy(less, buf, before);
		memcpy(less + before, value.end, after);
		less[0]--;
		assert_int_equal(signal_handshake_decode(less, before + after, &decoded),
				 DROP_MALFORMED);
		seen++;
	}
	assert_int_equal(seen, 7);
}

static void test_version(void **state)
{
	(void)state;
	encode_sample(false);
	assert_int_equal(buf[1], 0);
	buf[2] = 2;
	assert_refused(len, DROP_VERSION);
}

/* Everything behind the certificate, with values as given. */
static enum err decode_with(size_t ciphers, uint64_t cipher, uint64_t index, uint64_t lanes,
			    uint64_t mtu, bool later)
{
	struct wr w = wr_init(buf, sizeof(buf));

	item_wr_map(&w, (size_t)7 + (mtu != 0) + later);
	item_wr_uint(&w, 0);
	item_wr_uint(&w, 1);
	item_wr_uint(&w, 1);
	item_wr_map(&w, 2);
	item_wr_uint(&w, 1);
	item_wr_text(&w, "abcd");
	item_wr_uint(&w, 2);
	item_wr_text(&w, "abcdefghijklmnopqrstuv");
	item_wr_uint(&w, 2);
	item_wr_bytes(&w, certificate, 10);
	item_wr_uint(&w, 3);
	item_wr_array(&w, ciphers);
	for (size_t i = 0; i < ciphers; i++)
		item_wr_uint(&w, cipher);
	item_wr_uint(&w, 4);
	item_wr_uint(&w, 5);
	item_wr_uint(&w, 5);
	item_wr_uint(&w, index);
	item_wr_uint(&w, 6);
	item_wr_uint(&w, lanes);
	if (mtu) {
		item_wr_uint(&w, 7);
		item_wr_uint(&w, mtu);
	}
	if (later) {
		item_wr_uint(&w, 11);
		item_wr_text(&w, "?");
	}
	return signal_handshake_decode(buf, wr_len(&w), &decoded);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(decode_with(1, 1, 1, 1, 0, false), OK);
	assert_int_equal(decode_with(1, 1, 1, 1, 0, true), OK);
	assert_int_equal(decode_with(4, 200, UINT32_MAX, 16, 65535, true), OK);
	assert_int_equal(decode_with(9, 9, 1, 1, 0, false), OK); /* the first 4 are kept */
	assert_int_equal(decoded.cipher_count, SIGNAL_MAX_CIPHERS);
	assert_int_equal(decode_with(0, 0, 1, 1, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(17, 1, 1, 1, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 256, 1, 1, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 0, 1, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 1ull << 32, 1, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 1, 0, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 1, 17, 0, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 1, 1, 1279, false), DROP_MALFORMED);
	assert_int_equal(decode_with(1, 1, 1, 1, 1280, false), OK);
	assert_int_equal(decode_with(1, 1, 1, 1, 65536, false), DROP_MALFORMED);
}

static void test_encode_refuses(void **state)
{
	(void)state;
#define CHANGED(change)                                                                            \
	h = sample_handshake(true, certificate, sizeof(certificate));                              \
	change;                                                                                    \
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), ERR_INVALID)

	CHANGED(h.certificate = NULL);
	CHANGED(h.certificate_len = 0);
	CHANGED(h.certificate_len++);
	CHANGED(h.cipher_count = 0);
	CHANGED(h.cipher_count++);
	CHANGED(h.receiver_index = 0);
	CHANGED(h.lanes = 0);
	CHANGED(h.lanes++);
	CHANGED(h.mtu_bytes = 1279);
	CHANGED(h.ice.ufrag[0] = ':');
	CHANGED(h.ice.candidate_count++);
	CHANGED(h.ice.candidates[3].addr.port = 0);
	CHANGED(h.ice.option_count++);
#undef CHANGED
}

/* Candidates with all that they may carry do not fit 32 times. */
static void test_too_long(void **state)
{
	(void)state;
	h = sample_handshake(true, certificate, sizeof(certificate));
	for (size_t i = 0; i < h.ice.candidate_count; i++) {
		for (size_t k = 0; k < ICE_MAX_CANDIDATE_EXTENSIONS; k++)
			memset(h.ice.candidates[i].extensions[k].value, 'v',
			       ICE_EXTENSION_VALUE_MAX_BYTES);
	}
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), ERR_NO_SPACE);
	h.ice.candidate_count = 8;
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), OK);
	assert_int_equal(signal_handshake_encode(&h, buf, len - 1, &(size_t){0}), ERR_NO_SPACE);
}

/* A restart names its session and needs no certificate; nothing else goes without. */
static void test_restart(void **state)
{
	(void)state;
	h = sample_handshake(false, certificate, sizeof(certificate));
	h.certificate_len = 0;
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), ERR_INVALID);
	h.restarts = UINT32_MAX;
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), OK);
	assert_int_equal(signal_handshake_decode(buf, len, &decoded), OK);
	assert_int_equal(decoded.restarts, UINT32_MAX);
	assert_int_equal(decoded.certificate_len, 0);
	h.certificate_len = sizeof(certificate);
	assert_int_equal(signal_handshake_encode(&h, buf, sizeof(buf), &len), OK);
	assert_int_equal(signal_handshake_decode(buf, len, &decoded), OK);
	assert_int_equal(decoded.restarts, UINT32_MAX);
	assert_int_equal(decoded.certificate_len, sizeof(certificate));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated_and_trailing),
		cmocka_unit_test(test_required),   cmocka_unit_test(test_version),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_too_long),   cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
