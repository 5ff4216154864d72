/* Life, states, what each answer changes, deadlines and events. */
#include "daemon/core/turn/allocation.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/turn/private.h"

/* The one place that changes the state. */
static void set_state(struct turn_allocation *a, enum turn_state state)
{
	a->state = state;
}

static struct turn_event *push_event(struct turn_allocation *a, enum turn_event_type type)
{
	struct turn_event *e;

	/* The owner pulls after each call, which makes at most two; were it not so, the oldest goes. */
	if (a->event_count == TURN_EVENT_SLOTS) {
		a->event_head = (a->event_head + 1) % TURN_EVENT_SLOTS;
		a->event_count--;
	}
	e = &a->events[(a->event_head + a->event_count++) % TURN_EVENT_SLOTS];
	*e = (struct turn_event){.type = type, .cookie = a->cookie, .server = a->server};
	return e;
}

bool turn_allocation_pop_event(struct turn_allocation *a, struct turn_event *ret)
{
	if (a->event_count == 0)
		return turn_peers_pop_event(a, ret);
	*ret = a->events[a->event_head];
	a->event_head = (a->event_head + 1) % TURN_EVENT_SLOTS;
	a->event_count--;
	return true;
}

static void stop_requests(struct turn_allocation *a)
{
	for (size_t i = 0; i < TURN_REQUESTS; i++)
		turn_request_stop(&a->requests[i]);
}

/* --- deadlines --- */

void turn_allocation_schedule(struct turn_allocation *a)
{
	uint64_t due = DEADLINE_NONE;

	for (size_t i = 0; i < TURN_REQUESTS; i++)
		due = deadline_min(due, stun_transaction_deadline(&a->requests[i].txn));
	if (turn_allocation_is_usable(a)) {
		due = deadline_min(due, a->expires_us);
		if (!turn_request_is_active(&a->requests[TURN_MAIN]))
			due = deadline_min(due, a->refresh_us);
		if (!a->stream && !turn_request_is_active(&a->requests[TURN_KEEPALIVE]))
			due = deadline_min(due, a->keepalive_us);
	}
	a->deadline_us = deadline_min(due, turn_peers_deadline(a));
}

uint64_t turn_allocation_next_deadline(const struct turn_allocation *a)
{
	return a->deadline_us;
}

/* 15 s +-20 % after the last message (RFC 8445 s. 11). */
static void schedule_keepalive(struct turn_allocation *a)
{
	uint64_t fifth_us = TURN_KEEPALIVE_US / 5;

	a->keepalive_us = a->sent_us + TURN_KEEPALIVE_US - fifth_us +
			  random_below(&a->random, (uint32_t)(2 * fifth_us));
}

/* RFC 8656 s. 8: well before it runs out. */
static void schedule_refresh(struct turn_allocation *a, uint64_t asked_us, uint64_t lifetime_us)
{
	uint64_t after_us = lifetime_us / 2;
	uint64_t tenth_us;

	if (lifetime_us > 60 * US_PER_S && lifetime_us - 60 * US_PER_S < after_us)
		after_us = lifetime_us - 60 * US_PER_S;
	if (after_us < lifetime_us / 4)
		after_us = lifetime_us / 4;
	tenth_us = after_us / 10;
	after_us = after_us - tenth_us + random_below(&a->random, (uint32_t)(2 * tenth_us + 1));
	a->refresh_us = asked_us + (after_us < lifetime_us / 4 ? lifetime_us / 4 : after_us);
}

/* --- creation --- */

static bool params_are_valid(const struct turn_params *p)
{
	return p->random.fill && netaddr_ip_bytes(&p->server) != 0 && p->server.port != 0 &&
	       (p->family == NETADDR_NONE || p->family == NETADDR_IP4 ||
		p->family == NETADDR_IP6) &&
	       p->max_permissions <= 1024 && p->max_channels <= 4096;
}

