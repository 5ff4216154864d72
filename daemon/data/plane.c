#include "daemon/data/plane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "daemon/data/rx.h"
#include "daemon/data/send.h"
#include "daemon/data/worker.h"
#include "daemon/net/sockets.h"
#include "tun/vnet.h"

#define MAX_PEERS      ((size_t)1 << 20)
#define MAX_SESSIONS   ((size_t)1 << 21)
#define MIN_RING_BYTES 4096
#define MAX_RING_BYTES ((size_t)1 << 26)

/* --- life ------------------------------------------------------------------------------------ */

static bool params_are_valid(const struct data_params *p)
{
	if (p->workers < 1 || p->workers > DATA_MAX_WORKERS)
		return false;
	for (unsigned int i = 0; i < p->workers; i++) {
		if (p->tun_fds[i] < 0)
			return false;
	}
	return p->max_peers >= 1 && p->max_peers <= MAX_PEERS && p->max_sessions >= 1 &&
	       p->max_sessions <= MAX_SESSIONS && p->ring_bytes >= MIN_RING_BYTES &&
	       p->ring_bytes <= MAX_RING_BYTES && (p->ring_bytes & (p->ring_bytes - 1)) == 0;
}

static void switch_gro(struct data_plane *d, bool on)
{
	for (size_t i = 0; i < DATA_MAX_SOCKETS; i++) {
		const struct data_socket *s = atomic_load(&d->sockets[i]);

		for (size_t k = 0; s && k < s->fd_count; k++)
			on &= rx_set_gro(s->fds[k], on);
	}
	atomic_store(&d->offloads.udp_gro, on);
}

void data_plane_set_offloads(struct data_plane *d, const struct data_offloads *wanted)
{
	struct data_offloads *now = &d->wanted;

	if (wanted->tun_tcp != now->tun_tcp)
		atomic_store(&d->offloads.tun_tcp, wanted->tun_tcp && now->vnet_header);
	if (wanted->tun_udp != now->tun_udp)
		atomic_store(&d->offloads.tun_udp, wanted->tun_udp && now->vnet_header);
	if (wanted->partial != now->partial)
		atomic_store(&d->offloads.partial, wanted->partial && now->vnet_header);
	if (wanted->udp_segment != now->udp_segment)
		atomic_store(&d->offloads.udp_segment, wanted->udp_segment && send_knows_segment());
	if (wanted->udp_gro != now->udp_gro)
		switch_gro(d, wanted->udp_gro);
	now->tun_tcp = wanted->tun_tcp;
	now->tun_udp = wanted->tun_udp;
	now->partial = wanted->partial;
	now->udp_segment = wanted->udp_segment;
	now->udp_gro = wanted->udp_gro;
}

static enum err plane_init(struct data_plane *d, const struct data_params *params)
{
	enum err e;

	d->wanted.vnet_header = params->offloads.vnet_header;
	data_plane_set_offloads(d, &params->offloads);
	d->max_peers = params->max_peers;
	d->max_sessions = params->max_sessions;
	/* Few peers have more than one session at a time. */
	d->bucket_count = 1;
	while (d->bucket_count < params->max_peers)
		d->bucket_count *= 2;
	qsbr_init(&d->qsbr);
	e = bell_init(&d->bell);
	if (e)
		return e;
	d->peers = calloc(d->max_peers, sizeof(*d->peers));
	d->buckets = calloc(d->bucket_count, sizeof(*d->buckets));
	if (!d->peers || !d->buckets)
		return ERR_NO_MEMORY;
	while (d->worker_count < params->workers) {
		struct worker *w = &d->workers[d->worker_count];

		e = worker_init(w, d, d->worker_count++, params);
		if (e)
			return e;
	}
	return OK;
}

enum err data_plane_create(struct data_plane **ret, const struct data_params *params)
{
	struct data_plane *d;
	enum err e;

