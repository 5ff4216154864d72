/*
 * Authenticated encryption.
 *
 * `aead_chacha_*` is the one-shot form that Noise handshakes use, from libsodium. `struct aead` is
 * a key prepared for many packets, from libcrypto, or from Intel's Multi-Buffer Crypto library
 * where that is there, faster, and agrees with libcrypto (aead_mb.h). It may be used by one thread
 * at a time. The nonce of both is 12 bytes: four zero bytes and the 64-bit counter, big-endian for
 * AES-GCM (Noise s. 12.4), little-endian for ChaChaPoly (s. 12.3). The caller must never seal twice
 * with one counter.
 *
 * A prepared key lives in ordinary memory and is wiped when it is destroyed. A guarded, locked page
 * for each (core/crypto/secret.h) would cost 8 KiB and four mappings a key, and a process may have
 * 65,530 mappings: at 16,375 keys everything that maps memory would fail. What has to be kept for
 * long, the static keys, is in secret memory; these keys serve minutes, and the process may not be
 * dumped.
 */
#ifndef ICETUN_CRYPTO_AEAD_H
#define ICETUN_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define AEAD_KEY_BYTES 32
#define AEAD_TAG_BYTES 16

/* The numbers stand on the wire (docs/PROTOCOL.md). */
enum aead_cipher {
	AEAD_AES_256_GCM = 1,
	AEAD_CHACHA20_POLY1305 = 2,
#ifdef ICETUN_NULL_CIPHER
	/* No cipher and no authentication: measurements of tests/bench have it to compare with. It
	 * is in no program that was built without -DICETUN_NULL_CIPHER=ON. */
	AEAD_NULL = 255,
#endif
};

/* True when this machine computes @cipher in hardware, or the cipher needs none. */
bool aead_cipher_is_fast(enum aead_cipher cipher);
const char *aead_cipher_name(enum aead_cipher cipher);

/* Writes @len + AEAD_TAG_BYTES bytes to @out. @out may be @in. */
void aead_chacha_seal(const uint8_t key[static AEAD_KEY_BYTES], uint64_t counter, const void *ad,
		      size_t ad_len, const uint8_t *in, size_t len, uint8_t *out);
/* @len counts the tag; writes @len - AEAD_TAG_BYTES bytes. Return: OK, DROP_DECRYPT. */
MUST_USE enum err aead_chacha_open(const uint8_t key[static AEAD_KEY_BYTES], uint64_t counter,
				   const void *ad, size_t ad_len, const uint8_t *in, size_t len,
				   uint8_t *out);

struct aead;

/* Chooses between the implementations; once, before any thread is made. Without it keys are
 * libcrypto's. It is none of crypto_start() so that programs without packets need neither library.
 * libcrypto does not read the system's openssl.cnf here, since nothing in it is about these ciphers
 * and it costs half a megabyte: net/stream.h, which does TLS, reads it. */
void aead_start(void);

/* Prepares @key, which is copied. Return: OK, ERR_INVALID for an unknown cipher, ERR_NO_MEMORY,
 * ERR_CRYPTO. */
MUST_USE enum err aead_create(struct aead **ret, enum aead_cipher cipher,
			      const uint8_t key[static AEAD_KEY_BYTES]);
/* It will be used in a moment, and may not be in the processor's cache: with thousands of keys,
 * fetching one takes longer than sealing a packet. */
void aead_prefetch(const struct aead *a);
/* Wipes; NULL is fine. */
void aead_destroy(struct aead *a);

/* Seals @len bytes of @in with @ad_len bytes of associated data into @len + AEAD_TAG_BYTES bytes at
 * @out, which is @in or does not overlap it. Return: OK; ERR_CRYPTO, also for more than INT_MAX
 * bytes. */
MUST_USE enum err aead_seal(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
			    const uint8_t *in, size_t len, uint8_t *out);
/* The reverse; @len counts the tag. Return: OK; DROP_TRUNCATED when shorter than a tag;
 * DROP_TOO_LONG above INT_MAX; DROP_DECRYPT, then @out is wiped. */
MUST_USE enum err aead_open(struct aead *a, uint64_t counter, const uint8_t *ad, size_t ad_len,
			    const uint8_t *in, size_t len, uint8_t *out);

#endif
