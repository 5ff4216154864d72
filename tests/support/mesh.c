#include "tests/support/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/handshake.h"
#include "daemon/core/signal/message.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "daemon/core/tunnel/inner.h"
#include "daemon/core/tunnel/packet.h"

#define UNIX_START_US (1700000000ULL * US_PER_S)

struct mesh_message {
	struct mesh_message *next;
	uint64_t at_us;
	struct mesh_host *to;
	struct turn_server *turn; /* or to this server: from a client, or for a relayed address */
	bool is_frame, is_opening, is_closing, is_lost;
	struct netaddr from, dest;
	uint32_t stream; /* 0 = UDP */
	size_t len;
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
};

static struct mesh_message *fly_raw(struct mesh *m, uint64_t delay_us, const uint8_t *buf,
				    size_t len)
{
	struct mesh_message *f = calloc(1, sizeof(*f));
	struct mesh_message **at = &m->flying;

	f->at_us = m->now_us + delay_us;
	f->len = len;
	if (len)
		memcpy(f->buf, buf, len);
	while (*at && (*at)->at_us <= f->at_us)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
	return f;
}

static void fly_after(struct mesh *m, uint64_t delay_us, struct mesh_host *to, bool is_frame,
		      const struct netaddr *from, const struct netaddr *dest, const uint8_t *buf,
		      size_t len)
{
	struct mesh_message *f = fly_raw(m, delay_us, buf, len);

	f->to = to;
	f->is_frame = is_frame;
	if (from)
		f->from = *from;
	if (dest)
		f->dest = *dest;
}

/* Return: below @limit; 0 without asking when that is 0. */
static uint64_t chance(struct mesh *m, uint64_t limit)
{
	struct random_source random = random_seeded_source(&m->seed);
	uint32_t n = 0;

	if (limit == 0)
		return 0;
	random_bytes(&random, (uint8_t *)&n, sizeof(n));
	return n % limit;
}

static void fly(struct mesh *m, struct mesh_host *to, bool is_frame, const struct netaddr *from,
		const struct netaddr *dest, const uint8_t *buf, size_t len)
{
	uint64_t jitter_us = is_frame ? m->frame_jitter_us : m->jitter_us;

	fly_after(m, MESH_DELAY_US + chance(m, jitter_us), to, is_frame, from, dest, buf, len);
}

/* --- the network --- */

#define TURN_UDP_PORT	 3478
#define TURN_STREAM_PORT 3479
#define STREAM_PORTS	 20000

static struct netaddr stun_server(void)
{
	static const uint8_t ip[4] = {203, 0, 113, 1};

	return netaddr_from_ip4(ip, 3478);
}

/* How the others see socket @number of @h. */
static struct netaddr outside(const struct mesh_host *h, uint16_t number)
{
	uint8_t ip[4] = {198, 51, 100, h->socket.ip[3]};
	struct netaddr a = h->mesh->nat ? netaddr_from_ip4(ip, 0) : h->socket;

	if (number >= MESH_FIRST_MOVE)
		return h->further[number - MESH_FIRST_MOVE];
	if (h->first_is_gone)
		return (struct netaddr){0};
	a.port = (uint16_t)(h->socket.port + number - 1);
	return a;
}

/* Return: the number of the socket of @h that others see at @addr, or 0. */
static uint16_t socket_at(const struct mesh_host *h, const struct netaddr *addr)
{
	struct netaddr at = outside(h, 1);

	if (netaddr_ip_equal(&at, addr) && addr->port >= at.port &&
	    addr->port < at.port + h->next_socket)
		return (uint16_t)(addr->port - at.port + 1);
	for (uint16_t i = 0; i < MESH_MAX_MOVES; i++) {
		if (netaddr_equal(&h->further[i], addr))
			return (uint16_t)(MESH_FIRST_MOVE + i);
	}
	return 0;
}

static struct mesh_host *host_at(struct mesh *m, const struct netaddr *addr)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (socket_at(&m->hosts[i], addr))
			return &m->hosts[i];
	}
	return NULL;
}

uint16_t mesh_add_address(struct mesh_host *h, const struct netaddr *address, uint16_t preference)
{
	for (uint16_t i = 0; i < MESH_MAX_MOVES; i++) {
		uint16_t number = (uint16_t)(MESH_FIRST_MOVE + i);

		if (h->further[i].family != NETADDR_NONE)
			continue;
		h->further[i] = *address;
		h->further[i].port = h->mesh->next_port++;
		if (overlay_add_socket(h->overlay, h->mesh->now_us, number, &h->further[i],
				       preference) != OK)
			abort();
		return number;
	}
	abort();
}

