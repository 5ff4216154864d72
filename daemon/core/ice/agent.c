/* An agent's life: description, pairs, path, nomination, state, timers. */
#include "daemon/core/ice/agent.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/core/ice/nomination.h"
#include "daemon/core/ice/private.h"

enum err ice_agent_open(struct ice_agent **ret, struct ice_engine *e, uint64_t now_us,
			const struct ice_agent_params *params)
{
	struct ice_agent *a;
	enum err err;

	if (e->agent_count == e->max_agents)
		return ERR_LIMIT;
	a = calloc(1, sizeof(*a));
	if (!a)
		return ERR_NO_MEMORY;
	a->engine = e;
	a->cookie = params->cookie;
	a->worth = params->worth;
	a->controlling = params->controlling;
	a->tie_breaker = random_u64(&e->random);
	heap_node_init(&a->timer);
	err = ice_generation_create(&a->current, a, 0);
	if (err != OK) {
		free(a);
		return err;
	}
	DL_APPEND2(e->agents, a, prev_agent, next_agent);
	e->agent_count++;
	ice_agent_update(a, now_us);
	*ret = a;
	return OK;
}

void ice_agent_close(struct ice_agent *a, uint64_t now_us)
{
	struct ice_engine *e;

	(void)now_us; /* Closing says nothing to the peer: the session above does. */
	if (!a)
		return;
	e = a->engine;
	heap_set(&e->timers, &a->timer, DEADLINE_NONE);
	ice_pacer_set(&e->pacer, &a->pace, ICE_PACE_IDLE, 0, 0);
	if (a->dirty)
		DL_DELETE2(e->dirty, a, prev_dirty, next_dirty);
	DL_DELETE2(e->agents, a, prev_agent, next_agent);
	e->agent_count--;
	ice_generation_destroy(a->next);
	ice_generation_destroy(a->current);
	free(a);
}

void ice_agent_get_description(const struct ice_agent *a, struct ice_description *ret)
{
	const struct ice_engine *e = a->engine;

	*ret = (struct ice_description){
		.ta_ms = e->ta_ms,
		.end_of_candidates = ice_engine_is_gathered(e),
		.options = {"ice2"},
		.option_count = 1,
	};
	memcpy(ret->ufrag, a->current->ufrag, sizeof(a->current->ufrag));
	memcpy(ret->pwd, a->current->pwd, sizeof(a->current->pwd));
	memcpy(ret->candidates, e->locals.candidates,
	       e->locals.candidate_count * sizeof(struct ice_candidate));
	ret->candidate_count = e->locals.candidate_count;
}

enum err ice_agent_set_controlling(struct ice_agent *a, bool controlling)
{
	if (a->current->remote_known)
		return ERR_WRONG_STATE;
	ice_agent_switch_role(a, controlling);
	return OK;
}

void ice_agent_switch_role(struct ice_agent *a, bool controlling)
{
	struct ice_generation *generations[] = {a->current, a->next};

	a->controlling = controlling;
	for (size_t i = 0; i < ARRAY_SIZE(generations); i++) {
		struct ice_generation *g = generations[i];

		if (!g)
			continue;
		ice_checklist_set_controlling(&g->list, controlling);
		if (!controlling)
			g->nominating = ICE_NO_PAIR;
	}
}

uint32_t ice_agent_prflx_priority(const struct ice_agent *a, uint16_t socket)
{
	const struct ice_socket *s = ice_locals_find(&a->engine->locals, socket);

	return ice_priority(ICE_CANDIDATE_PRFLX, s ? s->local_preference : 0);
}

static void pair_local(struct ice_generation *g, const struct ice_candidate *local)
{
	uint32_t prflx_priority = ice_agent_prflx_priority(g->agent, local->socket);

	for (size_t i = 0; i < g->list.remote_count; i++) {
		/* Peer-reflexive ones belong to the socket that met them (s. 7.3.1.3). */
		if (g->list.remotes[i].type != ICE_CANDIDATE_PRFLX)
			ice_checklist_pair(&g->list, local, prflx_priority, i);
	}
}

/* Adds one remote candidate and its pairs. */
static enum err add_remote(struct ice_generation *g, const struct ice_candidate *c)
{
	struct ice_locals *locals = &g->agent->engine->locals;
	size_t remote;
	enum err err;

