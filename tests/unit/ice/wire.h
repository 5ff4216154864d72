/*
 * Two engines joined by a wire in memory, with virtual time: datagrams take DELAY, and a test may
 * look at, change or drop each of them. Relays pass what has a permission (RFC 8656 s. 9). NATs and
 * many hosts are the simulator's business (tests/sim).
 */
#ifndef ICETUN_TEST_ICE_WIRE_H
#define ICETUN_TEST_ICE_WIRE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"

#define WIRE_HOSTS   2
#define WIRE_SOCKETS 4
#define WIRE_SLOTS   512
#define WIRE_RELAYS  4 /* numbers from 1 */
#define WIRE_PERMITS 16

struct wire_datagram {
	bool used;
	uint64_t at_us;
	uint64_t serial;
	struct netaddr from, to;
	size_t len;
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
};

struct wire_relay {
	struct netaddr addr;
	struct netaddr permits[WIRE_PERMITS];
	size_t permit_count, refused;
};

struct wire_host {
	struct random_seeded seed;
	struct ice_engine *engine;
	struct ice_agent *agent;
	struct netaddr addr[WIRE_SOCKETS];   /* by socket number */
	size_t states[ICE_AGENT_FAILED + 1]; /* events seen */
	size_t path_events, gathered_events, changed_events, permit_events;
	size_t next_path_events, next_failed_events, upgrade_events;
	size_t candidate_events[ICE_CANDIDATE_TYPE_COUNT];
	struct ice_candidate last_candidate;
	struct ice_event last_next; /* NEXT_PATH or NEXT_FAILED */
	struct wire_relay relays[WIRE_RELAYS];
	size_t sent, sent_requests;
};

struct wire {
	uint64_t now_us;
	uint64_t delay_us;
	uint64_t serial;
	struct wire_host host[WIRE_HOSTS];
	struct wire_datagram slots[WIRE_SLOTS];
	/* Return: false to drop. May change anything. */
	bool (*filter)(struct wire *w, size_t sender, struct wire_datagram *d);
	/* Called for what goes to no host. */
	void (*stranger)(struct wire *w, size_t sender, const struct wire_datagram *d);
	void *ctx;
};

static inline struct netaddr wire_addr(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static inline void wire_init_params(struct wire *w, uint64_t seed, struct ice_engine_params params)
{
	memset(w, 0, sizeof(*w));
	w->now_us = 1000 * US_PER_S;
	w->delay_us = 10 * US_PER_MS;
	params.allow_low_ports = true; /* small numbers read well */
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		random_seeded_init(&w->host[i].seed, seed * WIRE_HOSTS + i);
		params.random = random_seeded_source(&w->host[i].seed);
		assert_int_equal(ice_engine_create(&w->host[i].engine, &params), OK);
	}
}

static inline void wire_init(struct wire *w, uint64_t seed)
{
	wire_init_params(w, seed, (struct ice_engine_params){.max_agents = 4});
}

static inline void wire_fini(struct wire *w)
{
	for (size_t i = 0; i < WIRE_HOSTS; i++)
		ice_engine_destroy(w->host[i].engine);
}

static inline void wire_post(struct wire *w, const struct netaddr *from, const struct netaddr *to,
			     const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < WIRE_SLOTS; i++) {
		struct wire_datagram *d = &w->slots[i];

		if (d->used)
			continue;
		d->used = true;
		d->at_us = w->now_us + w->delay_us;
		d->serial = ++w->serial;
		d->from = *from;
		d->to = *to;
		d->len = len;
		memcpy(d->buf, buf, len);
		return;
	}
	fail_msg("the wire is full");
}

static inline bool wire_relay_permits(struct wire_relay *r, const struct netaddr *peer)
{
	for (size_t i = 0; i < r->permit_count; i++) {
		if (netaddr_ip_equal(&r->permits[i], peer))
			return true;
	}
	r->refused++;
	return false;
}

static inline void wire_on_event(struct wire_host *h, const struct ice_event *ev)
{
	struct wire_relay *r;

	switch (ev->type) {
	case ICE_EVENT_GATHERED:
		h->gathered_events++;
		break;
	case ICE_EVENT_LOCAL_CANDIDATE:
		h->candidate_events[ev->candidate.type]++;
		h->last_candidate = ev->candidate;
		break;
	case ICE_EVENT_MAPPING_CHANGED:
		h->changed_events++;
		h->last_candidate = ev->candidate;
		break;
	case ICE_EVENT_STATE:
		h->states[ev->state]++;
		break;
	case ICE_EVENT_PATH:
		h->path_events++;
		break;
	case ICE_EVENT_PERMIT:
		h->permit_events++;
		assert_in_range(ev->relay, 1, WIRE_RELAYS - 1);
		r = &h->relays[ev->relay];
		assert_in_range(r->permit_count, 0, WIRE_PERMITS - 1);
		r->permits[r->permit_count++] = ev->remote;
		break;
	case ICE_EVENT_NEXT_PATH:
		h->next_path_events++;
		h->last_next = *ev;
		break;
	case ICE_EVENT_NEXT_FAILED:
		h->next_failed_events++;
		h->last_next = *ev;
		break;
	case ICE_EVENT_UPGRADE_ADVISED:
		h->upgrade_events++;
		break;
	}
}

