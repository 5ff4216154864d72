/*
 * A real rendezvous server program and hosts that talk to it through the real helper program, over
 * loopback TCP, for end-to-end tests. One libuv loop; a test waits for what it wants to see, with a
 * limit, and never merely for time to pass.
 */
#ifndef ICETUN_TEST_RENDEZVOUS_WORLD_H
#define ICETUN_TEST_RENDEZVOUS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>
#include <uv.h>

#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/token.h"
#include "daemon/core/signal/joiner.h"
#include "daemon/core/signal/message.h"
#include "daemon/core/signal/registrar.h"
#include "daemon/signaling/client.h"

struct world {
	uv_loop_t loop;
	uv_timer_t tick;
	char dir[64];
	int port;
	int stun_port;
	pid_t server;
	int server_log; /* its stderr */
	struct host *hosts[8];
	size_t host_count;
};

struct host {
	struct world *world;
	char name[IDENTIFIER_BYTES];
	struct dh_keypair noise;
	struct dh_keypair curve;
	struct signal_client *client;
	struct joiner *joiner;
	struct registrar *registrar;
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
	enum signal_link_reason reason; /* of the last DOWN */
	unsigned ups;
	unsigned refusals;
	struct signal_message last[SIGNAL_TYPE_COUNT]; /* the last message of each type; */
	uint8_t body[SIGNAL_BODY_MAX_BYTES];	       /* the last DELIVER's body; */
	unsigned seen[SIGNAL_TYPE_COUNT];	       /* and how many there were */
};

/* Makes a network in a new directory and starts its server. */
void world_init(struct world *w);
/* Ends everything; fails the test if the server had died, or ends with anything but 0. */
void world_fini(struct world *w);
void world_start_server(struct world *w);
/* SIGKILL. */
void world_kill_server(struct world *w);
bool world_server_lives(struct world *w);
/* Runs the server program with @args (up to NULL) behind its name.
 * Return: its exit code; its standard output is in @out, its standard error in @err. */
int world_command(struct world *w, const char *const *args, char *out, size_t out_cap, char *err,
		  size_t err_cap);
void world_token(struct world *w, const char *uses, struct token *ret);
/* The configuration for a client of this server. */
void world_link_config(struct world *w, struct signal_link_config *ret);

/* Runs the loop until @is_true or the limit. Return: is_true. */
bool world_wait(struct world *w, bool (*is_true)(void *ctx), void *ctx, unsigned limit_ms);

/* A host with new keys that connects, with its helper. */
struct host *host_new(struct world *w, const char *name);
void host_free(struct host *h);
/* Joins with @token, waits for the outcome. Return: the joiner's state. */
enum joiner_state host_join(struct host *h, const struct token *token);
/* Gives the host a certificate made with the authority's key, whatever it says. */
void host_forge_certificate(struct host *h, const char *name);
/* Registers from now on. @epoch as registrar.h has it. */
void host_register(struct host *h, uint64_t epoch);
void host_send(struct host *h, const struct signal_message *m);
/* For world_wait(); ctx is the host. */
bool host_is_registered(void *ctx);
bool host_is_refused(void *ctx);

#endif
