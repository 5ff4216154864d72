/*
 * Control packets: what peers say to each other inside the tunnel.
 *
 * The plaintext of a tunnel packet is an IP packet when its first nibble is 4 or 6 and a control
 * packet when it is 0. A control packet is its type (one byte) and a body; see docs/PROTOCOL.md.
 *
 *	PING   id (8 bytes)	answered with PONG and the same id
 *	PONG   id (8 bytes)
 *	HELLO  nothing		from now on the sender sends with this session and with none before
 *	CLOSE  nothing		the sender forgets the session now
 *	OFFER  Noise message 1	in-band renewal of the keys
 *	ANSWER Noise message 2
 *	RESTART_OFFER, RESTART_ANSWER
 *	       xid (16 bytes), Noise message	offer and answer of a restart, as the rendezvous
 *						forwards them; the first copy counts
 *	CANDIDATES
 *	       CBOR: [no more will follow, candidate...]	the sender's candidates (trickle)
 *	PROBE  number (4 bytes), zeros up to the size in question	answered with PROBED
 *	PROBED number (4 bytes), size (2 bytes)	a PROBE of this number and size has come
 *	MOVED  number (4 bytes), two addresses	the sender has lost the path and uses another pair
 *						of the same generation: its own address there as
 *						the reader sees it, then the reader's
 *
 * An address is its family (4 or 6), the port (2 bytes) and 4 or 16 bytes.
 *
 * An unknown type is ignored, so that a newer peer may say more.
 */
#ifndef ICETUN_PEER_CONTROL_H
#define ICETUN_PEER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

enum control_type {
	CONTROL_PING = 1,
	CONTROL_PONG = 2,
	CONTROL_HELLO = 3,
	CONTROL_CLOSE = 4,
	CONTROL_OFFER = 5,
	CONTROL_ANSWER = 6,
	CONTROL_CANDIDATES = 7,
	CONTROL_RESTART_OFFER = 8,
	CONTROL_RESTART_ANSWER = 9,
	CONTROL_PROBE = 10,
	CONTROL_PROBED = 11,
	CONTROL_MOVED = 12,
};

/* The id of a PING that asks whether packets come over a new path, until something comes back. It
 * does not say that its sender uses the session for its data. */
#define CONTROL_PATH_PING 0

/* Largest control packet but for PROBE: a Noise message without candidates fits. */
#define CONTROL_MAX_BYTES 1180
/* Smallest PROBE. */
#define CONTROL_PROBE_MIN_BYTES 5

struct control_message {
	enum control_type type;
	uint64_t id;		       /* PING, PONG */
	uint32_t number;	       /* PROBE, PROBED, MOVED */
	uint16_t size;		       /* PROBED; PROBE: of itself */
	struct netaddr sender, reader; /* MOVED */
	const uint8_t *body; /* the others, but for HELLO and CLOSE: inside the decoded buffer */
	size_t body_len;
};

/* Whether the sender of @m uses the session that it came with for its data, too: a session that is
 * only being made carries PATH_PING and CANDIDATES. */
bool control_shows_use(const struct control_message *m);

/* Return: OK with *ret_len bytes at @out, ERR_NO_SPACE. */
MUST_USE enum err control_encode(const struct control_message *m, uint8_t *out, size_t cap,
				 size_t *ret_len);
/* Return: OK, DROP_TRUNCATED, DROP_MALFORMED (trailing bytes), DROP_UNKNOWN_TYPE. */
MUST_USE enum err control_decode(const uint8_t *buf, size_t len, struct control_message *ret);

#endif
