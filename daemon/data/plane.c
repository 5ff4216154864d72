#include "daemon/data/plane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/data/worker.h"

#define MAX_PEERS      ((size_t)1 << 20)
#define MAX_SESSIONS   ((size_t)1 << 21)
#define MIN_RING_BYTES 4096
#define MAX_RING_BYTES ((size_t)1 << 26)

/* --- life ------------------------------------------------------------------------------------ */

static bool params_are_valid(const struct data_params *p)
{
	return p->tun_fd >= 0 && p->workers >= 1 && p->workers <= DATA_MAX_WORKERS &&
	       p->max_peers >= 1 && p->max_peers <= MAX_PEERS && p->max_sessions >= 1 &&
	       p->max_sessions <= MAX_SESSIONS && p->ring_bytes >= MIN_RING_BYTES &&
	       p->ring_bytes <= MAX_RING_BYTES && (p->ring_bytes & (p->ring_bytes - 1)) == 0;
}

static enum err plane_init(struct data_plane *d, const struct data_params *params)
{
	enum err e;

	d->tun_fd = params->tun_fd;
	d->max_peers = params->max_peers;
	d->max_sessions = params->max_sessions;
	d->bucket_count = 1;
	while (d->bucket_count < params->max_sessions)
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

		e = worker_init(w, d, d->worker_count++, params->ring_bytes);
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

/* Return: the slot of @socket, or DATA_MAX_SOCKETS. */
static uint32_t socket_slot(const struct data_plane *d, uint16_t socket)
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

enum err data_plane_add_socket(struct data_plane *d, uint16_t socket, int fd)
{
	struct data_socket *s;
	uint32_t slot = 0;
	enum err e = OK;

	if (socket == DATA_NO_SOCKET)
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
	s->fd = fd;
	atomic_store(&d->sockets[slot], s);
	for (unsigned int i = 0; e == OK && i < d->worker_count; i++)
		e = worker_poll_socket(&d->workers[i], fd, slot);
	if (e)
		data_plane_remove_socket(d, socket);
	return e;
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
	for (unsigned int i = 0; i < d->worker_count; i++)
		worker_unpoll_socket(&d->workers[i], s->fd);
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

/* --- sessions -------------------------------------------------------------------------------- */

static void stats_add(struct data_stats *sum, const struct data_stats *s)
{
	sum->rx_packets += s->rx_packets;
	sum->rx_bytes += s->rx_bytes;
	sum->tx_packets += s->tx_packets;
	sum->tx_bytes += s->tx_bytes;
	if (s->last_rx_us > sum->last_rx_us)
		sum->last_rx_us = s->last_rx_us;
	if (s->last_tx_us > sum->last_tx_us)
		sum->last_tx_us = s->last_tx_us;
}

static struct data_stats session_stats(const struct session *s)
{
	struct data_stats sum = {0};

	for (unsigned int i = 0; i < s->plane->worker_count; i++) {
		const struct session_worker *w = &s->workers[i];
		struct data_stats one = {
			.rx_packets = counter_get(&w->rx_packets),
			.rx_bytes = counter_get(&w->rx_bytes),
			.tx_packets = counter_get(&w->tx_packets),
			.tx_bytes = counter_get(&w->tx_bytes),
			.last_rx_us = counter_get(&w->last_rx_us),
			.last_tx_us = counter_get(&w->last_tx_us),
		};

		stats_add(&sum, &one);
	}
	return sum;
}

static void session_destroy(struct session *s)
{
	for (unsigned int i = 0; i < DATA_MAX_WORKERS; i++)
		tunnel_tx_destroy(s->workers[i].tx);
	tunnel_rx_destroy(s->rx);
	free(s);
}

/* The last a session does: what it has counted goes to its peer. */
static void session_free(struct qsbr_item *item)
{
	struct session *s = container_of(item, struct session, retired);
	struct peer *peer = &s->plane->peers[s->peer];
	struct data_stats stats = session_stats(s);
	struct session **at = &peer->sessions;

	stats_add(&peer->past, &stats);
	while (*at != s)
		at = &(*at)->peer_next;
	*at = s->peer_next;
	s->plane->session_count--;
	session_destroy(s);
}

static enum err session_create(struct session **ret, struct data_plane *d,
			       const struct data_session_params *params)
{
	struct session *s = aligned_alloc(_Alignof(struct session), sizeof(*s));
	enum err e;

	if (!s)
		return ERR_NO_MEMORY;
	memset(s, 0, sizeof(*s));
	s->plane = d;
	s->peer = params->peer;
	s->local_index = params->local_index;
	s->allowed_count = params->allowed_count;
	for (size_t i = 0; i < params->allowed_count; i++)
		s->allowed[i] = params->allowed[i];
	e = tunnel_rx_create(&s->rx, params->cipher, params->receive_key, params->lanes);
	for (unsigned int i = 0; e == OK && i < d->worker_count; i++)
		e = tunnel_tx_create(&s->workers[i].tx, params->cipher, params->send_key,
				     params->remote_index, (uint8_t)(DATA_FIRST_LANE + i));
	if (e) {
		session_destroy(s);
		return e;
	}
	*ret = s;
	return OK;
}

enum err data_plane_add_session(struct data_plane *d, const struct data_session_params *params)
{
	struct session *_Atomic *bucket = session_bucket(d, params->local_index);
	struct session *s;
	enum err e;

