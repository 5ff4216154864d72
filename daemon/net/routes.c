#include "daemon/net/routes.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* "Default" with the tricks of some VPN clients (two halves of the Internet) and 2000::/3. */
#define DEFAULT_BITS 3

/* Addresses that are routed by default or not at all: class E, and one that no registry has. */
static const struct netaddr nowhere[] = {
	{.family = NETADDR_IP4, .ip = {240, 0, 0, 1}},
	{.family = NETADDR_IP6, .ip = {0x30, [15] = 1}},
};

struct question {
	struct netaddr to, from; /* NETADDR_NONE: any */
	int ifindex;		 /* 0: any */
	bool wants_entry;	 /* of the table, not the way of one packet */
};

struct answer {
	struct net_route route;
	uint32_t metric;
	uint8_t bits;
};

bool net_route_equal(const struct net_route *a, const struct net_route *b)
{
	return a->ifindex == b->ifindex && netaddr_equal(&a->source, &b->source) &&
	       netaddr_equal(&a->gateway, &b->gateway);
}

static const struct netaddr *nowhere_of(uint8_t family)
{
	return &nowhere[family == NETADDR_IP6];
}

static enum err send_question(struct nl_sock *sk, const struct question *q)
{
	struct nl_msg *m = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
	int len = (int)netaddr_ip_bytes(&q->to);
	struct rtmsg rt = {
		.rtm_family = q->to.family == NETADDR_IP6 ? AF_INET6 : AF_INET,
		.rtm_dst_len = (unsigned char)(8 * len),
		.rtm_flags = q->wants_entry ? RTM_F_FIB_MATCH : 0,
	};
	enum err e = ERR_NO_MEMORY;

	if (q->from.family != NETADDR_NONE)
		rt.rtm_src_len = rt.rtm_dst_len;
	if (m && nlmsg_append(m, &rt, sizeof(rt), NLMSG_ALIGNTO) == 0 &&
	    nla_put(m, RTA_DST, len, q->to.ip) == 0 &&
	    (q->from.family == NETADDR_NONE || nla_put(m, RTA_SRC, len, q->from.ip) == 0) &&
	    (q->ifindex == 0 || nla_put_u32(m, RTA_OIF, (uint32_t)q->ifindex) == 0))
		e = nl_send_auto(sk, m) < 0 ? ERR_IO : OK;
	nlmsg_free(m);
	return e;
}

static struct netaddr address_of(const struct nlattr *a, uint8_t family)
{
	if (a && family == AF_INET && nla_len(a) == 4)
		return netaddr_from_ip4(nla_data(a), 0);
	if (a && family == AF_INET6 && nla_len(a) == 16)
		return netaddr_from_ip6(nla_data(a), 0);
	return (struct netaddr){0};
}

static enum err read_answer(struct nlmsghdr *h, struct answer *ret)
{
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *rt = nlmsg_data(h);

	*ret = (struct answer){0};
	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*rt), tb, RTA_MAX, NULL) < 0 ||
	    rt->rtm_type != RTN_UNICAST)
		return ERR_NETWORK;
	ret->bits = rt->rtm_dst_len;
	if (tb[RTA_OIF])
		ret->route.ifindex = (int)nla_get_u32(tb[RTA_OIF]);
	if (tb[RTA_PRIORITY])
		ret->metric = nla_get_u32(tb[RTA_PRIORITY]);
	ret->route.gateway = address_of(tb[RTA_GATEWAY], rt->rtm_family);
	ret->route.source = address_of(tb[RTA_PREFSRC], rt->rtm_family);
	return OK;
}

/* The kernel has answered when send() returns. */
static enum err ask(struct nl_sock *sk, const struct question *q, struct answer *ret)
{
	enum err e = send_question(sk, q);
	struct sockaddr_nl from;
	unsigned char *buf = NULL;
	int n;

	if (e != OK)
		return e;
	n = nl_recv(sk, &from, &buf, NULL);
	if (n < 0)
		return ERR_IO;
	e = nlmsg_ok((struct nlmsghdr *)(void *)buf, n)
		    ? read_answer((struct nlmsghdr *)(void *)buf, ret)
		    : ERR_IO;
	free(buf);
	return e;
}

enum err net_route_ask(struct nl_sock *sk, const struct netaddr *to, struct net_route *ret)
{
	struct question q = {.to = *to};
	struct answer a;
	enum err e;

	*ret = (struct net_route){0};
	if (netaddr_ip_bytes(to) == 0)
		return ERR_INVALID;
	e = ask(sk, &q, &a);
	if (e == OK)
		*ret = a.route;
	return e;
}

enum err net_route_ask_default(struct nl_sock *sk, uint8_t family, struct net_route *ret)
{
	return net_route_ask(sk, nowhere_of(family), ret);
}

static enum err ask_default(struct nl_sock *sk, const struct question *q, struct answer *ret)
{
	enum err e = ask(sk, q, ret);

	return e == OK && ret->bits > DEFAULT_BITS ? ERR_NETWORK : e;
}

enum err net_route_ask_device(struct nl_sock *sk, int ifindex, const struct netaddr *source,
			      uint32_t *ret_metric, struct netaddr *ret_gateway)
{
	struct question q = {
		.to = *nowhere_of(source->family), .ifindex = ifindex, .wants_entry = true};
	struct answer entry, way;
	enum err e;

	/* Without a source IPv6 takes the device seriously. */
	e = ask_default(sk, &q, &entry);
	if (e == ERR_NETWORK) {
		q.from = *source;
		e = ask_default(sk, &q, &entry);
		if (e == OK && entry.route.ifindex != ifindex && entry.route.ifindex != 0)
			e = ERR_NETWORK;
	}
	if (e != OK)
		return e;
	*ret_metric = entry.metric;
	q.wants_entry = false;
	e = ask(sk, &q, &way);
	*ret_gateway = e == OK ? way.route.gateway : (struct netaddr){0};
	return e == ERR_NETWORK ? OK : e;
}

enum err net_route_default(uint8_t family, struct net_route *ret)
{
	return net_route_to(nowhere_of(family), ret);
}

enum err net_route_to(const struct netaddr *to, struct net_route *ret)
{
	struct nl_sock *sk = nl_socket_alloc();
	enum err e;

	*ret = (struct net_route){0};
	if (!sk)
		return ERR_NO_MEMORY;
	nl_socket_disable_auto_ack(sk);
	e = nl_connect(sk, NETLINK_ROUTE) < 0 ? ERR_IO : net_route_ask(sk, to, ret);
	nl_socket_free(sk);
	return e;
}
