/*
 * The STUN and TURN servers: those of the configuration, or those that the rendezvous server has
 * named. A server is known by its URI; what has been learned of it stays when new credentials come.
 *
 * A name without a port may stand for several servers (resolve.c): in the list they take its place,
 * with its credentials, and are looked up like others.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/core/crypto/secret.h"

enum err servers_create(struct run *r)
{
	r->servers = secret_alloc(APP_MAX_SERVERS * sizeof(*r->servers));
	return r->servers ? OK : ERR_NO_MEMORY;
}

static void forget(struct app_server *s)
{
	resolve_cancel(s);
	free(s->found);
	secret_wipe(s, sizeof(*s));
}

void servers_destroy(struct run *r)
{
	for (size_t i = 0; r->servers && i < APP_MAX_SERVERS; i++)
		forget(&r->servers[i]);
	secret_free(r->servers);
	r->servers = NULL;
}

void servers_fail(struct app_server *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->error, sizeof(s->error), format, args);
	va_end(args);
	s->error_us = app_now_us();
}

struct app_server *servers_at(const struct run *r, size_t i)
{
	struct app_server *s = r->servers;

	while (!s->in_use || !s->is_listed || s->order != i)
		s++;
	return s;
}

static bool is_turn(const struct app_server *s)
{
	return s->uri.scheme == TURN_SCHEME_TURN || s->uri.scheme == TURN_SCHEME_TURNS;
}

/* --- to the overlay --- */

/* Without a transport in the URI: UDP, then TCP (RFC 5928 s. 4). */
static size_t list_targets(const struct app_server *s, struct overlay_relay_target *ret)
{
	static const enum turn_transport both[] = {TURN_TRANSPORT_UDP, TURN_TRANSPORT_TCP};
	bool one = s->uri.has_transport || s->uri.scheme == TURN_SCHEME_TURNS;
	size_t count = 0;

	for (size_t t = 0; t < (one ? 1 : ARRAY_SIZE(both)); t++) {
		for (size_t i = 0; i < s->addr_count && count < OVERLAY_MAX_RELAY_TARGETS; i++)
			ret[count++] = (struct overlay_relay_target){
				.transport = one ? s->uri.transport : both[t],
				.address = s->addrs[i],
			};
	}
	return count;
}

static void apply_turn(struct run *r)
{
	struct overlay_relay_server list[OVERLAY_MAX_RELAY_SERVERS] = {0};
	size_t count = 0;

	for (size_t i = 0; i < r->server_count && count < ARRAY_SIZE(list); i++) {
		const struct app_server *s = servers_at(r, i);

		if (!is_turn(s) || s->uri.transport == TURN_TRANSPORT_DTLS)
			continue;
		list[count] = (struct overlay_relay_server){
			.id = s->id,
			.username = s->username,
			.password = s->password,
			.expires_us = s->expires_us,
		};
		memcpy(list[count].name, s->tls_name, sizeof(list[count].name));
		list[count].target_count = list_targets(s, list[count].targets);
		count++;
	}
	if (overlay_set_relay_servers(r->overlay, app_now_us(), list, count) != OK)
		log_error("turn.servers", "count=%zu result=failed", count);
}

/* TURN servers answer Binding as well (RFC 8445 s. 5.1.1.2). */
static bool is_asked_by_udp(const struct app_server *s, bool turn)
{
	return turn ? s->uri.scheme == TURN_SCHEME_TURN && s->uri.transport == TURN_TRANSPORT_UDP
		    : s->uri.scheme == TURN_SCHEME_STUN;
}

/* Return: how many there are then. */
static size_t add_once(struct netaddr *list, size_t count, size_t max, const struct netaddr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (netaddr_equal(&list[i], addr))
			return count;
	}
	if (count < max)
		list[count++] = *addr;
	return count;
}

