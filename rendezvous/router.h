/*
 * The ZeroMQ side of the server: a ROUTER with CURVE, and the ZAP handler that tells which key each
 * connection has proven to hold. One thread, on a libuv loop.
 *
 * What libzmq 4.3.4 needs to be safe with is kept here:
 *   - no heartbeats by libzmq: a timer on a stalled connection that was reset aborts the process;
 *   - rand() is seeded by main() before the context exists: routing ids start at rand(), and a
 *     client that has claimed the next one makes libzmq abort;
 *   - routing ids are automatic (zero byte and 32 bits), which makes a connection a number here; a
 *     client that chose another kind of id is ignored. Its key is read from "User-Id" of the
 *     PAYLOAD frame and handed on with each message, so a claimed id gives nobody's rights;
 *   - ZAP_ENFORCE_DOMAIN: without the handler nobody gets in, rather than everybody;
 *   - ZMQ_FD is edge-triggered in meaning: read until EAGAIN, again after each own send.
 *
 * Any CURVE key is admitted: hosts that have not joined yet must be able to. What a connection may
 * do is decided message by message (service.h).
 */
#ifndef ICETUN_RENDEZVOUS_ROUTER_H
#define ICETUN_RENDEZVOUS_ROUTER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "rendezvous/transport.h"

#define ROUTER_KEY_BYTES     32
#define ROUTER_MESSAGE_BYTES 16384

struct router;

struct router_params {
	uv_loop_t *loop;
	const char *listen;	      /* as config.h has it */
	const uint8_t *server_secret; /* ROUTER_KEY_BYTES; read during router_create() only */
	void *ctx;
	/* One message came on @connection, whose other end holds the secret of @key. @len 0 opens
	 * each connection of a well-behaved host. May call router_send(). */
	void (*on_message)(void *ctx, uint32_t connection,
			   const uint8_t key[static ROUTER_KEY_BYTES], const uint8_t *buf,
			   size_t len);
};

struct router_counters {
	uint64_t messages;
	uint64_t foreign_ids;	    /* messages under a routing id that the client chose */
	uint64_t malformed;	    /* not exactly one payload frame, or without a key */
	uint64_t handshakes_failed; /* wrong keys, other protocols, silence */
	uint64_t accepts_failed;    /* mostly: out of file descriptors */
};

/* Binds. Return: OK; ERR_EXISTS the port is in use; ERR_NOT_FOUND the address is not of this host;
 * ERR_PERMISSION; ERR_INVALID the endpoint is not one; ERR_NO_MEMORY; ERR_SYSTEM. */
MUST_USE enum err router_create(struct router **ret, const struct router_params *params);
/* Closes the sockets and ends the context; the handles close in the next turns of the loop. NULL is
 * fine. */
void router_destroy(struct router *r);
/* Sends one message; never waits. */
enum transport_result router_send(struct router *r, uint32_t connection, const uint8_t *buf,
				  size_t len);
/* Where it listens, with the number of the port. */
const char *router_endpoint(const struct router *r);
const struct router_counters *router_counters(const struct router *r);

#endif
