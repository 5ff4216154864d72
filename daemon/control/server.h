/*
 * The control socket: Varlink (varlink.org) on a Unix stream socket.
 *
 * Theory of operation. A message is a JSON object that ends in a NUL byte. A client sends
 * {"method": "net.icetun.Control.Status"}, we answer {"parameters": {...}} or {"error": name,
 * "parameters": {...}}; with "more": true a method may answer several times, each time but the
 * last with "continues": true. docs/icetun.varlink defines methods, types and errors; it is part
 * of this library and is what org.varlink.service.GetInterfaceDescription returns.
 *
 * The server knows JSON and permissions; the application knows the daemon. For each method that is
 * well formed and allowed the server calls one function of `struct control_ops`. Status and Peers
 * fill in plain structures there and then. The others get a `struct control_call` and answer when
 * they can: at once, or later from the event loop.
 *
 *	struct control_call: op(call) -> [control_reply_*(last = false)]... -> one final reply
 *	                                             or: cancelled(call), the client has gone
 *
 * The final reply and `cancelled` each end the call: the pointer is dead afterwards. Exactly one
 * of the two happens. `cancelled` comes from the event loop, never from within a
 * control_reply_*().
 *
 * Who may do what: the kernel lets only root and the group of the socket connect (mode 0660); in
 * addition SO_PEERCRED decides. Status, Peers, Ping and Events: root, the daemon's user, and
 * members of the group. Join, Leave, Up, Down and RestartIce: root and the daemon's user; others
 * get org.varlink.service.PermissionDenied.
 *
 * Nothing here waits and everything is bounded: CONTROL_MAX_CLIENTS connections, a message of
 * CONTROL_MAX_MESSAGE_BYTES, the same again for messages sent ahead of the answer, and
 * CONTROL_MAX_OUTPUT_BYTES of answers that a client has not read. Who breaks one of these, or
 * sends what is not JSON or not Varlink, is disconnected and counted.
 */
#ifndef ICETUN_CONTROL_SERVER_H
#define ICETUN_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "daemon/control/status.h"
#include "daemon/core/base/err.h"
#include "daemon/core/base/problem.h"

#define CONTROL_MAX_CLIENTS	  32
#define CONTROL_MAX_MESSAGE_BYTES 65536
#define CONTROL_MAX_OUTPUT_BYTES  (4u << 20)
/* Ping: what a client may ask for. */
#define CONTROL_PING_MAX_COUNT	     1000000
#define CONTROL_PING_MIN_INTERVAL_MS 10
#define CONTROL_PING_MAX_INTERVAL_MS 3600000
#define CONTROL_PING_INTERVAL_MS     1000

struct control_server;
/* One request that awaits its answer. */
struct control_call;

/* What the application does. Every pointer is set. @ctx: as in control_params. */
struct control_ops {
	/* @ret: from control_status_init(). */
	void (*status)(void *ctx, struct control_status *ret);
	/* Peer number @index in any fixed order, from 0. @ret: from control_peer_init().
	 * Return: false behind the last one. */
	bool (*peer)(void *ctx, size_t index, struct control_peer *ret);
	/* @token: as given, not checked. @name: a valid identifier. Both die with the call of this
	 * function. Answer: control_reply_joined() or a problem. */
	void (*join)(void *ctx, struct control_call *call, const char *token, const char *name);
	/* Goes down and forgets the membership. Answer: control_reply_done() or a problem. */
	void (*leave)(void *ctx, struct control_call *call);
	/* Answer: control_reply_progress()... and, when up, the last of them; or a problem. */
	void (*up)(void *ctx, struct control_call *call);
	void (*down)(void *ctx, struct control_call *call);
	/* @peer: a valid identifier or the text of an overlay address. Sends @count requests
	 * @interval_ms apart; one control_reply_pong() for each, the last one with last = true. */
	void (*ping)(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		     uint32_t interval_ms);
	/* @peer: as for ping. Answer: control_reply_done() or a problem. */
	void (*restart)(void *ctx, struct control_call *call, const char *peer);
	/* Whether the switch of an offload is on. */
	bool (*offload)(void *ctx, enum control_offload which);
	/* Answer: control_reply_done(). */
	void (*set_offload)(void *ctx, struct control_call *call, enum control_offload which,
			    bool on);
	/* From now on control_reply_event() for whatever happens, until it is cancelled; or a
	 * problem. */
	void (*events)(void *ctx, struct control_call *call);
	/* The client has gone; @call is dead after this returns. What it began goes on (join, up,
	 * down, leave: nobody hears of the end); a ping stops. */
	void (*cancelled)(void *ctx, struct control_call *call);
};

