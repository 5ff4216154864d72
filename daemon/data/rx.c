#include "daemon/data/rx.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/tunnel/inner.h"
#include "daemon/core/tunnel/segment.h"
#include "daemon/data/ahead.h"
#include "daemon/data/pages.h"
#include "daemon/data/worker.h"
#include "tun/vnet.h"

/* Linux 5.0; headers may be older than the kernel. */
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* What is received with one call, and calls in one turn: see tx.c. */
#define SLOTS		64
#define GRO_SLOTS	8
#define BUDGET_CALLS	4
#define BUDGET_INJECTED 64
#define SLOT_BYTES	(64 * 1024)
/* Opened packets that wait for the end of a call: more than one brings, as a rule. */
#define STAGE_PACKETS 1024

/* TURN's ChannelData: a number from 0x4000 to 0x4fff, a length (RFC 8656 s. 12, 12.4). */
#define CHANNEL_HEADER_BYTES 4
#define CHANNEL_TYPE_MIN     64
#define CHANNEL_TYPE_MAX     79

_Static_assert(TUN_VNET_BYTES <= TUNNEL_HEADER_BYTES, "one header fits where the other was");

/* An opened packet. The bytes before it, where the tunnel header was, are free. */
struct staged {
	const struct session *session;
	uint64_t counter; /* lane and number */
	uint8_t *packet;
	uint32_t len;
	bool is_partial;
};

union gro_control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

struct rx {
	uint8_t *slots; /* SLOTS of SLOT_BYTES */
	struct mmsghdr messages[SLOTS];
	struct iovec vectors[SLOTS];
	union gro_control controls[SLOTS];
	union net_sockaddr sources[SLOTS];
	const struct session *opened; /* the last one, to compare with only */
	size_t staged_count;
	bool is_out_of_order;
	struct staged staged[STAGE_PACKETS];
	struct coalescer *coalescer;
	struct iovec parts[STAGE_PACKETS];
};

enum err rx_create(struct rx **ret, const struct worker *w)
{
	struct coalesce_params params = {.max_packets = STAGE_PACKETS};
	struct rx *r = calloc(1, sizeof(*r));

	(void)w;
	if (!r)
		return ERR_NO_MEMORY;
	/* Pages that nothing was received into cost nothing. */
	r->slots = malloc((size_t)SLOTS * SLOT_BYTES);
	if (!r->slots || coalesce_create(&r->coalescer, &params)) {
		rx_destroy(r);
		return ERR_NO_MEMORY;
	}
	*ret = r;
	return OK;
}

void rx_destroy(struct rx *r)
{
	if (!r)
		return;
	coalesce_destroy(r->coalescer);
	free(r->slots);
	free(r);
}

void rx_rest(struct rx *r)
{
	pages_give_back(r->slots, (size_t)SLOTS * SLOT_BYTES);
}

bool rx_set_gro(int fd, bool on)
{
	int value = on;

	return setsockopt(fd, SOL_UDP, UDP_GRO, &value, sizeof(value)) == 0;
}

static void rx_drop(struct worker *w, enum err e, uint64_t count)
{
	counter_add(&w->counters.rx_drops[e], count);
}

/* --- to the TUN ------------------------------------------------------------------------------ */

/* @parts: the packet; the bytes before the first part are free for the header. Return: 0 or the
 *         errno. */
static int tun_write(struct worker *w, const struct coalesced *g, const struct coalesce_part *parts,
		     size_t count)
{
	struct tun_vnet v = {
		.is_partial = g->is_partial,
		.csum_start = g->csum_start,
		.csum_offset = g->csum_offset,
		.gso_size = g->segment_bytes,
		.header_bytes = g->header_bytes,
	};
	struct iovec *vectors = w->rx->parts;
	size_t header = w->plane->wanted.vnet_header ? TUN_VNET_BYTES : 0;

	if (g->segment_bytes && g->protocol == L4_UDP)
		v.gso = TUN_GSO_UDP;
	else if (g->segment_bytes)
		v.gso = parts[0].base[0] >> 4 == 4 ? TUN_GSO_TCP4 : TUN_GSO_TCP6;
	for (size_t i = 0; i < count; i++)
		vectors[i] = (struct iovec){.iov_base = parts[i].base, .iov_len = parts[i].len};
	if (header) {
		vectors[0].iov_base = parts[0].base - header;
		vectors[0].iov_len += header;
		tun_vnet_write(vectors[0].iov_base, &v);
	}
	for (;;) {
		if (writev(w->tun_fd, vectors, (int)count) >= 0)
			return 0;
		if (errno != EINTR)
			return errno;
	}
}

