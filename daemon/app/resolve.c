#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/net/sockaddr.h"

#define STUN_PORT   "3478"
#define STUN_SCHEME "stun:"

/* One look-up; it outlives the run that asked when that is stopped meanwhile. */
struct lookup {
	uv_getaddrinfo_t request;
	struct run *run; /* NULL: nobody waits any more */
	size_t slot;
	char host[CONFIG_ENDPOINT_BYTES];
};

static void add_server(struct run *r, const struct netaddr *a)
{
	for (size_t i = 0; i < r->stun_count; i++) {
		if (netaddr_equal(&r->stun[i], a))
			return;
	}
	if (r->stun_count < ARRAY_SIZE(r->stun))
		r->stun[r->stun_count++] = *a;
}

static void add_all(struct run *r, const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		union net_sockaddr sa = {0};
		struct netaddr a;

		if (i->ai_addrlen > sizeof(sa))
			continue;
		memcpy(&sa, i->ai_addr, i->ai_addrlen);
		if (net_sockaddr_to(&sa, i->ai_addrlen, &a))
			add_server(r, &a);
	}
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct lookup *l = request->data;
	struct run *r = l->run;

	if (r && status == 0) {
		add_all(r, list);
	} else if (r) {
		snprintf(r->stun_error, sizeof(r->stun_error), "%.120s: %s", l->host,
			 uv_strerror(status));
		log_warning("stun.resolve", "host=%s error=%s", log_quote(l->host).text,
			    log_quote(uv_strerror(status)).text);
	}
	uv_freeaddrinfo(list);
	if (r) {
		r->lookups[l->slot] = NULL;
		if (--r->resolving == 0 && overlay_set_stun_servers(r->overlay, app_now_us(),
								    r->stun, r->stun_count) != OK)
			log_error("stun.servers", "count=%zu result=failed", r->stun_count);
		run_pump(r);
	}
	free(l);
}

/* @server: "host", "host:port" or "[address]:port". */
static void look_up(struct run *r, const char *server)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup *l = calloc(1, sizeof(*l));
	const char *port = STUN_PORT;
	char *host, *colon;

	if (!l)
		return;
	snprintf(l->host, sizeof(l->host), "%s", server);
	host = l->host;
	colon = strrchr(host, ':');
	if (host[0] == '[' && strchr(host, ']')) {
		if (colon && colon[-1] == ']')
			port = colon + 1;
		*strchr(host, ']') = '\0';
		host++;
	} else if (colon && strchr(host, ':') == colon) {
		*colon = '\0';
		port = colon + 1;
	}
	l->request.data = l;
	l->run = r;
	while (l->slot < ARRAY_SIZE(r->lookups) && r->lookups[l->slot])
		l->slot++;
	if (l->slot == ARRAY_SIZE(r->lookups) ||
	    uv_getaddrinfo(r->app->loop, &l->request, on_resolved, host, port, &hints) != 0) {
		free(l);
		return;
	}
	r->lookups[l->slot] = l;
	r->resolving++;
}

void resolve_servers(struct run *r)
{
	const struct config *c = r->app->config;
	const struct signal_server *servers;
	size_t count;

	if (r->resolving)
		return;
	r->stun_count = 0;
	r->stun_error[0] = '\0';
	for (size_t i = 0; i < c->stun_server_count; i++)
		look_up(r, c->stun_servers[i]);
	if (c->stun_server_count > 0)
		return;
	servers = overlay_servers(r->overlay, &count);
	for (size_t i = 0; i < count; i++) {
		if (strncmp(servers[i].uri, STUN_SCHEME, strlen(STUN_SCHEME)) == 0)
			look_up(r, servers[i].uri + strlen(STUN_SCHEME));
	}
}

void resolve_cancel(struct run *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->lookups); i++) {
		if (!r->lookups[i])
			continue;
		r->lookups[i]->run = NULL;
		(void)uv_cancel((uv_req_t *)&r->lookups[i]->request);
		r->lookups[i] = NULL;
	}
	r->resolving = 0;
}
