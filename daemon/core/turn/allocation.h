/*
 * One allocation at one TURN server (RFC 8656), as a state machine without a socket.
 *
 * An allocation is a transport address at the server, the *relayed* address, that belongs to one
 * 5-tuple: the client's socket (or stream) and the server's. What a peer sends to it reaches us
 * through the server, and the other way round. The owner has the socket:
 *
 *	turn_allocation_create(&a, &params, now_us);           // begins at once
 *	turn_allocation_input(a, now_us, buf, len, &data);     // what came from the server
 *	turn_allocation_on_deadline(a, now_us);                // at the next deadline
 *	...after each call: pop_transmit (to the server) and pop_event until they are empty
 *	turn_allocation_permit(a, now_us, &peer, 1);           // before the first packet to a peer
 *	turn_allocation_bind(a, now_us, &peer);                // 4 bytes a packet instead of 36
 *	turn_allocation_wrap(a, &peer, in, len, out, cap, &n); // and send `out` to the server
 *
 * On a stream, `input` takes one frame of frame.h and `pop_transmit` gives bytes to be written.
 * permit and bind may be called in every state: what is wanted is remembered, asked for when the
 * allocation stands, and asked for again after turn_allocation_restart(). permit and bind need one
 * round trip; the server handles requests in order, so that a packet sent right behind the request
 * (after pop_transmit was emptied) normally arrives as well.
 *
 * Authentication (RFC 8489 s. 9.2): the first request is bare; 401 brings realm and nonce; the key
 * is MD5(user:realm:password). A server whose nonce carries the nonce cookie and that offers
 * PASSWORD-ALGORITHMS gets MESSAGE-INTEGRITY-SHA256 and the first algorithm of its list that we
 * have (SHA-256 or MD5); one that offers username anonymity gets USERHASH. 438 brings a new nonce,
 * for every method. At most three challenges are answered for one request; a challenge with another
 * realm ends it. A response whose integrity is missing or wrong is dropped; if the request then
 * times out, the code of an unauthenticated error is taken as the reason.
 *
 * What an error code means for which method, and when it may be tried again, is one table: rules.c.
 *
 * Timers, in one place:
 *   request over UDP      sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s, given up at 39.5 s
 *   request on a stream   sent once, given up at 39.5 s
 *   Refresh               min(L/2, L - 60 s) +-10 % after the last success; L: the lifetime the
 *                         server granted (taken as at most 1 h); not below L/4
 *   permissions           240 s after the last success (they live 300 s), as many in one
 *                         CreatePermission as fit 548 bytes
 *   channels              240 s after the last success (they live 600 s); this renews the
 *                         permission of the same address as well
 *   channel number        free for another peer 300 s after its binding has expired
 *   keepalive (UDP)       a Binding request every 15 s +-20 %, for the NAT's mapping. An answer
 *                         with another mapped address, or three without answer from a server that
 *                         has answered before: Refresh at once
 *   Refresh unanswered    EXPIRING; again every 30 s while the allocation lives
 *   release               Refresh with lifetime 0, sent at 0, 0.5, 1.5 s, over at 3.5 s
 *   suspend               a deadline that is served more than 30 s late: Refresh at once
 *
 * Changing credentials without a cut. A server ties an allocation to its username (441), and there
 * is one allocation a 5-tuple (437), so new credentials of the REST scheme, where the username
 * carries the expiry, need a second allocation over another socket or stream:
 *   1. before the old credentials expire, create the second with the new ones, and
 *      turn_allocation_copy_peers(): it asks for the same permissions and channels;
 *   2. at its ALLOCATED, give its relayed address to ICE as a new candidate; restart ICE over it;
 *   3. when no path uses the first one any more: turn_allocation_release(), destroy after RELEASED.
 * The first one serves meanwhile; and even if its credentials are refused, it only becomes EXPIRING
 * and relays until the server's lifetime ends. A new password for the same username is simply set.
 *
 * Memory is allocated at creation only. A packet allocates nothing.
 */
#ifndef ICETUN_TURN_ALLOCATION_H
#define ICETUN_TURN_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"
#include "daemon/core/stun/message.h"

/* Most bytes that one pop_transmit writes. */
#define TURN_REQUEST_MAX_BYTES 2560
/* Most bytes that turn_allocation_wrap() adds: a Send indication to an IPv6 peer. */
#define TURN_WRAP_MAX_BYTES	52
#define TURN_USERNAME_MAX_BYTES 512
#define TURN_PASSWORD_MAX_BYTES 512
/* A domain name of ALTERNATE-DOMAIN with its NUL. */
#define TURN_DOMAIN_BYTES 256

