#include "daemon/data/state.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"

/* --- sessions -------------------------------------------------------------------------------- */

struct data_stats session_stats(const struct session *s)
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
	for (unsigned int i = 0; i < s->plane->worker_count; i++) {
		aead_destroy(atomic_load(&s->workers[i].tx_key));
		aead_destroy(atomic_load(&s->workers[i].rx_key));
	}
	tunnel_windows_destroy(s->windows);
	free(s->allowed);
	secret_wipe(s->send_key, sizeof(s->send_key));
	secret_wipe(s->receive_key, sizeof(s->receive_key));
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

/* Whether a key can be prepared at all: workers do it later, where nobody can be told. */
static enum err check_cipher(const struct data_session_params *params)
{
	struct aead *a;
	enum err e = aead_create(&a, params->cipher, params->send_key);

	if (e == OK)
		aead_destroy(a);
	return e;
}

static enum err session_fill(struct session *s, const struct data_session_params *params)
{
	size_t count = params->allowed_count;

	s->peer = params->peer;
	s->local_index = params->local_index;
	s->cipher = params->cipher;
	s->takes_partial = params->takes_partial && s->plane->wanted.vnet_header;
	memcpy(s->send_key, params->send_key, sizeof(s->send_key));
	memcpy(s->receive_key, params->receive_key, sizeof(s->receive_key));
	for (unsigned int i = 0; i < s->plane->worker_count; i++) {
		s->workers[i].lane.receiver_index = params->remote_index;
		s->workers[i].lane.lane = (uint8_t)(DATA_FIRST_LANE + i);
	}
	if (count)
		s->first_allowed = params->allowed[0];
	if (count > 1) {
		s->allowed = calloc(count - 1, sizeof(*s->allowed));
		if (!s->allowed)
			return ERR_NO_MEMORY;
		memcpy(s->allowed, params->allowed + 1, (count - 1) * sizeof(*s->allowed));
	}
	s->allowed_count = (uint8_t)count;
	return tunnel_windows_create(&s->windows, params->lanes);
}

static enum err session_create(struct session **ret, struct data_plane *d,
			       const struct data_session_params *params)
{
	size_t bytes = sizeof(struct session) + d->worker_count * sizeof(struct session_worker);
	struct session *s;
	enum err e = check_cipher(params);

	if (e)
		return e;
	s = aligned_alloc(_Alignof(struct session), bytes);
	if (!s)
		return ERR_NO_MEMORY;
	memset(s, 0, bytes);
	s->plane = d;
	e = session_fill(s, params);
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

/* --- rest ------------------------------------------------------------------------------------ */

struct resting_key {
	struct aead *key;
	struct qsbr_item retired;
};

static void resting_key_free(struct qsbr_item *item)
{
	struct resting_key *k = container_of(item, struct resting_key, retired);

	aead_destroy(k->key);
	free(k);
}

/* Return: whether there was one. */
static bool key_rest(struct data_plane *d, struct aead *_Atomic *place)
{
	struct resting_key *k;

	if (!atomic_load(place))
		return false;
	k = malloc(sizeof(*k));
	if (!k)
		return false;
	k->key = atomic_exchange(place, NULL);
	qsbr_retire(&d->qsbr, &k->retired, resting_key_free);
	return true;
}

size_t data_plane_rest(struct data_plane *d, uint64_t before_us)
{
	size_t count = 0;

	for (size_t peer = 0; peer < d->max_peers; peer++) {
		for (struct session *s = d->peers[peer].sessions; s; s = s->peer_next) {
			/* One that was removed may be freed by any retirement. */
			for (unsigned int i = 0; !s->is_removed && i < d->worker_count; i++) {
				struct session_worker *w = &s->workers[i];

				/* Times of the worker's present turn may not be there yet: then it
				 * prepares the key again. */
				if (counter_get(&w->last_tx_us) < before_us)
					count += key_rest(d, &w->tx_key);
				if (counter_get(&w->last_rx_us) < before_us)
					count += key_rest(d, &w->rx_key);
			}
		}
	}
	return count;
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

static int device_of(const struct path *before, const struct path *p, int ifindex)
{
	if (p->remote.family != NETADDR_IP4)
		return 0;
	return before && before->session == p->session && before->socket == p->socket &&
			       before->channel == p->channel &&
			       netaddr_equal(&before->remote, &p->remote)
		       ? before->ifindex
		       : ifindex;
}

static size_t path_bytes(const struct data_plane *d)
{
	return sizeof(struct path) + d->worker_count * sizeof(int);
}

enum err data_plane_set_path(struct data_plane *d, uint32_t peer, uint32_t local_index,
			     const struct data_path *path)
{
	struct session *session = session_find(d, local_index);
	uint32_t slot = socket_slot(d, path->socket);
	const struct data_socket *s;
	struct path *p;

	if (!session || slot == DATA_MAX_SOCKETS)
		return ERR_NOT_FOUND;
	if (session->peer != peer || path->remote.port == 0 ||
	    (path->channel && (path->channel & 0xf000) != 0x4000))
		return ERR_INVALID;
	p = calloc(1, path_bytes(d));
	if (!p)
		return ERR_NO_MEMORY;
	s = atomic_load(&d->sockets[slot]);
	for (unsigned int i = 0; i < d->worker_count; i++)
		p->fds[i] = s->fds[s->fd_count == 1 ? 0 : i];
	p->session = session;
	p->max_bytes = path->max_bytes ? path->max_bytes : DATA_MAX_PACKET_BYTES;
	p->is_found = path->is_found;
	p->socket = path->socket;
	p->channel = path->channel;
	p->remote = path->remote;
	p->to_len = net_sockaddr_from(&path->remote, &p->to);
	if (p->to_len == 0) {
		free(p);
		return ERR_INVALID;
	}
	p->ifindex = device_of(atomic_load(&d->peers[peer].path), p, path->ifindex);
	path_publish(d, peer, p);
	return OK;
}

enum err data_plane_set_path_size(struct data_plane *d, uint32_t peer, uint16_t max_bytes,
				  bool is_found)
{
	const struct path *old = peer < d->max_peers ? atomic_load(&d->peers[peer].path) : NULL;
	struct path *p;

	if (!old)
		return ERR_NOT_FOUND;
	p = malloc(path_bytes(d));
	if (!p)
		return ERR_NO_MEMORY;
	*p = (struct path){
		.session = old->session,
		.socket = old->socket,
		.channel = old->channel,
		.max_bytes = max_bytes ? max_bytes : DATA_MAX_PACKET_BYTES,
		.is_found = is_found,
		.ifindex = old->ifindex,
		.to_len = old->to_len,
		.to = old->to,
		.remote = old->remote,
	};
	memcpy(p->fds, old->fds, d->worker_count * sizeof(p->fds[0]));
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
