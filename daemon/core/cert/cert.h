/*
 * Membership certificates: what makes a host a member of a network.
 *
 * The network's authority, an Ed25519 key, signs a small set of claims that binds an identifier to
 * the host's two X25519 keys, its overlay addresses, the routes that it may announce, its groups
 * and a time of validity. Everybody who holds the authority's public key can check that, and nobody
 * has to be asked. The *network id* is the SHA-256 of that public key.
 *
 * The form is a CWT (RFC 8392) in a COSE_Sign1 (RFC 9052 s. 4.2) with the tag 18, EdDSA in the
 * protected header {1: -8}, an empty unprotected header, empty external data, and deterministic
 * CBOR throughout, so that one certificate has one encoding. The claims, which docs/icetun.cddl
 * defines:
 *
 *	1  iss  the network id in base64url      -65537  X25519 key of the Noise handshake
 *	2  sub  the identifier                   -65538  X25519 key of CURVE
 *	4  exp  not valid from then on           -65539  overlay addresses
 *	5  nbf  not valid before                 -65540  prefixes of the overlay itself
 *	6  iat  when it was signed               -65541  routes that the host may announce
 *	7  cti  the serial, 8 bytes              -65542  groups
 *
 * Labels below -65536 are the registry's private use. Times are whole seconds of Unix time. Claims
 * with other labels are passed over, so a later version can add some.
 *
 *	err = cert_sign(&cert, authority_secret, buf, sizeof(buf), &len);
 *	err = cert_verify(buf, len, authority_public, unix_s, &cert);     // at any other member
 */
#ifndef ICETUN_CERT_CERT_H
#define ICETUN_CERT_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/identifier.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/hash.h"
#include "daemon/core/crypto/sign.h"

/* No certificate is longer. */
#define CERT_MAX_BYTES	   1024
#define CERT_MAX_ADDRESSES 4
#define CERT_MAX_NETWORKS  4
#define CERT_MAX_ROUTES	   8
#define CERT_MAX_GROUPS	   8
/* The longest group name, an identifier too, and its NUL. */
#define CERT_GROUP_BYTES   33
#define CERT_NETWORK_BYTES SHA256_BYTES

struct cert {
	uint8_t network_id[CERT_NETWORK_BYTES]; /* cert_sign() takes it from the key instead */
	uint64_t serial;			/* unique in its network */
	char name[IDENTIFIER_BYTES];
	uint8_t noise_public[DH_BYTES];
	uint8_t curve_public[DH_BYTES];
	struct netaddr addresses[CERT_MAX_ADDRESSES]; /* port 0; each lies in one of networks */
	size_t address_count;			      /* 1.. */
	struct netprefix networks[CERT_MAX_NETWORKS];
	size_t network_count; /* 1.. */
	struct netprefix routes[CERT_MAX_ROUTES];
	size_t route_count;
	char groups[CERT_MAX_GROUPS][CERT_GROUP_BYTES];
	size_t group_count;
	int64_t issued_s;
	int64_t not_before_s;
	int64_t not_after_s; /* the first second in which it is no longer valid */
};

/* The network id that belongs to @authority_public. Return: OK, ERR_CRYPTO. */
MUST_USE enum err cert_network_id(const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
				  uint8_t ret[static CERT_NETWORK_BYTES]);

/*
 * Signs @c into @out, CERT_MAX_BYTES at most.
 * Return: OK; ERR_INVALID when a name, address, prefix or count is not allowed, or it would never
 * be valid; ERR_NO_SPACE; ERR_CRYPTO.
 */
MUST_USE enum err cert_sign(const struct cert *c,
			    const uint8_t authority_secret[static SIGN_SECRET_BYTES], uint8_t *out,
			    size_t cap, size_t *ret_len);

/*
 * Checks the signature over @buf, then reads the claims. Time and revocation are not looked at: for
 * everything but showing a certificate, use cert_verify().
 * Return: OK; DROP_TOO_LONG; DROP_MALFORMED; DROP_SIGNATURE; DROP_NETWORK when it says itself that
 * it belongs to another network; ERR_CRYPTO. *ret is untouched unless OK.
 */
MUST_USE enum err cert_open(const uint8_t *buf, size_t len,
			    const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
			    struct cert *ret);

/* cert_open(), and valid at @unix_s. Return: as there, or DROP_EXPIRED (also when not valid
 * yet). */
MUST_USE enum err cert_verify(const uint8_t *buf, size_t len,
			      const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
			      int64_t unix_s, struct cert *ret);

/* not_before_s <= @unix_s < not_after_s */
bool cert_is_current(const struct cert *c, int64_t unix_s);

/* The host may use the overlay address @a as its own: it is one of addresses, or lies in a
 * route. */
bool cert_allows_source(const struct cert *c, const struct netaddr *a);

#endif