void mesh_remove_socket(struct mesh_host *h, uint16_t number)
{
	if (number >= MESH_FIRST_MOVE)
		h->further[number - MESH_FIRST_MOVE] = (struct netaddr){0};
	else
		h->first_is_gone = true;
	overlay_remove_socket(h->overlay, h->mesh->now_us, number);
}

bool mesh_is_alive(struct mesh_host *h, uint16_t socket, const struct netaddr *to)
{
	struct mesh *m = h->mesh;
	struct netaddr own = outside(h, socket);
	struct mesh_host *target = host_at(m, to);

	return own.family != NETADDR_NONE && target && target != h && !m->direct_blocked &&
	       outside(target, socket_at(target, to)).family != NETADDR_NONE &&
	       !netaddr_equal(to, &m->dead) && !netaddr_equal(&own, &m->dead);
}

static void answer_stun(struct mesh_host *h, const struct netaddr *mapped, const uint8_t *buf,
			size_t len)
{
	struct netaddr server = stun_server();
	uint8_t out[ICE_TRANSMIT_MAX_BYTES];
	struct stun_message m;
	struct stun_writer w;
	size_t out_len;

	if (stun_decode(&m, buf, len) != OK)
		return;
	stun_write_begin(&w, out, sizeof(out), STUN_CLASS_SUCCESS, STUN_METHOD_BINDING, m.txid);
	stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, mapped);
	if (stun_write_finish(&w, NULL, 0, true, &out_len) == OK)
		fly_after(h->mesh, h->mesh->stun_delay_us, h, false, &server, mapped, out, out_len);
}

/* --- TURN servers --- */

static struct netaddr turn_address(size_t i, uint16_t port)
{
	uint8_t ip[4] = {203, 0, 113, (uint8_t)(10 * (i + 1))};

	return netaddr_from_ip4(ip, port);
}

struct overlay_relay_target mesh_turn_target(size_t i, enum turn_transport transport)
{
	return (struct overlay_relay_target){
		.transport = transport,
		.address = turn_address(i, transport == TURN_TRANSPORT_UDP ? TURN_UDP_PORT
									   : TURN_STREAM_PORT),
	};
}

static struct turn_server *turn_at(struct mesh *m, const struct netaddr *addr)
{
	for (size_t i = 0; i < MESH_MAX_TURN; i++) {
		if (netaddr_ip_equal(&m->turn[i].address, addr))
			return &m->turn[i];
	}
	return NULL;
}

/* For the server a stream is a client with a port of its own. */
static struct netaddr stream_client(const struct mesh_host *h, uint32_t stream)
{
	struct netaddr a = outside(h, 1);

	a.port = (uint16_t)(STREAM_PORTS + stream);
	return a;
}

static void turn_send(struct mesh *m, const struct turn_server_datagram *d)
{
	struct turn_server *other = turn_at(m, &d->to);
	struct mesh_message *f;
	struct mesh_host *h;

	f = fly_raw(m, MESH_DELAY_US, d->bytes, d->len);
	f->from = d->from;
	f->dest = d->to;
	f->turn = other;
	if (!other && d->to.port < STREAM_PORTS && !netaddr_equal(&d->to, &m->dead))
		f->to = host_at(m, &d->to);
	for (size_t i = 0; i < m->host_count && !other && d->to.port >= STREAM_PORTS; i++) {
		struct netaddr at;

		h = &m->hosts[i];
		at = outside(h, 1);
		if (!netaddr_ip_equal(&at, &d->to))
			continue;
		f->to = h;
		f->stream = (uint32_t)d->to.port - STREAM_PORTS;
		while (f->len % 4)
			f->buf[f->len++] = 0;
	}
	f->is_lost = !other && (!f->to || (f->stream == 0 && f->to->udp_blocked));
}

/* From a client, or for a relayed address. */
static void turn_deliver(struct mesh *m, const struct mesh_message *f)
{
	struct turn_server_datagram d;
	struct turn_server_allocation *a;

	if (f->is_closing) {
		a = turn_server_find(f->turn, &f->from);
		if (a)
			memset(a, 0, sizeof(*a));
		return;
	}
	turn_server_input(f->turn, m->now_us, &f->dest, &f->from, f->buf, f->len);
	while (turn_server_pop(f->turn, &d))
		turn_send(m, &d);
}

