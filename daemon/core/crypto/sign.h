/* Ed25519 (RFC 8032). */
#ifndef ICETUN_CRYPTO_SIGN_H
#define ICETUN_CRYPTO_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"

#define SIGN_SEED_BYTES	  32
#define SIGN_PUBLIC_BYTES 32
#define SIGN_SECRET_BYTES 64
#define SIGN_BYTES	  64

/* The key pair of @seed. @ret_secret belongs in secret memory. */
void sign_keypair(const uint8_t seed[static SIGN_SEED_BYTES],
		  uint8_t ret_public[static SIGN_PUBLIC_BYTES],
		  uint8_t ret_secret[static SIGN_SECRET_BYTES]);
/* The public key that belongs to @secret. */
void sign_public(const uint8_t secret[static SIGN_SECRET_BYTES],
		 uint8_t ret[static SIGN_PUBLIC_BYTES]);
void sign(const uint8_t secret[static SIGN_SECRET_BYTES], const void *data, size_t len,
	  uint8_t ret[static SIGN_BYTES]);
/* Return: OK, DROP_SIGNATURE. */
MUST_USE enum err sign_verify(const uint8_t public[static SIGN_PUBLIC_BYTES], const void *data,
			      size_t len, const uint8_t signature[static SIGN_BYTES]);

#endif
