#include "tests/sim/ice_servers.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/core/base/time.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/support/turn_server.h"

#define STREAM_DELAY_US (20 * US_PER_MS)
#define SLOW_US		(700 * US_PER_MS)
#define STUN_PORT	40000
#define MAX_STREAMS	1024

enum job_kind {
	JOB_DATAGRAM,  /* a server sends it */
	JOB_TO_SERVER, /* bytes of a stream reach the server */
	JOB_CLOSE,     /* the end of a stream reaches the server */
	JOB_TO_CLIENT, /* bytes of a stream reach its client */
	JOB_IS_OPEN,   /* the stream is open, for its client */
	JOB_IS_CLOSED, /* the stream is closed, for its client */
};

struct job {
	uint64_t at_us;
	enum job_kind kind;
	struct netaddr from, to;
	size_t end;
	uint32_t stream;
	size_t len;
	uint8_t bytes[TURN_SERVER_BYTES];
	struct job *prev, *next;
};

struct ice_servers {
	struct simnet *net;
	enum ice_mood stun_mood[ICE_SCENARIO_STUN_SERVERS], turn_mood;
	struct netaddr stun[2 * ICE_SCENARIO_STUN_SERVERS];
	size_t stun_count; /* addresses: two a server */
	size_t stun_hosts[ICE_SCENARIO_STUN_SERVERS];
	size_t turn_host;
	struct turn_server *turn; /* one for each family of clients; NULL = nobody needs them */
	struct job *jobs;	  /* in the order of their times */
	struct job *popped;
	struct {
		bool ip6[2]; /* of each end */
	} streams[MAX_STREAMS];
};

static struct netaddr address(const char *text, uint16_t port)
{
	struct netaddr a;

	if (netaddr_parse_ip(text, port, &a) != OK)
		abort();
	return a;
}

struct netaddr ice_servers_turn(bool ip6)
{
	return address(ip6 ? "2001:db8:5::9" : "198.51.100.9", 3478);
}

/* --- jobs --- */

static struct job *add_job(struct ice_servers *s, uint64_t at_us, enum job_kind kind,
			   const uint8_t *bytes, size_t len)
{
	struct job *j = malloc(sizeof(*j)), *before;

	if (!j || len > sizeof(j->bytes))
		abort();
	memset(j, 0, offsetof(struct job, bytes));
	j->at_us = at_us;
	j->kind = kind;
	j->len = len;
	if (len > 0)
		memcpy(j->bytes, bytes, len);
	/* Those of one time in the order in which they were added. */
	before = s->jobs ? s->jobs->prev : NULL;
	while (before && before->at_us > at_us)
		before = before == s->jobs ? NULL : before->prev;
	if (before)
		DL_APPEND_ELEM(s->jobs, before, j);
	else
		DL_PREPEND(s->jobs, j);
	return j;
}

/* What the server sees of a stream: of the family that it was opened over. */
static struct netaddr stream_client(const struct ice_servers *s, size_t end, uint32_t stream)
{
	bool ip6 = s->streams[stream % MAX_STREAMS].ip6[end];
	struct netaddr a = address(ip6 ? "2001:db8:2::" : "192.0.2.0", (uint16_t)(1000 + stream));

	a.ip[ip6 ? 15 : 3] = (uint8_t)(1 + end);
	return a;
}

static bool is_stream_client(const struct netaddr *a, size_t *ret_end, uint32_t *ret_stream)
{
	struct netaddr ip4 = address("192.0.2.0", 0), ip6 = address("2001:db8:2::", 0);
	bool is_ip6 = a->family == NETADDR_IP6;

	if (memcmp(a->ip, is_ip6 ? ip6.ip : ip4.ip, is_ip6 ? 15 : 3) != 0)
		return false;
	*ret_end = a->ip[is_ip6 ? 15 : 3] - 1u;
	*ret_stream = (uint32_t)a->port - 1000;
	return true;
}

static void add_stream_job(struct ice_servers *s, uint64_t at_us, enum job_kind kind, size_t end,
			   uint32_t stream, const uint8_t *bytes, size_t len)
{
	struct job *j = add_job(s, at_us, kind, bytes, len);

	j->end = end;
	j->stream = stream;
}

static void add_datagram(struct ice_servers *s, uint64_t at_us, const struct netaddr *from,
			 const struct netaddr *to, const uint8_t *bytes, size_t len)
{
	struct job *j = add_job(s, at_us, JOB_DATAGRAM, bytes, len);

	j->from = *from;
	j->to = *to;
}

/* --- life --- */

static void add_stun(struct ice_servers *s, size_t i, enum ice_mood mood)
{
	static const struct simnet_link wire = {.delay_us = 100};
	static const char *const texts[2 * ICE_SCENARIO_STUN_SERVERS] = {
		"198.51.100.1", "2001:db8:5::1", "198.51.100.2", "2001:db8:5::2"};

	s->stun_mood[i] = mood;
	s->stun_hosts[i] = simnet_add_host(s->net, SIMNET_INTERNET, &wire);
	for (size_t j = 0; j < 2; j++) {
		s->stun[s->stun_count] = address(texts[2 * i + j], STUN_PORT);
		simnet_add_address(s->net, s->stun_hosts[i], &s->stun[s->stun_count++]);
	}
}