static struct mesh_stream *stream_of(struct mesh_host *h, uint32_t number)
{
	for (size_t i = 0; i < MESH_MAX_STREAMS; i++) {
		if (h->streams[i].number == number)
			return &h->streams[i];
	}
	return NULL;
}

static void open_stream(struct mesh_host *h, const struct overlay_event *e)
{
	struct mesh_stream *s = stream_of(h, 0);
	struct mesh_message *f = fly_raw(h->mesh, 2 * MESH_DELAY_US, NULL, 0);

	if (!s)
		abort();
	s->number = e->stream;
	s->server = turn_at(h->mesh, &e->server);
	f->to = h;
	f->stream = e->stream;
	f->is_opening = s->server && !h->tcp_blocked && !s->server->config.silent &&
			e->server.port == TURN_STREAM_PORT;
	f->is_closing = !f->is_opening;
}

static void close_stream(struct mesh_host *h, uint32_t number)
{
	struct mesh_stream *s = stream_of(h, number);
	struct mesh_message *f;

	if (!s)
		return;
	if (s->server) {
		f = fly_raw(h->mesh, MESH_DELAY_US, NULL, 0);
		f->turn = s->server;
		f->from = stream_client(h, number);
		f->is_closing = true;
	}
	*s = (struct mesh_stream){0};
}

static void write_streams(struct mesh_host *h)
{
	uint8_t buf[4096];
	size_t len;

	for (size_t i = 0; i < MESH_MAX_STREAMS; i++) {
		const struct mesh_stream *s = &h->streams[i];

		while (s->number && s->server &&
		       overlay_pop_stream(h->overlay, s->number, buf, sizeof(buf), &len)) {
			struct mesh_message *f = fly_raw(h->mesh, MESH_DELAY_US, buf, len);

			f->turn = s->server;
			f->from = stream_client(h, s->number);
			f->dest = s->server->address;
		}
	}
}

void mesh_break_streams(struct mesh *m, struct turn_server *server)
{
	for (size_t i = 0; i < m->host_count; i++) {
		struct mesh_host *h = &m->hosts[i];

		for (size_t k = 0; k < MESH_MAX_STREAMS; k++) {
			uint32_t number = h->streams[k].number;

			if (!number || h->streams[k].server != server)
				continue;
			h->streams[k] = (struct mesh_stream){0};
			overlay_on_stream_closed(h->overlay, m->now_us, number);
		}
	}
}

/* --- datagrams --- */

static void send_datagram(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
			  const uint8_t *buf, size_t len)
{
	struct netaddr from = outside(h, socket), server = stun_server();
	struct mesh *m = h->mesh;
	struct mesh_host *target = host_at(m, to);
	struct mesh_message *f;

	if (m->watch && m->watch->sent)
		m->watch->sent(h, socket, to, buf, len);
	if (from.family == NETADDR_NONE || netaddr_equal(to, &m->dead))
		return;
	if (h->udp_blocked || (m->filter_datagram && !m->filter_datagram(m, h, buf, len)))
		return;
	if (m->nat && netaddr_equal(to, &server))
		answer_stun(h, &from, buf, len);
	for (int copies = 1 + (chance(m, m->twice_permille ? 1000 : 0) < m->twice_permille);
	     copies > 0 && target && !m->direct_blocked && !target->udp_blocked; copies--)
		fly(m, target, false, &from, to, buf, len);
	if (turn_at(m, to)) {
		f = fly_raw(m, MESH_DELAY_US, buf, len);
		f->turn = turn_at(m, to);
		f->from = from;
		f->dest = *to;
	}
}

/* --- the rendezvous --- */

static void answer(struct mesh_host *to, const struct signal_message *message)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	if (signal_message_encode(message, buf, sizeof(buf), &len) == OK)
		fly(to->mesh, to, true, NULL, NULL, buf, len);
}

static struct mesh_host *host_of(struct mesh *m, const char *name, const struct netaddr *address)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (strcmp(m->hosts[i].name, name) == 0 ||
		    (!name[0] && netaddr_ip_equal(&m->hosts[i].address, address)))
			return &m->hosts[i];
	}
	return NULL;
}

