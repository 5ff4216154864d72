#include "rendezvous/stun_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rendezvous/stun_responder.h"

/* Datagrams answered in one turn of the loop. */
#define READ_BUDGET 64
/* Longer ones cannot be requests that are meant for us. */
#define DATAGRAM_BYTES 1500

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
		      CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct stun_socket {
	uv_poll_t poll;
	struct stun_responder *responder;
	int fd;
	uint16_t port;
};

static struct netaddr from_sockaddr(const union address *a)
{
	if (a->sa.sa_family == AF_INET)
		return netaddr_from_ip4((const uint8_t *)&a->in.sin_addr, ntohs(a->in.sin_port));
	return netaddr_from_ip6(a->in6.sin6_addr.s6_addr, ntohs(a->in6.sin6_port));
}

/* Keeps of what came with the datagram only the address that it was sent to, as the source of the
 * reply; the interface stays open to routing unless the address is link-local. */
static void turn_around(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			info.ipi_spec_dst = info.ipi_addr;
			info.ipi_ifindex = 0;
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				info.ipi6_ifindex = 0;
			memcpy(CMSG_DATA(c), &info, sizeof(info));
		}
	}
}

/* Return: false when nothing is waiting. */
static bool answer_one(struct stun_socket *s)
{
	uint8_t buf[DATAGRAM_BYTES];
	uint8_t out[STUN_REPLY_MAX_BYTES];
	union address from;
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
	struct netaddr source;
	size_t len;

	if (n < 0)
		return errno == EINTR || errno == ECONNREFUSED;
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return true;
	source = from_sockaddr(&from);
	if (stun_responder_input(s->responder, uv_hrtime() / 1000, &source, buf, (size_t)n, out,
				 &len) != OK)
		return true;
	turn_around(&msg);
	iov = (struct iovec){.iov_base = out, .iov_len = len};
	/* Not sent is lost on the way: the client asks again. */
	(void)!sendmsg(s->fd, &msg, MSG_DONTWAIT);
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct stun_socket *s = poll->data;
	int budget = READ_BUDGET;

	(void)status;
	(void)events;
	while (budget-- > 0 && answer_one(s)) {
	}
}

static void to_sockaddr(const struct netaddr *a, int family, union address *ret, socklen_t *ret_len)
{
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(a->port);
		memcpy(&ret->in.sin_addr, a->ip, 4);
		*ret_len = sizeof(ret->in);
	} else {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(a->port);
		ret->in6.sin6_scope_id = a->scope_id;
		memcpy(&ret->in6.sin6_addr, a->ip, 16);
		*ret_len = sizeof(ret->in6);
	}
}

static bool set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* Return: a bound socket, or -1 with errno. */
static int open_socket(const struct netaddr *listen, int family, uint16_t *ret_port)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	union address address;
	socklen_t len;
	int error;

	if (fd < 0)
		return -1;
	to_sockaddr(listen, family, &address, &len);
	/* An IPv6 socket for all addresses carries IPv4 too, addresses mapped. */
	if ((family == AF_INET6 &&
	     (!set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, listen->family == NETADDR_IP6) ||
	      !set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1))) ||
	    (family == AF_INET && !set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)) ||
	    bind(fd, &address.sa, len) || getsockname(fd, &address.sa, &len)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	*ret_port = from_sockaddr(&address).port;
	return fd;
}

static enum err from_errno(int error)
{
	switch (error) {
	case EADDRINUSE:
		return ERR_EXISTS;
	case EADDRNOTAVAIL:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	default:
		return ERR_SYSTEM;
	}
}

enum err stun_socket_create(struct stun_socket **ret, uv_loop_t *loop, const struct netaddr *listen,
			    struct stun_responder *responder)
{
	struct stun_socket *s = calloc(1, sizeof(*s));
	int error;

	if (!s)
		return ERR_NO_MEMORY;
	s->responder = responder;
	s->fd = open_socket(listen, listen->family == NETADDR_IP4 ? AF_INET : AF_INET6, &s->port);
	/* A kernel without IPv6. */
	if (s->fd < 0 && errno == EAFNOSUPPORT && listen->family == NETADDR_NONE)
		s->fd = open_socket(listen, AF_INET, &s->port);
	if (s->fd < 0) {
		error = errno;
		free(s);
		return from_errno(error);
	}
	if (uv_poll_init(loop, &s->poll, s->fd)) {
		close(s->fd);
		free(s);
		return ERR_SYSTEM;
	}
	s->poll.data = s;
	uv_poll_start(&s->poll, UV_READABLE, on_readable);
	*ret = s;
	return OK;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void stun_socket_destroy(struct stun_socket *s)
{
	if (!s)
		return;
	uv_poll_stop(&s->poll);
	close(s->fd);
	uv_close((uv_handle_t *)&s->poll, on_closed);
}

uint16_t stun_socket_port(const struct stun_socket *s)
{
	return s->port;
}
