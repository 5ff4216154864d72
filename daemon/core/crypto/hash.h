/*
 * Hashes and message authentication codes.
 *
 * BLAKE2b-512 with its HMAC and HKDF serve Noise (Noise specification s. 4.3 and 12.9). SHA-1,
 * SHA-256 and MD5 serve only STUN and TURN, which prescribe them (RFC 8489 s. 9.2, 14.5, 14.6).
 */
#ifndef ICETUN_CRYPTO_HASH_H
#define ICETUN_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define BLAKE2B_BYTES 64
#define SHA1_BYTES    20
#define SHA256_BYTES  32
#define MD5_BYTES     16

/* BLAKE2b-512 of @a followed by @b. Either may be NULL with length 0. */
void hash_blake2b(const void *a, size_t a_len, const void *b, size_t b_len,
		  uint8_t ret[static BLAKE2B_BYTES]);

/* HMAC-BLAKE2b (block size 128) as Noise defines it, over @a followed by @b. @key_len <= 128. */
void hmac_blake2b(const uint8_t *key, size_t key_len, const void *a, size_t a_len, const void *b,
		  size_t b_len, uint8_t ret[static BLAKE2B_BYTES]);

/* Noise s. 4.3 HKDF(chaining key, input) with 2 or 3 outputs; @out3 may be NULL. Outputs may
 * overlap @ck. */
void hkdf_blake2b(const uint8_t ck[static BLAKE2B_BYTES], const void *input, size_t input_len,
		  uint8_t out1[static BLAKE2B_BYTES], uint8_t out2[static BLAKE2B_BYTES],
		  uint8_t *out3);

/* HMAC-SHA1 and HMAC-SHA256 over @a followed by @b. Return: OK, ERR_CRYPTO. */
MUST_USE enum err hmac_sha1(const void *key, size_t key_len, const void *a, size_t a_len,
			    const void *b, size_t b_len, uint8_t ret[static SHA1_BYTES]);
MUST_USE enum err hmac_sha256(const void *key, size_t key_len, const void *a, size_t a_len,
			      const void *b, size_t b_len, uint8_t ret[static SHA256_BYTES]);

MUST_USE enum err hash_md5(const void *data, size_t len, uint8_t ret[static MD5_BYTES]);
MUST_USE enum err hash_sha256(const void *data, size_t len, uint8_t ret[static SHA256_BYTES]);

#endif
