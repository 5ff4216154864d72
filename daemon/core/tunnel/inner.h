/*
 * What is inside a transport packet: the first four bits tell.
 *
 *	4, 6    an IP packet, for or from the TUN device
 *	0       a control message between the two hosts; its format belongs to core/peer
 *
 * The addresses that come out are canonical, fit for a route lookup and for the check that a source
 * belongs to the peer. Therefore an IPv6 packet with an IPv4-mapped address (::ffff:a.b.c.d), which
 * must not appear on a wire, is refused: it would read as the IPv4 address of somebody else.
 */
#ifndef ICETUN_TUNNEL_INNER_H
#define ICETUN_TUNNEL_INNER_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define TUNNEL_INNER_IP4_MIN_BYTES 20
#define TUNNEL_INNER_IP6_MIN_BYTES 40

enum tunnel_inner_kind {
	TUNNEL_INNER_CONTROL,
	TUNNEL_INNER_IP4,
	TUNNEL_INNER_IP6,
};

struct tunnel_inner {
	enum tunnel_inner_kind kind;
	struct netaddr source, destination; /* without ports; NETADDR_NONE for control */
	/* what the packet says of its length: at most the bytes there, the rest is padding */
	size_t len;
};

/*
 * Looks at @len bytes of inner packet, from the tunnel or from the TUN device.
 * Return: OK; DROP_TRUNCATED when empty, shorter than its header, or than the length it claims;
 * DROP_MALFORMED when header or claimed length is impossible, or an address is IPv4-mapped;
 * DROP_UNKNOWN_TYPE for other first bits. *ret only with OK.
 */
MUST_USE enum err tunnel_inner_read(const uint8_t *buf, size_t len, struct tunnel_inner *ret);

#endif
