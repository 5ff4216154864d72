/*
 * What certificates and revocation lists have in common: CWT claims (RFC 8392) that the authority
 * signed in a COSE_Sign1 (RFC 9052 s. 4.2, 4.4). Only for the room cert.
 *
 *	18([h'a10127', {}, h'claims', h'signature'])
 *
 * The signature covers ["Signature1", h'a10127', context, h'claims'], where the context tells one
 * kind of claims from another.
 */
#ifndef ICETUN_CERT_CLAIMS_H
#define ICETUN_CERT_CLAIMS_H

#include <stdint.h>

#include "daemon/core/cbor/item.h"
#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/revocation.h"

/* Room for the tag, the headers and the signature around the claims. */
#define CLAIMS_OVERHEAD_BYTES 80
/* No claims are longer. */
#define CLAIMS_MAX_BYTES (REVOCATION_MAX_BYTES - CLAIMS_OVERHEAD_BYTES)

/* RFC 8392 s. 4, then the private ones: these labels are on the wire for ever. */
enum claim {
	CLAIM_ISSUER = 1,
	CLAIM_SUBJECT = 2,
	CLAIM_EXPIRATION = 4,
	CLAIM_NOT_BEFORE = 5,
	CLAIM_ISSUED_AT = 6,
	CLAIM_ID = 7,
	CLAIM_NOISE_KEY = -65537,
	CLAIM_CURVE_KEY = -65538,
	CLAIM_ADDRESSES = -65539,
	CLAIM_NETWORKS = -65540,
	CLAIM_ROUTES = -65541,
	CLAIM_GROUPS = -65542,
	CLAIM_LIST_NUMBER = -65543,
	CLAIM_LIST_SERIALS = -65544,
};

/* Appends the label and the issuer claim for the key @secret. Return: OK, ERR_CRYPTO. */
MUST_USE enum err claims_write_issuer(struct wr *w, const uint8_t secret[static SIGN_SECRET_BYTES]);
/* Reads the value of the issuer claim. */
void claims_read_issuer(struct item_rd *r, uint8_t ret[static CERT_NETWORK_BYTES]);
/* Appends the label and a number of seconds. */
void claims_write_time(struct wr *w, enum claim claim, int64_t unix_s);

/* Signs @claims into @out. Return: OK, ERR_NO_SPACE. */
MUST_USE enum err claims_sign(const struct wr *claims, const char *context,
			      const uint8_t secret[static SIGN_SECRET_BYTES], uint8_t *out,
			      size_t cap, size_t *ret_len);

/* Checks the form and the signature of @buf. Return: OK, and *ret reads the claims, which name
 * @authority_public as their issuer; DROP_TOO_LONG (above @max_bytes), DROP_MALFORMED,
 * DROP_SIGNATURE, DROP_NETWORK, ERR_CRYPTO. */
MUST_USE enum err claims_open(const uint8_t *buf, size_t len, size_t max_bytes, const char *context,
			      const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
			      struct item_rd *ret);

#endif
