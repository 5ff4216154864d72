/*
 * Two ICE agents on the virtual network, with STUN and TURN servers and a signalling channel.
 *
 * A `struct ice_scenario` says all that may differ; the same scenario runs the same way to the
 * byte. While it runs, the rules of ice_rules.h are held against everything, and:
 *
 *   - there are at most 100 pairs, and 8, 4 and 2 candidates of the types (RFC 8445 s. 6.1.2.5);
 *   - a restart does not touch the path;
 *   - deadlines do not stand still.
 *
 * A broken rule is printed, once, and remembered.
 */
#ifndef ICETUN_SIM_ICE_WORLD_H
#define ICETUN_SIM_ICE_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/time.h"
#include "daemon/core/crypto/random.h"
#include "tests/sim/ice_end.h"
#include "tests/sim/ice_scenario.h"

struct ice_world {
	struct ice_scenario scenario;
	struct simnet *net;
	struct ice_servers *servers;
	struct ice_end ends[2];
	size_t above[2];   /* the network of each end's home */
	size_t routers[2]; /* the home; SIMNET_INTERNET: none */
	size_t carriers[2], carrier_count;
	size_t link_nodes[2];
	struct ice_message *messages;
	struct random_seeded seeded;
	struct random_source random; /* of life, not of the network */
	bool expects_changes;	     /* of mappings */
	uint64_t now_us, offered_us;
	size_t standstill;
	uint64_t hash;
	FILE *trace;
	bool failed;
};

struct ice_world *ice_world_create(const struct ice_scenario *scenario, FILE *trace);
void ice_world_destroy(struct ice_world *w);

/* Runs until both agents are COMPLETED, or both FAILED, or a rule is broken, or @limit_us of
 * virtual time are over. Return: false in the last case and when a rule was broken. */
bool ice_world_run(struct ice_world *w, uint64_t limit_us);
/* Runs on for @us whatever happens. */
void ice_world_run_on(struct ice_world *w, uint64_t us);
/* From now on the links have this quality. */
void ice_world_set_links(struct ice_world *w, const struct simnet_link *link);
/* Sends a datagram of data along the path of @end. Return: true when it reaches the other end's
 * base and comes from the address that the other end's path leads to. */
bool ice_world_probe(struct ice_world *w, size_t end);
/* The pair that both ends have selected. Return: true when it is one: mirrored, nominated, with
 * opposite roles; *ret_direct: no relay is in it. */
bool ice_world_has_agreed(const struct ice_world *w, bool *ret_direct);
/* Takes away all that is wrong with links and servers. */
void ice_world_heal(struct ice_world *w);
/* @e moves to another network, behind a new router of kind @home. */
void ice_world_roam(struct ice_world *w, struct ice_end *e, enum ice_home home);

/* For the ends. */
PRINTF_LIKE(2, 3) void ice_world_fail(struct ice_world *w, const char *format, ...);
void ice_world_require(struct ice_world *w, enum err e, const char *what);
void ice_world_mix(struct ice_world *w, const void *bytes, size_t len);
/* A message from @from to the other end. */
struct ice_message *ice_world_new_message(struct ice_world *w, size_t from,
					  enum ice_message_kind kind);

#endif
