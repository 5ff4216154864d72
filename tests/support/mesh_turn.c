#include "tests/support/mesh_internal.h"

#include <stdlib.h>
#include <string.h>

struct netaddr mesh_turn_address(size_t i, uint16_t port)
{
	uint8_t ip[4] = {203, 0, 113, (uint8_t)(10 * (i + 1))};

	return netaddr_from_ip4(ip, port);
}

struct overlay_relay_target mesh_turn_target(size_t i, enum turn_transport transport)
{
	return (struct overlay_relay_target){
		.transport = transport,
		.address = mesh_turn_address(i, transport == TURN_TRANSPORT_UDP ? TURN_UDP_PORT
										: TURN_STREAM_PORT),
	};
}

struct turn_server *mesh_turn_at(struct mesh *m, const struct netaddr *addr)
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
	struct netaddr a = mesh_outside(h, 1);

	a.port = (uint16_t)(STREAM_PORTS + stream);
	return a;
}

static void turn_send(struct mesh *m, const struct turn_server_datagram *d)
{
	struct turn_server *other = mesh_turn_at(m, &d->to);
	struct mesh_message *f;
	struct mesh_host *h;

	f = mesh_fly_raw(m, MESH_DELAY_US, d->bytes, d->len);
	f->from = d->from;
	f->dest = d->to;
	f->turn = other;
	if (!other && d->to.port < STREAM_PORTS && !netaddr_equal(&d->to, &m->dead))
		f->to = mesh_host_at(m, &d->to);
	for (size_t i = 0; i < m->host_count && !other && d->to.port >= STREAM_PORTS; i++) {
		struct netaddr at;

		h = &m->hosts[i];
		at = mesh_outside(h, 1);
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
void mesh_turn_deliver(struct mesh *m, const struct mesh_message *f)
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

void mesh_open_stream(struct mesh_host *h, const struct overlay_event *e)
{
	struct mesh_stream *s = stream_of(h, 0);
	struct mesh_message *f = mesh_fly_raw(h->mesh, 2 * MESH_DELAY_US, NULL, 0);

	if (!s)
		abort();
	s->number = e->stream;
	s->server = mesh_turn_at(h->mesh, &e->server);
	f->to = h;
	f->stream = e->stream;
	f->is_opening = s->server && !h->tcp_blocked && !s->server->config.silent &&
			e->server.port == TURN_STREAM_PORT;
	f->is_closing = !f->is_opening;
}

void mesh_close_stream(struct mesh_host *h, uint32_t number)
{
	struct mesh_stream *s = stream_of(h, number);
	struct mesh_message *f;

	if (!s)
		return;
	if (s->server) {
		f = mesh_fly_raw(h->mesh, MESH_DELAY_US, NULL, 0);
		f->turn = s->server;
		f->from = stream_client(h, number);
		f->is_closing = true;
	}
	*s = (struct mesh_stream){0};
}

void mesh_write_streams(struct mesh_host *h)
{
	uint8_t buf[4096];
	size_t len;

	for (size_t i = 0; i < MESH_MAX_STREAMS; i++) {
		const struct mesh_stream *s = &h->streams[i];

		while (s->number && s->server &&
		       overlay_pop_stream(h->overlay, s->number, buf, sizeof(buf), &len)) {
			struct mesh_message *f = mesh_fly_raw(h->mesh, MESH_DELAY_US, buf, len);

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

void mesh_deliver_stream(struct mesh_host *h, const struct mesh_message *f)
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