	if (!params_are_valid(params))
		return ERR_INVALID;
	d = aligned_alloc(_Alignof(struct data_plane), sizeof(*d));
	if (!d)
		return ERR_NO_MEMORY;
	memset(d, 0, sizeof(*d));
	e = plane_init(d, params);
	for (unsigned int i = 0; e == OK && i < d->worker_count; i++)
		e = worker_start(&d->workers[i]);
	if (e) {
		data_plane_destroy(d);
		return e;
	}
	*ret = d;
	return OK;
}

static void socket_destroy(struct data_socket *s)
{
	for (size_t i = 0; s && i < DATA_MAX_SERVERS; i++)
		free(atomic_load(&s->servers[i]));
	free(s);
}

/* With the workers gone, everything may be unpublished and freed. */
static void free_published(struct data_plane *d)
{
	for (uint32_t peer = 0; d->peers && peer < d->max_peers; peer++) {
		if (d->peers[peer].sessions || atomic_load(&d->peers[peer].path))
			data_plane_remove_peer(d, peer);
	}
	for (size_t i = 0; i < DATA_MAX_SOCKETS; i++)
		socket_destroy(atomic_load(&d->sockets[i]));
	qsbr_fini(&d->qsbr);
}

void data_plane_destroy(struct data_plane *d)
{
	struct routes *routes;

	if (!d)
		return;
	for (unsigned int i = 0; i < d->worker_count; i++)
		worker_fini(&d->workers[i]);
	free_published(d);
	routes = atomic_load(&d->routes);
	if (routes)
		route_table_destroy(routes->table);
	free(routes);
	free(d->buckets);
	free(d->peers);
	bell_fini(&d->bell);
	free(d);
}

/* --- sockets --------------------------------------------------------------------------------- */

uint32_t socket_slot(const struct data_plane *d, uint16_t socket)
{
	uint32_t slot = 0;

	while (slot < DATA_MAX_SOCKETS) {
		const struct data_socket *s = atomic_load(&d->sockets[slot]);

		if (s && s->number == socket)
			break;
		slot++;
	}
	return slot;
}

static void socket_free(struct qsbr_item *item)
{
	socket_destroy(container_of(item, struct data_socket, retired));
}

/* Return: the worker's descriptor, or -1: it has none of its own. */
static int polled_fd(const struct data_socket *s, unsigned int worker)
{
	return worker < s->fd_count ? s->fds[worker] : -1;
}

static enum err socket_poll(struct data_plane *d, const struct data_socket *s, uint32_t slot)
{
	bool has_gro = atomic_load(&d->offloads.udp_gro);
	enum err e = OK;

	for (unsigned int i = 0; e == OK && i < s->fd_count; i++) {
		if (has_gro && !rx_set_gro(s->fds[i], true))
			atomic_store(&d->offloads.udp_gro, false);
		e = worker_poll_socket(&d->workers[i], s->fds[i], slot);
	}
	return e;
}

enum err data_plane_add_socket(struct data_plane *d, uint16_t socket, const int *fds, size_t count)
{
	struct data_socket *s;
	uint32_t slot = 0;
	enum err e;

	if (socket == DATA_NO_SOCKET || (count != 1 && count != d->worker_count))
		return ERR_INVALID;
	if (socket_slot(d, socket) < DATA_MAX_SOCKETS)
		return ERR_EXISTS;
	while (slot < DATA_MAX_SOCKETS && atomic_load(&d->sockets[slot]))
		slot++;
	if (slot == DATA_MAX_SOCKETS)
		return ERR_LIMIT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ERR_NO_MEMORY;
	s->number = socket;
	s->fd_count = (uint16_t)count;
	memcpy(s->fds, fds, count * sizeof(*fds));
	atomic_store(&d->sockets[slot], s);
	e = socket_poll(d, s, slot);
	if (e)
		data_plane_remove_socket(d, socket);
	return e;
}

static uint64_t overflow_of(const struct data_socket *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->fd_count; i++)
		sum += net_udp_dropped(s->fds[i]);
	return sum;
}

