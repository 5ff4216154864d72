#include "daemon/net/interfaces.h"

#include <fnmatch.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <stdlib.h>
#include <string.h>

#define NO_ROUTE UINT32_MAX

/* One address that passed, with what the order depends on. */
struct found {
	struct netaddr addr;
	int ifindex;
	char ifname[IF_NAMESIZE];
	bool has_default;
	uint32_t metric; /* of the default route over its device, or NO_ROUTE */
	struct netaddr gateway;
	bool temporary;
	uint8_t prefix_bits;
};

struct snapshot {
	const struct net_interface_filter *filter;
	struct nl_sock *sk;
	struct nl_cache *links, *addrs;
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

static bool link_is_usable(const struct snapshot *s, struct rtnl_link *link, bool has_default)
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
	return has_default || !is_inner_kind(rtnl_link_get_type(link));
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

static enum err ask_default(struct snapshot *s, struct found *f)
{
	enum err e = net_route_ask_device(s->sk, f->ifindex, &f->addr, &f->metric, &f->gateway);

	f->has_default = e == OK;
	if (e == ERR_NETWORK) {
		f->metric = NO_ROUTE;
		e = OK;
	}
	return e;
}

static enum err add_address(struct snapshot *s, struct rtnl_addr *ra)
{
	struct nl_addr *local = rtnl_addr_get_local(ra);
	unsigned int flags = rtnl_addr_get_flags(ra);
	struct found f = {.ifindex = rtnl_addr_get_ifindex(ra)};
	struct rtnl_link *link = rtnl_link_get(s->links, f.ifindex);
	enum err e = OK;

	if (!link || !local)
		goto out;
	if (nl_addr_get_family(local) == AF_INET && nl_addr_get_len(local) == 4)
		f.addr = netaddr_from_ip4(nl_addr_get_binary_addr(local), 0);
	else if (nl_addr_get_family(local) == AF_INET6 && nl_addr_get_len(local) == 16)
		f.addr = netaddr_from_ip6(nl_addr_get_binary_addr(local), 0);
	f.prefix_bits = (uint8_t)rtnl_addr_get_prefixlen(ra);
	f.temporary = f.addr.family == NETADDR_IP6 && (flags & IFA_F_TEMPORARY);
	/* Routes are asked for only where the answer matters: a host may have a thousand veths. */
	if (!addr_is_usable(s, &f.addr, flags) || !link_is_usable(s, link, true))
		goto out;
	e = ask_default(s, &f);
	if (e == OK && link_is_usable(s, link, f.has_default)) {
		strncpy(f.ifname, rtnl_link_get_name(link), sizeof(f.ifname) - 1);
		s->found[s->count++] = f;
	}
out:
	rtnl_link_put(link);
	return e;
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

/* Another address of the same prefix of the same device leads nowhere else. */
static bool is_one_too_many(const struct net_snapshot *ret, const struct found *f)
{
	struct netprefix p = netprefix_of(&f->addr, f->prefix_bits);
	size_t count = 0;

	for (size_t i = 0; i < ret->count; i++) {
		if (ret->addrs[i].ifindex == f->ifindex &&
		    netprefix_contains(&p, &ret->addrs[i].addr))
			count++;
	}
	return count >= NET_MAX_PER_PREFIX;
}

static const struct found *next_of(const struct snapshot *s, const struct net_snapshot *ret,
				   uint8_t family, size_t *at)
{
	for (; *at < s->count; (*at)++) {
		const struct found *f = &s->found[*at];

		if (f->addr.family == family && !is_hidden(s, f) && !is_one_too_many(ret, f)) {
			(*at)++;
			return f;
		}
	}
	return NULL;
}

static void take(struct net_snapshot *ret, const struct found *f)
{
	const struct net_route *out = f->addr.family == NETADDR_IP6 ? &ret->out6 : &ret->out4;
	struct net_interface_addr *a = &ret->addrs[ret->count];

	*a = (struct net_interface_addr){
		.addr = f->addr,
		.ifindex = f->ifindex,
		.local_preference = (uint16_t)(UINT16_MAX - ret->count),
		.has_default = f->has_default,
		.metric = f->metric,
		.gateway = f->gateway,
		.is_second = f->has_default && out->ifindex && out->ifindex != f->ifindex,
	};
	memcpy(a->ifname, f->ifname, sizeof(a->ifname));
	ret->count++;
}

/* RFC 8421 s. 4: the families take turns. */
static void interleave(const struct snapshot *s, struct net_snapshot *ret)
{
	static const uint8_t families[] = {NETADDR_IP6, NETADDR_IP4};
	size_t at[ARRAY_SIZE(families)] = {0};
	size_t before;

	do {
		before = ret->count;
		for (size_t i = 0; i < ARRAY_SIZE(families) && ret->count < NET_MAX_ADDRS; i++) {
			const struct found *f = next_of(s, ret, families[i], &at[i]);

			if (f)
				take(ret, f);
		}
	} while (ret->count > before);
}

static enum err ask_ways(struct snapshot *s, struct net_snapshot *ret)
{
	enum err e = net_route_ask_default(s->sk, NETADDR_IP4, &ret->out4);

