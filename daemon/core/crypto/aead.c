#include "daemon/core/crypto/aead.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/aead_mb.h"

#define NONCE_BYTES AEAD_NONCE_BYTES

/* It ends a block of whole cache lines, which begins with the key of the other library if that does
 * it: 1,008 bytes for AES-256-GCM, so 16 lines for all. */
struct aead {
	EVP_CIPHER_CTX *ctx; /* NULL: the union aead_mb does it all */
	uint32_t mb_bytes;   /* so far before this one the block begins */
	enum aead_cipher cipher;
};

/* For AES-256-GCM of the other library. */
#define USUAL_ROOM 1008

static union aead_mb *mb_of(const struct aead *a)
{
	return (union aead_mb *)((uintptr_t)a - a->mb_bytes);
}

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
#ifdef ICETUN_NULL_CIPHER
	if (cipher == AEAD_NULL)
		return true;
#endif
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
#ifdef ICETUN_NULL_CIPHER
	case AEAD_NULL:
		return "null";
#endif
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

void aead_start(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	aead_mb_start();
}

static const EVP_CIPHER *evp_cipher(enum aead_cipher cipher)
{
	switch (cipher) {
	case AEAD_AES_256_GCM:
		return EVP_aes_256_gcm();
	case AEAD_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
#ifdef ICETUN_NULL_CIPHER
	case AEAD_NULL:
		return EVP_enc_null();
#endif
	}
	return NULL;
}

_Static_assert(AEAD_MB_ALIGN % sizeof(struct aead) == 0, "both fill whole lines");

/* Enough for the key of the library, if it serves, and whole lines with a struct aead. */
static size_t mb_room(enum aead_cipher cipher)
{
	size_t bytes = aead_mb_serves(cipher) ? aead_mb_bytes(cipher) : 0;
	size_t lines = (bytes + sizeof(struct aead) + AEAD_MB_ALIGN - 1) / AEAD_MB_ALIGN;

	return lines * AEAD_MB_ALIGN - sizeof(struct aead);
}

enum err aead_create(struct aead **ret, enum aead_cipher cipher,
		     const uint8_t key[static AEAD_KEY_BYTES])
{
	const EVP_CIPHER *evp = evp_cipher(cipher);
	size_t mb_bytes = mb_room(cipher);
	struct aead *a;
	uint8_t *block;

	if (!evp)
		return ERR_INVALID;
	block = aligned_alloc(AEAD_MB_ALIGN, mb_bytes + sizeof(*a));
	if (!block)
		return ERR_NO_MEMORY;
	a = (struct aead *)(void *)(block + mb_bytes);
	*a = (struct aead){.mb_bytes = (uint32_t)mb_bytes, .cipher = cipher};
	if (aead_mb_serves(cipher)) {
		aead_mb_init(mb_of(a), cipher, key);
		*ret = a;
		return OK;
	}
	a->ctx = EVP_CIPHER_CTX_new();
	if (!a->ctx || EVP_CipherInit_ex(a->ctx, evp, NULL, key, NULL, 1) != 1) {
		aead_destroy(a);
		return ERR_CRYPTO;
	}
	*ret = a;
	return OK;
}

void aead_prefetch(const struct aead *a)
{
	/* A comparison is guessed; an address that is computed from what has to be fetched waits
	 * for it. */
	size_t bytes = a->mb_bytes == USUAL_ROOM ? USUAL_ROOM : 0;

	for (size_t at = 0; at <= bytes; at += AEAD_MB_ALIGN)
		__builtin_prefetch((const uint8_t *)a - at);
}

void aead_destroy(struct aead *a)
{
	if (!a)
		return;
	if (!a->ctx)
		sodium_memzero(mb_of(a), a->mb_bytes);
	EVP_CIPHER_CTX_free(a->ctx);
	free(mb_of(a));
}

static void nonce_for(const struct aead *a, uint64_t counter, uint8_t ret[static NONCE_BYTES])
{
	switch (a->cipher) {
	case AEAD_AES_256_GCM:
		nonce_be(counter, ret);
		break;
	case AEAD_CHACHA20_POLY1305:
#ifdef ICETUN_NULL_CIPHER
	case AEAD_NULL:
#endif
		nonce_le(counter, ret);
		break;
	}
}

/* Sets the nonce and the direction; the key stays. */
static bool begin(struct aead *a, const uint8_t nonce[static NONCE_BYTES], bool sealing)
{
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

#ifdef ICETUN_NULL_CIPHER
static enum err null_seal(const uint8_t *in, size_t len, uint8_t *out)
{
	if (in != out && len)
		memcpy(out, in, len);
	memset(out + len, 0, AEAD_TAG_BYTES);
	return OK;
}

static enum err null_open(const uint8_t *in, size_t len, uint8_t *out)
{
	if (in != out && len)
		memcpy(out, in, len);
	return OK;
}
#endif

enum err aead_seal(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES];

	if (len > INT_MAX - AEAD_TAG_BYTES || ad_len > INT_MAX)
		return ERR_CRYPTO;
#ifdef ICETUN_NULL_CIPHER
	if (a->cipher == AEAD_NULL)
		return null_seal(in, len, out);
#endif
	nonce_for(a, counter, nonce);
	if (!a->ctx) {
		aead_mb_seal(mb_of(a), a->cipher, nonce, ad, ad_len, in, len, out);
		return OK;
	}
	if (!begin(a, nonce, true) || !update(a, ad, ad_len, in, len, out) ||
	    EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + len) != 1)
		return ERR_CRYPTO;
	return OK;
}

enum err aead_open(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t nonce[NONCE_BYTES], tag[AEAD_TAG_BYTES];
	size_t text_len;
	bool ok;

	if (len < AEAD_TAG_BYTES)
		return DROP_TRUNCATED;
	if (len > INT_MAX || ad_len > INT_MAX)
		return DROP_TOO_LONG;
	text_len = len - AEAD_TAG_BYTES;
#ifdef ICETUN_NULL_CIPHER
	if (a->cipher == AEAD_NULL)
		return null_open(in, text_len, out);
#endif
	nonce_for(a, counter, nonce);
	if (!a->ctx) {
		ok = aead_mb_open(mb_of(a), a->cipher, nonce, ad, ad_len, in, text_len, out);
	} else {
		memcpy(tag, in + text_len, sizeof(tag));
		ok = begin(a, nonce, false) &&
		     EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1 &&
		     update(a, ad, ad_len, in, text_len, out);
	}
	if (ok)
		return OK;
	/* Both libraries write the text before they have looked at the tag. */
	if (text_len)
		sodium_memzero(out, text_len);
	return DROP_DECRYPT;
}
