#include "daemon/data/tx.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/core/base/time.h"
#include "daemon/core/tunnel/fragment.h"
#include "daemon/core/tunnel/inner.h"
#include "daemon/core/tunnel/segment.h"
#include "daemon/core/tunnel/too_big.h"
#include "daemon/data/ahead.h"
#include "daemon/data/send.h"
#include "daemon/data/pages.h"
#include "daemon/data/worker.h"
#include "tun/vnet.h"

/* What is read in one turn: long enough to pay for the turn, short enough (below a millisecond)
 * that the other direction does not wait. */
#define BUDGET_READS 64
#define BUDGET_BYTES (512 * 1024)
/* So much goes out while the rest is still being sealed: three superpackets with one call, which
 * is a few percent faster than each with its own. */
#define FLUSH_BYTES (160 * 1024)
/* What is read before the first of it is sealed, so that it is known what the next ones need. A
 * superpacket is a batch of its own. */
#define BATCH_READS AHEAD_SEALS
#define BATCH_BYTES (32 * 1024)
#define READ_BYTES  (TUN_VNET_BYTES + DATA_MAX_PACKET_BYTES)
/* Hosts are told that a packet is too big so often at once, and again after a time (RFC 4443 s. 2.4
 * f). */
#define TELL_BURST    32
#define TELL_AFTER_US (10 * US_PER_MS)
/* What IPv6 may have on every path (RFC 8200 s. 5). */
#define IP6_MIN_MTU 1280

struct tx {
	uint64_t told_us; /* as if the messages told so far were TELL_AFTER_US apart */
	size_t count;
	struct tx_read {
		uint8_t *bytes;
		size_t len;
	} reads[BATCH_READS];
	uint8_t buffer[BATCH_BYTES + READ_BYTES];
	uint8_t message[TUN_VNET_BYTES + TOO_BIG_MAX_BYTES];
};

enum err tx_create(struct tx **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? OK : ERR_NO_MEMORY;
}

void tx_destroy(struct tx *t)
{
	free(t);
}

void tx_rest(struct tx *t)
{
	pages_give_back(t->buffer, sizeof(t->buffer));
}

static void tx_drop(struct worker *w, enum err e)
{
	counter_add(&w->counters.tun_in, 1);
	counter_add(&w->counters.tx_drops[e], 1);
}

static bool hints_from(const uint8_t *header, struct segment_hints *ret)
{
	struct tun_vnet v;

	if (tun_vnet_read(header, &v) != 0)
		return false;
	*ret = (struct segment_hints){
		.is_partial = v.is_partial,
		.csum_start = v.csum_start,
		.csum_offset = v.csum_offset,
		.segment_bytes = v.gso_size,
		.protocol = v.gso == TUN_GSO_UDP ? L4_UDP : L4_TCP,
	};
	return true;
}

/* The control thread gets single, complete packets. */
static void tx_unrouted(struct worker *w, uint32_t peer, const struct tunnel_inner *inner,
			uint8_t *packet, const struct segment_hints *hints)
{
	struct segmenter s;
	uint8_t *out;
	size_t len;
	enum err e = segment_begin(&s, packet, inner->len, hints, DATA_MAX_PACKET_BYTES, false);

	if (e) {
		tx_drop(w, e);
		return;
	}
	/* What was read before is sent before. */
	send_flush(w);
	while (segment_next(&s, &out, &len)) {
		struct data_input input = {
			.kind = DATA_INPUT_UNROUTED,
			.peer = peer,
			.remote = inner->destination,
		};

		counter_add(&w->counters.tun_in, 1);
		if (!worker_hand_over(w, RING_UNROUTED, &input, out, len, &w->counters.tx_unrouted))
			counter_add(&w->counters.tx_drops[DROP_QUEUE_FULL], 1);
	}
}

/* --- longer than the path carries ------------------------------------------------------------- */

