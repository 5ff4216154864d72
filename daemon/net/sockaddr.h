/*
 * The door between the core's `struct netaddr` and the system's `struct sockaddr`, and between the
 * core's `enum err` and errno of the socket calls. The only place that converts them.
 */
#ifndef ICETUN_NET_SOCKADDR_H
#define ICETUN_NET_SOCKADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

/* Large enough for both families and a sixth of struct sockaddr_storage. */
union net_sockaddr {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

/* Return: the length of *ret, or 0 when @a is of no family; *ret is all zero then. */
socklen_t net_sockaddr_from(const struct netaddr *a, union net_sockaddr *ret);
/* IPv4-mapped IPv6 becomes IPv4; a scope is kept for link-local addresses only.
 * Return: false when @len or the family does not fit; *ret is NETADDR_NONE then. */
bool net_sockaddr_to(const union net_sockaddr *sa, socklen_t len, struct netaddr *ret);

/*
 * What an errno of send, receive or bind means for us:
 *   DROP_QUEUE_FULL  EAGAIN, ENOBUFS, ENOMEM: this datagram only
 *   DROP_TOO_LONG    EMSGSIZE: longer than the path takes
 *   ERR_NETWORK      ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, ECONNREFUSED, ETIMEDOUT
 *   ERR_NO_ADDRESS   EADDRNOTAVAIL, and EINVAL, which IPv4 gives for it: our own address is gone
 *   ERR_EXISTS       EADDRINUSE
 *   ERR_PERMISSION   EPERM, EACCES
 *   ERR_LIMIT        EMFILE, ENFILE
 *   ERR_IO           anything else
 *
 * When our own address is gone, IPv4 says EINVAL on older kernels and ENETUNREACH on newer ones,
 * and IPv6 goes on sending without a word. So ERR_NETWORK is a reason to look at the local
 * addresses, too, and no error is no proof that they are still there: only the watcher
 * (interfaces.h) tells.
 */
enum err net_error(int errno_value);

#endif