static void add_turn(struct ice_servers *s, uint64_t now_us, uint64_t seed)
{
	static const struct simnet_link wire = {.delay_us = 100};
	static const char *const relaying[] = {"203.0.113.200", "2001:db8:ff::"};

	s->turn_host = simnet_add_host(s->net, SIMNET_INTERNET, &wire);
	s->turn = calloc(2, sizeof(*s->turn));
	if (!s->turn)
		abort();
	for (size_t i = 0; i < 2; i++) {
		struct netaddr at = ice_servers_turn(i == 1), other = address(relaying[i], 0);

		turn_server_init(&s->turn[i], &at, now_us, seed + i);
		s->turn[i].config.password = ICE_SERVERS_PASSWORD;
		s->turn[i].config.username = NULL;
		s->turn[i].config.silent = s->turn_mood == ICE_MOOD_DEAD;
		/* Both relay IPv6 from one address. */
		s->turn[i].next_port = (uint16_t)(50000 + 5000 * i);
		simnet_add_address(s->net, s->turn_host, &at);
		simnet_add_address(s->net, s->turn_host, &other);
	}
}

struct ice_servers *ice_servers_create(struct simnet *net, const struct ice_scenario *scenario,
				       uint64_t now_us)
{
	struct ice_servers *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->net = net;
	s->turn_mood = scenario->turn;
	for (size_t i = 0; i < scenario->stun_servers; i++)
		add_stun(s, i, scenario->stun[i]);
	if (scenario->relay[0] || scenario->relay[1])
		add_turn(s, now_us, scenario->seed);
	return s;
}

void ice_servers_destroy(struct ice_servers *s)
{
	struct job *j, *next;

	if (!s)
		return;
	DL_FOREACH_SAFE (s->jobs, j, next) {
		free(j);
	}
	free(s->popped);
	free(s->turn);
	free(s);
}

void ice_servers_heal(struct ice_servers *s)
{
	for (size_t i = 0; i < ICE_SCENARIO_STUN_SERVERS; i++)
		s->stun_mood[i] = ICE_MOOD_GOOD;
	s->turn_mood = ICE_MOOD_GOOD;
	for (size_t i = 0; s->turn && i < 2; i++)
		s->turn[i].config.silent = false;
}

size_t ice_servers_stun(const struct ice_servers *s, const struct netaddr **ret)
{
	*ret = s->stun;
	return s->stun_count;
}

/* --- STUN --- */

static void answer_binding(struct ice_servers *s, uint64_t now_us, enum ice_mood mood,
			   const struct simnet_delivery *d, const uint8_t *buf)
{
	bool refuses = mood == ICE_MOOD_REFUSES;
	uint8_t out[STUN_SAFE_BYTES];
	struct stun_message m;
	struct stun_writer w;
	size_t len;

	if (mood == ICE_MOOD_DEAD || stun_decode(&m, buf, d->len) != OK ||
	    m.class != STUN_CLASS_REQUEST || m.method != STUN_METHOD_BINDING)
		return;
	stun_write_begin(&w, out, sizeof(out), refuses ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS,
			 STUN_METHOD_BINDING, m.txid);
	if (refuses)
		stun_write_error(&w, STUN_ERROR_SERVER_ERROR);
	else
		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, &d->from);
	if (stun_write_finish(&w, NULL, 0, true, &len) != OK)
		abort();
	add_datagram(s, now_us + (mood == ICE_MOOD_SLOW ? SLOW_US : 0), &d->to, &d->from, out, len);
}

/* --- TURN --- */

static void send_for_turn(struct ice_servers *s, uint64_t now_us, struct turn_server *t)
{
	uint64_t delay_us = s->turn_mood == ICE_MOOD_SLOW ? SLOW_US / 4 : 0;
	struct turn_server_datagram d;
	uint32_t stream;
	size_t end;

	while (turn_server_pop(t, &d)) {
		if (!is_stream_client(&d.to, &end, &stream)) {
			add_datagram(s, now_us + delay_us, &d.from, &d.to, d.bytes, d.len);
			continue;
		}
		while (d.len % 4) /* RFC 8656 s. 12.5 */
			d.bytes[d.len++] = 0;
		add_stream_job(s, now_us + delay_us + STREAM_DELAY_US, JOB_TO_CLIENT, end, stream,
			       d.bytes, d.len);
	}
}

static void input_turn(struct ice_servers *s, uint64_t now_us, const struct netaddr *to,
		       const struct netaddr *from, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; s->turn && i < 2; i++) {
		if (!turn_server_owns(&s->turn[i], to))
			continue;
		turn_server_input(&s->turn[i], now_us, to, from, buf, len);
		send_for_turn(s, now_us, &s->turn[i]);
	}
}

