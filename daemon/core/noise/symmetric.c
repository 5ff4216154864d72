#include "daemon/core/noise/symmetric.h"

#include <string.h>

#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/secret.h"

void symmetric_init(struct symmetric *s, const char *protocol)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->h, protocol, strnlen(protocol, sizeof(s->h)));
	memcpy(s->ck, s->h, sizeof(s->ck));
}

void symmetric_mix_hash(struct symmetric *s, const void *data, size_t len)
{
	hash_blake2b(s->h, sizeof(s->h), data, len, s->h);
}

static void set_key(struct symmetric *s, const uint8_t key[static BLAKE2B_BYTES])
{
	memcpy(s->k, key, sizeof(s->k));
	s->n = 0;
}

void symmetric_mix_key(struct symmetric *s, const uint8_t *input, size_t len)
{
	uint8_t key[BLAKE2B_BYTES];

	hkdf_blake2b(s->ck, input, len, s->ck, key, NULL);
	set_key(s, key);
	secret_wipe(key, sizeof(key));
}

void symmetric_mix_key_and_hash(struct symmetric *s, const uint8_t *input, size_t len)
{
	uint8_t hash[BLAKE2B_BYTES], key[BLAKE2B_BYTES];

	hkdf_blake2b(s->ck, input, len, s->ck, hash, key);
	symmetric_mix_hash(s, hash, sizeof(hash));
	set_key(s, key);
	secret_wipe(hash, sizeof(hash));
	secret_wipe(key, sizeof(key));
}

enum err symmetric_mix_dh(struct symmetric *s, const uint8_t *secret, const uint8_t *public)
{
	uint8_t shared[DH_BYTES];
	enum err e = dh(secret, public, shared);

	if (e == OK)
		symmetric_mix_key(s, shared, sizeof(shared));
	secret_wipe(shared, sizeof(shared));
	return e;
}

void symmetric_seal(struct symmetric *s, const void *in, size_t len, uint8_t *out)
{
	aead_chacha_seal(s->k, s->n++, s->h, sizeof(s->h), in, len, out);
	symmetric_mix_hash(s, out, len + AEAD_TAG_BYTES);
}

enum err symmetric_open(struct symmetric *s, const uint8_t *in, size_t len, uint8_t *out)
{
	if (aead_chacha_open(s->k, s->n, s->h, sizeof(s->h), in, len, out) != OK)
		return DROP_HANDSHAKE;
	s->n++;
	symmetric_mix_hash(s, in, len);
	return OK;
}

void symmetric_split(const struct symmetric *s, uint8_t ret_first[static AEAD_KEY_BYTES],
		     uint8_t ret_second[static AEAD_KEY_BYTES])
{
	uint8_t first[BLAKE2B_BYTES], second[BLAKE2B_BYTES];

	hkdf_blake2b(s->ck, NULL, 0, first, second, NULL);
	memcpy(ret_first, first, AEAD_KEY_BYTES);
	memcpy(ret_second, second, AEAD_KEY_BYTES);
	secret_wipe(first, sizeof(first));
	secret_wipe(second, sizeof(second));
}
