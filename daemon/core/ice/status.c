/* What an agent tells about itself. */
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

void ice_agent_set_worth(struct ice_agent *a, uint32_t worth)
{
	a->worth = worth;
	if (a->pace.class == ICE_PACE_IDLE || a->pace.class == ICE_PACE_STANDBY)
		return;
	if (a->pace.class != ICE_PACE_TRIGGERED)
		ice_pacer_set(&a->engine->pacer, &a->pace,
			      worth ? ICE_PACE_WORTH : ICE_PACE_ORDINARY, worth, a->pace.ready_us);
	a->pace.worth = worth;
}

enum ice_agent_state ice_agent_get_state(const struct ice_agent *a)
{
	return a->state;
}

bool ice_agent_is_controlling(const struct ice_agent *a)
{
	return a->controlling;
}

void ice_path_describe_pair(const struct ice_generation *g, size_t index, struct ice_path *ret)
{
	const struct ice_pair *p = &g->list.pairs[index];

	*ret = (struct ice_path){
		.socket = p->via.socket,
		.relay = p->via.relay,
		.local = p->mapped,
		.remote = p->to,
		.local_type = p->local_type,
		.remote_type = g->list.remotes[p->remote].type,
		.rtt_us = p->rtt_us,
		.nominated = p->nominated,
		.consented = ice_consent_is_fresh(&g->consent),
		.lost = g->lost_count,
		.generation = g->number,
	};
}

bool ice_path_describe(const struct ice_generation *g, struct ice_path *ret)
{
	if (g->path == ICE_NO_PAIR)
		return false;
	ice_path_describe_pair(g, g->path, ret);
	return true;
}

bool ice_agent_get_path(const struct ice_agent *a, struct ice_path *ret)
{
	return ice_path_describe(a->current, ret);
}

bool ice_agent_get_next_path(const struct ice_agent *a, struct ice_path *ret)
{
	return a->next && ice_path_describe(a->next, ret);
}

const char *ice_agent_state_name(enum ice_agent_state state)
{
	switch (state) {
	case ICE_AGENT_NEW:
		return "new";
	case ICE_AGENT_CHECKING:
		return "checking";
	case ICE_AGENT_CONNECTED:
		return "connected";
	case ICE_AGENT_COMPLETED:
		return "completed";
	case ICE_AGENT_DISCONNECTED:
		return "disconnected";
	case ICE_AGENT_FAILED:
		return "failed";
	}
	return "unknown";
}

const char *ice_stun_server_state_name(enum ice_stun_server_state state)
{
	switch (state) {
	case ICE_STUN_SERVER_UNUSED:
		return "unused";
	case ICE_STUN_SERVER_ASKING:
		return "asking";
	case ICE_STUN_SERVER_ANSWERED:
		return "answered";
	case ICE_STUN_SERVER_REFUSED:
		return "refused";
	case ICE_STUN_SERVER_SILENT:
		return "silent";
	}
	return "unknown";
}

const char *ice_pair_state_name(enum ice_pair_state state)
{
	switch (state) {
	case ICE_PAIR_FROZEN:
		return "frozen";
	case ICE_PAIR_WAITING:
		return "waiting";
	case ICE_PAIR_IN_PROGRESS:
		return "in-progress";
	case ICE_PAIR_SUCCEEDED:
		return "succeeded";
	case ICE_PAIR_FAILED:
		return "failed";
	}
	return "unknown";
}

static struct ice_pair_info describe(const struct ice_generation *g, const struct ice_pair *p)
{
	const struct ice_base *b = ice_locals_find(&g->agent->engine->locals, p->via);
	struct ice_pair_info info = {
		.socket = p->via.socket,
		.relay = p->via.relay,
		.remote = p->to,
		.local_type = p->local_type,
		.remote_type = g->list.remotes[p->remote].type,
		.state = p->state,
		.priority = p->valid ? p->valid_priority : p->priority,
		.rtt_us = p->rtt_us,
		.valid = p->valid,
		.nominated = p->nominated,
		.unreachable = p->unreachable,
	};

	if (p->valid)
		info.local = p->mapped;
	else if (b)
		info.local = b->addr;
	return info;
}

size_t ice_agent_get_pairs(const struct ice_agent *a, struct ice_pair_info *ret, size_t cap)
{
	const struct ice_generation *g = a->current;
	size_t count = 0;

	for (size_t i = 0; i < g->list.pair_count; i++) {
		struct ice_pair_info info = describe(g, &g->list.pairs[i]);
		size_t at = count;

		while (at > 0 && ret[at - 1].priority < info.priority)
			at--;
		if (at == cap)
			continue;
		if (count < cap)
			count++;
		for (size_t j = count - 1; j > at; j--)
			ret[j] = ret[j - 1];
		ret[at] = info;
	}
	return g->list.pair_count;
}