static int write_single(struct worker *w, const struct coalesced *g,
			const struct coalesce_part *part)
{
	int error = tun_write(w, g, part, 1);

	if (error == 0)
		counter_add(&w->counters.rx_tun, 1);
	else
		rx_drop(w, net_error(error) == DROP_QUEUE_FULL ? DROP_QUEUE_FULL : DROP_SEND, 1);
	return error;
}

/* The kernel has refused a superpacket. If its packets pass singly, it takes none of this kind. */
static void group_refused(struct worker *w, struct coalesced *g)
{
	struct offload_flags *flags = &w->plane->offloads;
	_Atomic bool *flag = g->protocol == L4_TCP ? &flags->tun_tcp : &flags->tun_udp;
	bool all = true;

	coalesce_split(w->rx->coalescer, g);
	for (size_t i = 0; i < g->count; i++)
		all &= write_single(w, g, &g->parts[i]) == 0;
	if (all)
		atomic_store(flag, false);
}

static void write_group(struct worker *w, struct coalesced *g)
{
	int error;

	if (g->count == 1) {
		(void)write_single(w, g, g->parts);
		return;
	}
	error = tun_write(w, g, g->parts, g->count);
	if (error == 0)
		counter_add(&w->counters.rx_tun, g->count);
	else if (net_error(error) == DROP_QUEUE_FULL)
		rx_drop(w, DROP_QUEUE_FULL, g->count);
	else
		group_refused(w, g);
}

/* --- opened packets -------------------------------------------------------------------------- */

static bool is_allowed(const struct session *s, const struct netaddr *source)
{
	if (s->allowed_count && netprefix_contains(&s->first_allowed, source))
		return true;
	for (size_t i = 1; i < s->allowed_count; i++) {
		if (netprefix_contains(&s->allowed[i - 1], source))
			return true;
	}
	return false;
}

/* A TUN without headers takes complete packets only. */
static enum err complete(const struct staged *p, size_t len)
{
	struct segment_hints hints = {.is_partial = true};
	struct segmenter s;
	struct l4 l4;

	if (!l4_read(p->packet, len, &l4))
		return DROP_MALFORMED;
	hints.csum_start = l4.offset;
	hints.csum_offset = l4_checksum_offset(l4.protocol);
	return segment_begin(&s, p->packet, len, &hints, len, false);
}

/* The peer's SYN says how long our packets to it may be. */
static void clamp_mss(struct worker *w, const struct staged *p, size_t len, bool is_partial)
{
	const struct path *path;

	/* Of the other packets the path, which is in no near cache, is not needed. */
	if (!segment_is_syn(p->packet, len))
		return;
	path = atomic_load(&w->plane->peers[p->session->peer].path);
	if (path && path->is_found)
		segment_clamp_mss(p->packet, len, path->max_bytes, is_partial);
}

/* The first of a group, or a single packet. */
static enum err start_group(struct worker *w, const struct staged *p)
{
	bool is_partial = p->is_partial;
	struct tunnel_inner inner;
	enum err e = tunnel_inner_read(p->packet, p->len, &inner);

	if (e)
		return e;
	if (!is_allowed(p->session, &inner.source))
		return DROP_SOURCE;
	if (is_partial && !w->plane->wanted.vnet_header) {
		e = complete(p, inner.len);
		if (e)
			return e;
		is_partial = false;
	}
	clamp_mss(w, p, inner.len, is_partial);
	return coalesce_start(w->rx->coalescer, p->session, p->packet, inner.len, is_partial);
}

