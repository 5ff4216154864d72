/*
 * UDP sockets: one for each local address, so that the system cannot choose another source address
 * than the candidate that was told to the peer (RFC 8445 s. 5.1.1.1: a candidate has a base).
 */
#ifndef ICETUN_NET_SOCKETS_H
#define ICETUN_NET_SOCKETS_H

#include <stddef.h>
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

/*
 * Opens @count sockets on one address and port, for as many threads that receive: a reuseport
 * group. Which socket a datagram comes to is decided by a program in the kernel: a tunnel packet
 * (core/tunnel/packet.h), plain or as ChannelData, by its lane: lane 1 to the first socket, lane 2
 * to the second, and so on, round and round; everything else, lane 0 too, to the first. So the
 * packets of one sending thread stay with one receiving thread. Datagrams that the kernel has
 * joined go where the first of them belongs.
 *
 * Where the kernel has no such groups, there is one socket. The others cannot be opened by another
 * program: a port that is in use stays in use, for us as well.
 * @ret_fds: room for @count. @ret_count: @count or 1.
 * Return: as net_udp_open().
 */
MUST_USE enum err net_udp_open_group(const struct netaddr *ip, uint16_t port, size_t count,
				     int *ret_fds, size_t *ret_count, struct netaddr *ret_bound);

/*
 * Packets from @fd, bound to an address of @family, leave by device @ifindex, 0 = as the routes
 * say. For addresses whose device has a default route that is not the best one: without it their
 * packets would leave by the best one's, where their source address means nothing. Specific routes
 * over other devices no longer count for such a socket; those for other sockets do.
 *
 * IPv6: the socket is bound to the device. Nothing less is strict there once it has an address:
 * with IPV6_UNICAST_IF, or IPV6_PKTINFO at each datagram, the better default route wins all the
 * same. So it receives from that device only, too, and it is for good: without CAP_NET_RAW a socket
 * is bound once (Linux 5.7), and neither elsewhere nor released.
 * Return: OK or as net_error(); ERR_PERMISSION: it is bound to another device.
 */
MUST_USE enum err net_udp_set_device(int fd, uint8_t family, int ifindex);

/* Datagrams that the system has thrown away since the socket was opened, mostly for want of room in
 * its buffer. What SO_RXQ_OVFL would say with every datagram, asked for when somebody wants to
 * know. */
uint32_t net_udp_dropped(int fd);

/* Sends one datagram ahead of those that threads of the data plane have sent on the same socket:
 * with a priority (TC_PRIO_INTERACTIVE, Linux 6.14) that lets it pass them in the queue of the
 * device, where that has bands; and when they have filled the socket's buffer, after a moment, in
 * which some of them leave.
 * Return: OK; ERR_INVALID when @to is no address; as net_error(). */
MUST_USE enum err net_udp_send(int fd, const struct netaddr *to, const void *buf, size_t len);

#endif
