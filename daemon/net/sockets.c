#include "daemon/net/sockets.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/sockaddr.h"

/* Root may go beyond the system's limit; others get what it allows. */
static void set_buffer(int fd, int force_option, int option)
{
	int bytes = NET_SOCKET_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, force_option, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
}

static void set_options(int fd, uint8_t family)
{
	static const int on = 1, probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;

	if (family == NETADDR_IP6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof(probe6));
	} else {
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof(probe4));
	}
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
}

static enum err bind_to(int fd, struct netaddr ip, uint16_t port)
{
	union net_sockaddr sa;
	socklen_t len;

	ip.port = port;
	len = net_sockaddr_from(&ip, &sa);
	return bind(fd, &sa.any, len) == 0 ? OK : net_error(errno);
}

enum err net_udp_open(const struct netaddr *ip, uint16_t port, int *ret_fd,
		      struct netaddr *ret_bound)
{
	int family = ip->family == NETADDR_IP6 ? AF_INET6 : AF_INET;
	union net_sockaddr sa = {0};
	socklen_t len = sizeof(sa);
	enum err e;
	int fd;

	if (netaddr_ip_bytes(ip) == 0)
		return ERR_INVALID;
	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return net_error(errno);
	set_options(fd, ip->family);
	e = bind_to(fd, *ip, port);
	if (e == ERR_EXISTS && port != 0)
		e = bind_to(fd, *ip, 0);
	if (e == OK && getsockname(fd, &sa.any, &len) != 0)
		e = net_error(errno);
	if (e == OK && !net_sockaddr_to(&sa, len, ret_bound))
		e = ERR_IO;
	if (e != OK) {
		close(fd);
		return e;
	}
	*ret_fd = fd;
	return OK;
}

enum err net_udp_send(int fd, const struct netaddr *to, const void *buf, size_t len)
{
	union net_sockaddr sa;
	socklen_t sa_len = net_sockaddr_from(to, &sa);

	if (sa_len == 0)
		return ERR_INVALID;
	return sendto(fd, buf, len, MSG_NOSIGNAL, &sa.any, sa_len) < 0 ? net_error(errno) : OK;
}
