#include <string.h>

#include "daemon/app/internal.h"

#define SCHEME "tcp://"

/* --- the way to the rendezvous --- */

static const char *endpoint_at(const struct run *r, size_t i)
{
	const char *override = r->app->config->rendezvous_endpoint;

	if (override[0])
		return i == 0 ? override : NULL;
	return i < r->app->state->endpoint_count ? r->app->state->endpoints[i] : NULL;
}

static bool is_literal(const char *endpoint, struct netaddr *ret)
{
	return strncmp(endpoint, SCHEME, strlen(SCHEME)) == 0 &&
	       netaddr_parse(endpoint + strlen(SCHEME), ret) == OK;
}

/* To an address as the routes say; to a name, whose addresses the helper knows, by either
 * default. */
static void find_ways(const struct run *r, const struct net_snapshot *now,
		      struct net_route ret[static SIGNAL_ENDPOINTS_MAX + 2])
{
	const char *endpoint;
	struct netaddr a;

	memset(ret, 0, (SIGNAL_ENDPOINTS_MAX + 2) * sizeof(ret[0]));
	for (size_t i = 0; i < SIGNAL_ENDPOINTS_MAX && (endpoint = endpoint_at(r, i)); i++) {
		if (is_literal(endpoint, &a)) {
			if (net_route_to(&a, &ret[i]) != OK)
				ret[i] = (struct net_route){0};
		} else {
			ret[SIGNAL_ENDPOINTS_MAX] = now->out4;
			ret[SIGNAL_ENDPOINTS_MAX + 1] = now->out6;
		}
	}
}

/* Return: whether a connection to the rendezvous would go another way now than before. While there
 * is no way there is nothing to be done. */
static bool update_ways(struct run *r, const struct net_snapshot *now)
{
	struct net_route ways[ARRAY_SIZE(r->signal_ways)];
	bool is_changed = false, is_any = false;

	find_ways(r, now, ways);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		is_changed |= !net_route_equal(&ways[i], &r->signal_ways[i]);
		is_any |= ways[i].ifindex != 0;
	}
	memcpy(r->signal_ways, ways, sizeof(ways));
	return is_changed && is_any;
}

/* --- changes --- */

static void on_change(void *ctx, const struct net_snapshot *now, unsigned int changes)
{
	struct run *r = ctx;
	bool is_resumed = changes & NET_CHANGE_RESUMED, is_new_way;
	bool has_changed;

	if (r->stopping)
		return;
	is_new_way = update_ways(r, now);
	log_info("network.change", "addresses=%zu way=%d resumed=%d", now->count, is_new_way,
		 is_resumed);
	has_changed = sockets_update(r, now);
	if (is_resumed)
		overlay_on_resume(r->overlay, app_now_us());
	/* The offers that leave now need a connection that works. */
	if (is_resumed || is_new_way)
		signal_client_reconnect(r->signal);
	if (is_resumed || is_new_way || has_changed)
		servers_on_network(r);
	run_pump(r);
}

static void on_default(void *ctx)
{
	struct run *r = ctx;

	if (!r->stopping)
		sockets_keep_device(r);
}

static void fill_filter(struct run *r)
{
	const struct config *c = r->app->config;
	const struct cert *own = overlay_own_cert(r->overlay);
	struct net_interface_filter *f = &r->filter;

	memcpy(r->networks, own->networks, sizeof(r->networks));
	f->exclude = r->networks;
	f->exclude_count = own->network_count;
	f->exclude_ifindex = tun_device_ifindex(r->tun);
	for (size_t i = 0; i < c->allow.count; i++)
		f->allow[f->allow_count++] = c->allow.text[i];
	for (size_t i = 0; i < c->deny.count; i++)
		f->deny[f->deny_count++] = c->deny.text[i];
}

void network_start(struct run *r)
{
	struct net_watcher_params params = {.loop = r->app->loop,
					    .filter = &r->filter,
					    .on_change = on_change,
					    .on_default = on_default,
					    .ctx = r};
	struct net_snapshot once;

	fill_filter(r);
	if (net_watcher_create(&r->watcher, &params) == OK) {
		(void)update_ways(r, net_watcher_snapshot(r->watcher));
		(void)sockets_update(r, net_watcher_snapshot(r->watcher));
		return;
	}
	log_warning("network.watch", "result=off");
	if (net_interfaces_snapshot(&r->filter, &once) == OK)
		(void)sockets_update(r, &once);
	else
		log_error("network.look", "result=failed");
}

void network_doubt(struct run *r)
{
	net_watcher_look(r->watcher);
}
