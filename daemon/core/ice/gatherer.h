/*
 * The gatherer: asks every STUN server for every socket of its family where it sees us, once when
 * the socket opens and then again and again to keep the mapping warm (RFC 8445 s. 5.1.1.2,
 * 5.1.1.4).
 *
 * One `ice_gather` row for each (socket, server). A row is settled as soon as the server has
 * answered, refused, or used up our patience; it goes on trying after that.
 */
#ifndef ICETUN_ICE_GATHERER_H
#define ICETUN_ICE_GATHERER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/pacer.h"
#include "daemon/core/ice/request.h"
#include "daemon/core/ice/via.h"
#include "daemon/core/stun/message.h"

/* A server that did not answer is asked again after this. */
#define ICE_GATHER_RETRY_US (30 * US_PER_S)

enum ice_gather_state {
	/* A free row. Leaves to DUE when its socket or server is added. */
	ICE_GATHER_UNUSED = 0,
	/* To be asked from due_us on, as soon as the pacer allows. Leaves to ASKING. */
	ICE_GATHER_DUE,
	/* The request is under way. Leaves to DUE, later, by an answer or when none came. */
	ICE_GATHER_ASKING,
};

struct ice_gather {
	enum ice_gather_state state;
	uint16_t socket;
	struct netaddr server;
	struct netaddr mapped; /* NETADDR_NONE: not known */
	bool settled;
	bool changed; /* MAPPING_CHANGED is to be told */
	/* How the last requests went: ASKING while the first is under way. */
	enum ice_stun_server_state outcome;
	uint64_t outcome_us; /* since when */
	uint64_t answered_us, rtt_us;
	uint16_t error;
	uint64_t due_us;      /* of DUE */
	uint64_t patience_us; /* when it settles without an answer */
	struct ice_request request;
};

struct ice_gatherer {
	struct ice_gather *rows;
	size_t max_rows;
	struct netaddr servers[ICE_MAX_STUN_SERVERS];
	size_t server_count;
	bool keep_warm;
	bool has_events;
	uint64_t deadline_us; /* of retransmissions and patience */
	struct ice_pace pace;
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_gatherer_init(struct ice_gatherer *g, size_t max_sockets);
void ice_gatherer_fini(struct ice_gatherer *g);

/* Makes the rows agree with the sockets and the servers: called after either has changed. */
void ice_gatherer_update(struct ice_engine *e, uint64_t now_us);
/* Turns re-asking on or off. */
void ice_gatherer_set_keep_warm(struct ice_engine *e, uint64_t now_us, bool wanted);
/* ICE_NO_SOCKET: for all sockets. What is known stays until there is an answer. */
void ice_gatherer_ask_again(struct ice_engine *e, uint64_t now_us, uint16_t socket);
bool ice_gatherer_is_settled(const struct ice_gatherer *g);
/* Lists the local candidates anew. */
void ice_gatherer_list_candidates(struct ice_engine *e);
/* @i: below server_count. */
void ice_gatherer_describe(const struct ice_gatherer *g, size_t i,
			   struct ice_stun_server_info *ret);

/* The pacer's slot is ours: asks one server. */
void ice_gatherer_on_pace(struct ice_engine *e, uint64_t now_us);
void ice_gatherer_on_deadline(struct ice_engine *e, uint64_t now_us);
/* A response to a request of ours. Return: OK, DROP_*. */
MUST_USE enum err ice_gatherer_on_response(struct ice_engine *e, uint64_t now_us,
					   struct ice_request *r, struct ice_via via,
					   const struct netaddr *from,
					   const struct stun_message *m);
/* MAPPING_CHANGED. Return: false when there is none. */
bool ice_gatherer_pop_event(struct ice_engine *e, struct ice_event *ret);

#endif
