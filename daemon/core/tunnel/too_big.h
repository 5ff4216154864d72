/*
 * What a host is told whose packet is longer than the path: "fragmentation needed and DF set" (RFC
 * 792, RFC 1191 s. 4) or "packet too big" (RFC 4443 s. 3.2), as the next router would say it. It
 * comes from the address that the packet was for, since the tunnel has no address of its own that
 * leads there.
 */
#ifndef ICETUN_TUNNEL_TOO_BIG_H
#define ICETUN_TUNNEL_TOO_BIG_H

#include <stddef.h>
#include <stdint.h>

/* No longer than every link takes (RFC 1812 s. 4.3.2.3, RFC 4443 s. 2.4 c). */
#define TOO_BIG_IP4_BYTES 576
#define TOO_BIG_IP6_BYTES 1280
#define TOO_BIG_MAX_BYTES TOO_BIG_IP6_BYTES

/*
 * @packet: @len bytes, as tunnel_inner_read() has found them, not control. @max_bytes: what would
 * have gone; of IPv6 at least 1,280 is said (RFC 8200 s. 5).
 * Return: the length of the message in @ret; 0 when there must be none: for an ICMP error, a
 * fragment that is not the first, or a packet to or from many (RFC 1122 s. 3.2.2, RFC 4443 s. 2.4
 * e).
 */
size_t too_big_write(const uint8_t *packet, size_t len, size_t max_bytes,
		     uint8_t ret[static TOO_BIG_MAX_BYTES]);

#endif
