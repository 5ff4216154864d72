/* One allocation and what it goes over. */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/peer/relay_private.h"

#define MAX_REDIRECTS 3
/* A retired allocation is kept at least so long: what is under way may still need it. */
#define RETIRED_MIN_US (5 * US_PER_S)

/* --- begin and end --- */

static uint32_t new_stream(struct relays *r)
{
	uint32_t stream;

	do
		stream = ++r->next_stream;
	while (stream == 0 || slot_of_stream(r, stream));
	return stream;
}

static enum err make_turn(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	const struct relay_server *server = &r->servers[s->server];
	struct turn_params params = {
		.random = r->random,
		.server = s->target.address,
		.stream = s->stream != 0,
		.hold = true,
		.username = server->secret->username,
		.password = server->secret->password,
		.family = NETADDR_NONE,
		.max_permissions = RELAYS_MAX_PEERS,
		.max_channels = RELAYS_MAX_PEERS,
	};

	s->asked_us = now_us;
	s->credentials = server->credentials;
	s->credentials_end_us = server->expires_us;
	return turn_allocation_create(&s->turn, &params, now_us);
}

static void set_name(struct relay_slot *s, const char *name)
{
	size_t len = strnlen(name, sizeof(s->name) - 1);

	memcpy(s->name, name, len);
	s->name[len] = '\0';
}

static enum err open_stream(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	enum err e = OK;

	if (!s->framer)
		e = turn_framer_create(&s->framer, TURN_FRAME_MAX_BYTES);
	if (e == OK && !s->out.buf)
		e = fifo_init(&s->out, RELAYS_STREAM_QUEUE_BYTES);
	if (e != OK)
		return e;
	turn_framer_reset(s->framer);
	fifo_clear(&s->out);
	s->stream = new_stream(r);
	s->give_up_us = now_us + RELAYS_STREAM_US;
	s->state = SLOT_CONNECTING;
	s->news |= SLOT_NEWS_STREAM_OPEN;
	s->told &= (uint16_t)~SLOT_NEWS_STREAM_OPEN;
	return OK;
}

void slot_free(struct relay_slot *s)
{
	turn_allocation_destroy(s->turn);
	turn_framer_destroy(s->framer);
	fifo_fini(&s->out);
	free(s->peers);
	*s = (struct relay_slot){0};
}

enum err slot_start(struct relays *r, size_t server, const struct overlay_relay_target *t,
		    uint16_t socket, uint64_t now_us)
{
	struct relay_slot *s = NULL;
	enum err e;

	for (size_t i = 0; i < RELAYS_MAX_SLOTS && !s; i++) {
		if (r->slots[i].state == SLOT_FREE)
			s = &r->slots[i];
	}
	if (!s)
		return ERR_LIMIT;
	s->server = server;
	s->server_id = r->servers[server].id;
	s->target = *t;
	s->socket = socket;
	set_name(s, r->servers[server].name);
	s->peers = calloc(RELAYS_MAX_PEERS, sizeof(*s->peers));
	if (!s->peers) {
		e = ERR_NO_MEMORY;
	} else if (t->transport == TURN_TRANSPORT_UDP) {
		s->state = SLOT_ASKING;
		s->news |= SLOT_NEWS_SERVER_ADD;
		e = make_turn(r, s, now_us);
	} else {
		e = open_stream(r, s, now_us);
	}
	if (e != OK)
		slot_free(s);
	return e;
}

/* What was told needs an end, what was not told is forgotten. Return: whether it was told. */
static bool close_news(struct relay_slot *s, uint16_t begin, uint16_t end)
{
	bool was_told = s->told & begin;

	s->news &= (uint16_t)~begin;
	s->told &= (uint16_t)~begin;
	if (was_told)
		s->news |= end;
	return was_told;
}