static void challenge(struct mesh_host *h)
{
	struct signal_message c = {.type = SIGNAL_CHALLENGE, .server_time_s = 1, .nonce = {1}};

	answer(h, &c);
}

static void forward(struct mesh_host *from, const struct signal_message *in)
{
	struct mesh_host *to = host_of(from->mesh, in->to, NULL);
	struct signal_message out = *in;

	out.type = SIGNAL_DELIVER;
	memcpy(out.from, from->name, strlen(from->name) + 1);
	if (to && to->link_up) {
		answer(to, &out);
		out = (struct signal_message){.type = SIGNAL_ACK};
	} else {
		out = (struct signal_message){.type = SIGNAL_ERROR, .code = SIGNAL_ERROR_ABSENT};
	}
	memcpy(out.xid, in->xid, sizeof(out.xid));
	answer(from, &out);
}

static void on_frame(struct mesh_host *from, const uint8_t *buf, size_t len)
{
	struct mesh *m = from->mesh;
	struct signal_message in, out = {0};
	struct mesh_host *found;

	if (signal_message_decode(buf, len, &in) != OK)
		abort();
	if (m->filter_frame && !m->filter_frame(m, from, &in))
		return;
	memcpy(out.xid, in.xid, sizeof(out.xid));
	if (in.type == SIGNAL_REGISTER) {
		out = (struct signal_message){
			.type = SIGNAL_REGISTERED, .lease_ms = 75000, .ping_ms = 20000};
		answer(from, &out);
	} else if (in.type == SIGNAL_PING) {
		out = (struct signal_message){.type = SIGNAL_PONG, .seq = in.seq};
		answer(from, &out);
	} else if (in.type == SIGNAL_LOOKUP) {
		found = host_of(m, in.name, &in.address);
		out.type = found ? SIGNAL_FOUND : SIGNAL_ERROR;
		out.code = found ? SIGNAL_ERROR_OTHER : SIGNAL_ERROR_UNKNOWN;
		out.certificate = found ? found->certificate : NULL;
		out.certificate_len = found ? found->certificate_len : 0;
		out.online = found && found->link_up;
		answer(from, &out);
	} else if (in.type == SIGNAL_FORWARD) {
		forward(from, &in);
	}
}

/* --- the data plane --- */

static struct mesh_session *session_of(struct mesh_host *h, uint32_t index)
{
	for (size_t i = 0; i < h->session_places; i++) {
		if (h->sessions[i].rx && h->sessions[i].index == index)
			return &h->sessions[i];
	}
	return NULL;
}

static void add_session(struct mesh_host *h, const struct overlay_event *e)
{
	struct overlay_session_keys keys;

	if (overlay_session_keys(h->overlay, e->peer, e->session, &keys) != OK)
		return;
	for (size_t i = 0; i < h->session_places; i++) {
		struct mesh_session *s = &h->sessions[i];

		if (s->rx)
			continue;
		s->peer = e->peer;
		s->index = e->session;
		if (tunnel_tx_create(&s->tx, keys.cipher, keys.send_key, keys.remote_index, 1) !=
			    OK ||
		    tunnel_rx_create(&s->rx, keys.cipher, keys.receive_key, keys.lanes) != OK)
			abort();
		return;
	}
	abort();
}

static void remove_session(struct mesh_session *s)
{
	if (!s)
		return;
	tunnel_tx_destroy(s->tx);
	tunnel_rx_destroy(s->rx);
	*s = (struct mesh_session){0};
}

static void on_data(struct mesh_host *h, const uint8_t *buf, size_t len, bool over_path)
{
	uint8_t plain[SIGNAL_MESSAGE_MAX_BYTES];
	struct tunnel_header header;
	struct tunnel_inner inner;
	struct mesh_session *s;
	size_t plain_len;

	if (tunnel_header_read(buf, len, &header) != OK)
		return;
	s = session_of(h, header.receiver_index);
	if (s && tunnel_open(s->rx, buf, len, plain, sizeof(plain), &plain_len) != OK)
		s = NULL;
	if (h->mesh->watch && h->mesh->watch->opened)
		h->mesh->watch->opened(h, header.receiver_index, over_path, buf, len,
				       s ? plain : NULL, s ? plain_len : 0);
	if (!s || tunnel_inner_read(plain, plain_len, &inner) != OK)
		return;
	if (inner.kind == TUNNEL_INNER_CONTROL) {
		(void)overlay_on_control(h->overlay, h->mesh->now_us, s->peer, s->index, over_path,
					 plain, plain_len);
		return;
	}
	h->packets++;
	h->last_packet_len = plain_len;
	memcpy(h->last_packet, plain, plain_len);
	overlay_on_authenticated(h->overlay, h->mesh->now_us, s->peer, s->index,
				 tunnel_tx_packets(s->tx));
}