/* Events first: a permission is there before what needs it. */
static inline void wire_drain(struct wire *w)
{
	struct ice_transmit t;
	struct ice_event ev;
	struct wire_datagram d;

	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		struct wire_host *h = &w->host[i];

		while (ice_engine_pop_event(h->engine, &ev))
			wire_on_event(h, &ev);
		while (ice_engine_pop_transmit(h->engine, &t, d.buf, sizeof(d.buf))) {
			assert_true(stun_is_message(d.buf, t.len));
			h->sent++;
			h->sent_requests += (d.buf[0] << 8 | d.buf[1]) == 0x0001;
			if (t.relay) {
				assert_in_range(t.relay, 1, WIRE_RELAYS - 1);
				if (!wire_relay_permits(&h->relays[t.relay], &t.to))
					continue;
				d.from = h->relays[t.relay].addr;
			} else {
				assert_in_range(t.socket, 0, WIRE_SOCKETS - 1);
				d.from = h->addr[t.socket];
			}
			d.to = t.to;
			d.len = t.len;
			if (!w->filter || w->filter(w, i, &d))
				wire_post(w, &d.from, &d.to, d.buf, d.len);
		}
	}
}

static inline void wire_add_socket(struct wire *w, size_t host, uint16_t socket, const char *addr)
{
	w->host[host].addr[socket] = wire_addr(addr);
	assert_int_equal(ice_engine_add_socket(w->host[host].engine, w->now_us, socket,
					       &w->host[host].addr[socket],
					       (uint16_t)(65535 - socket)),
			 OK);
}

/* The server of all relays is the same and far away. */
static inline void wire_add_relay(struct wire *w, size_t host, uint16_t relay, uint16_t socket,
				  const char *relayed)
{
	struct netaddr server = wire_addr("198.51.100.200:3478");
	struct netaddr mapped = wire_addr("203.0.113.200:6666");

	w->host[host].relays[relay].addr = wire_addr(relayed);
	assert_int_equal(ice_engine_add_relay(w->host[host].engine, w->now_us, relay, socket,
					      &w->host[host].relays[relay].addr, &mapped, &server,
					      (uint16_t)(100 - relay)),
			 OK);
}

static inline void wire_open(struct wire *w, size_t host, bool controlling)
{
	struct ice_agent_params p = {.cookie = &w->host[host], .controlling = controlling};

	assert_int_equal(ice_agent_open(&w->host[host].agent, w->host[host].engine, w->now_us, &p),
			 OK);
}

/* Host @to learns the description of the other. */
static inline void wire_tell(struct wire *w, size_t to)
{
	struct ice_description d;

	ice_agent_get_description(w->host[1 - to].agent, &d);
	assert_int_equal(ice_agent_set_remote(w->host[to].agent, w->now_us, &d), OK);
}

static inline void wire_deliver(struct wire *w, struct wire_datagram *d)
{
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		for (uint16_t s = 0; s < WIRE_SOCKETS; s++) {
			if (!netaddr_equal(&w->host[i].addr[s], &d->to))
				continue;
			(void)!ice_engine_input(w->host[i].engine, w->now_us, s, &d->from, d->buf,
						d->len);
			return;
		}
		for (uint16_t n = 1; n < WIRE_RELAYS; n++) {
			struct wire_relay *r = &w->host[i].relays[n];

			if (!netaddr_equal(&r->addr, &d->to))
				continue;
			if (wire_relay_permits(r, &d->from))
				(void)!ice_engine_input_relayed(w->host[i].engine, w->now_us, n,
								&d->from, d->buf, d->len);
			return;
		}
	}
	if (w->stranger)
		w->stranger(w, netaddr_equal(&d->from, &w->host[1].addr[0]), d);
}

/* Runs until @until_us, event by event, what is due then included. */
static inline void wire_run_until(struct wire *w, uint64_t until_us)
{
	size_t same_time = 0;

	for (;;) {
		struct wire_datagram *next = NULL, copy;
		uint64_t deadline = DEADLINE_NONE, at;

		wire_drain(w);
		for (size_t i = 0; i < WIRE_HOSTS; i++)
			deadline =
				deadline_min(deadline, ice_engine_next_deadline(w->host[i].engine));
		for (size_t i = 0; i < WIRE_SLOTS; i++) {
			struct wire_datagram *d = &w->slots[i];

			if (d->used && (!next || d->at_us < next->at_us ||
					(d->at_us == next->at_us && d->serial < next->serial)))
				next = d;
		}
		at = next ? deadline_min(next->at_us, deadline) : deadline;
		if (at > until_us)
			break;
		same_time = at > w->now_us ? 0 : same_time + 1;
		assert_true(same_time < 10000); /* an engine that never has enough */
		if (at > w->now_us)
			w->now_us = at;
		if (next && next->at_us <= w->now_us) {
			copy = *next;
			next->used = false;
			wire_deliver(w, &copy);
			continue;
		}
		for (size_t i = 0; i < WIRE_HOSTS; i++)
			ice_engine_on_deadline(w->host[i].engine, w->now_us);
	}
	if (until_us > w->now_us)
		w->now_us = until_us;
}

