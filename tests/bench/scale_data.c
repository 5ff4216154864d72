#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdio.h>

#include "daemon/core/tunnel/keys.h"
#include "daemon/data/state.h"
#include "daemon/net/sockets.h"
#include "tests/bench/scale.h"

#define INNER_BYTES 1400
#define BATCH	    45 /* a superpacket of 64 KiB */
#define ROUNDS	    400
#define NET_CIPHER  AEAD_AES_256_GCM

struct plane {
	size_t peers;
	struct data_plane *data;
	struct route_table *routes;
	int tun[2], udp, sink;
	struct tunnel_tx **remote; /* what each peer seals with */
};

static struct netaddr address_of(size_t i)
{
	uint8_t ip[4] = {10, 77, (uint8_t)(i >> 8), (uint8_t)i};

	return netaddr_from_ip4(ip, 0);
}

static void add_peer(struct plane *p, size_t i, const struct netaddr *to)
{
	struct netaddr address = address_of(i);
	struct netprefix one = netprefix_of(&address, UINT8_MAX);
	uint8_t send[AEAD_KEY_BYTES] = {0}, receive[AEAD_KEY_BYTES] = {1};
	struct data_session_params params = {
		.peer = (uint32_t)i,
		.local_index = (uint32_t)(i + 1) * 2654435761u,
		.remote_index = (uint32_t)i + 1,
		.cipher = NET_CIPHER,
		.send_key = send,
		.receive_key = receive,
		.lanes = 3,
		.allowed = &one,
		.allowed_count = 1,
	};
	struct data_path path = {.socket = 1, .remote = *to};

	memcpy(send + 1, &i, sizeof(i));
	memcpy(receive + 1, &i, sizeof(i));
	need(data_plane_add_session(p->data, &params));
	need(data_plane_set_path(p->data, params.peer, params.local_index, &path));
}

static void plane_open(struct plane *p, size_t peers, struct netaddr *to)
{
	struct netaddr any = netaddr_from_ip4((const uint8_t[4]){127, 0, 0, 1}, 0), bound;
	struct data_params params = {.workers = 1,
				     .max_peers = peers,
				     .max_sessions = 4 * peers,
				     .ring_bytes = 256 * 1024};

	*p = (struct plane){.peers = peers};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->tun) != 0)
		die("no socket", 0);
	params.tun_fds[0] = p->tun[1];
	need(data_plane_create(&p->data, &params));
	need(net_udp_open(&any, 0, &p->udp, &bound));
	need(net_udp_open(&any, 0, &p->sink, to));
	need(data_plane_add_socket(p->data, 1, &p->udp, 1));
	need(route_table_create(&p->routes, 8 * p->peers));
	for (size_t i = 0; i < p->peers; i++) {
		struct netaddr address = address_of(i);
		struct netprefix one = netprefix_of(&address, UINT8_MAX);

		need(route_table_add(p->routes, &one, (uint32_t)i));
	}
	need(data_plane_set_routes(p->data, p->routes));
}

static void inner_packet(uint8_t *packet, size_t len, const struct netaddr *source,
			 const struct netaddr *destination)
{
	memset(packet, 0, len);
	packet[0] = 0x45;
	packet[2] = (uint8_t)(len >> 8);
	packet[3] = (uint8_t)len;
	packet[8] = 64;
	packet[9] = 17;
	memcpy(packet + 12, source->ip, 4);
	memcpy(packet + 16, destination->ip, 4);
}

/* One packet to each peer and one from it. */
static void use_all(struct plane *p)
{
	uint8_t packet[64], sealed[64 + TUNNEL_OVERHEAD_BYTES];
	struct netaddr own = address_of(65535);
	struct data_counters c;
	size_t len;

	for (size_t i = 0; i < p->peers; i++) {
		struct netaddr address = address_of(i);

		inner_packet(packet, sizeof(packet), &own, &address);
		while (write(p->tun[0], packet, sizeof(packet)) < 0)
			usleep(100);
		inner_packet(packet, sizeof(packet), &address, &own);
		need(tunnel_seal(p->remote[i], packet, sizeof(packet), sealed, sizeof(sealed),
				 &len));
		while (data_plane_inject(p->data, sealed, len, 1, &own) != OK)
			usleep(100);
		while (read(p->tun[0], packet, sizeof(packet)) > 0)
			;
	}
	do {
		usleep(1000);
		data_plane_counters(p->data, &c);
		while (read(p->tun[0], packet, sizeof(packet)) > 0)
			;
	} while (c.tun_in < p->peers || c.rx_injected < p->peers);
	if (c.rx_tun + c.rx_drops.count[DROP_QUEUE_FULL] < p->peers)
		die("packets not opened", (size_t)c.rx_tun);
}

static void remotes_open(struct plane *p)
{
	p->remote = calloc(p->peers, sizeof(struct tunnel_tx *));
	for (size_t i = 0; p->remote && i < p->peers; i++) {
		uint8_t key[AEAD_KEY_BYTES] = {1};

		memcpy(key + 1, &i, sizeof(i));
		need(tunnel_tx_create(&p->remote[i], NET_CIPHER, key,
				      (uint32_t)(i + 1) * 2654435761u, 1));
	}
	if (!p->remote)
		die("no memory", 0);
}

