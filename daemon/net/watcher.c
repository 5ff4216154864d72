#include "daemon/net/watcher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <time.h>

/* Routes with a longer prefix are no default routes: see routes.c. */
#define DEFAULT_BITS 3
#define RETRY_MS     200

struct net_watcher {
	struct net_watcher_params params;
	struct nl_sock *sk;
	uv_poll_t poll;
	uv_timer_t timer; /* the next look */
	uv_timer_t sleep;
	unsigned int open_handles;
	bool stopping;
	bool is_default;    /* a message was about a default route */
	bool is_urgent;	    /* the timer is not to be put off */
	uint64_t due_ms;    /* of the timer */
	uint64_t first_ms;  /* of the messages that wait, 0 = none */
	uint64_t looked_ms; /* the last time */
	uint64_t haste_until_ms;
	uint64_t asleep_ms;
	struct net_snapshot now;
	struct net_watcher_stats stats;
};

/* --- looking --- */

static bool has_way_out(const struct net_snapshot *s)
{
	return s->count > 0 && (s->out4.ifindex || s->out6.ifindex);
}

static void on_timer(uv_timer_t *t);

static bool is_sooner(const struct net_watcher *w, uint64_t due_ms)
{
	return !uv_is_active((const uv_handle_t *)&w->timer) || due_ms < w->due_ms;
}

static void plan(struct net_watcher *w, uint64_t delay_ms)
{
	uint64_t due_ms = uv_now(w->params.loop) + delay_ms;

	if (w->stopping || (w->is_urgent && !is_sooner(w, due_ms)))
		return;
	w->due_ms = due_ms;
	uv_timer_start(&w->timer, on_timer, delay_ms, 0);
}

/* At once, but not within @pause_ms of the last look, unless one is planned sooner; no later
 * message puts it off. */
static void plan_urgent(struct net_watcher *w, uint64_t pause_ms)
{
	uint64_t now_ms = uv_now(w->params.loop), due_ms = w->looked_ms + pause_ms;

	if (w->stats.looks == 0 || due_ms <= now_ms)
		plan(w, 0);
	else if (is_sooner(w, due_ms))
		plan(w, due_ms - now_ms);
	w->is_urgent = true;
}

static bool has_lost(const struct net_snapshot *before, const struct net_snapshot *now)
{
	for (size_t i = 0; i < before->count; i++) {
		if (!net_snapshot_find(now, &before->addrs[i].addr))
			return true;
	}
	return false;
}

/* Return: whether a snapshot could be taken. */
static bool look(struct net_watcher *w, unsigned int *ret_changes)
{
	struct net_snapshot s;

	w->is_urgent = false;
	w->looked_ms = uv_now(w->params.loop);
	w->stats.looks++;
	if (net_interfaces_snapshot(w->params.filter, &s) != OK)
		return false;
	w->first_ms = 0;
	if (has_lost(&w->now, &s))
		w->haste_until_ms = w->looked_ms + NET_WATCH_HASTE_FOR_MS;
	if (!net_snapshot_same_addrs(&w->now, &s))
		*ret_changes |= NET_CHANGE_ADDRS;
	if (!net_snapshot_same_ways(&w->now, &s))
		*ret_changes |= NET_CHANGE_WAYS;
	w->now = s;
	return true;
}

static void tell(struct net_watcher *w, unsigned int changes)
{
	if (!changes)
		return;
	w->stats.changes++;
	w->params.on_change(w->params.ctx, &w->now, changes);
}

static void on_timer(uv_timer_t *t)
{
	struct net_watcher *w = t->data;
	unsigned int changes = 0;

	if (look(w, &changes))
		tell(w, changes);
	else
		plan(w, RETRY_MS);
}

void net_watcher_look(struct net_watcher *w)
{
	if (w)
		plan_urgent(w, NET_WATCH_ASKED_PAUSE_MS);
}

/* --- messages --- */

static bool is_in_use(const struct net_watcher *w, int ifindex)
{
	for (size_t i = 0; i < w->now.count; i++) {
		if (w->now.addrs[i].ifindex == ifindex)
			return true;
	}
	return false;
}

enum news {
	NEWS_NONE,
	NEWS_PERHAPS,
	NEWS_LOSS, /* an address in use may have gone */
};

static enum news news_of_link(const struct net_watcher *w, struct nlmsghdr *h)
{
	const struct ifinfomsg *link = nlmsg_data(h);
	bool is_down = h->nlmsg_type == RTM_DELLINK || !(link->ifi_flags & IFF_UP) ||
		       !(link->ifi_flags & IFF_RUNNING);

	return is_down && is_in_use(w, link->ifi_index) ? NEWS_LOSS : NEWS_PERHAPS;
}

static enum news news_of(struct net_watcher *w, struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return nlmsg_valid_hdr(h, sizeof(struct ifinfomsg)) ? news_of_link(w, h)
								    : NEWS_PERHAPS;
	case RTM_NEWADDR:
		return NEWS_PERHAPS;
	case RTM_DELADDR:
		if (!nlmsg_valid_hdr(h, sizeof(struct ifaddrmsg)))
			return NEWS_PERHAPS;
		return is_in_use(w, (int)((struct ifaddrmsg *)nlmsg_data(h))->ifa_index)
			       ? NEWS_LOSS
			       : NEWS_PERHAPS;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (!nlmsg_valid_hdr(h, sizeof(struct rtmsg)))
			return NEWS_PERHAPS;
		if (((struct rtmsg *)nlmsg_data(h))->rtm_dst_len > DEFAULT_BITS)
			return NEWS_NONE;
		w->is_default = true;
		return NEWS_PERHAPS;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return NEWS_PERHAPS;
	default:
		return NEWS_NONE;
	}
}

