/*
 * Certificates: what is signed comes back, and nothing else is taken for one. The claims that no
 * issuer of ours writes are put together here by hand and signed with the right key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cert/claims.h"
#include "daemon/core/crypto/secret.h"
#include "tests/support/hex.h"
#include "tests/support/samples.h"

static struct sample_authority authority;
static uint8_t buf[CERT_MAX_BYTES + 64];
static size_t len;

static void sign_sample(bool full)
{
	struct cert c = sample_cert(full);

	assert_int_equal(cert_sign(&c, authority.secret, buf, CERT_MAX_BYTES, &len), OK);
}

static enum err verify(struct cert *ret)
{
	return cert_verify(buf, len, authority.public, SAMPLE_NOW_S, ret);
}

/* A refusal writes nothing. */
static void assert_refused(enum err expected)
{
	struct cert c, before;

	memset(&before, 0x5a, sizeof(before));
	c = before;
	assert_int_equal(verify(&c), expected);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct cert c = sample_cert(full != 0), d;

		sign_sample(full != 0);
		assert_true(len <= CERT_MAX_BYTES);
		assert_int_equal(verify(&d), OK);
		if (full) /* cert_sign() does not look at it */
			assert_memory_equal(c.network_id, d.network_id, sizeof(c.network_id));
		assert_memory_equal(&c, &d, sizeof(c));
		for (size_t cap = 0; cap < len; cap += 7)
			assert_int_equal(cert_sign(&c, authority.secret, buf, cap, &(size_t){0}),
					 ERR_NO_SPACE);
	}
}

/* The certificate of sample_cert(false), signed by sample_authority(1). Its signature was checked
 * with OpenSSL over a Sig_structure that cbor2 wrote, and its claims were read with cbor2. */
static const char vector[] =
	"d28443a10127a058b8aa01782b774b6f616b5164434c70667a555f374c3739656c6d5363"
	"765f676653436f497775464b7744536c537657410265616c696365041a65554280051a65"
	"53e2f0061a6553f100074800000000000000073a00010000582011111111111111111111"
	"111111111111111111111111111111111111111111113a00010001582022222222222222"
	"222222222222222222222222222222222222222222222222223a0001000281440a4d0002"
	"3a000100038182440a4d0000105840616ea0f27ed6fc2cf2751b6ebdad24b85272f50880"
	"dcc8df760e9733b98f8db074fe221d118d9ecee2003e0bc1ef408ac2d42d5495186c83d7"
	"d32f1597efe50e";

static void test_vector(void **state)
{
	uint8_t expected[CERT_MAX_BYTES];
	size_t expected_len = hex(vector, expected);

	(void)state;
	sign_sample(false);
	assert_int_equal(len, expected_len);
	assert_memory_equal(buf, expected, len);
}

static void test_every_bit_counts(void **state)
{
	struct cert c;

	(void)state;
	sign_sample(false);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(verify(&c), OK);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(verify(&c), OK);
}

static void test_every_length_counts(void **state)
{
	size_t whole;

	(void)state;
	sign_sample(false);
	whole = len;
	for (len = 0; len < whole; len++)
		assert_refused(DROP_MALFORMED);
	buf[len] = 0;
	len = whole + 1;
	assert_refused(DROP_MALFORMED);
	len = CERT_MAX_BYTES + 1;
	assert_refused(DROP_TOO_LONG);
}

static void test_time(void **state)
{
	struct cert c = sample_cert(false), d;

	(void)state;
	sign_sample(false);
	assert_int_equal(cert_verify(buf, len, authority.public, c.not_before_s - 1, &d),
			 DROP_EXPIRED);
	assert_int_equal(cert_verify(buf, len, authority.public, c.not_before_s, &d), OK);
	assert_int_equal(cert_verify(buf, len, authority.public, c.not_after_s - 1, &d), OK);
	assert_int_equal(cert_verify(buf, len, authority.public, c.not_after_s, &d), DROP_EXPIRED);
	assert_int_equal(cert_open(buf, len, authority.public, &d), OK);
	assert_false(cert_is_current(&d, INT64_MIN));
	assert_false(cert_is_current(&d, INT64_MAX));
}

static void test_other_network(void **state)
{
	struct sample_authority other = sample_authority(2);
	struct cert c = sample_cert(false);

	(void)state;
	assert_int_equal(cert_sign(&c, other.secret, buf, sizeof(buf), &len), OK);
	assert_refused(DROP_NETWORK);
}

/* One claim: its label, and its value as CBOR in hexadecimal. */
struct row {
	int64_t label;
	const char *value;
};

#define KEY_VALUE                                                                                  \
	"582011111111111111111111111111111111111111111111111111111111111111"                       \
	"11"
#define ISSUER_AT 0

