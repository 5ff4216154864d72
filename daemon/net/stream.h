/*
 * Client streams over TCP and TLS, to TURN servers.
 *
 *	net_tls_create(&tls, ca_file);		once, if any stream is to be TLS
 *	net_stream_open(&s, &params);		connects; on_open(), or on_closed() with the reason
 *	net_stream_send(s, buf, len);		queued, bounded
 *	net_stream_close(s);			no call comes afterwards
 *
 * All calls back come from the loop, never from inside a call of the owner's. on_closed() is the
 * last one, and the stream is closed by itself then; net_stream_close() is for the owner who has
 * had enough.
 *
 * Over TLS the server's certificate has to be for the name (or the address, if the name is one) and
 * to lead to an authority of the store; nothing is sent before that is so. TLS 1.2 at least.
 *
 * What is to be sent waits in one ring of fixed size; what does not fit is refused whole, so that
 * the owner can drop a datagram rather than half of one. on_room() tells when it has become half
 * empty again.
 */
#ifndef ICETUN_NET_STREAM_H
#define ICETUN_NET_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define NET_STREAM_CONNECT_MS 10000
#define NET_STREAM_DETAIL     160

struct net_tls;
struct net_stream;

#define NET_STREAM_REASON_TABLE(X)                                                                 \
	X(REFUSED, "refused", "the server refuses the connection")                                 \
	X(UNREACHABLE, "unreachable", "the server cannot be reached")                              \
	X(TIMED_OUT, "timed_out", "the server does not answer")                                    \
	X(CERTIFICATE, "certificate", "the server's TLS certificate is not acceptable")            \
	X(TLS, "tls", "the server does not speak TLS as we do")                                    \
	X(CLOSED, "closed", "the server has closed the connection")                                \
	X(BROKEN, "broken", "the connection was interrupted")

enum net_stream_reason {
#define X(code, name, text) NET_STREAM_##code,
	NET_STREAM_REASON_TABLE(X)
#undef X
		NET_STREAM_REASON_COUNT
};

/* "certificate", for logs; a sentence fragment for people. */
const char *net_stream_reason_name(enum net_stream_reason reason);
const char *net_stream_reason_text(enum net_stream_reason reason);

struct net_stream_params {
	uv_loop_t *loop;
	struct netaddr server;
	struct netaddr local;	   /* to connect from, port 0; or NETADDR_NONE */
	const struct net_tls *tls; /* NULL: TCP alone. Outlives the stream's opening */
	const char *name;	   /* of the certificate, with tls */
	uint32_t connect_ms;	   /* 0 = NET_STREAM_CONNECT_MS, until it is open */
	size_t queue_bytes;	   /* of what waits to be sent, at least 1024 */
	void *ctx;
	void (*on_open)(void *ctx);
	void (*on_bytes)(void *ctx, const uint8_t *buf, size_t len);
	void (*on_room)(void *ctx); /* may be NULL */
	/* @detail: what exactly, or "". */
	void (*on_closed)(void *ctx, enum net_stream_reason reason, const char *detail);
};

/* The authorities of @ca_file (PEM), or those of the system when it is NULL or "".
 * Return: OK; ERR_INVALID: the file cannot be used; ERR_NO_MEMORY. */
MUST_USE enum err net_tls_create(struct net_tls **ret, const char *ca_file);
/* Streams that were opened with it go on. NULL is fine. */
void net_tls_destroy(struct net_tls *tls);

/* Return: OK; ERR_INVALID: address, name or size; ERR_NO_MEMORY; as net_error(): no socket, or the
 * local address is gone. What only shows later comes by on_closed(). */
MUST_USE enum err net_stream_open(struct net_stream **ret, const struct net_stream_params *params);
/* Return: OK; ERR_WRONG_STATE before on_open(); DROP_QUEUE_FULL: it does not fit now. */
MUST_USE enum err net_stream_send(struct net_stream *s, const uint8_t *buf, size_t len);
/* The memory goes in the next turns of the loop. NULL is fine. */
void net_stream_close(struct net_stream *s);

#endif
