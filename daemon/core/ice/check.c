/* The side that asks: connectivity checks, nominations and consent (RFC 8445 s. 7.2, RFC 7675). */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"
#include "daemon/core/stun/writer.h"

/* No request waits for its answer longer than consent lives. */
#define CONSENT_RM (ICE_CONSENT_EXPIRY_US / STUN_RTO_US)
/* The last interval of RFC 8489 s. 6.2.1 with RTO 500 ms and Rc 7 is 32 s. */
#define RENEWALS_MAX 6

static void send_request(struct ice_generation *g, struct ice_pair *p, const struct ice_request *r)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct stun_writer w;
	size_t len;

	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING,
			 r->txn.txid);
	stun_write_username(&w, g->remote_ufrag, g->ufrag);
	stun_write_number(&w, STUN_PRIORITY, p->prflx_priority);
	stun_write_number(&w, r->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
			  r->tie_breaker);
	if (r->nominate)
		stun_write_flag(&w, STUN_USE_CANDIDATE);
	if (stun_write_finish(&w, g->remote_pwd, strlen(g->remote_pwd), true, &len) == OK)
		ice_engine_transmit(g->agent->engine, p->via, &p->to, buf, len);
}

static void start(struct ice_generation *g, struct ice_pair *p, struct ice_request *r, uint8_t rc,
		  uint8_t rm, uint64_t rto_us, uint64_t now_us)
{
	struct ice_engine *e = g->agent->engine;

	r->owner = g;
	r->pair = (uint16_t)(p - g->list.pairs);
	r->controlling = g->agent->controlling;
	r->tie_breaker = g->agent->tie_breaker;
	ice_request_start(&e->requests, r, &e->random, now_us, rto_us, rc, rm);
	p->sent_us = now_us;
	send_request(g, p, r);
}

void ice_check_begin(struct ice_generation *g, size_t index, bool nominate, uint64_t now_us)
{
	struct ice_pair *p = &g->list.pairs[index];
	uint64_t rto_us;

	if (!ice_checklist_make_requests(p)) {
		/* As if nothing could be sent. */
		if (nominate)
			g->nominating = ICE_NO_PAIR;
		else
			ice_checklist_set_state(&g->list, p, ICE_PAIR_FAILED);
		return;
	}
	/* A nomination leaves the pair valid and in use while it is under way. */
	if (!nominate)
		ice_checklist_set_state(&g->list, p, ICE_PAIR_IN_PROGRESS);
	p->repeated = false;
	/* RFC 8445 s. 14.3, with the checks that are really under way or about to be. */
	rto_us = g->ta_us * ice_checklist_pending(&g->list);
	p->requests->check.kind = ICE_REQUEST_CHECK;
	p->requests->check.nominate = nominate;
	start(g, p, &p->requests->check, g->agent->engine->rc, STUN_RM,
	      rto_us > STUN_RTO_US ? rto_us : STUN_RTO_US, now_us);
}

static bool make_consent_requests(struct ice_generation *g)
{
	if (g->consent_requests)
		return true;
	g->consent_requests = calloc(ICE_CONSENT_REQUESTS, sizeof(*g->consent_requests));
	for (size_t i = 0; g->consent_requests && i < ICE_CONSENT_REQUESTS; i++) {
		g->consent_requests[i].kind = ICE_REQUEST_CONSENT;
		g->consent_requests[i].owner = g;
	}
	return g->consent_requests != NULL;
}

void ice_check_ask_consent(struct ice_generation *g, uint64_t now_us)
{
	struct ice_request *r;

	/* As if it were lost: the next one is due in some seconds. */
	if (!make_consent_requests(g))
		return;
	r = &g->consent_requests[0];
	/* The one that was sent first gives way if none is free. */
	for (size_t i = 0; i < ICE_CONSENT_REQUESTS; i++) {
		struct ice_request *other = &g->consent_requests[i];

		if (!stun_transaction_is_active(&other->txn)) {
			r = other;
			break;
		}
		if (other->txn.started_us < r->txn.started_us)
			r = other;
	}
	start(g, &g->list.pairs[g->path], r, 1, CONSENT_RM, STUN_RTO_US, now_us);
}