	if (e == OK || e == ERR_NETWORK)
		e = net_route_ask_default(s->sk, NETADDR_IP6, &ret->out6);
	return e == ERR_NETWORK ? OK : e;
}

static enum err fill(struct snapshot *s, struct net_snapshot *ret)
{
	enum err e;

	/* In place of acknowledgements come answers. */
	nl_socket_disable_auto_ack(s->sk);
	if (nl_connect(s->sk, NETLINK_ROUTE) < 0 ||
	    rtnl_link_alloc_cache(s->sk, AF_UNSPEC, &s->links) < 0 ||
	    rtnl_addr_alloc_cache(s->sk, &s->addrs) < 0)
		return ERR_IO;
	s->found = calloc((size_t)nl_cache_nitems(s->addrs) + 1, sizeof(*s->found));
	if (!s->found)
		return ERR_NO_MEMORY;
	e = ask_ways(s, ret);
	for (struct nl_object *o = nl_cache_get_first(s->addrs); o && e == OK;
	     o = nl_cache_get_next(o))
		e = add_address(s, (struct rtnl_addr *)o);
	if (e != OK)
		return e;
	qsort(s->found, s->count, sizeof(s->found[0]), compare);
	interleave(s, ret);
	return OK;
}

enum err net_interfaces_snapshot(const struct net_interface_filter *filter,
				 struct net_snapshot *ret)
{
	struct snapshot s = {.filter = filter, .sk = nl_socket_alloc()};
	enum err e;

	*ret = (struct net_snapshot){0};
	if (!s.sk)
		return ERR_NO_MEMORY;
	e = fill(&s, ret);
	free(s.found);
	nl_cache_free(s.addrs);
	nl_cache_free(s.links);
	nl_socket_free(s.sk);
	return e;
}

/* --- comparing --- */

static bool is_same_addr(const struct net_interface_addr *a, const struct net_interface_addr *b)
{
	return netaddr_equal(&a->addr, &b->addr) && a->ifindex == b->ifindex &&
	       a->local_preference == b->local_preference && a->has_default == b->has_default &&
	       a->is_second == b->is_second && netaddr_equal(&a->gateway, &b->gateway);
}

bool net_snapshot_same_addrs(const struct net_snapshot *a, const struct net_snapshot *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!is_same_addr(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

bool net_snapshot_same_ways(const struct net_snapshot *a, const struct net_snapshot *b)
{
	return net_route_equal(&a->out4, &b->out4) && net_route_equal(&a->out6, &b->out6);
}

const struct net_interface_addr *net_snapshot_find(const struct net_snapshot *s,
						   const struct netaddr *ip)
{
	for (size_t i = 0; i < s->count; i++) {
		if (netaddr_ip_equal(&s->addrs[i].addr, ip))
			return &s->addrs[i];
	}
	return NULL;
}
