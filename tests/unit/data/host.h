/*
 * A host for the tests of the data plane: a plane between a socket pair in place of the TUN device
 * and a UDP socket on 127.0.0.1, and a tap: a socket of the test that sees or makes datagrams.
 *
 * Nothing sleeps. A test waits until a descriptor is readable. To know that everything before has
 * been handled, it sends something that comes up at the end: descriptors are first in, first out.
 */
#ifndef ICETUN_TEST_DATA_HOST_H
#define ICETUN_TEST_DATA_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/stun/writer.h"
#include "daemon/core/tunnel/keys.h"
#include "daemon/data/plane.h"
#include "daemon/net/sockaddr.h"
#include "daemon/net/sockets.h"

#define WAIT_MS	      10000
#define MAX_PEERS     64
#define PEER_UNROUTED 63 /* has a route and never a path */
#define SOCKET	      7

struct host {
	struct data_plane *plane;
	unsigned int workers;
	int tuns[DATA_MAX_WORKERS];	/* the test's ends */
	int tuns_far[DATA_MAX_WORKERS]; /* the plane's ends */
	int udps[DATA_MAX_WORKERS];
	int tun, tun_far, udp; /* the first of each */
	bool takes_partial;
	struct netaddr addr; /* of the UDP socket */
	struct netaddr overlay;
	struct tunnel_tx *control_tx; /* lane 0 of the last session from host_link() */
};

static inline void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, WAIT_MS) != 1)
		fail_msg("nothing came");
}

static inline bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static inline int udp_open(struct netaddr *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct netaddr any;
	union net_sockaddr sa;
	int buffer_bytes = 4 << 20;
	socklen_t len;

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
	assert_int_equal(netaddr_parse("127.0.0.1:0", &any), OK);
	len = net_sockaddr_from(&any, &sa);
	assert_int_equal(bind(fd, &sa.any, len), 0);
	assert_int_equal(getsockname(fd, &sa.any, &len), 0);
	assert_true(net_sockaddr_to(&sa, len, ret));
	return fd;
}

static inline void udp_send(int fd, const struct netaddr *to, const void *bytes, size_t len)
{
	union net_sockaddr sa;
	socklen_t sa_len = net_sockaddr_from(to, &sa);

	assert_int_equal(sendto(fd, bytes, len, 0, &sa.any, sa_len), len);
}

static inline size_t udp_receive(int fd, uint8_t *buf, size_t cap)
{
	ssize_t len;

	wait_readable(fd);
	len = recv(fd, buf, cap, 0);
	assert_true(len >= 0);
	return (size_t)len;
}

static inline struct netaddr ip(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse_ip(text, 0, &a), OK);
	return a;
}

/* A packet of @len bytes, at least 28, whose bytes from 20 on are @mark and then zeros. */
static inline void ip4_packet(uint8_t *ret, size_t len, const struct netaddr *source,
			      const struct netaddr *destination, uint64_t mark)
{
	memset(ret, 0, len);
	ret[0] = 0x45;
	ret[2] = (uint8_t)(len >> 8);
	ret[3] = (uint8_t)len;
	ret[8] = 64;
	ret[9] = 17;
	memcpy(ret + 12, source->ip, 4);
	memcpy(ret + 16, destination->ip, 4);
	memcpy(ret + 20, &mark, sizeof(mark));
}

static inline uint64_t packet_mark(const uint8_t *packet)
{
	uint64_t mark;

	memcpy(&mark, packet + 20, sizeof(mark));
	return mark;
}

static inline void host_add_route(struct route_table *t, const struct netaddr *a, uint8_t bits,
				  uint32_t target)
{
	struct netprefix p = netprefix_of(a, bits);

	assert_int_equal(route_table_add(t, &p, target), OK);
}

/* What a test may want otherwise. */
struct host_options {
	size_t ring_bytes;
	unsigned int workers;
	bool takes_partial; /* the other host of each session */
	struct data_offloads offloads;
};

static inline void host_open_queues(struct host *h, struct data_params *params)
{
	for (unsigned int i = 0; i < h->workers; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		h->tuns[i] = pair[0];
		h->tuns_far[i] = pair[1];
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		params->tun_fds[i] = pair[1];
	}
	h->tun = h->tuns[0];
	h->tun_far = h->tuns_far[0];
}

static inline void host_open_sockets(struct host *h)
{
	struct netaddr any = ip("127.0.0.1");
	int buffer_bytes = 4 << 20;
	size_t count;

	assert_int_equal(net_udp_open_group(&any, 0, h->workers, h->udps, &count, &h->addr), OK);
	assert_int_equal(count, h->workers);
	for (size_t i = 0; i < count; i++)
		(void)setsockopt(h->udps[i], SOL_SOCKET, SO_RCVBUF, &buffer_bytes,
				 sizeof(buffer_bytes));
	h->udp = h->udps[0];
	assert_int_equal(data_plane_add_socket(h->plane, SOCKET, h->udps, count), OK);
}

