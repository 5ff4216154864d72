/*
 * UDP sockets: one for each local address, so that the system cannot choose another source address
 * than the candidate that was told to the peer (RFC 8445 s. 5.1.1.1: a candidate has a base).
 */
#ifndef ICETUN_NET_SOCKETS_H
#define ICETUN_NET_SOCKETS_H

#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

/* What we ask the system for in each direction; it may grant less. */
#define NET_SOCKET_BUFFER_BYTES (4 * 1024 * 1024)

/*
 * Opens a socket bound to @ip (its port is not looked at) and @port, nonblocking and close-on-exec,
 * that never fragments (the path's size is found by probing) and serves one family only.
 * @port: 0 for any; when it is taken, the system chooses another.
 * @ret_bound: the address and port that it got.
 * Return: OK; ERR_INVALID when @ip is no address; what net_error() says of socket() and bind():
 * ERR_NO_ADDRESS, ERR_PERMISSION, ERR_LIMIT, ERR_IO.
 */
MUST_USE enum err net_udp_open(const struct netaddr *ip, uint16_t port, int *ret_fd,
			       struct netaddr *ret_bound);

/* Sends one datagram. Return: OK; ERR_INVALID when @to is no address; as net_error(). */
MUST_USE enum err net_udp_send(int fd, const struct netaddr *to, const void *buf, size_t len);

#endif
