#include "daemon/signaling/helper/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Messages and events taken in one turn of the loop. */
#define READ_BUDGET	   64
#define HANDSHAKE_LIMIT_MS 5000

struct link {
	struct link_params params;
	char address[SIGNAL_ENDPOINT_BYTES];
	void *dealer;
	void *monitor;
	uv_poll_t dealer_poll;
	uv_poll_t monitor_poll;
	uv_idle_t again; /* runs while a budget was not enough */
	unsigned open_handles;
	uint64_t connected_ms; /* when TCP was connected, 0 before */
	bool is_up;
	bool is_ended; /* destroyed, or on_end was called */
};

static void link_up(struct link *l)
{
	if (l->is_ended || l->is_up)
		return;
	l->is_up = true;
	l->params.on_up(l->params.ctx, l);
}

static void link_end(struct link *l, enum signal_link_reason reason)
{
	if (l->is_ended)
		return;
	l->is_ended = true;
	l->params.on_end(l->params.ctx, l, l->is_up ? SIGNAL_LINK_CLOSED : reason);
}

/* Why a handshake failed without saying so. A server that cannot open our HELLO, because it has
 * another key, closes at once; one that is overloaded lets the time run out. */
static enum signal_link_reason silent_failure(const struct link *l)
{
	uint64_t waited_ms = uv_now(l->params.loop) - l->connected_ms;

	return waited_ms < HANDSHAKE_LIMIT_MS * 9 / 10 ? SIGNAL_LINK_SERVER_KEY
						       : SIGNAL_LINK_UNREACHABLE;
}

static void on_event(struct link *l, uint16_t event)
{
	switch (event) {
	case ZMQ_EVENT_CONNECTED:
		l->connected_ms = uv_now(l->params.loop);
		break;
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		link_up(l);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
		link_end(l, SIGNAL_LINK_REFUSED);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
		link_end(l, SIGNAL_LINK_SERVER_KEY);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
	case ZMQ_EVENT_DISCONNECTED:
		link_end(l, silent_failure(l));
		break;
	case ZMQ_EVENT_CLOSED:
	case ZMQ_EVENT_CLOSE_FAILED:
		link_end(l, SIGNAL_LINK_UNREACHABLE);
		break;
	default:
		break;
	}
}

/* Reads one event: a frame of number and value, and one with the address.
 * Return: false when there is none. */
static bool read_event(struct link *l)
{
	uint8_t head[6];
	char address[256];
	uint16_t event;
	int n = zmq_recv(l->monitor, head, sizeof(head), ZMQ_DONTWAIT);

	if (n < 0)
		return false;
	(void)zmq_recv(l->monitor, address, sizeof(address), ZMQ_DONTWAIT);
	if (n == (int)sizeof(head)) {
		memcpy(&event, head, sizeof(event)); /* in host order, by the monitor's contract */
		on_event(l, event);
	}
	return true;
}

/* Return: false when there is none. The server sends single frames; parts of others are passed on
 * as messages, and do not decode. */
static bool read_message(struct link *l)
{
	uint8_t buf[SIGNAL_FRAME_PAYLOAD_BYTES];
	int n = zmq_recv(l->dealer, buf, sizeof(buf), ZMQ_DONTWAIT);

	if (n < 0)
		return false;
	if (n > 0 && (size_t)n <= sizeof(buf))
		l->params.on_message(l->params.ctx, buf, (size_t)n);
	return true;
}

static void on_again(uv_idle_t *idle);

static void drain(struct link *l)
{
	int budget = READ_BUDGET;

	/* The events first: UP has to be told before the first message. */
	while (budget > 0 && !l->is_ended && read_event(l))
		budget--;
	/* Reading also lets libzmq attach a new connection, even when there is nothing to read. */
	while (budget > 0 && !l->is_ended && read_message(l))
		budget--;
	if (l->is_ended)
		return;
	if (budget == 0)
		uv_idle_start(&l->again, on_again);
	else
		uv_idle_stop(&l->again);
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

static bool set_int(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static bool set_key(void *socket, int option, const uint8_t key[static SIGNAL_CURVE_BYTES])
{
	return zmq_setsockopt(socket, option, key, SIGNAL_CURVE_BYTES) == 0;
}

static bool set_options(void *dealer, const struct signal_link_config *config)
{
	const int64_t max_bytes = SIGNAL_FRAME_PAYLOAD_BYTES;

	return set_key(dealer, ZMQ_CURVE_SERVERKEY, config->server_key) &&
	       set_key(dealer, ZMQ_CURVE_SECRETKEY, config->curve_secret) &&
	       set_key(dealer, ZMQ_CURVE_PUBLICKEY, config->curve_public) &&
	       set_int(dealer, ZMQ_IMMEDIATE, 1) && set_int(dealer, ZMQ_HEARTBEAT_IVL, 0) &&
	       set_int(dealer, ZMQ_RECONNECT_IVL, -1) &&
	       set_int(dealer, ZMQ_CONNECT_TIMEOUT, 5000) &&
	       set_int(dealer, ZMQ_HANDSHAKE_IVL, HANDSHAKE_LIMIT_MS) &&
	       set_int(dealer, ZMQ_IPV6, 1) && set_int(dealer, ZMQ_TCP_KEEPALIVE, 1) &&
	       set_int(dealer, ZMQ_TCP_KEEPALIVE_IDLE, 30) &&
	       set_int(dealer, ZMQ_TCP_KEEPALIVE_INTVL, 10) &&
	       set_int(dealer, ZMQ_TCP_KEEPALIVE_CNT, 3) && set_int(dealer, ZMQ_TCP_MAXRT, 30000) &&
	       set_int(dealer, ZMQ_SNDHWM, 16) && set_int(dealer, ZMQ_RCVHWM, 256) &&
	       set_int(dealer, ZMQ_LINGER, 0) &&
	       zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes)) == 0;
}

