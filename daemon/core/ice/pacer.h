/*
 * The pacer: who may begin the next transaction, and when (RFC 8445 s. 14.1, 14.2).
 *
 * There is one in an engine. Everybody who has a new transaction to send keeps an `ice_pace` entry
 * with its class and the time from which it is ready (its own Ta). ice_pacer_pop() names the one to
 * be served now: the highest class, then the highest worth, then who has waited longest. Two pops
 * are at least ICE_PACER_FLOOR_US apart, two of the class GATHER at least ICE_GATHER_INTERVAL_US. A
 * slot that was not used is gone: nothing ever leaves in a burst.
 */
#ifndef ICETUN_ICE_PACER_H
#define ICETUN_ICE_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many entries of the class STANDBY at once: that of each session may be there for long, and
 * each pop looks at all entries. */
#define ICE_PACER_MAX_STANDBY 64

/* In rising order of importance. GATHER stands above agents because it takes one slot in ten at
 * most and without it there is nothing to offer. */
enum ice_pace_class {
	ICE_PACE_IDLE = 0, /* nothing to send; not in the pacer */
	ICE_PACE_STANDBY,  /* for when the path is lost */
	ICE_PACE_ORDINARY,
	ICE_PACE_GOOD,	/* to where a session's data went before its restart */
	ICE_PACE_WORTH, /* somebody waits for this peer */
	ICE_PACE_GATHER,
	ICE_PACE_TRIGGERED,
};

struct ice_pace {
	enum ice_pace_class class;
	uint32_t worth;
	uint64_t ready_us;
	uint64_t served; /* serial number of its last slot */
	struct ice_pace *prev, *next;
};

struct ice_pacer {
	struct ice_pace *entries;
	size_t standby_count; /* entries of that class */
	uint64_t next_us;
	uint64_t next_gather_us;
	uint64_t serial;
};

/* Puts @e, zeroed at first, into @p with these properties; ICE_PACE_IDLE takes it out. */
void ice_pacer_set(struct ice_pacer *p, struct ice_pace *e, enum ice_pace_class class,
		   uint32_t worth, uint64_t ready_us);
/* Return: whether @e may come in with the class STANDBY, or is there with it. */
bool ice_pacer_takes_standby(const struct ice_pacer *p, const struct ice_pace *e);
/* Return: the entry to be served at @now_us, whose slot is then used up, or NULL. */
struct ice_pace *ice_pacer_pop(struct ice_pacer *p, uint64_t now_us);
/* Return: when ice_pacer_pop() will have one, or DEADLINE_NONE. */
uint64_t ice_pacer_deadline(const struct ice_pacer *p);

#endif
