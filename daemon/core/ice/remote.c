/* What the two ends tell each other by signalling: descriptions, and candidates that trickle in
 * (RFC 8838). */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fnv.h"
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

void ice_agent_get_description(const struct ice_agent *a, struct ice_description *ret)
{
	const struct ice_generation *g = a->next ? a->next : a->current;
	const struct ice_engine *e = a->engine;

	*ret = (struct ice_description){
		.ta_ms = e->ta_ms,
		.end_of_candidates = ice_engine_is_gathered(e),
		.options = {"ice2", "trickle"},
		.option_count = 2,
	};
	memcpy(ret->ufrag, g->ufrag, sizeof(g->ufrag));
	memcpy(ret->pwd, g->pwd, sizeof(g->pwd));
	memcpy(ret->candidates, e->locals.candidates,
	       e->locals.candidate_count * sizeof(struct ice_candidate));
	ret->candidate_count = e->locals.candidate_count;
}

static struct ice_via via_of(const struct ice_candidate *local)
{
	return (struct ice_via){.socket = local->socket, .relay = local->relay};
}

void ice_remote_pair_base(struct ice_generation *g, struct ice_via via)
{
	const struct ice_locals *locals = &g->agent->engine->locals;
	uint32_t prflx_priority = ice_agent_prflx_priority(g->agent, via);

	for (size_t i = 0; i < locals->candidate_count; i++) {
		const struct ice_candidate *local = &locals->candidates[i];

		if (!ice_via_equal(via_of(local), via))
			continue;
		for (size_t j = 0; j < g->list.remote_count; j++) {
			/* Peer-reflexive ones belong to the base that met them (s. 7.3.1.3). */
			if (g->list.remotes[j].type != ICE_CANDIDATE_PRFLX)
				ice_checklist_pair(&g->list, local, prflx_priority, j);
		}
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
	if (ice_locals_refuses_remote(locals, &c->addr))
		return DROP_BLOCKED;
	err = ice_checklist_add_remote(&g->list, c, &remote);
	if (err != OK)
		return err;
	for (size_t i = 0; i < locals->candidate_count; i++) {
		const struct ice_candidate *local = &locals->candidates[i];

		ice_checklist_pair(&g->list, local,
				   ice_agent_prflx_priority(g->agent, via_of(local)), remote);
	}
	return OK;
}

static uint64_t agreed_ta_us(const struct ice_engine *e, uint16_t theirs_ms)
{
	uint16_t ta_ms = theirs_ms ? theirs_ms : ICE_TA_ABSENT_MS;

	return (ta_ms > e->ta_ms ? ta_ms : e->ta_ms) * US_PER_MS;
}

/* Signalled before, with all that counts. */
static bool is_known(struct ice_generation *g, const struct ice_candidate *c)
{
	const struct ice_remote *r = ice_checklist_find_remote(&g->list, &c->addr);

	return r && r->type != ICE_CANDIDATE_PRFLX && r->priority >= c->priority;
}

static enum err trickle(struct ice_generation *g, uint64_t now_us, const struct ice_candidate *c)
{
	struct ice_agent *a = g->agent;
	enum err err;

	if (is_known(g, c))
		return OK;
	if (g->phase != ICE_PHASE_CHECKING && a->controlling)
		ice_upgrade_on_change(&a->upgrade, now_us);
	if (g->remote_ended || g->phase == ICE_PHASE_LOST)
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
	ice_standby_on_candidate(g);
	return OK;
}

static uint64_t hash_ufrag(const char *ufrag)
{
	return fnv_hash(FNV_SEED, ufrag, strlen(ufrag));
}

/* The oldest gives way. Return: OK, ERR_LIMIT without memory. */
static enum err add_early(struct ice_agent *a, const struct ice_early_candidate *new)
{
	if (!a->early)
		a->early = calloc(ICE_MAX_EARLY_CANDIDATES, sizeof(*a->early));
	if (!a->early)
		return ERR_LIMIT;
	if (a->early_count == ICE_MAX_EARLY_CANDIDATES)
		memmove(&a->early[0], &a->early[1],
			--a->early_count * sizeof(struct ice_early_candidate));
	a->early[a->early_count++] = *new;
	return OK;
}

/* What came before the description that it belongs to. */
static void take_early(struct ice_generation *g, uint64_t now_us)
{
	struct ice_agent *a = g->agent;
	uint64_t hash = hash_ufrag(g->remote_ufrag);
	size_t kept = 0;

	for (size_t i = 0; i < a->early_count; i++) {
		const struct ice_early_candidate *early = &a->early[i];

		if (early->ufrag_hash != hash)
			a->early[kept++] = *early;
		else if (early->is_end)
			g->remote_ended = true;
		else
			(void)!trickle(g, now_us, &early->candidate);
	}
	a->early_count = kept;
	if (kept)
		return;
	free(a->early);
	a->early = NULL;
}

static enum err describe_remote(struct ice_generation *g, uint64_t now_us,
				const struct ice_description *d)
{
	struct ice_agent *a = g->agent;
	enum err err = ice_generation_set_remote(g, d->ufrag, d->pwd);

	if (err != OK)
		return err;
	if (d->lite && !a->controlling)
		ice_agent_switch_role(a, true);
	a->lite_peer = d->lite;
	g->ta_us = agreed_ta_us(a->engine, d->ta_ms);
	g->patience_us = now_us + ICE_PATIENCE_US;
	for (size_t i = 0; i < d->candidate_count; i++)
		drop_count(&a->engine->drops, add_remote(g, &d->candidates[i]));
	g->signalled_count = d->candidate_count;
	take_early(g, now_us);
	g->remote_ended |= d->end_of_candidates;
	ice_checklist_thaw(&g->list);
	ice_respond_to_early(g, now_us);
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
	return OK;
}

enum credentials {
	CREDENTIALS_NEW,
	CREDENTIALS_SAME,
	CREDENTIALS_MIXED, /* one of the two is new */
};

static enum credentials compare(const struct ice_generation *g, const struct ice_description *d)
{
	bool same_ufrag = strcmp(g->remote_ufrag, d->ufrag) == 0;
	bool same_pwd = strcmp(g->remote_pwd, d->pwd) == 0;

	if (same_ufrag != same_pwd)
		return CREDENTIALS_MIXED;
	return same_ufrag ? CREDENTIALS_SAME : CREDENTIALS_NEW;
}

enum err ice_agent_set_remote(struct ice_agent *a, uint64_t now_us, const struct ice_description *d)
{
	struct ice_generation *known[] = {a->current, a->next, a->old};
	enum err err = ice_description_check(d);

	if (err != OK)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!known[i] || !known[i]->remote_known)
			continue;
		switch (compare(known[i], d)) {
		case CREDENTIALS_NEW:
			break;
		case CREDENTIALS_SAME:
			return ERR_EXISTS;
		case CREDENTIALS_MIXED:
			return ERR_INVALID;
		}
	}
	if (!a->current->remote_known)
		return describe_remote(a->current, now_us, d);
	if (!a->next || a->next->remote_known) {
		err = ice_agent_restart(a, now_us);
		if (err != OK)
			return err;
	}
	return describe_remote(a->next, now_us, d);
}

