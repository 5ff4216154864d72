#include "daemon/data/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/base/time.h"
#include "daemon/data/rx.h"
#include "daemon/data/send.h"
#include "daemon/data/tx.h"

#define MAX_EVENTS 16
/* So long without an event, and a worker gives memory back: it costs a few microseconds, once, and
 * the next packets a page fault for each page. */
#define REST_MS 2000

/* What epoll gives back: the slot of a socket, below DATA_MAX_SOCKETS, or one of these. Never a
 * pointer: an event is older than the turn in which it is handled. */
#define TAG_STOP     UINT32_MAX
#define TAG_TUN	     (UINT32_MAX - 1)
#define TAG_INJECTED (UINT32_MAX - 2)

static uint64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

bool worker_hand_over(struct worker *w, enum ring_kind kind, struct data_input *input,
		      const uint8_t *bytes, size_t len, counter *passed)
{
	struct ring *ring = &w->rings[kind];

	input->now_us = w->now_us;
	input->len = len;
	if (!ring_has_room(ring, sizeof(*input) + len))
		return false;
	if (passed)
		counter_add(passed, 1);
	if (ring_push(ring, input, sizeof(*input), bytes, len))
		return false;
	bell_ring(&w->plane->bell);
	return true;
}

/* Return: whether to go on. */
static bool handle(struct worker *w, const struct epoll_event *events, int count)
{
	bool is_stopping = false, has_received = false, is_broken = false, can_read = false;

	for (int i = 0; i < count; i++) {
		uint32_t tag = events[i].data.u32;

		if (tag == TAG_STOP) {
			is_stopping = true;
		} else if (tag == TAG_TUN) {
			can_read = true;
			is_broken = events[i].events & (EPOLLHUP | EPOLLERR);
		} else if (tag == TAG_INJECTED) {
			rx_injected_turn(w);
		} else {
			rx_turn(w, tag);
			has_received = true;
		}
	}
	/* What was received makes answers: acknowledgments go out without another wake-up. */
	if (can_read || has_received)
		tx_turn(w, is_broken);
	return !is_stopping;
}

/* What a burst has filled is not kept for the next one. */
static void rest(struct worker *w)
{
	rx_rest(w->rx);
	tx_rest(w->tx);
	sender_rest(w->sender);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct qsbr *q = &w->plane->qsbr;
	bool goes_on = true, is_resting = true;

	while (goes_on) {
		struct epoll_event events[MAX_EVENTS];
		int count = epoll_wait(w->epoll_fd, events, MAX_EVENTS, is_resting ? -1 : REST_MS);

		is_resting = count == 0;
		if (is_resting) {
			rest(w);
			continue;
		}
		qsbr_begin(q, w->number);
		w->now_us = monotonic_us();
		goes_on = handle(w, events, count);
		qsbr_rest(q, w->number);
	}
	return NULL;
}

static enum err poll_add(struct worker *w, int fd, uint32_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? ERR_SYSTEM : OK;
}

static enum err make_buffers(struct worker *w, size_t ring_bytes)
{
	enum err e = OK;

	for (int i = 0; e == OK && i < RING_COUNT; i++)
		e = ring_init(&w->rings[i], ring_bytes);
	if (e == OK)
		e = ring_init(&w->injected, ring_bytes);
	if (e == OK)
		e = rx_create(&w->rx, w);
	if (e == OK)
		e = tx_create(&w->tx);
	return e == OK ? sender_create(&w->sender) : e;
}

enum err worker_init(struct worker *w, struct data_plane *d, unsigned int number,
		     const struct data_params *params)
{
	enum err e;

	memset(w, 0, sizeof(*w));
	w->plane = d;
	w->number = number;
	w->tun_fd = params->tun_fds[number];
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = bell_init(&w->injected_bell);
	if (e || w->epoll_fd < 0 || w->stop_fd < 0)
		return ERR_SYSTEM;
	e = make_buffers(w, params->ring_bytes);
	if (e == OK)
		e = poll_add(w, w->stop_fd, TAG_STOP);
	if (e == OK)
		e = poll_add(w, w->injected_bell.fd, TAG_INJECTED);
	return e ? e : poll_add(w, w->tun_fd, TAG_TUN);
}

enum err worker_start(struct worker *w)
{
	sigset_t all, old;
	char name[16];
	int failed;

	/* Signals belong to the control thread's loop. A thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&w->thread, NULL, worker_run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed)
		return ERR_SYSTEM;
	w->is_running = true;
	snprintf(name, sizeof(name), "icetun-data%u", w->number);
	pthread_setname_np(w->thread, name);
	return OK;
}

void worker_fini(struct worker *w)
{
	static const uint64_t one = 1;

	if (w->is_running) {
		while (write(w->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(w->thread, NULL);
	}
	for (int i = 0; i < RING_COUNT; i++)
		ring_fini(&w->rings[i]);
	ring_fini(&w->injected);
	bell_fini(&w->injected_bell);
	rx_destroy(w->rx);
	tx_destroy(w->tx);
	sender_destroy(w->sender);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
}

enum err worker_poll_socket(struct worker *w, int fd, uint32_t slot)
{
	return poll_add(w, fd, slot);
}

void worker_unpoll_socket(struct worker *w, int fd)
{
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
