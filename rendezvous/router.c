#include "rendezvous/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "daemon/core/base/cursor.h"

/* Stands behind ZMQ_BUILD_DRAFT_API in zmq.h, but works in the stable library. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define ZAP_ENDPOINT	 "inproc://zeromq.zap.01"
#define ZAP_DOMAIN	 "icetun"
#define MONITOR_ENDPOINT "inproc://monitor"
#define ROUTING_ID_BYTES 5
#define KEY_TEXT_BYTES	 (2 * ROUTER_KEY_BYTES + 1)
#define READ_BUDGET	 256
#define SOCKET_COUNT	 3

struct router {
	struct router_params params;
	void *zmq;
	void *socket;
	void *zap;
	void *monitor;
	char endpoint[256];
	uv_poll_t polls[SOCKET_COUNT];
	uv_idle_t again; /* runs after a send, or while a budget was not enough */
	unsigned open_handles;
	struct router_counters counters;
};

static void format_key(const uint8_t key[static ROUTER_KEY_BYTES], char ret[static KEY_TEXT_BYTES])
{
	for (size_t i = 0; i < ROUTER_KEY_BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", key[i]);
}

/* The reverse, of what format_key() wrote and nobody else can set. */
static bool parse_key(const char *text, uint8_t ret[static ROUTER_KEY_BYTES])
{
	if (!text || strlen(text) != KEY_TEXT_BYTES - 1)
		return false;
	for (size_t i = 0; i < ROUTER_KEY_BYTES; i++) {
		char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};

		ret[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return true;
}

static bool has_more(void *socket)
{
	int more = 0;
	size_t len = sizeof(more);

	return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &len) == 0 && more;
}

/* Passes over the frames that are left of a message. */
static void skip_rest(void *socket)
{
	while (has_more(socket)) {
		if (zmq_recv(socket, NULL, 0, ZMQ_DONTWAIT) < 0)
			return;
	}
}

/* ZAP 1.0 (ZeroMQ RFC 27): version, request id, domain, address, identity, mechanism, key; each
 * field is a frame. The reply gives the key in hexadecimal as the user id.
 * Return: false when no request waits. */
static bool answer_zap(struct router *r)
{
	enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, FIELDS };
	uint8_t field[FIELDS][256];
	int len[FIELDS];
	char user[KEY_TEXT_BYTES] = "";
	bool is_admitted;

	for (int i = 0; i < FIELDS; i++) {
		len[i] = zmq_recv(r->zap, field[i], sizeof(field[i]), ZMQ_DONTWAIT);
		if (len[i] < 0 && i == 0)
			return false;
		if (i < FIELDS - 1 && !has_more(r->zap)) {
			while (++i < FIELDS)
				len[i] = -1;
		}
	}
	skip_rest(r->zap);
	is_admitted = len[MECHANISM] == 5 && !memcmp(field[MECHANISM], "CURVE", 5) &&
		      len[DOMAIN] == (int)strlen(ZAP_DOMAIN) &&
		      !memcmp(field[DOMAIN], ZAP_DOMAIN, strlen(ZAP_DOMAIN)) &&
		      len[KEY] == ROUTER_KEY_BYTES;
	if (is_admitted)
		format_key(field[KEY], user);
	zmq_send(r->zap, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(r->zap, field[REQUEST],
		 len[REQUEST] > 0 && len[REQUEST] <= 255 ? (size_t)len[REQUEST] : 0,
		 ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(r->zap, is_admitted ? "200" : "400", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(r->zap, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(r->zap, user, strlen(user), ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_send(r->zap, "", 0, ZMQ_DONTWAIT);
	return true;
}

/* Return: false when no event waits. */
static bool count_event(struct router *r)
{
	uint8_t head[6];
	uint16_t event;
	int n = zmq_recv(r->monitor, head, sizeof(head), ZMQ_DONTWAIT);

	if (n < 0)
		return false;
	skip_rest(r->monitor);
	if (n != (int)sizeof(head))
		return true;
	memcpy(&event, head, sizeof(event));
	if (event == ZMQ_EVENT_ACCEPT_FAILED)
		r->counters.accepts_failed++;
	else
		r->counters.handshakes_failed++;
	return true;
}

static void take_payload(struct router *r, uint32_t connection, zmq_msg_t *msg)
{
	uint8_t key[ROUTER_KEY_BYTES];

	if (!parse_key(zmq_msg_gets(msg, "User-Id"), key)) {
		r->counters.malformed++;
		return;
	}
	r->counters.messages++;
	r->params.on_message(r->params.ctx, connection, key, zmq_msg_data(msg), zmq_msg_size(msg));
}

/* Return: false when no message waits. */
static bool read_message(struct router *r)
{
	uint8_t id[256];
	struct rd rd;
	uint32_t connection;
	zmq_msg_t msg;
	int n = zmq_recv(r->socket, id, sizeof(id), ZMQ_DONTWAIT);

	if (n < 0)
		return false;
	rd = rd_init(id, (size_t)n < sizeof(id) ? (size_t)n : 0);
	if (n != ROUTING_ID_BYTES || rd_u8(&rd) != 0) {
		r->counters.foreign_ids++;
		skip_rest(r->socket);
		return true;
	}
	connection = rd_u32be(&rd);
	zmq_msg_init(&msg);
	if (!has_more(r->socket) || zmq_msg_recv(&msg, r->socket, ZMQ_DONTWAIT) < 0) {
		r->counters.malformed++;
	} else if (zmq_msg_more(&msg)) {
		r->counters.malformed++;
		skip_rest(r->socket);
	} else {
		take_payload(r, connection, &msg);
	}
	zmq_msg_close(&msg);
	return true;
}

static void on_again(uv_idle_t *idle);

static void drain(struct router *r)
{
	int budget = READ_BUDGET;

	uv_idle_stop(&r->again);
	while (budget > 0 && answer_zap(r))
		budget--;
	while (budget > 0 && count_event(r))
		budget--;
	while (budget > 0 && read_message(r))
		budget--;
	if (budget == 0)
		uv_idle_start(&r->again, on_again);
}

static void on_again(uv_idle_t *idle)
{
	drain(idle->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	drain(poll->data);
}

enum transport_result router_send(struct router *r, uint32_t connection, const uint8_t *buf,
				  size_t len)
{
	uint8_t id[ROUTING_ID_BYTES];
	struct wr w = wr_init(id, sizeof(id));

	wr_u8(&w, 0);
	wr_u32be(&w, connection);
	/* The send may swallow the signal of what can be read. */
	uv_idle_start(&r->again, on_again);
	if (zmq_send(r->socket, id, sizeof(id), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		return errno == EHOSTUNREACH ? TRANSPORT_GONE : TRANSPORT_BUSY;
	if (zmq_send(r->socket, buf, len, ZMQ_DONTWAIT) < 0)
		return TRANSPORT_GONE;
	return TRANSPORT_SENT;
}

static bool set_int(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static bool set_options(void *socket, const uint8_t *secret)
{
	const int64_t max_bytes = ROUTER_MESSAGE_BYTES;

	return set_int(socket, ZMQ_CURVE_SERVER, 1) &&
	       zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, ROUTER_KEY_BYTES) == 0 &&
	       zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) == 0 &&
	       set_int(socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) &&
	       set_int(socket, ZMQ_ROUTER_MANDATORY, 1) &&
	       set_int(socket, ZMQ_ROUTER_HANDOVER, 0) && set_int(socket, ZMQ_HEARTBEAT_IVL, 0) &&
	       set_int(socket, ZMQ_TCP_KEEPALIVE, 1) &&
	       set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, 30) &&
	       set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 10) &&
	       set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, 3) && set_int(socket, ZMQ_TCP_MAXRT, 30000) &&
	       set_int(socket, ZMQ_BACKLOG, 1024) && set_int(socket, ZMQ_IPV6, 1) &&
	       set_int(socket, ZMQ_HANDSHAKE_IVL, 5000) && set_int(socket, ZMQ_SNDHWM, 64) &&
	       set_int(socket, ZMQ_RCVHWM, 256) && set_int(socket, ZMQ_LINGER, 0) &&
	       zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes)) == 0;
}

static bool open_sockets(struct router *r)
{
	const int events = ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
			   ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

	r->zmq = zmq_ctx_new();
	if (!r->zmq)
		return false;
	/* The handler first: connections that come before it would hang. */
	r->zap = zmq_socket(r->zmq, ZMQ_REP);
	r->socket = zmq_socket(r->zmq, ZMQ_ROUTER);
	r->monitor = zmq_socket(r->zmq, ZMQ_PAIR);
	/* The monitor's queue has no bound (RCVHWM 0), so that the I/O thread never waits for
	 * us. */
	return r->zap && r->socket && r->monitor && set_int(r->zap, ZMQ_LINGER, 0) &&
	       zmq_bind(r->zap, ZAP_ENDPOINT) == 0 && set_int(r->monitor, ZMQ_RCVHWM, 0) &&
	       set_int(r->monitor, ZMQ_LINGER, 0) &&
	       set_options(r->socket, r->params.server_secret) &&
	       zmq_socket_monitor(r->socket, MONITOR_ENDPOINT, events) == 0 &&
	       zmq_connect(r->monitor, MONITOR_ENDPOINT) == 0;
}

static bool start_polls(struct router *r)
{
	void *sockets[SOCKET_COUNT] = {r->socket, r->zap, r->monitor};

	for (size_t i = 0; i < SOCKET_COUNT; i++) {
		int fd;
		size_t len = sizeof(fd);

		if (zmq_getsockopt(sockets[i], ZMQ_FD, &fd, &len) ||
		    uv_poll_init(r->params.loop, &r->polls[i], fd))
			return false;
		r->open_handles++;
		r->polls[i].data = r;
		uv_poll_start(&r->polls[i], UV_READABLE, on_readable);
	}
	return true;
}

static enum err bind_error(int error)
{
	switch (error) {
	case EADDRINUSE:
		return ERR_EXISTS;
	case EADDRNOTAVAIL:
	case ENODEV:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	case EINVAL:
	case EPROTONOSUPPORT:
		return ERR_INVALID;
	default:
		return ERR_SYSTEM;
	}
}

enum err router_create(struct router **ret, const struct router_params *params)
{
	struct router *r = calloc(1, sizeof(*r));
	size_t len = sizeof(r->endpoint);
	enum err err = ERR_SYSTEM;

	if (!r)
		return ERR_NO_MEMORY;
	r->params = *params;
	r->again.data = r;
	uv_idle_init(params->loop, &r->again);
	r->open_handles = 1;
	if (!open_sockets(r) || !start_polls(r))
		goto err_destroy;
	if (zmq_bind(r->socket, params->listen)) {
		err = bind_error(errno);
		goto err_destroy;
	}
	if (zmq_getsockopt(r->socket, ZMQ_LAST_ENDPOINT, r->endpoint, &len))
		goto err_destroy;
	uv_idle_start(&r->again, on_again);
	*ret = r;
	return OK;
err_destroy:
	router_destroy(r);
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct router *r = handle->data;

	if (--r->open_handles == 0)
		free(r);
}

void router_destroy(struct router *r)
{
	if (!r)
		return;
	/* The descriptors leave the loop before libzmq closes them. */
	for (unsigned i = r->open_handles - 1; i > 0; i--)
		uv_close((uv_handle_t *)&r->polls[i - 1], on_closed);
	if (r->socket)
		zmq_close(r->socket);
	if (r->monitor)
		zmq_close(r->monitor);
	if (r->zap)
		zmq_close(r->zap);
	if (r->zmq)
		zmq_ctx_term(r->zmq);
	uv_close((uv_handle_t *)&r->again, on_closed);
}

const char *router_endpoint(const struct router *r)
{
	return r->endpoint;
}

const struct router_counters *router_counters(const struct router *r)
{
	return &r->counters;
}
