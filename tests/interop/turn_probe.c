/*
 * turn_probe: our TURN client against somebody else's server, with real sockets.
 *
 *	turn_probe udp|tcp SERVER:PORT USER PASSWORD [SECONDS]
 *
 * Two allocations, each of which permits the other; one binds a channel to it. Then for SECONDS (1)
 * numbered datagrams go there and back every 100 ms, over the channel one way and by Send
 * indications the other. Events are printed as they come. Ends with 0 when every datagram came
 * back.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/turn/allocation.h"
#include "daemon/core/turn/frame.h"
#include "daemon/net/sockaddr.h"

#define INTERVAL_US (100 * US_PER_MS)
#define PATIENCE_US (10 * US_PER_S)

struct end {
	const char *name;
	int fd;
	bool stream, has_peer;
	struct turn_allocation *allocation;
	struct turn_framer *framer;
	struct netaddr peer; /* the other one's relayed address */
	bool ready;	     /* the server lets the other one through */
	uint64_t received;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void send_bytes(const struct end *e, const uint8_t *buf, size_t len)
{
	if (send(e->fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail("send");
}

static void send_data(struct end *e, const void *text, size_t text_len)
{
	uint8_t buf[1024];
	size_t len;
	enum err err = turn_allocation_wrap(e->allocation, now_us(), &e->peer, text, text_len, buf,
					    sizeof(buf), &len);

	if (err == OK)
		send_bytes(e, buf, len);
	else
		printf("%s: wrap: %s\n", e->name, err_name(err));
}

static void on_event(struct end *e, struct end *other, const struct turn_event *event)
{
	char a[NETADDR_TEXT_BYTES], b[NETADDR_TEXT_BYTES];

	switch (event->type) {
	case TURN_EVENT_ALLOCATED:
		printf("%s: allocated %s, seen as %s\n", e->name,
		       netaddr_format(&event->relayed, a), netaddr_format(&event->mapped, b));
		other->peer = event->relayed;
		other->has_peer = true;
		if (turn_allocation_permit(other->allocation, now_us(), &other->peer, 1) != OK)
			printf("permit failed\n");
		break;
	case TURN_EVENT_PERMITTED:
		printf("%s: permitted %s\n", e->name, netaddr_format_ip(&event->peer, a));
		e->ready = true;
		break;
	case TURN_EVENT_CHANNEL:
		printf("%s: channel 0x%x\n", e->name, (unsigned int)event->channel);
		break;
	case TURN_EVENT_RELEASED:
		printf("%s: released\n", e->name);
		break;
	case TURN_EVENT_ALTERNATE:
		printf("%s: alternate %s\n", e->name, netaddr_format(&event->server, a));
		break;
	case TURN_EVENT_RENEWED:
	case TURN_EVENT_CHALLENGED:
		printf("%s: event %d\n", e->name, (int)event->type);
		break;
	case TURN_EVENT_FAILED:
	case TURN_EVENT_LOST:
	case TURN_EVENT_EXPIRING:
	case TURN_EVENT_PEER_REFUSED:
		printf("%s: %s: %s (%u)\n", e->name,
		       turn_state_name(turn_allocation_state(e->allocation)),
		       turn_problem_text(event->problem), (unsigned int)event->code);
		break;
	}
	fflush(stdout);
}

static void pump(struct end *e, struct end *other)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct turn_event event;
	size_t len;

	while (turn_allocation_pop_transmit(e->allocation, buf, sizeof(buf), &len))
		send_bytes(e, buf, len);
	while (turn_allocation_pop_event(e->allocation, &event))
		on_event(e, other, &event);
}

static void on_frame(struct end *e, struct end *other, const uint8_t *frame, size_t len, bool echo)
{
	struct turn_data data;
	enum err err = turn_allocation_input(e->allocation, now_us(), frame, len, &data);

	if (err != OK)
		printf("%s: input: %s\n", e->name, err_name(err));
	if (data.kind == TURN_DATA_BYTES) {
		e->received++;
		if (echo)
			send_data(e, data.bytes, data.len);
	}
	pump(e, other);
	pump(other, e);
}

static void on_readable(struct end *e, struct end *other, bool echo)
{
	uint8_t buf[2048], *at = buf;
	const uint8_t *frame;
	size_t room = sizeof(buf), len;
	ssize_t n;
	enum err err;

	if (e->stream)
		at = turn_framer_reserve(e->framer, &room);
	n = recv(e->fd, at, room, 0);
	if (n < 0 || (e->stream && n == 0))
		fail("recv");
	if (!e->stream) {
		on_frame(e, other, buf, (size_t)n, echo);
		return;
	}
	turn_framer_commit(e->framer, (size_t)n);
	while ((err = turn_framer_next(e->framer, &frame, &len)) == OK)
		on_frame(e, other, frame, len, echo);
	if (err != ERR_EMPTY)
		fail("frame");
}

static void open_end(struct end *e, const struct netaddr *server, const char *user,
		     const char *password)
{
	struct turn_params params = {
		.random = random_system(),
		.server = *server,
		.stream = e->stream,
		.username = user,
		.password = password,
		.family = NETADDR_IP4,
	};
	union net_sockaddr sa;
	socklen_t sa_len = net_sockaddr_from(server, &sa);

	e->fd = socket(sa.any.sa_family, e->stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (e->fd < 0 || connect(e->fd, &sa.any, sa_len) != 0)
		fail("connect");
	if (turn_framer_create(&e->framer, 4096) != OK ||
	    turn_allocation_create(&e->allocation, &params, now_us()) != OK)
		fail("create");
}

static int wait_ms(const struct end *a, const struct end *b, uint64_t next_us)
{
	uint64_t due = turn_allocation_next_deadline(a->allocation);
	uint64_t now = now_us();

	due = deadline_min(due, turn_allocation_next_deadline(b->allocation));
	due = deadline_min(due, next_us);
	return due <= now ? 0 : (int)((due - now + 999) / 1000);
}

int main(int argc, char **argv)
{
	struct end a = {.name = "a"}, b = {.name = "b"};
	uint64_t sent = 0, want, next_us = now_us(), end_us;
	struct netaddr server;
	bool bound = false;

	if (argc < 5 || crypto_start() != OK || netaddr_parse(argv[2], &server) != OK) {
		fprintf(stderr, "usage: turn_probe udp|tcp SERVER:PORT USER PASSWORD [SECONDS]\n");
		return 2;
	}
	a.stream = b.stream = strcmp(argv[1], "tcp") == 0;
	want = 10 * (argc > 5 ? strtoul(argv[5], NULL, 10) : 1);
	end_us = next_us + want * INTERVAL_US + PATIENCE_US;
	open_end(&a, &server, argv[3], argv[4]);
	open_end(&b, &server, argv[3], argv[4]);
	while (now_us() < end_us && (sent < want || a.received < sent)) {
		struct pollfd fds[] = {{.fd = a.fd, .events = POLLIN},
				       {.fd = b.fd, .events = POLLIN}};

		pump(&a, &b);
		pump(&b, &a);
		if (poll(fds, 2, wait_ms(&a, &b, next_us)) < 0)
			fail("poll");
		if (fds[0].revents)
			on_readable(&a, &b, false);
		if (fds[1].revents)
			on_readable(&b, &a, true);
		turn_allocation_on_deadline(a.allocation, now_us());
		turn_allocation_on_deadline(b.allocation, now_us());
		if (a.ready && b.ready && !bound)
			bound = turn_allocation_bind(a.allocation, now_us(), &a.peer) == OK;
		if (now_us() < next_us)
			continue;
		next_us = now_us() + INTERVAL_US;
		if (a.ready && b.ready && sent < want) {
			send_data(&a, &sent, sizeof(sent));
			sent++;
		}
	}
	turn_allocation_release(a.allocation, now_us());
	turn_allocation_release(b.allocation, now_us());
	pump(&a, &b);
	pump(&b, &a);
	printf("sent %llu, back %llu\n", (unsigned long long)sent, (unsigned long long)a.received);
	for (struct end *e = &a; e; e = e == &a ? &b : NULL) {
		turn_allocation_destroy(e->allocation);
		turn_framer_destroy(e->framer);
		close(e->fd);
	}
	return sent == want && a.received == sent ? 0 : 1;
}
