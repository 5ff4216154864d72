/* MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 s. 14.5, 14.6). Private to this room. */
#ifndef ICETUN_STUN_INTEGRITY_H
#define ICETUN_STUN_INTEGRITY_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/crypto/hash.h"

#define STUN_INTEGRITY_MAX_BYTES SHA256_BYTES

enum stun_integrity {
	STUN_INTEGRITY_SHA1,
	STUN_INTEGRITY_SHA256,
};

/* Computes the full code over the first @offset bytes of @buf, at least four, as if the length
 * field ended the message behind an integrity attribute at @offset with a value of @value_bytes.
 * @ret: SHA1_BYTES or SHA256_BYTES are written. Return: OK, ERR_CRYPTO. */
MUST_USE enum err stun_integrity(enum stun_integrity kind, const uint8_t *buf, size_t offset,
				 size_t value_bytes, const void *key, size_t key_len,
				 uint8_t ret[static STUN_INTEGRITY_MAX_BYTES]);

#endif
