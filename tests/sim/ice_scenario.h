/*
 * What may differ between two runs of the ICE simulator, and what must come out.
 */
#ifndef ICETUN_SIM_ICE_SCENARIO_H
#define ICETUN_SIM_ICE_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/network.h"

/* What stands between an end and the Internet: mapping and filtering of RFC 4787. EIM and EIF
 * depend on nothing, ADM and ADF on the other address, APDM and APDF on address and port. */
enum ice_home {
	ICE_HOME_OPEN,	   /* nothing */
	ICE_HOME_EIM_EIF,  /* "full cone" */
	ICE_HOME_EIM_ADF,  /* "restricted cone" */
	ICE_HOME_EIM_APDF, /* the usual home router */
	ICE_HOME_ADM_EIF,
	ICE_HOME_ADM_ADF,
	ICE_HOME_ADM_APDF,
	ICE_HOME_APDM_EIF,
	ICE_HOME_APDM_ADF,
	ICE_HOME_APDM_APDF, /* "symmetric" */
	ICE_HOME_BLOCKED,   /* no UDP passes; streams do */
	ICE_HOME_COUNT
};

enum ice_layout {
	ICE_APART,	  /* each end in its own network */
	ICE_SAME_LAN,	  /* both in the network of the first end's router */
	ICE_SAME_CARRIER, /* both homes behind one carrier's EIM and EIF box */
	ICE_OWN_CARRIERS, /* each home behind a carrier's box of its own */
	ICE_LAYOUT_COUNT
};

enum ice_mood {
	ICE_MOOD_GOOD,
	ICE_MOOD_SLOW,	  /* answers after some time */
	ICE_MOOD_DEAD,	  /* does not answer */
	ICE_MOOD_REFUSES, /* answers with an error; STUN servers only */
	ICE_MOOD_COUNT
};

#define ICE_SCENARIO_STUN_SERVERS 2

struct ice_scenario {
	uint64_t seed;
	enum ice_home home[2];
	enum ice_layout layout;
	bool hairpin; /* of the carrier and of the homes */
	bool ip4[2], ip6[2];
	bool broken_ip4[2], broken_ip6[2]; /* there is an address, and packets get lost */
	bool relay[2];			   /* has a TURN server, over UDP and over a stream */
	bool twin_addresses;		   /* both ends have the same private address */
	bool glare;			   /* both ends believe that they control */
	bool early; /* descriptions are sent before gathering is over, the rest trickles */
	struct simnet_link link[2];
	uint64_t signalling_us; /* one way */
	uint64_t mapping_us;	/* how long NATs keep an unused mapping */
	uint16_t ta_ms[2];
	size_t stun_servers; /* 1 or 2 */
	enum ice_mood stun[ICE_SCENARIO_STUN_SERVERS], turn;
	uint16_t forge_permille; /* of datagrams that an attacker on the path makes another of */
	size_t events;		 /* that happen after the first connection */
};

/* How the two ends can reach each other. */
enum ice_way {
	ICE_WAY_NONE,
	ICE_WAY_RELAYED,
	ICE_WAY_DIRECT,
};

struct ice_scenario ice_scenario_draw(uint64_t seed);
void ice_scenario_print(const struct ice_scenario *s, FILE *f);

/* The best way there is, by what NATs let through. */
enum ice_way ice_scenario_way(const struct ice_scenario *s);
/* Do packets of some family get out of the network of @end, over UDP? */
bool ice_scenario_has_udp(const struct ice_scenario *s, size_t end);
/* So many packets get lost that checks may all fail. */
bool ice_scenario_is_rough(const struct ice_scenario *s);
/* Nothing but delay happens to packets, and all servers are good. */
bool ice_scenario_is_clean(const struct ice_scenario *s);

enum nat_dependence ice_home_mapping(enum ice_home home);
enum nat_dependence ice_home_filtering(enum ice_home home);
const char *ice_home_name(enum ice_home home);
const char *ice_way_name(enum ice_way way);

#endif
