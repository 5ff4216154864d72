#include "daemon/data/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/base/time.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/tunnel/inner.h"

/* Packets of one descriptor in one turn: long enough to pay for the turn, short enough (below a
 * millisecond) that the other direction does not wait. */
#define BUDGET	   64
#define MAX_EVENTS 16

/* What epoll gives back: the slot of a socket, below DATA_MAX_SOCKETS, or one of these. Never a
 * pointer: an event is older than the turn in which it is handled. */
#define TAG_STOP     UINT32_MAX
#define TAG_TUN	     (UINT32_MAX - 1)
#define TAG_INJECTED (UINT32_MAX - 2)

/* TURN's ChannelData: a number from 0x4000 to 0x4fff, a length (RFC 8656 s. 12, 12.4). */
#define CHANNEL_HEADER_BYTES 4
#define CHANNEL_TYPE_MIN     64
#define CHANNEL_TYPE_MAX     79
/* A packet from the TUN is read to where it will be sealed: behind both headers. */
#define WORKER_INNER_OFFSET (CHANNEL_HEADER_BYTES + TUNNEL_HEADER_BYTES)
#define WORKER_BUFFER_BYTES (WORKER_INNER_OFFSET + DATA_MAX_PACKET_BYTES + TUNNEL_TAG_BYTES)

static uint64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

/* @passed: counts what was handed over, before: whoever has the input sees it counted. Or NULL.
 * Return: false when the ring is full. */
static bool hand_over(struct worker *w, enum ring_kind kind, struct data_input *input,
		      const uint8_t *bytes, size_t len, counter *passed)
{
	struct ring *ring = &w->rings[kind];

	input->now_us = w->now_us;
	input->len = len;
	if (!ring_has_room(ring, sizeof(*input) + len))
		return false;
	if (passed)
		counter_add(passed, 1);
	if (ring_push(ring, input, sizeof(*input), bytes, len))
		return false;
	bell_ring(&w->plane->bell);
	return true;
}

/* --- UDP to TUN ------------------------------------------------------------------------------ */

static void rx_drop(struct worker *w, enum err e)
{
	counter_add(&w->counters.rx_drops[e], 1);
}

static void rx_stun(struct worker *w, uint16_t socket, const struct netaddr *from,
		    const uint8_t *buf, size_t len)
{
	struct data_input input = {.kind = DATA_INPUT_STUN, .socket = socket, .remote = *from};

	if (!stun_is_message(buf, len))
		rx_drop(w, DROP_MALFORMED);
	else if (!hand_over(w, RING_STUN, &input, buf, len, &w->counters.rx_stun))
		rx_drop(w, DROP_QUEUE_FULL);
}

static bool is_allowed(const struct session *s, const struct netaddr *source)
{
	for (size_t i = 0; i < s->allowed_count; i++) {
		if (netprefix_contains(&s->allowed[i], source))
			return true;
	}
	return false;
}

static void rx_to_tun(struct worker *w, const uint8_t *packet, size_t len)
{
	ssize_t written;

	do
		written = write(w->plane->tun_fd, packet, len);
	while (written < 0 && errno == EINTR);
	if (written >= 0)
		counter_add(&w->counters.rx_tun, 1);
	else if (net_error(errno) == DROP_QUEUE_FULL)
		rx_drop(w, DROP_QUEUE_FULL);
	else
		rx_drop(w, DROP_SEND);
}

/* @plain: what was in an authentic packet of @s. */
static void rx_inner(struct worker *w, const struct session *s, uint16_t socket,
		     const struct netaddr *from, const uint8_t *plain, size_t len)
{
	struct data_input input = {
		.kind = DATA_INPUT_CONTROL,
		.peer = s->peer,
		.local_index = s->local_index,
		.socket = socket,
		.remote = *from,
	};
	struct tunnel_inner inner;
	enum err e;

	if (len == 0) {
		counter_add(&w->counters.rx_empty, 1);
		return;
	}
	e = tunnel_inner_read(plain, len, &inner);
	if (e) {
		rx_drop(w, e);
		return;
	}
	switch (inner.kind) {
	case TUNNEL_INNER_CONTROL:
		if (!hand_over(w, RING_TRUSTED, &input, plain, len, &w->counters.rx_control))
			rx_drop(w, DROP_QUEUE_FULL);
		return;
	case TUNNEL_INNER_IP4:
	case TUNNEL_INNER_IP6:
		if (is_allowed(s, &inner.source))
			rx_to_tun(w, plain, inner.len);
		else
			rx_drop(w, DROP_SOURCE);
		return;
	}
}