/* What sample_cert(false) has, by hand. */
static const struct row good[] = {
	{CLAIM_ISSUER, NULL}, /* depends on the key */
	{CLAIM_SUBJECT, "65616c696365"},
	{CLAIM_EXPIRATION, "1a65554280"},
	{CLAIM_NOT_BEFORE, "1a6553e2f0"},
	{CLAIM_ISSUED_AT, "1a6553f100"},
	{CLAIM_ID, "480000000000000007"},
	{CLAIM_NOISE_KEY, KEY_VALUE},
	{CLAIM_CURVE_KEY, KEY_VALUE},
	{CLAIM_ADDRESSES, "81440a4d0002"},
	{CLAIM_NETWORKS, "8182440a4d000010"},
};

static void write_row(struct wr *w, const struct row *row, const struct sample_authority *issuer)
{
	uint8_t value[512];

	if (row->label == CLAIM_ISSUER && !row->value) {
		assert_int_equal(claims_write_issuer(w, issuer->secret), OK);
		return;
	}
	item_wr_int(w, row->label);
	wr_bytes(w, value, hex(row->value, value));
}

/* Signs `good` with @change: in the place of the row with that label, or without a value instead of
 * it, or added at the end. */
static void sign_changed(const struct row *change, const struct sample_authority *issuer)
{
	uint8_t claims[1024];
	struct wr w = wr_init(claims, sizeof(claims));
	bool replaces = false;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		replaces |= change && good[i].label == change->label;
	item_wr_map(&w, ARRAY_SIZE(good) + (change && !replaces) -
				(change && replaces && !change->value));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (!change || good[i].label != change->label)
			write_row(&w, &good[i], issuer);
		else if (change->value)
			write_row(&w, change, issuer);
	}
	if (change && !replaces)
		write_row(&w, change, issuer);
	assert_int_equal(claims_sign(&w, "", authority.secret, buf, sizeof(buf), &len), OK);
}

static void test_each_claim_is_needed(void **state)
{
	struct cert c;

	(void)state;
	sign_changed(NULL, &authority);
	assert_int_equal(verify(&c), OK);
	assert_string_equal(c.name, "alice");
	for (size_t i = 1; i < ARRAY_SIZE(good); i++) {
		struct row without = {good[i].label, NULL};

		sign_changed(&without, &authority);
		assert_refused(DROP_MALFORMED);
	}
}

static void test_bad_claims(void **state)
{
	static const struct row bad[] = {
		{CLAIM_ISSUER, "60"},
		{CLAIM_ISSUER, "4101"},
		{CLAIM_SUBJECT, "60"},
		{CLAIM_SUBJECT, "65416c696365"},  /* capital */
		{CLAIM_SUBJECT, "45616c696365"},  /* bytes */
		{CLAIM_SUBJECT, "63612f62"},	  /* a/b */
		{CLAIM_EXPIRATION, "1a6553e2f0"}, /* never valid */
		{CLAIM_EXPIRATION, "20"},	  /* negative */
		{CLAIM_EXPIRATION, "1bffffffffffffffff"},
		{CLAIM_EXPIRATION, "fb41d9555428000000"}, /* a float */
		{CLAIM_NOT_BEFORE, "f6"},
		{CLAIM_ID, "4700000000000007"},
		{CLAIM_ID, "07"},
		{CLAIM_NOISE_KEY, "4111"},
		{CLAIM_ADDRESSES, "80"},
		{CLAIM_ADDRESSES, "440a4d0002"},
		{CLAIM_ADDRESSES, "81430a4d00"},
		{CLAIM_ADDRESSES, "81440a4e0002"}, /* not in the networks */
		{CLAIM_ADDRESSES, "815000000000000000000000ffff0a4d0002"},
		{CLAIM_ADDRESSES, "85440a4d0002440a4d0002440a4d0002440a4d0002440a4d0002"},
		{CLAIM_ADDRESSES, "9f440a4d0002ff"},
		{CLAIM_NETWORKS, "80"},
		{CLAIM_NETWORKS, "8182440a4d000210"}, /* host bits */
		{CLAIM_NETWORKS, "8182440a4d00001821"},
		{CLAIM_ROUTES, "81440a4d0000"},
		{CLAIM_ROUTES, "8182440a00000108"},
		{CLAIM_GROUPS, "8160"},
		{CLAIM_GROUPS, "816141"},
		{CLAIM_GROUPS,
		 "8178216161616161616161616161616161616161616161616161616161616161616161"
		 "61"},
		{CLAIM_GROUPS, "00"},
		{-70000, "f7"},	    /* a kind that is not used */
		{-70000, "8100ff"}, /* two items */
		{0, "00"},	    /* out of order */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		sign_changed(&bad[i], &authority);
		assert_refused(DROP_MALFORMED);
	}
}

