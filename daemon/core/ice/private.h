/* The engine, as the parts of this room see it. */
#ifndef ICETUN_ICE_PRIVATE_H
#define ICETUN_ICE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/fifo.h"
#include "daemon/core/base/heap.h"
#include "daemon/core/base/random.h"
#include "daemon/core/base/table.h"
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/gatherer.h"
#include "daemon/core/ice/locals.h"
#include "daemon/core/ice/pacer.h"
#include "daemon/core/ice/request.h"

struct ice_engine {
	struct random_source random;
	size_t max_agents, max_pairs;
	uint16_t ta_ms;
	uint8_t rc;
	struct ice_locals locals;
	struct ice_gatherer gatherer;
	struct ice_pacer pacer;
	struct table requests; /* by transaction id */
	struct table ufrags;   /* generations, by our fragment */
	struct heap timers;    /* of agents */
	struct fifo transmits;
	struct drop_counters drops;
	struct ice_agent *agents; /* utlist */
	size_t agent_count;
	struct ice_agent *dirty; /* utlist, oldest event first */
	bool relays_pending;
	bool was_gathered, gathered_event;
	uint64_t stranger_us; /* the next reply to a stranger is allowed from here on */
};

/* Queues a datagram; counts it when there is no room. */
void ice_engine_transmit(struct ice_engine *e, struct ice_via via, const struct netaddr *to,
			 const uint8_t *buf, size_t len);
/* Uses the pacer's slot if one is free now: the first check of a session does not wait for a
 * timer. */
void ice_engine_pace(struct ice_engine *e, uint64_t now_us);
/* Tells all agents that there are new local candidates, not relayed ones. */
void ice_engine_on_local_change(struct ice_engine *e, uint64_t now_us);
/* Marks that @a has something to tell. */
void ice_engine_set_dirty(struct ice_engine *e, struct ice_agent *a);

#endif
