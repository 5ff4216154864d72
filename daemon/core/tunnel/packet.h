/*
 * The transport packet: what runs between two hosts on the path that ICE found.
 *
 *	 0                   1                   2                   3
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *	+---------------+-----------------------------------------------+
 *	|     type      |                 reserved = 0                  |
 *	+---------------+-----------------------------------------------+
 *	|                 receiver index, big-endian                    |
 *	+---------------+-----------------------------------------------+
 *	|     lane      |                                               |
 *	+---------------+          packet number, big-endian            |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	|    ciphertext (as long as the inner packet), tag (16 bytes)   |
 *
 * The receiver index is a number that the receiver chose for this session. Lane and packet number
 * together are the counter, which is also the AEAD nonce. A lane belongs to one thread of the
 * sender, which numbers its packets from zero; the receiver keeps a replay window for each lane. So
 * several threads seal under one key without sharing a counter. The 16 bytes of header are the
 * associated data.
 *
 * There are two types. In a packet of TUNNEL_TYPE_PARTIAL the inner packet is TCP or UDP, and its
 * checksum is partial: the checksum field holds the sum of the pseudo-header alone, as the Linux
 * kernel keeps it for a network card that will do the rest. The tag has protected the bytes in
 * between better than a checksum, so neither end computes one; the receiver tells its kernel that
 * the checksum is partial, and whoever sends the packet on over a wire completes it. It is sent
 * only to hosts that have announced that they take it. Everything else has TUNNEL_TYPE_DATA.
 *
 * Types are 192 and above, where neither STUN (0-3) nor ChannelData (64-79) begins
 * (RFC 7983 in spirit), so the first byte tells what a datagram is.
 */
#ifndef ICETUN_TUNNEL_PACKET_H
#define ICETUN_TUNNEL_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define TUNNEL_TYPE_MIN	      0xC0 /* datagrams that begin with this or more are ours */
#define TUNNEL_TYPE_DATA      0xC1
#define TUNNEL_TYPE_PARTIAL   0xC2
#define TUNNEL_HEADER_BYTES   16
#define TUNNEL_TAG_BYTES      16
#define TUNNEL_OVERHEAD_BYTES (TUNNEL_HEADER_BYTES + TUNNEL_TAG_BYTES)
#define TUNNEL_LANE_SHIFT     56
#define TUNNEL_LANES_MAX      64 /* a receiver refuses sessions that announce more */

struct tunnel_header {
	uint32_t receiver_index;
	uint8_t type;
	uint8_t lane;
	uint64_t number;  /* within the lane, below 2^56 */
	uint64_t counter; /* lane and number as on the wire: the nonce */
};

/*
 * Reads the header of a whole datagram of @len bytes. Says nothing about who sent it.
 * Return: OK; DROP_UNKNOWN_TYPE when the first byte is none of the types; DROP_TRUNCATED when too
 * short for header and tag; DROP_MALFORMED when a reserved byte is not zero. *ret only with OK.
 */
MUST_USE enum err tunnel_header_read(const uint8_t *buf, size_t len, struct tunnel_header *ret);

/* Writes TUNNEL_HEADER_BYTES bytes. @number: below 2^56. Return: the counter, as written. */
uint64_t tunnel_header_write(uint8_t ret[static TUNNEL_HEADER_BYTES], uint8_t type,
			     uint32_t receiver_index, uint8_t lane, uint64_t number);

#endif
