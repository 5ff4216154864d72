/*
 * Any bytes on the control socket, in two pieces: the real server, on a real socket. Every byte
 * that comes back belongs to a Varlink reply, every call is answered or cancelled once, and the
 * connection leaves nothing behind.
 */
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control/server.h"
#include "daemon/log/log.h"
#include "tests/fuzz/fuzz.h"

#define MAX_INPUT_BYTES 4096
#define MAX_TURNS	2000

/* One server for all runs; its calls are counted for each. */
static struct {
	uv_loop_t loop;
	struct control_server *server;
	char directory[32], path[48];
	struct control_call *open;
	unsigned int begun, ended;
} root;

static void on_status(void *ctx, struct control_status *ret)
{
	(void)ctx;
	ret->state = CONTROL_STATE_UP;
}

static bool on_peer(void *ctx, size_t index, struct control_peer *ret)
{
	(void)ctx;
	strcpy(ret->name, "bob");
	return index < 2;
}

static void on_join(void *ctx, struct control_call *call, const char *token, const char *name)
{
	(void)ctx;
	fuzz_check(strlen(name) > 0 && strlen(name) < CONTROL_NAME_BYTES);
	root.begun++;
	root.ended++;
	control_reply_problem(call, PROBLEM_TOKEN_BAD, token);
}

static void on_done(void *ctx, struct control_call *call)
{
	(void)ctx;
	root.begun++;
	root.ended++;
	control_reply_done(call);
}

/* Up never ends: what stands behind it waits until the client goes. */
static void on_up(void *ctx, struct control_call *call)
{
	(void)ctx;
	fuzz_check(!root.open);
	root.begun++;
	root.open = call;
	control_reply_progress(call, CONTROL_STATE_STARTING, "step", false);
}

static void on_ping(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		    uint32_t interval_ms)
{
	struct control_pong pong = {.seq = 1};

	(void)ctx;
	(void)peer;
	fuzz_check(count >= 1 && count <= CONTROL_PING_MAX_COUNT);
	fuzz_check(interval_ms >= CONTROL_PING_MIN_INTERVAL_MS);
	root.begun++;
	root.ended++;
	if (count > 1)
		control_reply_pong(call, &pong, false);
	control_reply_pong(call, &pong, true);
}

static void on_cancelled(void *ctx, struct control_call *call)
{
	(void)ctx;
	fuzz_check(call == root.open);
	root.open = NULL;
	root.ended++;
}

static void on_restart(void *ctx, struct control_call *call, const char *peer)
{
	(void)ctx;
	(void)peer;
	root.begun++;
	root.ended++;
	control_reply_done(call);
}

static bool on_offload(void *ctx, enum control_offload which)
{
	(void)ctx;
	return which == CONTROL_OFFLOAD_UDP_GRO;
}

static void on_set_offload(void *ctx, struct control_call *call, enum control_offload which,
			   bool on)
{
	(void)ctx;
	(void)on;
	fuzz_check(which < CONTROL_OFFLOAD_COUNT);
	root.begun++;
	root.ended++;
	control_reply_done(call);
}

static const struct control_ops ops = {
	.status = on_status,
	.peer = on_peer,
	.join = on_join,
	.leave = on_done,
	.up = on_up,
	.down = on_done,
	.ping = on_ping,
	.restart = on_restart,
	.offload = on_offload,
	.set_offload = on_set_offload,
	.events = on_up,
	.cancelled = on_cancelled,
};

static void drop_line(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	(void)line;
	(void)len;
}

static uint64_t no_time(void *ctx)
{
	(void)ctx;
	return 0;
}

static void stop(void)
{
	control_server_destroy(root.server);
	uv_run(&root.loop, UV_RUN_DEFAULT);
	uv_loop_close(&root.loop);
	rmdir(root.directory);
}

static void start(void)
{
	struct log_sink sink = {.write = drop_line, .now_us = no_time};
	struct control_params params = {
		.loop = &root.loop, .path = root.path, .group = (gid_t)-1, .ops = &ops};

	log_start(LOG_LEVEL_ERROR, &sink);
	strcpy(root.directory, "/tmp/icetun-fuzz-XXXXXX");
	fuzz_check(mkdtemp(root.directory));
	snprintf(root.path, sizeof(root.path), "%s/sock", root.directory);
	uv_loop_init(&root.loop);
	fuzz_check(control_server_create(&root.server, &params) == OK);
	atexit(stop);
}

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, root.path);
	fuzz_check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void check_reply(const char *text, size_t len)
{
	json_t *reply = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	fuzz_check(json_is_object(json_object_get(reply, "parameters")));
	json_decref(reply);
}

/* Reads what is there and checks each whole reply. */
static void drain(int fd, char *buf, size_t cap, size_t *len)
{
	ssize_t n = recv(fd, buf + *len, cap - *len, 0);
	char *end;

	if (n > 0)
		*len += (size_t)n;
	while ((end = memchr(buf, '\0', *len))) {
		check_reply(buf, (size_t)(end - buf));
		*len -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, *len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char buf[1 << 20];
	size_t cut, len = 0;
	int fd;

	if (size < 1 || size > MAX_INPUT_BYTES)
		return 0;
	if (!root.server)
		start();
	root.begun = root.ended = 0;
	cut = data[0] * (size - 1) / 255;
	data++;
	size--;
	fd = dial();
	(void)!send(fd, data, cut, MSG_NOSIGNAL);
	for (int i = 0; i < 3; i++) {
		uv_run(&root.loop, UV_RUN_NOWAIT);
		drain(fd, buf, sizeof(buf), &len);
	}
	(void)!send(fd, data + cut, size - cut, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < MAX_TURNS && control_server_clients(root.server); i++) {
		uv_run(&root.loop, UV_RUN_NOWAIT);
		drain(fd, buf, sizeof(buf), &len);
	}
	uv_run(&root.loop, UV_RUN_NOWAIT);
	close(fd);
	fuzz_check(control_server_clients(root.server) == 0);
	fuzz_check(root.begun == root.ended && !root.open);
	return 0;
}
