#include "daemon/core/ice/nomination.h"

void ice_nomination_offer(struct ice_nomination *n, size_t index, const struct ice_nominee *p)
{
	if (p->valid && (!n->has_best || p->priority > n->best.priority)) {
		n->has_best = true;
		n->best_index = index;
		n->best = *p;
	}
	if (!p->valid && p->pending && p->priority > n->best_pending_priority)
		n->best_pending_priority = p->priority;
}

static uint64_t grace_us(const struct ice_nomination *n)
{
	const struct ice_nominee *p = &n->best;

	if (n->is_restart)
		return ICE_GRACE_RESTART_US;
	if (p->relayed)
		return ICE_GRACE_RELAY_US;
	if (p->rtt_us == 0 || 2 * p->rtt_us > ICE_GRACE_MAX_US)
		return ICE_GRACE_MAX_US;
	return 2 * p->rtt_us < ICE_GRACE_MIN_US ? ICE_GRACE_MIN_US : 2 * p->rtt_us;
}

uint64_t ice_nomination_decide(const struct ice_nomination *n, uint64_t now_us, size_t *ret_index)
{
	if (!n->has_best)
		return DEADLINE_NONE;
	*ret_index = n->best_index;
	if (n->has_lost || n->best_pending_priority <= n->best.priority)
		return now_us;
	return n->best.valid_since_us + grace_us(n);
}
