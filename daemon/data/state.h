/*
 * What the control thread and the workers share. Private to the room.
 *
 * Who writes: unless a field says otherwise, the control thread before it publishes, and nobody
 * after. `_Atomic` pointers are written by the control thread and loaded by workers, sequentially
 * consistent (qsbr.h says why). Counters are written by one worker and read by the control thread,
 * relaxed: each is right by itself.
 */
#ifndef ICETUN_DATA_STATE_H
#define ICETUN_DATA_STATE_H

#include <pthread.h>

#include "daemon/core/tunnel/keys.h"
#include "daemon/data/bell.h"
#include "daemon/data/plane.h"
#include "daemon/data/qsbr.h"
#include "daemon/data/ring.h"
#include "daemon/net/sockaddr.h"

/* One writer, so no read-modify-write is needed. */
typedef _Atomic uint64_t counter;

static inline void counter_set(counter *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void counter_add(counter *c, uint64_t n)
{
	counter_set(c, counter_get(c) + n);
}

/* What one worker does to a session. The lane's counter and the windows live in tx and rx. */
struct session_worker {
	_Alignas(64) struct tunnel_tx *tx;
	counter rx_packets, rx_bytes, tx_packets, tx_bytes, last_rx_us, last_tx_us;
};

/* A session lives from data_plane_add_session() until no worker can hold it any more, through any
 * number of paths: so its counters never repeat. */
struct session {
	struct session *_Atomic chain_next; /* in its bucket */
	uint32_t local_index;
	uint32_t peer;
	struct tunnel_rx *rx;
	struct session_worker workers[DATA_MAX_WORKERS];
	size_t allowed_count;
	struct netprefix allowed[DATA_MAX_ALLOWED];
	/* control's own */
	struct data_plane *plane;
	struct session *peer_next; /* in the peer's list, until it is freed */
	bool is_removed;
	struct qsbr_item retired;
};

/* Where packets for a peer go. */
struct path {
	struct session *session;
	int fd;
	uint16_t socket;
	uint16_t channel;
	socklen_t to_len;
	union net_sockaddr to;
	struct netaddr remote;
	_Atomic bool is_error_reported; /* by a worker */
	struct qsbr_item retired;
};

struct routes {
	struct route_table *table;
	struct qsbr_item retired;
};

struct peer {
	struct path *_Atomic path;
	struct session *sessions; /* control's own: live ones and those not yet freed */
	struct data_stats past;	  /* control's own: what the freed ones did */
};

/* A TURN server whose ChannelData is taken. */
struct data_server {
	struct netaddr addr;
	struct qsbr_item retired;
};

struct data_socket {
	uint16_t number;
	int fd;
	struct data_server *_Atomic servers[DATA_MAX_SERVERS]; /* freed with the socket */
	struct qsbr_item retired;
};

/* In the order in which data_plane_pop() takes them. */
enum ring_kind {
	RING_TRUSTED,
	RING_STUN,
	RING_UNROUTED,
	RING_COUNT,
};

struct worker_counters {
	counter tun_in, tx_sent, tx_unrouted;
	counter udp_in, rx_injected, rx_tun, rx_control, rx_stun, rx_relayed, rx_empty;
	counter tx_drops[ERR_COUNT];
	counter rx_drops[ERR_COUNT];
};

struct worker {
	struct data_plane *plane;
	unsigned int number;
	pthread_t thread;
	bool is_running; /* control's own: the thread was started */
	int epoll_fd;
	int stop_fd; /* an eventfd: readable once the worker shall end */
	struct ring rings[RING_COUNT];
	struct ring injected; /* from control to this worker */
	struct bell injected_bell;
	struct worker_counters counters;
	/* the worker's own */
	uint64_t now_us;
	uint8_t *buffer; /* WORKER_BUFFER_BYTES */
};

struct data_plane {
	int tun_fd;
	size_t max_peers;
	struct peer *peers;
	size_t max_sessions;
	size_t bucket_count; /* a power of two */
	struct session *_Atomic *buckets;
	struct routes *_Atomic routes;
	struct data_socket *_Atomic sockets[DATA_MAX_SOCKETS];
	struct qsbr qsbr;
	/* from workers to control */
	struct bell bell;
	/* control's own */
	size_t session_count;
	uint64_t tun_from_control;
	uint64_t pop_too_long;
	unsigned int worker_count;
	struct worker workers[DATA_MAX_WORKERS];
};

static inline struct session *_Atomic *session_bucket(const struct data_plane *d, uint32_t index)
{
	return &d->buckets[(index * 0x9e3779b1u >> 7) & (d->bucket_count - 1)];
}

/* The live session with this index, or NULL. By workers and by control. */
static inline struct session *session_find(const struct data_plane *d, uint32_t local_index)
{
	struct session *s = atomic_load(session_bucket(d, local_index));

	while (s && s->local_index != local_index)
		s = atomic_load(&s->chain_next);
	return s;
}

#endif