/* ChannelData (RFC 8656 s. 12.4): number, length, bytes. */
#define TURN_CHANNEL_HEADER_BYTES 4
#define TURN_CHANNEL_MIN	  0x4000
#define TURN_CHANNEL_MAX	  0x4fff
/* turn_allocation_channel(): the peer has no channel. */
#define TURN_NO_CHANNEL 0

#define TURN_DEFAULT_PERMISSIONS 64
#define TURN_DEFAULT_CHANNELS	 128

enum turn_state {
	/* Allocate is on its way, first bare, then with credentials. Left by its answer, or
	 * silence. */
	TURN_ALLOCATING,
	/* `hold` was asked for and the server has answered with a challenge: it is there. Left by
	 * turn_allocation_proceed(). */
	TURN_HELD,
	/* The server says that this 5-tuple has an allocation already (437): Refresh with lifetime
	 * 0 is on its way, then Allocate is tried once more. */
	TURN_PURGING,
	/* The relayed address is ours and is kept. */
	TURN_ALLOCATED,
	/* Relays, but could not be renewed: the credentials are refused, or the server is silent.
	 * Left to ALLOCATED when a Refresh succeeds, to LOST at `expires_us`. */
	TURN_EXPIRING,
	/* turn_allocation_release(): Refresh with lifetime 0 is on its way. Left to RELEASED. */
	TURN_RELEASING,
	/* Given up by us. This and the following three are left by turn_allocation_restart()
	 * only. */
	TURN_RELEASED,
	/* The server names another one (300), see the event ALTERNATE. */
	TURN_REDIRECTED,
	/* There never was an allocation, see the event FAILED. */
	TURN_FAILED,
	/* The allocation is gone, see the event LOST. */
	TURN_LOST,
	TURN_STATE_COUNT
};

/* Why, for people; the sentences are turn_problem_text(). */
#define TURN_PROBLEM_TABLE(X)                                                                      \
	X(NONE, "none", "nothing is wrong")                                                        \
	X(SILENT, "silent", "the TURN server does not answer")                                     \
	X(CREDENTIALS, "credentials", "the TURN server refuses the user name or password")         \
	X(REALM, "realm", "the TURN server changed its realm in the middle of a request")          \
	X(DOWNGRADE, "downgrade",                                                                  \
	  "the TURN server's list of password algorithms is missing or has none that we have")     \
	X(MISMATCH, "mismatch", "the TURN server still has an older allocation of this socket")    \
	X(FORBIDDEN, "forbidden", "the TURN server forbids it")                                    \
	X(FAMILY, "family", "the TURN server does not relay this address family")                  \
	X(TRANSPORT, "transport", "the TURN server does not relay UDP")                            \
	X(QUOTA, "quota", "the TURN server's limit for this user is reached")                      \
	X(CAPACITY, "capacity", "the TURN server has no relayed address left")                     \
	X(SERVER, "server", "the TURN server reports an error of its own")                         \
	X(PROTOCOL, "protocol", "the TURN server answers what a TURN server should not")           \
	X(ALTERNATE, "alternate", "the TURN server names another server that cannot be used")      \
	X(REFUSED, "refused", "the TURN server refuses with a code that we do not know")           \
	X(GONE, "gone", "the TURN server has forgotten the allocation")                            \
	X(EXPIRED, "expired", "the allocation could not be renewed in time")                       \
	X(SYNC, "sync", "the TURN server disagrees about a channel")                               \
	X(INTERNAL, "internal", "a cryptographic operation failed")

enum turn_problem {
#define X(code, name, text) TURN_PROBLEM_##code,
	TURN_PROBLEM_TABLE(X)
#undef X
		TURN_PROBLEM_COUNT
};

enum turn_event_type {
	/* `relayed` (and `relayed_other`) is ours; `mapped` is our address as the server sees it.
	 * `expires_us`. */
	TURN_EVENT_ALLOCATED,
	/* The server is there and waits for credentials: turn_allocation_proceed() or destroy. */
	TURN_EVENT_CHALLENGED,
	/* No allocation: `problem`, `code` (0: no STUN error), `retry_us`: how long to wait before
	 * the same is tried again, 0 = not before something has changed (credentials, server).
	 * After MISMATCH use another socket at once; this one again after `retry_us`. */
	TURN_EVENT_FAILED,
	/* It could not be renewed, `problem`, `code`; it may still relay until `expires_us`. Get
	 * another one now. */
	TURN_EVENT_EXPIRING,
	/* After EXPIRING: renewed after all. */
	TURN_EVENT_RENEWED,
	/* The allocation is gone: `problem`, `code`, `retry_us`. */
	TURN_EVENT_LOST,
	/* Try `server` instead (and its name `domain`, if not "", for its certificate): connect or
	 * aim the socket there, then turn_allocation_restart() with it. */
	TURN_EVENT_ALTERNATE,
	/* Refresh 0 was answered, or nobody answered: destroy it. */
	TURN_EVENT_RELEASED,
	/* `peer` (its port is 0): the server lets its packets through. Once after it was asked
	 * for. */
	TURN_EVENT_PERMITTED,
	/* `peer` has the channel `channel`. Once after it was asked for. */
	TURN_EVENT_CHANNEL,
	/* The server refuses `peer` (port 0: the permission, else the channel): `problem`, `code`.
	 * It is not asked for again until it is permitted or bound anew. */
	TURN_EVENT_PEER_REFUSED,
};

