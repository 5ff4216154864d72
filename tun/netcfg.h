/*
 * Link, address and route configuration of the TUN device, over one rtnetlink socket.
 *
 * Theory of operation
 *
 * A `struct tun_netcfg` is a netlink socket (libnl) in the network namespace of the thread that
 * made it. Each call sends one request and waits for the kernel's answer: microseconds as a rule,
 * TUN_NETCFG_TIMEOUT_MS at most. It is meant for start, stop and reconfiguration, on one thread at
 * a time; watching for changes is the work of another socket.
 *
 * The calls are small and independent, so that taking down is putting up read backwards, and each
 * undoes exactly what its partner did. Nothing that another program made is ever replaced: adding
 * what exists is -EEXIST. All is tied to the device, so closing the device undoes everything too;
 * the remove functions are for a device that lives on.
 *
 * The usual order, with `tun/device.h`:
 *
 *	1. tun_netcfg_find_overlap(overlay, 0)	before the device exists; refuse, name it
 *	2. tun_device_open()
 *	3. tun_netcfg_set_no_autoconf()		no address but ours, so before it comes up
 *	4. tun_netcfg_set_mtu()
 *	5. tun_netcfg_set_up(true)
 *	6. tun_netcfg_add_address()		our address, once per family
 *	7. tun_netcfg_add_route()		the overlay prefix, once per family
 *
 * An address brings no route with it (IFA_F_NOPREFIXROUTE): what goes into the overlay is what
 * step 7 says and nothing else. An IPv6 address is usable at once: duplicate address detection is
 * off (IFA_F_NODAD), nobody could answer it before the overlay is up.
 *
 * Errors: each function returns 0 or a negative errno, and on failure writes a sentence for a
 * person into @why (@why_cap bytes, TUN_WHY_CAP is enough; NULL is allowed when @why_cap is 0). All
 * of them can give
 *   -EPERM      no CAP_NET_ADMIN (not tun_netcfg_create and tun_netcfg_find_overlap)
 *   -ENODEV     there is no interface @ifindex
 *   -EINVAL     the arguments make no sense; the sentence says which
 *   -ENOMEM     out of memory
 *   -ETIMEDOUT  no answer within TUN_NETCFG_TIMEOUT_MS; whether it was done is not known
 *   -EIO        the netlink socket failed
 * and what the function itself lists. Other codes of the kernel are passed on as they are.
 */
#ifndef ICETUN_TUN_NETCFG_H
#define ICETUN_TUN_NETCFG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tun/attr.h"
#include "tun/prefix.h"

#define TUN_NETCFG_TIMEOUT_MS 5000

/* "ROUTE via GATEWAY dev NAME" with the longest of each, and a NUL. */
#define TUN_OVERLAP_TEXT_CAP (TUN_PREFIX_TEXT_CAP + 52 + IF_NAMESIZE + 16)

struct tun_netcfg;

enum tun_overlap_kind {
	TUN_OVERLAP_ROUTE,   /* a route to somewhere else */
	TUN_OVERLAP_ADDRESS, /* an address of this host */
};

struct tun_overlap {
	enum tun_overlap_kind kind;
	struct tun_prefix prefix; /* the destination of the route, or the address */
	int ifindex;		  /* the interface it leads to or is on; 0 if unknown */
	/* For a person: "192.0.2.0/24 dev eth0", "192.0.2.0/24 via 10.0.0.1 dev eth0" or
	 * "address 192.0.2.1/32 dev eth0". */
	char text[TUN_OVERLAP_TEXT_CAP];
};

/*
 * Opens the netlink socket (close-on-exec) in the network namespace of the calling thread.
 * @ret_nc: gets the object, which the caller owns and ends with `tun_netcfg_destroy()`; untouched
 * on failure.
 */
TUN_MUST_USE int tun_netcfg_create(struct tun_netcfg **ret_nc, char *why, size_t why_cap);

/* Closes the socket. Nothing that was configured changes. NULL is allowed. */
void tun_netcfg_destroy(struct tun_netcfg *nc);