void ice_check_keep_alive(struct ice_generation *g, struct ice_pair *p, uint64_t now_us)
{
	struct ice_engine *e = g->agent->engine;
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	uint8_t txid[STUN_TXID_BYTES];
	struct stun_writer w;
	size_t len;

	p->sent_us = now_us;
	random_bytes(&e->random, txid, sizeof(txid));
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_BINDING, txid);
	if (stun_write_finish(&w, NULL, 0, true, &len) == OK)
		ice_engine_transmit(e, p->via, &p->to, buf, len);
}

void ice_check_trigger(struct ice_generation *g, size_t index)
{
	struct table *t = &g->agent->engine->requests;
	struct ice_pair *p = &g->list.pairs[index];

	if (ice_pair_is_checking(p)) {
		ice_request_stop(t, &p->requests->cancelled);
		ice_request_move(t, &p->requests->cancelled, &p->requests->check);
		stun_transaction_stop_retransmits(&p->requests->cancelled.txn);
	}
	ice_checklist_set_state(&g->list, p, ICE_PAIR_WAITING);
	ice_checklist_trigger(&g->list, index);
}

void ice_check_path(struct ice_generation *g)
{
	if (g->nominating != g->path && !ice_pair_is_checking(&g->list.pairs[g->path]))
		ice_check_trigger(g, g->path);
}

void ice_check_renew(struct ice_generation *g, size_t index, uint64_t now_us)
{
	struct ice_pair *p = &g->list.pairs[index];

	if (ice_pair_is_checking(p) && ice_pair_has_cancelled(p)) {
		if (now_us < p->requests->cancelled.txn.started_us + (STUN_RTO_US << p->renewals))
			return;
		if (p->renewals < RENEWALS_MAX)
			p->renewals++;
	}
	ice_check_trigger(g, index);
}

void ice_check_stop(struct ice_generation *g, struct ice_pair *p)
{
	if (!p->requests)
		return;
	ice_request_stop(&g->agent->engine->requests, &p->requests->check);
	ice_request_stop(&g->agent->engine->requests, &p->requests->cancelled);
}

/* Not one before it, nor a question for consent. */
static bool is_check(const struct ice_pair *p, const struct ice_request *r)
{
	return p->requests && r == &p->requests->check;
}

/* The pair's own check has failed for good: @is_lost when nothing came back at all. On the path it
 * is one more request for consent: it does not end consent either. */
static void fail(struct ice_generation *g, struct ice_pair *p, bool is_lost, uint64_t now_us)
{
	bool is_path = g->path == (size_t)(p - g->list.pairs);
	bool is_forgiven = p->valid && (is_lost || is_path || p->requests->check.nominate);

	ice_check_stop(g, p);
	if (g->nominating == (size_t)(p - g->list.pairs))
		g->nominating = ICE_NO_PAIR;
	/* What got lost, or a nomination, does not end a pair that consent, or data, has just
	 * proved alive; the policy will choose again. */
	if (is_forgiven && (now_us < p->proof_us + ICE_CONSENT_EXPIRY_US ||
			    (is_path && now_us < g->consent.expires_us))) {
		ice_checklist_set_state(&g->list, p, ICE_PAIR_SUCCEEDED);
		return;
	}
	ice_checklist_set_invalid(p);
	ice_checklist_set_state(&g->list, p, ICE_PAIR_FAILED);
}

static void serve(struct ice_generation *g, struct ice_pair *p, struct ice_request *r,
		  uint64_t now_us)
{
	switch (stun_transaction_on_deadline(&r->txn, now_us)) {
	case STUN_TRANSACTION_NOTHING:
		return;
	case STUN_TRANSACTION_RETRANSMIT:
		p->sent_us = now_us;
		p->repeated |= is_check(p, r);
		send_request(g, p, r);
		return;
	case STUN_TRANSACTION_TIMED_OUT:
		ice_request_stop(&g->agent->engine->requests, r);
		if (is_check(p, r))
			fail(g, p, true, now_us);
		return;
	}
}

