/* What one server's name stands for: other servers, by its SRV records, or addresses. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/core/crypto/random.h"
#include "daemon/net/sockaddr.h"
#include "daemon/net/srv.h"

#define RETRY_MIN_US (5 * US_PER_S)
#define RETRY_MAX_US (300 * US_PER_S)
/* Names move; what has an address is looked up again after this time. */
#define RENEW_US (1800 * US_PER_S)

/* It outlives the server and the run that asked when they go meanwhile. */
struct lookup {
	uv_getaddrinfo_t request;
	struct net_srv *srv; /* while SRV records are asked for; else request is under way */
	struct run *run;     /* NULL: nobody waits any more */
	bool is_guess;	     /* there may be SRV records: no name server said */
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

static void on_known(struct app_server *s)
{
	s->lookup_delay_us = 0;
	s->lookup_us = app_now_us() + RENEW_US;
}

static void later(struct app_server *s)
{
	s->lookup_delay_us = s->lookup_delay_us ? 2 * s->lookup_delay_us : RETRY_MIN_US;
	if (s->lookup_delay_us > RETRY_MAX_US)
		s->lookup_delay_us = RETRY_MAX_US;
	s->lookup_us = app_now_us() + s->lookup_delay_us;
}

/* What is known goes on being used. */
static void fail(struct app_server *s, const char *why)
{
	later(s);
	s->is_name_error = true;
	log_warning("server.resolve", "server=%s error=%s", log_quote(s->text).text,
		    log_quote(why).text);
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
			s->is_name_error = false;
			if (l->is_guess)
				later(s);
			else
				on_known(s);
		} else {
			servers_fail(s, "the name %.120s does not resolve: %.60s", s->uri.host,
				     uv_strerror(status));
			fail(s, uv_strerror(status));
		}
		servers_apply(r);
		run_pump(r);
	}
	uv_freeaddrinfo(list);
	free(l);
}

static void begin_addresses(struct run *r, struct app_server *s, struct lookup *l)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};

	if (uv_getaddrinfo(r->app->loop, &l->request, on_resolved, s->uri.host, NULL, &hints) == 0)
		return;
	s->lookup = NULL;
	free(l);
	later(s);
}

/* --- SRV records --- */

static bool has_found(const struct app_server *s, const struct turn_uri *uri)
{
	char a[TURN_URI_TEXT_BYTES], b[TURN_URI_TEXT_BYTES];

	turn_uri_format(uri, a);
	for (size_t i = 0; i < s->found_count; i++) {
		if (strcmp(turn_uri_format(&s->found[i], b), a) == 0)
			return true;
	}
	return false;
}

/* As long as the servers are the same they keep their order: another throw of the dice would only
 * move allocations about. Return: false without memory. */
static bool set_found(struct app_server *s, const struct turn_uri *list, size_t count)
{
	bool is_same = count == s->found_count;

	for (size_t i = 0; is_same && i < count; i++)
		is_same = has_found(s, &list[i]);
	if (is_same)
		return true;
	if (!s->found)
		s->found = calloc(TURN_SRV_SERVERS_MAX, sizeof(*s->found));
	if (!s->found)
		return false;
	memcpy(s->found, list, count * sizeof(*list));
	s->found_count = count;
	s->addr_count = 0;
	log_info("server.srv", "server=%s servers=%zu", log_quote(s->text).text, count);
	return true;
}

/* Return: false when the name has no SRV records, or nobody knows (*ret_is_guess): it is the server
 * itself then. */
static bool take_services(struct app_server *s, struct turn_srv_service *services, size_t count,
			  bool *ret_is_guess)
{
	struct random_source random = random_system();
	struct turn_uri list[TURN_SRV_SERVERS_MAX];
	bool is_guess = false;
	size_t records = 0, n;

	for (size_t i = 0; i < count; i++) {
		is_guess |= !services[i].is_answered;
		records += services[i].record_count;
	}
	if (is_guess && s->found_count) {
		fail(s, "no answer about SRV records");
		return true;
	}
	n = turn_srv_expand(&s->uri, services, count, &random, list);
	*ret_is_guess = is_guess;
	s->is_name_error = false;
	if (!set_found(s, list, n) || (is_guess && n > 0))
		later(s);
	else if (n > 0)
		on_known(s);
	if (records == 0 || n > 0)
		return n > 0;
	servers_fail(s, "the name %.120s has SRV records, but no server in them", s->uri.host);
	fail(s, s->error);
	return true;
}

static void on_services(void *ctx, struct turn_srv_service *services, size_t count)
{
	struct lookup *l = ctx;
	struct run *r = l->run;
	struct app_server *s = servers_find(r, l->server);
	bool is_done = take_services(s, services, count, &l->is_guess);

	l->srv = NULL;
	if (is_done) {
		s->lookup = NULL;
		free(l);
	} else {
		begin_addresses(r, s, l);
	}
	servers_arrange(r);
	servers_apply(r);
	run_pump(r);
}

/* --- all of it --- */

void resolve_begin(struct run *r, struct app_server *s)
{
	struct turn_srv_service services[TURN_SRV_SERVICES_MAX];
	struct net_srv_params params = {
		.loop = r->app->loop, .services = services, .on_done = on_services};
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
	if (!l) {
		later(s);
		return;
	}
	*l = (struct lookup){.run = r, .server = s->id};
	l->request.data = l;
	s->lookup = l;
	params.ctx = l;
	params.count = turn_srv_services(&s->uri, services);
	if (params.count == 0 || net_srv_begin(&l->srv, &params) != OK)
		begin_addresses(r, s, l);
}

void resolve_cancel(struct app_server *s)
{
	struct lookup *l = s->lookup;

	s->lookup = NULL;
	if (!l)
		return;
	if (l->srv) {
		net_srv_cancel(l->srv);
		free(l);
		return;
	}
	l->run = NULL;
	(void)uv_cancel((uv_req_t *)&l->request);
}
