/*
 * The local addresses that may be candidates.
 *
 * A snapshot looks at links and addresses through netlink, asks for the default route over each,
 * and leaves out what nobody outside can reach, or what leads in circles (RFC 8445 s. 5.1.1.1):
 *
 *   - links that are down or without carrier, loopback, and our own TUN device;
 *   - bridges, veths and tunnels of this host, unless a default route leads over them: by their
 *     kind and by routing, since names promise nothing. A name in `allow` lets one in all the same;
 *   - link-local, loopback and unspecified addresses, and those inside the overlay;
 *   - IPv6 addresses that are tentative, duplicate, optimistic or deprecated; and where a prefix
 *     has a temporary address (RFC 8981) its stable ones, which would tell who moves from where to
 *     where;
 *   - of one prefix on one device, all but two.
 *
 * What is left is ordered: devices with a default route first, by its metric; then IPv6 and IPv4
 * take turns (RFC 8421 s. 4), so that one broken family does not hold up the other. The local
 * preference falls from 65535 in that order.
 *
 * Routes are asked for one by one and never listed (routes.h). watcher.h tells when a new snapshot
 * is worth taking.
 */
#ifndef ICETUN_NET_INTERFACES_H
#define ICETUN_NET_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/net/routes.h"

#define NET_MAX_PATTERNS   16
#define NET_MAX_ADDRS	   8 /* host candidates are no more */
#define NET_MAX_PER_PREFIX 2

struct net_interface_filter {
	const struct netprefix *exclude; /* the overlay's prefixes */
	size_t exclude_count;
	int exclude_ifindex; /* our own device, 0 = none */
	/* Patterns as of the shell ("eth*"). With at least one in allow, only those are used. */
	const char *allow[NET_MAX_PATTERNS];
	size_t allow_count;
	const char *deny[NET_MAX_PATTERNS];
	size_t deny_count;
};

struct net_interface_addr {
	struct netaddr addr; /* port 0 */
	int ifindex;
	char ifname[IF_NAMESIZE];
	uint16_t local_preference;
	bool has_default; /* a default route leads over the device */
	uint32_t metric;  /* of it */
	struct netaddr gateway;
	/* Packets from here leave by another device unless the socket is told
	 * (net_udp_set_device()): there is a better default route. */
	bool is_second;
};

struct net_snapshot {
	struct net_interface_addr addrs[NET_MAX_ADDRS]; /* best first */
	size_t count;
	struct net_route out4, out6; /* the way out for packets from no address in particular */
};

/* Return: OK; ERR_IO, also when too much changed meanwhile: try again; ERR_NO_MEMORY. */
MUST_USE enum err net_interfaces_snapshot(const struct net_interface_filter *filter,
					  struct net_snapshot *ret);
/* The same addresses with the same preferences, devices and default routes. */
bool net_snapshot_same_addrs(const struct net_snapshot *a, const struct net_snapshot *b);
/* The same ways out. */
bool net_snapshot_same_ways(const struct net_snapshot *a, const struct net_snapshot *b);
/* Return: the entry, or NULL. */
const struct net_interface_addr *net_snapshot_find(const struct net_snapshot *s,
						   const struct netaddr *ip);

#endif
