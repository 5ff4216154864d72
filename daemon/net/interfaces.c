#include "daemon/net/interfaces.h"

#include <fnmatch.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>

#define NO_ROUTE UINT32_MAX

/* One address that passed, with what the order depends on. */
struct found {
	struct netaddr addr;
	int ifindex;
	char ifname[IF_NAMESIZE];
	uint32_t metric; /* of the best default route over its interface */
	bool temporary;
	uint8_t prefix_bits;
};

struct snapshot {
	const struct net_interface_filter *filter;
	struct nl_cache *links, *addrs, *routes;
	struct found *found; /* room for every address there is */
	size_t count;
};

static bool matches(const char *const *patterns, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	}
	return false;
}

/* The lowest metric of the default routes over @ifindex in the main table. */
static uint32_t default_metric(const struct snapshot *s, int ifindex)
{
	uint32_t best = NO_ROUTE;

	for (struct nl_object *o = nl_cache_get_first(s->routes); o; o = nl_cache_get_next(o)) {
		struct rtnl_route *r = (struct rtnl_route *)o;
		struct nl_addr *dst = rtnl_route_get_dst(r);

		if (rtnl_route_get_table(r) != RT_TABLE_MAIN ||
		    rtnl_route_get_type(r) != RTN_UNICAST || (dst && nl_addr_get_prefixlen(dst)))
			continue;
		for (int i = 0; i < rtnl_route_get_nnexthops(r); i++) {
			if (rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(r, i)) == ifindex &&
			    rtnl_route_get_priority(r) < best)
				best = rtnl_route_get_priority(r);
		}
	}
	return best;
}

/* Kinds of device that exist inside this host only, as long as no default route leads over them. */
static bool is_inner_kind(const char *kind)
{
	static const char *const kinds[] = {"veth", "bridge", "tun", "wireguard", "dummy",
					    "ipip", "gre",    "sit", "vxlan",	  "geneve",
					    "ifb",  "nlmon",  "vrf"};

	for (size_t i = 0; kind && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	}
	return false;
}

static bool link_is_usable(const struct snapshot *s, struct rtnl_link *link, uint32_t metric)
{
	unsigned int flags = rtnl_link_get_flags(link);
	const char *name = rtnl_link_get_name(link);
	const struct net_interface_filter *f = s->filter;

	if (!name || (flags & IFF_LOOPBACK) || !(flags & IFF_UP) || !(flags & IFF_RUNNING) ||
	    rtnl_link_get_ifindex(link) == f->exclude_ifindex)
		return false;
	if (matches(f->deny, f->deny_count, name))
		return false;
	if (f->allow_count > 0)
		return matches(f->allow, f->allow_count, name);
	return metric != NO_ROUTE || !is_inner_kind(rtnl_link_get_type(link));
}

static bool addr_is_usable(const struct snapshot *s, const struct netaddr *a, unsigned int flags)
{
	if (netaddr_is_unspecified(a) || netaddr_is_loopback(a) || netaddr_is_link_local(a) ||
	    netaddr_is_multicast(a) || netaddr_is_deprecated_ip6(a))
		return false;
	if (a->family == NETADDR_IP6 &&
	    (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_DEPRECATED)))
		return false;
	for (size_t i = 0; i < s->filter->exclude_count; i++) {
		if (netprefix_contains(&s->filter->exclude[i], a))
			return false;
	}
	return true;
}

static void add_address(struct snapshot *s, struct rtnl_addr *ra)
{
	struct nl_addr *local = rtnl_addr_get_local(ra);
	unsigned int flags = rtnl_addr_get_flags(ra);
	struct found f = {.ifindex = rtnl_addr_get_ifindex(ra)};
	struct rtnl_link *link = rtnl_link_get(s->links, f.ifindex);

	if (!link || !local)
		goto out;
	if (nl_addr_get_family(local) == AF_INET && nl_addr_get_len(local) == 4)
		f.addr = netaddr_from_ip4(nl_addr_get_binary_addr(local), 0);
	else if (nl_addr_get_family(local) == AF_INET6 && nl_addr_get_len(local) == 16)
		f.addr = netaddr_from_ip6(nl_addr_get_binary_addr(local), 0);
	f.metric = default_metric(s, f.ifindex);
	f.prefix_bits = (uint8_t)rtnl_addr_get_prefixlen(ra);
	f.temporary = f.addr.family == NETADDR_IP6 && (flags & IFA_F_TEMPORARY);
	if (link_is_usable(s, link, f.metric) && addr_is_usable(s, &f.addr, flags)) {
		strncpy(f.ifname, rtnl_link_get_name(link), sizeof(f.ifname) - 1);
		s->found[s->count++] = f;
	}
out:
	rtnl_link_put(link);
}