void mesh_send_packet(struct mesh_host *h, const struct mesh_host *to, size_t len)
{
	uint8_t packet[2048] = {0x45, 0, (uint8_t)(len >> 8), (uint8_t)len, [8] = 64, [9] = 17};
	uint8_t out[4 + 2048 + TUNNEL_OVERHEAD_BYTES];
	struct mesh_session *s = h->has_path ? session_of(h, h->path_session) : NULL;
	size_t out_len;

	for (size_t i = 0; i < 8 && len >= 28; i++)
		packet[20 + i] = (uint8_t)(h->sequence >> (56 - 8 * i));
	h->sequence++;
	memcpy(packet + 12, h->address.ip, 4);
	memcpy(packet + 16, to->address.ip, 4);
	if (!s) {
		(void)overlay_on_packet(h->overlay, h->mesh->now_us, packet, len);
		return;
	}
	if (tunnel_seal(s->tx, packet, len, out + 4, sizeof(out) - 4, &out_len) != OK)
		abort();
	if (!h->path_channel) {
		send_datagram(h, h->path.socket, &h->path.remote, out + 4, out_len);
		return;
	}
	out[0] = (uint8_t)(h->path_channel >> 8);
	out[1] = (uint8_t)h->path_channel;
	out[2] = (uint8_t)(out_len >> 8);
	out[3] = (uint8_t)out_len;
	send_datagram(h, h->path.socket, &h->path_server, out, 4 + out_len);
}

/* --- running --- */

static struct mesh_server *server_of(struct mesh_host *h, uint16_t socket,
				     const struct netaddr *addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(h->servers); i++) {
		if (h->servers[i].socket == socket && netaddr_equal(&h->servers[i].addr, addr))
			return &h->servers[i];
	}
	return NULL;
}

/* The data plane refuses what it has already. */
static void on_server_add(struct mesh_host *h, const struct overlay_event *e)
{
	struct mesh_server *s = server_of(h, 0, &(struct netaddr){0});

	if (!s || server_of(h, e->socket, &e->server))
		abort();
	*s = (struct mesh_server){.socket = e->socket, .addr = e->server};
}

static void on_server_remove(struct mesh_host *h, const struct overlay_event *e)
{
	struct mesh_server *s = server_of(h, e->socket, &e->server);

	if (!s)
		abort();
	*s = (struct mesh_server){0};
}

static void on_want_socket(struct mesh_host *h)
{
	struct netaddr base = h->socket;
	uint16_t number;

	if (h->no_spare)
		return;
	number = ++h->next_socket;
	base.port = (uint16_t)(base.port + number - 1);
	overlay_add_spare_socket(h->overlay, h->mesh->now_us, number, &base, 65535);
}

static void on_event(struct mesh_host *h, const struct overlay_event *e)
{
	if (h->mesh->watch && h->mesh->watch->event)
		h->mesh->watch->event(h, e);
	if (h->log_count < ARRAY_SIZE(h->log))
		h->log[h->log_count++] = *e;
	if (e->type == OVERLAY_EVENT_SESSION_ADD)
		add_session(h, e);
	else if (e->type == OVERLAY_EVENT_SESSION_REMOVE)
		remove_session(session_of(h, e->session));
	else if (e->type == OVERLAY_EVENT_PATH_CLEAR)
		h->has_path = false;
	else if (e->type == OVERLAY_EVENT_RELAY_SERVER_ADD)
		on_server_add(h, e);
	else if (e->type == OVERLAY_EVENT_RELAY_SERVER_REMOVE)
		on_server_remove(h, e);
	else if (e->type == OVERLAY_EVENT_WANT_SOCKET)
		on_want_socket(h);
	else if (e->type == OVERLAY_EVENT_STREAM_OPEN)
		open_stream(h, e);
	else if (e->type == OVERLAY_EVENT_STREAM_CLOSE)
		close_stream(h, e->stream);
	if (e->type == OVERLAY_EVENT_PATH || e->type == OVERLAY_EVENT_PATH_SIZE) {
		h->path_bytes = e->max_bytes;
		h->path_is_found = e->is_found;
	}
	if (e->type == OVERLAY_EVENT_PATH) {
		h->has_path = !e->by_overlay;
		h->path_by_overlay = e->by_overlay;
		h->path_session = e->session;
		h->path = e->path;
		h->path_server = e->server;
		h->path_channel = e->channel;
	}
}

