#include "ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctl/output.h"

#define INTERFACE "net.icetun.Control."
#define SERVICE	  "org.varlink.service."
/* A daemon that sends more in one reply is none of ours. */
#define MAX_REPLY_BYTES (16u << 20)
#define READ_BYTES	65536

struct client {
	int fd;
	int interrupt_fd; /* or -1 */
	char *buf;
	size_t len, cap;
};

uint64_t client_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static enum problem connect_failed(const char *path)
{
	int why = errno;

	switch (why) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTSOCK:
		return fail_detail(PROBLEM_NOT_RUNNING, "nothing listens on %s", path);
	case EACCES:
	case EPERM:
		return fail_detail(PROBLEM_PERMISSION, "%s", path);
	case EAGAIN:
		return fail(PROBLEM_BUSY);
	default:
		return fail_detail(PROBLEM_INTERNAL, "%s: %s", path, strerror(why));
	}
}

enum problem client_open(struct client **ret, const struct context *context)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct client *c;

	if (strlen(context->socket) >= sizeof(address.sun_path))
		return fail_detail(PROBLEM_USAGE, "the path of the socket is too long: %s",
				   context->socket);
	strcpy(address.sun_path, context->socket);
	c = calloc(1, sizeof(*c));
	if (!c)
		return fail_detail(PROBLEM_INTERNAL, "out of memory");
	c->interrupt_fd = -1;
	/* Connecting must not wait for a daemon that hangs. */
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		enum problem p = connect_failed(context->socket);

		client_close(c);
		return p;
	}
	*ret = c;
	return PROBLEM_NONE;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

int client_catch_interrupt(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC);
}

void client_set_interrupt(struct client *c, int fd)
{
	c->interrupt_fd = fd;
}

/* Return: PROBLEM_NONE when @events are there; PROBLEM_TIMEOUT; PROBLEM_CANCELLED. Says nothing. */
static enum problem wait_for(const struct client *c, short events, uint64_t deadline_ms)
{
	struct pollfd fds[2] = {{.fd = c->fd, .events = events},
				{.fd = c->interrupt_fd, .events = POLLIN}};

	for (;;) {
		uint64_t now = client_now_ms();
		int wait_ms = -1, n;

		if (deadline_ms != CLIENT_FOREVER) {
			if (now >= deadline_ms)
				return PROBLEM_TIMEOUT;
			wait_ms = deadline_ms - now > 60000 ? 60000 : (int)(deadline_ms - now);
		}
		n = poll(fds, 2, wait_ms);
		if (n < 0 && errno != EINTR)
			return PROBLEM_INTERNAL;
		if (n > 0 && fds[1].revents)
			return PROBLEM_CANCELLED;
		if (n > 0)
			return PROBLEM_NONE;
	}
}

static enum problem gone(void)
{
	return fail_detail(PROBLEM_NOT_RUNNING, "it has closed the connection");
}

static enum problem no_answer(enum problem p)
{
	return p == PROBLEM_CANCELLED ? p : fail_detail(p, "no answer from the daemon");
}

enum problem client_call(struct client *c, const char *method, json_t *parameters, bool more)
{
	struct text name = text_format(INTERFACE "%s", method);
	json_t *request = json_pack("{s:s, s:o*, s:o*}", "method", name.s, "parameters", parameters,
				    "more", more ? json_true() : NULL);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	enum problem p = PROBLEM_NONE;
	size_t len = text ? strlen(text) + 1 : 0, at = 0;

	json_decref(request);
	if (!text)
		p = fail_detail(PROBLEM_USAGE, "this is not text");
	while (p == PROBLEM_NONE && at < len) {
		ssize_t n = send(c->fd, text + at, len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			p = wait_for(c, POLLOUT, client_now_ms() + CLIENT_TIMEOUT_MS);
		else if (n < 0 && errno != EINTR)
			p = PROBLEM_NOT_RUNNING;
	}
	if (text && p == PROBLEM_NOT_RUNNING)
		gone();
	else if (text && p != PROBLEM_NONE)
		no_answer(p);
	free(text);
	return p;
}

/* The problem that an error reply tells. */
static enum problem told(const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	const json_t *parameters = json_object_get(reply, "parameters");
	struct text detail = json_text(parameters, "detail");
	struct text text = json_text(parameters, "text");
	enum problem p;

	if (strcmp(error, SERVICE "PermissionDenied") == 0)
		return fail(PROBLEM_PERMISSION);
	if (strncmp(error, INTERFACE, strlen(INTERFACE)) != 0)
		return fail_detail(PROBLEM_VERSION, "%s", error);
	p = problem_find(error + strlen(INTERFACE));
	if (p != PROBLEM_COUNT && problem_is_wire(p))
		return fail_sentences(p, problem_text(p), problem_advice(p), detail.s);
	return fail_sentences(PROBLEM_INTERNAL, *text.s ? text.s : error,
			      json_text(parameters, "advice").s, detail.s);
}

static enum problem understand(const char *text, size_t len, json_t **ret, bool *ret_more)
{
	json_t *reply = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *parameters = json_object_get(reply, "parameters");
	enum problem p = PROBLEM_NONE;

	if (json_is_string(json_object_get(reply, "error"))) {
		p = told(reply);
	} else if (json_is_object(parameters)) {
		*ret = json_incref(parameters);
		*ret_more = json_flag(reply, "continues");
	} else {
		p = fail_detail(PROBLEM_VERSION, "the daemon's answer is not understood");
	}
	json_decref(reply);
	return p;
}

/* Appends what has come in. Return: false when the connection is over or the reply has no end. */
static bool read_more(struct client *c)
{
	ssize_t n;

	if (c->cap - c->len < READ_BYTES) {
		char *buf = realloc(c->buf, c->cap + READ_BYTES);

		if (!buf || c->cap > MAX_REPLY_BYTES) {
			c->buf = buf ? buf : c->buf;
			return false;
		}
		c->buf = buf;
		c->cap += READ_BYTES;
	}
	n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	if (n > 0)
		c->len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

enum problem client_receive(struct client *c, uint64_t timeout_ms, json_t **ret, bool *ret_more)
{
	uint64_t deadline_ms =
		timeout_ms == CLIENT_FOREVER ? CLIENT_FOREVER : client_now_ms() + timeout_ms;
	size_t seen = 0;

	for (;;) {
		char *end = c->len > seen ? memchr(c->buf + seen, '\0', c->len - seen) : NULL;
		enum problem p;

		if (end) {
			size_t len = (size_t)(end - c->buf);

			p = understand(c->buf, len, ret, ret_more);
			c->len -= len + 1;
			memmove(c->buf, end + 1, c->len);
			return p;
		}
		seen = c->len;
		p = wait_for(c, POLLIN, deadline_ms);
		if (p != PROBLEM_NONE)
			return no_answer(p);
		if (!read_more(c))
			return gone();
	}
}

enum problem client_ask(const struct context *context, const char *method, json_t *parameters,
			uint64_t timeout_ms, json_t **ret)
{
	struct client *c = NULL;
	json_t *reply = NULL;
	bool more;
	enum problem p = client_open(&c, context);

	if (p != PROBLEM_NONE) {
		json_decref(parameters);
		return p;
	}
	p = client_call(c, method, parameters, false);
	if (p == PROBLEM_NONE)
		p = client_receive(c, timeout_ms, &reply, &more);
	client_close(c);
	if (p == PROBLEM_NONE && ret)
		*ret = reply;
	else
		json_decref(reply);
	return p;
}
