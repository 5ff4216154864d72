#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>

#include "daemon/net/interfaces.h"

struct net_watcher {
	struct net_watcher_params params;
	struct nl_sock *sk;
	uv_poll_t poll;
	uv_timer_t timer;
	uint64_t first_ms; /* of the changes that wait, 0 = none */
	unsigned int open_handles;
};

static void on_settled(uv_timer_t *t)
{
	struct net_watcher *w = t->data;

	w->first_ms = 0;
	w->params.on_change(w->params.ctx);
}

static void on_message(uv_poll_t *poll, int status, int events)
{
	struct net_watcher *w = poll->data;
	uint64_t now_ms = uv_now(w->params.loop), wait_ms = NET_WATCH_SETTLE_MS;
	uint8_t buf[16384];
	bool changed = false;

	(void)events;
	if (status < 0)
		return;
	/* Only that something changed matters; ENOBUFS says that more changed than we were told. */
	for (;;) {
		ssize_t n = recv(nl_socket_get_fd(w->sk), buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno != ENOBUFS)
			break;
		changed = true;
	}
	if (!changed)
		return;
	if (w->first_ms == 0)
		w->first_ms = now_ms ? now_ms : 1;
	if (now_ms + wait_ms > w->first_ms + NET_WATCH_MAX_MS)
		wait_ms = w->first_ms + NET_WATCH_MAX_MS > now_ms
				  ? w->first_ms + NET_WATCH_MAX_MS - now_ms
				  : 0;
	uv_timer_start(&w->timer, on_settled, wait_ms, 0);
}

enum err net_watcher_create(struct net_watcher **ret, const struct net_watcher_params *params)
{
	struct net_watcher *w = calloc(1, sizeof(*w));

	if (!w)
		return ERR_NO_MEMORY;
	w->params = *params;
	w->sk = nl_socket_alloc();
	if (!w->sk)
		goto err_socket;
	nl_socket_disable_seq_check(w->sk);
	if (nl_connect(w->sk, NETLINK_ROUTE) < 0 || nl_socket_set_nonblocking(w->sk) < 0 ||
	    nl_socket_add_memberships(w->sk, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NONE) < 0 ||
	    uv_poll_init(params->loop, &w->poll, nl_socket_get_fd(w->sk)) != 0)
		goto err_connect;
	uv_timer_init(params->loop, &w->timer);
	w->poll.data = w;
	w->timer.data = w;
	w->open_handles = 2;
	uv_poll_start(&w->poll, UV_READABLE, on_message);
	*ret = w;
	return OK;
err_connect:
	nl_socket_free(w->sk);
err_socket:
	free(w);
	return ERR_IO;
}

static void on_closed(uv_handle_t *h)
{
	struct net_watcher *w = h->data;

	if (--w->open_handles == 0) {
		nl_socket_free(w->sk);
		free(w);
	}
}

void net_watcher_destroy(struct net_watcher *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->poll, on_closed);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}
