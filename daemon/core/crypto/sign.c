#include "daemon/core/crypto/sign.h"

#include <sodium.h>

void sign_keypair(const uint8_t seed[static SIGN_SEED_BYTES],
		  uint8_t ret_public[static SIGN_PUBLIC_BYTES],
		  uint8_t ret_secret[static SIGN_SECRET_BYTES])
{
	crypto_sign_ed25519_seed_keypair(ret_public, ret_secret, seed);
}

void sign_public(const uint8_t secret[static SIGN_SECRET_BYTES],
		 uint8_t ret[static SIGN_PUBLIC_BYTES])
{
	crypto_sign_ed25519_sk_to_pk(ret, secret);
}

void sign(const uint8_t secret[static SIGN_SECRET_BYTES], const void *data, size_t len,
	  uint8_t ret[static SIGN_BYTES])
{
	crypto_sign_ed25519_detached(ret, NULL, data, len, secret);
}

enum err sign_verify(const uint8_t public[static SIGN_PUBLIC_BYTES], const void *data, size_t len,
		     const uint8_t signature[static SIGN_BYTES])
{
	return crypto_sign_ed25519_verify_detached(signature, data, len, public) == 0
		       ? OK
		       : DROP_SIGNATURE;
}
