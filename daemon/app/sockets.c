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

/* Opens @s at s->base. Return: OK, or what the system or the overlay said. */
static enum err add_socket(struct run *r, struct app_socket *s, uint16_t port)
{
	struct netaddr ip = s->base;
	enum err e = net_udp_open_group(&ip, port, device_workers(r->app->config), s->fds,
					&s->fd_count, &s->base);

	if (e != OK)
		return e;
	e = data_plane_add_socket(r->data, s->number, s->fds, s->fd_count);
	if (e != OK) {
		close_fds(s);
		return e;
	}
	s->in_use = true;
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
		s->number = r->next_socket++;
		e = add_socket(r, s, 0);
		log_info("socket.spare", "address=%s result=%s", netaddr_format(&s->base, text),
			 err_name(e));
		return;
	}
}

/* Routes give the addresses another order. Those that fall come first, so that one that rises is seen to be
 * better than the path's. */
static void reorder(struct run *r, const struct net_interface_addr *found, size_t count)
{
	for (int rising = 0; rising <= 1; rising++) {
		for (size_t k = 0; k < count; k++) {
			struct app_socket *s = find_base(r, &found[k].addr);
			uint16_t now = found[k].local_preference;

			if (!s || s->local_preference == now ||
			    (now > s->local_preference) != rising)
				continue;
			s->local_preference = now;
			overlay_set_socket_preference(r->overlay, app_now_us(), s->number, now);
		}
	}
}

bool sockets_update(struct run *r)
{
	bool changed = false;
	const struct config *c = r->app->config;
	const struct cert *own = overlay_own_cert(r->overlay);
	struct net_interface_filter filter = {
		.exclude = own->networks,
		.exclude_count = own->network_count,
		.exclude_ifindex = tun_device_ifindex(r->tun),
	};
	struct net_interface_addr found[APP_MAX_SOCKETS];
	size_t count = 0;

	for (size_t i = 0; i < c->allow.count; i++)
		filter.allow[filter.allow_count++] = c->allow.name[i];
	for (size_t i = 0; i < c->deny.count; i++)
		filter.deny[filter.deny_count++] = c->deny.name[i];
	if (net_interfaces_snapshot(&filter, found, ARRAY_SIZE(found), &count) != OK) {
		log_error("net.addresses", "result=failed");
		return false;
	}
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		bool still = false;

		for (size_t k = 0; k < count && !still; k++)
			still = netaddr_ip_equal(&found[k].addr, &r->sockets[i].base);
		if (r->sockets[i].in_use && !still) {
			close_socket(r, &r->sockets[i]);
			changed = true;
		}
	}
	reorder(r, found, count);
	for (size_t k = 0; k < count; k++) {
		if (!find_base(r, &found[k].addr))
			changed |= open_socket(r, &found[k]);
	}
	if (c->port == 0 && r->port != r->app->state->port) {
		r->app->state->port = r->port;
		app_save_run(r->app);
	}
	return changed;
}

void sockets_close(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		if (r->sockets[i].in_use)
			close_socket(r, &r->sockets[i]);
	}
}

void sockets_send(struct run *r, const struct ice_transmit *t, const uint8_t *buf)
{
	for (size_t i = 0; i < APP_MAX_SOCKETS; i++) {
		const struct app_socket *s = &r->sockets[i];
		enum err e;

		if (!s->in_use || s->number != t->socket)
			continue;
		e = net_udp_send(s->fds[0], &t->to, buf, t->len);
		if (e == ERR_NETWORK || e == ERR_NO_ADDRESS || e == ERR_PERMISSION)
			overlay_on_send_error(r->overlay, app_now_us(), t->socket, &t->to);
		return;
	}
}
