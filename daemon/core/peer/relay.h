/*
 * The relays of this host: the TURN servers it knows and its allocations there. Private to the
 * room.
 *
 * Theory of operation
 *
 * The shell gives a list of *servers*, best first: credentials, and *targets*, each an address and
 * a transport. For each server a *round* is run: targets are tried in their order, the next one
 * when all before have failed or after a little while without an answer (happy eyeballs, RFC 8305),
 * so that IPv6 that leads nowhere, UDP that is blocked, or a server that is gone costs that little
 * while only. The first target that answers goes on to allocate, the others are dropped. Nothing of
 * this waits for another server.
 *
 * An allocation lives in a *slot*. One allocation serves all peers. Those of the first
 * RELAYS_WANTED servers that work are *offered*: their relayed addresses are candidates. Further
 * servers are tried once, so that a person sees what is wrong with them, and then stand by.
 *
 * An allocation is *replaced* by a second one over another 5-tuple before its credentials expire,
 * when it could not be renewed, and when it goes over a stream though UDP may work: a round like
 * the first, and when that has an allocation the old one is retired: it relays for the paths that
 * go over it, is not offered any more, and is given back when the last of them has moved
 * (relays_mark()). Over UDP that takes a second local socket: RELAYS_EVENT_WANT_SOCKET asks for
 * one, once for each socket.
 *
 * A permission is asked for with PERMIT of ICE or by the first packet to an address, a channel when
 * a pair becomes a path; both go when nobody has used them for RELAYS_PEER_IDLE_US.
 *
 * UDP sockets are shared with ICE: relays_input() takes what is an allocation's, by source address
 * and by transaction id, channel or method, and leaves the rest. Streams are the shell's; here they
 * have a number. What is to be written to one waits in a bounded queue, and is dropped when that is
 * full: the packets inside are datagrams.
 *
 * Timers, in one place:
 *   between two first requests            50 ms, over all servers
 *   next target                           250 ms with the same transport, 700 ms with another one
 *                                         at once when a stream's allocation was lost
 *   an attempt over a stream              has an allocation within 8 s, or has failed
 *   a stream has failed                   0.5 s later the round has, when nothing is left of it but
 *                                         silence over UDP
 *   after a round has failed              1 s, doubling to 5 min, +-20 %; what the server said if
 *                                         longer. For 30 s after a loss: 250 ms, doubling to 1 s,
 *                                         +-50 %, unless the server said something; and silence
 *                                         over UDP ends a round after 2 s
 *   after a loss                          at once when it had stood for 3 s; else 0.5 s, doubling
 *   replacement                           600 s before credentials expire, or with a third of their
 *                                         life left; again 5 s after it has failed, doubling to 60
 *                                         s
 *   better transport                      every 5 min, and when there is a new socket
 *   candidates may come (is_pending)      5 s from a change of servers or sockets
 *   verification                          again after 1 s while it is not answered, for 30 s; after
 *                                         an answer not before 2 s, doubling to 30 s while there is
 *                                         a doubt every 5 s. Not answered for 3 s: not offered, and
 *                                         replaced
 *   sweep of paths                        30 s; 2 s while there are any over a relay
 *   a path is silent                      7 s: one question of consent went unanswered; 40 s
 *                                         without traffic: two indications have not come
 */
#ifndef ICETUN_PEER_RELAY_H
#define ICETUN_PEER_RELAY_H

#include "daemon/core/peer/overlay.h"
#include "daemon/core/turn/allocation.h"

