#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "tests/support/hex.h"

static void rfc7748_vectors(void **state)
{
	static const char *const vectors[][3] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t secret[DH_BYTES], public[DH_BYTES], expected[DH_BYTES], out[DH_BYTES];

		hex(vectors[i][0], secret);
		hex(vectors[i][1], public);
		hex(vectors[i][2], expected);
		assert_int_equal(dh(secret, public, out), OK);
		assert_memory_equal(out, expected, sizeof(out));
	}
}

static void rfc7748_iterated(void **state)
{
	uint8_t k[DH_BYTES] = {9}, u[DH_BYTES] = {9}, r[DH_BYTES], expected[DH_BYTES];

	(void)state;
	for (size_t i = 1; i <= 1000; i++) {
		assert_int_equal(dh(k, u, r), OK);
		memcpy(u, k, sizeof(u));
		memcpy(k, r, sizeof(k));
		if (i != 1 && i != 1000)
			continue;
		hex(i == 1 ? "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
			   : "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
		    expected);
		assert_memory_equal(k, expected, sizeof(k));
	}
}

static void rfc7748_agreement(void **state)
{
	uint8_t a[DH_BYTES], b[DH_BYTES], a_public[DH_BYTES], b_public[DH_BYTES];
	uint8_t out[DH_BYTES], expected[DH_BYTES];

	(void)state;
	hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a);
	hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b);
	dh_public(a, a_public);
	hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", expected);
	assert_memory_equal(a_public, expected, DH_BYTES);
	dh_public(b, b_public);
	hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", expected);
	assert_memory_equal(b_public, expected, DH_BYTES);
	hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", expected);
	assert_int_equal(dh(a, b_public, out), OK);
	assert_memory_equal(out, expected, DH_BYTES);
	assert_int_equal(dh(b, a_public, out), OK);
	assert_memory_equal(out, expected, DH_BYTES);
}

/* The points of small order, each of which would give a secret that everybody knows. */
static void low_order_points_are_refused(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	static const uint8_t zero[DH_BYTES];
	uint8_t secret[DH_BYTES] = {1, 2, 3}, public[DH_BYTES], out[DH_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		hex(points[i], public);
		memset(out, 0xaa, sizeof(out));
		assert_int_equal(dh(secret, public, out), ERR_KEY);
		assert_memory_equal(out, zero, sizeof(out));
	}
}

static void generated_pairs(void **state)
{
	struct random_seeded seeded;
	struct random_source source;
	struct dh_keypair a, b;
	uint8_t ab[DH_BYTES], ba[DH_BYTES];

	(void)state;
	random_seeded_init(&seeded, 1);
	source = random_seeded_source(&seeded);
	dh_generate(&a, &source);
	dh_generate(&b, &source);
	assert_memory_not_equal(a.secret, b.secret, DH_BYTES);
	assert_int_equal(dh(a.secret, b.public, ab), OK);
	assert_int_equal(dh(b.secret, a.public, ba), OK);
	assert_memory_equal(ab, ba, DH_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc7748_vectors),   cmocka_unit_test(rfc7748_iterated),
		cmocka_unit_test(rfc7748_agreement), cmocka_unit_test(low_order_points_are_refused),
		cmocka_unit_test(generated_pairs),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
