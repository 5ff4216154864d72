/* What the owner of an agent is told. */
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

/* The round trip changes all the time and is no event. */
static bool is_same_path(const struct ice_path *a, const struct ice_path *b)
{
	return a->socket == b->socket && a->relay == b->relay &&
	       netaddr_equal(&a->local, &b->local) && netaddr_equal(&a->remote, &b->remote) &&
	       a->local_type == b->local_type && a->remote_type == b->remote_type &&
	       a->nominated == b->nominated && a->consented == b->consented &&
	       a->generation == b->generation && a->lost == b->lost;
}

/* Return: true when @g's path is not what was said last; then @has and @path say what it is. */
static bool has_news(const struct ice_generation *g, bool *has, struct ice_path *path)
{
	struct ice_path now = {0};
	bool has_now = g && ice_path_describe(g, &now);

	if (has_now == *has && (!has_now || is_same_path(&now, path)))
		return false;
	*has = has_now;
	*path = now;
	return true;
}

void ice_event_note(struct ice_agent *a)
{
	a->path_event |= has_news(a->current, &a->has_path, &a->path);
	a->had_path |= a->has_path;
	/* Of a generation that is gone nobody is told that its path is gone, too. */
	if (has_news(a->next, &a->has_next_path, &a->next_path))
		a->next_path_event = a->next != NULL;
	if (ice_agent_has_event(a))
		ice_engine_set_dirty(a->engine, a);
}

bool ice_agent_has_event(const struct ice_agent *a)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		const struct ice_generation *g = ice_agent_live(a, i);

		if (g && ice_checklist_wants_permit(&g->list))
			return true;
	}
	return a->state_event || a->path_event || a->next_path_event || a->next_failed_event ||
	       a->upgrade_event;
}

static bool pop_permit(struct ice_agent *a, struct ice_event *ret)
{
	for (size_t i = 0; i < ICE_LIVE_GENERATIONS; i++) {
		struct ice_generation *g = ice_agent_live(a, i);
		size_t index = g ? ice_checklist_pop_permit(&g->list) : ICE_NO_PAIR;

		if (index == ICE_NO_PAIR)
			continue;
		ret->type = ICE_EVENT_PERMIT;
		ret->generation = g->number;
		ret->relay = g->list.pairs[index].via.relay;
		ret->remote = g->list.pairs[index].to;
		return true;
	}
	return false;
}

/* Return: what @flag was; it is false afterwards. */
static bool take(bool *flag)
{
	bool was = *flag;

	*flag = false;
	return was;
}

bool ice_agent_pop_event(struct ice_agent *a, struct ice_event *ret)
{
	*ret = (struct ice_event){
		.agent = a,
		.cookie = a->cookie,
		.state = a->state,
		.generation = a->current->number,
	};
	ret->has_path = ice_agent_get_path(a, &ret->path);
	if (pop_permit(a, ret))
		return true;
	if (take(&a->state_event)) {
		ret->type = ICE_EVENT_STATE;
	} else if (take(&a->path_event)) {
		ret->type = ICE_EVENT_PATH;
	} else if (take(&a->next_path_event)) {
		ret->type = ICE_EVENT_NEXT_PATH;
		ret->generation = a->next->number;
		ret->has_path = ice_agent_get_next_path(a, &ret->path);
	} else if (take(&a->next_failed_event)) {
		ret->type = ICE_EVENT_NEXT_FAILED;
		ret->generation = a->failed_generation;
	} else if (take(&a->upgrade_event)) {
		ret->type = ICE_EVENT_UPGRADE_ADVISED;
	} else {
		return false;
	}
	return true;
}
