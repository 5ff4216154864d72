#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/aead_mb.h"
#include "daemon/core/crypto/secret.h"
#include "tests/support/hex.h"

static const enum aead_cipher ciphers[] = {AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305};

static struct aead *make(enum aead_cipher cipher, const uint8_t key[static AEAD_KEY_BYTES])
{
	struct aead *a = NULL;

	assert_int_equal(aead_create(&a, cipher, key), OK);
	return a;
}

/* McGrew and Viega, test cases 13 and 14: their nonce is zero, as ours with counter 0. */
static void gcm_test_cases(void **state)
{
	static const uint8_t key[AEAD_KEY_BYTES];
	static const uint8_t text[16];
	uint8_t out[32], expected[32];
	struct aead *a = make(AEAD_AES_256_GCM, key);

	(void)state;
	hex("530f8afbc74536b9a963b4f1c4cb738b", expected);
	assert_int_equal(aead_seal(a, 0, NULL, 0, NULL, 0, out), OK);
	assert_memory_equal(out, expected, 16);
	hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", expected);
	assert_int_equal(aead_seal(a, 0, NULL, 0, text, sizeof(text), out), OK);
	assert_memory_equal(out, expected, 32);
	aead_destroy(a);
}

/* Made with AESGCM of Python's cryptography, which takes the nonce as 12 bytes: 00000000 and the
 * counter, big-endian. */
static void gcm_with_counter_and_associated_data(void **state)
{
	uint8_t key[AEAD_KEY_BYTES], out[64], expected[64];
	struct aead *a;
	size_t n = hex("70260060a99829fc7aeb989c3e085fd00e9c24b67a43903188939f34b7543253"
		       "34372b2d",
		       expected);

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	a = make(AEAD_AES_256_GCM, key);
	assert_int_equal(aead_seal(a, 0x0102030405060708, (const uint8_t *)"header", 6,
				   (const uint8_t *)"twenty bytes of text", 20, out),
			 OK);
	assert_int_equal(n, 36);
	assert_memory_equal(out, expected, n);
	aead_destroy(a);
}

/* RFC 8439 appendix A.5: the nonce begins with four zero bytes there too. */
static const char chacha_key[] = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
static const char chacha_ad[] = "f33388860000000000004e91";
static const char chacha_tag[] = "eead9d67890cbb22392336fea1851f38";
static const char chacha_start[] = "64a0861575861af460f062c79be643bd";
static const char chacha_text[] =
	"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
	"replaced, or obsoleted by other documents at any time. It is inappropriate to use "
	"Internet-Drafts as reference material or to cite them other than as "
	"/\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
#define CHACHA_COUNTER 0x0807060504030201ULL

static void rfc8439_chacha20_poly1305(void **state)
{
	size_t len = sizeof(chacha_text) - 1;
	uint8_t key[AEAD_KEY_BYTES], ad[12], tag[16], start[16], out[300], back[300];
	struct aead *a;

	(void)state;
	hex(chacha_key, key);
	hex(chacha_ad, ad);
	hex(chacha_tag, tag);
	hex(chacha_start, start);
	assert_int_equal(len, 265);
	aead_chacha_seal(key, CHACHA_COUNTER, ad, sizeof(ad), (const uint8_t *)chacha_text, len,
			 out);
	assert_memory_equal(out, start, sizeof(start));
	assert_memory_equal(out + len, tag, sizeof(tag));
	assert_int_equal(aead_chacha_open(key, CHACHA_COUNTER, ad, sizeof(ad), out, len + 16, back),
			 OK);
	assert_memory_equal(back, chacha_text, len);

	a = make(AEAD_CHACHA20_POLY1305, key);
	assert_int_equal(aead_seal(a, CHACHA_COUNTER, ad, sizeof(ad), (const uint8_t *)chacha_text,
				   len, back),
			 OK);
	assert_memory_equal(back, out, len + 16);
	aead_destroy(a);
}

/* Both ciphers, all small lengths, with and without associated data, in place and not. */
static void there_and_back(void **state)
{
	uint8_t key[AEAD_KEY_BYTES] = {7}, text[80], sealed[96], back[96];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct aead *a = make(ciphers[c], key);

		for (size_t len = 0; len <= sizeof(text); len++) {
			size_t ad_len = len % 17;

			assert_int_equal(aead_seal(a, len, text, ad_len, text, len, sealed), OK);
			memcpy(back, text, len);
			assert_int_equal(aead_seal(a, len, text, ad_len, back, len, back), OK);
			assert_memory_equal(back, sealed, len + AEAD_TAG_BYTES);
			assert_int_equal(
				aead_open(a, len, text, ad_len, back, len + AEAD_TAG_BYTES, back),
				OK);
			assert_memory_equal(back, text, len);
			assert_int_equal(
				aead_open(a, len, text, ad_len, sealed, len + AEAD_TAG_BYTES, back),
				OK);
			assert_memory_equal(back, text, len);
		}
		aead_destroy(a);
	}
}