static void close_transport(struct relay_slot *s)
{
	if (close_news(s, SLOT_NEWS_SERVER_ADD, SLOT_NEWS_SERVER_REMOVE))
		s->old_server = s->target.address;
	if (close_news(s, SLOT_NEWS_STREAM_OPEN, SLOT_NEWS_STREAM_CLOSE))
		s->old_stream = s->stream;
}

static void withdraw(struct relay_slot *s)
{
	s->news &= (uint16_t) ~(SLOT_NEWS_RETIRED | SLOT_NEWS_RETIRED_OTHER | SLOT_NEWS_OFFERED |
				SLOT_NEWS_OFFERED_OTHER | SLOT_NEWS_CHANNEL);
	(void)close_news(s, SLOT_NEWS_UP, SLOT_NEWS_DOWN);
	(void)close_news(s, SLOT_NEWS_UP_OTHER, SLOT_NEWS_DOWN_OTHER);
}

static void leave_main(struct relays *r, const struct relay_slot *s)
{
	if (s->server != RELAYS_NO_SERVER && r->servers[s->server].main == (size_t)(s - r->slots))
		r->servers[s->server].main = RELAYS_NO_SLOT;
}

void slot_end(struct relays *r, struct relay_slot *s)
{
	leave_main(r, s);
	withdraw(s);
	close_transport(s);
	turn_allocation_destroy(s->turn);
	s->turn = NULL;
	s->is_verifying = false;
	s->in_doubt = false;
	s->state = SLOT_ENDED;
	if (!s->news)
		slot_free(s);
}

void slot_release(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	/* A server forgets what came over a stream that is closed. */
	if (s->stream || !s->turn || !turn_allocation_is_usable(s->turn)) {
		slot_end(r, s);
		return;
	}
	leave_main(r, s);
	withdraw(s);
	s->in_doubt = false;
	s->state = SLOT_RELEASING;
	turn_allocation_release(s->turn, now_us);
}

static void set_offered(struct relay_slot *s, bool offered)
{
	uint16_t set = offered ? SLOT_NEWS_OFFERED : SLOT_NEWS_RETIRED;
	uint16_t clear = offered ? SLOT_NEWS_RETIRED : SLOT_NEWS_OFFERED;

	for (size_t i = 0; i < 2; i++) {
		if (s->relayed[i].family == NETADDR_NONE)
			continue;
		s->news |= (uint16_t)(set << i);
		s->news &= (uint16_t) ~(clear << i);
	}
}

void slot_retire(struct relay_slot *s, uint64_t now_us)
{
	s->state = SLOT_RETIRED;
	s->retired_us = now_us;
	/* Until somebody has counted. */
	s->path_count = SIZE_MAX;
	set_offered(s, false);
}

void slot_set_doubt(struct relay_slot *s, bool in_doubt)
{
	if (s->in_doubt == in_doubt || s->state != SLOT_STANDING)
		return;
	s->in_doubt = in_doubt;
	set_offered(s, !in_doubt);
}

/* --- peers --- */

static struct relay_peer *find_peer(struct relay_slot *s, const struct netaddr *addr)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		if (netaddr_equal(&s->peers[i].addr, addr))
			return &s->peers[i];
	}
	return NULL;
}

static void forget_peer(struct relay_slot *s, size_t i)
{
	const struct relay_peer *p = &s->peers[i];

	if (p->addr.port)
		turn_allocation_unbind(s->turn, &p->addr);
	else
		turn_allocation_unpermit(s->turn, &p->addr);
	s->peers[i] = s->peers[--s->peer_count];
}

struct relay_peer *slot_want_peer(struct relay_slot *s, uint64_t now_us, const struct netaddr *addr)
{
	struct relay_peer *p = find_peer(s, addr);
	enum err e;

	if (!p) {
		if (!s->turn || s->peer_count == RELAYS_MAX_PEERS)
			return NULL;
		e = addr->port ? turn_allocation_bind(s->turn, now_us, addr)
			       : turn_allocation_permit(s->turn, now_us, addr, 1);
		if (e != OK)
			return NULL;
		p = &s->peers[s->peer_count++];
		*p = (struct relay_peer){.addr = *addr};
	}
	if (!p->is_refused)
		p->used_us = now_us;
	return p;
}

