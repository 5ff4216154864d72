/* One connection: bytes to messages, messages to bytes, and the limits on both. */
#include <stdlib.h>
#include <string.h>

#include "daemon/control/internal.h"
#include "daemon/log/log.h"

/* A message on its way out. */
struct output {
	uv_write_t request;
	char *text;
};

static void on_closed(uv_handle_t *handle)
{
	struct control_client *c = handle->data;
	struct control_server *s = c->server;

	if (c->call)
		control_call_cancel(c->call);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
	control_server_release(s);
}

void control_client_close(struct control_client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->server->client_count--;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void close_counted(struct control_client *c, uint64_t *counter, const char *reason)
{
	(*counter)++;
	log_warning("control.disconnected", "reason=%s", reason);
	control_client_close(c);
}

/* Return: the next whole message, @*ret_len bytes without its NUL; NULL when there is none yet. */
static const char *next_message(struct control_client *c, size_t *ret_len)
{
	const char *start = c->in + c->in_start;
	size_t len = c->in_end - c->in_start;
	const char *end = len ? memchr(start, '\0', len) : NULL;

	if (end)
		len = (size_t)(end - start);
	if (len > CONTROL_MAX_MESSAGE_BYTES) {
		close_counted(c, &c->server->counters.too_long, "message_too_long");
		return NULL;
	}
	if (!end)
		return NULL;
	c->in_start += len + 1;
	*ret_len = len;
	return start;
}

static void compact(struct control_client *c)
{
	size_t len = c->in_end - c->in_start;

	if (c->in_start && len)
		memmove(c->in, c->in + c->in_start, len);
	c->in_start = 0;
	c->in_end = len;
}

void control_client_process(struct control_client *c)
{
	for (unsigned int i = 0; i < CONTROL_MESSAGES_PER_TURN; i++) {
		struct control_request request;
		const char *text;
		size_t len;

		if (c->closing || c->call)
			break;
		text = next_message(c, &len);
		if (!text)
			break;
		if (!control_request_parse(text, len, &request)) {
			close_counted(c, &c->server->counters.malformed, "malformed");
			break;
		}
		c->server->counters.calls++;
		control_method_dispatch(c, &request);
		json_decref(request.json);
	}
	/* Messages that are left over have their turn by control_client_process_later(), which the
	 * end of each call sees to. */
	if (!c->closing)
		compact(c);
}

void control_client_process_later(struct control_client *c)
{
	if (!c->closing && memchr(c->in + c->in_start, '\0', c->in_end - c->in_start))
		uv_idle_start(&c->server->resume, c->server->resume_cb);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct control_client *c = handle->data;

	(void)suggested;
	*ret = uv_buf_init(c->in + c->in_end, (unsigned int)(sizeof(c->in) - c->in_end));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct control_client *c = stream->data;

	(void)buf;
	if (n == UV_ENOBUFS) {
		close_counted(c, &c->server->counters.too_long, "too_much_ahead");
		return;
	}
	if (n < 0) {
		control_client_close(c);
		return;
	}
	if (n == 0)
		return;
	c->in_end += (size_t)n;
	c->active_ms = uv_now(stream->loop);
	control_client_process(c);
}

static void on_written(uv_write_t *request, int status)
{
	struct output *out = request->data;

	(void)status;
	free(out->text);
	free(out);
}

void control_client_send(struct control_client *c, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	struct output *out = calloc(1, sizeof(*out));
	size_t bytes = text ? strlen(text) + 1 : 0;
	uv_buf_t buf;

	json_decref(message);
	if (!text || !out || c->closing) {
		control_client_close(c);
		goto err_free;
	}
	if (bytes + uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) >
	    CONTROL_MAX_OUTPUT_BYTES) {
		close_counted(c, &c->server->counters.slow, "slow");
		goto err_free;
	}
	out->text = text;
	out->request.data = out;
	/* With the NUL that ends a Varlink message. */
	buf = uv_buf_init(text, (unsigned int)bytes);
	if (uv_write(&out->request, (uv_stream_t *)&c->pipe, &buf, 1, on_written) == 0)
		return;
	control_client_close(c);

err_free:
	free(text);
	free(out);
}

static void on_refused_closed(uv_handle_t *handle)
{
	struct control_server *s = handle->data;

	free(handle);
	control_server_release(s);
}

/* A connection has to be accepted before it can be closed. */
static void refuse(struct control_server *s)
{
	uv_pipe_t *pipe = calloc(1, sizeof(*pipe));

	s->counters.refused_clients++;
	log_warning("control.refused", "reason=%s", "too_many_connections");
	if (!pipe || uv_pipe_init(s->params.loop, pipe, 0) != 0) {
		free(pipe);
		return;
	}
	pipe->data = s;
	s->handles++;
	if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)pipe) != 0)
		log_warning("control.accept_failed", "refused=%d", 1);
	uv_close((uv_handle_t *)pipe, on_refused_closed);
}

/* Return: the client without a call that has been quiet for longest, and long enough; or NULL. */
static struct control_client *find_idle(const struct control_server *s)
{
	uint64_t now_ms = uv_now(s->params.loop);
	struct control_client *found = NULL;

	for (struct control_client *c = s->clients; c; c = c->next) {
		if (c->closing || c->call || now_ms - c->active_ms < CONTROL_EVICT_AFTER_MS)
			continue;
		if (!found || c->active_ms < found->active_ms)
			found = c;
	}
	return found;
}

static struct control_client *accept_client(struct control_server *s)
{
	struct control_client *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	/* All but the buffer, which would only be touched for nothing. */
	memset(c, 0, offsetof(struct control_client, in));
	if (uv_pipe_init(s->params.loop, &c->pipe, 0) != 0) {
		free(c);
		return NULL;
	}
	c->server = s;
	c->pipe.data = c;
	c->active_ms = uv_now(s->params.loop);
	c->next = s->clients;
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->client_count++;
	s->handles++;
	return c;
}

void control_client_accept(struct control_server *s)
{
	struct control_client *c = NULL, *idle;
	uv_os_fd_t fd;

	if (s->client_count >= CONTROL_MAX_CLIENTS) {
		idle = find_idle(s);
		if (idle)
			control_client_close(idle);
	}
	if (s->client_count < CONTROL_MAX_CLIENTS)
		c = accept_client(s);
	if (!c) {
		refuse(s);
		return;
	}
	if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->pipe) != 0 ||
	    uv_fileno((uv_handle_t *)&c->pipe, &fd) != 0 ||
	    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0) {
		control_client_close(c);
		return;
	}
	c->access = control_socket_access(fd, s->params.group);
	if (c->access != CONTROL_ACCESS_CHANGE &&
	    s->client_count > CONTROL_MAX_CLIENTS - CONTROL_RESERVED_CLIENTS) {
		s->counters.refused_clients++;
		control_client_close(c);
		return;
	}
	s->counters.accepted++;
}