static enum news news_of_all(struct net_watcher *w, uint8_t *buf, int len)
{
	enum news best = NEWS_NONE;

	for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; nlmsg_ok(h, len);
	     h = nlmsg_next(h, &len)) {
		enum news n = news_of(w, h);

		w->stats.messages++;
		if (n > best)
			best = n;
	}
	return best;
}

static void on_news(struct net_watcher *w, enum news news)
{
	uint64_t now_ms = uv_now(w->params.loop), settle_ms = NET_WATCH_SETTLE_MS,
		 max_ms = NET_WATCH_MAX_MS, last_ms;

	if (news == NEWS_NONE)
		return;
	if (w->first_ms == 0)
		w->first_ms = now_ms ? now_ms : 1;
	if (now_ms < w->haste_until_ms || !has_way_out(&w->now)) {
		settle_ms = NET_WATCH_HASTE_MS;
		max_ms = 5 * NET_WATCH_HASTE_MS;
	}
	last_ms = w->first_ms + max_ms;
	if (news == NEWS_LOSS || last_ms <= now_ms)
		plan_urgent(w, NET_WATCH_PAUSE_MS);
	else
		plan(w, now_ms + settle_ms < last_ms ? settle_ms : last_ms - now_ms);
}

/* Return: of what waits; NEWS_LOSS also when there was more than the socket holds. */
static enum news read_news(struct net_watcher *w)
{
	_Alignas(struct nlmsghdr) uint8_t buf[16384];
	enum news best = NEWS_NONE;

	for (int budget = 256; budget > 0; budget--) {
		ssize_t n = recv(nl_socket_get_fd(w->sk), buf, sizeof(buf), MSG_DONTWAIT);
		enum news news = NEWS_LOSS;

		if (n < 0 && errno != ENOBUFS)
			break;
		if (n < 0)
			w->stats.overruns++;
		else
			news = news_of_all(w, buf, (int)n);
		if (news > best)
			best = news;
	}
	return best;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct net_watcher *w = poll->data;

	(void)events;
	w->is_default = false;
	on_news(w, read_news(w));
	if (w->is_default && w->params.on_default)
		w->params.on_default(w->params.ctx);
	/* To libuv an overrun is an error like any, and it has stopped to listen. */
	if (status < 0)
		uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

/* --- sleep --- */

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t asleep_ms(const struct net_watcher *w)
{
	uint64_t monotonic_ms, boot_ms;

	if (w->params.asleep_ms)
		return w->params.asleep_ms(w->params.ctx);
	monotonic_ms = clock_ms(CLOCK_MONOTONIC);
	boot_ms = clock_ms(CLOCK_BOOTTIME);
	return boot_ms > monotonic_ms ? boot_ms - monotonic_ms : 0;
}

static void on_sleep_tick(uv_timer_t *t)
{
	struct net_watcher *w = t->data;
	uint64_t now_ms = asleep_ms(w), before_ms = w->asleep_ms;
	unsigned int changes = NET_CHANGE_RESUMED;

	w->asleep_ms = now_ms;
	/* The two clocks are not read at the same moment. */
	if (now_ms <= before_ms + 100)
		return;
	if (!look(w, &changes))
		plan(w, RETRY_MS);
	tell(w, changes);
}

/* --- opening --- */

/* Drops routes that are no default routes before they cost anything. A filter reads in network
 * order what the kernel wrote in its own. */
static bool set_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, DEFAULT_BITS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

static bool open_socket(struct net_watcher *w)
{
	w->sk = nl_socket_alloc();
	if (!w->sk)
		return false;
	nl_socket_disable_seq_check(w->sk);
	return nl_connect(w->sk, NETLINK_ROUTE) >= 0 && nl_socket_set_nonblocking(w->sk) >= 0 &&
	       set_filter(nl_socket_get_fd(w->sk)) &&
	       nl_socket_add_memberships(w->sk, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
					 RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
					 RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
					 RTNLGRP_NONE) >= 0 &&
	       uv_poll_init(w->params.loop, &w->poll, nl_socket_get_fd(w->sk)) == 0;
}

enum err net_watcher_create(struct net_watcher **ret, const struct net_watcher_params *params)
{
	struct net_watcher *w = calloc(1, sizeof(*w));
	unsigned int changes = 0;

	if (!w)
		return ERR_NO_MEMORY;
	w->params = *params;
	if (!open_socket(w)) {
		nl_socket_free(w->sk);
		free(w);
		return ERR_IO;
	}
	uv_timer_init(params->loop, &w->timer);
	uv_timer_init(params->loop, &w->sleep);
	w->poll.data = w->timer.data = w->sleep.data = w;
	w->open_handles = 3;
	w->asleep_ms = asleep_ms(w);
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	uv_timer_start(&w->sleep, on_sleep_tick, NET_WATCH_SLEEP_TICK_MS, NET_WATCH_SLEEP_TICK_MS);
	/* After the socket was opened, so that nothing falls between. */
	if (!look(w, &changes))
		plan(w, RETRY_MS);
	*ret = w;
	return OK;
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
	w->stopping = true;
	uv_close((uv_handle_t *)&w->poll, on_closed);
	uv_close((uv_handle_t *)&w->timer, on_closed);
	uv_close((uv_handle_t *)&w->sleep, on_closed);
}

const struct net_snapshot *net_watcher_snapshot(const struct net_watcher *w)
{
	return &w->now;
}

struct net_watcher_stats net_watcher_stats(const struct net_watcher *w)
{
	return w->stats;
}