static void rx_packet(struct worker *w, uint16_t socket, const struct netaddr *from, uint8_t *buf,
		      size_t len)
{
	uint8_t *plain = buf + TUNNEL_HEADER_BYTES;
	struct session_worker *mine;
	struct tunnel_header header;
	struct session *s;
	size_t plain_len;
	enum err e = tunnel_header_read(buf, len, &header);

	if (e) {
		rx_drop(w, e);
		return;
	}
	s = session_find(w->plane, header.receiver_index);
	if (!s) {
		rx_drop(w, DROP_UNKNOWN_INDEX);
		return;
	}
	e = tunnel_open(s->rx, buf, len, plain, len - TUNNEL_HEADER_BYTES, &plain_len);
	if (e) {
		rx_drop(w, err_is_drop(e) ? e : DROP_DECRYPT);
		return;
	}
	mine = &s->workers[w->number];
	counter_add(&mine->rx_packets, 1);
	counter_add(&mine->rx_bytes, plain_len);
	/* What the rendezvous passed on says nothing about a path. */
	if (socket != DATA_NO_SOCKET)
		counter_set(&mine->last_rx_us, w->now_us);
	rx_inner(w, s, socket, from, plain, plain_len);
}

static bool is_server(const struct data_socket *s, const struct netaddr *from)
{
	for (size_t i = 0; i < DATA_MAX_SERVERS; i++) {
		const struct data_server *server = atomic_load(&s->servers[i]);

		if (server && netaddr_equal(&server->addr, from))
			return true;
	}
	return false;
}

/* RFC 8656 s. 12.4, 12.6. Over UDP padding may follow, so only a length that is too long is wrong. */
static void rx_channel(struct worker *w, const struct data_socket *s, const struct netaddr *from,
		       uint8_t *buf, size_t len)
{
	struct data_input input = {
		.kind = DATA_INPUT_RELAYED, .socket = s->number, .remote = *from};
	uint8_t *inner = buf + CHANNEL_HEADER_BYTES;
	size_t inner_len;

	if (!is_server(s, from)) {
		rx_drop(w, DROP_UNKNOWN_TYPE);
		return;
	}
	if (len < CHANNEL_HEADER_BYTES) {
		rx_drop(w, DROP_TRUNCATED);
		return;
	}
	inner_len = (size_t)buf[2] << 8 | buf[3];
	if (inner_len > len - CHANNEL_HEADER_BYTES)
		rx_drop(w, DROP_TRUNCATED);
	else if (inner_len && inner[0] >= TUNNEL_TYPE_MIN)
		rx_packet(w, s->number, from, inner, inner_len);
	else if (!hand_over(w, RING_STUN, &input, buf, len, &w->counters.rx_relayed))
		rx_drop(w, DROP_QUEUE_FULL);
}

static void rx_datagram(struct worker *w, const struct data_socket *s, const struct netaddr *from,
			uint8_t *buf, size_t len)
{
	counter_add(&w->counters.udp_in, 1);
	if (len == 0)
		rx_drop(w, DROP_TRUNCATED);
	else if (buf[0] >= TUNNEL_TYPE_MIN)
		rx_packet(w, s->number, from, buf, len);
	else if (buf[0] <= 3)
		rx_stun(w, s->number, from, buf, len);
	else if (buf[0] >= CHANNEL_TYPE_MIN && buf[0] <= CHANNEL_TYPE_MAX)
		rx_channel(w, s, from, buf, len);
	else
		rx_drop(w, DROP_UNKNOWN_TYPE);
}

static void rx_turn(struct worker *w, uint32_t slot)
{
	const struct data_socket *s = atomic_load(&w->plane->sockets[slot]);

	/* It was removed between the event and the begin of this turn. */
	if (!s)
		return;
	for (int i = 0; i < BUDGET; i++) {
		union net_sockaddr sa;
		socklen_t sa_len = sizeof(sa);
		struct netaddr from;
		ssize_t len = recvfrom(s->fd, w->buffer, WORKER_BUFFER_BYTES, 0, &sa.any, &sa_len);

		if (len < 0 && errno == EAGAIN)
			return;
		/* An error that the kernel had noted for the socket is gone once it was read. */
		if (len < 0)
			continue;
		if (!net_sockaddr_to(&sa, sa_len, &from))
			from = (struct netaddr){.family = NETADDR_NONE};
		rx_datagram(w, s, &from, w->buffer, (size_t)len);
	}
}

/* What goes before the bytes of each packet in the ring. */
struct injected {
	struct netaddr from;
	uint16_t socket;
};