/* The monitor's queue has no bound (RCVHWM 0), so that libzmq's I/O thread never waits for us. */
static bool open_monitor(struct link *l)
{
	char name[64];

	snprintf(name, sizeof(name), "inproc://monitor-%p", (void *)l);
	l->monitor = zmq_socket(l->params.zmq, ZMQ_PAIR);
	return l->monitor && set_int(l->monitor, ZMQ_RCVHWM, 0) &&
	       set_int(l->monitor, ZMQ_LINGER, 0) &&
	       zmq_socket_monitor(l->dealer, name, ZMQ_EVENT_ALL) == 0 &&
	       zmq_connect(l->monitor, name) == 0;
}

static int socket_fd(void *socket)
{
	int fd = -1;
	size_t len = sizeof(fd);

	return zmq_getsockopt(socket, ZMQ_FD, &fd, &len) ? -1 : fd;
}

static bool start_polls(struct link *l)
{
	if (uv_poll_init(l->params.loop, &l->dealer_poll, socket_fd(l->dealer)))
		return false;
	l->open_handles++;
	if (uv_poll_init(l->params.loop, &l->monitor_poll, socket_fd(l->monitor)))
		return false;
	l->open_handles++;
	uv_poll_start(&l->dealer_poll, UV_READABLE, on_readable);
	uv_poll_start(&l->monitor_poll, UV_READABLE, on_readable);
	return true;
}

enum err link_create(struct link **ret, const struct link_params *params)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return ERR_NO_MEMORY;
	l->params = *params;
	snprintf(l->address, sizeof(l->address), "%s", params->address);
	l->dealer_poll.data = l->monitor_poll.data = l->again.data = l;
	uv_idle_init(params->loop, &l->again);
	l->open_handles = 1;
	l->dealer = zmq_socket(params->zmq, ZMQ_DEALER);
	if (!l->dealer || !set_options(l->dealer, params->config) || !open_monitor(l) ||
	    !start_polls(l) || zmq_connect(l->dealer, l->address)) {
		link_destroy(l, 0);
		return ERR_SYSTEM;
	}
	/* Events that came before the polls did have no edge any more. */
	uv_idle_start(&l->again, on_again);
	*ret = l;
	return OK;
}

static void on_closed(uv_handle_t *handle)
{
	struct link *l = handle->data;

	if (--l->open_handles == 0)
		free(l);
}

void link_destroy(struct link *l, int linger_ms)
{
	unsigned polls = l->open_handles - 1;

	l->is_ended = true;
	/* The descriptors leave the loop before libzmq closes them. */
	if (polls >= 2)
		uv_close((uv_handle_t *)&l->monitor_poll, on_closed);
	if (polls >= 1)
		uv_close((uv_handle_t *)&l->dealer_poll, on_closed);
	uv_close((uv_handle_t *)&l->again, on_closed);
	if (l->dealer) {
		/* Before its reader closes: with nobody to take an event, libzmq's I/O thread, the
		 * only one, would wait for ever. */
		zmq_socket_monitor(l->dealer, NULL, 0);
		set_int(l->dealer, ZMQ_LINGER, linger_ms);
		zmq_close(l->dealer);
	}
	if (l->monitor)
		zmq_close(l->monitor);
	l->dealer = l->monitor = NULL;
}

enum err link_send(struct link *l, const uint8_t *buf, size_t len)
{
	enum err err = zmq_send(l->dealer, buf, len, ZMQ_DONTWAIT) < 0 ? DROP_QUEUE_FULL : OK;

	/* The send may have swallowed the signal of what can be read. */
	if (!l->is_ended)
		uv_idle_start(&l->again, on_again);
	return err;
}

const char *link_address(const struct link *l)
{
	return l->address;
}
