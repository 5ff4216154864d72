/* An agent's life, its state and its timers. */
#include "daemon/core/ice/agent.h"

#include <stdlib.h>
#include <utlist.h>

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
	ice_generation_destroy(a->old);
	ice_generation_destroy(a->next);
	ice_generation_destroy(a->current);
	free(a->early);
	free(a);
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
	a->controlling = controlling;
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);

		if (!g)
			continue;
		ice_checklist_set_controlling(&g->list, controlling);
		if (!controlling)
			g->nominating = ICE_NO_PAIR;
	}
}

uint32_t ice_agent_prflx_priority(const struct ice_agent *a, struct ice_via via)
{
	const struct ice_base *b = ice_locals_find(&a->engine->locals, via);

	return ice_priority(ICE_CANDIDATE_PRFLX, b ? b->local_preference : 0);
}

void ice_agent_add_base(struct ice_agent *a, uint64_t now_us, struct ice_via via)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);

		if (!g || !g->remote_known || g->phase == ICE_PHASE_LOST)
			continue;
		ice_remote_pair_base(g, via);
		ice_checklist_thaw(&g->list);
		ice_standby_on_candidate(g);
	}
	ice_agent_update(a, now_us);
}

void ice_agent_drop_base(struct ice_agent *a, uint64_t now_us, struct ice_via via)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		if (ice_agent_live(a, i))
			ice_path_drop_base(ice_agent_live(a, i), now_us, via);
	}
	ice_agent_update(a, now_us);
}

void ice_agent_on_local_change(struct ice_agent *a, uint64_t now_us)
{
	ice_upgrade_on_change(&a->upgrade, now_us);
	ice_agent_update(a, now_us);
}

void ice_agent_on_send_error(struct ice_agent *a, uint64_t now_us, struct ice_via via,
			     const struct netaddr *to)
{
	bool changed = false;

	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);
		size_t index = g ? ice_checklist_find(&g->list, via, to) : ICE_NO_PAIR;

		if (index == ICE_NO_PAIR || g->list.pairs[index].unreachable)
			continue;
		g->list.pairs[index].unreachable = true;
		changed = true;
	}
	if (changed)
		ice_agent_update(a, now_us);
}

void ice_agent_on_authenticated(struct ice_agent *a, uint64_t now_us)
{
	struct ice_generation *g = a->current;

	if (g->path != ICE_NO_PAIR) {
		if (!ice_consent_on_proof(&g->consent, now_us))
			return;
	} else {
		ice_path_revive(g);
	}
	ice_agent_update(a, now_us);
}

void ice_agent_set_idle(struct ice_agent *a, uint64_t now_us, bool idle)
{
	a->idle = idle;
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);

		if (!g || g->path == ICE_NO_PAIR)
			continue;
		ice_consent_set_idle(&g->consent, now_us, idle);
		if (idle && !ice_consent_is_fresh(&g->consent))
			ice_generation_rest(g);
		/* A check is sent again when it gets lost, a request for consent is not. */
		if (!ice_consent_is_fresh(&g->consent) && !idle && g->nominating != g->path)
			ice_check_trigger(g, g->path);
	}
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
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

static enum ice_pace_class pace_class(const struct ice_agent *a, const struct ice_generation *g,
				      uint64_t now_us)
{
	if (!has_check_to_begin(g))
		return ice_standby_due(g) <= now_us ? ICE_PACE_STANDBY : ICE_PACE_IDLE;
	if (g->list.triggered_count > queued_nominations(g))
		return ICE_PACE_TRIGGERED;
	if (a->worth)
		return ICE_PACE_WORTH;
	return ice_checklist_has_good_next(&g->list) ? ICE_PACE_GOOD : ICE_PACE_ORDINARY;
}

/* Valid pairs are kept open until one is nominated; the path of an idle agent, which asks for no
 * consent, always. */
static bool needs_keepalive(const struct ice_generation *g, size_t index)
{
	if (!g->list.pairs[index].valid)
		return false;
	return index == g->path ? g->agent->idle : g->phase == ICE_PHASE_CHECKING;
}

/* What is due to stand by is the pacer's, not the timer's. */
static uint64_t generation_deadline(const struct ice_generation *g, uint64_t now_us)
{
	uint64_t deadline = deadline_min(ice_check_deadline(g), ice_standby_deadline(g));
	uint64_t standby_us = ice_standby_due(g);

	if (standby_us > now_us)
		deadline = deadline_min(deadline, standby_us);

	deadline = deadline_min(deadline, ice_consent_deadline(&g->consent));
	deadline = deadline_min(deadline, g->nominate_us);
	if (!g->patience_over)
		deadline = deadline_min(deadline, g->patience_us);
	for (size_t i = 0; i < g->list.pair_count; i++) {
		if (needs_keepalive(g, i))
			deadline =
				deadline_min(deadline, g->list.pairs[i].sent_us + ICE_KEEPALIVE_US);
	}
	return deadline;
}

