/*
 * An IPv4 packet that is too long for the path and may be fragmented (RFC 791 s. 3.2), in fragments
 * that fit. They are made one after the other where the packet stands, as a segmenter does it
 * (segment.h): each header is written over the end of the payload before, which must have been
 * sealed by then.
 */
#ifndef ICETUN_TUNNEL_FRAGMENT_H
#define ICETUN_TUNNEL_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define FRAGMENT_HEADER_MAX_BYTES 60

struct fragmenter {
	/* private */
	uint8_t *packet;
	size_t len, next_bytes, chunk_bytes, header_bytes;
	uint16_t flags; /* as it came: flags and offset */
	uint8_t header[FRAGMENT_HEADER_MAX_BYTES];
};

/* Whether it is IPv4 without DF: its sender, and RFC 791, leave it to us. */
static inline bool fragment_is_allowed(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 && !(packet[6] & 0x40);
}

/* @packet: @len bytes, as tunnel_inner_read() has found them, of which fragment_is_allowed(); its
 * checksums are complete. Return: OK; DROP_TOO_LONG when @max_bytes do not even hold its header and
 * eight bytes. */
MUST_USE enum err fragment_begin(struct fragmenter *f, uint8_t *packet, size_t len,
				 size_t max_bytes);
/* Return: true with the next fragment, which stands in the buffer until the next call. */
bool fragment_next(struct fragmenter *f, uint8_t **ret_packet, size_t *ret_len);

#endif
