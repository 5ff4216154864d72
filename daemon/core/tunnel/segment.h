/*
 * From the TUN device to the tunnel: what is read becomes packets that fit the path.
 *
 * The kernel hands out superpackets, up to 64 KiB of one TCP stream, or of UDP datagrams of one
 * size, with one header in front, and checksums that are partial: the field holds the sum of the
 * pseudo-header, the rest is left to the network card, which is us. A segmenter cuts one into
 * packets, one after the other, without moving the payload: each header is written in front of its
 * payload, over the end of the payload before, WHICH THEREFORE MUST HAVE BEEN SEALED BY THEN. The
 * bytes that come out are then sealed from where they stand into the send buffer.
 *
 *	segment_begin(&s, packet, len, &hints, path's size, are partial checksums taken?);
 *	while (segment_next(&s, &packet, &len))
 *		... seal len bytes at packet, with type s.type ...
 *
 * How TCP is cut (as every network card does it): the sequence number goes up; CWR stays with the
 * first, FIN and PSH with the last; the IPv4 identification goes up by one each; all else is the
 * same. The size of the pieces is the kernel's, or less where the path takes less: to TCP both are
 * the same. So single TCP packets that are too long for the path are cut, too. UDP is cut at the
 * kernel's size only: it marks where datagrams begin.
 *
 * In a SYN the MSS option is lowered to what the path takes (segment_clamp_mss()), of those that
 * leave and of those that arrive, so that packets come whole from hosts that do not segment.
 */
#ifndef ICETUN_TUNNEL_SEGMENT_H
#define ICETUN_TUNNEL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/tunnel/l4.h"

/* What the TUN device says of a packet. */
struct segment_hints {
	bool is_partial;      /* the checksum is */
	uint16_t csum_start;  /* what it covers begins here; if is_partial */
	uint16_t csum_offset; /* where it stands, from there; if is_partial */
	uint16_t
		/* payload of each packet of a superpacket; 0: it is a single packet */
		segment_bytes;
	uint8_t protocol; /* of a superpacket: L4_TCP or L4_UDP */
};

struct segmenter {
	uint8_t type; /* TUNNEL_TYPE_DATA, or TUNNEL_TYPE_PARTIAL: of all that come out */
	size_t count; /* packets that come out */
	/* private */
	uint8_t *packet;
	size_t len, next, chunk_bytes;
	struct l4 l4;
	uint32_t ip_sum; /* of the IPv4 header without what changes */
	uint32_t csum;	 /* pseudo-header without length */
	uint8_t header[L4_HEADERS_MAX_BYTES];
};

/*
 * @packet: @len bytes, as tunnel_inner_read() has found them; they are changed, and belong to the
 * segmenter until the last packet has come out.
 * @max_bytes: the longest packet that the path takes.
 * @may_be_partial: the peer takes TUNNEL_TYPE_PARTIAL; otherwise every checksum is completed.
 * Return: OK; DROP_TOO_LONG when it does not fit the path and cannot be cut, or would have to be
 * cut into more than there is room for headers; DROP_MALFORMED when @hints do not fit the packet.
 */
MUST_USE enum err segment_begin(struct segmenter *s, uint8_t *packet, size_t len,
				const struct segment_hints *hints, size_t max_bytes,
				bool may_be_partial);
/* Whether the IP packet @packet, of @len bytes, opens a TCP connection: a SYN. */
bool segment_is_syn(const uint8_t *packet, size_t len);
/* If @packet is a SYN, as tunnel_inner_read() has found it: no segment that it asks for shall make
 * a packet longer than @max_bytes (RFC 9293 s. 3.7.1). @is_partial: its checksum; a complete one is
 * kept right. */
void segment_clamp_mss(uint8_t *packet, size_t len, size_t max_bytes, bool is_partial);
/* Return: true with the next packet, which stands in the buffer until the next call; false after
 * the last one. */
bool segment_next(struct segmenter *s, uint8_t **ret_packet, size_t *ret_len);

#endif
