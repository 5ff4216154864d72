/*
 * The process: what icetund does between its start and its end.
 *
 *	main.c       arguments, configuration, privileges, signals, exit codes
 *	app.c        the requests of ictl; joined or not, up or down
 *	join.c       one attempt to become a member
 *	run.c        what exists while the overlay is up, and how bytes and events flow through it
 *	network.c    what changes in the networks of this host, and what follows from it
 *	sockets.c    the local addresses and their UDP sockets
 *	servers.c    the STUN and TURN servers
 *	resolve.c    their names
 *	streams.c    TCP and TLS to TURN servers
 *	status.c     the snapshot that ictl shows
 *	ping.c       pings inside the tunnel
 *	privilege.c  what the process may do after its start
 *	memory.c     what it does not need while it is idle
 *
 * All of it runs on one thread, the libuv loop. It decides nothing about the protocol: it hands
 * bytes and time to `struct overlay`, and carries out what that says.
 */
#ifndef ICETUN_APP_APP_H
#define ICETUN_APP_APP_H

#include <uv.h>

#include "daemon/config/config.h"
#include "daemon/config/state.h"
#include "daemon/core/base/err.h"
#include "daemon/core/base/problem.h"

struct app;

struct app_params {
	uv_loop_t *loop;
	const struct config *config; /* outlives the app */
	struct state *state;	     /* outlives the app */
	gid_t control_group;
};

/* Opens the control socket. Return: OK; or what control_server_create() says. */
MUST_USE enum err app_create(struct app **ret, const struct app_params *params);
/* Comes up when the last word was `ictl up`. */
void app_start(struct app *a);
/* Says goodbye to the peers and closes everything; the loop ends by itself then. */
void app_stop(struct app *a);
/* After the loop has ended. */
void app_destroy(struct app *a);

#endif
