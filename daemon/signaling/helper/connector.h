/*
 * Keeps one connection to the rendezvous server: names, a race between addresses, backoff.
 *
 * A round looks up all endpoints at once. Their addresses become candidates, IPv6 and IPv4 in turn,
 * and are tried one after the other, 300 ms apart and at most three at a time; the first whose
 * handshake succeeds wins and the others are closed (the idea of RFC 8305). When all have failed,
 * or the winner ends, the next round follows: the first within 0.4 s, then at a random moment
 * within 1, 2, 4 ... 60 s (full jitter, so that a fleet does not come back in one second). A
 * connection that lasted ten seconds makes the next wait short again.
 */
#ifndef ICETUN_SIGNALING_HELPER_CONNECTOR_H
#define ICETUN_SIGNALING_HELPER_CONNECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"
#include "daemon/signaling/frame.h"

struct connector;

struct connector_params {
	uv_loop_t *loop;
	void *zmq; /* the context */
	struct random_source random;
	void *ctx;
	void (*on_state)(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
			 const char *detail);
	void (*on_message)(void *ctx, const uint8_t *buf, size_t len);
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err connector_create(struct connector **ret, const struct connector_params *params);
/* Closes everything; what was sent has 200 ms to leave. The loop has to run on until it is empty.
 * Lookups that cannot be cancelled keep it busy: connector_lookups() counts them. */
void connector_destroy(struct connector *c);
/* Drops what is there and connects as @config says; copied to secret memory. */
MUST_USE enum err connector_configure(struct connector *c, const struct signal_link_config *config);
/* Drops what is there and connects again at once. Nothing happens before the first
 * configuration. */
void connector_reconnect(struct connector *c);
/* Return: OK; ERR_WRONG_STATE when not up; DROP_QUEUE_FULL. */
MUST_USE enum err connector_send(struct connector *c, const uint8_t *buf, size_t len);

/* The longest time to wait before try number @failures after a success (0 is the first). */
uint64_t connector_backoff_ms(unsigned failures);

#endif