/*
 * @mtu_bytes: the largest IP packet that the host may send into the device, 68 to 65535. Below 1280
 * the kernel takes IPv6 away from the device, with its IPv6 addresses.
 *
 * Return: see the top; -EINVAL for an MTU that the kernel refuses.
 */
TUN_MUST_USE int tun_netcfg_set_mtu(struct tun_netcfg *nc, int ifindex, uint32_t mtu_bytes,
				    char *why, size_t why_cap);

/* Brings the link up or down. Down removes its routes and its IPv6 addresses. */
TUN_MUST_USE int tun_netcfg_set_up(struct tun_netcfg *nc, int ifindex, bool up, char *why,
				   size_t why_cap);

/*
 * Tells the kernel to invent no IPv6 address for the device (IN6_ADDR_GEN_MODE_NONE): no link-local
 * address, hence no router solicitation either. Call it before the link comes up. A system or a
 * device without IPv6 invents none anyhow; that is success.
 */
TUN_MUST_USE int tun_netcfg_set_no_autoconf(struct tun_netcfg *nc, int ifindex, char *why,
					    size_t why_cap);

/*
 * Gives the device an address, without any route.
 * @addr: the address with its prefix length, "10.7.0.1/16": host bits set.
 *
 * Return: see the top;
 *   -EEXIST  the device has this address
 *   -EACCES  IPv6 is switched off for the device (sysctl net.ipv6.conf.*.disable_ipv6)
 *   -EOPNOTSUPP, -EAFNOSUPPORT  the kernel has no IPv6
 */
TUN_MUST_USE int tun_netcfg_add_address(struct tun_netcfg *nc, int ifindex,
					const struct tun_prefix *addr, char *why, size_t why_cap);

/* Takes the address away again. Return: see the top; -ENOENT the device does not have it. */
TUN_MUST_USE int tun_netcfg_remove_address(struct tun_netcfg *nc, int ifindex,
					   const struct tun_prefix *addr, char *why,
					   size_t why_cap);

/*
 * Routes a prefix into the device: main table, unicast, protocol "static". The link has to be up.
 * @dst: host bits clear.
 *
 * Return: see the top;
 *   -EEXIST    there is a route to the same prefix, with the same metric, on whichever device
 *   -ENETDOWN  the link is down
 *   -EOPNOTSUPP, -EAFNOSUPPORT  the kernel has no IPv6
 */
TUN_MUST_USE int tun_netcfg_add_route(struct tun_netcfg *nc, int ifindex,
				      const struct tun_prefix *dst, char *why, size_t why_cap);

/*
 * Takes the route away again; a route to the same prefix on another device is left alone.
 *
 * Return: see the top; -ENOENT there is no such route on this device.
 */
TUN_MUST_USE int tun_netcfg_remove_route(struct tun_netcfg *nc, int ifindex,
					 const struct tun_prefix *dst, char *why, size_t why_cap);

/*
 * Looks for something on this host that already uses addresses of @overlay: a unicast route of the
 * main table that contains @overlay, is inside it or equals it, or an address of an interface that
 * is inside it. Routes are looked at first.
 *
 * Default routes do not count, neither whole (/0) nor as the two halves (/1) by which a VPN covers
 * them: they lead everywhere, and any overlay is more specific on purpose. Neither do routes that
 * refuse (blackhole, unreachable, prohibit), nor other tables than main.
 *
 * @overlay: host bits are ignored.
 * @ignore_ifindex: our own device, whose routes and addresses do not count; 0 if there is none yet.
 * @ret_overlap: gets the first that was found; untouched otherwise.
 *
 * Return: 1 one was found, 0 there is none, or a negative errno; see the top.
 */
TUN_MUST_USE int tun_netcfg_find_overlap(struct tun_netcfg *nc, const struct tun_prefix *overlay,
					 int ignore_ifindex, struct tun_overlap *ret_overlap,
					 char *why, size_t why_cap);

#endif