void slot_copy_peers(struct relay_slot *to, const struct relay_slot *from, uint64_t now_us)
{
	for (size_t i = 0; i < from->peer_count; i++) {
		/* What there is no room for is asked for when it is needed. */
		struct relay_peer *p = from->peers[i].is_refused
					       ? NULL
					       : slot_want_peer(to, now_us, &from->peers[i].addr);

		if (p)
			p->used_us = from->peers[i].used_us;
	}
}

void slot_sweep(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	for (size_t i = s->peer_count; i-- > 0;) {
		const struct relay_peer *p = &s->peers[i];

		if (!p->is_marked && now_us >= p->used_us + RELAYS_PEER_IDLE_US)
			forget_peer(s, i);
	}
	if (s->state == SLOT_RETIRED && s->path_count == 0 &&
	    now_us >= s->retired_us + RETIRED_MIN_US)
		slot_release(r, s, now_us);
}

static void on_peer_event(struct relay_slot *s, const struct turn_event *e)
{
	struct relay_peer *p = find_peer(s, &e->peer);

	if (!p)
		return;
	p->is_refused = e->type == TURN_EVENT_PEER_REFUSED;
	if (p->addr.port) {
		p->has_news = true;
		s->news |= SLOT_NEWS_CHANNEL;
	}
}

/* --- what the allocation tells --- */

static void set_relayed(struct relay_slot *s, const struct netaddr *a)
{
	if (a->family != NETADDR_NONE)
		s->relayed[a->family == NETADDR_IP6] = *a;
}

static uint16_t new_relay(struct relays *r)
{
	uint16_t relay;

	do {
		r->next_relay = (uint16_t)(r->next_relay + 2);
		relay = r->next_relay;
	} while (relay == 0 || relay == UINT16_MAX || slot_of_relay(r, relay));
	return relay;
}

static void on_allocated(struct relays *r, struct relay_slot *s, const struct turn_event *e,
			 uint64_t now_us)
{
	set_relayed(s, &e->relayed);
	set_relayed(s, &e->relayed_other);
	s->mapped = e->mapped;
	s->relay = new_relay(r);
	s->stands_us = now_us;
	s->state = SLOT_STANDING;
	if (s->server == RELAYS_NO_SERVER || !server_on_allocated(r, s, now_us)) {
		slot_release(r, s, now_us);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		if (s->relayed[i].family != NETADDR_NONE)
			s->news |= (uint16_t)(SLOT_NEWS_UP << i);
	}
}

static void on_challenged(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	/* Without a repetition the time is a round trip. */
	if (now_us - s->asked_us < 500 * US_PER_MS)
		s->rtt_us = now_us - s->asked_us;
	if (!server_on_challenge(r, s, now_us) || turn_allocation_proceed(s->turn, now_us) != OK)
		slot_end(r, s);
	else
		s->state = SLOT_ALLOCATING;
}

static void fail(struct relays *r, struct relay_slot *s, uint64_t now_us,
		 const struct relay_failure *why)
{
	/* server_* looks at what the slot was, when it is gone for everybody else. */
	struct relay_slot was = *s;

	s->is_lost = true;
	slot_end(r, s);
	if (was.server == RELAYS_NO_SERVER)
		return;
	if (was.state == SLOT_STANDING)
		server_on_lost(r, &was, now_us, why);
	else if (slot_is_attempt(&was))
		server_on_failed(r, &was, now_us, why);
}

