/*
 * icetun-signal: owns the ZeroMQ socket for icetund.
 *
 * It is started by icetund with a SOCK_SEQPACKET socket on descriptor 3 and speaks the frames of
 * daemon/signaling/frame.h there. It ends when that socket does. It has no option, no file and no
 * secret but the CURVE key that it is given.
 *
 * Exit codes: 0 the daemon closed the socket; 2 not started by icetund; 3 it could not start (its
 * sentence is on stderr); 4 the daemon sent what does not decode.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include <zmq.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/signaling/frame.h"
#include "daemon/signaling/helper/connector.h"
#include "daemon/signaling/helper/privilege.h"

#define DAEMON_FD   3
#define READ_BUDGET 32

enum helper_exit {
	HELPER_EXIT_DONE = 0,
	HELPER_EXIT_USAGE = 2,
	HELPER_EXIT_START = 3,
	HELPER_EXIT_FRAME = 4,
};

struct helper {
	uv_loop_t loop;
	uv_poll_t poll;
	struct connector *connector;
	enum helper_exit exit_code;
};

static void stop(struct helper *h, enum helper_exit code)
{
	if (uv_is_closing((uv_handle_t *)&h->poll))
		return;
	h->exit_code = code;
	uv_close((uv_handle_t *)&h->poll, NULL);
	connector_destroy(h->connector);
	h->connector = NULL;
}

/* Waits when the daemon is slow: this process serves nobody else, and the server's messages wait in
 * libzmq's bounded queue. A closed socket shows when it is read. */
static void send_frame(const struct signal_frame *frame)
{
	uint8_t buf[SIGNAL_FRAME_MAX_BYTES];
	struct pollfd pollfd = {.fd = DAEMON_FD, .events = POLLOUT};
	size_t len;

	if (signal_frame_encode(frame, buf, sizeof(buf), &len) != OK)
		return;
	while (send(DAEMON_FD, buf, len, MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN)
			poll(&pollfd, 1, -1);
		else if (errno != EINTR)
			return;
	}
}

static void on_state(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
		     const char *detail)
{
	struct signal_frame frame = {.type = SIGNAL_FRAME_STATE, .state = state, .reason = reason};

	(void)ctx;
	snprintf(frame.detail, sizeof(frame.detail), "%s", detail);
	send_frame(&frame);
}

static void on_message(void *ctx, const uint8_t *buf, size_t len)
{
	const struct signal_frame frame = {
		.type = SIGNAL_FRAME_MESSAGE, .payload = buf, .payload_len = len};

	(void)ctx;
	send_frame(&frame);
}

static void on_frame(struct helper *h, const struct signal_frame *frame)
{
	switch (frame->type) {
	case SIGNAL_FRAME_CONFIGURE:
		if (connector_configure(h->connector, &frame->config) != OK)
			stop(h, HELPER_EXIT_START);
		break;
	case SIGNAL_FRAME_SEND:
		/* Dropped when it cannot leave now: the protocol above repeats what matters. */
		(void)!connector_send(h->connector, frame->payload, frame->payload_len);
		break;
	case SIGNAL_FRAME_RECONNECT:
		connector_reconnect(h->connector);
		break;
	case SIGNAL_FRAME_STATE:
	case SIGNAL_FRAME_MESSAGE:
		stop(h, HELPER_EXIT_FRAME);
		break;
	}
}

/* Return: false when there is nothing more to read now. */
static bool read_frame(struct helper *h)
{
	uint8_t buf[SIGNAL_FRAME_MAX_BYTES];
	struct signal_frame frame;
	ssize_t n = recv(DAEMON_FD, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		stop(h, HELPER_EXIT_DONE);
		return false;
	}
	if ((size_t)n > sizeof(buf) || signal_frame_decode(buf, (size_t)n, &frame) != OK) {
		stop(h, HELPER_EXIT_FRAME);
		return false;
	}
	on_frame(h, &frame);
	if (frame.type == SIGNAL_FRAME_CONFIGURE) {
		secret_wipe(buf, (size_t)n);
		secret_wipe(&frame, sizeof(frame));
	}
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct helper *h = poll->data;
	int budget = READ_BUDGET;

	(void)status;
	(void)events;
	while (budget-- > 0 && h->connector && read_frame(h)) {
	}
}

static enum helper_exit serve(void *zmq)
{
	struct helper h = {.exit_code = HELPER_EXIT_DONE};
	struct connector_params params = {
		.loop = &h.loop,
		.zmq = zmq,
		.random = random_system(),
		.on_state = on_state,
		.on_message = on_message,
	};

	if (uv_loop_init(&h.loop) || uv_poll_init(&h.loop, &h.poll, DAEMON_FD) ||
	    connector_create(&h.connector, &params) != OK) {
		fprintf(stderr, "icetun-signal: no event loop can be made; is memory short?\n");
		return HELPER_EXIT_START;
	}
	h.poll.data = &h;
	uv_poll_start(&h.poll, UV_READABLE, on_readable);
	uv_run(&h.loop, UV_RUN_DEFAULT);
	uv_loop_close(&h.loop);
	return h.exit_code;
}

static bool is_started_by_daemon(void)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(DAEMON_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET;
}

int main(void)
{
	struct random_source random;
	enum helper_exit code;
	void *zmq;

	if (!is_started_by_daemon()) {
		fprintf(stderr, "icetun-signal is a part of icetund and is started by it; there is "
				"nothing to run by hand.\n");
		return (int)HELPER_EXIT_USAGE;
	}
	if (privilege_drop() != OK || crypto_start() != OK) {
		fprintf(stderr, "icetun-signal: cannot give up its privileges; it does not run "
				"with them.\n");
		return (int)HELPER_EXIT_START;
	}
	/* libzmq draws routing ids and jitter from rand() and never seeds it. */
	random = random_system();
	srand(random_u32(&random));
	zmq = zmq_ctx_new();
	if (!zmq) {
		fprintf(stderr,
			"icetun-signal: libzmq cannot start; are file descriptors short?\n");
		return (int)HELPER_EXIT_START;
	}
	code = serve(zmq);
	zmq_ctx_term(zmq);
	/* Without the exit handlers: libuv's would wait for a name that is still looked up. */
	_exit((int)code);
}
