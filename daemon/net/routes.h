/*
 * Single questions to the system's routing: which way would a packet to that address go?
 *
 * Nothing here lists routes. A host may have a million of them; a lookup costs the same few
 * microseconds with each number, and obeys rules, tables and metrics as real packets do.
 */
#ifndef ICETUN_NET_ROUTES_H
#define ICETUN_NET_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

struct nl_sock;

/* All zero when there is none. */
struct net_route {
	int ifindex;
	struct netaddr source;	/* that the system would choose */
	struct netaddr gateway; /* NETADDR_NONE: on link */
};

bool net_route_equal(const struct net_route *a, const struct net_route *b);

/* The way to @to. Return: OK; ERR_NETWORK: there is none, *ret is all zero; ERR_INVALID; ERR_IO;
 * ERR_NO_MEMORY. */
MUST_USE enum err net_route_to(const struct netaddr *to, struct net_route *ret);

/* Where packets of @family go that no more specific route wants. Errors as net_route_to(). */
MUST_USE enum err net_route_default(uint8_t family, struct net_route *ret);

/* The same over a socket of the caller's. */
MUST_USE enum err net_route_ask(struct nl_sock *sk, const struct netaddr *to,
				struct net_route *ret);
/* Where packets go that no more specific route wants (0.0.0.0/0, ::/0, 2000::/3). */
MUST_USE enum err net_route_ask_default(struct nl_sock *sk, uint8_t family, struct net_route *ret);
/* The default route over device @ifindex for packets from @source: its metric and gateway. Errors
 * as net_route_to(). */
MUST_USE enum err net_route_ask_device(struct nl_sock *sk, int ifindex,
				       const struct netaddr *source, uint32_t *ret_metric,
				       struct netaddr *ret_gateway);

#endif
