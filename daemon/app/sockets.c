#include <string.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/net/sockets.h"

static struct app_socket *find_base(struct run *r, const struct netaddr *ip)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		if (r->sockets[i].in_use && !r->sockets[i].is_spare &&
		    netaddr_ip_equal(&r->sockets[i].base, ip))
			return &r->sockets[i];
	}
	return NULL;
}

static void close_fds(const struct app_socket *s)
{
	for (size_t i = 0; i < s->fd_count; i++)
		close(s->fds[i]);
}

static void close_socket(struct run *r, struct app_socket *s)
{
	char text[NETADDR_TEXT_BYTES];

	log_info("socket.close", "address=%s", netaddr_format(&s->base, text));
	overlay_remove_socket(r->overlay, app_now_us(), s->number);
	data_plane_remove_socket(r->data, s->number);
	close_fds(s);
	s->in_use = false;
}

static void set_device(struct app_socket *s)
{
	bool is_ip6 = s->base.family == NETADDR_IP6;
	int ifindex = s->is_second ? s->ifindex : 0;
	char text[NETADDR_TEXT_BYTES];
	enum err e = OK;

	/* Bound for good. When its device has the best route again it would go there anyway. */
	if (is_ip6 && (!s->is_second || ifindex == s->bound_ifindex))
		return;
	for (size_t i = 0; i < s->fd_count && e == OK; i++)
		e = net_udp_set_device(s->fds[i], s->base.family, ifindex);
	if (e != OK)
		log_warning("socket.device", "address=%s result=%s", netaddr_format(&s->base, text),
			    err_name(e));
	else if (is_ip6)
		s->bound_ifindex = ifindex;
}

/* Opens @s at s->base. Return: OK, or what the system or the overlay said. */
static enum err add_socket(struct run *r, struct app_socket *s, uint16_t port)
{
	struct netaddr ip = s->base;
	enum err e = net_udp_open_group(&ip, port, r->workers, s->fds, &s->fd_count, &s->base);

	if (e != OK)
		return e;
	e = data_plane_add_socket(r->data, s->number, s->fds, s->fd_count);
	if (e != OK) {
		close_fds(s);
		return e;
	}
	s->in_use = true;
	if (s->is_second)
		set_device(s);
	if (s->is_spare)
		overlay_add_spare_socket(r->overlay, app_now_us(), s->number, &s->base,
					 s->local_preference);
	else
		e = overlay_add_socket(r->overlay, app_now_us(), s->number, &s->base,
				       s->local_preference);
	if (e != OK)
		close_socket(r, s);
	return e;
}

static struct app_socket *free_socket(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		if (!r->sockets[i].in_use)
			return &r->sockets[i];
	}
	return NULL;
}

/* Return: whether there is a new socket. */
static bool open_socket(struct run *r, const struct net_interface_addr *a)
{
	struct app_socket *s = free_socket(r);
	char text[NETADDR_TEXT_BYTES];
	enum err e;

	if (!s)
		return false;
	*s = (struct app_socket){.number = r->next_socket++,
				 .ifindex = a->ifindex,
				 .gateway = a->gateway,
				 .is_second = a->is_second,
				 .has_default = a->has_default,
				 .base = a->addr,
				 .local_preference = a->local_preference};
	e = add_socket(r, s, r->port);
	/* One common port: the first socket chooses it, the others take it where it is free. */
	if (e == OK && r->port == 0)
		r->port = s->base.port;
	log_info("socket.open", "address=%s interface=%s result=%s", netaddr_format(&s->base, text),
		 log_quote(a->ifname).text, err_name(e));
	return e == OK;
}

void sockets_open_spare(struct run *r, uint16_t number)
{
	struct app_socket *s = free_socket(r);
	char text[NETADDR_TEXT_BYTES];
	enum err e;

	for (size_t i = 0; s && i < APP_MAX_SOCKETS; i++) {
		const struct app_socket *like = &r->sockets[i];

		if (!like->in_use || like->number != number)
			continue;
		*s = *like;
		s->in_use = false;
		s->is_spare = true;
		s->bound_ifindex = 0;
		s->number = r->next_socket++;
		e = add_socket(r, s, 0);
		log_info("socket.spare", "address=%s result=%s", netaddr_format(&s->base, text),
			 err_name(e));
		return;
	}
}

/* --- changes --- */

/* The address has gone; or its device has changed and the socket cannot follow. */
static bool is_lost(const struct app_socket *s, const struct net_interface_addr *a)
{
	return !a || (s->bound_ifindex && s->bound_ifindex != a->ifindex);
}