/* Insertion: packets are nearly in order, or were so until now. */
static void sort(struct staged *staged, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct staged p = staged[i];
		size_t at = i;

		while (at > 0 && staged[at - 1].session == p.session &&
		       staged[at - 1].counter > p.counter) {
			staged[at] = staged[at - 1];
			at--;
		}
		staged[at] = p;
	}
}

/* What was opened goes to the TUN. */
static void rx_flush(struct worker *w)
{
	struct offload_flags *flags = &w->plane->offloads;
	struct rx *r = w->rx;
	struct coalesced group;

	if (r->staged_count == 0)
		return;
	if (r->is_out_of_order)
		sort(r->staged, r->staged_count);
	coalesce_reset(r->coalescer);
	coalesce_set(r->coalescer, atomic_load_explicit(&flags->tun_tcp, memory_order_relaxed),
		     atomic_load_explicit(&flags->tun_udp, memory_order_relaxed));
	for (size_t i = 0; i < r->staged_count; i++) {
		const struct staged *p = &r->staged[i];
		enum err e;

		/* What has joined a group has the addresses of its first packet. */
		if (coalesce_join(r->coalescer, p->session, p->packet, p->len, p->is_partial))
			continue;
		e = start_group(w, p);
		if (e)
			rx_drop(w, e, 1);
	}
	while (coalesce_next(r->coalescer, &group))
		write_group(w, &group);
	r->staged_count = 0;
	r->is_out_of_order = false;
}

/* --- datagrams ------------------------------------------------------------------------------- */

/* Where a datagram came in. */
struct origin {
	const struct data_socket *socket; /* NULL: injected */
	uint16_t number;
	struct netaddr from;
};

static void rx_stun(struct worker *w, const struct origin *o, const uint8_t *buf, size_t len)
{
	struct data_input input = {.kind = DATA_INPUT_STUN, .socket = o->number, .remote = o->from};

	if (!stun_is_message(buf, len))
		rx_drop(w, DROP_MALFORMED, 1);
	else if (!worker_hand_over(w, RING_STUN, &input, buf, len, &w->counters.rx_stun))
		rx_drop(w, DROP_QUEUE_FULL, 1);
}

/* Control packets do not wait for the others: they go before the TUN is written. */
static void rx_control(struct worker *w, const struct session *s, const struct origin *o,
		       const uint8_t *plain, size_t len)
{
	struct data_input input = {
		.kind = DATA_INPUT_CONTROL,
		.peer = s->peer,
		.local_index = s->local_index,
		.socket = o->number,
		.remote = o->from,
	};

	if (!worker_hand_over(w, RING_TRUSTED, &input, plain, len, &w->counters.rx_control))
		rx_drop(w, DROP_QUEUE_FULL, 1);
}

static void stage(struct worker *w, const struct session *s, const struct tunnel_header *h,
		  uint8_t *plain, size_t len)
{
	struct rx *r = w->rx;
	struct staged *p;

	if (r->staged_count == STAGE_PACKETS)
		rx_flush(w);
	p = &r->staged[r->staged_count++];
	*p = (struct staged){.session = s,
			     .counter = h->counter,
			     .packet = plain,
			     .len = (uint32_t)len,
			     .is_partial = h->type == TUNNEL_TYPE_PARTIAL};
	if (r->staged_count > 1 && p[-1].session == s && p[-1].counter > p->counter)
		r->is_out_of_order = true;
}

static enum err open_packet(struct worker *w, struct session *s, const struct tunnel_header *h,
			    uint8_t *buf, size_t len, size_t *ret_len)
{
	struct aead *key = session_key(&s->workers[w->number].rx_key, s->cipher, s->receive_key);

	if (!key)
		return DROP_LIMIT;
	if (s != w->rx->opened)
		aead_prefetch(key);
	w->rx->opened = s;
	return tunnel_windows_open(s->windows, key, h, buf, len, buf + TUNNEL_HEADER_BYTES,
				   len - TUNNEL_HEADER_BYTES, ret_len);
}

