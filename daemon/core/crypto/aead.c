#include "daemon/core/crypto/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_BYTES 12

struct aead {
	enum aead_cipher cipher;
	EVP_CIPHER_CTX *ctx;
};

static void nonce_le(uint64_t counter, uint8_t ret[static NONCE_BYTES])
{
	memset(ret, 0, 4);
	for (size_t i = 0; i < 8; i++)
		ret[4 + i] = (uint8_t)(counter >> (8 * i));
}

static void nonce_be(uint64_t counter, uint8_t ret[static NONCE_BYTES])
{
	memset(ret, 0, 4);
	for (size_t i = 0; i < 8; i++)
		ret[4 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

bool aead_cipher_is_fast(enum aead_cipher cipher)
{
	return cipher == AEAD_CHACHA20_POLY1305 ||
	       (cipher == AEAD_AES_256_GCM && crypto_aead_aes256gcm_is_available() == 1);
}

const char *aead_cipher_name(enum aead_cipher cipher)
{
	switch (cipher) {
	case AEAD_AES_256_GCM:
		return "aes-256-gcm";
	case AEAD_CHACHA20_POLY1305:
		return "chacha20-poly1305";
	}
	return "unknown";
}

void aead_chacha_seal(const uint8_t key[static AEAD_KEY_BYTES], uint64_t counter, const void *ad,
		      size_t ad_len, const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];

	nonce_le(counter, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
}

enum err aead_chacha_open(const uint8_t key[static AEAD_KEY_BYTES], uint64_t counter,
			  const void *ad, size_t ad_len, const uint8_t *in, size_t len,
			  uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];

	nonce_le(counter, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce,
						      key) != 0)
		return DROP_DECRYPT;
	return OK;
}

static const EVP_CIPHER *evp_cipher(enum aead_cipher cipher)
{
	switch (cipher) {
	case AEAD_AES_256_GCM:
		return EVP_aes_256_gcm();
	case AEAD_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
	}
	return NULL;
}

enum err aead_create(struct aead **ret, enum aead_cipher cipher,
		     const uint8_t key[static AEAD_KEY_BYTES])
{
	const EVP_CIPHER *evp = evp_cipher(cipher);
	struct aead *a;

	if (!evp)
		return ERR_INVALID;
	a = calloc(1, sizeof(*a));
	if (!a)
		return ERR_NO_MEMORY;
	a->cipher = cipher;
	a->ctx = EVP_CIPHER_CTX_new();
	if (!a->ctx || EVP_CipherInit_ex(a->ctx, evp, NULL, key, NULL, 1) != 1) {
		aead_destroy(a);
		return ERR_CRYPTO;
	}
	*ret = a;
	return OK;
}

void aead_destroy(struct aead *a)
{
	if (!a)
		return;
	EVP_CIPHER_CTX_free(a->ctx);
	free(a);
}

/* Sets the nonce and the direction; the key stays. */
static bool begin(struct aead *a, uint64_t counter, bool sealing)
{
	uint8_t nonce[NONCE_BYTES];

	switch (a->cipher) {
	case AEAD_AES_256_GCM:
		nonce_be(counter, nonce);
		break;
	case AEAD_CHACHA20_POLY1305:
		nonce_le(counter, nonce);
		break;
	}
	return EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, nonce, sealing) == 1;
}

static bool update(struct aead *a, const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
		   uint8_t *out)
{
	int n;

	return (ad_len == 0 || EVP_CipherUpdate(a->ctx, NULL, &n, ad, (int)ad_len) == 1) &&
	       (len == 0 || EVP_CipherUpdate(a->ctx, out, &n, in, (int)len) == 1) &&
	       EVP_CipherFinal_ex(a->ctx, out + len, &n) == 1;
}

enum err aead_seal(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	if (len > INT_MAX - AEAD_TAG_BYTES || ad_len > INT_MAX)
		return ERR_CRYPTO;
	if (!begin(a, counter, true) || !update(a, ad, ad_len, in, len, out) ||
	    EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + len) != 1)
		return ERR_CRYPTO;
	return OK;
}

enum err aead_open(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t tag[AEAD_TAG_BYTES];
	size_t text_len;

	if (len < AEAD_TAG_BYTES)
		return DROP_TRUNCATED;
	if (len > INT_MAX || ad_len > INT_MAX)
		return DROP_TOO_LONG;
	text_len = len - AEAD_TAG_BYTES;
	memcpy(tag, in + text_len, sizeof(tag));
	if (!begin(a, counter, false) ||
	    EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) != 1 ||
	    !update(a, ad, ad_len, in, text_len, out)) {
		/* libcrypto writes the text before it has looked at the tag. */
		if (text_len)
			sodium_memzero(out, text_len);
		return DROP_DECRYPT;
	}
	return OK;
}