/* Host @number has the overlay address 10.0.0.@number; 10.0.0.n leads to peer n, 10.1.0.0/16 to
 * PEER_UNROUTED, 10.2.0.0/16 nowhere yet. */
static inline void host_start_as(struct host *h, uint8_t number, const struct host_options *o)
{
	struct netaddr a = ip("10.0.0.0");
	struct data_params params = {.workers = o->workers,
				     .max_peers = MAX_PEERS,
				     .max_sessions = 64,
				     .ring_bytes = o->ring_bytes,
				     .offloads = o->offloads};
	struct route_table *routes;

	memset(h, 0, sizeof(*h));
	h->workers = o->workers;
	h->takes_partial = o->takes_partial;
	assert_int_equal(crypto_start(), OK);
	aead_start();
	host_open_queues(h, &params);
	assert_int_equal(data_plane_create(&h->plane, &params), OK);
	host_open_sockets(h);

	assert_int_equal(route_table_create(&routes, 100), OK);
	for (uint8_t i = 1; i < 10; i++) {
		a.ip[3] = i;
		host_add_route(routes, &a, 32, i == number ? ROUTE_SELF : i);
	}
	a = ip("10.1.0.0");
	host_add_route(routes, &a, 16, PEER_UNROUTED);
	a = ip("10.2.0.0");
	host_add_route(routes, &a, 16, ROUTE_UNRESOLVED);
	assert_int_equal(data_plane_set_routes(h->plane, routes), OK);
	route_table_destroy(routes);
	h->overlay = ip("10.0.0.0");
	h->overlay.ip[3] = number;
}

static inline void host_start_with(struct host *h, uint8_t number, size_t ring_bytes)
{
	struct host_options o = {.ring_bytes = ring_bytes, .workers = 1};

	host_start_as(h, number, &o);
}

static inline void host_start(struct host *h, uint8_t number)
{
	host_start_with(h, number, 1 << 16);
}

static inline void host_stop(struct host *h)
{
	data_plane_destroy(h->plane);
	tunnel_tx_destroy(h->control_tx);
	for (unsigned int i = 0; i < h->workers; i++) {
		close(h->tuns[i]);
		close(h->tuns_far[i]);
		close(h->udps[i]);
	}
}

static inline uint32_t peer_of(const struct host *h)
{
	return h->overlay.ip[3];
}

/* One direction of a session: @h knows the host behind @overlay. */
static inline void host_add_session(struct host *h, const struct netaddr *overlay,
				    uint32_t local_index, uint32_t remote_index,
				    enum aead_cipher cipher, const uint8_t send_key[32],
				    const uint8_t receive_key[32])
{
	struct netprefix allowed = netprefix_of(overlay, 32);
	struct data_session_params params = {
		.peer = overlay->ip[3],
		.local_index = local_index,
		.remote_index = remote_index,
		.cipher = cipher,
		.send_key = send_key,
		.receive_key = receive_key,
		.lanes = DATA_FIRST_LANE + DATA_MAX_WORKERS,
		.takes_partial = h->takes_partial,
		.allowed = &allowed,
		.allowed_count = 1,
	};

	assert_int_equal(data_plane_add_session(h->plane, &params), OK);
}

static inline void host_set_path(struct host *h, uint32_t peer, uint32_t local_index,
				 const struct netaddr *remote)
{
	struct data_path path = {.socket = SOCKET, .remote = *remote};

	assert_int_equal(data_plane_set_path(h->plane, peer, local_index, &path), OK);
}

/* A fresh session between two hosts: the index of each is @base + its peer number. */
static inline void host_link(struct host *a, struct host *b, uint32_t base, enum aead_cipher cipher)
{
	struct random_source random = random_system();
	uint8_t key_ab[32], key_ba[32];

	random_bytes(&random, key_ab, 32);
	random_bytes(&random, key_ba, 32);
	host_add_session(a, &b->overlay, base + peer_of(a), base + peer_of(b), cipher, key_ab,
			 key_ba);
	host_add_session(b, &a->overlay, base + peer_of(b), base + peer_of(a), cipher, key_ba,
			 key_ab);
	tunnel_tx_destroy(a->control_tx);
	tunnel_tx_destroy(b->control_tx);
	assert_int_equal(tunnel_tx_create(&a->control_tx, cipher, key_ab, base + peer_of(b), 0),
			 OK);
	assert_int_equal(tunnel_tx_create(&b->control_tx, cipher, key_ba, base + peer_of(a), 0),
			 OK);
	host_set_path(a, peer_of(b), base + peer_of(a), &b->addr);
	host_set_path(b, peer_of(a), base + peer_of(b), &a->addr);
}

/* The application on @h sends a packet of @len bytes. */
static inline void host_say(struct host *h, const struct netaddr *source,
			    const struct netaddr *destination, size_t len, uint64_t mark)
{
	uint8_t packet[65536];

	ip4_packet(packet, len, source, destination, mark);
	assert_int_equal(write(h->tun, packet, len), len);
}