static void plane_memory(struct plane *p, const struct netaddr *to)
{
	struct memory from = {0}, to_memory;
	double start = 0;

	for (size_t i = 0; i < p->peers; i++) {
		if (i == p->peers / 10) {
			from = memory_now();
			start = seconds();
		}
		add_peer(p, i, to);
	}
	to_memory = memory_now();
	report("data plane: a session with a path", from, to_memory, p->peers - p->peers / 10,
	       seconds() - start);
	remotes_open(p);
	from = memory_now();
	start = seconds();
	use_all(p);
	report("data plane: more, after a packet each way", from, memory_now(), p->peers,
	       seconds() - start);
	start = seconds();
	(void)data_plane_rest(p->data, UINT64_MAX);
	report("data plane: still more, a minute later", from, memory_now(), p->peers,
	       seconds() - start);
}

/* --- throughput --- */

static uint32_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static uint8_t slots[BATCH][TUNNEL_OVERHEAD_BYTES + INNER_BYTES];

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Whatever else the machine does makes a round longer, never shorter. Return: nanoseconds a
 * packet. */
static double undisturbed(double took_s[ROUNDS])
{
	qsort(took_s, ROUNDS, sizeof(double), by_value);
	return took_s[ROUNDS / 10] * 1e9 / BATCH;
}

/* What the data plane does for a packet from the TUN, without the system: route, path, key, seal.
 * Return: nanoseconds a packet. */
static double seal_cost(struct plane *p, size_t among, size_t train)
{
	struct data_plane *d = p->data;
	double took_s[ROUNDS];
	size_t len;

	for (size_t round = 0; round < ROUNDS; round++) {
		uint32_t to[BATCH];
		double start;

		for (size_t i = 0; i < BATCH; i++)
			to[i] = i % train ? to[i - 1] : next_random() % (uint32_t)among;
		start = seconds();
		for (size_t i = 0; i < BATCH; i += train) {
			struct netaddr address = address_of(to[i]);
			struct routes *routes = atomic_load(&d->routes);
			uint32_t target = route_table_lookup(routes->table, &address);
			struct session *s = atomic_load(&d->peers[target].path)->session;
			struct session_worker *w = &s->workers[0];
			struct aead *key = session_key(&w->tx_key, s->cipher, s->send_key);

			aead_prefetch(key);
			for (size_t k = i; k < i + train; k++)
				need(tunnel_lane_seal(&w->lane, key, TUNNEL_TYPE_DATA,
						      slots[k] + TUNNEL_HEADER_BYTES, INNER_BYTES,
						      slots[k], sizeof(slots[k]), &len));
		}
		took_s[round] = seconds() - start;
	}
	return undisturbed(took_s);
}

/* The same for a datagram: receiver index, key, window, open. */
static double open_cost(struct plane *p, size_t among, size_t train)
{
	double took_s[ROUNDS], start;
	size_t len;

	for (size_t round = 0; round < ROUNDS; round++) {
		uint32_t from = 0;

		for (size_t i = 0; i < BATCH; i++) {
			if (i % train == 0)
				from = next_random() % (uint32_t)among;
			need(tunnel_seal(p->remote[from], slots[i] + TUNNEL_HEADER_BYTES,
					 INNER_BYTES, slots[i], sizeof(slots[i]), &len));
		}
		start = seconds();
		for (size_t i = 0; i < BATCH; i++) {
			struct tunnel_header h;
			struct session *s;
			struct aead *key;

			need(tunnel_header_read(slots[i], sizeof(slots[i]), &h));
			s = session_find(p->data, h.receiver_index);
			key = session_key(&s->workers[0].rx_key, s->cipher, s->receive_key);
			aead_prefetch(key);
			need(tunnel_windows_open(s->windows, key, &h, slots[i], sizeof(slots[i]),
						 slots[i] + TUNNEL_HEADER_BYTES, INNER_BYTES,
						 &len));
		}
		took_s[round] = seconds() - start;
	}
	return undisturbed(took_s);
}

/* Runs alternate; the median of their ratios counts. */
static void compare(struct plane *p, const char *what,
		    double (*cost)(struct plane *p, size_t among, size_t train), size_t train)
{
	double one[15], many[15], ratio[15];

	for (size_t i = 0; i < 15; i++) {
		one[i] = cost(p, 1, train);
		many[i] = cost(p, p->peers, train);
		ratio[i] = one[i] / many[i];
	}
	qsort(one, 15, sizeof(double), by_value);
	qsort(many, 15, sizeof(double), by_value);
	qsort(ratio, 15, sizeof(double), by_value);
	printf("%-22s trains of %2zu: %6.0f %6.0f   %.2f of the throughput\n", what, train, one[7],
	       many[7], ratio[7]);
}

void data_bench(size_t peers)
{
	struct memory from;
	struct netaddr to;
	struct plane p;

	from = memory_now();
	plane_open(&p, peers, &to);
	report("data plane: made at the start", from, memory_now(), peers, 0);
	plane_memory(&p, &to);
	printf("\n%-37s %8s %6s\n", "nanoseconds for each packet", "one", "random");
	for (size_t train = 1; train <= BATCH; train *= train == 1 ? 9 : 5) {
		compare(&p, "route and seal, 1400 B", seal_cost, train);
		compare(&p, "index and open, 1400 B", open_cost, train);
	}
	data_plane_destroy(p.data);
	route_table_destroy(p.routes);
	for (size_t i = 0; i < peers; i++)
		tunnel_tx_destroy(p.remote[i]);
	free(p.remote);
}
