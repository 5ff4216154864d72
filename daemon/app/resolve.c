/* The addresses of one server's name. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/net/sockaddr.h"

#define RETRY_MIN_US (5 * US_PER_S)
#define RETRY_MAX_US (300 * US_PER_S)
/* Names move; what has an address is looked up again after this time. */
#define RENEW_US (1800 * US_PER_S)

/* It outlives the server and the run that asked when they go meanwhile. */
struct lookup {
	uv_getaddrinfo_t request;
	struct run *run; /* NULL: nobody waits any more */
	uint32_t server;
};

/* A server inside the overlay could only be reached through itself. */
static bool is_usable(const struct run *r, const struct netaddr *a)
{
	const struct cert *own = overlay_own_cert(r->overlay);

	for (size_t i = 0; i < own->network_count; i++) {
		if (netprefix_contains(&own->networks[i], a))
			return false;
	}
	return true;
}

static void add(const struct run *r, struct app_server *s, const struct netaddr *a)
{
	for (size_t i = 0; i < s->addr_count; i++) {
		if (netaddr_equal(&s->addrs[i], a))
			return;
	}
	if (s->addr_count < ARRAY_SIZE(s->addrs) && is_usable(r, a))
		s->addrs[s->addr_count++] = *a;
}

static void take(const struct run *r, struct app_server *s, const struct addrinfo *list)
{
	s->addr_count = 0;
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		union net_sockaddr sa = {0};
		struct netaddr a;

		if (i->ai_addrlen > sizeof(sa))
			continue;
		memcpy(&sa, i->ai_addr, i->ai_addrlen);
		if (net_sockaddr_to(&sa, i->ai_addrlen, &a)) {
			a.port = s->uri.port;
			add(r, s, &a);
		}
	}
}

static void later(struct app_server *s)
{
	s->lookup_delay_us = s->lookup_delay_us ? 2 * s->lookup_delay_us : RETRY_MIN_US;
	if (s->lookup_delay_us > RETRY_MAX_US)
		s->lookup_delay_us = RETRY_MAX_US;
	s->lookup_us = app_now_us() + s->lookup_delay_us;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct lookup *l = request->data;
	struct run *r = l->run;
	struct app_server *s = r ? servers_find(r, l->server) : NULL;

	if (s) {
		s->lookup = NULL;
		if (status == 0) {
			take(r, s, list);
			s->lookup_delay_us = 0;
			s->lookup_us = app_now_us() + RENEW_US;
			s->is_name_error = false;
		} else {
			/* What is known goes on being used. */
			later(s);
			servers_fail(s, "the name %.120s does not resolve: %.60s", s->uri.host,
				     uv_strerror(status));
			s->is_name_error = true;
			log_warning("server.resolve", "server=%s error=%s", log_quote(s->text).text,
				    log_quote(uv_strerror(status)).text);
		}
		servers_apply(r);
		run_pump(r);
	}
	uv_freeaddrinfo(list);
	free(l);
}

void resolve_begin(struct run *r, struct app_server *s)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup *l;

	if (s->lookup)
		return;
	if (s->uri.address.family != NETADDR_NONE) {
		s->addr_count = 0;
		add(r, s, &s->uri.address);
		s->lookup_us = DEADLINE_NONE;
		return;
	}
	l = calloc(1, sizeof(*l));
	if (l) {
		l->request.data = l;
		l->run = r;
		l->server = s->id;
	}
	if (!l || uv_getaddrinfo(r->app->loop, &l->request, on_resolved, s->uri.host, NULL,
				 &hints) != 0) {
		free(l);
		later(s);
		return;
	}
	s->lookup = l;
}

void resolve_cancel(struct app_server *s)
{
	if (!s->lookup)
		return;
	s->lookup->run = NULL;
	(void)uv_cancel((uv_req_t *)&s->lookup->request);
	s->lookup = NULL;
}
