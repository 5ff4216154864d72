/* X25519 (RFC 7748). All-zero results, which low-order points give, are refused. */
#ifndef ICETUN_CRYPTO_DH_H
#define ICETUN_CRYPTO_DH_H

#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"

#define DH_BYTES 32

struct dh_keypair {
	uint8_t secret[DH_BYTES];
	uint8_t public[DH_BYTES];
};

/* A fresh pair from @random. Wipe it with secret_wipe() when done. */
void dh_generate(struct dh_keypair *ret, const struct random_source *random);
/* The public key of @secret. */
void dh_public(const uint8_t secret[static DH_BYTES], uint8_t ret[static DH_BYTES]);
/* Return: OK; ERR_KEY when @public is a low-order point, then @ret is wiped. */
MUST_USE enum err dh(const uint8_t secret[static DH_BYTES], const uint8_t public[static DH_BYTES],
		     uint8_t ret[static DH_BYTES]);

#endif