	if (c->transport != ICE_TRANSPORT_UDP)
		return OK;
	if (ice_locals_refuses(locals, &c->addr))
		return DROP_BLOCKED;
	err = ice_checklist_add_remote(&g->list, c, &remote);
	if (err != OK)
		return err;
	for (size_t i = 0; i < locals->candidate_count; i++) {
		const struct ice_candidate *local = &locals->candidates[i];

		ice_checklist_pair(&g->list, local,
				   ice_agent_prflx_priority(g->agent, local->socket), remote);
	}
	return OK;
}

static uint64_t agreed_ta_us(const struct ice_engine *e, uint16_t theirs_ms)
{
	uint16_t ta_ms = theirs_ms ? theirs_ms : ICE_TA_ABSENT_MS;

	return (ta_ms > e->ta_ms ? ta_ms : e->ta_ms) * US_PER_MS;
}

enum err ice_agent_set_remote(struct ice_agent *a, uint64_t now_us, const struct ice_description *d)
{
	struct ice_generation *g = a->current;
	enum err err = ice_description_check(d);

	if (err != OK)
		return err;
	if (g->remote_known)
		return ERR_WRONG_STATE;
	if (d->lite && !a->controlling)
		ice_agent_switch_role(a, true);
	g->remote_known = true;
	g->remote_ended = d->end_of_candidates;
	memcpy(g->remote_ufrag, d->ufrag, sizeof(g->remote_ufrag));
	memcpy(g->remote_pwd, d->pwd, sizeof(g->remote_pwd));
	g->ta_us = agreed_ta_us(a->engine, d->ta_ms);
	g->patience_us = now_us + ICE_PATIENCE_US;
	for (size_t i = 0; i < d->candidate_count; i++)
		drop_count(&a->engine->drops, add_remote(g, &d->candidates[i]));
	g->signalled_count = d->candidate_count;
	ice_checklist_thaw(&g->list);
	ice_respond_to_early(g, now_us);
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
	return OK;
}

enum err ice_agent_add_remote_candidate(struct ice_agent *a, uint64_t now_us, const char *ufrag,
					const struct ice_candidate *c)
{
	struct ice_generation *g = a->current;
	enum err err = ice_candidate_check(c);

	(void)ufrag;
	if (err != OK)
		return err;
	if (!g->remote_known || g->remote_ended || g->phase != ICE_PHASE_CHECKING)
		return ERR_WRONG_STATE;
	if (g->signalled_count == ICE_MAX_CANDIDATES)
		return ERR_LIMIT;
	err = drop_count(&a->engine->drops, add_remote(g, c));
	if (err != OK)
		return err;
	g->signalled_count++;
	g->patience_us = now_us + ICE_PATIENCE_US;
	g->patience_over = false;
	ice_checklist_thaw(&g->list);
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
	return OK;
}

void ice_agent_end_remote(struct ice_agent *a, uint64_t now_us, const char *ufrag)
{
	(void)ufrag;
	a->current->remote_ended = true;
	ice_agent_update(a, now_us);
}

/* The round trip changes all the time and is no event. */
static bool is_same_path(const struct ice_path *a, const struct ice_path *b)
{
	return a->socket == b->socket && netaddr_equal(&a->local, &b->local) &&
	       netaddr_equal(&a->remote, &b->remote) && a->local_type == b->local_type &&
	       a->remote_type == b->remote_type && a->nominated == b->nominated &&
	       a->generation == b->generation;
}

static void set_phase(struct ice_generation *g, enum ice_phase phase)
{
	g->phase = phase;
}

/* The best valid pair carries the data; after nomination the nominated one does. */
static void choose_path(struct ice_generation *g, uint64_t now_us)
{
	struct ice_agent *a = g->agent;
	size_t best = ice_checklist_best(&g->list);
	struct ice_path path;
	bool has;

	if (best != g->path) {
		g->path = best;
		ice_consent_stop(&g->consent);
		if (best != ICE_NO_PAIR)
			ice_consent_start(&g->consent, &a->engine->random, now_us,
					  g->list.pairs[best].proof_us);
	}
	has = ice_agent_get_path(a, &path);
	if (g->phase == ICE_PHASE_CONCLUDED && !(has && path.nominated))
		set_phase(g, ICE_PHASE_LOST);
	if (has == a->has_path && (!has || is_same_path(&path, &a->path)))
		return;
	a->had_path |= has;
	a->has_path = has;
	if (has)
		a->path = path;
	a->path_event = true;
	ice_engine_set_dirty(a->engine, a);
}

