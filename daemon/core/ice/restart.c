/* One generation after another (RFC 8445 s. 9): the next one is made beside the current one, the
 * owner switches, the old one answers for a while. */
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

static void forget_next(struct ice_agent *a)
{
	ice_generation_destroy(a->next);
	a->next = NULL;
	a->next_path_event = false;
}

/* Where data went, or the last pair that has answered. */
static struct netaddr last_good(const struct ice_generation *g)
{
	const struct ice_pair *best = NULL;

	if (g->path != ICE_NO_PAIR)
		return g->list.pairs[g->path].to;
	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (p->proof_us && (!best || p->proof_us > best->proof_us))
			best = p;
	}
	return best ? best->to : (struct netaddr){0};
}

enum err ice_agent_restart(struct ice_agent *a, uint64_t now_us)
{
	struct ice_generation *next;
	enum err err;

	if (!a->current->remote_known)
		return ERR_WRONG_STATE;
	err = ice_generation_create(&next, a, a->last_generation + 1);
	if (err != OK)
		return err;
	forget_next(a);
	a->last_generation++;
	next->list.good = last_good(a->current);
	a->next = next;
	a->next->patience_us = now_us + ICE_PATIENCE_US;
	ice_upgrade_on_restart(&a->upgrade, now_us);
	ice_agent_update(a, now_us);
	return OK;
}

void ice_agent_abandon_restart(struct ice_agent *a, uint64_t now_us)
{
	forget_next(a);
	ice_agent_update(a, now_us);
}

enum err ice_agent_switch(struct ice_agent *a, uint64_t now_us, uint32_t generation)
{
	struct ice_generation *next = a->next;

	if (!next || next->number != generation || next->path == ICE_NO_PAIR)
		return ERR_WRONG_STATE;
	ice_generation_destroy(a->old);
	a->old = a->current;
	a->old_until_us = now_us + ICE_OLD_GENERATION_US;
	ice_generation_stop(a->old);
	a->current = next;
	a->next = NULL;
	a->next_path_event = false;
	a->next_failed_event = false;
	ice_agent_update(a, now_us);
	return OK;
}

void ice_restart_on_deadline(struct ice_agent *a, uint64_t now_us)
{
	if (a->old && now_us >= a->old_until_us) {
		ice_generation_destroy(a->old);
		a->old = NULL;
	}
	if (a->next && now_us >= a->next->patience_us) {
		a->failed_generation = a->next->number;
		a->next_failed_event = true;
		forget_next(a);
	}
}

uint64_t ice_restart_deadline(const struct ice_agent *a)
{
	uint64_t deadline = a->old ? a->old_until_us : DEADLINE_NONE;

	return a->next ? deadline_min(deadline, a->next->patience_us) : deadline;
}