static void drain_events(struct mesh_host *h)
{
	struct overlay_event e;

	while (overlay_pop_event(h->overlay, &e))
		on_event(h, &e);
}

static void drain(struct mesh_host *h)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	struct netaddr from;
	struct ice_transmit t;
	size_t len;

	drain_events(h);
	while (overlay_pop_signal(h->overlay, buf, sizeof(buf), &len)) {
		if (h->link_up)
			on_frame(h, buf, len);
	}
	while (overlay_pop_inject(h->overlay, &from, buf, sizeof(buf), &len))
		on_data(h, buf, len, from.family != NETADDR_NONE);
	drain_events(h);
	while (overlay_pop_transmit(h->overlay, &t, buf, sizeof(buf))) {
		if (h->link_bytes && t.len > h->link_bytes)
			overlay_on_too_long(h->overlay, h->mesh->now_us, t.socket, &t.to, t.len);
		else
			send_datagram(h, t.socket, &t.to, buf, t.len);
	}
	write_streams(h);
}

static void drain_all(struct mesh *m)
{
	for (size_t i = 0; i < m->host_count; i++)
		drain(&m->hosts[i]);
}

/* As the data plane does it. */
static void deliver_datagram(struct mesh_host *h, const struct mesh_message *f)
{
	uint16_t socket = socket_at(h, &f->dest);

	if (!socket)
		return; /* gone while it was on its way */
	if (h->mesh->watch && h->mesh->watch->received)
		h->mesh->watch->received(h, socket, &f->from, f->buf, f->len);
	if (f->buf[0] >= TUNNEL_TYPE_MIN) {
		on_data(h, f->buf, f->len, true);
	} else if (f->buf[0] < 4) {
		(void)overlay_on_datagram(h->overlay, h->mesh->now_us, socket, &f->from, f->buf,
					  f->len);
	} else if (f->len > 4) {
		bool known = server_of(h, socket, &f->from);

		if (known && f->buf[4] >= TUNNEL_TYPE_MIN)
			on_data(h, f->buf + 4, (size_t)(f->buf[2] << 8 | f->buf[3]), true);
		else if (known)
			(void)overlay_on_datagram(h->overlay, h->mesh->now_us, socket, &f->from,
						  f->buf, f->len);
	}
}

static void deliver_stream(struct mesh_host *h, const struct mesh_message *f)
{
	struct mesh_stream *s = stream_of(h, f->stream);
	uint64_t now_us = h->mesh->now_us;

	if (!s)
		return;
	if (f->is_opening) {
		overlay_on_stream_open(h->overlay, now_us, f->stream);
	} else if (f->is_closing) {
		*s = (struct mesh_stream){0};
		overlay_on_stream_closed(h->overlay, now_us, f->stream);
	} else {
		/* In pieces, as a stream may. */
		size_t first = f->len / 3;

		overlay_on_stream_bytes(h->overlay, now_us, f->stream, f->buf, first);
		overlay_on_stream_bytes(h->overlay, now_us, f->stream, f->buf + first,
					f->len - first);
	}
}

static void deliver_frame(struct mesh_host *h, const struct mesh_message *f)
{
	enum err e = overlay_on_signal(h->overlay, h->mesh->now_us, f->buf, f->len);

	if (h->mesh->watch && h->mesh->watch->frame)
		h->mesh->watch->frame(h, f->buf, f->len, e);
}

static void deliver(struct mesh *m)
{
	struct mesh_message *f = m->flying;
	struct mesh_host *h = f->to;

	m->flying = f->next;
	if (f->is_lost)
		;
	else if (f->turn)
		turn_deliver(m, f);
	else if (f->stream)
		deliver_stream(h, f);
	else if (!f->is_frame)
		deliver_datagram(h, f);
	else if (h->link_up)
		deliver_frame(h, f);
	free(f);
}

