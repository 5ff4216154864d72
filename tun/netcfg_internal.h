/* What netcfg.c and overlap.c share. */
#ifndef ICETUN_TUN_NETCFG_INTERNAL_H
#define ICETUN_TUN_NETCFG_INTERNAL_H

#include <netlink/netlink.h>

#include "tun/netcfg.h"

struct tun_netcfg {
	struct nl_sock *sock; /* NULL after a timeout: the next request makes a new one */
	int kernel_err; /* the kernel's answer to the request in flight: 0 or a negative errno */
};

/* A socket that is ready for a request. Return: 0, -ENOMEM or -EIO. */
TUN_MUST_USE int tun_netcfg_prepare(struct tun_netcfg *nc);

/* @nl_err: what a function of libnl returned, < 0. Return: the negative errno behind it. */
int tun_netcfg_errno(struct tun_netcfg *nc, int nl_err);

#endif