void data_plane_remove_socket(struct data_plane *d, uint16_t socket)
{
	uint32_t slot = socket_slot(d, socket);
	struct data_socket *s;

	if (slot == DATA_MAX_SOCKETS)
		return;
	for (uint32_t peer = 0; peer < d->max_peers; peer++) {
		const struct path *path = atomic_load(&d->peers[peer].path);

		if (path && path->socket == socket)
			data_plane_clear_path(d, peer);
	}
	s = atomic_load(&d->sockets[slot]);
	for (unsigned int i = 0; i < d->worker_count; i++) {
		if (polled_fd(s, i) >= 0)
			worker_unpoll_socket(&d->workers[i], polled_fd(s, i));
	}
	d->past_overflow += overflow_of(s);
	atomic_store(&d->sockets[slot], NULL);
	qsbr_retire(&d->qsbr, &s->retired, socket_free);
	qsbr_synchronize(&d->qsbr);
}

/* --- servers --------------------------------------------------------------------------------- */

static void server_free(struct qsbr_item *item)
{
	free(container_of(item, struct data_server, retired));
}

/* Return: the place of @server in @s, of the first empty one with NULL, or DATA_MAX_SERVERS. */
static size_t server_place(const struct data_socket *s, const struct netaddr *server)
{
	for (size_t i = 0; i < DATA_MAX_SERVERS; i++) {
		const struct data_server *here = atomic_load(&s->servers[i]);

		if (here && server ? netaddr_equal(&here->addr, server) : !here && !server)
			return i;
	}
	return DATA_MAX_SERVERS;
}

enum err data_plane_add_server(struct data_plane *d, uint16_t socket, const struct netaddr *server)
{
	uint32_t slot = socket_slot(d, socket);
	struct data_server *added;
	struct data_socket *s;
	size_t place;

	if (slot == DATA_MAX_SOCKETS)
		return ERR_NOT_FOUND;
	if (server->family == NETADDR_NONE || server->port == 0)
		return ERR_INVALID;
	s = atomic_load(&d->sockets[slot]);
	if (server_place(s, server) < DATA_MAX_SERVERS)
		return ERR_EXISTS;
	place = server_place(s, NULL);
	if (place == DATA_MAX_SERVERS)
		return ERR_LIMIT;
	added = malloc(sizeof(*added));
	if (!added)
		return ERR_NO_MEMORY;
	added->addr = *server;
	atomic_store(&s->servers[place], added);
	return OK;
}

void data_plane_remove_server(struct data_plane *d, uint16_t socket, const struct netaddr *server)
{
	uint32_t slot = socket_slot(d, socket);
	struct data_server *removed;
	struct data_socket *s;
	size_t place;

	if (slot == DATA_MAX_SOCKETS)
		return;
	s = atomic_load(&d->sockets[slot]);
	place = server_place(s, server);
	if (place == DATA_MAX_SERVERS)
		return;
	removed = atomic_exchange(&s->servers[place], NULL);
	qsbr_retire(&d->qsbr, &removed->retired, server_free);
}

/* --- from the workers ------------------------------------------------------------------------ */

int data_plane_wakeup_fd(const struct data_plane *d)
{
	return d->bell.fd;
}

static bool pop_any(struct data_plane *d, struct data_input *ret, uint8_t *buf, size_t cap)
{
	for (int ring = 0; ring < RING_COUNT; ring++) {
		for (unsigned int i = 0; i < d->worker_count; i++) {
			struct ring *r = &d->workers[i].rings[ring];
			size_t len;
			enum err e = ring_pop(r, ret, sizeof(*ret), buf, cap, &len);

			while (e == DROP_TOO_LONG) {
				d->pop_too_long++;
				e = ring_pop(r, ret, sizeof(*ret), buf, cap, &len);
			}
			if (e == OK)
				return true;
		}
	}
	return false;
}

bool data_plane_pop(struct data_plane *d, struct data_input *ret, uint8_t *buf, size_t cap)
{
	if (pop_any(d, ret, buf, cap))
		return true;
	qsbr_reclaim(&d->qsbr);
	bell_hush(&d->bell);
	if (!pop_any(d, ret, buf, cap))
		return false;
	bell_ring(&d->bell);
	return true;
}

/* --- to the workers -------------------------------------------------------------------------- */

