/* The server and raw clients in one thread: bytes in, the loop turned by hand, bytes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/control/internal.h"
#include "daemon/log/log.h"

#define TURNS 200

struct fixture {
	char directory[64];
	char path[96];
	uv_loop_t loop;
	struct control_server *server;
	/* What the application saw. */
	struct control_call *pending;
	unsigned int ups, cancelled;
	char token[64], name[64];
	size_t peers; /* how many the daemon has */
};

static void on_status(void *ctx, struct control_status *ret)
{
	(void)ctx;
	ret->state = CONTROL_STATE_DOWN;
}

static bool on_peer(void *ctx, size_t index, struct control_peer *ret)
{
	struct fixture *f = ctx;

	strcpy(ret->name, "peer");
	return index < f->peers;
}

static void on_join(void *ctx, struct control_call *call, const char *token, const char *name)
{
	struct fixture *f = ctx;

	snprintf(f->token, sizeof(f->token), "%s", token);
	snprintf(f->name, sizeof(f->name), "%s", name);
	control_reply_problem(call, PROBLEM_TOKEN_USED, "bad \xff\xfe detail");
}

static void on_done(void *ctx, struct control_call *call)
{
	(void)ctx;
	control_reply_done(call);
}

/* Up stays open until the test ends it. */
static void on_up(void *ctx, struct control_call *call)
{
	struct fixture *f = ctx;

	f->ups++;
	f->pending = call;
	control_call_set_data(call, f);
}

static void on_ping(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		    uint32_t interval_ms)
{
	struct fixture *f = ctx;

	(void)peer;
	(void)count;
	(void)interval_ms;
	f->pending = call;
}

static void on_cancelled(void *ctx, struct control_call *call)
{
	struct fixture *f = ctx;

	assert_ptr_equal(call, f->pending);
	f->pending = NULL;
	f->cancelled++;
}

static void on_restart(void *ctx, struct control_call *call, const char *peer)
{
	struct fixture *f = ctx;

	snprintf(f->name, sizeof(f->name), "%s", peer);
	control_reply_done(call);
}

/* Events go on until the client does not. */
static void on_events(void *ctx, struct control_call *call)
{
	struct fixture *f = ctx;

	f->pending = call;
}

static bool on_offload(void *ctx, enum control_offload which)
{
	(void)ctx;
	return which == CONTROL_OFFLOAD_UDP_GRO;
}

static void on_set_offload(void *ctx, struct control_call *call, enum control_offload which,
			   bool on)
{
	struct fixture *f = ctx;

	snprintf(f->name, sizeof(f->name), "%s %d", control_offload_name(which), on);
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
	.events = on_events,
	.cancelled = on_cancelled,
};

static void quiet(void *ctx, enum log_level level, const char *line, size_t len)
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

