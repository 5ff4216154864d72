/* tun_netcfg_find_overlap(): reads the kernel's routes and addresses as a stream, one message at a
 * time. A router may have a million routes; nothing is stored but the first one that matters. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/route/rtnl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tun/netcfg.h"
#include "tun/netcfg_internal.h"
#include "tun/why.h"

/* Routes can change while the kernel lists them; then it says so and we ask again. */
#define DUMP_TRIES 5

/* Default routes, whole or in two halves. */
#define DEFAULT_ROUTE_MAX_BITS 1

struct search {
	const struct tun_prefix *overlay;
	int ignore_ifindex;
	bool found;
	struct tun_overlap overlap;
	char gateway[INET6_ADDRSTRLEN]; /* "" if none */
};

static uint8_t family_of(int af)
{
	return af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0;
}

/* Fills @p from an attribute with an address; no attribute is the address of zeros. */
static bool read_prefix(const struct nlattr *attr, int af, unsigned int length_bits,
			struct tun_prefix *p)
{
	size_t len = af == AF_INET ? 4 : 16;

	*p = (struct tun_prefix){.family = family_of(af), .length_bits = (uint8_t)length_bits};
	if (attr && (size_t)nla_len(attr) < len)
		return false;
	if (attr)
		memcpy(p->ip, nla_data(attr), len);
	return tun_prefix_is_valid(p);
}

static bool read_int(const struct nlattr *attr, int *value)
{
	if (!attr || (size_t)nla_len(attr) < sizeof(*value))
		return false;
	memcpy(value, nla_data(attr), sizeof(*value));
	return true;
}

static void read_gateway(const struct nlattr *attr, int af, char text[static INET6_ADDRSTRLEN])
{
	text[0] = '\0';
	if (attr && nla_len(attr) >= (af == AF_INET ? 4 : 16) &&
	    !inet_ntop(af, nla_data(attr), text, INET6_ADDRSTRLEN))
		text[0] = '\0';
}

/* Where a route leads: its interface, or that of its first next hop, or 0. */
static int read_hop(struct nlattr *tb[], int af, char gateway[static INET6_ADDRSTRLEN])
{
	struct nlattr *hop_tb[RTA_MAX + 1];
	struct rtnexthop hop;
	int ifindex = 0;

	read_gateway(tb[RTA_GATEWAY], af, gateway);
	if (read_int(tb[RTA_OIF], &ifindex) || !tb[RTA_MULTIPATH] ||
	    (size_t)nla_len(tb[RTA_MULTIPATH]) < sizeof(hop))
		return ifindex;
	memcpy(&hop, nla_data(tb[RTA_MULTIPATH]), sizeof(hop));
	if (hop.rtnh_len >= sizeof(hop) && hop.rtnh_len <= nla_len(tb[RTA_MULTIPATH]) &&
	    !nla_parse(hop_tb, RTA_MAX,
		       (struct nlattr *)((char *)nla_data(tb[RTA_MULTIPATH]) + sizeof(hop)),
		       (int)(hop.rtnh_len - sizeof(hop)), NULL))
		read_gateway(hop_tb[RTA_GATEWAY], af, gateway);
	return hop.rtnh_ifindex;
}

/* For NL_CB_VALID: one route. */
static int on_route(struct nl_msg *msg, void *arg)
{
	struct search *s = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct nlattr *tb[RTA_MAX + 1];
	struct tun_prefix dst;
	struct rtmsg *rtm;
	int table, ifindex;

	if (s->found || header->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse(header, sizeof(*rtm), tb, RTA_MAX, NULL) < 0)
		return NL_OK;
	rtm = nlmsg_data(header);
	if (!read_int(tb[RTA_TABLE], &table))
		table = rtm->rtm_table;
	if (table != RT_TABLE_MAIN || rtm->rtm_type != RTN_UNICAST ||
	    rtm->rtm_dst_len <= DEFAULT_ROUTE_MAX_BITS || (rtm->rtm_flags & RTM_F_CLONED) ||
	    family_of(rtm->rtm_family) != s->overlay->family ||
	    !read_prefix(tb[RTA_DST], rtm->rtm_family, rtm->rtm_dst_len, &dst) ||
	    !tun_prefix_overlaps(&dst, s->overlay))
		return NL_OK;
	ifindex = read_hop(tb, rtm->rtm_family, s->gateway);
	if (ifindex && ifindex == s->ignore_ifindex)
		return NL_OK;
	s->found = true;
	s->overlap.kind = TUN_OVERLAP_ROUTE;
	s->overlap.prefix = dst;
	s->overlap.ifindex = ifindex;
	return NL_OK;
}

