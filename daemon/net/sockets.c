#include "daemon/net/sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/pkt_sched.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
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

static bool join_group(int fd)
{
	static const int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
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

/*
 * Byte 0: 192 and above is ours, and its lane is byte 8; 64 to 79 is ChannelData, with four bytes
 * in front. A load beyond the end of the datagram ends the program with 0.
 */
static bool attach_program(int fd, uint32_t count)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0xc0, 5, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 10),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0xc0, 0, 8),
		BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8), /* from the second line */
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
		BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0;
}

static int open_member(const struct netaddr *bound)
{
	int family = bound->family == NETADDR_IP6 ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	set_options(fd, bound->family);
	if (!join_group(fd) || bind_to(fd, *bound, bound->port) != OK) {
		close(fd);
		return -1;
	}
	return fd;
}

enum err net_udp_open_group(const struct netaddr *ip, uint16_t port, size_t count, int *ret_fds,
			    size_t *ret_count, struct netaddr *ret_bound)
{
	enum err e = net_udp_open(ip, port, &ret_fds[0], ret_bound);
	size_t opened = 1;

	*ret_count = 1;
	/* Joined after it was bound: nobody else can have had the port. */
	if (e != OK || count < 2 || !join_group(ret_fds[0]))
		return e;
	while (opened < count && (ret_fds[opened] = open_member(ret_bound)) >= 0)
		opened++;
	if (opened == count && attach_program(ret_fds[0], (uint32_t)count)) {
		*ret_count = count;
		return OK;
	}
	while (opened > 1)
		close(ret_fds[--opened]);
	return OK;
}

enum err net_udp_set_device(int fd, uint8_t family, int ifindex)
{
	uint32_t index = htonl((uint32_t)ifindex);
	int error =
		family == NETADDR_IP6
			? setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, sizeof(ifindex))
			: setsockopt(fd, IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index));

	return error == 0 ? OK : net_error(errno);
}

uint32_t net_udp_dropped(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	/* Linux 4.12. */
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0 ||
	    len < (SK_MEMINFO_DROPS + 1) * sizeof(info[0]))
		return 0;
	return info[SK_MEMINFO_DROPS];
}

/* So long the caller may be held up by a full buffer. */
#define ROOM_WAIT_MS 2

union priority_control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(uint32_t))];
};

static const uint32_t priority = TC_PRIO_INTERACTIVE;
/* Until the system has said otherwise. */
static _Atomic bool knows_priority = true;

/* Return: 0 or the errno. */
static int send_once(int fd, struct msghdr *m)
{
	for (;;) {
		if (sendmsg(fd, m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return errno;
	}
}

static int send_first(int fd, struct msghdr *m)
{
	union priority_control control = {
		.header = {.cmsg_level = SOL_SOCKET,
			   .cmsg_type = SO_PRIORITY,
			   .cmsg_len = CMSG_LEN(sizeof(priority))},
	};
	int error = EINVAL;

	if (atomic_load_explicit(&knows_priority, memory_order_relaxed)) {
		memcpy(CMSG_DATA(&control.header), &priority, sizeof(priority));
		m->msg_control = &control;
		m->msg_controllen = sizeof(control);
		error = send_once(fd, m);
		m->msg_control = NULL;
		m->msg_controllen = 0;
		if (error != EINVAL)
			return error;
	}
	error = send_once(fd, m);
	if (error == 0)
		atomic_store_explicit(&knows_priority, false, memory_order_relaxed);
	return error;
}

enum err net_udp_send(int fd, const struct netaddr *to, const void *buf, size_t len)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	union net_sockaddr sa;
	socklen_t sa_len = net_sockaddr_from(to, &sa);
	struct iovec part = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr m = {
		.msg_name = &sa, .msg_namelen = sa_len, .msg_iov = &part, .msg_iovlen = 1};
	int error;

	if (sa_len == 0)
		return ERR_INVALID;
	error = send_first(fd, &m);
	if (error == EAGAIN) {
		(void)poll(&room, 1, ROOM_WAIT_MS);
		error = send_first(fd, &m);
	}
	return error ? net_error(error) : OK;
}