static void schedule(struct ice_agent *a, uint64_t now_us)
{
	struct ice_engine *e = a->engine;
	uint64_t deadline =
		deadline_min(ice_restart_deadline(a), ice_upgrade_deadline(&a->upgrade));
	enum ice_pace_class class = ICE_PACE_IDLE;

	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		const struct ice_generation *g = ice_agent_live(a, i);

		if (!g)
			continue;
		deadline = deadline_min(deadline, generation_deadline(g, now_us));
		if (pace_class(a, g, now_us) > class)
			class = pace_class(a, g, now_us);
	}
	if (class == ICE_PACE_STANDBY && !ice_pacer_takes_standby(&e->pacer, &a->pace)) {
		class = ICE_PACE_IDLE;
		deadline = deadline_min(deadline, now_us + ICE_STANDBY_AGAIN_US);
	}
	heap_set(&e->timers, &a->timer, deadline);
	ice_pacer_set(&e->pacer, &a->pace, class, a->worth, a->next_check_us);
}

/* The schedule begins with a selected pair, and goes on while a restart's pair, not nominated yet,
 * is relayed again. */
static void watch_for_upgrade(struct ice_agent *a, uint64_t now_us)
{
	const struct ice_generation *g = a->current;
	bool relayed = g->path != ICE_NO_PAIR &&
		       (a->state == ICE_AGENT_COMPLETED || a->upgrade.active) &&
		       ice_pair_is_relayed(&g->list, &g->list.pairs[g->path]);

	ice_upgrade_set_relayed(&a->upgrade, relayed, now_us, a->controlling);
}

void ice_agent_update(struct ice_agent *a, uint64_t now_us)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);

		if (!g)
			continue;
		ice_path_choose(g, now_us);
		ice_path_consider_nomination(g, now_us);
	}
	set_state(a, derive_state(a));
	watch_for_upgrade(a, now_us);
	ice_event_note(a);
	schedule(a, now_us);
}

/* Begins a check of @g that is in the queue, or if @ordinary the next one in the ordinary course.
 * Return: false when there is none. */
static bool begin_check(struct ice_generation *g, bool ordinary, uint64_t now_us)
{
	bool nominate = false;
	size_t i;

	/* What was queued may have been settled meanwhile. */
	while ((i = ice_checklist_pop_triggered(&g->list)) != ICE_NO_PAIR) {
		nominate = i == g->nominating && g->list.pairs[i].valid;
		if (nominate || g->list.pairs[i].state == ICE_PAIR_WAITING)
			break;
	}
	if (i == ICE_NO_PAIR && ordinary && g->phase == ICE_PHASE_CHECKING && g->remote_known)
		i = ice_checklist_next(&g->list);
	if (i == ICE_NO_PAIR && ordinary) {
		i = ice_standby_next(g, now_us);
		if (i != ICE_NO_PAIR)
			ice_standby_on_begun(g, i, now_us);
	}
	if (i == ICE_NO_PAIR)
		return false;
	ice_check_begin(g, i, nominate, now_us);
	g->agent->next_check_us = now_us + g->ta_us;
	return true;
}

/* Of two generations the next one goes first: it is what somebody waits for. */
void ice_agent_on_pace(struct ice_agent *a, uint64_t now_us)
{
	bool begun = false;

	for (int ordinary = 0; ordinary <= 1 && !begun; ordinary++) {
		begun = (a->next && begin_check(a->next, ordinary, now_us)) ||
			begin_check(a->current, ordinary, now_us);
	}
	ice_agent_update(a, now_us);
}

static void serve_consent(struct ice_generation *g, uint64_t now_us)
{
	switch (ice_consent_on_deadline(&g->consent, &g->agent->engine->random, now_us)) {
	case ICE_CONSENT_NOTHING:
		break;
	case ICE_CONSENT_LAPSED:
		ice_generation_rest(g);
		break;
	case ICE_CONSENT_ASK:
		ice_check_ask_consent(g, now_us);
		if (ice_path_is_suspect(g, now_us))
			ice_check_path(g);
		break;
	case ICE_CONSENT_EXPIRED:
		ice_path_lose(g, now_us);
		break;
	}
}

static void serve_keepalives(struct ice_generation *g, uint64_t now_us)
{
	for (size_t i = 0; i < g->list.pair_count; i++) {
		struct ice_pair *p = &g->list.pairs[i];

		if (needs_keepalive(g, i) && now_us >= p->sent_us + ICE_KEEPALIVE_US)
			ice_check_keep_alive(g, p, now_us);
	}
}

void ice_agent_on_deadline(struct ice_agent *a, uint64_t now_us)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);

		if (!g)
			continue;
		ice_check_on_deadline(g, now_us);
		serve_consent(g, now_us);
		serve_keepalives(g, now_us);
		ice_standby_on_deadline(g, now_us);
		if (now_us >= g->patience_us)
			g->patience_over = true;
	}
	ice_restart_on_deadline(a, now_us);
	a->upgrade_event |= ice_upgrade_on_deadline(&a->upgrade, now_us);
	ice_agent_update(a, now_us);
}