/* A temporary address of the same prefix on the same interface stands in for @f. */
static bool is_hidden(const struct snapshot *s, const struct found *f)
{
	struct netprefix p = netprefix_of(&f->addr, f->prefix_bits);

	for (size_t i = 0; i < s->count && f->addr.family == NETADDR_IP6 && !f->temporary; i++) {
		if (s->found[i].temporary && s->found[i].ifindex == f->ifindex &&
		    netprefix_contains(&p, &s->found[i].addr))
			return true;
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->metric != y->metric)
		return x->metric < y->metric ? -1 : 1;
	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return memcmp(x->addr.ip, y->addr.ip, sizeof(x->addr.ip));
}

static const struct found *next_of(const struct snapshot *s, uint8_t family, size_t *at)
{
	for (; *at < s->count; (*at)++) {
		const struct found *f = &s->found[*at];

		if (f->addr.family == family && !is_hidden(s, f)) {
			(*at)++;
			return f;
		}
	}
	return NULL;
}

/* RFC 8421 s. 4: the families take turns. */
static size_t interleave(const struct snapshot *s, struct net_interface_addr *ret, size_t cap)
{
	static const uint8_t families[] = {NETADDR_IP6, NETADDR_IP4};
	size_t at[ARRAY_SIZE(families)] = {0};
	size_t count = 0, before;

	do {
		before = count;
		for (size_t i = 0; i < ARRAY_SIZE(families) && count < cap; i++) {
			const struct found *f = next_of(s, families[i], &at[i]);

			if (!f)
				continue;
			ret[count] = (struct net_interface_addr){
				.addr = f->addr,
				.ifindex = f->ifindex,
				.local_preference = (uint16_t)(UINT16_MAX - count),
			};
			memcpy(ret[count].ifname, f->ifname, sizeof(f->ifname));
			count++;
		}
	} while (count > before && count < cap);
	return count;
}

enum err net_interfaces_snapshot(const struct net_interface_filter *filter,
				 struct net_interface_addr *ret, size_t cap, size_t *ret_count)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct nl_sock *sk = nl_socket_alloc();
	enum err e = ERR_IO;

	if (!s || !sk) {
		e = ERR_NO_MEMORY;
		goto out;
	}
	s->filter = filter;
	if (nl_connect(sk, NETLINK_ROUTE) < 0 ||
	    rtnl_link_alloc_cache(sk, AF_UNSPEC, &s->links) < 0 ||
	    rtnl_addr_alloc_cache(sk, &s->addrs) < 0 ||
	    rtnl_route_alloc_cache(sk, AF_UNSPEC, 0, &s->routes) < 0)
		goto out;
	s->found = calloc((size_t)nl_cache_nitems(s->addrs) + 1, sizeof(*s->found));
	if (!s->found) {
		e = ERR_NO_MEMORY;
		goto out;
	}
	for (struct nl_object *o = nl_cache_get_first(s->addrs); o; o = nl_cache_get_next(o))
		add_address(s, (struct rtnl_addr *)o);
	qsort(s->found, s->count, sizeof(s->found[0]), compare);
	*ret_count = interleave(s, ret, cap);
	e = OK;
out:
	if (s) {
		free(s->found);
		nl_cache_free(s->routes);
		nl_cache_free(s->addrs);
		nl_cache_free(s->links);
	}
	nl_socket_free(sk);
	free(s);
	return e;
}
