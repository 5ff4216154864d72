/*
 * Answers STUN Binding requests (RFC 8489 s. 12): the seed draft's exception that lets the
 * signalling server serve for gathering. Pure: a datagram in, at most one out.
 *
 * Only well-formed requests are answered, with XOR-MAPPED-ADDRESS and, if the request had one,
 * FINGERPRINT: nothing else, so that a forged source gets at most 12 bytes (24 for IPv6) more than
 * was sent. A request with attributes that must be understood and are not gets error 420 (s.
 * 6.3.1). No authentication is asked for, and one that is offered is not looked at.
 *
 * Each source address (IPv6: its /64) may ask 20 times a second, 40 at once. The buckets are a
 * fixed table under a secret hash: sources that collide share one.
 */
#ifndef ICETUN_RENDEZVOUS_STUN_RESPONDER_H
#define ICETUN_RENDEZVOUS_STUN_RESPONDER_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"

#define STUN_REPLY_MAX_BYTES 128

struct stun_responder;

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err stun_responder_create(struct stun_responder **ret,
					const struct random_source *random);
void stun_responder_destroy(struct stun_responder *r);

/* @from: whence the datagram of @len bytes came.
 * Return: OK, then *ret_len bytes at @out are to be sent back; else DROP_* and nothing is to be
 * sent: DROP_LIMIT the source asks too often, DROP_UNKNOWN_TYPE no Binding request, and those of
 * stun_decode(). */
MUST_USE enum err stun_responder_input(struct stun_responder *r, uint64_t now_us,
				       const struct netaddr *from, const uint8_t *buf, size_t len,
				       uint8_t out[static STUN_REPLY_MAX_BYTES], size_t *ret_len);
/* How many datagrams were ignored, by reason. */
const struct drop_counters *stun_responder_drops(const struct stun_responder *r);

#endif
