/*
 * The input is taken as it came for a certificate and for a revocation list, and again as the
 * claims of each, signed with the right key. What is accepted is signed anew and must come back the
 * same.
 */
#include <string.h>

#include "daemon/core/cert/claims.h"
#include "daemon/core/crypto/secret.h"
#include "tests/fuzz/fuzz.h"

#define CERT_CONTEXT	   ""
#define REVOCATION_CONTEXT "icetun revocation list"

static uint8_t public[SIGN_PUBLIC_BYTES], secret[SIGN_SECRET_BYTES];

static void open_cert(const uint8_t *data, size_t size)
{
	uint8_t buf[CERT_MAX_BYTES];
	struct cert c, d;
	size_t len;
	enum err e = cert_open(data, size, public, &c);

	fuzz_check(e == OK || err_is_drop(e));
	if (e != OK)
		return;
	fuzz_check(identifier_is_valid(c.name));
	fuzz_check(cert_sign(&c, secret, buf, sizeof(buf), &len) == OK);
	fuzz_check(cert_open(buf, len, public, &d) == OK);
	fuzz_check(memcmp(&c, &d, sizeof(c)) == 0);
}

static void open_revocation(const uint8_t *data, size_t size)
{
	static struct revocation_list l, m;
	uint8_t buf[REVOCATION_MAX_BYTES];
	size_t len;
	enum err e = revocation_list_verify(data, size, public, &l);

	fuzz_check(e == OK || err_is_drop(e));
	if (e != OK)
		return;
	fuzz_check(revocation_list_sign(&l, secret, buf, sizeof(buf), &len) == OK);
	fuzz_check(revocation_list_verify(buf, len, public, &m) == OK);
	fuzz_check(memcmp(&l, &m, sizeof(l)) == 0);
	for (size_t i = 0; i < l.serial_count; i++)
		fuzz_check(revocation_list_contains(&l, l.serials[i]));
}

/* Puts the issuer's claim, which no fuzzer guesses, before the rest of the claims: @data holds
 * these, without the head of the map, whose count is @keys. */
static void open_signed(uint8_t keys, const uint8_t *data, size_t size)
{
	uint8_t claims[CLAIMS_MAX_BYTES], buf[REVOCATION_MAX_BYTES];
	struct wr w = wr_init(claims, sizeof(claims));
	size_t len;

	item_wr_map(&w, keys);
	fuzz_check(claims_write_issuer(&w, secret) == OK);
	wr_bytes(&w, data, size);
	if (claims_sign(&w, CERT_CONTEXT, secret, buf, sizeof(buf), &len) == OK)
		open_cert(buf, len);
	if (claims_sign(&w, REVOCATION_CONTEXT, secret, buf, sizeof(buf), &len) == OK)
		open_revocation(buf, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SIGN_SEED_BYTES] = {1};

	fuzz_check(crypto_start() == OK);
	sign_keypair(seed, public, secret);
	open_cert(data, size);
	open_revocation(data, size);
	if (size > 0)
		open_signed(data[0], data + 1, size - 1);
	return 0;
}
