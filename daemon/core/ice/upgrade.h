/*
 * When to try to get from a relayed path to a direct one.
 *
 * NATs, filters and networks change; a path over a relay costs a detour and somebody's money. So a
 * restart is advised 10 s after such a path was selected, 60 s after that, and then every 5 min;
 * and at once when something has changed here, though never within ICE_UPGRADE_FLOOR_US of the
 * advice before. A restart costs no packet, because the path stays in use meanwhile.
 *
 * If both ends went by this they would always restart at the same time. So the controlled end,
 * which is not `timed`, waits half as long again, and a restart of either end counts as one that
 * was advised here. It acts only where the other does not know that its path is relayed: a relay
 * that came too late to be signalled is a peer-reflexive candidate there.
 *
 * A value without memory of paths: the agent says what kind of path it has. The schedule goes on
 * over restarts that end on a relay again; only a direct path, or none, ends it.
 */
#ifndef ICETUN_ICE_UPGRADE_H
#define ICETUN_ICE_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/time.h"

#define ICE_UPGRADE_FIRST_US  (10 * US_PER_S)
#define ICE_UPGRADE_SECOND_US (60 * US_PER_S)
#define ICE_UPGRADE_LATER_US  (300 * US_PER_S)
#define ICE_UPGRADE_FLOOR_US  (5 * US_PER_S)

struct ice_upgrade {
	bool active; /* the path is relayed */
	bool timed;  /* the schedule is for us first */
	bool changed;
	uint8_t advised;     /* how often, up to 2 */
	uint64_t advised_us; /* the last time; 0 = never */
	uint64_t due_us;     /* by the schedule */
	uint64_t change_due_us;
};

/* The selected path is relayed, or it is not (or there is none). @timed: we control. */
void ice_upgrade_set_relayed(struct ice_upgrade *u, bool relayed, uint64_t now_us, bool timed);
/* Candidates of either end have changed. */
void ice_upgrade_on_change(struct ice_upgrade *u, uint64_t now_us);
/* A restart has begun, ours or the peer's. */
void ice_upgrade_on_restart(struct ice_upgrade *u, uint64_t now_us);
/* Return: DEADLINE_NONE while not active. */
uint64_t ice_upgrade_deadline(const struct ice_upgrade *u);
/* Return: true when a restart is advised now. */
bool ice_upgrade_on_deadline(struct ice_upgrade *u, uint64_t now_us);

#endif
