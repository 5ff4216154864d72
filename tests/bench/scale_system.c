/*
 * The same through a whole data plane, with its system calls: a socket pair for the TUN, UDP over
 * the loopback device. What counts is the processor time of the worker's thread, which the senders
 * of this program, and whatever else the machine does, do not take part in. Packets are single: one
 * system call or slot of one for each, as with any device that has no offloads.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/data/state.h"
#include "daemon/net/sockaddr.h"
#include "tests/bench/scale.h"

#define INNER_BYTES 1400
#define PACKETS	    4096
#define ROUNDS	    9
#define WINDOW	    64 /* received with one call */

static double worker_seconds(const struct plane *p)
{
	struct timespec t;
	clockid_t clock;

	if (pthread_getcpuclockid(p->data->workers[0].thread, &clock) || clock_gettime(clock, &t))
		die("no clock", 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct data_counters counters(const struct plane *p)
{
	struct data_counters c;

	data_plane_counters(p->data, &c);
	return c;
}

static void drain(int fd)
{
	uint8_t buf[INNER_BYTES];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void send_from_tun(struct plane *p, size_t among, size_t stay)
{
	struct netaddr own = address_of(65535), to;
	uint8_t packet[INNER_BYTES];

	for (size_t i = 0; i < PACKETS; i++) {
		struct pollfd room = {.fd = p->tun[0], .events = POLLOUT};

		if (i % stay == 0) {
			to = address_of(next_random() % among);
			inner_packet(packet, sizeof(packet), &own, &to);
		}
		while (write(p->tun[0], packet, sizeof(packet)) < 0)
			poll(&room, 1, 10);
	}
}

/* Return: nanoseconds of the worker for each packet from the TUN to the network. */
static double tx_cost(struct plane *p, size_t among, size_t stay)
{
	uint64_t before = counters(p).tx_sent;
	double start = worker_seconds(p);

	send_from_tun(p, among, stay);
	while (counters(p).tx_sent < before + PACKETS)
		usleep(100);
	return (worker_seconds(p) - start) * 1e9 / PACKETS;
}

static void seal_from(struct plane *p, uint32_t peer, uint8_t *ret)
{
	struct netaddr own = address_of(65535), source = address_of(peer);
	uint8_t *inner = ret + TUNNEL_HEADER_BYTES;
	size_t len;

	inner_packet(inner, INNER_BYTES, &source, &own);
	need(tunnel_seal(p->remote[peer], inner, INNER_BYTES, ret,
			 INNER_BYTES + TUNNEL_OVERHEAD_BYTES, &len));
}

static void send_window(struct plane *p, uint8_t packets[][INNER_BYTES + TUNNEL_OVERHEAD_BYTES])
{
	union net_sockaddr to;
	socklen_t to_len = net_sockaddr_from(&p->bound, &to);
	struct mmsghdr messages[WINDOW];
	struct iovec vectors[WINDOW];

	for (size_t i = 0; i < WINDOW; i++) {
		vectors[i] = (struct iovec){packets[i], INNER_BYTES + TUNNEL_OVERHEAD_BYTES};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &to,
						      .msg_namelen = to_len,
						      .msg_iov = &vectors[i],
						      .msg_iovlen = 1};
	}
	if (sendmmsg(p->sink, messages, WINDOW, 0) != WINDOW)
		die("not sent", 0);
}

/* Return: nanoseconds of the worker for each datagram from the network to the TUN. */
static double rx_cost(struct plane *p, size_t among, size_t stay)
{
	static uint8_t packets[WINDOW][INNER_BYTES + TUNNEL_OVERHEAD_BYTES];
	uint64_t expected = counters(p).udp_in;
	double start = worker_seconds(p);
	uint32_t from = 0;

	for (size_t i = 0; i < PACKETS; i += WINDOW) {
		for (size_t k = 0; k < WINDOW; k++) {
			if ((i + k) % stay == 0)
				from = next_random() % (uint32_t)among;
			seal_from(p, from, packets[k]);
		}
		send_window(p, packets);
		expected += WINDOW;
		while (counters(p).udp_in < expected)
			drain(p->tun[0]);
		drain(p->tun[0]);
	}
	return (worker_seconds(p) - start) * 1e9 / PACKETS;
}

static void compare(struct plane *p, const char *what,
		    double (*cost)(struct plane *p, size_t among, size_t stay), size_t stay)
{
	double one[ROUNDS], many[ROUNDS], ratio[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		one[i] = cost(p, 1, stay);
		many[i] = cost(p, p->peers, stay);
		ratio[i] = one[i] / many[i];
	}
	qsort(one, ROUNDS, sizeof(double), by_value);
	qsort(many, ROUNDS, sizeof(double), by_value);
	qsort(ratio, ROUNDS, sizeof(double), by_value);
	printf("%-46s %6.0f %6.0f   %.2f of the throughput\n", what, one[ROUNDS / 2],
	       many[ROUNDS / 2], ratio[ROUNDS / 2]);
}

void system_bench(struct plane *p)
{
	printf("\n%-46s %6s %6s\n", "the same with the system calls of a worker", "one", "random");
	compare(p, "TUN to network, a peer for each packet", tx_cost, 1);
	compare(p, "network to TUN, a peer for each packet", rx_cost, 1);
	compare(p, "TUN to network, a flow moves on after 1,000", tx_cost, 1000);
	compare(p, "network to TUN, a flow moves on after 1,000", rx_cost, 1000);
}
