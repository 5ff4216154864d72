/*
 * The local addresses that may be candidates, and word of their change.
 *
 * A snapshot looks at links, addresses and default routes through netlink and leaves out what nobody
 * outside can reach, or what leads in circles (RFC 8445 s. 5.1.1.1):
 *
 *   - links that are down, loopback, and our own TUN device;
 *   - bridges, veths and tunnels of this host, unless a default route leads over them: by their kind
 *     and by routing, since names promise nothing;
 *   - link-local, loopback and unspecified addresses, and those inside the overlay;
 *   - IPv6 addresses that are tentative, duplicate, optimistic or deprecated; and where a prefix has a
 *     temporary address (RFC 8981) its stable ones, which would tell who moves from where to where.
 *
 * What is left is ordered: interfaces with a default route first, by its metric; then IPv6 and IPv4
 * take turns (RFC 8421 s. 4), so that one broken family does not hold up the other. The local
 * preference falls from 65535 in that order.
 *
 * A watcher tells when a new snapshot is worth taking: changes of links, addresses and routes are
 * collected until they settle.
 */
#ifndef ICETUN_NET_INTERFACES_H
#define ICETUN_NET_INTERFACES_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define NET_MAX_PATTERNS 16

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
};

/* Writes at most @cap addresses, best first. Return: OK with *ret_count; ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err net_interfaces_snapshot(const struct net_interface_filter *filter,
					  struct net_interface_addr *ret, size_t cap,
					  size_t *ret_count);

/* A change is told after this time without another one, and after the second at the latest. */
#define NET_WATCH_SETTLE_MS 500
#define NET_WATCH_MAX_MS    3000

struct net_watcher;

struct net_watcher_params {
	uv_loop_t *loop;
	void (*on_change)(void *ctx);
	void *ctx;
};

/* Return: OK, ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err net_watcher_create(struct net_watcher **ret,
				     const struct net_watcher_params *params);
/* No call comes afterwards; the memory goes in the next turns of the loop. NULL is fine. */
void net_watcher_destroy(struct net_watcher *w);

#endif
