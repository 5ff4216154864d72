/*
 * What is local: the sockets, the addresses that are no candidates, and the list of local
 * candidates that every agent offers.
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

struct ice_socket {
	uint16_t number; /* ICE_NO_SOCKET: a free row */
	uint16_t local_preference;
	struct netaddr base;
};

struct ice_locals {
	struct ice_socket *sockets;
	size_t max_sockets, socket_count;
	struct netprefix blocked[ICE_MAX_BLOCKED];
	size_t blocked_count;
	struct ice_foundations foundations;
	struct ice_candidate candidates[ICE_MAX_CANDIDATES]; /* best first */
	size_t candidate_count;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_locals_init(struct ice_locals *l, size_t max_sockets);
void ice_locals_fini(struct ice_locals *l);

/* Return: the socket, or NULL. */
struct ice_socket *ice_locals_find(const struct ice_locals *l, uint16_t number);
/* Return: OK, ERR_EXISTS, ERR_LIMIT. */
MUST_USE enum err ice_locals_add(struct ice_locals *l, uint16_t number, const struct netaddr *base,
				 uint16_t local_preference);
void ice_locals_remove(struct ice_locals *l, uint16_t number);

/* True for addresses that may not be a candidate of any kind: unusable or blocked. */
bool ice_locals_refuses(const struct ice_locals *l, const struct netaddr *a);

/* Begins the list of candidates anew with the host candidates. */
void ice_locals_list_hosts(struct ice_locals *l);
/* Adds a server-reflexive candidate, unless it is redundant (RFC 8445 s. 5.1.3). A full list
 * keeps the best. */
void ice_locals_list_mapped(struct ice_locals *l, const struct ice_socket *s,
			    const struct netaddr *mapped, const struct netaddr *server);
/* Return: the candidate of @socket with this address, or NULL. */
const struct ice_candidate *ice_locals_find_candidate(const struct ice_locals *l, uint16_t socket,
						      const struct netaddr *addr);

#endif
