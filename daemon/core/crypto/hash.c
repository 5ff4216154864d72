#include "daemon/core/crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <string.h>

#define BLAKE2B_BLOCK_BYTES 128

void hash_blake2b(const void *a, size_t a_len, const void *b, size_t b_len,
		  uint8_t ret[static BLAKE2B_BYTES])
{
	crypto_generichash_blake2b_state st;

	crypto_generichash_blake2b_init(&st, NULL, 0, BLAKE2B_BYTES);
	crypto_generichash_blake2b_update(&st, a, a_len);
	crypto_generichash_blake2b_update(&st, b, b_len);
	crypto_generichash_blake2b_final(&st, ret, BLAKE2B_BYTES);
	sodium_memzero(&st, sizeof(st));
}

void hmac_blake2b(const uint8_t *key, size_t key_len, const void *a, size_t a_len, const void *b,
		  size_t b_len, uint8_t ret[static BLAKE2B_BYTES])
{
	crypto_generichash_blake2b_state st;
	uint8_t pad[BLAKE2B_BLOCK_BYTES] = {0};
	uint8_t inner[BLAKE2B_BYTES];

	memcpy(pad, key, key_len < sizeof(pad) ? key_len : sizeof(pad));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	crypto_generichash_blake2b_init(&st, NULL, 0, BLAKE2B_BYTES);
	crypto_generichash_blake2b_update(&st, pad, sizeof(pad));
	crypto_generichash_blake2b_update(&st, a, a_len);
	crypto_generichash_blake2b_update(&st, b, b_len);
	crypto_generichash_blake2b_final(&st, inner, sizeof(inner));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_blake2b(pad, sizeof(pad), inner, sizeof(inner), ret);
	sodium_memzero(&st, sizeof(st));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

void hkdf_blake2b(const uint8_t ck[static BLAKE2B_BYTES], const void *input, size_t input_len,
		  uint8_t out1[static BLAKE2B_BYTES], uint8_t out2[static BLAKE2B_BYTES],
		  uint8_t *out3)
{
	static const uint8_t one = 1, two = 2, three = 3;
	uint8_t temp[BLAKE2B_BYTES], t1[BLAKE2B_BYTES], t2[BLAKE2B_BYTES];

	hmac_blake2b(ck, BLAKE2B_BYTES, input, input_len, NULL, 0, temp);
	hmac_blake2b(temp, sizeof(temp), &one, 1, NULL, 0, t1);
	hmac_blake2b(temp, sizeof(temp), t1, sizeof(t1), &two, 1, t2);
	if (out3)
		hmac_blake2b(temp, sizeof(temp), t2, sizeof(t2), &three, 1, out3);
	memcpy(out1, t1, sizeof(t1));
	memcpy(out2, t2, sizeof(t2));
	sodium_memzero(temp, sizeof(temp));
	sodium_memzero(t1, sizeof(t1));
	sodium_memzero(t2, sizeof(t2));
}

static enum err hmac_evp(char *digest, const void *key, size_t key_len, const void *a, size_t a_len,
			 const void *b, size_t b_len, uint8_t *ret, size_t ret_len)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	static const uint8_t empty_key[1];
	size_t out_len = 0;
	bool ok;

	ok = ctx && EVP_MAC_init(ctx, key_len ? key : empty_key, key_len, params) == 1 &&
	     (a_len == 0 || EVP_MAC_update(ctx, a, a_len) == 1) &&
	     (b_len == 0 || EVP_MAC_update(ctx, b, b_len) == 1) &&
	     EVP_MAC_final(ctx, ret, &out_len, ret_len) == 1 && out_len == ret_len;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok ? OK : ERR_CRYPTO;
}

enum err hmac_sha1(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
		   size_t b_len, uint8_t ret[static SHA1_BYTES])
{
	char digest[] = "SHA1";

	return hmac_evp(digest, key, key_len, a, a_len, b, b_len, ret, SHA1_BYTES);
}

enum err hmac_sha256(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
		     size_t b_len, uint8_t ret[static SHA256_BYTES])
{
	char digest[] = "SHA256";

	return hmac_evp(digest, key, key_len, a, a_len, b, b_len, ret, SHA256_BYTES);
}

enum err hash_md5(const void *data, size_t len, uint8_t ret[static MD5_BYTES])
{
	size_t out_len = 0;

	return EVP_Q_digest(NULL, "MD5", NULL, data, len, ret, &out_len) == 1 &&
			       out_len == MD5_BYTES
		       ? OK
		       : ERR_CRYPTO;
}

enum err hash_sha256(const void *data, size_t len, uint8_t ret[static SHA256_BYTES])
{
	return crypto_hash_sha256(ret, data, len) == 0 ? OK : ERR_CRYPTO;
}
