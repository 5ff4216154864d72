#include "daemon/data/send.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/data/pages.h"
#include "daemon/data/worker.h"

/* Linux 4.18; headers may be older than the kernel. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* TURN's ChannelData header (RFC 8656 s. 12.4). */
#define CHANNEL_HEADER_BYTES 4
#define MAX_DATAGRAM_BYTES   (CHANNEL_HEADER_BYTES + TUNNEL_OVERHEAD_BYTES + DATA_MAX_PACKET_BYTES)
#define SLAB_BYTES	     (256 * 1024)
#define MAX_TRAINS	     128
/* What every kernel takes that knows UDP_SEGMENT: packets, and bytes with room for headers. */
#define TRAIN_MAX_PACKETS 64
#define TRAIN_MAX_BYTES	  65000
/* How long a full socket may hold up the worker, per flush. */
#define FULL_WAIT_MS 1

/* Packets of one size, the last one may be shorter, one after the other. */
struct train {
	struct path *path;
	uint8_t *bytes;
	uint32_t len;
	uint32_t inner_bytes;
	uint32_t stride;
	uint16_t count;
	bool is_closed;	   /* by a shorter packet */
	bool may_fragment; /* a single packet: without DF */
};

union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct sender {
	uint8_t *slab;
	size_t used;
	size_t count;
	bool has_waited; /* for a full socket, since the flush began */
	struct train trains[MAX_TRAINS];
	struct mmsghdr messages[MAX_TRAINS];
	struct iovec vectors[MAX_TRAINS];
	union control controls[MAX_TRAINS];
};

bool send_knows_segment(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), value;
	socklen_t len = sizeof(value);
	bool knows = fd >= 0 && getsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, &len) == 0;

	if (fd >= 0)
		close(fd);
	return knows;
}

enum err sender_create(struct sender **ret)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NO_MEMORY;
	s->slab = malloc(SLAB_BYTES);
	if (!s->slab) {
		free(s);
		return ERR_NO_MEMORY;
	}
	*ret = s;
	return OK;
}

void sender_destroy(struct sender *s)
{
	if (!s)
		return;
	free(s->slab);
	free(s);
}

void sender_rest(struct sender *s)
{
	pages_give_back(s->slab, SLAB_BYTES);
}

size_t send_pending(const struct worker *w)
{
	return w->sender->used;
}

static void tx_drop(struct worker *w, enum err e, uint64_t count)
{
	counter_add(&w->counters.tx_drops[e], count);
}

/* --- building -------------------------------------------------------------------------------- */

static bool fits_train(const struct train *t, const struct path *p, size_t len)
{
	return t->path == p && !t->is_closed && t->count < TRAIN_MAX_PACKETS && len <= t->stride &&
	       t->len + len <= TRAIN_MAX_BYTES;
}

/* @alone: nothing else may be in its train. */
static void add_to_train(struct worker *w, struct path *p, uint8_t *datagram, size_t len,
			 size_t inner_len, bool alone)
{
	struct sender *s = w->sender;
	struct train *t = s->count ? &s->trains[s->count - 1] : NULL;

	if (!t || alone || !fits_train(t, p, len) ||
	    !atomic_load_explicit(&w->plane->offloads.udp_segment, memory_order_relaxed)) {
		t = &s->trains[s->count++];
		*t = (struct train){.path = p, .bytes = datagram, .stride = (uint32_t)len};
	}
	t->is_closed = alone || len < t->stride;
	t->may_fragment = alone;
	t->len += (uint32_t)len;
	t->inner_bytes += (uint32_t)inner_len;
	t->count++;
	s->used += len;
}

static void seal(struct worker *w, struct path *p, uint8_t type, const uint8_t *inner, size_t len,
		 bool alone)
{
	struct sender *s = w->sender;
	struct session_worker *mine = &p->session->workers[w->number];
	struct aead *key = session_key(&mine->tx_key, p->session->cipher, p->session->send_key);
	size_t prefix = p->channel ? CHANNEL_HEADER_BYTES : 0, sealed;
	uint8_t *out;

	if (s->used + prefix + len + TUNNEL_OVERHEAD_BYTES > SLAB_BYTES || s->count == MAX_TRAINS)
		send_flush(w);
	out = s->slab + s->used;
	if (!key || tunnel_lane_seal(&mine->lane, key, type, inner, len, out + prefix,
				     len + TUNNEL_OVERHEAD_BYTES, &sealed)) {
		tx_drop(w, DROP_STATE, 1);
		return;
	}
	if (prefix) {
		out[0] = (uint8_t)(p->channel >> 8);
		out[1] = (uint8_t)p->channel;
		out[2] = (uint8_t)(sealed >> 8);
		out[3] = (uint8_t)sealed;
	}
	add_to_train(w, p, out, prefix + sealed, len, alone);
}