static void on_alternate(struct relays *r, struct relay_slot *s, const struct turn_event *e,
			 uint64_t now_us)
{
	struct relay_failure failed = {.problem = TURN_PROBLEM_ALTERNATE, .code = 300};

	if (s->redirects++ == MAX_REDIRECTS || e->server.family != s->target.address.family ||
	    !slot_is_attempt(s)) {
		fail(r, s, now_us, &failed);
		return;
	}
	close_transport(s);
	s->target.address = e->server;
	if (s->stream) {
		if (e->domain[0])
			set_name(s, e->domain);
		if (open_stream(r, s, now_us) != OK)
			fail(r, s, now_us, &failed);
		return;
	}
	s->state = SLOT_ASKING;
	s->news |= SLOT_NEWS_SERVER_ADD;
	if (turn_allocation_restart(s->turn, now_us, &e->server) != OK)
		fail(r, s, now_us, &failed);
}

void slot_drain(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	struct relay_failure why;
	struct turn_event e;

	while (s->turn && turn_allocation_pop_event(s->turn, &e)) {
		why = (struct relay_failure){
			.problem = e.problem, .code = e.code, .retry_us = e.retry_us};
		switch (e.type) {
		case TURN_EVENT_CHALLENGED:
			on_challenged(r, s, now_us);
			break;
		case TURN_EVENT_ALLOCATED:
			on_allocated(r, s, &e, now_us);
			break;
		case TURN_EVENT_FAILED:
		case TURN_EVENT_LOST:
			fail(r, s, now_us, &why);
			break;
		case TURN_EVENT_EXPIRING:
			if (s->server != RELAYS_NO_SERVER && s->state == SLOT_STANDING)
				server_on_expiring(r, s, now_us, &why);
			break;
		case TURN_EVENT_RENEWED:
			break;
		case TURN_EVENT_ALTERNATE:
			on_alternate(r, s, &e, now_us);
			break;
		case TURN_EVENT_RELEASED:
			slot_end(r, s);
			break;
		case TURN_EVENT_PERMITTED:
		case TURN_EVENT_CHANNEL:
		case TURN_EVENT_PEER_REFUSED:
			on_peer_event(s, &e);
			break;
		}
	}
}

void slot_on_stream_open(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	enum err e;

	if (s->state != SLOT_CONNECTING)
		return;
	s->state = SLOT_ASKING;
	e = s->turn ? turn_allocation_restart(s->turn, now_us, &s->target.address)
		    : make_turn(r, s, now_us);
	if (e != OK)
		fail(r, s, now_us, &(struct relay_failure){.problem = TURN_PROBLEM_INTERNAL});
}

void slot_on_stream_broken(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	fail(r, s, now_us, &(struct relay_failure){.problem = TURN_PROBLEM_PROTOCOL});
}

uint64_t slot_stream_deadline(const struct relay_slot *s)
{
	return s->stream && slot_is_attempt(s) ? s->give_up_us : DEADLINE_NONE;
}

void slot_on_stream_deadline(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	fail(r, s, now_us, &(struct relay_failure){.problem = TURN_PROBLEM_SILENT});
}

void slot_on_stream_closed(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	/* Nobody has to close it any more. */
	s->told &= (uint16_t)~SLOT_NEWS_STREAM_OPEN;
	s->news &= (uint16_t) ~(SLOT_NEWS_STREAM_OPEN | SLOT_NEWS_STREAM_CLOSE);
	fail(r, s, now_us, &(struct relay_failure){.is_stream = true});
}

/* --- events --- */

/* Larger is better: one family of each server before the other, so that two servers, or two ways to
 * one, both are offered; then the transport, then the order of the list. */
static uint16_t preference(const struct relays *r, const struct relay_slot *s, size_t other)
{
	unsigned int rank = s->target.transport == TURN_TRANSPORT_UDP	? 3
			    : s->target.transport == TURN_TRANSPORT_TCP ? 2
									: 1;
	bool first = other == (size_t)(s->relayed[0].family == NETADDR_NONE);
	size_t order = s->server == RELAYS_NO_SERVER ? OVERLAY_MAX_RELAY_SERVERS : s->server;

	_Static_assert(OVERLAY_MAX_RELAY_SERVERS < 16 && RELAYS_MAX_SLOTS < 32, "bits below");
	return (uint16_t)((unsigned int)first << 12 | rank << 10 | (15 - (unsigned int)order) << 6 |
			  (unsigned int)(s - r->slots) << 1 | (unsigned int)other);
}