	if (params->peer >= d->max_peers || params->allowed_count > DATA_MAX_ALLOWED)
		return ERR_INVALID;
	if (session_find(d, params->local_index))
		return ERR_EXISTS;
	if (d->session_count == d->max_sessions)
		qsbr_synchronize(&d->qsbr); /* removed ones may only wait to be freed */
	if (d->session_count == d->max_sessions)
		return ERR_LIMIT;
	e = session_create(&s, d, params);
	if (e)
		return e;
	d->session_count++;
	s->peer_next = d->peers[s->peer].sessions;
	d->peers[s->peer].sessions = s;
	atomic_store(&s->chain_next, atomic_load(bucket));
	atomic_store(bucket, s);
	return OK;
}

static void session_remove(struct data_plane *d, struct session *s)
{
	const struct path *path = atomic_load(&d->peers[s->peer].path);
	struct session *_Atomic *at = session_bucket(d, s->local_index);

	if (path && path->session == s)
		data_plane_clear_path(d, s->peer);
	while (atomic_load(at) != s)
		at = &atomic_load(at)->chain_next;
	atomic_store(at, atomic_load(&s->chain_next));
	s->is_removed = true;
	qsbr_retire(&d->qsbr, &s->retired, session_free);
}

void data_plane_remove_session(struct data_plane *d, uint32_t local_index)
{
	struct session *s = session_find(d, local_index);

	if (s)
		session_remove(d, s);
}

static struct session *first_live_session(const struct peer *peer)
{
	struct session *s = peer->sessions;

	while (s && s->is_removed)
		s = s->peer_next;
	return s;
}

void data_plane_remove_peer(struct data_plane *d, uint32_t peer)
{
	struct session *s;

	if (peer >= d->max_peers)
		return;
	data_plane_clear_path(d, peer);
	/* From the start each time: a removal may free any session that was removed before. */
	while ((s = first_live_session(&d->peers[peer])))
		session_remove(d, s);
	qsbr_synchronize(&d->qsbr);
	memset(&d->peers[peer].past, 0, sizeof(d->peers[peer].past));
}

/* --- paths and routes ------------------------------------------------------------------------ */

static void path_free(struct qsbr_item *item)
{
	free(container_of(item, struct path, retired));
}

static void path_publish(struct data_plane *d, uint32_t peer, struct path *path)
{
	struct path *old = atomic_exchange(&d->peers[peer].path, path);

	if (old)
		qsbr_retire(&d->qsbr, &old->retired, path_free);
}

enum err data_plane_set_path(struct data_plane *d, uint32_t peer, uint32_t local_index,
			     const struct data_path *path)
{
	struct session *session = session_find(d, local_index);
	uint32_t slot = socket_slot(d, path->socket);
	struct path *p;

	if (!session || slot == DATA_MAX_SOCKETS)
		return ERR_NOT_FOUND;
	if (session->peer != peer || path->remote.port == 0 ||
	    (path->channel && (path->channel & 0xf000) != 0x4000))
		return ERR_INVALID;
	p = calloc(1, sizeof(*p));
	if (!p)
		return ERR_NO_MEMORY;
	p->session = session;
	p->fd = atomic_load(&d->sockets[slot])->fd;
	p->socket = path->socket;
	p->channel = path->channel;
	p->remote = path->remote;
	p->to_len = net_sockaddr_from(&path->remote, &p->to);
	if (p->to_len == 0) {
		free(p);
		return ERR_INVALID;
	}
	path_publish(d, peer, p);
	return OK;
}

void data_plane_clear_path(struct data_plane *d, uint32_t peer)
{
	if (peer < d->max_peers)
		path_publish(d, peer, NULL);
}

static void routes_free(struct qsbr_item *item)
{
	struct routes *r = container_of(item, struct routes, retired);

	route_table_destroy(r->table);
	free(r);
}

enum err data_plane_set_routes(struct data_plane *d, const struct route_table *table)
{
	struct routes *r = malloc(sizeof(*r));
	struct routes *old;
	enum err e;

	if (!r)
		return ERR_NO_MEMORY;
	e = route_table_clone(&r->table, table);
	if (e) {
		free(r);
		return e;
	}
	old = atomic_exchange(&d->routes, r);
	if (old)
		qsbr_retire(&d->qsbr, &old->retired, routes_free);
	return OK;
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
	/* The only one: a session's windows have one owner. */
	return worker_inject(&d->workers[0], packet, len, socket, from);
}

enum err data_plane_write_tun(struct data_plane *d, const uint8_t *packet, size_t len)
{
	ssize_t written;

	do
		written = write(d->tun_fd, packet, len);
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

void data_plane_counters(const struct data_plane *d, struct data_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->tun_from_control = d->tun_from_control;
	ret->pop_too_long = d->pop_too_long;
	for (unsigned int i = 0; i < d->worker_count; i++) {
		const struct worker_counters *c = &d->workers[i].counters;

		ret->tun_in += counter_get(&c->tun_in);
		ret->tx_sent += counter_get(&c->tx_sent);
		ret->tx_unrouted += counter_get(&c->tx_unrouted);
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