bool mesh_run(struct mesh *m, uint64_t limit_us, bool (*done)(struct mesh *m))
{
	uint64_t until = m->now_us + limit_us;

	for (;;) {
		uint64_t due = m->flying ? m->flying->at_us : DEADLINE_NONE;

		drain_all(m);
		if (done && done(m))
			return true;
		due = m->flying ? m->flying->at_us : DEADLINE_NONE;
		for (size_t i = 0; i < m->host_count; i++)
			due = deadline_min(due, overlay_next_deadline(m->hosts[i].overlay));
		if (due > until) {
			m->now_us = until;
			return done == NULL;
		}
		if (due > m->now_us)
			m->now_us = due;
		if (m->flying && m->flying->at_us <= m->now_us)
			deliver(m);
		for (size_t i = 0; i < m->host_count; i++)
			overlay_on_deadline(m->hosts[i].overlay, m->now_us);
	}
}

/* --- set-up --- */

static void make_certificate(struct mesh_host *h, uint16_t number)
{
	struct cert c = {
		.serial = number,
		.noise_public = {0},
		.address_count = 1,
		.network_count = 1,
		.issued_s = (int64_t)(UNIX_START_US / US_PER_S) - 100,
		.not_before_s = (int64_t)(UNIX_START_US / US_PER_S) - 100,
		.not_after_s = (int64_t)(UNIX_START_US / US_PER_S) + 1000000,
	};

	snprintf(c.name, sizeof(c.name), "%s", h->name);
	memcpy(c.noise_public, h->noise.public, sizeof(c.noise_public));
	memcpy(c.curve_public, h->noise.public, sizeof(c.curve_public));
	c.curve_public[0] ^= 1;
	c.addresses[0] = h->address;
	c.networks[0] = netprefix_of(&h->address, 16);
	if (cert_sign(&c, h->mesh->authority_secret, h->certificate, sizeof(h->certificate),
		      &h->certificate_len) != OK)
		abort();
}

static size_t max_peers(const struct mesh *m)
{
	if (m->max_peers)
		return m->max_peers;
	return m->host_count > 8 ? m->host_count : 8;
}

static void start(struct mesh_host *h)
{
	struct mesh *m = h->mesh;
	struct overlay_params params = {
		.random = random_seeded_source(&m->seed),
		.max_peers = max_peers(m),
		.queue_packets = 256,
		.mtu = h->mtu ? h->mtu : 1280,
		.policy = h->policy,
		.lanes = 2,
		.features = h->is_old ? 0 : SIGNAL_FEATURE_PROBE,
		.max_sockets = 4,
		.noise = &h->noise,
		.certificate = h->certificate,
		.certificate_len = h->certificate_len,
		.authority_public = m->authority_public,
		.stamps = &h->stamps,
		.epoch = ++h->epoch,
		.now_us = m->now_us,
		.unix_us = UNIX_START_US + m->now_us,
	};
	enum err why;

	if (overlay_create(&h->overlay, &params, &why) != OK ||
	    overlay_add_socket(h->overlay, m->now_us, 1, &h->socket, 65535) != OK)
		abort();
	h->next_socket = 1;
	h->first_is_gone = false;
	memset(h->further, 0, sizeof(h->further));
	h->link_up = !m->server_down;
	if (h->link_up) {
		overlay_on_link(h->overlay, m->now_us, true);
		challenge(h);
	}
}

static void stop(struct mesh_host *h)
{
	const struct stamp_table *stamps = overlay_stamps(h->overlay);

	for (size_t i = 0; i < stamps->count; i++)
		stamp_set(&h->stamps, stamps->stamps[i].name, stamps->stamps[i].stamp_us);
	overlay_destroy(h->overlay);
	h->overlay = NULL;
	for (size_t i = 0; i < h->session_places; i++)
		remove_session(&h->sessions[i]);
	h->has_path = false;
	memset(h->servers, 0, sizeof(h->servers));
	memset(h->streams, 0, sizeof(h->streams));
}