static bool may_tell(struct worker *w)
{
	uint64_t *told_us = &w->tx->told_us;

	if (*told_us + TELL_BURST * TELL_AFTER_US < w->now_us)
		*told_us = w->now_us - TELL_BURST * TELL_AFTER_US;
	if (*told_us + TELL_AFTER_US > w->now_us)
		return false;
	*told_us += TELL_AFTER_US;
	return true;
}

static void tell_too_big(struct worker *w, const uint8_t *packet, size_t len, size_t max_bytes)
{
	size_t header = w->plane->wanted.vnet_header ? TUN_VNET_BYTES : 0, message_len;
	static const struct tun_vnet complete;
	uint8_t *out = w->tx->message;

	message_len = too_big_write(packet, len, max_bytes, out + header);
	if (message_len == 0 || !may_tell(w))
		return;
	if (header)
		tun_vnet_write(out, &complete);
	if (write(w->tun_fd, out, header + message_len) > 0)
		counter_add(&w->counters.tx_too_big, 1);
}

/* One complete packet. As long as the path's size is only assumed nobody is told: hosts would
 * remember for minutes what a moment later is not so. */
static void tx_piece(struct worker *w, struct path *p, uint8_t *packet, size_t len)
{
	struct fragmenter f;
	uint8_t *out;

	if (packet[0] >> 4 == 6 && len <= IP6_MIN_MTU) {
		counter_add(&w->counters.tun_in, 1);
		send_packet_in_pieces(w, p, TUNNEL_TYPE_DATA, packet, len);
		return;
	}
	if (!fragment_is_allowed(packet) || fragment_begin(&f, packet, len, p->max_bytes)) {
		tx_drop(w, DROP_TOO_LONG);
		if (p->is_found)
			tell_too_big(w, packet, len, p->max_bytes);
		return;
	}
	while (fragment_next(&f, &out, &len)) {
		counter_add(&w->counters.tun_in, 1);
		send_packet(w, p, TUNNEL_TYPE_DATA, out, len);
	}
}

/* Not TCP that can be cut. */
static void tx_too_long(struct worker *w, struct path *p, uint8_t *packet, size_t len,
			const struct segment_hints *hints)
{
	struct segmenter s;
	uint8_t *out;
	enum err e = segment_begin(&s, packet, len, hints, DATA_MAX_PACKET_BYTES, false);

	if (e) {
		tx_drop(w, e);
		return;
	}
	while (segment_next(&s, &out, &len))
		tx_piece(w, p, out, len);
}

/* --- what was read ---------------------------------------------------------------------------- */

static void tx_on_path(struct worker *w, struct path *p, uint8_t *packet, size_t len,
		       const struct segment_hints *hints)
{
	struct aead *key = atomic_load(&p->session->workers[w->number].tx_key);
	bool is_partial = p->session->takes_partial &&
			  atomic_load_explicit(&w->plane->offloads.partial, memory_order_relaxed);
	struct segmenter s;
	uint8_t *out;
	enum err e;

	if (key)
		aead_prefetch(key);
	if (p->is_found && hints->segment_bytes == 0)
		segment_clamp_mss(packet, len, p->max_bytes, hints->is_partial);
	e = segment_begin(&s, packet, len, hints, p->max_bytes, is_partial);
	if (e == DROP_TOO_LONG) {
		tx_too_long(w, p, packet, len, hints);
		return;
	}
	if (e) {
		tx_drop(w, e);
		return;
	}
	counter_add(&w->counters.tun_in, s.count);
	while (segment_next(&s, &out, &len))
		send_packet(w, p, s.type, out, len);
	if (send_pending(w) >= FLUSH_BYTES)
		send_flush(w);
}

/* What a kernel sends by itself, to find routers and neighbours that are not there. */
static bool is_for_link(const struct netaddr *a)
{
	return netaddr_is_multicast(a) || netaddr_is_link_local(a);
}