static void rx_packet(struct worker *w, const struct origin *o, uint8_t *buf, size_t len)
{
	uint8_t *plain = buf + TUNNEL_HEADER_BYTES;
	struct session_worker *mine;
	struct tunnel_header header;
	struct session *s;
	size_t plain_len;
	enum err e = tunnel_header_read(buf, len, &header);

	if (e) {
		rx_drop(w, e, 1);
		return;
	}
	s = session_find(w->plane, header.receiver_index);
	if (!s) {
		rx_drop(w, DROP_UNKNOWN_INDEX, 1);
		return;
	}
	e = open_packet(w, s, &header, buf, len, &plain_len);
	if (e) {
		rx_drop(w, err_is_drop(e) ? e : DROP_DECRYPT, 1);
		return;
	}
	mine = &s->workers[w->number];
	counter_add(&mine->rx_packets, 1);
	counter_add(&mine->rx_bytes, plain_len);
	/* What the rendezvous passed on says nothing about a path. */
	if (o->number != DATA_NO_SOCKET)
		counter_set(&mine->last_rx_us, w->now_us);
	if (plain_len == 0)
		counter_add(&w->counters.rx_empty, 1);
	else if (plain[0] >> 4 == 0)
		rx_control(w, s, o, plain, plain_len);
	else
		stage(w, s, &header, plain, plain_len);
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

/* RFC 8656 s. 12.4, 12.6. Over UDP padding may follow, so only a length that is too long is
 * wrong. */
static void rx_channel(struct worker *w, const struct origin *o, uint8_t *buf, size_t len)
{
	struct data_input input = {
		.kind = DATA_INPUT_RELAYED, .socket = o->number, .remote = o->from};
	uint8_t *inner = buf + CHANNEL_HEADER_BYTES;
	size_t inner_len;

	if (!is_server(o->socket, &o->from)) {
		rx_drop(w, DROP_UNKNOWN_TYPE, 1);
		return;
	}
	if (len < CHANNEL_HEADER_BYTES) {
		rx_drop(w, DROP_TRUNCATED, 1);
		return;
	}
	inner_len = (size_t)buf[2] << 8 | buf[3];
	if (inner_len > len - CHANNEL_HEADER_BYTES)
		rx_drop(w, DROP_TRUNCATED, 1);
	else if (inner_len && inner[0] >= TUNNEL_TYPE_MIN)
		rx_packet(w, o, inner, inner_len);
	else if (!worker_hand_over(w, RING_STUN, &input, buf, len, &w->counters.rx_relayed))
		rx_drop(w, DROP_QUEUE_FULL, 1);
}

static void rx_datagram(struct worker *w, const struct origin *o, uint8_t *buf, size_t len)
{
	counter_add(&w->counters.udp_in, 1);
	if (len == 0)
		rx_drop(w, DROP_TRUNCATED, 1);
	else if (buf[0] >= TUNNEL_TYPE_MIN)
		rx_packet(w, o, buf, len);
	else if (buf[0] <= 3)
		rx_stun(w, o, buf, len);
	else if (buf[0] >= CHANNEL_TYPE_MIN && buf[0] <= CHANNEL_TYPE_MAX)
		rx_channel(w, o, buf, len);
	else
		rx_drop(w, DROP_UNKNOWN_TYPE, 1);
}

/* --- receiving ------------------------------------------------------------------------------- */

/* The size of the datagrams that were joined, or @len. */
static size_t stride_of(struct msghdr *m, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int stride;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO ||
		    c->cmsg_len < CMSG_LEN(sizeof(stride)))
			continue;
		memcpy(&stride, CMSG_DATA(c), sizeof(stride));
		if (stride > 0 && (size_t)stride < len)
			return (size_t)stride;
	}
	return len;
}

static void rx_message(struct worker *w, const struct data_socket *s, size_t slot)
{
	struct rx *r = w->rx;
	struct msghdr *m = &r->messages[slot].msg_hdr;
	uint8_t *bytes = r->vectors[slot].iov_base;
	size_t len = r->messages[slot].msg_len, stride = stride_of(m, len);
	struct origin o = {.socket = s, .number = s->number};

	if (!net_sockaddr_to(&r->sources[slot], m->msg_namelen, &o.from))
		o.from = (struct netaddr){.family = NETADDR_NONE};
	if (len == 0)
		rx_datagram(w, &o, bytes, 0);
	for (size_t at = 0; at < len; at += stride)
		rx_datagram(w, &o, bytes + at, len - at < stride ? len - at : stride);
}