static void apply_stun(struct run *r)
{
	struct netaddr list[ICE_MAX_STUN_SERVERS];
	size_t count = 0;

	for (size_t i = 0; i < 2 * r->server_count; i++) {
		const struct app_server *s = servers_at(r, i % r->server_count);

		for (size_t k = 0; is_asked_by_udp(s, i >= r->server_count) && k < s->addr_count;
		     k++)
			count = add_once(list, count, ARRAY_SIZE(list), &s->addrs[k]);
	}
	if (overlay_set_stun_servers(r->overlay, app_now_us(), list, count) != OK)
		log_error("stun.servers", "count=%zu result=failed", count);
}

void servers_apply(struct run *r)
{
	apply_stun(r);
	apply_turn(r);
}

/* --- the list --- */

#define NO_ORDER SIZE_MAX

struct entry {
	struct turn_uri uri;
	const char *username, *password;
	uint64_t expires_us;
};

/* The server that @uri was before, or a free one. Several may have one URI, for different users.
 * Return: NULL when there are too many. */
static struct app_server *place(struct run *r, const struct turn_uri *uri, uint32_t origin)
{
	struct app_server *free_place = NULL;
	char text[TURN_URI_TEXT_BYTES];

	turn_uri_format(uri, text);
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		struct app_server *s = &r->servers[i];

		if (s->in_use && !s->is_listed && s->origin == origin && strcmp(s->text, text) == 0)
			return s;
		if (!s->in_use && !free_place)
			free_place = s;
	}
	if (!free_place) {
		log_warning("server.limit", "server=%s", log_quote(text).text);
		return NULL;
	}
	*free_place = (struct app_server){
		.in_use = true,
		.id = ++r->next_server,
		.origin = origin,
		.uri = *uri,
		.since_us = app_now_us(),
	};
	snprintf(free_place->text, sizeof(free_place->text), "%s", text);
	return free_place;
}

static void list_server(struct run *r, const struct entry *e)
{
	struct app_server *s = place(r, &e->uri, 0);

	if (!s)
		return;
	s->is_listed = true;
	s->rank = r->origin_count++;
	snprintf(s->username, sizeof(s->username), "%s", e->username);
	snprintf(s->password, sizeof(s->password), "%s", e->password);
	snprintf(s->tls_name, sizeof(s->tls_name), "%s", e->uri.host);
	s->expires_us = e->expires_us;
}

/* Puts @s into the list, or the servers that stand for it. */
static void arrange_one(struct run *r, struct app_server *s)
{
	s->order = s->found_count ? NO_ORDER : r->server_count++;
	for (size_t i = 0; i < s->found_count; i++) {
		struct app_server *one = place(r, &s->found[i], s->id);

		if (!one)
			return;
		one->is_listed = true;
		one->order = r->server_count++;
		memcpy(one->username, s->username, sizeof(one->username));
		memcpy(one->password, s->password, sizeof(one->password));
		memcpy(one->tls_name, s->tls_name, sizeof(one->tls_name));
		one->expires_us = s->expires_us;
	}
}

void servers_arrange(struct run *r)
{
	r->server_count = 0;
	for (size_t i = 0; i < APP_MAX_SERVERS; i++)
		r->servers[i].is_listed &= r->servers[i].origin == 0;
	for (size_t rank = 0; rank < r->origin_count; rank++) {
		for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
			struct app_server *s = &r->servers[i];

			if (s->is_listed && !s->origin && s->rank == rank)
				arrange_one(r, s);
		}
	}
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		if (r->servers[i].in_use && !r->servers[i].is_listed)
			forget(&r->servers[i]);
	}
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		if (r->servers[i].in_use && r->servers[i].lookup_us == 0)
			resolve_begin(r, &r->servers[i]);
	}
}

static void list_configured(struct run *r, bool turn)
{
	const struct config *c = r->app->config;
	char text[TURN_URI_TEXT_BYTES];
	struct entry e;

	for (size_t i = 0; !turn && i < c->stun_server_count; i++) {
		snprintf(text, sizeof(text), "stun:%s", c->stun_servers[i]);
		e = (struct entry){.username = "", .password = "", .expires_us = DEADLINE_NONE};
		if (turn_uri_parse(text, &e.uri) == OK)
			list_server(r, &e);
	}
	for (size_t i = 0; i < c->server_count; i++) {
		const struct config_server *s = &c->servers[i];
		bool is = s->uri.scheme == TURN_SCHEME_TURN || s->uri.scheme == TURN_SCHEME_TURNS;

		e = (struct entry){.uri = s->uri,
				   .username = s->user,
				   .password = s->password,
				   .expires_us = DEADLINE_NONE};
		if (is == turn)
			list_server(r, &e);
	}
}

