#include "daemon/core/crypto/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#define NONCE_BYTES 12

struct aead {
	enum aead_cipher cipher;
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
	uint8_t key[AEAD_KEY_BYTES]; /* ChaCha20-Poly1305 only */
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

enum err aead_create(struct aead **ret, enum aead_cipher cipher,
		     const uint8_t key[static AEAD_KEY_BYTES])
{
	struct aead *a;

	if (cipher != AEAD_AES_256_GCM && cipher != AEAD_CHACHA20_POLY1305)
		return ERR_INVALID;
	a = sodium_malloc(sizeof(*a));
	if (!a)
		return ERR_NO_MEMORY;
	memset(a, 0, sizeof(*a));
	a->cipher = cipher;
	if (cipher == AEAD_CHACHA20_POLY1305) {
		memcpy(a->key, key, sizeof(a->key));
		*ret = a;
		return OK;
	}
	a->seal = EVP_CIPHER_CTX_new();
	a->open = EVP_CIPHER_CTX_new();
	if (!a->seal || !a->open ||
	    EVP_EncryptInit_ex(a->seal, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
	    EVP_DecryptInit_ex(a->open, EVP_aes_256_gcm(), NULL, key, NULL) != 1) {
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
	EVP_CIPHER_CTX_free(a->seal);
	EVP_CIPHER_CTX_free(a->open);
	sodium_free(a);
}

enum err aead_seal(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];
	int n;

	if (a->cipher == AEAD_CHACHA20_POLY1305) {
		aead_chacha_seal(a->key, counter, ad, ad_len, in, len, out);
		return OK;
	}
	if (len > INT_MAX || ad_len > INT_MAX)
		return ERR_CRYPTO;
	nonce_be(counter, nonce);
	if (EVP_EncryptInit_ex(a->seal, NULL, NULL, NULL, nonce) != 1 ||
	    (ad_len && EVP_EncryptUpdate(a->seal, NULL, &n, ad, (int)ad_len) != 1) ||
	    (len && EVP_EncryptUpdate(a->seal, out, &n, in, (int)len) != 1) ||
	    EVP_EncryptFinal_ex(a->seal, out + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + len) != 1)
		return ERR_CRYPTO;
	return OK;
}

enum err aead_open(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];
	uint8_t tag[AEAD_TAG_BYTES];
	size_t text_len;
	int n;

	if (len < AEAD_TAG_BYTES || len > INT_MAX || ad_len > INT_MAX)
		return DROP_TRUNCATED;
	if (a->cipher == AEAD_CHACHA20_POLY1305)
		return aead_chacha_open(a->key, counter, ad, ad_len, in, len, out);
	text_len = len - AEAD_TAG_BYTES;
	memcpy(tag, in + text_len, sizeof(tag));
	nonce_be(counter, nonce);
	if (EVP_DecryptInit_ex(a->open, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) != 1 ||
	    (ad_len && EVP_DecryptUpdate(a->open, NULL, &n, ad, (int)ad_len) != 1) ||
	    (text_len && EVP_DecryptUpdate(a->open, out, &n, in, (int)text_len) != 1) ||
	    EVP_DecryptFinal_ex(a->open, out + text_len, &n) != 1)
		return DROP_DECRYPT;
	return OK;
}
