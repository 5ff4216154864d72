/*
 * Inside of the room: clients, calls and the table of methods. Only daemon/control and its tests
 * include this.
 *
 * Life of a request: client.c cuts the bytes into messages -> varlink.c parses one into a request
 * -> method.c finds the method, checks permission and parameters, makes a call and runs the handler
 * -> the application answers through reply.c -> client.c queues the bytes -> the call ends, the
 * next message is looked at.
 */
#ifndef ICETUN_CONTROL_INTERNAL_H
#define ICETUN_CONTROL_INTERNAL_H

#include <jansson.h>

#include "daemon/control/server.h"

#define CONTROL_INTERFACE "net.icetun.Control"
/* Connections that only root and the daemon's user may take, so that they always get in. */
#define CONTROL_RESERVED_CLIENTS 8
/* When all are taken, one that has been idle this long gives way. */
#define CONTROL_EVICT_AFTER_MS 1000
/* Messages of one client that are handled before the loop goes round. */
#define CONTROL_MESSAGES_PER_TURN 16
#define CONTROL_INPUT_BYTES	  (2 * CONTROL_MAX_MESSAGE_BYTES)

/* The contents of docs/icetun.varlink, made at build time. */
extern const char control_interface_text[];

enum control_access {
	CONTROL_ACCESS_NONE, /* neither root nor of the group; the socket's mode keeps it out */
	CONTROL_ACCESS_READ,
	CONTROL_ACCESS_CHANGE,
};

struct control_client {
	uv_pipe_t pipe;
	struct control_server *server;
	struct control_client *prev, *next;
	enum control_access access;
	uint64_t active_ms; /* of the loop's clock: when it last sent something */
	bool closing;
	struct control_call *call; /* the request being answered, or NULL */
	size_t in_start, in_end;   /* unread bytes in `in` */
	char in[CONTROL_INPUT_BYTES];
};

struct control_call {
	struct control_client *client;
	const struct control_method *method;
	bool more;
	bool oneway;
	void *data;
};

struct control_server {
	struct control_params params;
	char path[108];
	dev_t path_device;
	ino_t path_inode;
	uv_pipe_t listener;
	uv_idle_t resume; /* runs once when a client has messages left over */
	uv_idle_cb resume_cb;
	unsigned int handles; /* whose closing has not been reported: listener, resume, pipes */
	struct control_client *clients; /* also those that are closing */
	size_t client_count;		/* that are not closing */
	bool destroyed;
	struct control_counters counters;
};

/* socket.c: a listening socket for @params (see control_server_create() for the errors). */
MUST_USE enum err control_socket_open(const struct control_params *params, int *ret_fd);
/* What the process at the other end of @fd may do. */
enum control_access control_socket_access(int fd, gid_t group);

/* server.c: one handle less; the last one of a destroyed server frees it. */
void control_server_release(struct control_server *s);

/* client.c */
void control_client_accept(struct control_server *s);
/* Never calls the application: its call is cancelled when the loop reports the closing. */
void control_client_close(struct control_client *c);
/* Handles what has come in, at most CONTROL_MESSAGES_PER_TURN messages. */
void control_client_process(struct control_client *c);
/* Has control_client_process() called once the loop has gone round. */
void control_client_process_later(struct control_client *c);
/* Sends @message, an object, which it takes over; NULL (no memory) closes the client. */
void control_client_send(struct control_client *c, json_t *message);

/* varlink.c */
struct control_request {
	const char *method; /* inside of `json` */
	json_t *parameters; /* inside of `json`; NULL when there are none */
	bool more;
	bool oneway;
	bool upgrade;
	json_t *json;
};

/* Return: false when the bytes are no Varlink request; else json_decref(ret->json) is due. */
bool control_request_parse(const char *text, size_t len, struct control_request *ret);
/* A reply; takes over @parameters (NULL = no memory, gives NULL). */
json_t *control_varlink_reply(json_t *parameters, bool continues);
/* An error; @key and @value: its one parameter, or NULL. */
json_t *control_varlink_error(const char *name, const char *key, const char *value);

/* method.c */
enum control_parameter_type {
	CONTROL_PARAMETER_TEXT,
	CONTROL_PARAMETER_NUMBER,
	CONTROL_PARAMETER_SWITCH,
};

struct control_parameter {
	const char *name;
	enum control_parameter_type type;
	bool optional;
};

struct control_method {
	const char *name; /* with the interface */
	enum control_access access;
	bool many; /* may answer several times */
	struct control_parameter parameters[3];
	/* @parameters: checked against the list above; may be NULL when all are optional. */
	void (*handle)(struct control_call *call, const json_t *parameters);
};

const struct control_method *control_method_at(size_t index);
void control_method_dispatch(struct control_client *c, const struct control_request *request);

/* reply.c: ends @call with a Varlink message, or with one more step of it. */
void control_call_send(struct control_call *call, json_t *parameters, bool last);
void control_call_fail(struct control_call *call, json_t *error);
/* Tells the application that the client has gone. */
void control_call_cancel(struct control_call *call);

/* json.c: NULL without memory. */
json_t *control_status_json(const struct control_status *status, json_t *peers);
json_t *control_peer_json(const struct control_peer *peer);
json_t *control_path_json(const struct control_path *path);
json_t *control_addresses_json(const struct netaddr *addresses, size_t count);
/* Text that may hold anything: what is not UTF-8 becomes '?'. */
json_t *control_text_json(const char *text);

#endif
