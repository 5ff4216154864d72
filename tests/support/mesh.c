#include "tests/support/mesh_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/handshake.h"
#include "daemon/core/tunnel/inner.h"
#include "daemon/core/tunnel/packet.h"

#define UNIX_START_US (1700000000ULL * US_PER_S)

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
		mesh_send_datagram(h, h->path.socket, &h->path.remote, out + 4, out_len);
		return;
	}
	out[0] = (uint8_t)(h->path_channel >> 8);
	out[1] = (uint8_t)h->path_channel;
	out[2] = (uint8_t)(out_len >> 8);
	out[3] = (uint8_t)out_len;
	mesh_send_datagram(h, h->path.socket, &h->path_server, out, 4 + out_len);
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
		mesh_open_stream(h, e);
	else if (e->type == OVERLAY_EVENT_STREAM_CLOSE)
		mesh_close_stream(h, e->stream);
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
			mesh_on_frame(h, buf, len);
	}
	while (overlay_pop_inject(h->overlay, &from, buf, sizeof(buf), &len))
		on_data(h, buf, len, from.family != NETADDR_NONE);
	drain_events(h);
	while (overlay_pop_transmit(h->overlay, &t, buf, sizeof(buf))) {
		if (h->link_bytes && t.len > h->link_bytes)
			overlay_on_too_long(h->overlay, h->mesh->now_us, t.socket, &t.to, t.len);
		else
			mesh_send_datagram(h, t.socket, &t.to, buf, t.len);
	}
	mesh_write_streams(h);
}

static void drain_all(struct mesh *m)
{
	for (size_t i = 0; i < m->host_count; i++)
		drain(&m->hosts[i]);
}

/* As the data plane does it. */
static void deliver_datagram(struct mesh_host *h, const struct mesh_message *f)
{
	uint16_t socket = mesh_socket_at(h, &f->dest);

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
		mesh_turn_deliver(m, f);
	else if (f->stream)
		mesh_deliver_stream(h, f);
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
	h->is_registered = false;
	if (h->link_up)
		overlay_on_link(h->overlay, m->now_us, true);
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
		struct netaddr address = mesh_turn_address(i, TURN_UDP_PORT);

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
	struct netaddr server = mesh_stun_server();

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
		h->is_registered = false;
		overlay_on_link(h->overlay, m->now_us, up);
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