struct control_params {
	uv_loop_t *loop;	       /* outlives the server */
	const char *path;	       /* of the socket, absolute, shorter than 108 bytes; copied */
	gid_t group;		       /* owns the socket; (gid_t)-1: the daemon's own group */
	const struct control_ops *ops; /* outlives the server */
	void *ctx;
};

/* What has come in and what was refused. */
struct control_counters {
	uint64_t accepted;
	uint64_t calls;
	uint64_t refused_clients; /* above CONTROL_MAX_CLIENTS */
	uint64_t malformed;	  /* disconnected: not JSON, not Varlink */
	uint64_t too_long;	  /* disconnected: a message or messages ahead above the limit */
	uint64_t slow;		  /* disconnected: did not read its answers */
	uint64_t denied;	  /* PermissionDenied */
};

/*
 * Makes the socket and serves it from @params->loop. Makes the directory of the socket when it is
 * missing (mode 0750, same group). A socket that a dead daemon left behind is replaced.
 *
 * Return: OK; ERR_EXISTS when a daemon answers on that socket; ERR_INVALID for a path that is
 * relative, too long, or taken by something that is no socket; ERR_PERMISSION; ERR_NO_MEMORY;
 * ERR_SYSTEM. On failure nothing is left behind and errno tells more.
 */
MUST_USE enum err control_server_create(struct control_server **ret,
					const struct control_params *params);

/*
 * Closes every connection and removes the socket. Open calls are cancelled at once, from within
 * this function. The memory goes when the loop has run the closing of the handles: run it
 * afterwards until it has none left. NULL is fine.
 */
void control_server_destroy(struct control_server *s);

const struct control_counters *control_server_counters(const struct control_server *s);
size_t control_server_clients(const struct control_server *s);

/* For the application's own use; NULL at first. */
void control_call_set_data(struct control_call *call, void *data);
void *control_call_get_data(const struct control_call *call);

/* Ends @call: Leave and Down are done. */
void control_reply_done(struct control_call *call);

struct control_joined {
	char network[CONTROL_NAME_BYTES];
	char name[CONTROL_NAME_BYTES];
	struct netaddr addresses[CONTROL_MAX_ADDRESSES];
	size_t address_count;
};

/* Ends @call: the membership is saved. */
void control_reply_joined(struct control_call *call, const struct control_joined *joined);

/* One step of Up. @text: a sentence for people. @last: ends the call; without it nothing is sent to
 * a client that did not ask for more. */
void control_reply_progress(struct control_call *call, enum control_state state, const char *text,
			    bool last);

struct control_pong {
	uint32_t seq; /* from 1 */
	bool lost;    /* no reply in time; then the rest does not count */
	uint64_t rtt_us;
	char name[CONTROL_NAME_BYTES];
	struct netaddr address; /* in the overlay */
	bool has_path;
	struct control_path path; /* over which the reply came */
};

/* One reply of Ping, or its absence. @last: ends the call. */
void control_reply_pong(struct control_call *call, const struct control_pong *pong, bool last);

/* Something that has happened, for people and programs. */
struct control_event {
	enum control_event_kind kind;
	uint64_t unix_us;
	char peer[CONTROL_NAME_BYTES]; /* "" = none */
	char text[CONTROL_TEXT_BYTES]; /* a sentence */
	bool has_state;
	enum control_peer_state state;
	bool has_path;
	struct control_path path;
};

/* One reply of Events. */
void control_reply_event(struct control_call *call, const struct control_event *event);

/* Ends @call. @problem: one with problem_is_wire(), else it is told as PROBLEM_INTERNAL.
 * @detail: a fragment that names the thing ("10.0.0.0/8 via eth0"), or NULL. */
void control_reply_problem(struct control_call *call, enum problem problem, const char *detail);

#endif