static int setup(void **state)
{
	struct log_sink sink = {.write = quiet, .now_us = no_time};
	struct fixture *f = calloc(1, sizeof(*f));
	struct control_params params;

	if (!f)
		return -1;
	log_start(LOG_LEVEL_INFO, &sink);
	strcpy(f->directory, "/tmp/icetun-control-XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/sock", f->directory);
	uv_loop_init(&f->loop);
	params = (struct control_params){
		.loop = &f->loop, .path = f->path, .group = (gid_t)-1, .ops = &ops, .ctx = f};
	if (control_server_create(&f->server, &params) != OK)
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_server_destroy(f->server);
	assert_int_equal(access(f->path, F_OK), -1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(rmdir(f->directory), 0);
	free(f);
	return 0;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < TURNS; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int client_open(struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	return fd;
}

/* Sends as much as goes while the loop turns. Return: false when the server hung up. */
static bool client_send(struct fixture *f, int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	return true;
}

static void client_send_text(struct fixture *f, int fd, const char *text)
{
	assert_true(client_send(f, fd, text, strlen(text) + 1));
}

/* Return: one message to be freed; NULL when the server hung up or has nothing to say. */
static char *client_receive(struct fixture *f, int fd, bool *ret_closed)
{
	size_t cap = CONTROL_MAX_OUTPUT_BYTES, len = 0;
	char *buf = malloc(cap);

	assert_non_null(buf);
	*ret_closed = false;
	for (int i = 0; i < 100 * TURNS && len < cap; i++) {
		ssize_t n = recv(fd, buf + len, 1, 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			*ret_closed = true;
			break;
		}
		if (n < 0)
			uv_run(&f->loop, UV_RUN_NOWAIT);
		else if (buf[len++] == '\0')
			return buf;
		else
			i = 0;
	}
	free(buf);
	return NULL;
}

static void assert_reply(struct fixture *f, int fd, const char *expected)
{
	bool closed;
	char *reply = client_receive(f, fd, &closed);

	assert_non_null(reply);
	if (!strstr(reply, expected))
		fail_msg("%s has no %s", reply, expected);
	free(reply);
}

static void assert_closed(struct fixture *f, int fd)
{
	bool closed;

	assert_null(client_receive(f, fd, &closed));
	assert_true(closed);
}

static void assert_silent(struct fixture *f, int fd)
{
	bool closed;

	assert_null(client_receive(f, fd, &closed));
	assert_false(closed);
}

#define CALL(method) "{\"method\":\"net.icetun.Control." method "\"}"

static void test_partial_and_pipelined(void **state)
{
	static const char request[] = CALL("Status") "\0" CALL("Peers") "\0" CALL("Down");
	struct fixture *f = *state;
	int fd = client_open(f);

	for (size_t i = 0; i < sizeof(request); i++)
		assert_true(client_send(f, fd, request + i, 1));
	assert_reply(f, fd, "\"schema\":\"icetun.status/1\"");
	assert_reply(f, fd, "\"schema\":\"icetun.peers/1\"");
	assert_reply(f, fd, "{\"parameters\":{}}");
	assert_true(client_send(f, fd, request, sizeof(request)));
	assert_reply(f, fd, "icetun.status/1");
	assert_reply(f, fd, "icetun.peers/1");
	assert_reply(f, fd, "{\"parameters\":{}}");
	assert_silent(f, fd);
	assert_int_equal(control_server_counters(f->server)->calls, 6);
	close(fd);
}

/* More messages in one piece than are handled in one turn: all are answered, in order. */
static void test_many_at_once(void **state)
{
	static const char one[] = CALL("Down");
	struct fixture *f = *state;
	char all[sizeof(one) * 500];
	int fd = client_open(f);

	for (size_t i = 0; i < 500; i++)
		memcpy(all + i * sizeof(one), one, sizeof(one));
	assert_true(client_send(f, fd, all, sizeof(all)));
	for (size_t i = 0; i < 500; i++)
		assert_reply(f, fd, "{\"parameters\":{}}");
	assert_silent(f, fd);
	close(fd);
}

static void test_malformed_is_closed(void **state)
{
	static const char *const rows[] = {
		"",
		"x",
		"{",
		"[]",
		"null",
		"{}",
		"{\"method\":1}",
		"{\"method\":null}",
		"{\"method\":\"a\",\"method\":\"b\"}",
		"{\"method\":\"net.icetun.Control.Status\",\"parameters\":[]}",
		"{\"method\":\"net.icetun.Control.Status\",\"parameters\":null}",
		"{\"method\":\"net.icetun.Control.Status\",\"more\":1}",
		"{\"method\":\"net.icetun.Control.Status\",\"oneway\":\"true\"}",
		"{\"method\":\"net.icetun.Control.Status\"} trailing",
		"{\"method\":\"net.icetun.Control.Sta\xfftus\"}",
		"{\"method\":\"net.icetun.Control.Status\\u0000\"}",
		"GET / HTTP/1.1\r\n\r\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = client_open(f);

		client_send_text(f, fd, rows[i]);
		assert_closed(f, fd);
		assert_int_equal(control_server_counters(f->server)->malformed, i + 1);
		close(fd);
	}
	turn(f);
	assert_int_equal(control_server_clients(f->server), 0);
}

static void test_deep_json(void **state)
{
	struct fixture *f = *state;
	char *deep = malloc(CONTROL_MAX_MESSAGE_BYTES);
	int fd = client_open(f);

	memset(deep, '[', CONTROL_MAX_MESSAGE_BYTES);
	deep[CONTROL_MAX_MESSAGE_BYTES - 1] = '\0';
	client_send_text(f, fd, deep);
	assert_closed(f, fd);
	assert_int_equal(control_server_counters(f->server)->malformed, 1);
	close(fd);
	free(deep);
}

/* The largest message that is allowed is answered; one byte more, with or without its NUL, is
 * not. */
static void test_message_size(void **state)
{
	static const char head[] =
		"{\"method\":\"net.icetun.Control.Join\",\"parameters\":{\"name\":"
		"\"n\",\"token\":\"";
	static const char tail[] = "\"}}";
	struct fixture *f = *state;
	size_t max = CONTROL_MAX_MESSAGE_BYTES;
	char *text = malloc(max + 2);
	int fd = client_open(f);

	memset(text, 'a', max + 1);
	memcpy(text, head, strlen(head));
	memcpy(text + max - strlen(tail), tail, sizeof(tail));
	client_send_text(f, fd, text);
	assert_reply(f, fd, "net.icetun.Control.TokenUsed");
	assert_int_equal(f->token[0], 'a');
	assert_string_equal(f->name, "n");
	text[max - strlen(tail)] = 'a';
	memcpy(text + max + 1 - strlen(tail), tail, sizeof(tail));
	(void)client_send(f, fd, text, max + 2);
	assert_closed(f, fd);
	assert_int_equal(control_server_counters(f->server)->too_long, 1);
	close(fd);
	fd = client_open(f);
	memset(text, ' ', max + 1);
	(void)client_send(f, fd, text, max + 1);
	assert_closed(f, fd);
	assert_int_equal(control_server_counters(f->server)->too_long, 2);
	close(fd);
	free(text);
}

/* While a call is open a client may send ahead, but not without end. */
static void test_too_much_ahead(void **state)
{
	static const char up[] = CALL("Up"), one[] = CALL("Down");
	struct fixture *f = *state;
	int fd = client_open(f);
	bool sent = true;

	client_send_text(f, fd, up);
	for (size_t i = 0; sent && i < CONTROL_INPUT_BYTES / sizeof(one) + 10; i++)
		sent = client_send(f, fd, one, sizeof(one));
	assert_closed(f, fd);
	turn(f);
	assert_int_equal(control_server_counters(f->server)->too_long, 1);
	assert_int_equal(f->cancelled, 1);
	close(fd);
}

static void test_more_and_oneway(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f);

	client_send_text(f, fd, "{\"method\":\"net.icetun.Control.Up\",\"more\":true}");
	turn(f);
	assert_non_null(f->pending);
	assert_ptr_equal(control_call_get_data(f->pending), f);
	control_reply_progress(f->pending, CONTROL_STATE_STARTING, "one", false);
	assert_reply(f, fd,
		     "{\"parameters\":{\"state\":\"starting\",\"text\":\"one\"},"
		     "\"continues\":true}");
	control_reply_progress(f->pending, CONTROL_STATE_UP, "two", true);
	assert_reply(f, fd, "{\"parameters\":{\"state\":\"up\",\"text\":\"two\"}}");
	client_send_text(f, fd, CALL("Up"));
	turn(f);
	control_reply_progress(f->pending, CONTROL_STATE_STARTING, "one", false);
	assert_silent(f, fd);
	control_reply_progress(f->pending, CONTROL_STATE_UP, "two", true);
	assert_reply(f, fd, "\"two\"");
	client_send_text(f, fd, "{\"method\":\"net.icetun.Control.Down\",\"oneway\":true}");
	client_send_text(f, fd, "{\"method\":\"net.icetun.Control.Nothing\",\"oneway\":true}");
	assert_silent(f, fd);
	client_send_text(f, fd, "{\"method\":\"net.icetun.Control.Down\",\"upgrade\":true}");
	assert_reply(f, fd, "\"parameter\":\"upgrade\"");
	f->pending = NULL;
	close(fd);
}

/* Requests behind an open call wait for it; the application is never entered from its own reply. */
static void test_order_behind_an_open_call(void **state)
{
	struct fixture *f = *state;
	struct control_call *first;
	int fd = client_open(f);

	client_send_text(f, fd, CALL("Up"));
	client_send_text(f, fd, CALL("Up"));
	turn(f);
	assert_int_equal(f->ups, 1);
	first = f->pending;
	control_reply_progress(first, CONTROL_STATE_UP, "first", true);
	assert_int_equal(f->ups, 1);
	turn(f);
	assert_int_equal(f->ups, 2);
	control_reply_problem(f->pending, PROBLEM_NO_TUN, NULL);
	f->pending = NULL;
	assert_reply(f, fd, "\"first\"");
	assert_reply(f, fd, "{\"error\":\"net.icetun.Control.NoTun\",\"parameters\":{\"text\":");
	close(fd);
}

static void test_client_goes(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f);

	client_send_text(f, fd, CALL("Up"));
	turn(f);
	assert_non_null(f->pending);
	close(fd);
	turn(f);
	assert_null(f->pending);
	assert_int_equal(f->cancelled, 1);
	assert_int_equal(control_server_clients(f->server), 0);
}