static void forget_client(struct ice_servers *s, const struct netaddr *client)
{
	for (size_t i = 0; s->turn && i < 2; i++) {
		struct turn_server_allocation *a = turn_server_find(&s->turn[i], client);

		if (a)
			memset(a, 0, sizeof(*a));
	}
}

void ice_servers_restart_turn(struct ice_servers *s, uint64_t now_us)
{
	for (size_t i = 0; s->turn && i < 2; i++) {
		for (size_t k = 0; k < TURN_SERVER_ALLOCATIONS; k++) {
			uint32_t stream;
			size_t end;

			if (is_stream_client(&s->turn[i].allocations[k].client, &end, &stream))
				add_stream_job(s, now_us + STREAM_DELAY_US, JOB_IS_CLOSED, end,
					       stream, NULL, 0);
		}
		turn_server_restart(&s->turn[i], now_us);
	}
}

bool ice_servers_input(struct ice_servers *s, uint64_t now_us, const struct simnet_delivery *d,
		       const uint8_t *buf)
{
	for (size_t i = 0; i < s->stun_count / 2; i++) {
		if (d->host != s->stun_hosts[i])
			continue;
		answer_binding(s, now_us, s->stun_mood[i], d, buf);
		return true;
	}
	if (!s->turn || d->host != s->turn_host)
		return false;
	input_turn(s, now_us, &d->to, &d->from, buf, d->len);
	return true;
}

/* --- streams --- */

void ice_servers_open_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream,
			     bool ip6, bool reachable)
{
	bool opens = reachable && s->turn && s->turn_mood != ICE_MOOD_DEAD;

	s->streams[stream % MAX_STREAMS].ip6[end] = ip6;
	add_stream_job(s, now_us + 2 * STREAM_DELAY_US, opens ? JOB_IS_OPEN : JOB_IS_CLOSED, end,
		       stream, NULL, 0);
}

void ice_servers_close_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream)
{
	add_stream_job(s, now_us + STREAM_DELAY_US, JOB_CLOSE, end, stream, NULL, 0);
}

void ice_servers_write_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream,
			      const uint8_t *buf, size_t len)
{
	add_stream_job(s, now_us + STREAM_DELAY_US, JOB_TO_SERVER, end, stream, buf, len);
}

uint64_t ice_servers_next_deadline(const struct ice_servers *s)
{
	return s->jobs ? s->jobs->at_us : DEADLINE_NONE;
}

static bool is_for_client(const struct job *j)
{
	return j->kind == JOB_TO_CLIENT || j->kind == JOB_IS_OPEN || j->kind == JOB_IS_CLOSED;
}

static void do_job(struct ice_servers *s, uint64_t now_us, const struct job *j)
{
	struct netaddr client = stream_client(s, j->end, j->stream);
	struct netaddr server = ice_servers_turn(client.family == NETADDR_IP6);
	size_t host = s->turn_host;

	switch (j->kind) {
	case JOB_DATAGRAM:
		for (size_t i = 0; i < s->stun_count; i++)
			if (netaddr_equal(&s->stun[i], &j->from))
				host = s->stun_hosts[i / 2];
		if (!simnet_send(s->net, now_us, host, &j->from, &j->to, j->bytes, j->len))
			abort();
		break;
	case JOB_TO_SERVER:
		input_turn(s, now_us, &server, &client, j->bytes, j->len);
		break;
	case JOB_CLOSE:
		forget_client(s, &client);
		break;
	case JOB_TO_CLIENT:
	case JOB_IS_OPEN:
	case JOB_IS_CLOSED:
		break;
	}
}

void ice_servers_on_deadline(struct ice_servers *s, uint64_t now_us)
{
	struct job *j, *next;

	DL_FOREACH_SAFE (s->jobs, j, next) {
		if (j->at_us > now_us)
			break;
		if (is_for_client(j))
			continue;
		DL_DELETE(s->jobs, j);
		do_job(s, now_us, j);
		free(j);
		next = s->jobs; /* a job makes jobs */
	}
}

bool ice_servers_pop_stream(struct ice_servers *s, uint64_t now_us, struct ice_stream_news *ret)
{
	struct job *j;

	free(s->popped);
	s->popped = NULL;
	DL_FOREACH (s->jobs, j) {
		if (j->at_us > now_us)
			return false;
		if (is_for_client(j))
			break;
	}
	if (!j)
		return false;
	DL_DELETE(s->jobs, j);
	s->popped = j;
	*ret = (struct ice_stream_news){
		.kind = j->kind == JOB_IS_OPEN	   ? ICE_STREAM_OPEN
			: j->kind == JOB_IS_CLOSED ? ICE_STREAM_CLOSED
						   : ICE_STREAM_BYTES,
		.end = j->end,
		.stream = j->stream,
		.bytes = j->bytes,
		.len = j->len,
	};
	return true;
}