/* The application on @h receives. Return: the mark. */
static inline uint64_t host_hear(struct host *h, size_t expected_len)
{
	uint8_t packet[65536];
	ssize_t len;

	wait_readable(h->tun);
	len = read(h->tun, packet, sizeof(packet));
	assert_int_equal(len, expected_len);
	return packet_mark(packet);
}

/* The control thread of @h takes the next input. */
static inline void host_pop(struct host *h, struct data_input *ret, uint8_t buf[65536])
{
	while (!data_plane_pop(h->plane, ret, buf, 65536))
		wait_readable(data_plane_wakeup_fd(h->plane));
}

/* What the control thread of @h seals for the other host of its session. Return: the length. */
static inline size_t host_seal_control(struct host *h, const void *bytes, size_t len,
				       uint8_t *packet, size_t cap)
{
	size_t ret;

	assert_int_equal(tunnel_seal(h->control_tx, bytes, len, packet, cap, &ret), OK);
	return ret;
}

/* The control thread of @h sends @len bytes, whose first is 0, to the other host of its session. */
static inline void host_say_control(struct host *h, const struct netaddr *to, const void *bytes,
				    size_t len)
{
	uint8_t packet[2048];
	size_t packet_len = host_seal_control(h, bytes, len, packet, sizeof(packet));

	udp_send(h->udp, to, packet, packet_len);
}

/* Returns when every packet written to the TUN of @h so far was handled. Other inputs of the
 * control thread are dropped. */
static inline void host_drain_tun(struct host *h)
{
	static uint64_t mark = 1ULL << 40;
	struct netaddr unrouted = ip("10.1.0.1");
	struct data_input input;
	uint8_t buf[65536];

	host_say(h, &h->overlay, &unrouted, 28, ++mark);
	do
		host_pop(h, &input, buf);
	while (input.kind != DATA_INPUT_UNROUTED || packet_mark(buf) != mark);
}

static inline size_t stun_binding(uint8_t *buf, size_t cap, uint32_t number)
{
	uint8_t txid[STUN_TXID_BYTES] = {0};
	struct stun_writer w;
	size_t len;

	memcpy(txid, &number, sizeof(number));
	stun_write_begin(&w, buf, cap, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, txid);
	assert_int_equal(stun_write_finish(&w, NULL, 0, true, &len), OK);
	return len;
}

/* Returns when every datagram that came to @h so far was handled. Other inputs are dropped. */
static inline void host_drain_udp(struct host *h, int from_fd)
{
	static uint32_t number;
	uint8_t stun[64], buf[65536];
	size_t len = stun_binding(stun, sizeof(stun), ++number);
	struct pollfd p = {.fd = data_plane_wakeup_fd(h->plane), .events = POLLIN};
	struct data_input input = {0};

	for (int tries = 0; tries < WAIT_MS / 100; tries++) {
		udp_send(from_fd, &h->addr, stun, len); /* lost when the socket's buffer is full */
		do {
			while (data_plane_pop(h->plane, &input, buf, sizeof(buf))) {
				if (input.kind == DATA_INPUT_STUN && memcmp(buf, stun, len) == 0)
					return;
			}
		} while (poll(&p, 1, 100) == 1);
	}
	fail_msg("nothing came");
}

static inline uint64_t drops_sum(const struct drop_counters *c)
{
	uint64_t sum = 0;

	for (size_t e = 0; e < ERR_COUNT; e++)
		sum += c->count[e];
	return sum;
}

static inline bool host_is_balanced(const struct data_counters *c)
{
	return c->tun_in == c->tx_sent + c->tx_unrouted + drops_sum(&c->tx_drops) &&
	       c->udp_in + c->rx_injected == c->rx_tun + c->rx_control + c->rx_stun +
						     c->rx_relayed + c->rx_empty +
						     drops_sum(&c->rx_drops);
}

/* Where every packet went: to be called when nothing new comes. What control gets goes ahead of the
 * rest of a batch, so the rest may need a moment. */
static inline void host_check_balance(struct host *h)
{
	struct data_counters c;

	data_plane_counters(h->plane, &c);
	for (int i = 0; i < WAIT_MS && !host_is_balanced(&c); i++) {
		poll(NULL, 0, 1);
		data_plane_counters(h->plane, &c);
	}
	assert_int_equal(c.tun_in, c.tx_sent + c.tx_unrouted + drops_sum(&c.tx_drops));
	assert_int_equal(c.udp_in + c.rx_injected, c.rx_tun + c.rx_control + c.rx_stun +
							   c.rx_relayed + c.rx_empty +
							   drops_sum(&c.rx_drops));
}

static inline uint64_t host_drops(struct host *h, enum err e)
{
	struct drop_counters drops;

	data_plane_drops(h->plane, &drops);
	return drops.count[e];
}

static inline size_t count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