/* Of the packet of ours that begins message @slot, or zeros. */
static struct tunnel_header first_header(const struct rx *r, size_t slot)
{
	const uint8_t *bytes = r->vectors[slot].iov_base;
	size_t len = r->messages[slot].msg_len;
	struct tunnel_header h = {0};

	if (len > CHANNEL_HEADER_BYTES && bytes[0] >= CHANNEL_TYPE_MIN &&
	    bytes[0] <= CHANNEL_TYPE_MAX) {
		bytes += CHANNEL_HEADER_BYTES;
		len -= CHANNEL_HEADER_BYTES;
	}
	if (tunnel_header_read(bytes, len, &h) != OK)
		h.receiver_index = 0;
	return h;
}

static void rx_messages(struct worker *w, const struct data_socket *s, size_t count)
{
	struct session *sessions[SLOTS];
	struct tunnel_header headers[SLOTS];

	for (size_t i = 0; i < count; i++)
		headers[i] = first_header(w->rx, i);
	ahead_open(w->plane, w->number, headers, sessions, count);
	for (size_t i = 0, next = 0; i < count; i++) {
		if (i == next && (next = ahead_next(sessions, i, count)) < count)
			ahead_key(&sessions[next]->workers[w->number].rx_key);
		rx_message(w, s, i);
	}
}

static void prepare_slots(struct rx *r, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		r->vectors[i] = (struct iovec){.iov_base = r->slots + i * SLOT_BYTES,
					       .iov_len = SLOT_BYTES};
		r->messages[i].msg_hdr = (struct msghdr){.msg_name = &r->sources[i],
							 .msg_namelen = sizeof(r->sources[i]),
							 .msg_iov = &r->vectors[i],
							 .msg_iovlen = 1,
							 .msg_control = &r->controls[i],
							 .msg_controllen = sizeof(r->controls[i])};
	}
}

void rx_turn(struct worker *w, uint32_t slot)
{
	const struct data_socket *s = atomic_load(&w->plane->sockets[slot]);
	size_t slots = atomic_load(&w->plane->offloads.udp_gro) ? GRO_SLOTS : SLOTS;
	int fd;

	/* It was removed between the event and the begin of this turn. */
	if (!s)
		return;
	fd = s->fds[s->fd_count == 1 ? 0 : w->number];
	for (int i = 0; i < BUDGET_CALLS; i++) {
		int count;

		prepare_slots(w->rx, slots);
		count = recvmmsg(fd, w->rx->messages, (unsigned int)slots, MSG_DONTWAIT, NULL);
		if (count < 0 && errno == EAGAIN)
			return;
		/* An error that the kernel had noted for the socket is gone once it was read. */
		if (count > 0)
			rx_messages(w, s, (size_t)count);
		rx_flush(w);
		if (count >= 0 && (size_t)count < slots)
			return;
	}
}

/* What goes before the bytes of each packet in the ring. */
struct injected {
	struct netaddr from;
	uint16_t socket;
};

void rx_injected_turn(struct worker *w)
{
	uint8_t *buf = w->rx->slots;

	for (int i = 0; i < BUDGET_INJECTED; i++) {
		struct injected head;
		struct origin o = {.socket = NULL};
		size_t len;
		enum err e = ring_pop(&w->injected, &head, sizeof(head), buf, SLOT_BYTES, &len);

		if (e == ERR_EMPTY) {
			bell_hush(&w->injected_bell);
			e = ring_pop(&w->injected, &head, sizeof(head), buf, SLOT_BYTES, &len);
			if (e)
				return;
			bell_ring(&w->injected_bell);
		}
		counter_add(&w->counters.rx_injected, 1);
		o.number = head.socket;
		o.from = head.from;
		rx_packet(w, &o, buf, len);
		rx_flush(w);
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