void ice_check_on_deadline(struct ice_generation *g, uint64_t now_us)
{
	for (size_t i = 0; i < g->list.pair_count; i++) {
		struct ice_pair *p = &g->list.pairs[i];

		if (!p->requests)
			continue;
		serve(g, p, &p->requests->check, now_us);
		serve(g, p, &p->requests->cancelled, now_us);
	}
	for (size_t i = 0; g->consent_requests && i < ICE_CONSENT_REQUESTS; i++) {
		struct ice_request *r = &g->consent_requests[i];

		serve(g, &g->list.pairs[r->pair], r, now_us);
	}
}

uint64_t ice_check_deadline(const struct ice_generation *g)
{
	uint64_t deadline = DEADLINE_NONE;

	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (!p->requests)
			continue;
		deadline =
			deadline_min(deadline, stun_transaction_deadline(&p->requests->check.txn));
		deadline = deadline_min(deadline,
					stun_transaction_deadline(&p->requests->cancelled.txn));
	}
	for (size_t i = 0; g->consent_requests && i < ICE_CONSENT_REQUESTS; i++)
		deadline = deadline_min(deadline,
					stun_transaction_deadline(&g->consent_requests[i].txn));
	return deadline;
}

/* Karn's rule is in the transaction; the rest is the usual smoothing (RFC 6298 s. 2). */
static void learn_rtt(struct ice_pair *p, const struct ice_request *r, uint64_t now_us)
{
	uint64_t rtt_us;

	if (!stun_transaction_rtt(&r->txn, now_us, &rtt_us))
		return;
	p->rtt_us = p->rtt_us ? (7 * p->rtt_us + rtt_us) / 8 : rtt_us;
	if (p->rtt_us == 0)
		p->rtt_us = 1;
}

/* RFC 8445 s. 7.2.5.1. The request says in which role it was sent: a 487 to an older one than our
 * last change of role only asks for the check to be done again. */
static void on_role_conflict(struct ice_generation *g, const struct ice_request *r)
{
	struct ice_agent *a = g->agent;

	if (a->controlling == r->controlling) {
		ice_agent_switch_role(a, !a->controlling);
		a->tie_breaker = random_u64(&a->engine->random);
	}
}

static void on_error(struct ice_generation *g, struct ice_pair *p, struct ice_request *r,
		     const struct stun_message *m, uint64_t now_us)
{
	size_t index = r->pair;
	bool is_current = is_check(p, r);

	ice_request_stop(&g->agent->engine->requests, r);
	/* A lite peer does not control, whatever it says (s. 6.1.1). */
	if (m->error.code == STUN_ERROR_ROLE_CONFLICT && !g->agent->lite_peer) {
		on_role_conflict(g, r);
		if (r->kind == ICE_REQUEST_CHECK && p->state == ICE_PAIR_IN_PROGRESS)
			ice_check_trigger(g, index);
		else if (is_current && g->nominating == index)
			g->nominating = ICE_NO_PAIR;
		return;
	}
	if (index == g->path && m->error.code == STUN_ERROR_FORBIDDEN)
		ice_path_lose(g, now_us);
	else if (is_current)
		fail(g, p, false, now_us);
}

/* RFC 8445 s. 7.2.5.3: the response names the valid pair. What leaves from a relay is relayed, in
 * the list of candidates or not. */
static void set_valid(struct ice_generation *g, struct ice_pair *p, const struct netaddr *mapped,
		      uint64_t now_us)
{
	const struct ice_locals *locals = &g->agent->engine->locals;
	const struct ice_candidate *c = ice_locals_find_candidate(locals, p->via, mapped);
	const struct ice_base *base = ice_locals_find(locals, p->via);
	enum ice_candidate_type type = ICE_CANDIDATE_PRFLX;
	uint32_t priority = p->prflx_priority;

	if (c) {
		type = c->type;
		priority = c->priority;
	} else if (base && base->via.relay) {
		type = ICE_CANDIDATE_RELAY;
		priority = ice_priority(type, base->local_preference);
	}
	ice_checklist_set_valid(&g->list, p, now_us, mapped, type, priority);
	p->proof_us = now_us;
}