/* May a check of @p still succeed soon? */
static bool is_pending(const struct ice_generation *g, const struct ice_pair *p)
{
	if (p->unreachable)
		return false;
	if (g->phase != ICE_PHASE_CHECKING)
		return p->queued || p->state == ICE_PAIR_IN_PROGRESS;
	return p->state != ICE_PAIR_SUCCEEDED && p->state != ICE_PAIR_FAILED;
}

static void consider_nomination(struct ice_generation *g, uint64_t now_us)
{
	struct ice_nomination n = {0};
	size_t index;

	g->nominate_us = DEADLINE_NONE;
	if (!g->agent->controlling || g->phase == ICE_PHASE_CONCLUDED ||
	    g->nominating != ICE_NO_PAIR)
		return;
	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];
		struct ice_nominee nominee = {
			.priority = p->valid ? p->valid_priority : p->priority,
			.valid = p->valid,
			.pending = is_pending(g, p),
			.relayed = p->local_type == ICE_CANDIDATE_RELAY ||
				   g->list.remotes[p->remote].type == ICE_CANDIDATE_RELAY,
			.rtt_us = p->rtt_us,
			.valid_since_us = p->valid_since_us,
		};

		ice_nomination_offer(&n, i, &nominee);
	}
	g->nominate_us = ice_nomination_decide(&n, now_us, &index);
	if (g->nominate_us > now_us)
		return;
	g->nominate_us = DEADLINE_NONE;
	g->nominating = index;
	ice_checklist_trigger(&g->list, index);
}

/* Ends the other checks (s. 8.1.2). What was not decided goes back to frozen. A better pair that
 * the peer has nominated as well, as peers with several nominations do, goes on. */
static void conclude(struct ice_generation *g, const struct ice_pair *nominated)
{
	ice_checklist_clear_triggered(&g->list);
	for (size_t i = 0; i < g->list.pair_count; i++) {
		struct ice_pair *p = &g->list.pairs[i];

		if (p == nominated)
			continue;
		if (p->use_candidate && !p->valid && p->priority > nominated->priority) {
			if (p->state == ICE_PAIR_WAITING)
				ice_checklist_trigger(&g->list, i);
			continue;
		}
		ice_check_stop(g, p);
		if (p->state == ICE_PAIR_WAITING || p->state == ICE_PAIR_IN_PROGRESS)
			ice_checklist_set_state(&g->list, p, ICE_PAIR_FROZEN);
	}
}

void ice_agent_nominate(struct ice_generation *g, size_t index, uint64_t now_us)
{
	bool is_afresh =
		g->phase != ICE_PHASE_CONCLUDED || now_us >= g->concluded_us + ICE_CONCLUDE_US;

	for (size_t i = 0; is_afresh && i < g->list.pair_count; i++)
		g->list.pairs[i].nominated = false;
	g->list.pairs[index].nominated = true;
	if (is_afresh)
		g->concluded_us = now_us;
	set_phase(g, ICE_PHASE_CONCLUDED);
	conclude(g, &g->list.pairs[ice_checklist_best(&g->list)]);
}

/* The pair is not valid any more. If it was nominated, it is so again when it comes back. */
static void invalidate(struct ice_generation *g, size_t index)
{
	struct ice_pair *p = &g->list.pairs[index];
	bool was_nominated = p->nominated;

	ice_checklist_set_invalid(p);
	p->use_candidate = was_nominated;
	if (g->nominating == index)
		g->nominating = ICE_NO_PAIR;
}

/* Takes a pair out of use. */
static void drop_pair(struct ice_generation *g, size_t index)
{
	ice_check_stop(g, &g->list.pairs[index]);
	invalidate(g, index);
	ice_checklist_set_state(&g->list, &g->list.pairs[index], ICE_PAIR_FAILED);
}