/* For NL_CB_VALID: one address of an interface. */
static int on_address(struct nl_msg *msg, void *arg)
{
	struct search *s = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct nlattr *tb[IFA_MAX + 1];
	struct tun_prefix addr;
	struct ifaddrmsg *ifa;

	if (s->found || header->nlmsg_type != RTM_NEWADDR ||
	    nlmsg_parse(header, sizeof(*ifa), tb, IFA_MAX, NULL) < 0)
		return NL_OK;
	ifa = nlmsg_data(header);
	if ((int)ifa->ifa_index == s->ignore_ifindex ||
	    family_of(ifa->ifa_family) != s->overlay->family)
		return NL_OK;
	/* On a point-to-point link our end is IFA_LOCAL; IPv6 often has only IFA_ADDRESS. */
	if (!read_prefix(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], ifa->ifa_family,
			 ifa->ifa_family == AF_INET ? 32 : 128, &addr) ||
	    !tun_prefix_overlaps(&addr, s->overlay))
		return NL_OK;
	s->found = true;
	s->gateway[0] = '\0';
	s->overlap.kind = TUN_OVERLAP_ADDRESS;
	s->overlap.prefix = addr;
	s->overlap.ifindex = (int)ifa->ifa_index;
	return NL_OK;
}

/* Lists one kind of object once; @on_valid gets each. */
static int dump_once(struct tun_netcfg *nc, int type, nl_recvmsg_msg_cb_t on_valid,
		     struct search *s)
{
	int af = s->overlay->family == 4 ? AF_INET : AF_INET6;
	struct nl_cb *sock_cb, *cb;
	int err = tun_netcfg_prepare(nc);

	if (err)
		return err;
	sock_cb = nl_socket_get_cb(nc->sock);
	cb = nl_cb_clone(sock_cb);
	nl_cb_put(sock_cb);
	if (!cb)
		return -ENOMEM;
	err = nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, s);
	if (err >= 0)
		err = nl_rtgen_request(nc->sock, type, af, NLM_F_DUMP);
	if (err >= 0)
		err = nl_recvmsgs(nc->sock, cb);
	nl_cb_put(cb);
	return err < 0 ? tun_netcfg_errno(nc, err) : 0;
}

static int dump(struct tun_netcfg *nc, int type, nl_recvmsg_msg_cb_t on_valid, struct search *s)
{
	int err = 0;

	for (int try = 0; try < DUMP_TRIES; try++) {
		err = dump_once(nc, type, on_valid, s);
		if (err != -EINTR || s->found)
			break;
	}
	/* A list that changed all the while was still read to its end, so a find is a find. */
	return s->found ? 0 : err;
}

static void describe(struct search *s)
{
	struct tun_overlap *o = &s->overlap;
	char prefix[TUN_PREFIX_TEXT_CAP], name[IF_NAMESIZE];
	const char *dev = name;

	if (o->ifindex <= 0 || !if_indextoname((unsigned int)o->ifindex, name))
		dev = "?";
	snprintf(o->text, sizeof(o->text), "%s%s%s%s dev %s",
		 o->kind == TUN_OVERLAP_ADDRESS ? "address " : "",
		 tun_prefix_format(&o->prefix, prefix), s->gateway[0] ? " via " : "", s->gateway,
		 dev);
}

int tun_netcfg_find_overlap(struct tun_netcfg *nc, const struct tun_prefix *overlay,
			    int ignore_ifindex, struct tun_overlap *ret_overlap, char *why,
			    size_t why_cap)
{
	struct search s = {.overlay = overlay, .ignore_ifindex = ignore_ifindex};
	int err;

	if (!tun_prefix_is_valid(overlay))
		return tun_why(why, why_cap, -EINVAL,
			       "family %u with a prefix length of %u bits is no IP prefix",
			       overlay->family, overlay->length_bits);
	err = dump(nc, RTM_GETROUTE, on_route, &s);
	if (!err && !s.found)
		err = dump(nc, RTM_GETADDR, on_address, &s);
	if (err)
		return tun_why(why, why_cap, err, "cannot read the routes of this host: %s",
			       tun_why_kernel(err));
	if (!s.found)
		return 0;
	describe(&s);
	*ret_overlap = s.overlap;
	return 1;
}