static inline void wire_run(struct wire *w, uint64_t duration_us)
{
	wire_run_until(w, w->now_us + duration_us);
}

static inline enum ice_agent_state wire_state(const struct wire *w, size_t host)
{
	return ice_agent_get_state(w->host[host].agent);
}

/* It has to have one. */
static inline struct ice_path wire_path(const struct wire *w, size_t host)
{
	struct ice_path path;

	assert_true(ice_agent_get_path(w->host[host].agent, &path));
	return path;
}

static inline const struct drop_counters *wire_drops(const struct wire *w, size_t host)
{
	return ice_engine_drops(w->host[host].engine);
}

/* A Binding message made by hand. */
struct wire_forge {
	enum stun_class class;
	const char *user, *peer_user; /* USERNAME, left out when NULL */
	const char *pwd;	      /* MESSAGE-INTEGRITY, left out when NULL */
	const uint8_t *txid;	      /* NULL: some */
	uint32_t priority;	      /* 0 = left out */
	bool controlling, controlled; /* with .tie_breaker */
	uint64_t tie_breaker;
	bool use_candidate;
	const struct netaddr *mapped; /* XOR-MAPPED-ADDRESS */
	uint16_t error;
	uint16_t unknown; /* an empty attribute of this type, 0 = none */
	bool no_fingerprint;
};

static inline size_t wire_forge(const struct wire_forge *f, uint8_t buf[ICE_TRANSMIT_MAX_BYTES])
{
	static const uint8_t some_txid[STUN_TXID_BYTES] = "0123456789a";
	struct stun_writer writer;
	size_t len;

	stun_write_begin(&writer, buf, ICE_TRANSMIT_MAX_BYTES, f->class, STUN_METHOD_BINDING,
			 f->txid ? f->txid : some_txid);
	if (f->user)
		stun_write_username(&writer, f->user, f->peer_user);
	if (f->priority)
		stun_write_number(&writer, STUN_PRIORITY, f->priority);
	if (f->controlling)
		stun_write_number(&writer, STUN_ICE_CONTROLLING, f->tie_breaker);
	if (f->controlled)
		stun_write_number(&writer, STUN_ICE_CONTROLLED, f->tie_breaker);
	if (f->use_candidate)
		stun_write_flag(&writer, STUN_USE_CANDIDATE);
	if (f->mapped)
		stun_write_address(&writer, STUN_XOR_MAPPED_ADDRESS, f->mapped);
	if (f->error)
		stun_write_error(&writer, f->error);
	if (f->unknown) {
		wr_u16be(&writer.wr, f->unknown);
		wr_u16be(&writer.wr, 0);
	}
	assert_int_equal(stun_write_finish(&writer, f->pwd, f->pwd ? strlen(f->pwd) : 0,
					   !f->no_fingerprint, &len),
			 OK);
	return len;
}

/* Gives host @to a forged message that seems to come from @from. */
static inline enum err wire_inject(struct wire *w, size_t to, const struct netaddr *from,
				   const struct wire_forge *f)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	size_t len = wire_forge(f, buf);

	return ice_engine_input(w->host[to].engine, w->now_us, 0, from, buf, len);
}

/* Takes the one datagram that host @from has to send. */
static inline void wire_take(struct wire *w, size_t from, struct wire_datagram *d,
			     struct stun_message *ret)
{
	struct ice_transmit t;

	assert_true(ice_engine_pop_transmit(w->host[from].engine, &t, d->buf, sizeof(d->buf)));
	d->to = t.to;
	d->len = t.len;
	assert_int_equal(stun_decode(ret, d->buf, d->len), OK);
}

static inline bool wire_is_silent(struct wire *w, size_t from)
{
	struct wire_datagram d;
	struct ice_transmit t;

	return !ice_engine_pop_transmit(w->host[from].engine, &t, d.buf, sizeof(d.buf));
}

/* One socket each, host 0 controlling, both know each other. */
static inline void wire_connect(struct wire *w)
{
	wire_add_socket(w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(w, 1, 0, "192.0.2.2:2000");
	wire_open(w, 0, true);
	wire_open(w, 1, false);
	wire_tell(w, 0);
	wire_tell(w, 1);
}

#endif