struct turn_event {
	enum turn_event_type type;
	void *cookie; /* of the params */
	enum turn_problem problem;
	uint16_t code;
	uint64_t retry_us;
	uint64_t expires_us;
	struct netaddr relayed;
	struct netaddr relayed_other; /* the IPv6 one when both were asked for and granted */
	struct netaddr mapped;
	struct netaddr server;
	struct netaddr peer;
	uint16_t channel;
	char domain[TURN_DOMAIN_BYTES];
};

struct turn_params {
	struct random_source random;
	struct netaddr server; /* where the owner sends to */
	bool stream;	       /* TCP or TLS instead of UDP */
	/* Stop at the first challenge, with the event CHALLENGED: so the owner can ask a server
	 * over IPv4 and IPv6 and go on with whichever answers first (RFC 8656 s. 3.9). */
	bool hold;
	const char *username, *password; /* UTF-8, prepared (RFC 8265); copied */
	/* Of the relayed address: NETADDR_IP4, NETADDR_IP6; or NETADDR_NONE: both over one
	 * allocation (ADDITIONAL-ADDRESS-FAMILY), IPv4 alone where the server has not got both. */
	uint8_t family;
	uint16_t max_permissions; /* 0 = TURN_DEFAULT_PERMISSIONS, at most 1024 */
	uint16_t max_channels;	  /* 0 = TURN_DEFAULT_CHANNELS, at most 4096 */
	void *cookie;
};

enum turn_data_kind {
	TURN_DATA_NONE,	 /* it was for the allocation itself */
	TURN_DATA_BYTES, /* `peer` sent `len` bytes (perhaps 0) at `bytes` */
	TURN_DATA_ICMP,	 /* a router said that a packet to `peer` did not arrive: only a hint */
};

struct turn_data {
	enum turn_data_kind kind;
	struct netaddr peer;
	const uint8_t *bytes; /* inside the input */
	size_t len;
	uint8_t icmp_type, icmp_code; /* of ICMP or ICMPv6, by the family of `peer` */
	uint32_t icmp_data;	      /* the MTU for "too big" */
};

struct turn_allocation;

/* Begins: Allocate waits in pop_transmit.
 * Return: OK; ERR_INVALID: no server, credentials missing or too long, limits; ERR_NO_MEMORY. */
MUST_USE enum err turn_allocation_create(struct turn_allocation **ret,
					 const struct turn_params *params, uint64_t now_us);
/* Tells the server nothing. */
void turn_allocation_destroy(struct turn_allocation *a);

/* Takes one datagram (or one frame of a stream) whose source was compared with the server's
 * address. ChannelData is accepted from the moment the bind was asked for (RFC 8656 s. 12), padded
 * or not. Data of an address without permission is dropped.
 * Return: OK, *ret says what it was; DROP_TRUNCATED, DROP_MALFORMED, DROP_FINGERPRINT;
 * DROP_UNKNOWN_TYPE: neither STUN nor ChannelData, or a request; DROP_NO_TRANSACTION;
 * DROP_INTEGRITY; DROP_STATE: data of a peer or channel that was not asked for. On DROP_*
 * ret->kind is NONE and nothing has changed. */
MUST_USE enum err turn_allocation_input(struct turn_allocation *a, uint64_t now_us,
					const uint8_t *buf, size_t len, struct turn_data *ret);
/* True when @txid is of an outstanding request: for sockets that are shared with ICE. */
bool turn_allocation_expects(const struct turn_allocation *a,
			     const uint8_t txid[static STUN_TXID_BYTES]);

/* The same for a whole datagram that came from the server: one of ours, a Data indication, or
 * ChannelData. Anything else is for somebody else who shares the socket. */
bool turn_allocation_wants(const struct turn_allocation *a, const uint8_t *buf, size_t len);

uint64_t turn_allocation_next_deadline(const struct turn_allocation *a);
void turn_allocation_on_deadline(struct turn_allocation *a, uint64_t now_us);
/* Writes the next message for the server. @cap: TURN_REQUEST_MAX_BYTES. Return: false when there is
 * none. */
bool turn_allocation_pop_transmit(struct turn_allocation *a, uint8_t *buf, size_t cap,
				  size_t *ret_len);
bool turn_allocation_pop_event(struct turn_allocation *a, struct turn_event *ret);

