#include "daemon/core/stun/integrity.h"

#include "daemon/core/stun/message.h"

enum err stun_integrity(enum stun_integrity kind, const uint8_t *buf, size_t offset,
			size_t value_bytes, const void *key, size_t key_len,
			uint8_t ret[static STUN_INTEGRITY_MAX_BYTES])
{
	size_t length = offset + 4 + value_bytes - STUN_HEADER_BYTES;
	uint8_t head[4] = {buf[0], buf[1], (uint8_t)(length >> 8), (uint8_t)length};
	const uint8_t *rest = buf + sizeof(head);
	size_t rest_len = offset - sizeof(head);

	switch (kind) {
	case STUN_INTEGRITY_SHA1:
		return hmac_sha1(key, key_len, head, sizeof(head), rest, rest_len, ret);
	case STUN_INTEGRITY_SHA256:
		return hmac_sha256(key, key_len, head, sizeof(head), rest, rest_len, ret);
	}
	return ERR_CRYPTO;
}
