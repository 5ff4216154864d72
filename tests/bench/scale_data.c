#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdio.h>

#include "daemon/core/tunnel/keys.h"
#include "daemon/data/ahead.h"
#include "daemon/data/state.h"
#include "daemon/net/sockets.h"
#include "tests/bench/scale.h"

#define INNER_BYTES 1400
#define BATCH	    45 /* a superpacket of 64 KiB */
#define ROUNDS	    400
#define LONG_ROUNDS 45 /* about 2,000 packets */
#define NET_CIPHER  AEAD_AES_256_GCM

struct netaddr address_of(size_t i)
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
	struct netaddr any = netaddr_from_ip4((const uint8_t[4]){127, 0, 0, 1}, 0);
	struct data_params params = {.workers = 1,
				     .max_peers = peers,
				     .max_sessions = 4 * peers,
				     .ring_bytes = 256 * 1024};

	*p = (struct plane){.peers = peers};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->tun) != 0)
		die("no socket", 0);
	params.tun_fds[0] = p->tun[1];
	need(data_plane_create(&p->data, &params));
	need(net_udp_open(&any, 0, &p->udp, &p->bound));
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

void inner_packet(uint8_t *packet, size_t len, const struct netaddr *source,
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

uint32_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static uint8_t slots[BATCH][TUNNEL_OVERHEAD_BYTES + INNER_BYTES];

int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Whatever else the machine does makes a sample longer, never shorter. Return: nanoseconds a
 * packet. */
static double undisturbed(double *took_s, size_t samples, size_t packets)
{
	qsort(took_s, samples, sizeof(double), by_value);
	return took_s[samples / 10] * 1e9 / (double)packets;
}

/* Who the packets of one batch are for or from: packet i, the first of its train, to peers[i]. */
static void choose(uint32_t *peers, size_t among, size_t train)
{
	for (size_t i = 0; i < BATCH; i++)
		peers[i] = i % train ? peers[i - 1] : next_random() % (uint32_t)among;
}

/* What the data plane does for a packet from the TUN, without the system: look ahead in what was
 * read together (a train is one read), route, path, key, seal. */
static void seal_batch(struct plane *p, const uint32_t *peers, size_t train)
{
	struct data_plane *d = p->data;
	struct session *sessions[AHEAD_SEALS];
	struct netaddr to[AHEAD_SEALS];
	size_t reads = 1 + 32 * 1024 / (train * INNER_BYTES), len;

	reads = reads < AHEAD_SEALS ? reads : AHEAD_SEALS;
	for (size_t i = 0; i < BATCH; i += train) {
		size_t at = i / train % reads, count = 0;
		struct netaddr address = address_of(peers[i]);
		struct routes *routes = atomic_load(&d->routes);
		uint32_t target;
		struct session *s;
		struct session_worker *w;
		struct aead *key;

		for (size_t k = i; at == 0 && reads > 1 && k < BATCH && count < reads; k += train) {
			struct netaddr next = address_of(peers[k]);

			to[count++] =
				k > i && peers[k] == peers[k - train] ? (struct netaddr){0} : next;
		}
		if (count)
			ahead_seal(d, 0, to, sessions, count);
		if (reads > 1 && at + 1 < reads && i + train < BATCH && sessions[at + 1])
			ahead_key(&sessions[at + 1]->workers[0].tx_key);
		target = route_table_lookup(routes->table, &address);
		s = atomic_load(&d->peers[target].path)->session;
		w = &s->workers[0];
		key = session_key(&w->tx_key, s->cipher, s->send_key);
		aead_prefetch(key);
		for (size_t k = i; k < i + train; k++)
			need(tunnel_lane_seal(&w->lane, key, TUNNEL_TYPE_DATA,
					      slots[k] + TUNNEL_HEADER_BYTES, INNER_BYTES, slots[k],
					      sizeof(slots[k]), &len));
	}
}

/* The same for datagrams that were received together: receiver index, key, window, open. */
static void open_batch(struct plane *p, const uint32_t *peers, size_t train)
{
	static const struct session *opened;
	struct tunnel_header headers[BATCH];
	struct session *sessions[BATCH];
	size_t len;

	(void)peers;
	(void)train;
	for (size_t i = 0; i < BATCH; i++)
		need(tunnel_header_read(slots[i], sizeof(slots[i]), &headers[i]));
	ahead_open(p->data, 0, headers, sessions, BATCH);
	for (size_t i = 0, next = 0; i < BATCH; i++) {
		struct session *s;
		struct aead *key;

		if (i == next && (next = ahead_next(sessions, i, BATCH)) < BATCH)
			ahead_key(&sessions[next]->workers[0].rx_key);
		s = session_find(p->data, headers[i].receiver_index);
		key = session_key(&s->workers[0].rx_key, s->cipher, s->receive_key);
		if (s != opened)
			aead_prefetch(key);
		opened = s;
		need(tunnel_windows_open(s->windows, key, &headers[i], slots[i], sizeof(slots[i]),
					 slots[i] + TUNNEL_HEADER_BYTES, INNER_BYTES, &len));
	}
}

static void make_batch(struct plane *p, const uint32_t *peers)
{
	size_t len;

	for (size_t i = 0; i < BATCH; i++)
		need(tunnel_seal(p->remote[peers[i]], slots[i] + TUNNEL_HEADER_BYTES, INNER_BYTES,
				 slots[i], sizeof(slots[i]), &len));
}

struct work {
	const char *name;
	bool opens;
	size_t train;
	size_t stay; /* batches until the next peers are chosen */
};

/* Return: nanoseconds a packet with peers from the first @among. */
static double cost(struct plane *p, const struct work *w, size_t among)
{
	size_t samples = w->stay > 1 ? LONG_ROUNDS : ROUNDS;
	double took_s[ROUNDS];
	uint32_t peers[BATCH];

	for (size_t i = 0; i < samples; i++) {
		took_s[i] = 0;
		choose(peers, among, w->train);
		for (size_t k = 0; k < w->stay; k++) {
			double start;

			if (w->opens)
				make_batch(p, peers);
			start = seconds();
			if (w->opens)
				open_batch(p, peers, w->train);
			else
				seal_batch(p, peers, w->train);
			took_s[i] += seconds() - start;
		}
	}
	return undisturbed(took_s, samples, BATCH * w->stay);
}

/* Runs alternate; the median of their ratios counts. */
static void compare(struct plane *p, const struct work *w)
{
	double one[15], many[15], ratio[15];

	for (size_t i = 0; i < 15; i++) {
		one[i] = cost(p, w, 1);
		many[i] = cost(p, w, p->peers);
		ratio[i] = one[i] / many[i];
	}
	qsort(one, 15, sizeof(double), by_value);
	qsort(many, 15, sizeof(double), by_value);
	qsort(ratio, 15, sizeof(double), by_value);
	printf("%-46s %6.0f %6.0f   %.2f of the throughput\n", w->name, one[7], many[7], ratio[7]);
}

static void compare_all(struct plane *p)
{
	static const struct work all[] = {
		{"seal, a peer for each packet", false, 1, 1},
		{"open, a peer for each packet", true, 1, 1},
		{"seal, a peer for each 9 packets", false, 9, 1},
		{"open, a peer for each 9 packets", true, 9, 1},
		{"seal, a peer for each superpacket of 45", false, 45, 1},
		{"open, a peer for each train of 45", true, 45, 1},
		{"seal, a flow moves on after 990 packets", false, 45, 22},
		{"open, a flow moves on after 990 packets", true, 45, 22},
	};

	printf("\n%-46s %6s %6s\n", "nanoseconds for each packet of 1,400 bytes", "one", "random");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		compare(p, &all[i]);
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
	compare_all(&p);
	system_bench(&p);
	data_plane_destroy(p.data);
	route_table_destroy(p.routes);
	for (size_t i = 0; i < peers; i++)
		tunnel_tx_destroy(p.remote[i]);
	free(p.remote);
}