static void rx_injected_turn(struct worker *w)
{
	for (int i = 0; i < BUDGET; i++) {
		struct injected head;
		size_t len;
		enum err e = ring_pop(&w->injected, &head, sizeof(head), w->buffer,
				      WORKER_BUFFER_BYTES, &len);

		if (e == ERR_EMPTY) {
			bell_hush(&w->injected_bell);
			e = ring_pop(&w->injected, &head, sizeof(head), w->buffer,
				     WORKER_BUFFER_BYTES, &len);
			if (e)
				return;
			bell_ring(&w->injected_bell);
		}
		counter_add(&w->counters.rx_injected, 1);
		rx_packet(w, head.socket, &head.from, w->buffer, len);
	}
}

enum err worker_inject(struct worker *w, const uint8_t *packet, size_t len, uint16_t socket,
		       const struct netaddr *from)
{
	struct injected head = {.from = *from, .socket = socket};
	enum err e = ring_push(&w->injected, &head, sizeof(head), packet, len);

	if (e)
		return e;
	bell_ring(&w->injected_bell);
	return OK;
}

/* --- TUN to UDP ------------------------------------------------------------------------------ */

static void tx_drop(struct worker *w, enum err e)
{
	counter_add(&w->counters.tx_drops[e], 1);
}

static void tx_unrouted(struct worker *w, uint32_t peer, const struct tunnel_inner *inner,
			const uint8_t *packet)
{
	struct data_input input = {
		.kind = DATA_INPUT_UNROUTED,
		.peer = peer,
		.remote = inner->destination,
	};

	if (!hand_over(w, RING_UNROUTED, &input, packet, inner->len, &w->counters.tx_unrouted))
		tx_drop(w, DROP_QUEUE_FULL);
}

static void tx_failed(struct worker *w, struct path *p, enum err e)
{
	struct data_input input = {
		.kind = DATA_INPUT_SEND_ERROR,
		.error = e,
		.peer = p->session->peer,
		.local_index = p->session->local_index,
		.socket = p->socket,
		.remote = p->remote,
	};

	if (err_is_drop(e)) {
		tx_drop(w, e);
		return;
	}
	tx_drop(w, DROP_SEND);
	if (!atomic_exchange(&p->is_error_reported, true) &&
	    !hand_over(w, RING_TRUSTED, &input, NULL, 0, NULL))
		atomic_store(&p->is_error_reported, false);
}

/* Seals the @len bytes at @inner where they stand and sends them. The bytes before @inner hold the
 * headers. */
static void tx_on_path(struct worker *w, struct path *p, uint8_t *inner, size_t len)
{
	struct session_worker *mine = &p->session->workers[w->number];
	uint8_t *out = inner - TUNNEL_HEADER_BYTES;
	size_t out_len;
	ssize_t sent;

	if (tunnel_seal(mine->tx, inner, len, out, len + TUNNEL_OVERHEAD_BYTES, &out_len)) {
		tx_drop(w, DROP_STATE);
		return;
	}
	if (p->channel) {
		out -= CHANNEL_HEADER_BYTES;
		out[0] = (uint8_t)(p->channel >> 8);
		out[1] = (uint8_t)p->channel;
		out[2] = (uint8_t)(out_len >> 8);
		out[3] = (uint8_t)out_len;
		out_len += CHANNEL_HEADER_BYTES;
	}
	do
		sent = sendto(p->fd, out, out_len, 0, &p->to.any, p->to_len);
	while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		tx_failed(w, p, net_error(errno));
		return;
	}
	counter_add(&w->counters.tx_sent, 1);
	counter_add(&mine->tx_packets, 1);
	counter_add(&mine->tx_bytes, len);
	counter_set(&mine->last_tx_us, w->now_us);
}

static void tx_packet(struct worker *w, uint8_t *packet, size_t len)
{
	struct data_plane *d = w->plane;
	struct tunnel_inner inner;
	struct routes *routes;
	struct path *path;
	uint32_t target;
	enum err e = tunnel_inner_read(packet, len, &inner);

	counter_add(&w->counters.tun_in, 1);
	/* Nobody on this host may speak to a peer's control plane through the TUN. */
	if (e == OK && inner.kind == TUNNEL_INNER_CONTROL)
		e = DROP_UNKNOWN_TYPE;
	if (e) {
		tx_drop(w, e);
		return;
	}
	routes = atomic_load(&d->routes);
	target = routes ? route_table_lookup(routes->table, &inner.destination) : ROUTE_NONE;
	if (target == ROUTE_SELF) {
		tx_drop(w, DROP_BLOCKED);
	} else if (target == ROUTE_UNRESOLVED) {
		tx_unrouted(w, DATA_NO_PEER, &inner, packet);
	} else if (target >= d->max_peers) {
		tx_drop(w, DROP_NO_ROUTE);
	} else {
		path = atomic_load(&d->peers[target].path);
		if (path)
			tx_on_path(w, path, packet, inner.len);
		else
			tx_unrouted(w, target, &inner, packet);
	}
}