static void on_check_success(struct ice_generation *g, struct ice_pair *p, struct ice_request *r,
			     const struct netaddr *mapped, uint64_t now_us)
{
	struct table *t = &g->agent->engine->requests;
	bool may_replace = ice_standby_may_replace(g, r->pair, now_us);
	bool nominate = r->nominate;

	ice_request_stop(t, &p->requests->cancelled);
	if (is_check(p, r) || !p->requests->check.nominate)
		ice_request_stop(t, &p->requests->check);
	p->renewals = 0;
	ice_checklist_set_state(&g->list, p, ICE_PAIR_SUCCEEDED);
	ice_checklist_thaw_foundation(&g->list, p->foundation);
	set_valid(g, p, mapped, now_us);
	if (r->pair == g->path)
		(void)ice_consent_on_proof(&g->consent, now_us);
	else if (may_replace)
		ice_path_replace(g, r->pair, now_us);
	if (nominate && g->agent->controlling) {
		g->nominating = ICE_NO_PAIR;
		ice_path_nominate(g, r->pair, now_us);
	} else if (p->use_candidate && !g->agent->controlling) {
		ice_path_nominate(g, r->pair, now_us);
	}
}

static void on_consent_success(struct ice_generation *g, struct ice_pair *p, struct ice_request *r,
			       const struct netaddr *mapped, uint64_t now_us)
{
	ice_request_stop(&g->agent->engine->requests, r);
	if (!p->valid)
		return;
	set_valid(g, p, mapped, now_us);
	if (r->pair == g->path)
		(void)ice_consent_on_proof(&g->consent, now_us);
}

static enum err verify(const struct ice_generation *g, const struct ice_pair *p, struct ice_via via,
		       const struct netaddr *from, const struct stun_message *m)
{
	enum err err = stun_check_integrity(m, g->remote_pwd, strlen(g->remote_pwd));

	if (err != OK)
		return err;
	if (!ice_via_equal(via, p->via) || !ice_same_address(from, &p->to))
		return DROP_ASYMMETRIC;
	if (m->class == STUN_CLASS_ERROR)
		return stun_has(m, STUN_ERROR_CODE) ? OK : DROP_MALFORMED;
	if (!stun_has(m, STUN_XOR_MAPPED_ADDRESS))
		return DROP_MALFORMED;
	if (m->unknown.count)
		return DROP_UNKNOWN_TYPE;
	/* Through the overlay or a loop: not an address that anybody else could use. */
	if (ice_locals_refuses(&g->agent->engine->locals, &m->xor_mapped_address))
		return DROP_BLOCKED;
	return OK;
}

enum err ice_check_on_response(uint64_t now_us, struct ice_request *r, struct ice_via via,
			       const struct netaddr *from, const struct stun_message *m)
{
	struct ice_generation *g = r->owner;
	struct ice_pair *p = &g->list.pairs[r->pair];
	enum err err = verify(g, p, via, from, m);

	/* A conflict of roles comes before the question where the answer is from (s. 7.2.5.1):
	 * behind a NAT that maps by destination it may be all that ever gets through. */
	if (err == DROP_ASYMMETRIC && m->class == STUN_CLASS_ERROR &&
	    stun_has(m, STUN_ERROR_CODE) && m->error.code == STUN_ERROR_ROLE_CONFLICT)
		err = OK;
	/* Nobody but the peer can have sent the rest: the transaction is over (s. 7.2.5.2). */
	if (err == DROP_INTEGRITY || (err != OK && r->kind == ICE_REQUEST_CONSENT))
		return err;
	if (err != OK) {
		if (is_check(p, r))
			fail(g, p, false, now_us);
		else
			ice_request_stop(&g->agent->engine->requests, r);
	} else if (m->class == STUN_CLASS_ERROR) {
		on_error(g, p, r, m, now_us);
	} else {
		learn_rtt(p, r, now_us);
		if (r->kind == ICE_REQUEST_CONSENT)
			on_consent_success(g, p, r, &m->xor_mapped_address, now_us);
		else
			on_check_success(g, p, r, &m->xor_mapped_address, now_us);
	}
	ice_agent_update(g->agent, now_us);
	return err;
}