void send_packet(struct worker *w, struct path *p, uint8_t type, const uint8_t *inner, size_t len)
{
	seal(w, p, type, inner, len, false);
}

void send_packet_in_pieces(struct worker *w, struct path *p, uint8_t type, const uint8_t *inner,
			   size_t len)
{
	seal(w, p, type, inner, len, true);
}

/* --- sending --------------------------------------------------------------------------------- */

static void count_sent(struct worker *w, struct path *p, uint64_t packets, uint64_t bytes)
{
	struct session_worker *mine = &p->session->workers[w->number];

	counter_add(&w->counters.tx_sent, packets);
	counter_add(&mine->tx_packets, packets);
	counter_add(&mine->tx_bytes, bytes);
	counter_set(&mine->last_tx_us, w->now_us);
}

static void count_failed(struct worker *w, struct path *p, enum err e, uint64_t packets)
{
	bool is_length = e == DROP_TOO_LONG;
	_Atomic bool *is_reported = is_length ? &p->is_length_reported : &p->is_error_reported;
	struct data_input input = {
		.kind = is_length ? DATA_INPUT_TOO_LONG : DATA_INPUT_SEND_ERROR,
		.error = e,
		.peer = p->session->peer,
		.local_index = p->session->local_index,
		.socket = p->socket,
		.remote = p->remote,
	};

	tx_drop(w, err_is_drop(e) ? e : DROP_SEND, packets);
	if (err_is_drop(e) && !is_length)
		return;
	if (!atomic_exchange(is_reported, true) &&
	    !worker_hand_over(w, RING_TRUSTED, &input, NULL, 0, NULL))
		atomic_store(is_reported, false);
}

/* A socket whose buffer is full has room again soon, or never. Return: whether to try again. */
static bool wait_for_room(struct worker *w, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (w->sender->has_waited)
		return false;
	w->sender->has_waited = true;
	return poll(&p, 1, FULL_WAIT_MS) == 1;
}

static void add_control(struct msghdr *m, int level, int type, const void *value, size_t len)
{
	uint8_t *at = (uint8_t *)m->msg_control + m->msg_controllen;
	struct cmsghdr *c = (struct cmsghdr *)(void *)at;

	m->msg_controllen += CMSG_SPACE(len);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
}

/* @stride: 0 for a single packet. */
static void fill_message(struct msghdr *ret, const struct path *p, struct iovec *bytes,
			 union control *control, uint16_t stride)
{
	struct in_pktinfo device = {.ipi_ifindex = p->ifindex};

	*ret = (struct msghdr){.msg_name = (void *)(uintptr_t)&p->to,
			       .msg_namelen = p->to_len,
			       .msg_iov = bytes,
			       .msg_iovlen = 1,
			       .msg_control = control};
	if (stride)
		add_control(ret, SOL_UDP, UDP_SEGMENT, &stride, sizeof(stride));
	if (p->ifindex)
		add_control(ret, IPPROTO_IP, IP_PKTINFO, &device, sizeof(device));
}