static void tun_lost(struct worker *w)
{
	struct data_input input = {.kind = DATA_INPUT_TUN_LOST, .error = ERR_IO};

	/* When the ring is full the descriptor stays, is ready again, and this is tried again. */
	if (hand_over(w, RING_TRUSTED, &input, NULL, 0, NULL))
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->plane->tun_fd, NULL);
}

static void tx_turn(struct worker *w, uint32_t events)
{
	uint8_t *inner = w->buffer + WORKER_INNER_OFFSET;

	for (int i = 0; i < BUDGET; i++) {
		ssize_t len = read(w->plane->tun_fd, inner, DATA_MAX_PACKET_BYTES);

		if (len > 0) {
			tx_packet(w, inner, (size_t)len);
		} else if (len == 0 ? (events & (EPOLLHUP | EPOLLERR)) != 0
				    : errno != EINTR && net_error(errno) != DROP_QUEUE_FULL) {
			tun_lost(w);
			return;
		} else if (len < 0 && errno != EINTR) {
			return;
		}
	}
}

/* --- the thread ------------------------------------------------------------------------------ */

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct qsbr *q = &w->plane->qsbr;
	bool is_stopping = false;

	while (!is_stopping) {
		struct epoll_event events[MAX_EVENTS];
		int count = epoll_wait(w->epoll_fd, events, MAX_EVENTS, -1);

		qsbr_begin(q, w->number);
		w->now_us = monotonic_us();
		for (int i = 0; i < count; i++) {
			if (events[i].data.u32 == TAG_STOP)
				is_stopping = true;
			else if (events[i].data.u32 == TAG_TUN)
				tx_turn(w, events[i].events);
			else if (events[i].data.u32 == TAG_INJECTED)
				rx_injected_turn(w);
			else
				rx_turn(w, events[i].data.u32);
		}
		qsbr_rest(q, w->number);
	}
	return NULL;
}

static enum err poll_add(struct worker *w, int fd, uint32_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? ERR_SYSTEM : OK;
}

enum err worker_init(struct worker *w, struct data_plane *d, unsigned int number, size_t ring_bytes)
{
	enum err e;

	memset(w, 0, sizeof(*w));
	w->plane = d;
	w->number = number;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = bell_init(&w->injected_bell);
	if (e || w->epoll_fd < 0 || w->stop_fd < 0)
		return ERR_SYSTEM;
	w->buffer = malloc(WORKER_BUFFER_BYTES);
	if (!w->buffer)
		return ERR_NO_MEMORY;
	for (int i = 0; i < RING_COUNT; i++) {
		e = ring_init(&w->rings[i], ring_bytes);
		if (e)
			return e;
	}
	e = ring_init(&w->injected, ring_bytes);
	if (e)
		return e;
	e = poll_add(w, w->stop_fd, TAG_STOP);
	if (e)
		return e;
	e = poll_add(w, w->injected_bell.fd, TAG_INJECTED);
	return e ? e : poll_add(w, d->tun_fd, TAG_TUN);
}

enum err worker_start(struct worker *w)
{
	sigset_t all, old;
	char name[16];
	int failed;

	/* Signals belong to the control thread's loop. A thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&w->thread, NULL, worker_run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed)
		return ERR_SYSTEM;
	w->is_running = true;
	snprintf(name, sizeof(name), "icetun-data%u", w->number);
	pthread_setname_np(w->thread, name);
	return OK;
}

void worker_fini(struct worker *w)
{
	static const uint64_t one = 1;

	if (w->is_running) {
		while (write(w->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(w->thread, NULL);
	}
	for (int i = 0; i < RING_COUNT; i++)
		ring_fini(&w->rings[i]);
	ring_fini(&w->injected);
	bell_fini(&w->injected_bell);
	free(w->buffer);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
}

enum err worker_poll_socket(struct worker *w, int fd, uint32_t slot)
{
	return poll_add(w, fd, slot);
}

void worker_unpoll_socket(struct worker *w, int fd)
{
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
