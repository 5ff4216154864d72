#include "daemon/core/crypto/dh.h"

#include <sodium.h>

void dh_public(const uint8_t secret[static DH_BYTES], uint8_t ret[static DH_BYTES])
{
	crypto_scalarmult_curve25519_base(ret, secret);
}

void dh_generate(struct dh_keypair *ret, const struct random_source *random)
{
	random_bytes(random, ret->secret, sizeof(ret->secret));
	dh_public(ret->secret, ret->public);
}

enum err dh(const uint8_t secret[static DH_BYTES], const uint8_t public[static DH_BYTES],
	    uint8_t ret[static DH_BYTES])
{
	if (crypto_scalarmult_curve25519(ret, secret, public) != 0) {
		sodium_memzero(ret, DH_BYTES);
		return ERR_KEY;
	}
	return OK;
}