/* Before the path is given up: other pairs that were valid long ago have to prove it again. */
static void retire_stale(struct ice_generation *g, uint64_t now_us)
{
	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (!p->valid || i == g->path || now_us < p->proof_us + ICE_STALE_US)
			continue;
		invalidate(g, i);
		ice_check_trigger(g, i);
	}
}

void ice_agent_lose_path(struct ice_generation *g, uint64_t now_us)
{
	retire_stale(g, now_us);
	drop_pair(g, g->path);
}

bool ice_agent_path_is_suspect(const struct ice_generation *g, uint64_t now_us)
{
	return g->phase == ICE_PHASE_CONCLUDED && g->path != ICE_NO_PAIR &&
	       now_us >= g->list.pairs[g->path].proof_us + ICE_SUSPECT_US;
}

void ice_agent_replace_path(struct ice_generation *g, size_t index, uint64_t now_us)
{
	drop_pair(g, g->path);
	/* The peer's pair is the one that it has nominated: only its address has changed. If it is
	 * ours to nominate, the policy does. */
	if (!g->agent->controlling)
		ice_agent_nominate(g, index, now_us);
}

void ice_agent_add_socket(struct ice_agent *a, uint64_t now_us, uint16_t socket)
{
	struct ice_generation *g = a->current;
	const struct ice_locals *locals = &a->engine->locals;

	if (!g->remote_known || g->phase != ICE_PHASE_CHECKING)
		return;
	for (size_t i = 0; i < locals->candidate_count; i++) {
		if (locals->candidates[i].socket == socket)
			pair_local(g, &locals->candidates[i]);
	}
	ice_checklist_thaw(&g->list);
	ice_agent_update(a, now_us);
}

void ice_agent_on_send_error(struct ice_agent *a, uint64_t now_us, uint16_t socket,
			     const struct netaddr *to)
{
	struct ice_generation *g = a->current;
	size_t index = ice_checklist_find(&g->list, socket, to);

	if (index == ICE_NO_PAIR || g->list.pairs[index].unreachable)
		return;
	g->list.pairs[index].unreachable = true;
	ice_agent_update(a, now_us);
}

void ice_agent_drop_socket(struct ice_agent *a, uint64_t now_us, uint16_t socket)
{
	struct ice_generation *g = a->current;

	for (size_t i = 0; i < g->list.pair_count; i++) {
		if (g->list.pairs[i].socket != socket)
			continue;
		if (i == g->path)
			retire_stale(g, now_us);
		drop_pair(g, i);
		g->list.pairs[i].socket = ICE_NO_SOCKET;
	}
	ice_agent_update(a, now_us);
}

/* The peer is alive though our path is not: try the last one again. */
static void revive(struct ice_generation *g)
{
	size_t best = ICE_NO_PAIR;

	if (g->phase != ICE_PHASE_LOST || g->list.triggered_count != 0 ||
	    g->list.state_count[ICE_PAIR_IN_PROGRESS] != 0)
		return;
	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (p->proof_us && p->socket != ICE_NO_SOCKET &&
		    (best == ICE_NO_PAIR || p->proof_us > g->list.pairs[best].proof_us))
			best = i;
	}
	if (best != ICE_NO_PAIR)
		ice_check_trigger(g, best);
}

void ice_agent_on_authenticated(struct ice_agent *a, uint64_t now_us)
{
	struct ice_generation *g = a->current;

	if (g->path != ICE_NO_PAIR) {
		ice_consent_on_proof(&g->consent, now_us);
		return;
	}
	revive(g);
	ice_agent_update(a, now_us);
}

static bool has_check_to_begin(const struct ice_generation *g)
{
	return g->list.triggered_count != 0 || (g->phase == ICE_PHASE_CHECKING && g->remote_known &&
						ice_checklist_has_next(&g->list));
}

static enum ice_agent_state derive_state(const struct ice_agent *a)
{
	const struct ice_generation *g = a->current;

	if (!g->remote_known)
		return ICE_AGENT_NEW;
	if (g->path != ICE_NO_PAIR)
		return g->list.pairs[g->path].nominated ? ICE_AGENT_COMPLETED : ICE_AGENT_CONNECTED;
	if (a->had_path)
		return ICE_AGENT_DISCONNECTED;
	if (g->patience_over && !has_check_to_begin(g) &&
	    g->list.state_count[ICE_PAIR_IN_PROGRESS] == 0)
		return ICE_AGENT_FAILED;
	return ICE_AGENT_CHECKING;
}

