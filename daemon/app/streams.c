/* TCP and TLS to TURN servers. What a stream has no room for stays in the overlay's bounded
 * queue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/net/stream.h"

/* In our hands; as much is kept back in the system's buffer. */
#define QUEUE_BYTES (64 * 1024)

struct app_stream {
	struct run *run;
	uint32_t number; /* the overlay's */
	uint32_t server; /* id */
	struct net_stream *stream;
	bool is_open;
	size_t held; /* bytes of a message that did not fit */
	uint8_t *buf;
	size_t cap;
};

static void forget(struct app_stream **at)
{
	if (!at || !*at)
		return;
	net_stream_close((*at)->stream);
	free((*at)->buf);
	free(*at);
	*at = NULL;
}

static struct app_stream **find(struct run *r, uint32_t number)
{
	for (size_t i = 0; i < APP_MAX_STREAMS; i++) {
		if (r->streams[i] && r->streams[i]->number == number)
			return &r->streams[i];
	}
	return NULL;
}

static void on_open(void *ctx)
{
	struct app_stream *s = ctx;

	s->is_open = true;
	log_info("turn.stream", "state=open");
	overlay_on_stream_open(s->run->overlay, app_now_us(), s->number);
	run_pump(s->run);
}

static void on_bytes(void *ctx, const uint8_t *buf, size_t len)
{
	struct app_stream *s = ctx;
	struct run *r = s->run;

	overlay_on_stream_bytes(r->overlay, app_now_us(), s->number, buf, len);
	run_pump(r);
}

static void on_room(void *ctx)
{
	struct app_stream *s = ctx;

	run_pump(s->run);
}

static void on_closed(void *ctx, enum net_stream_reason reason, const char *detail)
{
	struct app_stream *s = ctx;
	struct run *r = s->run;
	struct app_server *server = servers_find(r, s->server);
	uint32_t number = s->number;

	if (server)
		servers_fail(server, "%s%s%.120s", net_stream_reason_text(reason),
			     detail[0] ? ": " : "", detail);
	log_info("turn.stream", "state=closed server=%s reason=%s detail=%s",
		 server ? log_quote(server->text).text : "", net_stream_reason_name(reason),
		 log_quote(detail).text);
	/* It is closed by itself. */
	s->stream = NULL;
	forget(find(r, number));
	overlay_on_stream_closed(r->overlay, app_now_us(), number);
	run_pump(r);
}

/* The authorities are read when the first stream needs them. */
static enum err get_tls(struct run *r)
{
	return r->tls ? OK : net_tls_create(&r->tls, r->app->config->ca_file);
}

static enum err open_stream(struct run *r, struct app_stream *s, const struct overlay_event *e)
{
	struct net_stream_params params = {
		.loop = r->app->loop,
		.server = e->server,
		.name = overlay_stream_name(r->overlay, e->stream),
		.queue_bytes = QUEUE_BYTES,
		.ctx = s,
		.on_open = on_open,
		.on_bytes = on_bytes,
		.on_room = on_room,
		.on_closed = on_closed,
	};
	enum err err = e->tls ? get_tls(r) : OK;

	/* overlay_pop_stream() wants as much as overlay_pop_transmit(). */
	s->cap = r->app->config->mtu_bytes + 128 > 2560 ? r->app->config->mtu_bytes + 128 : 2560;
	s->buf = malloc(s->cap);
	if (!s->buf)
		return ERR_NO_MEMORY;
	if (err != OK)
		return err;
	params.tls = e->tls ? r->tls : NULL;
	return net_stream_open(&s->stream, &params);
}

void streams_open(struct run *r, const struct overlay_event *e)
{
	struct app_server *server = servers_find(r, e->relay_server);
	struct app_stream **at = r->streams;
	enum err err = ERR_LIMIT;

	while (at < r->streams + APP_MAX_STREAMS && *at)
		at++;
	if (at < r->streams + APP_MAX_STREAMS) {
		*at = calloc(1, sizeof(**at));
		err = *at ? OK : ERR_NO_MEMORY;
	}
	if (err == OK) {
		(*at)->run = r;
		(*at)->number = e->stream;
		(*at)->server = e->relay_server;
		err = open_stream(r, *at, e);
		if (err != OK)
			forget(at);
	}
	if (err == OK)
		return;
	if (server && e->tls && !r->tls)
		servers_fail(server, "the file CaFile=%.160s cannot be used: %s",
			     r->app->config->ca_file, err_text(err));
	else if (server)
		servers_fail(server, "the server cannot be reached: %s", err_text(err));
	overlay_on_stream_closed(r->overlay, app_now_us(), e->stream);
}

void streams_close(struct run *r, uint32_t number)
{
	struct app_stream **at = find(r, number);

	if (at)
		forget(at);
}

static void flush(struct app_stream *s)
{
	while (s->held ||
	       overlay_pop_stream(s->run->overlay, s->number, s->buf, s->cap, &s->held)) {
		enum err e = net_stream_send(s->stream, s->buf, s->held);

		if (e == DROP_QUEUE_FULL)
			return; /* until on_room() */
		s->held = 0;
		if (e != OK)
			log_debug("turn.stream", "error=%s", err_name(e));
	}
}

void streams_flush(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_STREAMS; i++) {
		if (r->streams[i] && r->streams[i]->is_open)
			flush(r->streams[i]);
	}
}

void streams_destroy(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_STREAMS; i++) {
		if (r->streams[i])
			forget(&r->streams[i]);
	}
	net_tls_destroy(r->tls);
	r->tls = NULL;
}
