/*
 * One ICE session, as the parts of this room see it.
 *
 * An agent holds what survives a restart: the role and the tie-breaker (RFC 8445 s. 9), its state
 * and its place in the engine. A *generation* holds what a restart makes new: credentials of both
 * ends, the checklist, consent, timers. `current` carries the traffic. A restart will make `next`
 * beside it and swap them when `next` works; until then both are answered, since a request names
 * its generation by our username fragment.
 *
 * Files: generation.c credentials and their table; agent.c life, path, state, timers; check.c the
 * side that asks; respond.c the side that answers; nomination.c and consent.c are policies without
 * state of the agent.
 */
#ifndef ICETUN_ICE_AGENT_H
#define ICETUN_ICE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/heap.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/ice/checklist.h"
#include "daemon/core/ice/consent.h"
#include "daemon/core/ice/description.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/pacer.h"
#include "daemon/core/ice/request.h"
#include "daemon/core/stun/message.h"

/* Our own credentials: 48 and 144 random bits (RFC 8445 s. 5.3 asks for 24 and 128). */
#define ICE_OUR_UFRAG_BYTES 8
#define ICE_OUR_PWD_BYTES   24

#define ICE_MAX_EARLY 32
/* Checks on pairs that were not selected are still honoured for this long (RFC 8445 s. 8.3.1). */
#define ICE_CONCLUDE_US (3 * US_PER_S)
/* A valid pair that is not the path is kept open by an indication (RFC 8445 s. 11). */
#define ICE_KEEPALIVE_US (15 * US_PER_S)

/* A pair whose last proof is older than this is not simply taken as the path: its consent would
 * soon be over. */
#define ICE_STALE_US (ICE_CONSENT_EXPIRY_US - 2 * ICE_CONSENT_INTERVAL_US)

/* When the path has not answered for this long, two requests at least, another pair that answers
 * may take its place. */
#define ICE_SUSPECT_US (12 * US_PER_S)

enum ice_phase {
	/* Ordinary and triggered checks are begun, a pair may be nominated. Leaves to CONCLUDED. */
	ICE_PHASE_CHECKING = 0,
	/* A pair is nominated. No check is begun, except for a better nomination of the peer's
	 * within ICE_CONCLUDE_US or a new one after it, or while the path is suspect. Leaves to
	 * LOST with the path. */
	ICE_PHASE_CONCLUDED,
	/* The nominated pair was lost. Only what the peer's checks or its data trigger is
	 * checked, and pairs that were valid beside it. Leaves to CONCLUDED. */
	ICE_PHASE_LOST,
};

/* A check that came before the remote description. */
struct ice_early {
	uint16_t socket;
	bool use_candidate;
	uint32_t priority;
	struct netaddr from;
	uint64_t remote_ufrag_hash;
};

struct ice_generation {
	struct ice_agent *agent;
	struct ice_generation *next_in_table;
	uint32_t number;
	char ufrag[ICE_OUR_UFRAG_BYTES + 1];
	char pwd[ICE_OUR_PWD_BYTES + 1];
	bool remote_known;
	bool remote_ended; /* no candidate will follow */
	size_t signalled_count;
	char remote_ufrag[ICE_UFRAG_MAX_BYTES + 1];
	char remote_pwd[ICE_PWD_MAX_BYTES + 1];
	uint64_t ta_us;
	enum ice_phase phase;
	struct ice_checklist list;
	struct ice_early early[ICE_MAX_EARLY];
	size_t early_count;
	size_t path;	   /* the pair in use, or ICE_NO_PAIR */
	size_t nominating; /* the pair whose nomination is under way, or ICE_NO_PAIR */
	bool patience_over;
	uint64_t patience_us;
	uint64_t next_check_us; /* Ta */
	uint64_t nominate_us;	/* when to ask the policy again */
	uint64_t concluded_us;
	struct ice_consent consent;
	struct ice_request consent_requests[ICE_CONSENT_REQUESTS];
};

struct ice_agent {
	struct ice_engine *engine;
	void *cookie;
	uint32_t worth;
	bool controlling;
	uint64_t tie_breaker;
	enum ice_agent_state state;
	bool had_path; /* at any time */
	bool has_path; /* as the last path event said, or will say */
	struct ice_path path;
	struct ice_generation *current;
	struct ice_generation *next; /* of a restart; not made yet */
	struct heap_node timer;
	struct ice_pace pace;
	bool state_event, path_event;
	bool dirty; /* in the engine's list of agents with events */
	struct ice_agent *prev_agent, *next_agent;
	struct ice_agent *prev_dirty, *next_dirty;
};

