/*
 * The frames between icetund and its helper process icetun-signal.
 *
 * Both hold one end of a SOCK_SEQPACKET socket pair, so a record arrives whole or not at all. A
 * frame is one byte of type and a body; numbers are in network byte order:
 *
 *	to the helper
 *	  CONFIGURE  server CURVE key 32, own CURVE secret 32, own CURVE public 32, count 1,
 *	             then count times: length 1, endpoint ("tcp://host:port", no NUL)
 *	             Drops the present connection and makes a new one as told.
 *	  SEND       the message for the server. Without a connection it is dropped.
 *	  RECONNECT  (empty) Drops the present connection and makes a new one at once.
 *	to the daemon
 *	  STATE      state 1, reason 1, detail (text up to the end, may be empty)
 *	             Each CONFIGURE and RECONNECT is answered with STATE(CONNECTING).
 *	  MESSAGE    one message of the server.
 *
 * What does not decode is ignored by the daemon, and ends the helper. Both directions are bounded
 * by SIGNAL_FRAME_MAX_BYTES. Secrets stand only in CONFIGURE; whoever holds such a buffer wipes it.
 */
#ifndef ICETUN_SIGNALING_FRAME_H
#define ICETUN_SIGNALING_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define SIGNAL_FRAME_MAX_BYTES 16384
/* What fits into SEND and MESSAGE. */
#define SIGNAL_FRAME_PAYLOAD_BYTES (SIGNAL_FRAME_MAX_BYTES - 1)
#define SIGNAL_ENDPOINTS_MAX	   4
#define SIGNAL_ENDPOINT_BYTES	   128 /* with the NUL */
#define SIGNAL_CURVE_BYTES	   32
#define SIGNAL_DETAIL_BYTES	   192 /* with the NUL */

enum signal_link_state {
	/* Looking up names, connecting, or waiting for the next try; also the start. */
	SIGNAL_LINK_CONNECTING,
	/* The encrypted connection stands: the server is the right one and can talk to us. */
	SIGNAL_LINK_UP,
	/* A try has failed or the connection ended; the next try follows by itself. */
	SIGNAL_LINK_DOWN,
	SIGNAL_LINK_STATE_COUNT
};

/* Why the link is DOWN. */
enum signal_link_reason {
	SIGNAL_LINK_NO_REASON,
	/* No endpoint takes the TCP connection. */
	SIGNAL_LINK_UNREACHABLE,
	/* No endpoint's host name has an address: the resolver says so. */
	SIGNAL_LINK_NAME,
	/* No name server says whether there is one. */
	SIGNAL_LINK_RESOLVER,
	/* Something answers but cannot prove that it holds the server key: the key is wrong, or it
	 * is no icetun-rendezvous. */
	SIGNAL_LINK_SERVER_KEY,
	/* The server does not admit this host's key. */
	SIGNAL_LINK_REFUSED,
	/* The connection was up and ended. */
	SIGNAL_LINK_CLOSED,
	/* The helper process does not run: told by the client, never by the helper. */
	SIGNAL_LINK_HELPER,
	SIGNAL_LINK_REASON_COUNT
};

enum signal_frame_type {
	SIGNAL_FRAME_CONFIGURE = 1,
	SIGNAL_FRAME_SEND = 2,
	SIGNAL_FRAME_RECONNECT = 3,
	SIGNAL_FRAME_STATE = 16,
	SIGNAL_FRAME_MESSAGE = 17,
};

/* Where to connect and with which keys. */
struct signal_link_config {
	char endpoint[SIGNAL_ENDPOINTS_MAX][SIGNAL_ENDPOINT_BYTES];
	size_t endpoint_count; /* 1..SIGNAL_ENDPOINTS_MAX */
	uint8_t server_key[SIGNAL_CURVE_BYTES];
	uint8_t curve_secret[SIGNAL_CURVE_BYTES];
	uint8_t curve_public[SIGNAL_CURVE_BYTES];
};

struct signal_frame {
	enum signal_frame_type type;
	struct signal_link_config config; /* CONFIGURE */
	enum signal_link_state state;	  /* STATE */
	enum signal_link_reason reason;
	char detail[SIGNAL_DETAIL_BYTES];
	const uint8_t *payload; /* SEND, MESSAGE: inside the buffer that was decoded */
	size_t payload_len;
};

/* Splits "tcp://host:port" or "tcp://[address]:port" at its parts.
 * @host: SIGNAL_ENDPOINT_BYTES writable bytes; without brackets. @port: 6 writable bytes.
 * Return: OK; ERR_INVALID for anything else, then both are untouched. */
MUST_USE enum err signal_endpoint_split(const char *endpoint, char *ret_host, char *ret_port);

/* Return: OK; ERR_INVALID when there is no endpoint, too many, or one that does not split. */
MUST_USE enum err signal_link_config_check(const struct signal_link_config *c);

/* Encodes @f into @out. Return: OK; ERR_NO_SPACE; ERR_INVALID for a configuration that is not
 * usable. */
MUST_USE enum err signal_frame_encode(const struct signal_frame *f, uint8_t *out, size_t cap,
				      size_t *ret_len);
/* Decodes one record; *ret borrows @buf, and is wiped on failure. Return: OK, DROP_TRUNCATED,
 * DROP_TOO_LONG, DROP_MALFORMED, DROP_UNKNOWN_TYPE. */
MUST_USE enum err signal_frame_decode(const uint8_t *buf, size_t len, struct signal_frame *ret);

/* "connecting", "up", "down". */
const char *signal_link_state_name(enum signal_link_state state);
/* A short name for logs and JSON: "server_key". */
const char *signal_link_reason_name(enum signal_link_reason reason);
/* A sentence fragment for people, without capital and full stop. */
const char *signal_link_reason_text(enum signal_link_reason reason);

#endif
