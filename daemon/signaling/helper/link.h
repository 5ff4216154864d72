/*
 * One try to reach a server at one numeric address, and the connection that may come of it.
 *
 * A link is a DEALER socket with its monitor. It is used once: when it fails or ends it says so and
 * does nothing more; the connector then destroys it and makes another. libzmq's own reconnecting is
 * off, because its jitter is tied to the base interval and it gives up for good after an
 * authentication error. Messages are not kept while there is no connection (ZMQ_IMMEDIATE).
 *
 * ZMQ_FD is edge-triggered in meaning: any send or receive may swallow its signal. So the link
 * reads until EAGAIN, with a budget, when the descriptor is readable and after each own send.
 */
#ifndef ICETUN_SIGNALING_HELPER_LINK_H
#define ICETUN_SIGNALING_HELPER_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/signaling/frame.h"

struct link;

struct link_params {
	uv_loop_t *loop;
	void *zmq;				 /* the context */
	const struct signal_link_config *config; /* keys; read during link_create() only */
	const char *address;			 /* "tcp://192.0.2.1:4510"; copied */
	void *ctx;
	/* The handshake has succeeded: once at most. */
	void (*on_up)(void *ctx, struct link *l);
	/* It failed, or it was up and ended: once at most, nothing after it. */
	void (*on_end)(void *ctx, struct link *l, enum signal_link_reason reason);
	void (*on_message)(void *ctx, const uint8_t *buf, size_t len);
};

/* Begins to connect. No callback comes before this returns.
 * Return: OK; ERR_NO_MEMORY; ERR_SYSTEM when libzmq gives no socket or refuses the address. */
MUST_USE enum err link_create(struct link **ret, const struct link_params *params);
/* Closes; what was sent has @linger_ms to leave. May be called in a callback; none follows. */
void link_destroy(struct link *l, int linger_ms);
/* Return: OK, DROP_QUEUE_FULL when the server does not take it now. */
MUST_USE enum err link_send(struct link *l, const uint8_t *buf, size_t len);
const char *link_address(const struct link *l);

#endif
