/*
 * The second implementation of `struct aead`: Intel's Multi-Buffer Crypto library, where the build
 * and the processor have it. Private to the room.
 *
 * Its AES-256-GCM uses the wide vector instructions (VAES, VPCLMULQDQ, AVX-512) and needs no object
 * around a call: sealing 1,400 bytes takes a third of the time of libcrypto 3.0, 64 bytes a fifth.
 * What a key may do is decided once: aead_mb_start() has the library seal packets of many lengths
 * and compares each with libcrypto's. Without the library, or where anything differs, every
 * function below says that there is nothing.
 */
#ifndef ICETUN_CRYPTO_AEAD_MB_H
#define ICETUN_CRYPTO_AEAD_MB_H

#include "daemon/core/crypto/aead.h"

#define AEAD_NONCE_BYTES 12
#define AEAD_MB_ALIGN	 64

union aead_mb;

/* Looks at processor and library, once; from aead_start(). */
void aead_mb_start(void);
/* For tests: keys that are made from now on are libcrypto's, or are as after aead_mb_start()
 * again. */
void aead_mb_enable(bool on);
/* Return: whether keys for @cipher can be made here. */
bool aead_mb_serves(enum aead_cipher cipher);

size_t aead_mb_bytes(enum aead_cipher cipher);
/* @a: aead_mb_bytes(@cipher) of memory, aligned to AEAD_MB_ALIGN. To be wiped by the caller. */
void aead_mb_init(union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t key[static AEAD_KEY_BYTES]);
/* @cipher: as it was given to aead_mb_init(). */
void aead_mb_seal(const union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad, size_t ad_len,
		  const uint8_t *in, size_t len, uint8_t *out);
/* @len without the tag, which follows the text. Return: whether it is authentic; @out is written in
 * any case. */
MUST_USE bool aead_mb_open(const union aead_mb *a, enum aead_cipher cipher,
			   const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad,
			   size_t ad_len, const uint8_t *in, size_t len, uint8_t *out);

#endif
