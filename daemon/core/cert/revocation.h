/*
 * Revocation lists: the serials of certificates that are void before their time.
 *
 * A list is signed by the authority in the same form as a certificate (cert.h), with the external
 * data "icetun revocation list", so that neither can be taken for the other. Lists are numbered; a
 * host keeps the one with the highest number that it has ever verified and ignores older ones,
 * which makes it pointless to hold a newer one back for long: it comes with the next registration
 * anywhere. Certificates that have expired need not stand in the list any more.
 *
 *	1  iss  the network id in base64url      -65543  the list's number
 *	6  iat  when it was signed               -65544  the serials, rising
 */
#ifndef ICETUN_CERT_REVOCATION_H
#define ICETUN_CERT_REVOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/crypto/sign.h"

#define REVOCATION_MAX_SERIALS 384
#define REVOCATION_MAX_BYTES   4096

struct revocation_list {
	uint64_t number;
	int64_t issued_s;
	uint64_t serials[REVOCATION_MAX_SERIALS]; /* rising, none twice */
	size_t serial_count;
};

/* Signs @l into @out, REVOCATION_MAX_BYTES at most. Return: OK, ERR_INVALID (serials do not rise,
 * too many), ERR_NO_SPACE, ERR_CRYPTO. */
MUST_USE enum err revocation_list_sign(const struct revocation_list *l,
				       const uint8_t authority_secret[static SIGN_SECRET_BYTES],
				       uint8_t *out, size_t cap, size_t *ret_len);

/* Checks the signature, then reads. Return: OK, DROP_TOO_LONG, DROP_MALFORMED, DROP_SIGNATURE,
 * DROP_NETWORK, ERR_CRYPTO. *ret is untouched unless OK. */
MUST_USE enum err revocation_list_verify(const uint8_t *buf, size_t len,
					 const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
					 struct revocation_list *ret);

bool revocation_list_contains(const struct revocation_list *l, uint64_t serial);

#endif
