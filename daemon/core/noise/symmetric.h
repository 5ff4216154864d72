/*
 * The symmetric state of a handshake (Noise s. 5.2), private to this room.
 *
 * The chaining key collects every DH result, the hash everything that was sent, and the key of the
 * moment comes from both. Names are those of the specification. A state is a value: it is copied
 * before a message is read, so that a bad one can be forgotten. Whoever holds one wipes it.
 */
#ifndef ICETUN_NOISE_SYMMETRIC_H
#define ICETUN_NOISE_SYMMETRIC_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/hash.h"

struct symmetric {
	uint8_t ck[BLAKE2B_BYTES];
	uint8_t h[BLAKE2B_BYTES];
	uint8_t k[AEAD_KEY_BYTES];
	uint64_t n; /* messages under k so far */
};

/* @protocol: its Noise name, at most BLAKE2B_BYTES characters. */
void symmetric_init(struct symmetric *s, const char *protocol);
void symmetric_mix_hash(struct symmetric *s, const void *data, size_t len);
void symmetric_mix_key(struct symmetric *s, const uint8_t *input, size_t len);
void symmetric_mix_key_and_hash(struct symmetric *s, const uint8_t *input, size_t len);
/* MixKey(DH(@secret, @public)). Return: OK, ERR_KEY when @public is a low-order point. */
MUST_USE enum err symmetric_mix_dh(struct symmetric *s, const uint8_t *secret,
				   const uint8_t *public);
/* EncryptAndHash: @len + AEAD_TAG_BYTES bytes to @out. A key has been mixed in. */
void symmetric_seal(struct symmetric *s, const void *in, size_t len, uint8_t *out);
/* DecryptAndHash: @len counts the tag, @len - AEAD_TAG_BYTES bytes to @out. Return: OK,
 * DROP_HANDSHAKE. */
MUST_USE enum err symmetric_open(struct symmetric *s, const uint8_t *in, size_t len, uint8_t *out);
/* The two transport keys: the initiator seals with @ret_first. */
void symmetric_split(const struct symmetric *s, uint8_t ret_first[static AEAD_KEY_BYTES],
		     uint8_t ret_second[static AEAD_KEY_BYTES]);

#endif