/* Open calls are cancelled when the server goes. The teardown checks that nothing is left. */
static void test_destroy_with_open_calls(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f), other = client_open(f);

	client_send_text(f, fd, CALL("Up"));
	turn(f);
	control_server_destroy(f->server);
	assert_int_equal(f->cancelled, 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	f->server = NULL;
	assert_closed(f, fd);
	assert_closed(f, other);
	close(fd);
	close(other);
}

static void test_problem_detail_that_is_no_text(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f);

	client_send_text(f, fd,
			 "{\"method\":\"net.icetun.Control.Join\",\"parameters\":{\"token\":"
			 "\"t\",\"name\":\"n\"}}");
	assert_reply(f, fd, "\"detail\":\"bad ?? detail\"");
	close(fd);
}

/* A client that asks and does not read is closed at the limit; others are served meanwhile. */
static void test_slow_reader(void **state)
{
	static const char one[] = CALL("Status");
	struct fixture *f = *state;
	int slow = client_open(f), other = client_open(f);
	bool sent = true;

	f->peers = 1000;
	for (size_t i = 0; sent && i < 1000; i++) {
		sent = client_send(f, slow, one, sizeof(one));
		turn(f);
		if (control_server_counters(f->server)->slow)
			break;
	}
	assert_int_equal(control_server_counters(f->server)->slow, 1);
	assert_int_equal(control_server_clients(f->server), 1);
	client_send_text(f, other, CALL("Down"));
	assert_reply(f, other, "{\"parameters\":{}}");
	close(slow);
	close(other);
}