static void list_registered(struct run *r, bool turn)
{
	const struct signal_server *list;
	size_t count;

	list = overlay_servers(r->overlay, &count);
	for (size_t i = 0; i < count; i++) {
		uint64_t life_us = list[i].lifetime_s * US_PER_S;
		struct entry e = {
			.username = list[i].username,
			.password = list[i].credential,
			.expires_us = life_us ? app_now_us() + life_us : DEADLINE_NONE,
		};

		if (turn_uri_parse(list[i].uri, &e.uri) != OK)
			log_warning("server.uri", "server=%s", log_quote(list[i].uri).text);
		else if ((e.uri.scheme == TURN_SCHEME_TURN || e.uri.scheme == TURN_SCHEME_TURNS) ==
			 turn)
			list_server(r, &e);
	}
}

void servers_update(struct run *r)
{
	r->origin_count = 0;
	for (size_t i = 0; i < APP_MAX_SERVERS; i++)
		r->servers[i].is_listed = false;
	for (int turn = 0; turn < 2; turn++) {
		size_t before = r->origin_count;

		list_configured(r, turn);
		if (r->origin_count == before)
			list_registered(r, turn);
	}
	servers_arrange(r);
	servers_apply(r);
}

void servers_on_tick(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		struct app_server *s = &r->servers[i];

		if (s->in_use && app_now_us() >= s->lookup_us)
			resolve_begin(r, s);
	}
}

void servers_on_network(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		struct app_server *s = &r->servers[i];

		if (s->in_use && s->is_name_error)
			s->lookup_us = 0;
	}
	servers_on_tick(r);
}

struct app_server *servers_find(struct run *r, uint32_t id)
{
	for (size_t i = 0; i < APP_MAX_SERVERS; i++) {
		if (r->servers[i].in_use && r->servers[i].id == id)
			return &r->servers[i];
	}
	return NULL;
}

/* --- events --- */

void servers_on_event(struct run *r, const struct overlay_event *e)
{
	switch (e->type) {
	case OVERLAY_EVENT_RELAY_SERVER_ADD:
		if (data_plane_add_server(r->data, e->socket, &e->server) != OK)
			log_warning("turn.server", "result=failed");
		break;
	case OVERLAY_EVENT_RELAY_SERVER_REMOVE:
		data_plane_remove_server(r->data, e->socket, &e->server);
		break;
	case OVERLAY_EVENT_WANT_SOCKET:
		sockets_open_spare(r, e->socket);
		break;
	case OVERLAY_EVENT_STREAM_OPEN:
		streams_open(r, e);
		break;
	case OVERLAY_EVENT_STREAM_CLOSE:
		streams_close(r, e->stream);
		break;
	case OVERLAY_EVENT_PEER_STATE:
	case OVERLAY_EVENT_SESSION_ADD:
	case OVERLAY_EVENT_SESSION_REMOVE:
	case OVERLAY_EVENT_PATH:
	case OVERLAY_EVENT_PATH_SIZE:
	case OVERLAY_EVENT_PATH_CLEAR:
	case OVERLAY_EVENT_PEER_FORGOTTEN:
	case OVERLAY_EVENT_ROUTES:
	case OVERLAY_EVENT_REGISTERED:
	case OVERLAY_EVENT_SERVERS:
	case OVERLAY_EVENT_UNREGISTERED:
	case OVERLAY_EVENT_REFUSED:
	case OVERLAY_EVENT_LINK_DEAD:
	case OVERLAY_EVENT_PONG:
	case OVERLAY_EVENT_LOCAL_CANDIDATES:
	case OVERLAY_EVENT_STAMP:
	case OVERLAY_EVENT_PEER_STAMP:
	case OVERLAY_EVENT_RESTART:
		break;
	}
}