static void any_change_is_noticed(void **state)
{
	uint8_t key[AEAD_KEY_BYTES] = {7}, ad[5] = {1}, sealed[36], bad[36], back[36];

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct aead *a = make(ciphers[c], key);

		assert_int_equal(
			aead_seal(a, 9, ad, 5, (const uint8_t *)"01234567890123456789", 20, sealed),
			OK);
		for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
			memcpy(bad, sealed, sizeof(bad));
			bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(aead_open(a, 9, ad, 5, bad, sizeof(bad), back),
					 DROP_DECRYPT);
		}
		for (size_t len = 0; len < sizeof(sealed); len++)
			assert_int_equal(aead_open(a, 9, ad, 5, sealed, len, back),
					 len < AEAD_TAG_BYTES ? DROP_TRUNCATED : DROP_DECRYPT);
		assert_int_equal(aead_open(a, 8, ad, 5, sealed, sizeof(sealed), back),
				 DROP_DECRYPT);
		assert_int_equal(aead_open(a, 9ULL << 32, ad, 5, sealed, sizeof(sealed), back),
				 DROP_DECRYPT);
		assert_int_equal(aead_open(a, 9, ad, 4, sealed, sizeof(sealed), back),
				 DROP_DECRYPT);
		/* And the right one is still taken after all that. */
		assert_int_equal(aead_open(a, 9, ad, 5, sealed, sizeof(sealed), back), OK);
		aead_destroy(a);
	}
}

/* libcrypto writes the text before it has looked at the tag: none of it may be left. */
static void refused_text_is_wiped(void **state)
{
	static const uint8_t zero[20];
	uint8_t key[AEAD_KEY_BYTES] = {7}, sealed[36], back[20];

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct aead *a = make(ciphers[c], key);

		assert_int_equal(aead_seal(a, 9, NULL, 0, (const uint8_t *)"01234567890123456789",
					   20, sealed),
				 OK);
		sealed[35] ^= 1;
		memset(back, 'x', sizeof(back));
		assert_int_equal(aead_open(a, 9, NULL, 0, sealed, sizeof(sealed), back),
				 DROP_DECRYPT);
		assert_memory_equal(back, zero, sizeof(zero));
		aead_destroy(a);
	}
}

static void short_input_of_the_one_shot_form(void **state)
{
	uint8_t key[AEAD_KEY_BYTES] = {0}, in[AEAD_TAG_BYTES] = {0}, out[1];

	(void)state;
	for (size_t len = 0; len <= sizeof(in); len++)
		assert_int_equal(aead_chacha_open(key, 0, NULL, 0, in, len, out), DROP_DECRYPT);
}

static void names_and_unknown_ciphers(void **state)
{
	uint8_t key[AEAD_KEY_BYTES] = {0};
	struct aead *a = NULL;

	(void)state;
	assert_int_equal(aead_create(&a, (enum aead_cipher)3, key), ERR_INVALID);
	assert_int_equal(aead_create(&a, (enum aead_cipher)0, key), ERR_INVALID);
	assert_null(a);
	aead_destroy(NULL);
	assert_string_equal(aead_cipher_name(AEAD_AES_256_GCM), "aes-256-gcm");
	assert_string_equal(aead_cipher_name(AEAD_CHACHA20_POLY1305), "chacha20-poly1305");
	assert_string_equal(aead_cipher_name((enum aead_cipher)9), "unknown");
	assert_true(aead_cipher_is_fast(AEAD_CHACHA20_POLY1305));
	assert_false(aead_cipher_is_fast((enum aead_cipher)9));
}

/* What one implementation has sealed, the other one opens, to the byte. */
static void both_implementations_agree(void **state)
{
	uint8_t key[AEAD_KEY_BYTES] = {9}, text[9000], a_out[9016], b_out[9016], ad[16] = {1, 2, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i ^ i >> 8);
	for (size_t c = 0; c < 2; c++) {
		struct aead *a = make(ciphers[c], key), *b;

		aead_mb_enable(false);
		b = make(ciphers[c], key);
		aead_mb_enable(true);
		for (size_t len = 0; len <= sizeof(text); len += 1 + len / 20) {
			uint64_t counter = len << 50 | len;

			assert_int_equal(aead_seal(a, counter, ad, 16, text, len, a_out), OK);
			assert_int_equal(aead_seal(b, counter, ad, 16, text, len, b_out), OK);
			assert_memory_equal(a_out, b_out, len + AEAD_TAG_BYTES);
			assert_int_equal(
				aead_open(a, counter, ad, 16, b_out, len + AEAD_TAG_BYTES, a_out),
				OK);
			assert_memory_equal(a_out, text, len);
		}
		aead_destroy(a);
		aead_destroy(b);
	}
}

static int use_libcrypto(void **state)
{
	(void)state;
	aead_mb_enable(false);
	return 0;
}

static int use_any(void **state)
{
	(void)state;
	aead_mb_enable(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gcm_test_cases),
		cmocka_unit_test(gcm_with_counter_and_associated_data),
		cmocka_unit_test(rfc8439_chacha20_poly1305),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(any_change_is_noticed),
		cmocka_unit_test(refused_text_is_wiped),
		cmocka_unit_test(short_input_of_the_one_shot_form),
		cmocka_unit_test(names_and_unknown_ciphers),
		cmocka_unit_test(both_implementations_agree),
	};
	int failed;

	if (crypto_start() != OK)
		return 1;
	aead_start();
	failed = cmocka_run_group_tests_name("any", tests, NULL, NULL);
	return failed + cmocka_run_group_tests_name("libcrypto", tests, use_libcrypto, use_any);
}
