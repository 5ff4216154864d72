/* Which pair carries the data: choosing, nominating, losing and finding again (RFC 8445 s. 8). */
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/nomination.h"
#include "daemon/core/ice/private.h"

static void set_phase(struct ice_generation *g, enum ice_phase phase)
{
	g->phase = phase;
}

/* The best valid pair carries the data; after nomination the nominated one does. */
void ice_path_choose(struct ice_generation *g, uint64_t now_us)
{
	size_t best = ice_checklist_best(&g->list);

	if (best != g->path) {
		g->path = best;
		ice_consent_stop(&g->consent);
		if (best != ICE_NO_PAIR)
			ice_consent_start(&g->consent, &g->agent->engine->random, now_us,
					  g->list.pairs[best].proof_us);
	}
	if (g->phase == ICE_PHASE_CONCLUDED &&
	    (best == ICE_NO_PAIR || !g->list.pairs[best].nominated))
		set_phase(g, ICE_PHASE_LOST);
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

void ice_path_consider_nomination(struct ice_generation *g, uint64_t now_us)
{
	struct ice_nomination n = {.is_restart = g->number > 0, .has_lost = g->has_lost};
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
			.relayed = ice_pair_is_relayed(&g->list, p),
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
			ice_checklist_set_state(&g->list, p,
						p->valid ? ICE_PAIR_SUCCEEDED : ICE_PAIR_FROZEN);
	}
}

/* For a while a peer may nominate several; later it has changed its mind, and what it nominated
 * before does not count any more. */
static bool is_afresh(const struct ice_generation *g, uint64_t now_us)
{
	return g->phase != ICE_PHASE_CONCLUDED || now_us >= g->concluded_us + ICE_CONCLUDE_US;
}

void ice_path_on_use_candidate(struct ice_generation *g, size_t index, uint64_t now_us)
{
	if (g->phase != ICE_PHASE_CHECKING && is_afresh(g, now_us)) {
		for (size_t i = 0; i < g->list.pair_count; i++)
			g->list.pairs[i].use_candidate = false;
	}
	g->list.pairs[index].use_candidate = true;
}

void ice_path_nominate(struct ice_generation *g, size_t index, uint64_t now_us)
{
	bool afresh = is_afresh(g, now_us);

	for (size_t i = 0; afresh && i < g->list.pair_count; i++)
		g->list.pairs[i].nominated = false;
	g->list.pairs[index].nominated = true;
	g->has_lost = false;
	if (afresh) {
		g->concluded_us = now_us;
		g->standby_us = now_us + ICE_CONCLUDE_US;
		g->standby_left = ICE_STANDBY_CHECKS;
	}
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
	g->has_lost |= index == g->path;
	g->lost_count += index == g->path;
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

void ice_path_lose(struct ice_generation *g, uint64_t now_us)
{
	retire_stale(g, now_us);
	drop_pair(g, g->path);
}

bool ice_path_is_suspect(const struct ice_generation *g, uint64_t now_us)
{
	return g->path != ICE_NO_PAIR && now_us >= g->list.pairs[g->path].proof_us + ICE_SUSPECT_US;
}

void ice_path_replace(struct ice_generation *g, size_t index, uint64_t now_us)
{
	drop_pair(g, g->path);
	/* The peer's pair is the one that it has nominated: only its address has changed. If it is
	 * ours to nominate, the policy does. */
	if (!g->agent->controlling)
		ice_path_nominate(g, index, now_us);
}

void ice_path_follow(struct ice_generation *g, size_t index, uint64_t now_us)
{
	size_t left = g->path;

	drop_pair(g, left);
	g->list.pairs[left].use_candidate = false;
	ice_path_nominate(g, index, now_us);
	if (!g->agent->controlling)
		return;
	/* It is ours to say. */
	g->nominating = index;
	ice_checklist_trigger(&g->list, index);
}

void ice_path_drop_base(struct ice_generation *g, uint64_t now_us, struct ice_via via)
{
	for (size_t i = 0; i < g->list.pair_count; i++) {
		if (!ice_via_equal(g->list.pairs[i].via, via))
			continue;
		if (i == g->path)
			retire_stale(g, now_us);
		drop_pair(g, i);
		g->list.pairs[i].via = ice_via_none();
	}
}

/* The peer is alive though our path is not: try the last one again. */
void ice_path_revive(struct ice_generation *g)
{
	size_t best = ICE_NO_PAIR;

	if (g->phase != ICE_PHASE_LOST || g->list.triggered_count != 0 ||
	    g->list.state_count[ICE_PAIR_IN_PROGRESS] != 0)
		return;
	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (p->proof_us && !ice_via_is_none(p->via) &&
		    (best == ICE_NO_PAIR || p->proof_us > g->list.pairs[best].proof_us))
			best = i;
	}
	if (best != ICE_NO_PAIR)
		ice_check_trigger(g, best);
}