enum err data_plane_inject(struct data_plane *d, const uint8_t *packet, size_t len, uint16_t socket,
			   const struct netaddr *from)
{
	if (len == 0)
		return DROP_TRUNCATED;
	if (len > DATA_MAX_PACKET_BYTES)
		return DROP_TOO_LONG;
	if (packet[0] < TUNNEL_TYPE_MIN)
		return DROP_UNKNOWN_TYPE;
	return worker_inject(&d->workers[0], packet, len, socket, from);
}

enum err data_plane_write_tun(struct data_plane *d, const uint8_t *packet, size_t len)
{
	uint8_t header[TUN_VNET_BYTES] = {0};
	struct iovec parts[] = {
		{.iov_base = header, .iov_len = d->wanted.vnet_header ? sizeof(header) : 0},
		{.iov_base = (void *)(uintptr_t)packet, .iov_len = len},
	};
	ssize_t written;

	do
		written = writev(d->workers[0].tun_fd, parts, 2);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		return net_error(errno) == DROP_QUEUE_FULL ? DROP_QUEUE_FULL : DROP_SEND;
	d->tun_from_control++;
	return OK;
}

/* --- statistics ------------------------------------------------------------------------------ */

void data_plane_peer_stats(const struct data_plane *d, uint32_t peer, struct data_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (peer >= d->max_peers)
		return;
	*ret = d->peers[peer].past;
	for (const struct session *s = d->peers[peer].sessions; s; s = s->peer_next) {
		struct data_stats one = session_stats(s);

		stats_add(ret, &one);
	}
}

bool data_plane_session_stats(const struct data_plane *d, uint32_t local_index,
			      struct data_stats *ret)
{
	const struct session *s = session_find(d, local_index);

	if (s)
		*ret = session_stats(s);
	return s != NULL;
}

void data_plane_offloads(const struct data_plane *d, struct data_offloads *ret)
{
	ret->vnet_header = d->wanted.vnet_header;
	ret->partial = atomic_load(&d->offloads.partial);
	ret->tun_tcp = atomic_load(&d->offloads.tun_tcp);
	ret->tun_udp = atomic_load(&d->offloads.tun_udp);
	ret->udp_segment = atomic_load(&d->offloads.udp_segment);
	ret->udp_gro = atomic_load(&d->offloads.udp_gro);
}

void data_plane_counters(const struct data_plane *d, struct data_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->tun_from_control = d->tun_from_control;
	ret->pop_too_long = d->pop_too_long;
	ret->overflow = d->past_overflow;
	for (size_t i = 0; i < DATA_MAX_SOCKETS; i++) {
		const struct data_socket *s = atomic_load(&d->sockets[i]);

		ret->overflow += s ? overflow_of(s) : 0;
	}
	for (unsigned int i = 0; i < d->worker_count; i++) {
		const struct worker_counters *c = &d->workers[i].counters;

		ret->tun_in += counter_get(&c->tun_in);
		ret->tx_sent += counter_get(&c->tx_sent);
		ret->tx_unrouted += counter_get(&c->tx_unrouted);
		ret->tx_too_big += counter_get(&c->tx_too_big);
		ret->udp_in += counter_get(&c->udp_in);
		ret->rx_injected += counter_get(&c->rx_injected);
		ret->rx_tun += counter_get(&c->rx_tun);
		ret->rx_control += counter_get(&c->rx_control);
		ret->rx_stun += counter_get(&c->rx_stun);
		ret->rx_relayed += counter_get(&c->rx_relayed);
		ret->rx_empty += counter_get(&c->rx_empty);
		for (size_t e = 0; e < ERR_COUNT; e++) {
			ret->tx_drops.count[e] += counter_get(&c->tx_drops[e]);
			ret->rx_drops.count[e] += counter_get(&c->rx_drops[e]);
		}
	}
}

void data_plane_drops(const struct data_plane *d, struct drop_counters *ret)
{
	struct data_counters c;

	data_plane_counters(d, &c);
	for (size_t e = 0; e < ERR_COUNT; e++)
		ret->count[e] = c.tx_drops.count[e] + c.rx_drops.count[e];
}