#define RELAYS_WANTED		  2
#define RELAYS_MAX_SLOTS	  24
#define RELAYS_MAX_PEERS	  256 /* of one slot: permissions and channels */
#define RELAYS_PEER_IDLE_US	  (300 * US_PER_S)
#define RELAYS_PACE_US		  (50 * US_PER_MS)
#define RELAYS_FAMILY_US	  (250 * US_PER_MS)
#define RELAYS_TRANSPORT_US	  (700 * US_PER_MS)
#define RELAYS_STREAM_US	  (8 * US_PER_S)
#define RELAYS_LINGER_US	  (500 * US_PER_MS)
#define RELAYS_RETRY_MIN_US	  (1 * US_PER_S)
#define RELAYS_RETRY_MAX_US	  (300 * US_PER_S)
#define RELAYS_STOOD_US		  (3 * US_PER_S)
#define RELAYS_RETURN_US	  (30 * US_PER_S)
#define RELAYS_RETURN_ROUND_US	  (2 * US_PER_S)
#define RELAYS_RETURN_MIN_US	  (250 * US_PER_MS)
#define RELAYS_RETURN_MAX_US	  (1 * US_PER_S)
#define RELAYS_REPLACE_US	  (600 * US_PER_S)
#define RELAYS_REPLACE_MIN_US	  (5 * US_PER_S)
#define RELAYS_REPLACE_MAX_US	  (60 * US_PER_S)
#define RELAYS_UPGRADE_US	  (300 * US_PER_S)
#define RELAYS_PATIENCE_US	  (5 * US_PER_S)
#define RELAYS_SWEEP_US		  (30 * US_PER_S)
#define RELAYS_PATHS_US		  (2 * US_PER_S)
#define RELAYS_SILENT_US	  (7 * US_PER_S)
#define RELAYS_SILENT_IDLE_US	  (40 * US_PER_S)
#define RELAYS_VERIFY_US	  (1 * US_PER_S)
#define RELAYS_VERIFY_MAX_US	  (30 * US_PER_S)
#define RELAYS_CALM_US		  (5 * US_PER_S)
#define RELAYS_DOUBT_US		  (3 * US_PER_S)
#define RELAYS_STREAM_QUEUE_BYTES (128 * 1024)

struct relays;

enum relays_event_type {
	/* `relay` is ours: `socket`, `relayed`, `mapped`, `server`, `preference`. */
	RELAYS_EVENT_UP,
	/* `relay` is not to be offered any more; paths over it should move. */
	RELAYS_EVENT_RETIRED,
	/* It is after all. */
	RELAYS_EVENT_OFFERED,
	/* `relay` is gone; `is_lost`: we have not given it back. */
	RELAYS_EVENT_DOWN,
	/* Packets over `relay` to `peer` go another way now: see relays_describe(). */
	RELAYS_EVENT_CHANNEL,
	/* ChannelData may come to `socket` from `server`, or not any more. */
	RELAYS_EVENT_SERVER_ADD,
	RELAYS_EVENT_SERVER_REMOVE,
	/* `stream` to `server`, TLS or not: see relays_stream_name(). */
	RELAYS_EVENT_STREAM_OPEN,
	RELAYS_EVENT_STREAM_CLOSE,
	/* One more socket with the address of `socket` is needed, on another port. */
	RELAYS_EVENT_WANT_SOCKET,
};

struct relays_event {
	enum relays_event_type type;
	uint16_t relay;
	uint16_t socket; /* ICE_NO_SOCKET for a stream */
	uint16_t preference;
	uint32_t stream;
	uint32_t server_id;
	bool tls, is_lost;
	struct netaddr relayed, mapped, server, peer;
};