static bool close_lost(struct run *r, const struct net_snapshot *now)
{
	bool changed = false;

	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		struct app_socket *s = &r->sockets[i];

		if (s->in_use && is_lost(s, net_snapshot_find(now, &s->base))) {
			close_socket(r, s);
			changed = true;
		}
	}
	return changed;
}

/* The address stays, what is around it does not. Return: whether packets go another way now. */
static bool follow(struct app_socket *s, const struct net_interface_addr *a)
{
	bool is_rerouted = s->ifindex != a->ifindex || (!netaddr_equal(&s->gateway, &a->gateway) &&
							a->gateway.family != NETADDR_NONE);
	bool is_told = s->ifindex != a->ifindex || s->is_second != a->is_second;

	s->ifindex = a->ifindex;
	/* A default route that is gone for a moment has not become another one. */
	if (a->gateway.family != NETADDR_NONE)
		s->gateway = a->gateway;
	s->is_second = a->is_second;
	s->has_default = a->has_default;
	s->local_preference = a->local_preference;
	if (is_told)
		set_device(s);
	return is_rerouted;
}

static void follow_all(struct run *r, const struct net_snapshot *now)
{
	struct overlay_preference preferences[APP_MAX_SOCKETS];
	size_t count = 0;

	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		struct app_socket *s = &r->sockets[i];
		char text[NETADDR_TEXT_BYTES];

		if (!s->in_use)
			continue;
		if (follow(s, net_snapshot_find(now, &s->base))) {
			log_info("socket.rerouted", "address=%s", netaddr_format(&s->base, text));
			overlay_on_rerouted(r->overlay, app_now_us(), s->number);
		}
		preferences[count++] = (struct overlay_preference){
			.socket = s->number, .local_preference = s->local_preference};
	}
	overlay_set_preferences(r->overlay, app_now_us(), preferences, count);
}

static bool open_new(struct run *r, const struct net_snapshot *now)
{
	bool changed = false;

	for (size_t i = 0; i < now->count; i++) {
		if (!find_base(r, &now->addrs[i].addr))
			changed |= open_socket(r, &now->addrs[i]);
	}
	if (r->app->config->port == 0 && r->port != r->app->state->port) {
		r->app->state->port = r->port;
		app_save_run(r->app);
	}
	return changed;
}

bool sockets_update(struct run *r, const struct net_snapshot *now)
{
	bool changed = close_lost(r, now);

	/* Before new ones, whose preference is compared with those of the old. */
	follow_all(r, now);
	return open_new(r, now) || changed;
}

void sockets_keep_device(struct run *r)
{
	struct net_route ways[2];

	if (net_route_default(NETADDR_IP4, &ways[0]) != OK)
		ways[0].ifindex = 0;
	if (net_route_default(NETADDR_IP6, &ways[1]) != OK)
		ways[1].ifindex = 0;
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		struct app_socket *s = &r->sockets[i];
		int ifindex = ways[s->base.family == NETADDR_IP6].ifindex;

		if (!s->in_use || s->is_second || !s->has_default || ifindex == 0 ||
		    ifindex == s->ifindex)
			continue;
		s->is_second = true;
		set_device(s);
	}
}

void sockets_close(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		if (r->sockets[i].in_use)
			close_socket(r, &r->sockets[i]);
	}
}

int sockets_device_to(const struct run *r, uint16_t number, const struct netaddr *to)
{
	struct net_route way;

	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		const struct app_socket *s = &r->sockets[i];

		if (!s->in_use || s->number != number)
			continue;
		return s->is_second || (net_route_to(to, &way) == OK && way.ifindex == s->ifindex)
			       ? s->ifindex
			       : 0;
	}
	return 0;
}

void sockets_send(struct run *r, const struct ice_transmit *t, const uint8_t *buf)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		const struct app_socket *s = &r->sockets[i];
		enum err e;

		if (!s->in_use || s->number != t->socket)
			continue;
		e = net_udp_send(s->fds[0], &t->to, buf, t->len);
		if (e == DROP_TOO_LONG)
			overlay_on_too_long(r->overlay, app_now_us(), t->socket, &t->to, t->len);
		if (e == ERR_NETWORK || e == ERR_NO_ADDRESS || e == ERR_PERMISSION)
			overlay_on_send_error(r->overlay, app_now_us(), t->socket, &t->to);
		if (e == ERR_NETWORK || e == ERR_NO_ADDRESS)
			network_doubt(r);
		return;
	}
}