/* Return: true with the next entry whose channel has come or was refused. */
static bool pop_channel(struct relay_slot *s, struct relays_event *ret)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		struct relay_peer *p = &s->peers[i];

		if (!p->has_news)
			continue;
		p->has_news = false;
		ret->type = RELAYS_EVENT_CHANNEL;
		ret->relay = (uint16_t)(s->relay + (p->addr.family == NETADDR_IP6));
		ret->peer = p->addr;
		return true;
	}
	s->news &= (uint16_t)~SLOT_NEWS_CHANNEL;
	return false;
}

bool slot_pop_event(struct relays *r, struct relay_slot *s, struct relays_event *ret)
{
	static const struct {
		uint16_t news;
		enum relays_event_type type;
		uint8_t other;
	} table[] = {
		{SLOT_NEWS_STREAM_CLOSE, RELAYS_EVENT_STREAM_CLOSE, 0},
		{SLOT_NEWS_SERVER_REMOVE, RELAYS_EVENT_SERVER_REMOVE, 0},
		{SLOT_NEWS_STREAM_OPEN, RELAYS_EVENT_STREAM_OPEN, 0},
		{SLOT_NEWS_SERVER_ADD, RELAYS_EVENT_SERVER_ADD, 0},
		{SLOT_NEWS_UP, RELAYS_EVENT_UP, 0},
		{SLOT_NEWS_UP_OTHER, RELAYS_EVENT_UP, 1},
		{SLOT_NEWS_RETIRED, RELAYS_EVENT_RETIRED, 0},
		{SLOT_NEWS_RETIRED_OTHER, RELAYS_EVENT_RETIRED, 1},
		{SLOT_NEWS_OFFERED, RELAYS_EVENT_OFFERED, 0},
		{SLOT_NEWS_OFFERED_OTHER, RELAYS_EVENT_OFFERED, 1},
		{SLOT_NEWS_DOWN, RELAYS_EVENT_DOWN, 0},
		{SLOT_NEWS_DOWN_OTHER, RELAYS_EVENT_DOWN, 1},
	};

	*ret = (struct relays_event){
		.socket = s->stream ? ICE_NO_SOCKET : s->socket,
		.stream = s->stream,
		.server_id = s->server_id,
		.tls = s->target.transport == TURN_TRANSPORT_TLS,
		.is_lost = s->is_lost,
		.mapped = s->mapped,
		.server = s->target.address,
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!(s->news & table[i].news))
			continue;
		s->news &= (uint16_t)~table[i].news;
		s->told |= table[i].news;
		ret->type = table[i].type;
		ret->relay = (uint16_t)(s->relay + table[i].other);
		ret->relayed = s->relayed[table[i].other];
		ret->preference = preference(r, s, table[i].other);
		if (ret->type == RELAYS_EVENT_STREAM_CLOSE)
			ret->stream = s->old_stream;
		else if (ret->type == RELAYS_EVENT_SERVER_REMOVE)
			ret->server = s->old_server;
		if (s->state == SLOT_ENDED && !s->news)
			slot_free(s);
		return true;
	}
	return (s->news & SLOT_NEWS_CHANNEL) && pop_channel(s, ret);
}

struct relay_slot *slot_of_relay(const struct relays *r, uint16_t relay)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (s->state != SLOT_FREE && s->relay &&
		    (relay == s->relay || relay == s->relay + 1))
			return s;
	}
	return NULL;
}

struct relay_slot *slot_of_stream(const struct relays *r, uint32_t stream)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS && stream; i++) {
		struct relay_slot *s = &r->slots[i];

		if (s->state != SLOT_FREE && s->state != SLOT_ENDED && s->stream == stream)
			return s;
	}
	return NULL;
}
