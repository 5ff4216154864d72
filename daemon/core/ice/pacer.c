#include "daemon/core/ice/pacer.h"

#include <utlist.h>

#include "daemon/core/base/time.h"
#include "daemon/core/ice/engine.h"

void ice_pacer_set(struct ice_pacer *p, struct ice_pace *e, enum ice_pace_class class,
		   uint32_t worth, uint64_t ready_us)
{
	if (e->class == ICE_PACE_IDLE && class != ICE_PACE_IDLE)
		DL_APPEND(p->entries, e);
	else if (e->class != ICE_PACE_IDLE && class == ICE_PACE_IDLE)
		DL_DELETE(p->entries, e);
	p->standby_count -= e->class == ICE_PACE_STANDBY;
	p->standby_count += class == ICE_PACE_STANDBY;
	e->class = class;
	e->worth = worth;
	e->ready_us = ready_us;
}

bool ice_pacer_takes_standby(const struct ice_pacer *p, const struct ice_pace *e)
{
	return e->class == ICE_PACE_STANDBY || p->standby_count < ICE_PACER_MAX_STANDBY;
}

static uint64_t ready_at(const struct ice_pacer *p, const struct ice_pace *e)
{
	uint64_t at = e->ready_us > p->next_us ? e->ready_us : p->next_us;

	if (e->class == ICE_PACE_GATHER && p->next_gather_us > at)
		at = p->next_gather_us;
	return at;
}

static bool goes_before(const struct ice_pace *a, const struct ice_pace *b)
{
	if (a->class != b->class)
		return a->class > b->class;
	if (a->worth != b->worth)
		return a->worth > b->worth;
	return a->served < b->served;
}

struct ice_pace *ice_pacer_pop(struct ice_pacer *p, uint64_t now_us)
{
	struct ice_pace *best = NULL;
	struct ice_pace *e;

	if (now_us < p->next_us)
		return NULL;
	DL_FOREACH (p->entries, e) {
		if (ready_at(p, e) <= now_us && (!best || goes_before(e, best)))
			best = e;
	}
	if (!best)
		return NULL;
	best->served = ++p->serial;
	p->next_us = now_us + ICE_PACER_FLOOR_US;
	if (best->class == ICE_PACE_GATHER)
		p->next_gather_us = now_us + ICE_GATHER_INTERVAL_US;
	return best;
}

uint64_t ice_pacer_deadline(const struct ice_pacer *p)
{
	uint64_t deadline = DEADLINE_NONE;
	const struct ice_pace *e;

	DL_FOREACH (p->entries, e)
		deadline = deadline_min(deadline, ready_at(p, e));
	return deadline;
}
