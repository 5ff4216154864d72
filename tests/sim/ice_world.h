/*
 * Two ICE engines on the virtual network, with a STUN server and a signalling channel between them.
 *
 * A `struct ice_scenario` says all that may differ; the same scenario runs the same way to the
 * byte. While it runs, everything that leaves an engine is held against the rules that must hold
 * whatever the network does:
 *
 *   - every datagram is STUN with FINGERPRINT, at most 548 bytes (RFC 8489 s. 6.1);
 *   - it goes to a STUN server, to a signalled candidate, or to where a datagram came from;
 *   - two new transactions of an engine are 5 ms apart, consent aside (RFC 8445 s. 14.2, RFC 7675);
 *   - a request is repeated after 500 ms at the earliest (RFC 8445 s. 14.3);
 *   - an engine nominates one pair, once (RFC 8445 s. 8.1.1);
 *   - there are at most 100 pairs (RFC 8445 s. 6.1.2.5);
 *   - deadlines do not stand still.
 *
 * A broken rule is printed, once, and remembered in `failed`.
 */
#ifndef ICETUN_SIM_ICE_WORLD_H
#define ICETUN_SIM_ICE_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/ice/engine.h"
#include "tests/sim/network.h"

/* What stands between an end and the Internet: reliability.md's names. */
enum ice_home {
	ICE_HOME_OPEN,	    /* nothing */
	ICE_HOME_FULL,	    /* EIM, EIF */
	ICE_HOME_ADDRESS,   /* EIM, ADF */
	ICE_HOME_PORT,	    /* EIM, APDF: the usual home router */
	ICE_HOME_SYMMETRIC, /* APDM, APDF, random ports */
	ICE_HOME_BLOCKED,   /* no UDP passes */
	ICE_HOME_COUNT
};

enum ice_layout {
	ICE_APART,	  /* each end in its own network */
	ICE_SAME_LAN,	  /* both in the network of the first end's router */
	ICE_SAME_CARRIER, /* both homes behind one carrier's EIM and EIF box */
	ICE_LAYOUT_COUNT
};

struct ice_scenario {
	uint64_t seed;
	enum ice_home home[2];
	enum ice_layout layout;
	bool hairpin; /* of the carrier and of the homes */
	bool ip4[2], ip6[2];
	bool twin_addresses; /* both ends have the same private address */
	bool glare;	     /* both ends believe that they control */
	bool early;	     /* descriptions are sent before gathering is over, the rest trickles */
	struct simnet_link link[2];
	uint64_t signalling_us; /* one way */
	uint16_t ta_ms[2];
	size_t stun_servers; /* 1 or 2 */
};

struct ice_world;

/* What is known about one end. */
struct ice_end_result {
	enum ice_agent_state state;
	bool controlling;
	bool has_path;
	struct ice_path path;
	bool had_path;		/* at any time */
	uint64_t first_path_us; /* after the offer was sent */
	uint64_t completed_us;
	size_t nominations; /* pairs that got USE-CANDIDATE from this end */
	bool has_reflexive; /* its description or a trickled candidate had one for IPv4 */
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
 * socket and comes from the address that the other end's path leads to. */
bool ice_world_probe(struct ice_world *w, size_t end);

bool ice_world_has_failed(const struct ice_world *w);
void ice_world_get_result(const struct ice_world *w, size_t end, struct ice_end_result *ret);
/* Depends on every byte that was sent and on when. */
uint64_t ice_world_hash(const struct ice_world *w);

/* Could UDP go directly between the two ends (reliability.md 3.5)? */
bool ice_scenario_is_direct(const struct ice_scenario *s);
void ice_scenario_print(const struct ice_scenario *s, FILE *f);
const char *ice_home_name(enum ice_home home);

#endif