static void begin(struct turn_allocation *a, uint64_t now_us)
{
	a->purged = false;
	a->one_family = false;
	a->relayed = a->relayed_other = a->mapped = (struct netaddr){0};
	a->expires_us = 0;
	set_state(a, TURN_ALLOCATING);
	turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
}

enum err turn_allocation_create(struct turn_allocation **ret, const struct turn_params *params,
				uint64_t now_us)
{
	struct turn_allocation *a;
	enum err e = ERR_NO_MEMORY;

	if (!params_are_valid(params))
		return ERR_INVALID;
	a = calloc(1, sizeof(*a));
	if (!a)
		return ERR_NO_MEMORY;
	a->random = params->random;
	a->server = params->server;
	a->stream = params->stream;
	a->hold = params->hold;
	a->family = params->family;
	a->cookie = params->cookie;
	a->auth = secret_alloc(sizeof(*a->auth));
	if (a->auth)
		e = turn_auth_set(a->auth, params->username, params->password);
	if (e == OK)
		e = turn_peers_init(a, params);
	if (e != OK) {
		turn_allocation_destroy(a);
		return e;
	}
	begin(a, now_us);
	turn_allocation_schedule(a);
	*ret = a;
	return OK;
}

void turn_allocation_destroy(struct turn_allocation *a)
{
	if (!a)
		return;
	turn_peers_fini(a);
	secret_free(a->auth);
	free(a);
}

/* --- ends --- */

static void end(struct turn_allocation *a, enum turn_state state, enum turn_event_type type,
		enum turn_problem problem, uint16_t code, uint64_t retry_us)
{
	struct turn_event *e;

	stop_requests(a);
	turn_peers_reset(a);
	a->relayed = a->relayed_other = (struct netaddr){0};
	a->expires_us = 0;
	set_state(a, state);
	e = push_event(a, type);
	e->problem = problem;
	e->code = code;
	e->retry_us = retry_us;
}

static void fail(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
		 uint64_t retry_us)
{
	end(a, TURN_FAILED, TURN_EVENT_FAILED, problem, code, retry_us);
}

static void lose(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
		 uint64_t retry_us)
{
	end(a, TURN_LOST, TURN_EVENT_LOST, problem, code, retry_us);
}

/* It could not be renewed: it is tried again while it lives. */
static void expire(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
		   uint64_t now_us)
{
	struct turn_event *e;

	a->refresh_us = now_us + TURN_REFRESH_RETRY_US;
	if (a->state != TURN_ALLOCATED)
		return;
	set_state(a, TURN_EXPIRING);
	e = push_event(a, TURN_EVENT_EXPIRING);
	e->problem = problem;
	e->code = code;
	e->expires_us = a->expires_us;
}

static void released(struct turn_allocation *a)
{
	end(a, TURN_RELEASED, TURN_EVENT_RELEASED, TURN_PROBLEM_NONE, 0, 0);
}

/* --- the allocation's own requests --- */

/* Both families were granted if there is a second address (RFC 8656 s. 7.3), IPv4 first or last. */
static bool take_relayed(struct turn_allocation *a, const struct stun_message *m)
{
	struct netaddr first = m->xor_relayed_address, second;
	bool two = stun_find_address(m, STUN_XOR_RELAYED_ADDRESS, 1, &second);
	uint8_t wanted = a->family == NETADDR_IP6 ? NETADDR_IP6 : NETADDR_IP4;

	if (!stun_has(m, STUN_XOR_RELAYED_ADDRESS) || !stun_has(m, STUN_XOR_MAPPED_ADDRESS) ||
	    !stun_has(m, STUN_LIFETIME) || m->lifetime_s == 0 ||
	    m->xor_mapped_address.family != a->server.family)
		return false;
	a->relayed = first;
	if (two && first.family != wanted) {
		a->relayed = second;
		second = first;
	}
	if (a->relayed.family != wanted)
		return false;
	if (two && a->family == NETADDR_NONE && second.family == NETADDR_IP6)
		a->relayed_other = second;
	a->mapped = m->xor_mapped_address;
	return true;
}

