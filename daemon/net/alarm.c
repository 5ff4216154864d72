#include "daemon/net/alarm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/net/sockaddr.h"

struct net_alarm {
	int fd;
	uv_poll_t poll;
	uint64_t due_us;
	void (*on_alarm)(void *ctx);
	void *ctx;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct net_alarm *a = poll->data;
	uint64_t expirations;

	(void)events;
	/* It may have been set anew since the loop saw it. */
	if (status < 0 || read(a->fd, &expirations, sizeof(expirations)) < 0)
		return;
	a->due_us = DEADLINE_NONE;
	a->on_alarm(a->ctx);
}

enum err net_alarm_open(struct net_alarm **ret, uv_loop_t *loop, void (*on_alarm)(void *ctx),
			void *ctx)
{
	struct net_alarm *a = calloc(1, sizeof(*a));
	int n;

	if (!a)
		return ERR_NO_MEMORY;
	a->due_us = DEADLINE_NONE;
	a->on_alarm = on_alarm;
	a->ctx = ctx;
	a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	n = a->fd < 0 ? -errno : uv_poll_init(loop, &a->poll, a->fd);
	if (n < 0) {
		if (a->fd >= 0)
			close(a->fd);
		free(a);
		return net_error(-n);
	}
	a->poll.data = a;
	uv_poll_start(&a->poll, UV_READABLE, on_readable);
	*ret = a;
	return OK;
}

static void on_closed(uv_handle_t *h)
{
	struct net_alarm *a = h->data;

	close(a->fd);
	free(a);
}

void net_alarm_close(struct net_alarm *a)
{
	if (!a)
		return;
	uv_poll_stop(&a->poll);
	uv_close((uv_handle_t *)&a->poll, on_closed);
}

void net_alarm_set(struct net_alarm *a, uint64_t due_us)
{
	struct itimerspec when = {0};

	if (due_us == a->due_us)
		return;
	a->due_us = due_us;
	if (due_us != DEADLINE_NONE) {
		when.it_value.tv_sec = (time_t)(due_us / US_PER_S);
		when.it_value.tv_nsec = (long)(due_us % US_PER_S) * 1000;
		/* Zero would mean never. */
		if (due_us == 0)
			when.it_value.tv_nsec = 1;
	}
	(void)timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL);
}
