/* What an answer, or that there is none, changes. */
#include <string.h>

#include "daemon/core/turn/private.h"

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
		turn_allocation_fail(a, TURN_PROBLEM_PROTOCOL, 0, 300 * US_PER_S);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_PURGE, now_us);
		return;
	}
	take_lifetime(a, m, asked_us);
	a->redirects = 0;
	turn_allocation_set_state(a, TURN_ALLOCATED);
	turn_allocation_schedule_keepalive(a);
	a->misses = 0;
	e = turn_allocation_push_event(a, TURN_EVENT_ALLOCATED);
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
		turn_allocation_lose(a, TURN_PROBLEM_GONE, 0, US_PER_S);
		return;
	}
	take_lifetime(a, m, asked_us);
	if (a->state == TURN_EXPIRING) {
		turn_allocation_set_state(a, TURN_ALLOCATED);
		turn_allocation_push_event(a, TURN_EVENT_RENEWED)->expires_us = a->expires_us;
	}
	turn_peers_ask(a, now_us);
}

static void on_ended(struct turn_allocation *a, enum turn_request_kind kind, uint64_t now_us)
{
	turn_request_stop(&a->requests[TURN_MAIN]);
	if (kind == TURN_REQUEST_RELEASE) {
		turn_allocation_set_released(a);
	} else if (a->state == TURN_PURGING) {
		turn_allocation_set_state(a, TURN_ALLOCATING);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
	}
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
		turn_allocation_fail(a, rule->problem, m->error.code, rule->retry_s * US_PER_S);
		return;
	}
	a->redirects++;
	e = turn_allocation_end(a, TURN_REDIRECTED, TURN_EVENT_ALTERNATE, TURN_PROBLEM_NONE,
				m->error.code, 0);
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
			turn_allocation_fail(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_ONE_FAMILY:
		if (a->family != NETADDR_NONE || a->one_family) {
			turn_allocation_fail(a, rule->problem, code, retry_us);
			return;
		}
		a->one_family = true;
		turn_request_start(a, r, TURN_REQUEST_ALLOCATE, now_us);
		return;
	case TURN_ACTION_PURGE:
		if (a->purged) {
			turn_allocation_fail(a, rule->problem, code, retry_us);
			return;
		}
		a->purged = true;
		turn_allocation_set_state(a, TURN_PURGING);
		turn_request_start(a, r, TURN_REQUEST_PURGE, now_us);
		return;
	case TURN_ACTION_CHALLENGE:
	case TURN_ACTION_FAIL:
		turn_allocation_fail(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_LOSE:
		turn_allocation_lose(a, rule->problem, code, retry_us);
		return;
	case TURN_ACTION_EXPIRE:
		/* First the state, so that peers are not asked for again at once. */
		turn_allocation_expire(a, rule->problem, code, now_us);
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
		turn_allocation_set_state(a, TURN_HELD);
		turn_allocation_push_event(a, TURN_EVENT_CHALLENGED);
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

/* The server is there; if it sees us elsewhere the NAT has forgotten us, and the allocation, bound
 * to the old 5-tuple, is asked about. */
static void on_keepalive_answer(struct turn_allocation *a, const struct stun_message *m,
				uint64_t now_us)
{
	turn_request_stop(&a->requests[TURN_KEEPALIVE]);
	turn_allocation_schedule_keepalive(a);
	a->misses = 0;
	a->answers_keepalives = true;
	if (m->class == STUN_CLASS_SUCCESS && stun_has(m, STUN_XOR_MAPPED_ADDRESS) &&
	    !netaddr_equal(&m->xor_mapped_address, &a->mapped)) {
		a->mapped = m->xor_mapped_address;
		turn_allocation_refresh(a, now_us);
	}
}

/* Of an allocation that was made with other credentials servers speak without integrity (437), or
 * with a key that we do not have (441). Who forges that makes us take another socket, no more. */
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

enum err turn_response_take(struct turn_allocation *a, const struct stun_message *m,
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

void turn_response_on_silence(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	uint16_t code = r->reported_code;

	if (r->kind == TURN_REQUEST_KEEPALIVE) {
		turn_request_stop(r);
		turn_allocation_schedule_keepalive(a);
		if (a->answers_keepalives && ++a->misses >= TURN_KEEPALIVE_MISSES) {
			a->misses = 0;
			turn_allocation_refresh(a, now_us);
		}
		return;
	}
	carry_out(a, r, turn_rule_find(r->kind, code), code, NULL, now_us);
}