static void test_good_claims(void **state)
{
	static const struct row fine[] = {
		{CLAIM_ROUTES, "80"},
		{CLAIM_ROUTES, "81824400000000"
			       "00"},
		{CLAIM_GROUPS, "8161"
			       "61"},
		{-70000, "a1016178"}, /* a later version's */
		{CLAIM_LIST_NUMBER, "00"},
	};
	struct cert c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		sign_changed(&fine[i], &authority);
		assert_int_equal(verify(&c), OK);
	}
}

/* The right key has signed claims that name another issuer: they are not of this network. */
static void test_issuer_has_to_match(void **state)
{
	struct sample_authority other = sample_authority(2);

	(void)state;
	sign_changed(NULL, &other);
	assert_refused(DROP_NETWORK);
}

/* COSE around the claims: only the one form. */
static void test_cose_form(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} changes[] = {
		{"d284", "d184"},		      /* another tag */
		{"d284", "84"},			      /* no tag */
		{"d28443a10127a0", "d28443a10126a0"}, /* ES256 */
		{"d28443a10127a0", "d28440a0"},	      /* no algorithm */
		{"d28443a10127a0", "d28443a10127a10126"},
		{"d28443a10127a0", "d28443a10127f6"},
		{"d28443a10127a0", "d28443a10127a104413"
				   "1"},
		{"d284", "d285"},
		{"d284", "d28f"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		uint8_t changed[CERT_MAX_BYTES + 16], from[32];
		size_t from_len = hex(changes[i].from, from);
		size_t to_len = hex(changes[i].to, changed);

		sign_sample(false);
		assert_memory_equal(buf, from, from_len);
		memcpy(changed + to_len, buf + from_len, len - from_len);
		len += to_len - from_len;
		memcpy(buf, changed, len);
		assert_refused(DROP_MALFORMED);
	}
}

static void test_is_no_revocation_list(void **state)
{
	struct revocation_list l = sample_revocation(false);

	(void)state;
	assert_int_equal(revocation_list_sign(&l, authority.secret, buf, sizeof(buf), &len), OK);
	assert_refused(DROP_SIGNATURE);
}

static void assert_not_signed(const struct cert *c)
{
	assert_int_equal(cert_sign(c, authority.secret, buf, sizeof(buf), &len), ERR_INVALID);
}

static void test_sign_refuses(void **state)
{
	struct cert c;

	(void)state;
#define CHANGED(change)                                                                            \
	c = sample_cert(true);                                                                     \
	change;                                                                                    \
	assert_not_signed(&c)

	CHANGED(c.name[0] = '-');
	CHANGED(c.name[0] = '\0');
	CHANGED(memset(c.name, 'a', sizeof(c.name)));
	CHANGED(c.address_count = 0);
	CHANGED(c.address_count = CERT_MAX_ADDRESSES + 1);
	CHANGED(c.network_count = 0);
	CHANGED(c.network_count = CERT_MAX_NETWORKS + 1);
	CHANGED(c.route_count = CERT_MAX_ROUTES + 1);
	CHANGED(c.group_count = CERT_MAX_GROUPS + 1);
	CHANGED(c.addresses[0].port = 1);
	CHANGED(c.addresses[1].scope_id = 1);
	CHANGED(c.addresses[0].family = NETADDR_NONE);
	CHANGED(c.addresses[0].ip[0] = 11);
	CHANGED(c.networks[0].ip[3] = 1);
	CHANGED(c.networks[0].length_bits = 33);
	CHANGED(c.networks[1].family = 5);
	CHANGED(c.routes[1].ip[3] = 1);
	CHANGED(c.groups[0][0] = ' ');
	CHANGED(memset(c.groups[7], 'a', CERT_GROUP_BYTES));
	CHANGED(c.not_after_s = c.not_before_s);
	CHANGED(c.not_before_s = -1);
	CHANGED(c.issued_s = -1);
#undef CHANGED
}

static void test_sources(void **state)
{
	struct cert c = sample_cert(false);
	struct netaddr a;

	(void)state;
	c.routes[0] = sample_prefix("192.168.5.0/24");
	c.route_count = 1;
	a = sample_ip("10.77.0.2", 80);
	assert_true(cert_allows_source(&c, &a));
	a = sample_ip("10.77.0.3", 0);
	assert_false(cert_allows_source(&c, &a));
	a = sample_ip("192.168.5.9", 0);
	assert_true(cert_allows_source(&c, &a));
	a = sample_ip("192.168.6.9", 0);
	assert_false(cert_allows_source(&c, &a));
	a = sample_ip("::a4d:2", 0);
	assert_false(cert_allows_source(&c, &a));
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
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_every_length_counts),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_other_network),
		cmocka_unit_test(test_each_claim_is_needed),
		cmocka_unit_test(test_bad_claims),
		cmocka_unit_test(test_good_claims),
		cmocka_unit_test(test_issuer_has_to_match),
		cmocka_unit_test(test_cose_form),
		cmocka_unit_test(test_is_no_revocation_list),
		cmocka_unit_test(test_sign_refuses),
		cmocka_unit_test(test_sources),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