/* Return: the generation that the peer calls @ufrag, or NULL. */
static struct ice_generation *find(const struct ice_agent *a, const char *ufrag)
{
	struct ice_generation *all[] = {a->next, a->current, a->old};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] && all[i]->remote_known &&
		    (!ufrag || strcmp(all[i]->remote_ufrag, ufrag) == 0))
			return all[i];
	}
	return NULL;
}

enum err ice_agent_add_remote_candidate(struct ice_agent *a, uint64_t now_us, const char *ufrag,
					const struct ice_candidate *c)
{
	struct ice_early_candidate early = {.candidate = *c};
	struct ice_generation *g = find(a, ufrag);
	enum err err = ice_candidate_check(c);

	if (err != OK)
		return err;
	if (!g && !ufrag)
		return ERR_WRONG_STATE;
	if (!g) {
		early.ufrag_hash = hash_ufrag(ufrag);
		return add_early(a, &early);
	}
	if (g == a->old)
		return DROP_STALE;
	err = trickle(g, now_us, c);
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
	return err;
}

void ice_agent_end_remote(struct ice_agent *a, uint64_t now_us, const char *ufrag)
{
	struct ice_early_candidate early = {.is_end = true};
	struct ice_generation *g = find(a, ufrag);

	if (g) {
		g->remote_ended = true;
	} else if (ufrag) {
		early.ufrag_hash = hash_ufrag(ufrag);
		drop_count(&a->engine->drops, add_early(a, &early) == OK ? OK : DROP_LIMIT);
	}
	ice_agent_update(a, now_us);
}