static void tx_packet(struct worker *w, uint8_t *packet, size_t len,
		      const struct segment_hints *hints)
{
	struct data_plane *d = w->plane;
	struct tunnel_inner inner;
	struct routes *routes;
	struct path *path;
	uint32_t target;
	enum err e = tunnel_inner_read(packet, len, &inner);

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
		tx_unrouted(w, DATA_NO_PEER, &inner, packet, hints);
	} else if (target >= d->max_peers) {
		tx_drop(w, is_for_link(&inner.destination) ? DROP_LINK : DROP_NO_ROUTE);
	} else {
		path = atomic_load(&d->peers[target].path);
		if (path)
			tx_on_path(w, path, packet, inner.len, hints);
		else
			tx_unrouted(w, target, &inner, packet, hints);
	}
}

static void tx_read(struct worker *w, uint8_t *buf, size_t len)
{
	struct segment_hints hints = {0};
	size_t header = w->plane->wanted.vnet_header ? TUN_VNET_BYTES : 0;

	if (len < header)
		tx_drop(w, DROP_TRUNCATED);
	else if (header && !hints_from(buf, &hints))
		tx_drop(w, DROP_UNKNOWN_TYPE);
	else
		tx_packet(w, buf + header, len - header, &hints);
}

static void tun_lost(struct worker *w)
{
	struct data_input input = {.kind = DATA_INPUT_TUN_LOST, .error = ERR_IO};

	/* When the ring is full the descriptor stays, is ready again, and this is tried again. */
	if (!worker_hand_over(w, RING_TRUSTED, &input, NULL, 0, NULL))
		return;
	w->tun_is_lost = true;
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->tun_fd, NULL);
}

/* Reads up to @reads packets. Return: whether there may be more. */
static bool fill_batch(struct worker *w, size_t reads, bool is_broken)
{
	struct tx *t = w->tx;
	uint8_t *at = t->buffer;

	t->count = 0;
	for (size_t i = 0; i < reads && at < t->buffer + BATCH_BYTES; i++) {
		ssize_t len = read(w->tun_fd, at, READ_BYTES);

		if (len > 0) {
			t->reads[t->count++] = (struct tx_read){.bytes = at, .len = (size_t)len};
			at += (size_t)len;
		} else if (len == 0 ? is_broken
				    : errno != EINTR && net_error(errno) != DROP_QUEUE_FULL) {
			tun_lost(w);
			return false;
		} else if (len < 0 && errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Where the packets of the batch go, as far as that differs from the one before. */
static void look_ahead(const struct worker *w, struct session **ret)
{
	size_t header = w->plane->wanted.vnet_header ? TUN_VNET_BYTES : 0;
	const struct tx *t = w->tx;
	struct netaddr to[BATCH_READS], last = {.family = NETADDR_NONE};

	for (size_t i = 0; i < t->count; i++) {
		const struct tx_read *r = &t->reads[i];
		struct tunnel_inner inner;

		to[i] = (struct netaddr){.family = NETADDR_NONE};
		if (r->len < header ||
		    tunnel_inner_read(r->bytes + header, r->len - header, &inner) != OK ||
		    netaddr_equal(&inner.destination, &last))
			continue;
		to[i] = last = inner.destination;
	}
	ahead_seal(w->plane, w->number, to, ret, t->count);
}

/* Return: its length. */
static size_t seal_batch(struct worker *w)
{
	struct session *sessions[BATCH_READS] = {NULL};
	struct tx *t = w->tx;
	size_t bytes = 0;

	if (t->count > 1)
		look_ahead(w, sessions);
	for (size_t i = 0, next = 0; i < t->count; i++) {
		if (i == next && (next = ahead_next(sessions, i, t->count)) < t->count)
			ahead_key(&sessions[next]->workers[w->number].tx_key);
		tx_read(w, t->reads[i].bytes, t->reads[i].len);
		bytes += t->reads[i].len;
	}
	return bytes;
}

void tx_turn(struct worker *w, bool is_broken)
{
	size_t bytes = 0, reads = 0;
	bool goes_on = !w->tun_is_lost;

	while (goes_on && reads < BUDGET_READS && bytes < BUDGET_BYTES) {
		goes_on = fill_batch(w, BATCH_READS, is_broken);
		reads += w->tx->count;
		bytes += seal_batch(w);
	}
	send_flush(w);
}
