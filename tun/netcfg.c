#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tun/netcfg.h"
#include "tun/netcfg_internal.h"
#include "tun/why.h"

/* libnl folds several errno into one code of its own, so the kernel's own is kept here. */
static int on_kernel_error(struct sockaddr_nl *from, struct nlmsgerr *answer, void *arg)
{
	struct tun_netcfg *nc = arg;

	(void)from;
	nc->kernel_err = answer->error;
	return NL_STOP;
}

int tun_netcfg_errno(struct tun_netcfg *nc, int nl_err)
{
	if (nc->kernel_err < 0)
		return nc->kernel_err;
	switch (-nl_err) {
	case NLE_AGAIN:
		/* The answer may still come. On a new socket it cannot be taken for the next. */
		nl_socket_free(nc->sock);
		nc->sock = NULL;
		return -ETIMEDOUT;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_DUMP_INTR:
		return -EINTR;
	default:
		return -EIO;
	}
}

int tun_netcfg_prepare(struct tun_netcfg *nc)
{
	struct timeval timeout = {
		.tv_sec = TUN_NETCFG_TIMEOUT_MS / 1000,
		.tv_usec = TUN_NETCFG_TIMEOUT_MS % 1000 * 1000,
	};
	struct nl_sock *sock;
	int err;

	nc->kernel_err = 0;
	if (nc->sock)
		return 0;
	sock = nl_socket_alloc();
	if (!sock)
		return -ENOMEM;
	err = nl_connect(sock, NETLINK_ROUTE);
	if (err < 0)
		goto err_sock;
	if (setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		goto err_sock;
	err = nl_socket_modify_err_cb(sock, NL_CB_CUSTOM, on_kernel_error, nc);
	if (err < 0)
		goto err_sock;
	nc->sock = sock;
	return 0;

err_sock:
	nl_socket_free(sock);
	return err == -NLE_NOMEM ? -ENOMEM : -EIO;
}

int tun_netcfg_create(struct tun_netcfg **ret_nc, char *why, size_t why_cap)
{
	struct tun_netcfg *nc = calloc(1, sizeof(*nc));
	int err = nc ? tun_netcfg_prepare(nc) : -ENOMEM;

	if (err) {
		tun_netcfg_destroy(nc);
		return tun_why(why, why_cap, err, "cannot open a netlink socket: %s",
			       tun_why_kernel(err));
	}
	*ret_nc = nc;
	return 0;
}

void tun_netcfg_destroy(struct tun_netcfg *nc)
{
	if (!nc)
		return;
	nl_socket_free(nc->sock);
	free(nc);
}

/* Sends @msg, which it takes over, and waits for the answer. */
static int run(struct tun_netcfg *nc, struct nl_msg *msg)
{
	int err = tun_netcfg_prepare(nc);

	if (err) {
		nlmsg_free(msg);
		return err;
	}
	err = nl_send_sync(nc->sock, msg);
	return err < 0 ? tun_netcfg_errno(nc, err) : 0;
}

/* The name of an interface for a sentence. */
static const char *name_of(int ifindex, char name[static IF_NAMESIZE])
{
	if (ifindex <= 0 || !if_indextoname((unsigned int)ifindex, name))
		return "(no interface)";
	return name;
}

/* --- link --- */

/* Sends the difference that @change makes to the link; takes @change over. */
static int change_link(struct tun_netcfg *nc, int ifindex, struct rtnl_link *change)
{
	struct rtnl_link *target = rtnl_link_alloc();
	struct nl_msg *msg;
	int err = -ENOMEM;

	if (!target || !change)
		goto out;
	if (ifindex <= 0) {
		err = -ENODEV;
		goto out;
	}
	rtnl_link_set_ifindex(target, ifindex);
	if (rtnl_link_build_change_request(target, change, 0, &msg) < 0)
		goto out;
	err = run(nc, msg);
out:
	rtnl_link_put(target);
	rtnl_link_put(change);
	return err;
}

int tun_netcfg_set_mtu(struct tun_netcfg *nc, int ifindex, uint32_t mtu_bytes, char *why,
		       size_t why_cap)
{
	struct rtnl_link *change = rtnl_link_alloc();
	char name[IF_NAMESIZE];
	int err;

	if (change)
		rtnl_link_set_mtu(change, mtu_bytes);
	err = change_link(nc, ifindex, change);
	if (err == -EINVAL)
		return tun_why(why, why_cap, err,
			       "%s cannot have an MTU of %u bytes; use 1280 to 65535",
			       name_of(ifindex, name), mtu_bytes);
	if (err)
		return tun_why(why, why_cap, err, "cannot set the MTU of %s to %u bytes: %s",
			       name_of(ifindex, name), mtu_bytes, tun_why_kernel(err));
	return 0;
}

int tun_netcfg_set_up(struct tun_netcfg *nc, int ifindex, bool up, char *why, size_t why_cap)
{
	struct rtnl_link *change = rtnl_link_alloc();
	char name[IF_NAMESIZE];
	int err;

	if (change && up)
		rtnl_link_set_flags(change, IFF_UP);
	else if (change)
		rtnl_link_unset_flags(change, IFF_UP);
	err = change_link(nc, ifindex, change);
	if (err)
		return tun_why(why, why_cap, err, "cannot bring %s %s: %s", name_of(ifindex, name),
			       up ? "up" : "down", tun_why_kernel(err));
	return 0;
}

int tun_netcfg_set_no_autoconf(struct tun_netcfg *nc, int ifindex, char *why, size_t why_cap)
{
	struct rtnl_link *change = rtnl_link_alloc();
	char name[IF_NAMESIZE];
	int err;

	if (change && rtnl_link_inet6_set_addr_gen_mode(change, IN6_ADDR_GEN_MODE_NONE) < 0) {
		rtnl_link_put(change);
		change = NULL;
	}
	err = change_link(nc, ifindex, change);
	if (err == -EAFNOSUPPORT || err == -EOPNOTSUPP)
		return 0;
	if (err)
		return tun_why(why, why_cap, err,
			       "cannot switch off automatic IPv6 addresses on %s: %s",
			       name_of(ifindex, name), tun_why_kernel(err));
	return 0;
}

/* --- addresses and routes --- */

/* NULL when out of memory. */
static struct nl_addr *to_nl_addr(const struct tun_prefix *p)
{
	bool is_ip4 = p->family == 4;
	struct nl_addr *addr = nl_addr_build(is_ip4 ? AF_INET : AF_INET6, p->ip, is_ip4 ? 4 : 16);

	if (addr)
		nl_addr_set_prefixlen(addr, p->length_bits);
	return addr;
}

static int change_address(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *addr,
			  bool add)
{
	struct rtnl_addr *request = rtnl_addr_alloc();
	struct nl_addr *local = to_nl_addr(addr);
	unsigned int flags = IFA_F_NOPREFIXROUTE;
	struct nl_msg *msg;
	int err = -ENOMEM;

	if (!request || !local)
		goto out;
	if (addr->family == 6)
		flags |= IFA_F_NODAD;
	rtnl_addr_set_ifindex(request, ifindex);
	rtnl_addr_set_flags(request, flags);
	if (rtnl_addr_set_local(request, local) < 0)
		goto out;
	if (add)
		err = rtnl_addr_build_add_request(request, NLM_F_EXCL, &msg);
	else
		err = rtnl_addr_build_delete_request(request, 0, &msg);
	err = err < 0 ? -ENOMEM : run(nc, msg);
out:
	nl_addr_put(local);
	rtnl_addr_put(request);
	return err;
}

/* A prefix that is fit for a request about the device, or -EINVAL with a sentence. */
static int check_target(int ifindex, const struct tun_prefix *p, char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP];

	if (!tun_prefix_is_valid(p))
		return tun_why(why, why_cap, -EINVAL,
			       "family %u with a prefix length of %u bits is no IP prefix",
			       p->family, p->length_bits);
	if (ifindex <= 0)
		return tun_why(why, why_cap, -ENODEV, "no device for %s",
			       tun_prefix_format(p, text));
	return 0;
}