/* Return: 0 or the errno. */
static int send_one(struct worker *w, const struct path *p, uint8_t *bytes, size_t len)
{
	struct iovec vector = {.iov_base = bytes, .iov_len = len};
	int fd = p->fds[w->number];
	union control control;
	struct msghdr m;

	fill_message(&m, p, &vector, &control, 0);
	for (;;) {
		if (sendmsg(fd, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN && wait_for_room(w, fd))
			continue;
		if (errno != EINTR)
			return errno;
	}
}

/*
 * Without DF, by what the kernel knows of the path, which may be nothing: over IPv6 the sender
 * alone fragments (RFC 8200 s. 5), so into what every path carries. It is so rare that the options
 * are set for the one datagram. What other threads send on a socket that they share just then, a
 * probe perhaps, goes without DF, too: what a probe that came in pieces says wrong is found out
 * when the size is confirmed.
 */
static int send_fragmented(struct worker *w, const struct train *t)
{
	static const int dont4 = IP_PMTUDISC_DONT, probe4 = IP_PMTUDISC_PROBE;
	static const int dont6 = IPV6_PMTUDISC_DONT, probe6 = IPV6_PMTUDISC_PROBE;
	static const int least = 1280, none = 0;
	int fd = t->path->fds[w->number], error;

	if (t->path->remote.family == NETADDR_IP6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dont6, sizeof(dont6));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &least, sizeof(least));
		error = send_one(w, t->path, t->bytes, t->len);
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &none, sizeof(none));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof(probe6));
	} else {
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont4, sizeof(dont4));
		error = send_one(w, t->path, t->bytes, t->len);
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof(probe4));
	}
	return error;
}

static void send_in_pieces(struct worker *w, const struct train *t)
{
	int error = send_fragmented(w, t);

	if (error)
		count_failed(w, t->path, net_error(error), 1);
	else
		count_sent(w, t->path, 1, t->inner_bytes);
}

/* Return: whether the system has taken all of them. */
static bool send_singly(struct worker *w, const struct train *t)
{
	bool all = true;

	for (size_t i = 0; i < t->count; i++) {
		size_t at = i * t->stride;
		size_t len = i + 1 < t->count ? t->stride : t->len - at;
		size_t overhead =
			TUNNEL_OVERHEAD_BYTES + (t->path->channel ? CHANNEL_HEADER_BYTES : 0u);
		int error = send_one(w, t->path, t->bytes + at, len);

		if (error)
			count_failed(w, t->path, net_error(error), 1);
		else
			count_sent(w, t->path, 1, len - overhead);
		all &= error == 0;
	}
	return all;
}

/*
 * The kernel has refused a train. EIO: the device cannot do checksums, or IPsec is in the way;
 * EINVAL, EMSGSIZE: a packet is longer than the device takes, or trains are; ENOPROTOOPT and
 * others: it does not know how. If the packets pass singly, it was the train's fault, and there are
 * no more.
 */
static void train_refused(struct worker *w, const struct train *t, int error)
{
	if (t->count > 1 && error != EAGAIN && error != ENOBUFS && error != ENOMEM) {
		if (send_singly(w, t))
			atomic_store(&w->plane->offloads.udp_segment, false);
		return;
	}
	count_failed(w, t->path, net_error(error), t->count);
}

static void prepare(struct sender *s, size_t i)
{
	struct train *t = &s->trains[i];

	s->vectors[i] = (struct iovec){.iov_base = t->bytes, .iov_len = t->len};
	fill_message(&s->messages[i].msg_hdr, t->path, &s->vectors[i], &s->controls[i],
		     t->count > 1 ? (uint16_t)t->stride : 0);
}

/* Trains from @first on that go out of one socket. Return: the number of the next train. */
static size_t send_run(struct worker *w, size_t first)
{
	struct sender *s = w->sender;
	int fd = s->trains[first].path->fds[w->number], sent;
	size_t end = first;

	if (s->trains[first].may_fragment) {
		send_in_pieces(w, &s->trains[first]);
		return first + 1;
	}
	while (end < s->count && s->trains[end].path->fds[w->number] == fd &&
	       !s->trains[end].may_fragment)
		prepare(s, end++);
	sent = sendmmsg(fd, s->messages + first, (unsigned int)(end - first), MSG_NOSIGNAL);
	if (sent > 0) {
		for (int i = 0; i < sent; i++) {
			const struct train *t = &s->trains[first + (size_t)i];

			count_sent(w, t->path, t->count, t->inner_bytes);
		}
		return first + (size_t)sent;
	}
	if (errno == EINTR || (errno == EAGAIN && wait_for_room(w, fd)))
		return first;
	train_refused(w, &s->trains[first], errno);
	return first + 1;
}

void send_flush(struct worker *w)
{
	struct sender *s = w->sender;

	s->has_waited = false;
	for (size_t i = 0; i < s->count;)
		i = send_run(w, i);
	s->count = 0;
	s->used = 0;
}
