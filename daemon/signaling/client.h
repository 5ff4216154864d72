/*
 * The connection to the rendezvous server, as the daemon's libuv loop sees it.
 *
 * libzmq can abort its process and looks up names in a blocking way, so the daemon does not link
 * it: `icetun-signal` does. This client starts that helper with a socket pair on descriptor 3 (the
 * frames are in frame.h), hands it the keys, passes frames on, and starts it again when it dies
 * (200 ms, doubling to 30 s). The tunnels notice nothing of all that.
 *
 *	struct signal_client *client;
 *
 *	err = signal_client_create(&client, &params);     // starts the helper
 *	err = signal_client_configure(client, &config);   // it connects, and stays connected
 *	...on_state(UP): tell the registrar; on_message: hand it the bytes
 *	err = signal_client_send(client, buf, len);
 *	signal_client_reconnect(client);                  // an address of this host has changed
 *	signal_client_destroy(client);                    // before the loop is closed; run the loop
 *
 * Each connection that ends is followed by DOWN(reason), then CONNECTING at each further try, so UP
 * after UP always has a DOWN between. UP means that the CURVE handshake has succeeded; the server
 * then speaks first (CHALLENGE). Tries are spaced by the helper: the first again within 0.4 s, then
 * at random within 1, 2, 4 ... 60 s.
 *
 * A message is delivered at most once, and frames that cannot be taken at the moment are dropped:
 * the protocol above repeats what matters. One thread: the loop's.
 */
#ifndef ICETUN_SIGNALING_CLIENT_H
#define ICETUN_SIGNALING_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/signaling/frame.h"

struct signal_client;

struct signal_client_params {
	uv_loop_t *loop;
	/* The helper program, or NULL to look for it: beside this program, in ../libexec/icetun
	 * from there, then where it was installed. */
	const char *helper_path;
	/* Run the helper as this user and group; otherwise as this process. A helper that is root
	 * becomes nobody by itself. */
	bool set_user;
	uid_t uid;
	gid_t gid;
	void *ctx;
	/* Both may call any function of the client, destroy included. @detail: what was tried, for
	 * logs; never NULL, valid during the call. */
	void (*on_state)(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
			 const char *detail);
	/* @buf: valid during the call. */
	void (*on_message)(void *ctx, const uint8_t *buf, size_t len);
};

/* Starts the helper. Return: OK; ERR_NO_MEMORY; ERR_NOT_FOUND when there is no helper program that
 * can be run; ERR_SYSTEM when no process or socket pair can be made. */
MUST_USE enum err signal_client_create(struct signal_client **ret,
				       const struct signal_client_params *params);
/* Ends the helper and frees the client in the next turns of the loop; no callback comes after this
 * call. NULL is fine. */
void signal_client_destroy(struct signal_client *c);

/* Connects as told, now and from now on; copied. The copy in this process is kept in secret memory,
 * because a new helper needs it again. Return: OK, ERR_INVALID for an endpoint that is not
 * "tcp://host:port" or a wrong count. */
MUST_USE enum err signal_client_configure(struct signal_client *c,
					  const struct signal_link_config *config);

/* Sends one message to the server. Return: OK when it is on its way; ERR_WRONG_STATE when the link
 * is not up; ERR_NO_SPACE above SIGNAL_FRAME_PAYLOAD_BYTES; DROP_QUEUE_FULL when the helper takes
 * no more at the moment. */
MUST_USE enum err signal_client_send(struct signal_client *c, const uint8_t *buf, size_t len);

/* Drops the connection and makes a new one at once, without waiting out a backoff: addresses or
 * routes of this host have changed, the server no longer answers, or somebody waits for it. A
 * helper that does not react within five seconds is killed and replaced. */
void signal_client_reconnect(struct signal_client *c);

enum signal_link_state signal_client_state(const struct signal_client *c);
/* Return: the process id of the helper, 0 while none runs. For status and tests. */
pid_t signal_client_helper_pid(const struct signal_client *c);
/* How often a helper has been started again. */
uint64_t signal_client_restarts(const struct signal_client *c);

#endif