int tun_netcfg_add_address(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *addr,
			   char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP], name[IF_NAMESIZE];
	int err = check_target(ifindex, addr, why, why_cap);

	if (err)
		return err;
	err = change_address(nc, ifindex, addr, true);
	if (err == -EACCES && addr->family == 6)
		return tun_why(why, why_cap, err,
			       "cannot add the address %s: IPv6 is switched off on %s; set sysctl "
			       "net.ipv6.conf.*.disable_ipv6 to 0, or use no IPv6 overlay address",
			       tun_prefix_format(addr, text), name_of(ifindex, name));
	if (err)
		return tun_why(why, why_cap, err, "cannot add the address %s to %s: %s",
			       tun_prefix_format(addr, text), name_of(ifindex, name),
			       tun_why_kernel(err));
	return 0;
}

int tun_netcfg_remove_address(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *addr,
			      char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP], name[IF_NAMESIZE];
	int err = check_target(ifindex, addr, why, why_cap);

	if (err)
		return err;
	err = change_address(nc, ifindex, addr, false);
	if (err == -EADDRNOTAVAIL)
		err = -ENOENT;
	if (err)
		return tun_why(why, why_cap, err, "cannot remove the address %s from %s: %s",
			       tun_prefix_format(addr, text), name_of(ifindex, name),
			       tun_why_kernel(err));
	return 0;
}

