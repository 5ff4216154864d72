/*
 * What is local: the bases, the addresses that are no candidates, and the list of local candidates
 * that every agent offers.
 *
 * A base (RFC 8445 s. 4) is what packets leave from: a socket, or an address that a TURN server has
 * allocated for us.
 */
#ifndef ICETUN_ICE_LOCALS_H
#define ICETUN_ICE_LOCALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/ice/candidate.h"
#include "daemon/core/ice/description.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/via.h"

#define ICE_MAX_LOCALS                                                                             \
	(ICE_MAX_HOST_CANDIDATES + ICE_MAX_SRFLX_CANDIDATES + ICE_MAX_RELAY_CANDIDATES)

struct ice_base {
	struct ice_via via; /* none: a free row */
	uint16_t local_preference;
	struct netaddr addr;
	struct netaddr mapped, server; /* of a relay */
	bool is_retired;	       /* no candidate any more */
};

/* A candidate that an event has told about. */
struct ice_told {
	struct ice_via via;
	struct netaddr addr;
};

struct ice_locals {
	struct ice_base *bases;
	size_t max_bases; /* max_sockets and ICE_MAX_RELAYS */
	size_t max_sockets, socket_count, relay_count;
	struct netprefix blocked[ICE_MAX_BLOCKED];
	size_t blocked_count;
	bool allow_low_ports;
	enum ice_policy policy;
	struct ice_foundations foundations;
	struct ice_candidate candidates[ICE_MAX_LOCALS]; /* best first */
	size_t candidate_count;
	struct ice_told told[ICE_MAX_LOCALS];
	size_t told_count;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_locals_init(struct ice_locals *l, size_t max_sockets);
void ice_locals_fini(struct ice_locals *l);

/* Return: the base, or NULL. */
struct ice_base *ice_locals_find(const struct ice_locals *l, struct ice_via via);
/* Return: the base with this relay's number, not 0, or NULL. */
struct ice_base *ice_locals_find_relay(const struct ice_locals *l, uint16_t relay);
/* Copies @base, which is not none. Return: OK, ERR_EXISTS, ERR_LIMIT. */
MUST_USE enum err ice_locals_add(struct ice_locals *l, const struct ice_base *base);
void ice_locals_remove(struct ice_locals *l, struct ice_via via);

/* True for addresses that may not be a candidate of any kind: unusable or blocked. */
bool ice_locals_refuses(const struct ice_locals *l, const struct netaddr *a);

/* True also for what no remote candidate may be: see ice_engine_params. */
bool ice_locals_refuses_remote(const struct ice_locals *l, const struct netaddr *a);

/* Begins the list of candidates anew with the host and relayed candidates. Of each type the best
 * are kept, as many as engine.h allows. */
void ice_locals_list_bases(struct ice_locals *l);
/* Adds a server-reflexive candidate, unless it is redundant (RFC 8445 s. 5.1.3). */
void ice_locals_list_mapped(struct ice_locals *l, const struct ice_base *base,
			    const struct netaddr *mapped, const struct netaddr *server);
/* Return: the candidate over @via with this address, or NULL. */
const struct ice_candidate *ice_locals_find_candidate(const struct ice_locals *l,
						      struct ice_via via,
						      const struct netaddr *addr);
/* The candidate that @base is, where it is not in the list. */
void ice_locals_make_candidate(struct ice_locals *l, const struct ice_base *base,
			       struct ice_candidate *ret);
/* Return: a candidate of the list that this function has not returned before, or NULL. One that
 * was gone meanwhile is new again. */
const struct ice_candidate *ice_locals_pop_new(struct ice_locals *l);

#endif
