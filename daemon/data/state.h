/*
 * What the control thread and the workers share. Private to the room.
 *
 * Who writes: unless a field says otherwise, the control thread before it publishes, and nobody
 * after. `_Atomic` pointers are written by the control thread and loaded by workers, sequentially
 * consistent (qsbr.h says why). Counters are written by one worker and read by the control thread,
 * relaxed: each is right by itself.
 *
 *	plane.c    life, sockets, rings, statistics	control thread
 *	session.c  sessions, paths, routes		control thread
 *	worker.c   the thread and its loop		worker
 *	rx.c	   UDP to TUN				worker
 *	tx.c	   TUN to UDP				worker
 *	ahead.c	   what the next packets need		worker
 *	send.c	   trains of sealed packets		worker
 */
#ifndef ICETUN_DATA_STATE_H
#define ICETUN_DATA_STATE_H

#include <pthread.h>

#include "daemon/core/tunnel/coalesce.h"
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

/* What one worker does to a session; the worker's own but for the counters. */
struct session_worker {
	_Alignas(64) struct tunnel_lane lane;
	/* Prepared with the worker's first packet of the direction, for it costs a kilobyte;
	 * unpublished by control when they are not used for some time. */
	struct aead *_Atomic tx_key, *_Atomic rx_key;
	counter rx_packets, rx_bytes, last_rx_us; /* with the first cache line */
	counter last_tx_us, tx_packets, tx_bytes;
};

/* A session lives from data_plane_add_session() until no worker can hold it any more, through any
 * number of paths: so its counters never repeat. */
struct session {
	/* What packets look at, one cache line. */
	struct session *_Atomic chain_next; /* in its bucket */
	uint32_t local_index;
	uint32_t peer;
	enum aead_cipher cipher;
	bool takes_partial;
	uint8_t allowed_count; /* with the first one */
	struct netprefix first_allowed;
	struct tunnel_windows *windows;
	struct netprefix *allowed; /* the others */
	/* What a key is prepared from. */
	uint8_t send_key[TUNNEL_KEY_BYTES], receive_key[TUNNEL_KEY_BYTES];
	/* control's own */
	struct data_plane *plane;
	struct session *peer_next; /* in the peer's list, until it is freed */
	bool is_removed;
	struct qsbr_item retired;
	/* one for each worker */
	struct session_worker workers[];
};

/* Where packets for a peer go. */
struct path {
	struct session *session;
	uint16_t socket;
	uint16_t channel;
	uint16_t max_bytes;
	bool is_found;
	int ifindex;
	socklen_t to_len;
	union net_sockaddr to;
	struct netaddr remote;
	_Atomic bool is_error_reported;	 /* by a worker */
	_Atomic bool is_length_reported; /* the same */
	struct qsbr_item retired;
	int fds[]; /* for each worker */
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
	uint16_t fd_count; /* 1, or one for each worker */
	int fds[DATA_MAX_WORKERS];
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
	counter tun_in, tx_sent, tx_unrouted, tx_too_big;
	counter udp_in, rx_injected, rx_tun, rx_control, rx_stun, rx_relayed, rx_empty;
	counter tx_drops[ERR_COUNT];
	counter rx_drops[ERR_COUNT];
};

/* Set and cleared by control; and cleared by any worker, for all, where a kernel refuses when it is
 * too late to ask. */
struct offload_flags {
	_Atomic bool tun_tcp, tun_udp, udp_segment, udp_gro, partial;
};

struct rx;
struct tx;
struct sender;

struct worker {
	struct data_plane *plane;
	unsigned int number;
	int tun_fd;
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
	bool tun_is_lost;
	struct rx *rx;
	struct tx *tx;
	struct sender *sender;
};

struct data_plane {
	struct data_offloads wanted; /* what may be used; vnet_header never changes */
	struct offload_flags offloads;
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
	uint64_t past_overflow; /* of sockets that were removed */
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

/* The slot of @socket, or DATA_MAX_SOCKETS. By control. */
uint32_t socket_slot(const struct data_plane *d, uint16_t socket);
static inline void stats_add(struct data_stats *sum, const struct data_stats *s)
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

/* By worker @w, which has its own: the key in @place, prepared if need be. Return: NULL when it
 * cannot be. */
static inline struct aead *session_key(struct aead *_Atomic *place, enum aead_cipher cipher,
				       const uint8_t *bytes)
{
	struct aead *key = atomic_load(place);

	if (!key && aead_create(&key, cipher, bytes) == OK)
		atomic_store(place, key);
	return key;
}

/* Over a session's workers. By control. */
struct data_stats session_stats(const struct session *s);

#endif