static void take_lifetime(struct turn_allocation *a, const struct stun_message *m,
			  uint64_t asked_us)
{
	uint64_t lifetime_us = m->lifetime_s * US_PER_S;

	if (lifetime_us > TURN_LIFETIME_MAX_US)
		lifetime_us = TURN_LIFETIME_MAX_US;
	a->expires_us = asked_us + lifetime_us;
	schedule_refresh(a, asked_us, lifetime_us);
}

static void on_allocated(struct turn_allocation *a, const struct stun_message *m, uint64_t now_us)
{
	uint64_t asked_us = a->requests[TURN_MAIN].txn.started_us;
	struct turn_event *e;

	turn_request_stop(&a->requests[TURN_MAIN]);
	if (!take_relayed(a, m)) {
		/* What was not asked for is given back (s. 7.3); nobody waits for the answer. */
		fail(a, TURN_PROBLEM_PROTOCOL, 0, 300 * US_PER_S);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_PURGE, now_us);
		return;
	}
	take_lifetime(a, m, asked_us);
	a->redirects = 0;
	set_state(a, TURN_ALLOCATED);
	schedule_keepalive(a);
	a->misses = 0;
	e = push_event(a, TURN_EVENT_ALLOCATED);
	e->relayed = a->relayed;
	e->relayed_other = a->relayed_other;
	e->mapped = a->mapped;
	e->expires_us = a->expires_us;
	turn_peers_ask(a, now_us);
}

static void on_refreshed(struct turn_allocation *a, const struct stun_message *m, uint64_t now_us)
{
	uint64_t asked_us = a->requests[TURN_MAIN].txn.started_us;

	turn_request_stop(&a->requests[TURN_MAIN]);
	if (!stun_has(m, STUN_LIFETIME) || m->lifetime_s == 0) {
		lose(a, TURN_PROBLEM_GONE, 0, US_PER_S);
		return;
	}
	take_lifetime(a, m, asked_us);
	if (a->state == TURN_EXPIRING) {
		set_state(a, TURN_ALLOCATED);
		push_event(a, TURN_EVENT_RENEWED)->expires_us = a->expires_us;
	}
	turn_peers_ask(a, now_us);
}

static void on_ended(struct turn_allocation *a, enum turn_request_kind kind, uint64_t now_us)
{
	turn_request_stop(&a->requests[TURN_MAIN]);
	if (kind == TURN_REQUEST_RELEASE) {
		released(a);
	} else if (a->state == TURN_PURGING) {
		set_state(a, TURN_ALLOCATING);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
	}
}

static void refresh(struct turn_allocation *a, uint64_t now_us)
{
	if (turn_allocation_is_usable(a) && !turn_request_is_active(&a->requests[TURN_MAIN]))
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_REFRESH, now_us);
}

/* RFC 8489 s. 10. Loopback would let a server aim us at ourselves. */
static void on_alternate(struct turn_allocation *a, const struct turn_rule *rule,
			 const struct stun_message *m)
{
	const struct netaddr *to = &m->alternate_server;
	struct turn_event *e;

	if (!stun_has(m, STUN_ALTERNATE_SERVER) || to->family != a->server.family ||
	    to->port == 0 || netaddr_is_unspecified(to) || netaddr_is_loopback(to) ||
	    netaddr_is_multicast(to) || netaddr_equal(to, &a->server) ||
	    a->redirects == TURN_MAX_REDIRECTS) {
		fail(a, rule->problem, m->error.code, rule->retry_s * US_PER_S);
		return;
	}
	a->redirects++;
	end(a, TURN_REDIRECTED, TURN_EVENT_ALTERNATE, TURN_PROBLEM_NONE, m->error.code, 0);
	e = &a->events[(a->event_head + a->event_count - 1) % TURN_EVENT_SLOTS];
	e->server = *to;
	memcpy(e->domain, m->alternate_domain.p ? (const char *)m->alternate_domain.p : "",
	       m->alternate_domain.len);
	e->domain[m->alternate_domain.len] = '\0';
}

