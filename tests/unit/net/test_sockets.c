/* UDP sockets: on the loopback for everybody; what the system says when an address or a route goes
 * away in a namespace of the test, where that is possible. */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/sockaddr.h"
#include "daemon/net/sockets.h"
#include "tests/support/netns.h"

static struct netaddr ip(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse_ip(text, 0, &a), OK);
	return a;
}

static struct netaddr ip_port(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static int open_at(const char *text, uint16_t port, struct netaddr *ret_bound)
{
	struct netaddr a = ip(text);
	int fd = -1;

	assert_int_equal(net_udp_open(&a, port, &fd, ret_bound), OK);
	assert_true(fd >= 0);
	return fd;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif

/* It carries a priority, which the system tells who asks. */
static void test_priority(void **state)
{
	struct netaddr bound, from;
	int to = open_at("127.0.0.1", 0, &bound), fd = open_at("127.0.0.1", 0, &from);
	static const int on = 1;
	uint8_t control[CMSG_SPACE(sizeof(uint32_t))], buf[16];
	struct iovec part = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	const struct cmsghdr *c;
	uint32_t priority = 0;

	(void)state;
	if (setsockopt(to, SOL_SOCKET, SO_RCVPRIORITY, &on, sizeof(on)) != 0)
		skip(); /* before Linux 6.14 */
	assert_int_equal(net_udp_send(fd, &bound, "hello", 5), OK);
	assert_int_equal(recvmsg(to, &m, 0), 5);
	c = CMSG_FIRSTHDR(&m);
	assert_non_null(c);
	assert_int_equal(c->cmsg_type, SO_PRIORITY);
	memcpy(&priority, CMSG_DATA(c), sizeof(priority));
	assert_int_equal(priority, 6);
	close(fd);
	close(to);
}

static void test_dropped(void **state)
{
	struct netaddr bound, from;
	int to = open_at("127.0.0.1", 0, &bound), fd = open_at("127.0.0.1", 0, &from);
	static const int least = 1;
	uint8_t buf[1000] = {0};

	(void)state;
	assert_int_equal(setsockopt(to, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
	assert_int_equal(net_udp_dropped(to), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(net_udp_send(fd, &bound, buf, sizeof(buf)), OK);
	assert_true(net_udp_dropped(to) > 50 && net_udp_dropped(to) < 100);
	close(fd);
	close(to);
}

static void test_options(void **state)
{
	struct netaddr bound;
	int fd = open_at("127.0.0.1", 0, &bound);
	int plain = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_true(netaddr_ip_equal(&bound, &(struct netaddr){.family = 4, .ip = {127, 0, 0, 1}}));
	assert_int_not_equal(bound.port, 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(option(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
	assert_true(option(fd, SOL_SOCKET, SO_RCVBUF) >= option(plain, SOL_SOCKET, SO_RCVBUF));
	assert_true(option(fd, SOL_SOCKET, SO_SNDBUF) >= option(plain, SOL_SOCKET, SO_SNDBUF));
	if (geteuid() == 0) /* the system doubles what it is told */
		assert_int_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * NET_SOCKET_BUFFER_BYTES);
	close(plain);
	close(fd);
}

static void test_common_port_or_another(void **state)
{
	struct netaddr first_bound, second_bound, third_bound;
	int first = open_at("127.0.0.1", 0, &first_bound);
	int second = open_at("127.0.0.2", first_bound.port, &second_bound);
	int third = open_at("127.0.0.1", first_bound.port, &third_bound);

	(void)state;
	assert_int_equal(second_bound.port, first_bound.port);
	assert_int_not_equal(third_bound.port, first_bound.port);
	close(first);
	close(second);
	close(third);
}

static void test_send(void **state)
{
	struct netaddr from, to, seen;
	int a = open_at("127.0.0.1", 0, &from), b = open_at("127.0.0.1", 0, &to);
	struct pollfd p = {.fd = b, .events = POLLIN};
	static uint8_t buf[70000];
	union net_sockaddr sa;
	socklen_t len = sizeof(sa);
	struct netaddr none = {0}, broadcast = ip_port("255.255.255.255:9");

	(void)state;
	assert_int_equal(net_udp_send(a, &to, "hello", 5), OK);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recvfrom(b, buf, sizeof(buf), 0, &sa.any, &len), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_true(net_sockaddr_to(&sa, len, &seen));
	assert_true(netaddr_equal(&seen, &from));
	assert_int_equal(net_udp_send(a, &to, buf, sizeof(buf)), DROP_TOO_LONG);
	assert_int_equal(net_udp_send(a, &broadcast, "x", 1), ERR_PERMISSION);
	assert_int_equal(net_udp_send(a, &none, "x", 1), ERR_INVALID);
	close(a);
	close(b);
}

static void test_addresses_that_are_not_ours(void **state)
{
	struct netaddr a = ip("192.0.2.77"), none = {0}, bound;
	int fd = -1;

	(void)state;
	assert_int_equal(net_udp_open(&a, 0, &fd, &bound), ERR_NO_ADDRESS);
	a = ip("2001:db8::77");
	assert_int_not_equal(net_udp_open(&a, 0, &fd, &bound), OK);
	assert_int_equal(net_udp_open(&none, 0, &fd, &bound), ERR_INVALID);
	assert_int_equal(fd, -1);
}

/* --- in a namespace --------------------------------------------------------------------------- */

static void test_ip6_socket(void **state)
{
	struct netaddr bound, other;
	int fd = open_at("::1", 0, &bound);
	/* The same port on IPv4 is still free, since the socket serves IPv6 only. */
	int any6 = open_at("::", bound.port + 1, &bound);
	int any4 = open_at("0.0.0.0", bound.port, &other);

	(void)state;
	assert_int_equal(other.port, bound.port);
	assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_PROBE);
	close(fd);
	close(any6);
	close(any4);
}

/* Our address goes away under the socket: IPv4 fails, in a way that depends on the kernel; IPv6
 * goes on sending, so nothing is asked of it (sockaddr.h). */
static void test_address_and_route_go_away(void **state)
{
	struct netaddr bound, to4 = ip_port("192.0.2.9:9"), to6 = ip_port("[2001:db8::9]:9");
	struct netaddr far4 = ip_port("198.51.100.1:9"), far6 = ip_port("[2001:db8:1::1]:9");
	static uint8_t big[1500];
	int fd4, fd6;
	enum err e;

	(void)state;
	netns_ip_ok("link add ve0 type veth peer name ve1");
	netns_ip_ok("link set ve0 up");
	netns_ip_ok("link set ve1 up");
	netns_ip_ok("addr add 192.0.2.1/24 dev ve0");
	netns_ip_ok("addr add 192.0.2.2/24 dev ve0");
	netns_ip_ok("addr add 2001:db8::1/64 dev ve0 nodad");
	netns_ip_ok("addr add 2001:db8::2/64 dev ve0 nodad");
	fd4 = open_at("192.0.2.2", 0, &bound);
	fd6 = open_at("2001:db8::2", 0, &bound);
	assert_int_equal(net_udp_send(fd4, &to4, "x", 1), OK);
	assert_int_equal(net_udp_send(fd6, &to6, "x", 1), OK);
	assert_int_equal(net_udp_send(fd4, &to4, big, sizeof(big)), DROP_TOO_LONG);
	assert_int_equal(net_udp_send(fd6, &to6, big, sizeof(big)), DROP_TOO_LONG);
	assert_int_equal(net_udp_send(fd4, &far4, "x", 1), ERR_NETWORK);
	assert_int_equal(net_udp_send(fd6, &far6, "x", 1), ERR_NETWORK);
	netns_ip_ok("addr del 192.0.2.2/24 dev ve0");
	e = net_udp_send(fd4, &to4, "x", 1);
	assert_true(e == ERR_NO_ADDRESS || e == ERR_NETWORK);
	close(fd4);
	close(fd6);
}

/* Which of the sockets gets a datagram of these bytes. */
static size_t arrives_at(const int *fds, size_t count, const struct netaddr *to,
			 const uint8_t *bytes, size_t len)
{
	struct netaddr bound;
	struct pollfd p[8];
	int from = open_at("127.0.0.1", 0, &bound);
	uint8_t buf[64];
	size_t at = count;

	for (size_t i = 0; i < count; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	assert_int_equal(net_udp_send(from, to, bytes, len), OK);
	assert_int_equal(poll(p, count, 10000), 1);
	for (size_t i = 0; i < count; i++) {
		if (p[i].revents)
			at = i;
	}
	assert_int_equal(recv(fds[at], buf, sizeof(buf), 0), len);
	close(from);
	return at;
}

static void test_group(void **state)
{
	struct netaddr any = ip("127.0.0.1"), bound;
	uint8_t packet[32] = {0xc1}, channel[36] = {0x40, 1, 0, 32, 0xc2};
	uint8_t stun[20] = {0, 1, 0, 0, 5, 5, 5, 5, 2},
		relayed[24] = {0x4f, 1, 0, 20, 0, 1, 0, 0, 2, 2, 2, 2, 2};
	int fds[3], other;
	size_t count;

	(void)state;
	assert_int_equal(net_udp_open_group(&any, 0, 3, fds, &count, &bound), OK);
	assert_int_equal(count, 3);
	for (uint8_t lane = 0; lane < 16; lane++) {
		size_t expected = lane ? (lane - 1u) % 3 : 0;

		packet[8] = channel[12] = lane;
		assert_int_equal(arrives_at(fds, 3, &bound, packet, sizeof(packet)), expected);
		assert_int_equal(arrives_at(fds, 3, &bound, channel, sizeof(channel)), expected);
	}
	assert_int_equal(arrives_at(fds, 3, &bound, packet, 8), 0); /* cut before the lane */
	assert_int_equal(arrives_at(fds, 3, &bound, packet, 0), 0);
	assert_int_equal(arrives_at(fds, 3, &bound, stun, sizeof(stun)), 0);
	assert_int_equal(arrives_at(fds, 3, &bound, relayed, sizeof(relayed)), 0);
	packet[0] = 0x80;
	assert_int_equal(arrives_at(fds, 3, &bound, packet, sizeof(packet)), 0);

	/* The port is taken, for others and for another group. */
	{
		struct netaddr other_bound;
		int others[3];
		size_t other_count;

		assert_int_equal(net_udp_open(&any, bound.port, &other, &other_bound), OK);
		assert_int_not_equal(other_bound.port, bound.port);
		close(other);
		assert_int_equal(
			net_udp_open_group(&any, bound.port, 3, others, &other_count, &other_bound),
			OK);
		assert_int_not_equal(other_bound.port, bound.port);
		for (size_t i = 0; i < other_count; i++)
			close(others[i]);
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	assert_int_equal(net_udp_open_group(&any, bound.port, 1, fds, &count, &bound), OK);
	assert_int_equal(count, 1);
	close(fds[0]);
}

/* A way out: a device with an address, a router and a default route of @metric. */
static void add_way(const char *name, const char *prefix, int metric)
{
	netns_add_card(name);
	netns_ipf("addr add %s::2/64 dev %s nodad", prefix, name);
	netns_ipf("neigh add %s::1 lladdr 02:00:00:00:00:01 dev %s nud permanent", prefix, name);
	netns_ipf("-6 route add default via %s::1 dev %s metric %d", prefix, name, metric);
}

static unsigned long sent_by(const char *name)
{
	char args[64], *at;

	snprintf(args, sizeof(args), "-s -j link show %s", name);
	at = strstr(netns_ip(args), "\"tx\":");
	assert_non_null(at);
	at = strstr(at, "\"packets\":");
	assert_non_null(at);
	return strtoul(at + strlen("\"packets\":"), NULL, 10);
}

/* Return: how many of 100 datagrams left by @name; what the system sends itself is fewer. */
static unsigned long leave_by(const char *name, int fd)
{
	struct netaddr to = ip_port("[2001:db8:ffff::1]:9");
	unsigned long before = sent_by(name);

	for (int i = 0; i < 100; i++)
		assert_int_equal(net_udp_send(fd, &to, "x", 1), OK);
	return sent_by(name) - before;
}

/* Each of two addresses leaves by its own device, whichever has the better default route. */
static void test_device_of_ip6(void **state)
{
	struct netaddr bound;
	int first, second;

	(void)state;
	add_way("cable", "2001:db8:a", 100);
	add_way("radio", "2001:db8:b", 200);
	first = open_at("2001:db8:a::2", 0, &bound);
	second = open_at("2001:db8:b::2", 0, &bound);
	assert_in_range(leave_by("cable", second), 100, 150); /* what has to be prevented */
	assert_int_equal(net_udp_set_device(second, NETADDR_IP6, (int)if_nametoindex("radio")), OK);
	assert_in_range(leave_by("radio", second), 100, 150);
	assert_in_range(leave_by("cable", first), 100, 150);
	close(first);
	close(second);
}

int main(void)
{
	const struct CMUnitTest anywhere[] = {
		cmocka_unit_test(test_options),	 cmocka_unit_test(test_common_port_or_another),
		cmocka_unit_test(test_priority), cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_send),	 cmocka_unit_test(test_addresses_that_are_not_ours),
		cmocka_unit_test(test_group),
	};
	const struct CMUnitTest in_namespace[] = {
		cmocka_unit_test(test_ip6_socket),
		cmocka_unit_test(test_address_and_route_go_away),
		cmocka_unit_test(test_device_of_ip6),
	};
	int failed = cmocka_run_group_tests(anywhere, NULL, NULL);

	if (failed || !netns_enter())
		return failed;
	netns_ip_ok("link set lo up");
	return cmocka_run_group_tests(in_namespace, NULL, NULL);
}
