#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/crypto/sign.h"
#include "tests/support/hex.h"

static void rfc8032_vectors(void **state)
{
	static const char *const vectors[][4] = {
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		 "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		 "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		 "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t seed[SIGN_SEED_BYTES], expected[SIGN_BYTES], message[2];
		uint8_t public[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES], out[SIGN_BYTES];
		size_t len;

		hex(vectors[i][0], seed);
		sign_keypair(seed, public, secret);
		hex(vectors[i][1], expected);
		assert_memory_equal(public, expected, sizeof(public));
		len = hex(vectors[i][2], message);
		hex(vectors[i][3], expected);
		sign(secret, message, len, out);
		assert_memory_equal(out, expected, sizeof(out));
		assert_int_equal(sign_verify(public, message, len, out), OK);
	}
}

static void any_change_is_noticed(void **state)
{
	static const uint8_t seed[SIGN_SEED_BYTES] = {1};
	uint8_t public[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES], sig[SIGN_BYTES];
	uint8_t message[] = "message";

	(void)state;
	sign_keypair(seed, public, secret);
	sign(secret, message, sizeof(message), sig);
	for (size_t bit = 0; bit < 8 * sizeof(sig); bit++) {
		sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sign_verify(public, message, sizeof(message), sig),
				 DROP_SIGNATURE);
		sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sign_verify(public, message, sizeof(message), sig),
				 DROP_SIGNATURE);
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(sign_verify(public, message, sizeof(message) - 1, sig), DROP_SIGNATURE);
	public[0] ^= 1;
	assert_int_equal(sign_verify(public, message, sizeof(message), sig), DROP_SIGNATURE);
}

/* S + L is another form of S: a signature must have one form only (Nebula GO-2026-4458). */
static void malleable_signatures_are_refused(void **state)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a,	      0x63,
					  0x12, 0x58, 0xd6, 0x9c, 0xf7,	      0xa2,
					  0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	static const uint8_t seed[SIGN_SEED_BYTES] = {1};
	uint8_t public[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES], sig[SIGN_BYTES];
	unsigned int carry = 0;

	(void)state;
	sign_keypair(seed, public, secret);
	sign(secret, "m", 1, sig);
	for (size_t i = 0; i < 32; i++) {
		carry += sig[32 + i] + (unsigned int)order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_int_equal(sign_verify(public, "m", 1, sig), DROP_SIGNATURE);
}

/* A public key of small order would let one signature fit many messages. */
static void small_order_keys_are_refused(void **state)
{
	uint8_t public[SIGN_PUBLIC_BYTES] = {1}, sig[SIGN_BYTES] = {1};

	(void)state;
	assert_int_equal(sign_verify(public, "m", 1, sig), DROP_SIGNATURE);
	memset(public, 0, sizeof(public));
	assert_int_equal(sign_verify(public, "m", 1, sig), DROP_SIGNATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc8032_vectors),
		cmocka_unit_test(any_change_is_noticed),
		cmocka_unit_test(malleable_signatures_are_refused),
		cmocka_unit_test(small_order_keys_are_refused),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