/* generation.c */

/* Makes a generation with fresh credentials and enters it in the engine's table.
 * Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_generation_create(struct ice_generation **ret, struct ice_agent *a,
					uint32_t number);
void ice_generation_destroy(struct ice_generation *g);
/* Return: the generation whose username fragment is these @len bytes, or NULL. */
struct ice_generation *ice_generation_find(const struct ice_engine *e, const uint8_t *ufrag,
					   size_t len);

/* agent.c */

/* After anything has changed: chooses the path, asks the nomination policy, derives the state and
 * sets the timers. */
void ice_agent_update(struct ice_agent *a, uint64_t now_us);
/* Changes the role and recomputes all pairs. */
void ice_agent_switch_role(struct ice_agent *a, bool controlling);
/* @index is nominated: by the peer, or our nomination was accepted. */
void ice_agent_nominate(struct ice_generation *g, size_t index, uint64_t now_us);
/* Gives up the path: consent ran out or was revoked. */
void ice_agent_lose_path(struct ice_generation *g, uint64_t now_us);
/* Nothing came back on the nominated path for some time. Data may still arrive, from elsewhere: the
 * peer's NAT has been restarted, say. */
bool ice_agent_path_is_suspect(const struct ice_generation *g, uint64_t now_us);
/* Pair @index has answered while the path is suspect: it is the path from now on. */
void ice_agent_replace_path(struct ice_generation *g, size_t index, uint64_t now_us);
/* A socket is new: while checks run it takes part. */
void ice_agent_add_socket(struct ice_agent *a, uint64_t now_us, uint16_t socket);
/* The system refused to send. */
void ice_agent_on_send_error(struct ice_agent *a, uint64_t now_us, uint16_t socket,
			     const struct netaddr *to);
/* The socket is gone. */
void ice_agent_drop_socket(struct ice_agent *a, uint64_t now_us, uint16_t socket);
void ice_agent_on_pace(struct ice_agent *a, uint64_t now_us);
void ice_agent_on_deadline(struct ice_agent *a, uint64_t now_us);
/* PRIORITY of checks from @socket: that of a peer-reflexive candidate (RFC 8445 s. 7.1.1). */
uint32_t ice_agent_prflx_priority(const struct ice_agent *a, uint16_t socket);

/* check.c */

/* Begins the check of a pair; with @nominate it carries USE-CANDIDATE. */
void ice_check_begin(struct ice_generation *g, size_t index, bool nominate, uint64_t now_us);
/* Asks for consent on the path. */
void ice_check_ask_consent(struct ice_generation *g, uint64_t now_us);
/* Keeps a pair's NAT mapping alive. */
void ice_check_keep_alive(struct ice_generation *g, struct ice_pair *p, uint64_t now_us);
/* Makes the pair's check, if any, an old one whose answer still counts, and queues a new one. */
void ice_check_trigger(struct ice_generation *g, size_t index);
/* The peer's check has shown that the pair works in its direction: ours is done again without
 * waiting for its retransmission (RFC 8445 s. 7.3.1.4). At once the first time; after that the
 * oldest check would be forgotten, which it is only when its answer is overdue, by RTO, 2 RTO, 4
 * RTO and so on. Without that limit two ends with several checks under way, each of which renews
 * one of the other end's, forget every answer before it arrives and check for ever. */
void ice_check_renew(struct ice_generation *g, size_t index, uint64_t now_us);
/* Ends whatever waits for an answer on the pair. */
void ice_check_stop(struct ice_generation *g, struct ice_pair *p);
/* Serves retransmissions and timeouts. */
void ice_check_on_deadline(struct ice_generation *g, uint64_t now_us);
uint64_t ice_check_deadline(const struct ice_generation *g);
/* A response to a request of this room's agents. Return: OK, DROP_*. */
MUST_USE enum err ice_check_on_response(uint64_t now_us, struct ice_request *r, uint16_t socket,
					const struct netaddr *from, const struct stun_message *m);

/* respond.c */

/* A Binding request. Return: OK, or why it was refused. */
MUST_USE enum err ice_respond(struct ice_engine *e, uint64_t now_us, uint16_t socket,
			      const struct netaddr *from, const struct stun_message *m);
/* Treats the remembered early checks as if they came now. */
void ice_respond_to_early(struct ice_generation *g, uint64_t now_us);

#endif