/* Bytes of `peer` that came through `relay`, inside the input. */
struct relays_data {
	uint16_t relay;
	struct netaddr peer;
	const uint8_t *bytes;
	size_t len;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err relays_create(struct relays **ret, const struct random_source *random);
/* Wipes and frees; tells the servers nothing. */
void relays_destroy(struct relays *r);
/* Gives back every allocation over UDP, once: pop_transmit has the messages. One over a stream goes
 * with the stream, which may still have to carry what waits for it. */
void relays_release_all(struct relays *r, uint64_t now_us);

/* See overlay_set_relay_servers(). Return: OK, ERR_LIMIT, ERR_INVALID, then nothing was changed. */
MUST_USE enum err relays_set_servers(struct relays *r, uint64_t now_us,
				     const struct overlay_relay_server *servers, size_t count);
/* @is_spare: a second socket at an address that has one. More than there is room for are not
 *            used. */
void relays_add_socket(struct relays *r, uint64_t now_us, uint16_t socket,
		       const struct netaddr *base, uint16_t local_preference, bool is_spare);
void relays_remove_socket(struct relays *r, uint64_t now_us, uint16_t socket);

/* One datagram whose first byte is 0..3 or 64..79. Return: false when it is none of an
 * allocation's; else *ret_err has OK or why it was dropped, and ret->relay is 0 unless there is
 * data. */
bool relays_input(struct relays *r, uint64_t now_us, uint16_t socket, const struct netaddr *from,
		  const uint8_t *buf, size_t len, struct relays_data *ret, enum err *ret_err);

void relays_on_stream_open(struct relays *r, uint64_t now_us, uint32_t stream);
/* Takes bytes of a stream from *buf, *len, up to the first data in them. Return: true with data,
 * valid until the next call; false when all bytes were taken. *ret_err as above. */
bool relays_stream_input(struct relays *r, uint64_t now_us, uint32_t stream, const uint8_t **buf,
			 size_t *len, struct relays_data *ret, enum err *ret_err);
/* Closed by the other end, or it could not be opened. */
void relays_on_stream_closed(struct relays *r, uint64_t now_us, uint32_t stream);

uint64_t relays_next_deadline(const struct relays *r);
void relays_on_deadline(struct relays *r, uint64_t now_us);
bool relays_pop_event(struct relays *r, struct relays_event *ret);
/* The next request for a server over UDP. @cap: TURN_REQUEST_MAX_BYTES. */
bool relays_pop_transmit(struct relays *r, struct ice_transmit *ret, uint8_t *buf, size_t cap);
/* What the certificate of the stream's other end has to be for. NULL for an unknown stream. */
const char *relays_stream_name(const struct relays *r, uint32_t stream);
/* The next message for @stream. Return: false when there is none. */
bool relays_pop_stream(struct relays *r, uint32_t stream, uint8_t *buf, size_t cap,
		       size_t *ret_len);

/* A candidate may still come: the description should not say that it is the last. */
bool relays_is_pending(const struct relays *r);

/* ICE is going to send to @peer over @relay. An unknown relay is fine. */
void relays_permit(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer);
/* @peer is the end of a path over @relay: a channel is asked for. */
void relays_bind(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer);
/* Wraps @len bytes for @peer, at the time of the last input. Over UDP *ret and @out say what to
 * send; over a stream it was queued and ret->len is 0. Return: OK; DROP_STATE: an unknown relay;
 * DROP_BLOCKED: the server refuses that peer; DROP_QUEUE_FULL; ERR_NO_SPACE, ERR_WRONG_STATE. */
MUST_USE enum err relays_wrap(struct relays *r, uint16_t relay, const struct netaddr *peer,
			      const uint8_t *in, size_t len, struct ice_transmit *ret, uint8_t *out,
			      size_t cap);
/* How the data plane reaches @peer over @relay by itself. Return: false when it cannot: over a
 * stream, and as long as there is no channel. */
bool relays_describe(const struct relays *r, uint64_t now_us, uint16_t relay,
		     const struct netaddr *peer, struct netaddr *ret_server, uint16_t *ret_channel);
/* True when paths over @relay should move to another one. */
bool relays_is_retired(const struct relays *r, uint16_t relay);
/* The id of the server of @relay and the transport to it. Return: false for an unknown relay. */
bool relays_server_of(const struct relays *r, uint16_t relay, uint32_t *ret_id,
		      enum turn_transport *ret_transport);

/* A relayed path, here or there, does not work: are our allocations still there? A server that was
 * restarted does not say so by itself. */
void relays_verify(struct relays *r, uint64_t now_us);
/* Which paths there are: begin, mark each, sweep. @heard_us: when the data plane last had something
 * of the peer; after @patience_us without anything the server is asked. True when a sweep is worth
 * it now. */
bool relays_wants_sweep(const struct relays *r, uint64_t now_us);
void relays_mark_begin(struct relays *r);
void relays_mark(struct relays *r, uint64_t now_us, uint16_t relay, const struct netaddr *peer,
		 uint64_t heard_us, uint64_t patience_us);
void relays_sweep(struct relays *r, uint64_t now_us);

/* Server @i of the list. Return: false when there are fewer. */
bool relays_info(const struct relays *r, size_t i, struct overlay_relay_info *ret);

#endif