void mesh_create(struct mesh *m, size_t hosts, uint64_t seed)
{
	static const char *const names[] = {"alice", "bob", "carol"};
	uint8_t authority_seed[SIGN_SEED_BYTES] = {7};
	struct random_source random;

	*m = (struct mesh){.now_us = US_PER_S, .host_count = hosts, .next_port = 5000};
	m->hosts = calloc(hosts, sizeof(*m->hosts));
	if (!m->hosts || hosts > MESH_MAX_HOSTS)
		abort();
	random_seeded_init(&m->seed, seed);
	random = random_seeded_source(&m->seed);
	for (size_t i = 0; i < MESH_MAX_TURN; i++) {
		struct netaddr address = turn_address(i, TURN_UDP_PORT);

		turn_server_init(&m->turn[i], &address, m->now_us, seed);
		m->turn[i].config.username = NULL;
	}
	sign_keypair(authority_seed, m->authority_public, m->authority_secret);
	for (size_t i = 0; i < hosts; i++) {
		struct mesh_host *h = &m->hosts[i];
		uint8_t n = (uint8_t)(i + 1);
		uint8_t socket[4] = {192, 0, 2, n}, address[4] = {10, 77, 0, n};

		h->mesh = m;
		if (i < ARRAY_SIZE(names))
			snprintf(h->name, sizeof(h->name), "%s", names[i]);
		else
			snprintf(h->name, sizeof(h->name), "host%zu", i + 1);
		h->session_places = 4 * max_peers(m);
		h->sessions = calloc(h->session_places, sizeof(*h->sessions));
		h->socket = netaddr_from_ip4(socket, 4000);
		h->address = netaddr_from_ip4(address, 0);
		dh_generate(&h->noise, &random);
		make_certificate(h, n);
		if (stamp_table_init(&h->stamps, max_peers(m)) != OK)
			abort();
	}
	for (size_t i = 0; i < hosts; i++)
		start(&m->hosts[i]);
}

void mesh_set_nat(struct mesh *m, uint64_t stun_delay_us)
{
	struct netaddr server = stun_server();

	m->nat = true;
	m->stun_delay_us = stun_delay_us;
	for (size_t i = 0; i < m->host_count; i++) {
		if (overlay_set_stun_servers(m->hosts[i].overlay, m->now_us, &server, 1) != OK)
			abort();
	}
}

void mesh_destroy(struct mesh *m)
{
	while (m->flying) {
		struct mesh_message *f = m->flying;

		m->flying = f->next;
		free(f);
	}
	for (size_t i = 0; i < m->host_count; i++) {
		stop(&m->hosts[i]);
		stamp_table_fini(&m->hosts[i].stamps);
		free(m->hosts[i].sessions);
	}
	free(m->hosts);
	m->hosts = NULL;
}

void mesh_restart(struct mesh_host *h)
{
	stop(h);
	start(h);
}

void mesh_replace(struct mesh_host *h, uint16_t number)
{
	uint8_t high = (uint8_t)((number + 1) >> 8), low = (uint8_t)(number + 1);
	uint8_t socket[4] = {10, 78, high, low}, address[4] = {10, 77, high, low};
	struct random_source random = random_seeded_source(&h->mesh->seed);
	struct mesh *m = h->mesh;

	stop(h);
	for (size_t i = 0; i < m->host_count; i++) {
		for (size_t k = 0; k < m->hosts[i].session_places; k++)
			remove_session(&m->hosts[i].sessions[k]);
	}
	snprintf(h->name, sizeof(h->name), "host%u", (unsigned int)number);
	h->socket = netaddr_from_ip4(socket, 4000);
	h->address = netaddr_from_ip4(address, 0);
	h->log_count = 0;
	dh_generate(&h->noise, &random);
	make_certificate(h, number);
	start(h);
}

void mesh_set_server(struct mesh *m, bool up)
{
	m->server_down = !up;
	for (size_t i = 0; i < m->host_count; i++) {
		struct mesh_host *h = &m->hosts[i];

		h->link_up = up;
		overlay_on_link(h->overlay, m->now_us, up);
		if (up)
			challenge(h);
	}
}

enum overlay_peer_state mesh_state(const struct mesh_host *h, const char *peer)
{
	struct overlay_peer_info info;
	uint32_t cursor = 0;

	while (overlay_next_peer(h->overlay, &cursor, &info)) {
		if (strcmp(info.name, peer) == 0)
			return info.state;
	}
	return OVERLAY_PEER_STATE_COUNT;
}

size_t mesh_count(const struct mesh_host *h, enum overlay_event_type type)
{
	size_t n = 0;

	for (size_t i = 0; i < h->log_count; i++)
		n += h->log[i].type == type;
	return n;
}