/* The one place that changes an agent's state. */
static void set_state(struct ice_agent *a, enum ice_agent_state state)
{
	if (a->state == state)
		return;
	a->state = state;
	a->state_event = true;
	ice_engine_set_dirty(a->engine, a);
}

/* A nomination leaves by the queue of triggered checks, but data flows without it: it does not go
 * before the first checks of others. */
static size_t queued_nominations(const struct ice_generation *g)
{
	return g->nominating != ICE_NO_PAIR && g->list.pairs[g->nominating].queued;
}

static void schedule(struct ice_agent *a)
{
	struct ice_engine *e = a->engine;
	struct ice_generation *g = a->current;
	enum ice_pace_class class = ICE_PACE_IDLE;
	uint64_t deadline = ice_check_deadline(g);

	deadline = deadline_min(deadline, ice_consent_deadline(&g->consent));
	deadline = deadline_min(deadline, g->nominate_us);
	if (!g->patience_over)
		deadline = deadline_min(deadline, g->patience_us);
	for (size_t i = 0; g->phase == ICE_PHASE_CHECKING && i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (p->valid && i != g->path)
			deadline = deadline_min(deadline, p->sent_us + ICE_KEEPALIVE_US);
	}
	heap_set(&e->timers, &a->timer, deadline);
	if (has_check_to_begin(g)) {
		class = a->worth ? ICE_PACE_WORTH : ICE_PACE_ORDINARY;
		if (g->list.triggered_count > queued_nominations(g))
			class = ICE_PACE_TRIGGERED;
	}
	ice_pacer_set(&e->pacer, &a->pace, class, a->worth, g->next_check_us);
}

void ice_agent_update(struct ice_agent *a, uint64_t now_us)
{
	choose_path(a->current, now_us);
	consider_nomination(a->current, now_us);
	set_state(a, derive_state(a));
	schedule(a);
}

void ice_agent_on_pace(struct ice_agent *a, uint64_t now_us)
{
	struct ice_generation *g = a->current;
	bool nominate = false;
	size_t i;

	/* What was queued may have been settled meanwhile. */
	while ((i = ice_checklist_pop_triggered(&g->list)) != ICE_NO_PAIR) {
		nominate = i == g->nominating && g->list.pairs[i].valid;
		if (nominate || g->list.pairs[i].state == ICE_PAIR_WAITING)
			break;
	}
	if (i == ICE_NO_PAIR && g->phase == ICE_PHASE_CHECKING)
		i = ice_checklist_next(&g->list);
	if (i != ICE_NO_PAIR) {
		ice_check_begin(g, i, nominate, now_us);
		g->next_check_us = now_us + g->ta_us;
	}
	ice_agent_update(a, now_us);
}

static void serve_consent(struct ice_generation *g, uint64_t now_us)
{
	switch (ice_consent_on_deadline(&g->consent, &g->agent->engine->random, now_us)) {
	case ICE_CONSENT_NOTHING:
		break;
	case ICE_CONSENT_ASK:
		ice_check_ask_consent(g, now_us);
		break;
	case ICE_CONSENT_EXPIRED:
		ice_agent_lose_path(g, now_us);
		break;
	}
}

static void serve_keepalives(struct ice_generation *g, uint64_t now_us)
{
	for (size_t i = 0; g->phase == ICE_PHASE_CHECKING && i < g->list.pair_count; i++) {
		struct ice_pair *p = &g->list.pairs[i];

		if (p->valid && i != g->path && now_us >= p->sent_us + ICE_KEEPALIVE_US)
			ice_check_keep_alive(g, p, now_us);
	}
}

void ice_agent_on_deadline(struct ice_agent *a, uint64_t now_us)
{
	struct ice_generation *g = a->current;

	ice_check_on_deadline(g, now_us);
	serve_consent(g, now_us);
	serve_keepalives(g, now_us);
	if (now_us >= g->patience_us)
		g->patience_over = true;
	ice_agent_update(a, now_us);
}