static void test_a_thousand_connections(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
	int fds[1000], busy;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2048 && limit.rlim_max >= 2048) {
		limit.rlim_cur = 2048;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	busy = client_open(f);
	client_send_text(f, busy, CALL("Up"));
	turn(f);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_open(f);
		assert_true(control_server_clients(f->server) <= CONTROL_MAX_CLIENTS);
	}
	turn(f);
	assert_int_equal(control_server_clients(f->server), CONTROL_MAX_CLIENTS);
	assert_true(control_server_counters(f->server)->refused_clients > 0);
	/* The one with an open call is still there. */
	assert_int_equal(f->cancelled, 0);
	control_reply_progress(f->pending, CONTROL_STATE_UP, "up", true);
	assert_reply(f, busy, "\"up\"");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	close(busy);
	turn(f);
	assert_int_equal(control_server_clients(f->server), 0);
}

/* When all connections are taken, the one that was quiet for longest makes room, if
 * it does not wait for an answer. */
static void test_idle_connection_gives_way(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_MAX_CLIENTS], late;
	uint64_t age = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = client_open(f);
	client_send_text(f, fds[0], CALL("Up"));
	turn(f);
	/* As if they had been here for long, the first ones for longest. */
	for (struct control_client *c = f->server->clients; c; c = c->next, age++)
		c->active_ms = uv_now(&f->loop) - 2 * CONTROL_EVICT_AFTER_MS - age;
	late = client_open(f);
	turn(f);
	assert_closed(f, fds[1]);
	assert_silent(f, fds[0]);
	assert_int_equal(f->cancelled, 0);
	client_send_text(f, late, CALL("Down"));
	assert_reply(f, late, "{\"parameters\":{}}");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	close(late);
}

/* With 1024 peers the answer stays below the limit on output. */
static void test_a_thousand_peers(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f);

	f->peers = 1024;
	client_send_text(f, fd, CALL("Peers"));
	assert_reply(f, fd, "icetun.peers/1");
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_partial_and_pipelined),
		TEST(test_many_at_once),
		TEST(test_malformed_is_closed),
		TEST(test_deep_json),
		TEST(test_message_size),
		TEST(test_too_much_ahead),
		TEST(test_more_and_oneway),
		TEST(test_order_behind_an_open_call),
		TEST(test_client_goes),
		TEST(test_destroy_with_open_calls),
		TEST(test_problem_detail_that_is_no_text),
		TEST(test_slow_reader),
		TEST(test_a_thousand_connections),
		TEST(test_idle_connection_gives_way),
		TEST(test_a_thousand_peers),
	};

	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