/* Does what the table says of @code. @m: NULL when no answer came. */
static void carry_out(struct turn_allocation *a, struct turn_request *r,
		      const struct turn_rule *rule, uint16_t code, const struct stun_message *m,
		      uint64_t now_us)
{
	uint64_t retry_us = rule->retry_s * US_PER_S;
	enum turn_request_kind kind = r->kind;

	switch (rule->action) {
	case TURN_ACTION_ALTERNATE:
		if (m)
			on_alternate(a, rule, m);
		else
			fail(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_ONE_FAMILY:
		if (a->family != NETADDR_NONE || a->one_family) {
			fail(a, rule->problem, code, retry_us);
			return;
		}
		a->one_family = true;
		turn_request_start(a, r, TURN_REQUEST_ALLOCATE, now_us);
		return;
	case TURN_ACTION_PURGE:
		if (a->purged) {
			fail(a, rule->problem, code, retry_us);
			return;
		}
		a->purged = true;
		set_state(a, TURN_PURGING);
		turn_request_start(a, r, TURN_REQUEST_PURGE, now_us);
		return;
	case TURN_ACTION_CHALLENGE:
	case TURN_ACTION_FAIL:
		fail(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_LOSE:
		lose(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_EXPIRE:
		/* First the state, so that peers are not asked for again at once. */
		expire(a, rule->problem, code, now_us);
		if (kind == TURN_REQUEST_REFRESH)
			turn_request_stop(r);
		else
			turn_peers_on_failure(a, r, rule, code, now_us);
		return;
	case TURN_ACTION_PEER:
	case TURN_ACTION_LATER:
		turn_peers_on_failure(a, r, rule, code, now_us);
		return;
	case TURN_ACTION_DONE:
		on_ended(a, kind, now_us);
		return;
	}
}

/* Authentication has failed for good: what that means depends on what was asked for. */
static void on_refused(struct turn_allocation *a, struct turn_request *r, enum turn_problem problem,
		       uint16_t code, uint64_t now_us)
{
	struct turn_rule rule = {.problem = problem};

	if (r->kind == TURN_REQUEST_ALLOCATE)
		rule.action = TURN_ACTION_FAIL;
	else if (r->kind == TURN_REQUEST_RELEASE || r->kind == TURN_REQUEST_PURGE)
		rule.action = TURN_ACTION_DONE;
	else
		rule.action = TURN_ACTION_EXPIRE;
	carry_out(a, r, &rule, code, NULL, now_us);
}

static void on_challenge(struct turn_allocation *a, struct turn_request *r,
			 const struct stun_message *m, uint64_t now_us)
{
	bool first = !a->auth->challenged;
	enum turn_problem problem = turn_auth_on_challenge(a->auth, m, r->authenticated);

	if (problem == TURN_PROBLEM_NONE && ++r->challenges > TURN_MAX_CHALLENGES)
		problem = TURN_PROBLEM_CREDENTIALS;
	if (problem != TURN_PROBLEM_NONE) {
		on_refused(a, r, problem, m->error.code, now_us);
		return;
	}
	if (a->hold && first && r->kind == TURN_REQUEST_ALLOCATE) {
		turn_request_stop(r);
		set_state(a, TURN_HELD);
		push_event(a, TURN_EVENT_CHALLENGED);
		return;
	}
	turn_request_start(a, r, r->kind, now_us);
}

static void on_success(struct turn_allocation *a, struct turn_request *r,
		       const struct stun_message *m, uint64_t now_us)
{
	switch (r->kind) {
	case TURN_REQUEST_ALLOCATE:
		on_allocated(a, m, now_us);
		return;
	case TURN_REQUEST_REFRESH:
		on_refreshed(a, m, now_us);
		return;
	case TURN_REQUEST_RELEASE:
	case TURN_REQUEST_PURGE:
		on_ended(a, r->kind, now_us);
		return;
	case TURN_REQUEST_PERMISSION:
	case TURN_REQUEST_BIND:
		turn_peers_on_success(a, r, now_us);
		return;
	case TURN_REQUEST_KEEPALIVE:
	case TURN_REQUEST_KIND_COUNT:
		return;
	}
}

/* The server is there; if it sees us elsewhere the NAT has forgotten us, and the allocation, bound to
 * the old 5-tuple, is asked about. */
static void on_keepalive_answer(struct turn_allocation *a, const struct stun_message *m,
				uint64_t now_us)
{
	turn_request_stop(&a->requests[TURN_KEEPALIVE]);
	schedule_keepalive(a);
	a->misses = 0;
	a->answers_keepalives = true;
	if (m->class == STUN_CLASS_SUCCESS && stun_has(m, STUN_XOR_MAPPED_ADDRESS) &&
	    !netaddr_equal(&m->xor_mapped_address, &a->mapped)) {
		a->mapped = m->xor_mapped_address;
		refresh(a, now_us);
	}
}

/* Of an allocation that was made with other credentials servers speak without integrity (437), or with a
 * key that we do not have (441). Who forges that makes us take another socket, no more. */
static bool is_end_of_older(const struct turn_request *r, const struct stun_message *m)
{
	return r->kind == TURN_REQUEST_PURGE || r->kind == TURN_REQUEST_RELEASE ||
	       (r->kind == TURN_REQUEST_ALLOCATE &&
		m->error.code == STUN_ERROR_ALLOCATION_MISMATCH);
}

/* RFC 8489 s. 9.2.5: challenges come without integrity, everything else that answers a request with
 * integrity has it; but see is_end_of_older(). */
static enum err verify(struct turn_allocation *a, struct turn_request *r,
		       const struct stun_message *m)
{
	bool is_error = m->class == STUN_CLASS_ERROR;
	enum err e;

	if (is_error && !stun_has(m, STUN_ERROR_CODE))
		return DROP_MALFORMED;
	if (!r->authenticated ||
	    (is_error && (m->error.code == STUN_ERROR_UNAUTHENTICATED ||
			  m->error.code == STUN_ERROR_STALE_NONCE || is_end_of_older(r, m))))
		return OK;
	e = turn_auth_verify(a->auth, m);
	if (e != OK && is_error)
		r->reported_code = m->error.code;
	return e;
}

static enum err on_response(struct turn_allocation *a, const struct stun_message *m,
			    uint64_t now_us)
{
	size_t i = turn_request_find(a, m->txid);
	struct turn_request *r = &a->requests[i];
	const struct turn_rule *rule;
	enum err e;

	if (i == TURN_REQUESTS)
		return DROP_NO_TRANSACTION;
	e = verify(a, r, m);
	if (e != OK)
		return e;
	if (r->kind == TURN_REQUEST_KEEPALIVE) {
		on_keepalive_answer(a, m, now_us);
		return OK;
	}
	if (m->class == STUN_CLASS_SUCCESS && m->unknown.count == 0) {
		on_success(a, r, m, now_us);
		return OK;
	}
	/* A success that says something we do not understand is none (s. 6.3.3). */
	rule = turn_rule_find(r->kind, m->class == STUN_CLASS_ERROR ? m->error.code
								    : STUN_ERROR_UNKNOWN_ATTRIBUTE);
	if (rule->action == TURN_ACTION_CHALLENGE)
		on_challenge(a, r, m, now_us);
	else
		carry_out(a, r, rule, m->error.code, m, now_us);
	return OK;
}

enum err turn_allocation_input(struct turn_allocation *a, uint64_t now_us, const uint8_t *buf,
			       size_t len, struct turn_data *ret)
{
	struct stun_message m;
	enum err e;

	*ret = (struct turn_data){0};
	if (len > 0 && buf[0] >= TURN_CHANNEL_MIN >> 8 && buf[0] <= TURN_CHANNEL_MAX >> 8)
		return turn_data_on_channel(a, buf, len, ret);
	if (len > 0 && buf[0] > 3)
		return DROP_UNKNOWN_TYPE;
	e = stun_decode(&m, buf, len);
	if (e != OK)
		return e;
	switch (m.class) {
	case STUN_CLASS_REQUEST:
		return DROP_UNKNOWN_TYPE;
	case STUN_CLASS_INDICATION:
		return turn_data_on_indication(a, &m, ret);
	case STUN_CLASS_SUCCESS:
	case STUN_CLASS_ERROR:
		break;
	}
	e = on_response(a, &m, now_us);
	turn_allocation_schedule(a);
	return e;
}

bool turn_allocation_expects(const struct turn_allocation *a,
			     const uint8_t txid[static STUN_TXID_BYTES])
{
	return turn_request_find(a, txid) != TURN_REQUESTS;
}

/* --- time --- */

static void on_silence(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	uint16_t code = r->reported_code;

	if (r->kind == TURN_REQUEST_KEEPALIVE) {
		turn_request_stop(r);
		schedule_keepalive(a);
		if (a->answers_keepalives && ++a->misses >= TURN_KEEPALIVE_MISSES) {
			a->misses = 0;
			refresh(a, now_us);
		}
		return;
	}
	carry_out(a, r, turn_rule_find(r->kind, code), code, NULL, now_us);
}

static void serve(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	switch (stun_transaction_on_deadline(&r->txn, now_us)) {
	case STUN_TRANSACTION_NOTHING:
		return;
	case STUN_TRANSACTION_RETRANSMIT:
		r->to_send = true;
		a->sent_us = now_us;
		return;
	case STUN_TRANSACTION_TIMED_OUT:
		on_silence(a, r, now_us);
		return;
	}
}

void turn_allocation_on_deadline(struct turn_allocation *a, uint64_t now_us)
{
	bool is_late = a->deadline_us != DEADLINE_NONE && now_us > a->deadline_us + TURN_LATE_US;

	for (size_t i = 0; i < TURN_REQUESTS; i++)
		serve(a, &a->requests[i], now_us);
	if (turn_allocation_is_usable(a) && now_us >= a->expires_us)
		lose(a, TURN_PROBLEM_EXPIRED, 0, US_PER_S);
	turn_peers_expire(a, now_us);
	turn_peers_ask(a, now_us);
	if (turn_allocation_is_usable(a)) {
		if (now_us >= a->refresh_us || is_late)
			refresh(a, now_us);
		if (now_us < a->sent_us + TURN_KEEPALIVE_US * 4 / 5 && now_us >= a->keepalive_us)
			schedule_keepalive(a);
		if (!a->stream && now_us >= a->keepalive_us &&
		    !turn_request_is_active(&a->requests[TURN_KEEPALIVE]))
			turn_request_start(a, &a->requests[TURN_KEEPALIVE], TURN_REQUEST_KEEPALIVE,
					   now_us);
	}
	turn_allocation_schedule(a);
}

bool turn_allocation_pop_transmit(struct turn_allocation *a, uint8_t *buf, size_t cap,
				  size_t *ret_len)
{
	for (size_t i = 0; i < TURN_REQUESTS; i++) {
		if (turn_request_write(a, &a->requests[i], buf, cap, ret_len))
			return true;
	}
	return false;
}

/* --- what the owner wants --- */

enum err turn_allocation_proceed(struct turn_allocation *a, uint64_t now_us)
{
	if (a->state != TURN_HELD)
		return ERR_WRONG_STATE;
	set_state(a, TURN_ALLOCATING);
	turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
	turn_allocation_schedule(a);
	return OK;
}

enum err turn_allocation_restart(struct turn_allocation *a, uint64_t now_us,
				 const struct netaddr *server)
{
	if (a->state != TURN_RELEASED && a->state != TURN_REDIRECTED && a->state != TURN_FAILED &&
	    a->state != TURN_LOST)
		return ERR_WRONG_STATE;
	if (server && (netaddr_ip_bytes(server) == 0 || server->port == 0))
		return ERR_INVALID;
	if (server && !netaddr_equal(server, &a->server)) {
		a->server = *server;
		turn_auth_forget(a->auth);
	}
	a->answers_keepalives = false;
	stop_requests(a);
	begin(a, now_us);
	turn_allocation_schedule(a);
	return OK;
}

void turn_allocation_release(struct turn_allocation *a, uint64_t now_us)
{
	/* A request that is under way may still get an allocation: that is given back, too. */
	bool may_exist = turn_allocation_is_usable(a) ||
			 (a->state == TURN_ALLOCATING && a->requests[TURN_MAIN].authenticated);

	if (a->state == TURN_RELEASING || a->state == TURN_RELEASED)
		return;
	stop_requests(a);
	if (may_exist) {
		set_state(a, TURN_RELEASING);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_RELEASE, now_us);
	} else {
		released(a);
	}
	turn_allocation_schedule(a);
}

void turn_allocation_verify(struct turn_allocation *a, uint64_t now_us)
{
	struct turn_request *r = &a->requests[TURN_MAIN];

	/* One that nobody answers has long pauses by now. */
	if (turn_request_is_active(r) && r->kind == TURN_REQUEST_REFRESH &&
	    now_us >= r->txn.started_us + US_PER_S)
		turn_request_stop(r);
	refresh(a, now_us);
	turn_allocation_schedule(a);
}

void turn_allocation_on_stream_closed(struct turn_allocation *a, uint64_t now_us)
{
	(void)now_us;
	switch (a->state) {
	case TURN_ALLOCATING:
	case TURN_HELD:
	case TURN_PURGING:
		fail(a, TURN_PROBLEM_SILENT, 0, 30 * US_PER_S);
		break;
	case TURN_ALLOCATED:
	case TURN_EXPIRING:
		lose(a, TURN_PROBLEM_SILENT, 0, US_PER_S);
		break;
	case TURN_RELEASING:
		released(a);
		break;
	case TURN_RELEASED:
	case TURN_REDIRECTED:
	case TURN_FAILED:
	case TURN_LOST:
	case TURN_STATE_COUNT:
		break;
	}
	turn_allocation_schedule(a);
}

enum err turn_allocation_set_credentials(struct turn_allocation *a, uint64_t now_us,
					 const char *username, const char *password)
{
	bool stands = turn_allocation_is_usable(a) || a->state == TURN_RELEASING;
	enum err e;

	if (stands && (!username || strcmp(username, a->auth->username) != 0))
		return ERR_WRONG_STATE;
	e = turn_auth_set(a->auth, username, password);
	if (e == OK && a->state == TURN_EXPIRING)
		refresh(a, now_us);
	turn_allocation_schedule(a);
	return e;
}

/* --- what it is --- */

enum turn_state turn_allocation_state(const struct turn_allocation *a)
{
	return a->state;
}

bool turn_allocation_is_usable(const struct turn_allocation *a)
{
	return a->state == TURN_ALLOCATED || a->state == TURN_EXPIRING;
}

uint64_t turn_allocation_expires_us(const struct turn_allocation *a)
{
	return a->expires_us;
}

const struct netaddr *turn_allocation_relayed(const struct turn_allocation *a)
{
	return &a->relayed;
}

const struct netaddr *turn_relayed_of(const struct turn_allocation *a, uint8_t family)
{
	if (a->relayed.family == family)
		return &a->relayed;
	return a->relayed_other.family == family ? &a->relayed_other : NULL;
}

const struct netaddr *turn_allocation_server(const struct turn_allocation *a)
{
	return &a->server;
}