/* The same for a destination. IPv4 and IPv6 in the kernel differ about host bits; we do not. */
static int check_destination(int ifindex, const struct tun_prefix *dst, char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP], net_text[TUN_PREFIX_TEXT_CAP];
	int err = check_target(ifindex, dst, why, why_cap);
	struct tun_prefix net;

	if (err)
		return err;
	net = tun_prefix_network(dst);
	if (memcmp(net.ip, dst->ip, tun_prefix_max_bits(dst) / 8))
		return tun_why(why, why_cap, -EINVAL,
			       "%s is not the start of its block; the route would be %s",
			       tun_prefix_format(dst, text), tun_prefix_format(&net, net_text));
	return 0;
}

static struct rtnl_route *build_route(int ifindex, const struct tun_prefix *dst)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *addr = to_nl_addr(dst);

	if (!route || !hop || !addr || rtnl_route_set_dst(route, addr) < 0 ||
	    rtnl_route_set_type(route, RTN_UNICAST) < 0) {
		if (hop)
			rtnl_route_nh_free(hop);
		rtnl_route_put(route);
		nl_addr_put(addr);
		return NULL;
	}
	nl_addr_put(addr);
	rtnl_route_set_table(route, RT_TABLE_MAIN);
	rtnl_route_set_protocol(route, RTPROT_STATIC);
	rtnl_route_set_scope(route, dst->family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
	rtnl_route_nh_set_ifindex(hop, ifindex);
	rtnl_route_add_nexthop(route, hop);
	return route;
}

static int change_route(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *dst, bool add)
{
	struct rtnl_route *route = build_route(ifindex, dst);
	struct nl_msg *msg;
	int err;

	if (!route)
		return -ENOMEM;
	if (add)
		err = rtnl_route_build_add_request(route, NLM_F_EXCL, &msg);
	else
		err = rtnl_route_build_del_request(route, 0, &msg);
	rtnl_route_put(route);
	return err < 0 ? -ENOMEM : run(nc, msg);
}

int tun_netcfg_add_route(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *dst,
			 char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP], name[IF_NAMESIZE];
	int err = check_destination(ifindex, dst, why, why_cap);

	if (err)
		return err;
	err = change_route(nc, ifindex, dst, true);
	if (err)
		return tun_why(why, why_cap, err, "cannot route %s to %s: %s",
			       tun_prefix_format(dst, text), name_of(ifindex, name),
			       tun_why_kernel(err));
	return 0;
}

int tun_netcfg_remove_route(struct tun_netcfg *nc, int ifindex, const struct tun_prefix *dst,
			    char *why, size_t why_cap)
{
	char text[TUN_PREFIX_TEXT_CAP], name[IF_NAMESIZE];
	int err = check_destination(ifindex, dst, why, why_cap);

	if (err)
		return err;
	err = change_route(nc, ifindex, dst, false);
	if (err == -ESRCH)
		err = -ENOENT;
	if (err)
		return tun_why(why, why_cap, err, "cannot remove the route %s from %s: %s",
			       tun_prefix_format(dst, text), name_of(ifindex, name),
			       tun_why_kernel(err));
	return 0;
}
