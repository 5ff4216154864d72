#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cert/claims.h"
#include "daemon/core/crypto/secret.h"
#include "tests/support/samples.h"

static struct sample_authority authority;
static uint8_t buf[REVOCATION_MAX_BYTES + 64];
static size_t len;

static void sign_sample(bool full)
{
	struct revocation_list l = sample_revocation(full);

	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len), OK);
}

static void assert_refused(enum err expected)
{
	static struct revocation_list l, before;

	memset(&before, 0x5a, sizeof(before));
	l = before;
	assert_int_equal(revocation_list_verify(buf, len, authority.public, &l), expected);
	assert_memory_equal(&l, &before, sizeof(l));
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct revocation_list l = sample_revocation(full != 0), m;

		sign_sample(full != 0);
		assert_true(len <= REVOCATION_MAX_BYTES);
		assert_int_equal(revocation_list_verify(buf, len, authority.public, &m), OK);
		assert_memory_equal(&l, &m, sizeof(l));
		assert_int_equal(
			revocation_list_sign(&l, authority.secret, buf, len - 1, &(size_t){0}),
			ERR_NO_SPACE);
	}
}

static void test_contains(void **state)
{
	struct revocation_list l = {.serials = {3, 5, 9, UINT64_MAX}};

	(void)state;
	for (size_t n = 0; n <= 4; n++) {
		l.serial_count = n;
		for (uint64_t serial = 0; serial < 12; serial++)
			assert_int_equal(revocation_list_contains(&l, serial),
					 (n > 0 && serial == 3) || (n > 1 && serial == 5) ||
						 (n > 2 && serial == 9));
		assert_int_equal(revocation_list_contains(&l, UINT64_MAX), n == 4);
	}
}

static void test_every_bit_counts(void **state)
{
	(void)state;
	sign_sample(false);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		static struct revocation_list l;

		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(revocation_list_verify(buf, len, authority.public, &l), OK);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	while (len-- > 0)
		assert_refused(DROP_MALFORMED);
	len = REVOCATION_MAX_BYTES + 1;
	assert_refused(DROP_TOO_LONG);
}

static void test_is_no_certificate(void **state)
{
	struct cert c = sample_cert(false);

	(void)state;
	assert_int_equal(cert_sign(&c, authority.secret, buf, sizeof(buf), &len), OK);
	assert_refused(DROP_SIGNATURE);
}

static void test_other_network(void **state)
{
	struct sample_authority other = sample_authority(2);
	struct revocation_list l = sample_revocation(false);

	(void)state;
	assert_int_equal(revocation_list_sign(&l, other.secret, buf, sizeof(buf), &len), OK);
	assert_refused(DROP_NETWORK);
}

static void test_sign_refuses(void **state)
{
	struct revocation_list l = {.serials = {3, 3}, .serial_count = 2};

	(void)state;
	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len),
			 ERR_INVALID);
	l.serials[1] = 2;
	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len),
			 ERR_INVALID);
	l.serial_count = REVOCATION_MAX_SERIALS + 1;
	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len),
			 ERR_INVALID);
	l = (struct revocation_list){.issued_s = -1};
	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len),
			 ERR_INVALID);
}

/* Signed by the right key, but not as we would: the serials in @count items from @first,
 * falling. */
static void sign_by_hand(uint64_t count, bool with_number, bool falling)
{
	uint8_t claims[CLAIMS_MAX_BYTES];
	struct wr w = wr_init(claims, sizeof(claims));

	item_wr_map(&w, with_number ? 4 : 3);
	assert_int_equal(claims_write_issuer(&w, authority.secret), OK);
	claims_write_time(&w, CLAIM_ISSUED_AT, 5);
	if (with_number) {
		item_wr_int(&w, CLAIM_LIST_NUMBER);
		item_wr_uint(&w, 1);
	}
	item_wr_int(&w, CLAIM_LIST_SERIALS);
	item_wr_array(&w, count);
	for (uint64_t i = 0; i < count; i++)
		item_wr_uint(&w, falling ? count - i : i);
	assert_int_equal(
		claims_sign(&w, "icetun revocation list", authority.secret, buf, sizeof(buf), &len),
		OK);
}

static void test_bad_claims(void **state)
{
	struct revocation_list l;

	(void)state;
	sign_by_hand(REVOCATION_MAX_SERIALS, true, false);
	assert_int_equal(revocation_list_verify(buf, len, authority.public, &l), OK);
	sign_by_hand(REVOCATION_MAX_SERIALS + 1, true, false);
	assert_refused(DROP_MALFORMED);
	sign_by_hand(2, true, true);
	assert_refused(DROP_MALFORMED);
	sign_by_hand(2, false, false);
	assert_refused(DROP_MALFORMED);
}

static int start(void **state)
{
	(void)state;
	if (crypto_start() != OK)
		return -1;
	authority = sample_authority(1);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	 cmocka_unit_test(test_contains),
		cmocka_unit_test(test_every_bit_counts), cmocka_unit_test(test_is_no_certificate),
		cmocka_unit_test(test_other_network),	 cmocka_unit_test(test_sign_refuses),
		cmocka_unit_test(test_bad_claims),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