/* After CHALLENGED. Return: OK, ERR_WRONG_STATE. */
MUST_USE enum err turn_allocation_proceed(struct turn_allocation *a, uint64_t now_us);
/* Begins anew, from RELEASED, REDIRECTED, FAILED or LOST, at @server (NULL: the same as before),
 * over a socket or stream of the owner's choice. What was permitted and bound is asked for again.
 * Return: OK; ERR_WRONG_STATE; ERR_INVALID. */
MUST_USE enum err turn_allocation_restart(struct turn_allocation *a, uint64_t now_us,
					  const struct netaddr *server);
/* Gives it back; see RELEASED. From every state; at once where there is nothing to give back. */
void turn_allocation_release(struct turn_allocation *a, uint64_t now_us);
/* Refreshes now: after a suspend or a change of routes, when nobody knows what the NAT has kept;
 * and when nothing comes through any more. A Refresh that has waited for a second begins anew. */
void turn_allocation_verify(struct turn_allocation *a, uint64_t now_us);
/* The stream was closed: LOST or FAILED with SILENT. */
void turn_allocation_on_stream_closed(struct turn_allocation *a, uint64_t now_us);

/* For all requests from now on. While an allocation stands, only with its own username.
 * Return: OK; ERR_WRONG_STATE: another username, make a second allocation (see above);
 * ERR_INVALID. */
MUST_USE enum err turn_allocation_set_credentials(struct turn_allocation *a, uint64_t now_us,
						  const char *username, const char *password);

/* Wants a permission for each of the @count addresses; ports are not looked at (RFC 8656 s. 9).
 * Counted: each permit of an address wants one unpermit. An address of a family that was not asked
 * for is refused.
 * Return: OK; ERR_INVALID: the family; ERR_LIMIT: max_permissions, then none of them was taken. */
MUST_USE enum err turn_allocation_permit(struct turn_allocation *a, uint64_t now_us,
					 const struct netaddr *ips, size_t count);
/* It is not renewed any more. The server forgets it within 300 s. */
void turn_allocation_unpermit(struct turn_allocation *a, const struct netaddr *ip);
/* The server has confirmed it and it has not run out. */
bool turn_allocation_is_permitted(const struct turn_allocation *a, uint64_t now_us,
				  const struct netaddr *ip);

/* Wants a channel for @peer, and with it the permission of its address. Not counted.
 * Return: OK, also when it is there already; ERR_INVALID: the family; ERR_LIMIT: no number is free,
 * wrap() goes on with Send indications. */
MUST_USE enum err turn_allocation_bind(struct turn_allocation *a, uint64_t now_us,
				       const struct netaddr *peer);
/* It is not renewed any more; its number rests until it may be used again. The channel goes on
 * while it lives at the server, and a new bind of the same peer takes it up. */
void turn_allocation_unbind(struct turn_allocation *a, const struct netaddr *peer);
/* Return: the channel of @peer that may be used now, or TURN_NO_CHANNEL. */
uint16_t turn_allocation_channel(const struct turn_allocation *a, uint64_t now_us,
				 const struct netaddr *peer);

/* Permits and binds in @to what @from wants; see above. What @to has no room for is left out. */
void turn_allocation_copy_peers(struct turn_allocation *to, const struct turn_allocation *from,
				uint64_t now_us);

/* Makes of @len bytes for @peer what is to be sent to the server: ChannelData when there is a
 * channel (padded to four bytes on streams only, RFC 8656 s. 12.5), else a Send indication. @out
 * may be equal to @in only if it is @in - TURN_CHANNEL_HEADER_BYTES and there is a channel.
 * Return: OK; ERR_WRONG_STATE: no allocation; ERR_NOT_FOUND: not permitted, not even asked for;
 * ERR_NO_SPACE. */
MUST_USE enum err turn_allocation_wrap(struct turn_allocation *a, uint64_t now_us,
				       const struct netaddr *peer, const uint8_t *in, size_t len,
				       uint8_t *out, size_t cap, size_t *ret_len);

enum turn_state turn_allocation_state(const struct turn_allocation *a);
/* True in ALLOCATED and EXPIRING. */
bool turn_allocation_is_usable(const struct turn_allocation *a);
/* Until when the server keeps it if nothing more is heard; 0 when there is none. */
uint64_t turn_allocation_expires_us(const struct turn_allocation *a);
/* Family NETADDR_NONE while there is none. */
const struct netaddr *turn_allocation_relayed(const struct turn_allocation *a);
const struct netaddr *turn_allocation_server(const struct turn_allocation *a);
/* "allocating", "held", "purging", "allocated", ... */
const char *turn_state_name(enum turn_state state);
/* "credentials", for logs and JSON */
const char *turn_problem_name(enum turn_problem problem);
/* A sentence fragment without capital and full stop. */
const char *turn_problem_text(enum turn_problem problem);

#endif
