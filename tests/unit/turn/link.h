/* A client and a TURN server of tests/support joined by an ideal network: what one sends arrives at
 * once. Time moves only in link_run(). */
#ifndef ICETUN_TESTS_TURN_LINK_H
#define ICETUN_TESTS_TURN_LINK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/turn/allocation.h"
#include "tests/support/turn_server.h"

#define LINK_EVENTS 64

struct link {
	uint64_t now_us;
	struct random_seeded seed;
	struct turn_server server;
	struct turn_params params;
	struct turn_allocation *a;
	struct netaddr client;
	bool cut; /* nothing arrives in either direction */
	struct turn_event events[LINK_EVENTS];
	size_t event_count;
	/* What came from peers, and what the server sent to them. */
	struct turn_data data;
	uint8_t bytes[2048];
	size_t data_count;
	struct turn_server_datagram to_peer;
	size_t to_peer_count;
	size_t sent;	       /* messages of the client */
	uint64_t first_us[32]; /* when the first of them left */
};

static struct netaddr link_address(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static void link_pump(struct link *l)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct turn_server_datagram d;
	struct turn_data data;
	bool busy = true;
	size_t len;

	while (busy) {
		busy = false;
		while (turn_allocation_pop_transmit(l->a, buf, sizeof(buf), &len)) {
			if (l->sent < 32)
				l->first_us[l->sent] = l->now_us;
			l->sent++;
			if (!l->cut)
				turn_server_input(&l->server, l->now_us, &l->server.address,
						  &l->client, buf, len);
		}
		while (turn_server_pop(&l->server, &d)) {
			busy = true;
			if (!netaddr_equal(&d.to, &l->client)) {
				l->to_peer = d;
				l->to_peer_count++;
				continue;
			}
			if (l->cut)
				continue;
			if (turn_allocation_input(l->a, l->now_us, d.bytes, d.len, &data) == OK &&
			    data.kind != TURN_DATA_NONE) {
				l->data = data;
				assert_true(data.len <= sizeof(l->bytes));
				if (data.len)
					memcpy(l->bytes, data.bytes, data.len);
				l->data_count++;
			}
		}
	}
	while (l->event_count < LINK_EVENTS &&
	       turn_allocation_pop_event(l->a, &l->events[l->event_count]))
		l->event_count++;
}

static void link_open(struct link *l)
{
	assert_int_equal(crypto_start(), OK);
	*l = (struct link){.now_us = 1000 * US_PER_S};
	l->client = link_address("198.51.100.7:4000");
	random_seeded_init(&l->seed, 1);
	turn_server_init(&l->server, &(struct netaddr){0}, l->now_us, 2);
	l->server.address = link_address("203.0.113.1:3478");
	l->params = (struct turn_params){
		.random = random_seeded_source(&l->seed),
		.server = l->server.address,
		.username = "user",
		.password = "secret",
		.family = NETADDR_IP4,
		.cookie = l,
	};
}

static void link_start(struct link *l)
{
	assert_int_equal(turn_allocation_create(&l->a, &l->params, l->now_us), OK);
	link_pump(l);
}

/* Runs from deadline to deadline for @for_us. */
static void link_run(struct link *l, uint64_t for_us)
{
	uint64_t end_us = l->now_us + for_us;
	size_t steps = 0;

	link_pump(l);
	while (turn_allocation_next_deadline(l->a) <= end_us) {
		uint64_t due = turn_allocation_next_deadline(l->a);

		if (due > l->now_us)
			l->now_us = due;
		turn_allocation_on_deadline(l->a, l->now_us);
		link_pump(l);
		assert_true(++steps < 1000000); /* it must not spin */
	}
	l->now_us = end_us;
}

static void link_close(struct link *l)
{
	turn_allocation_destroy(l->a);
	assert_int_equal(l->server.violations, 0);
}

/* Return: the first event of @type, or NULL. */
static inline const struct turn_event *link_event(const struct link *l, enum turn_event_type type)
{
	for (size_t i = 0; i < l->event_count; i++) {
		if (l->events[i].type == type)
			return &l->events[i];
	}
	return NULL;
}

static inline size_t link_count(const struct link *l, enum turn_event_type type)
{
	size_t count = 0;

	for (size_t i = 0; i < l->event_count; i++)
		count += l->events[i].type == type;
	return count;
}

#endif
