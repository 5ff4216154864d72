#include "daemon/core/ice/upgrade.h"

static uint64_t interval_us(const struct ice_upgrade *u)
{
	uint64_t us = u->advised == 0	? ICE_UPGRADE_FIRST_US
		      : u->advised == 1 ? ICE_UPGRADE_SECOND_US
					: ICE_UPGRADE_LATER_US;

	return u->timed ? us : us + us / 2;
}

static void note_advice(struct ice_upgrade *u, uint64_t now_us)
{
	if (u->advised < 2)
		u->advised++;
	u->advised_us = now_us;
	u->due_us = now_us + interval_us(u);
}

void ice_upgrade_set_relayed(struct ice_upgrade *u, bool relayed, uint64_t now_us, bool timed)
{
	u->timed = timed;
	if (relayed == u->active)
		return;
	/* advised_us stays: a path that flaps must not be advised to restart all the time. */
	u->active = relayed;
	u->changed = false;
	u->advised = 0;
	u->due_us = now_us + interval_us(u);
}

void ice_upgrade_on_change(struct ice_upgrade *u, uint64_t now_us)
{
	if (!u->active || u->changed)
		return;
	u->changed = true;
	u->change_due_us = now_us;
	if (u->advised_us && now_us < u->advised_us + ICE_UPGRADE_FLOOR_US)
		u->change_due_us = u->advised_us + ICE_UPGRADE_FLOOR_US;
}

void ice_upgrade_on_restart(struct ice_upgrade *u, uint64_t now_us)
{
	/* The one that was advised has been counted. */
	if (u->active && (!u->advised_us || now_us >= u->advised_us + ICE_UPGRADE_FLOOR_US))
		note_advice(u, now_us);
}

uint64_t ice_upgrade_deadline(const struct ice_upgrade *u)
{
	uint64_t deadline = DEADLINE_NONE;

	if (u->active)
		deadline = u->due_us;
	if (u->active && u->changed)
		deadline = deadline_min(deadline, u->change_due_us);
	return deadline;
}

bool ice_upgrade_on_deadline(struct ice_upgrade *u, uint64_t now_us)
{
	if (now_us < ice_upgrade_deadline(u) || !u->active)
		return false;
	u->changed = false;
	note_advice(u, now_us);
	return true;
}
