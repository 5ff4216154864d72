/*
 * STUN messages as they leave (RFC 8489).
 *
 *	struct stun_writer w;
 *
 *	stun_write_begin(&w, buf, cap, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, txid);
 *	stun_write_username(&w, remote_ufrag, local_ufrag);
 *	stun_write_number(&w, STUN_PRIORITY, priority);
 *	stun_write_flag(&w, STUN_USE_CANDIDATE);
 *	err = stun_write_finish(&w, password, strlen(password), true, &len);
 *
 * Attributes leave in the order of the calls. Errors are sticky: a value out of the bounds of its
 * row in attribute.h, a call that does not fit the attribute's codec, or a full buffer make finish
 * fail; nothing in between needs to be checked. Padding is written as zeros, so nothing of an older
 * datagram leaks out of a reused buffer.
 *
 * Size: a message must fit the path without fragmentation: where the path MTU is not known, at most
 * STUN_SAFE_BYTES, which is 576 less the IPv4 and UDP headers (RFC 8489 s. 6.1). Give `begin` a
 * buffer of that size and the rule keeps itself.
 */
#ifndef ICETUN_STUN_WRITER_H
#define ICETUN_STUN_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/stun/message.h"

#define STUN_SAFE_BYTES 548

/* Opaque; a value type, needs no clean-up. */
struct stun_writer {
	struct wr wr;
	uint8_t txid[STUN_TXID_BYTES];
	bool invalid; /* a call did not fit; wr.failed alone means no room */
};

/* Begins a message in @buf, which holds @cap bytes and outlives the writer. */
void stun_write_begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class class,
		      uint16_t method, const uint8_t txid[static STUN_TXID_BYTES]);

/* For the codecs U8 to U64; @value must fit. */
void stun_write_number(struct stun_writer *w, enum stun_attribute attribute, uint64_t value);
/* For FLAG. */
void stun_write_flag(struct stun_writer *w, enum stun_attribute attribute);
/* For BYTES. @p may be NULL with @len 0. */
void stun_write_bytes(struct stun_writer *w, enum stun_attribute attribute, const void *p,
		      size_t len);
/* For ADDRESS and XOR_ADDRESS. */
void stun_write_address(struct stun_writer *w, enum stun_attribute attribute,
			const struct netaddr *address);
/* USERNAME of a connectivity check: "@first:@second" (RFC 8445 s. 7.2.2). */
void stun_write_username(struct stun_writer *w, const char *first, const char *second);
/* ERROR-CODE with the default reason phrase. @code: 300..699. */
void stun_write_error(struct stun_writer *w, uint16_t code);
/* UNKNOWN-ATTRIBUTES. */
void stun_write_unknown(struct stun_writer *w, const struct stun_types *types);

/* Appends MESSAGE-INTEGRITY (HMAC-SHA1) if @key is not NULL, then FINGERPRINT if @fingerprint, and
 * sets the length. After a failure the buffer's content is unspecified.
 * Return: OK, the message has *ret_len bytes; ERR_NO_SPACE when the buffer is too small;
 * ERR_INVALID when a call before was wrong; ERR_CRYPTO. */
MUST_USE enum err stun_write_finish(struct stun_writer *w, const void *key, size_t key_len,
				    bool fingerprint, size_t *ret_len);
/* The same with MESSAGE-INTEGRITY-SHA256 of 32 bytes: only for servers that ask for it
 * (RFC 8489 s. 9.2); connectivity checks use SHA-1. */
MUST_USE enum err stun_write_finish_sha256(struct stun_writer *w, const void *key, size_t key_len,
					   bool fingerprint, size_t *ret_len);

#endif
