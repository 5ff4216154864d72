/*
 * The checklist of one generation: remote candidates, pairs, and which of them to check next (RFC
 * 8445 s. 6.1.2, 6.1.4).
 *
 * Both tables grow as they are filled, up to their limits, since most sessions need a few entries:
 * a pointer to a pair or a remote is good until the next one is added.
 *
 * It is bookkeeping without time and without messages: forming and pruning pairs, freezing by
 * foundation, the queue of triggered checks, priorities after a change of role. Pairs are named by
 * their index, which never changes while they live; when the list is full a pair whose base is
 * gone, or that has failed, gives way to another, and one that was not begun to a better one. While
 * pairs of an address family have less than their share of the list, worse ones push out better
 * ones of the other: a peer with many addresses of a family that does not work shall not keep the
 * one that does out of the list. The order of the checks is that of the priorities, whose local
 * preferences interleave the families (RFC 8421 s. 4, which warns of reordering the list itself,
 * since the peer would not do the same).
 *
 * A pair is (base, remote address): packets to a remote address leave a base in one way, whichever
 * local candidate they are meant for, so replacing reflexive candidates by their bases (s. 6.1.2.4)
 * is in the key.
 */
#ifndef ICETUN_ICE_CHECKLIST_H
#define ICETUN_ICE_CHECKLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/ice/candidate.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/request.h"
#include "daemon/core/ice/via.h"

#define ICE_NO_PAIR SIZE_MAX
/* Signalled ones, and as many that we only learnt of by their checks. */
#define ICE_MAX_REMOTES (2 * ICE_MAX_CANDIDATES)
/* So many of the latter a base: behind two NATs that map and do not filter, each check of one end
 * makes a new address for the other, for ever, and better pairs would never have their turn. */
#define ICE_MAX_PRFLX_A_BASE 16
/* What a family may have of a full list, whatever its priorities: one part in so many. */
#define ICE_FAMILY_SHARE 4
/* A failed one gives way to a new one after this time, once some check has succeeded: NATs are
 * rebooted during a session, too. */
#define ICE_PRFLX_REST_US (10 * US_PER_S)

/* A remote candidate, without what only signalling needs. */
struct ice_remote {
	struct netaddr addr;
	uint32_t priority;
	enum ice_candidate_type type;
	uint64_t foundation; /* a hash of the text */
};

/* The check, and the one before it whose answer still counts (s. 7.3.1.4). They stay where they are
 * when the list grows, since the table of requests points to them. */
struct ice_pair_requests {
	struct ice_request check, cancelled;
};

struct ice_pair {
	struct ice_via via;
	uint16_t remote;	   /* index in remotes */
	enum ice_pair_state state; /* written only by ice_checklist_set_state() */
	enum ice_candidate_type local_type;
	struct netaddr to; /* the remote address, with the scope of our socket */
	uint32_t local_priority;
	uint32_t prflx_priority; /* PRIORITY of our checks (s. 7.1.1) */
	uint64_t priority;
	uint64_t foundation;
	bool is_good;	    /* goes to `good` of the list */
	bool queued;	    /* in the queue of triggered checks */
	bool repeated;	    /* the check in progress was sent more than once */
	bool use_candidate; /* the peer nominates it: applies when our check succeeds */
	bool unreachable;   /* the system refused to send */
	bool wants_permit;  /* relayed, and its server has not been asked for a permission */
	bool nominated;
	/* Set by a success: the valid pair that the check produced (s. 7.2.5.3.2). */
	bool valid;
	struct netaddr mapped;
	uint32_t valid_local_priority;
	uint64_t valid_priority;
	uint64_t valid_since_us;
	uint64_t proof_us;		    /* last authenticated response */
	uint64_t sent_us;		    /* last request or keepalive */
	uint64_t asked_us;		    /* last authentic request of the peer's */
	uint64_t rtt_us;		    /* 0 = not known */
	struct ice_pair_requests *requests; /* NULL: none is under way */
	uint16_t next_triggered;	    /* index, while it is queued and not the last */
	uint8_t renewals; /* how often a check before those two was forgotten, without a success */
};

struct ice_checklist {
	bool controlling;
	struct ice_pair *pairs;
	size_t pair_count, pair_room, max_pairs;
	size_t state_count[ICE_PAIR_FAILED + 1];
	/* The queue of triggered checks. */
	uint16_t triggered_first, triggered_last;
	size_t triggered_count;
	struct ice_remote *remotes;
	size_t remote_count, remote_room; /* at most ICE_MAX_REMOTES */
	/* Where the session's data went before a restart, or NETADDR_NONE. Pairs that lead there
	 * are checked first: what has worked is what will work soonest. Set it before there are
	 * pairs. */
	struct netaddr good;
	size_t permits_wanted;
	uint32_t prflx_count; /* names foundations of peer-reflexive candidates */
};

void ice_checklist_init(struct ice_checklist *l, size_t max_pairs, bool controlling);
/* Gives back the room for pairs, remotes and checks that may come. */
void ice_checklist_rest(struct ice_checklist *l);
void ice_checklist_fini(struct ice_checklist *l);

/* Adds a signalled candidate. One that was known as peer-reflexive takes over the signalled
 * properties, and its pairs stay as they are (RFC 8838 s. 11.4). Of two with one address the higher
 * priority counts. Return: OK with its index; ERR_LIMIT, also without memory. */
MUST_USE enum err ice_checklist_add_remote(struct ice_checklist *l, const struct ice_candidate *c,
					   size_t *ret_index);
/* May one more peer-reflexive candidate be met over @via? When there are too many, one that has
 * failed may be forgotten. */
bool ice_checklist_has_room_for_prflx(struct ice_checklist *l, uint64_t now_us, struct ice_via via);
/* Adds the source of a check as peer-reflexive (s. 7.3.1.3). Return: OK, DROP_LIMIT. */
MUST_USE enum err ice_checklist_add_prflx(struct ice_checklist *l, const struct netaddr *from,
					  uint32_t priority, size_t *ret_index);
/* Return: the candidate with this address (any scope), or NULL. */
struct ice_remote *ice_checklist_find_remote(struct ice_checklist *l, const struct netaddr *addr);

/* Pairs @local with remote @remote_index. An existing pair of the same base keeps the higher
 * priority. @prflx_priority: PRIORITY for checks from this base. Return: the pair's index;
 * ICE_NO_PAIR when they cannot be paired or the list is full of better ones. */
size_t ice_checklist_pair(struct ice_checklist *l, const struct ice_candidate *local,
			  uint32_t prflx_priority, size_t remote_index);
/* Return: the index of the pair, or ICE_NO_PAIR. */
size_t ice_checklist_find(const struct ice_checklist *l, struct ice_via via,
			  const struct netaddr *to);

/* Makes the room for the checks of @p. Return: false without memory. */
bool ice_checklist_make_requests(struct ice_pair *p);
/* A check of @p is under way, or one before it is still answered. */
static inline bool ice_pair_is_checking(const struct ice_pair *p)
{
	return p->requests && stun_transaction_is_active(&p->requests->check.txn);
}
static inline bool ice_pair_has_cancelled(const struct ice_pair *p)
{
	return p->requests && stun_transaction_is_active(&p->requests->cancelled.txn);
}

/* The one place that changes a pair's state. */
void ice_checklist_set_state(struct ice_checklist *l, struct ice_pair *p,
			     enum ice_pair_state state);
/* Initial states (s. 6.1.2.6): of each foundation without a pair that is waiting, or in progress
 * and not yet repeated, the best frozen pair begins to wait; and all good ones do. */
void ice_checklist_thaw(struct ice_checklist *l);
/* After a success (s. 7.2.5.3.3): all frozen pairs of @foundation begin to wait. */
void ice_checklist_thaw_foundation(struct ice_checklist *l, uint64_t foundation);

/* Puts a pair at the end of the queue of triggered checks, once. */
void ice_checklist_trigger(struct ice_checklist *l, size_t index);
/* Return: the first of that queue, taken out; ICE_NO_PAIR when empty. */
size_t ice_checklist_pop_triggered(struct ice_checklist *l);
void ice_checklist_clear_triggered(struct ice_checklist *l);
/* Return: the pair to check next in the ordinary course: a good one that waits, else the best that
 * does, else the best frozen one whose foundation is free; ICE_NO_PAIR when there is none. */
size_t ice_checklist_next(struct ice_checklist *l);
/* True while ice_checklist_next() or a triggered check has something to begin. */
bool ice_checklist_has_next(const struct ice_checklist *l);
/* True while ice_checklist_next() is a good pair. */
bool ice_checklist_has_good_next(const struct ice_checklist *l);
/* Checks that wait or are in progress: N of the RTO rule. */
size_t ice_checklist_pending(const struct ice_checklist *l);

/* True when some pair wants a permission. */
bool ice_checklist_wants_permit(const struct ice_checklist *l);
/* Return: a pair that wants a permission, or ICE_NO_PAIR. It and all that the same permission is
 * good for, as permissions are for addresses without ports (RFC 8656 s. 9), want it no more. */
size_t ice_checklist_pop_permit(struct ice_checklist *l);

/* Recomputes all pair priorities for our role. */
void ice_checklist_set_controlling(struct ice_checklist *l, bool controlling);
/* True when a relay of either end carries what goes over @p. */
bool ice_pair_is_relayed(const struct ice_checklist *l, const struct ice_pair *p);
/* No packets may go over @p any more. */
void ice_checklist_set_invalid(struct ice_pair *p);
/* Marks @p valid: the check's response saw us at @mapped, which is a candidate of @type with
 * @priority. */
void ice_checklist_set_valid(struct ice_checklist *l, struct ice_pair *p, uint64_t now_us,
			     const struct netaddr *mapped, enum ice_candidate_type type,
			     uint32_t priority);
/* Return: the best nominated valid pair, else the best valid one, else ICE_NO_PAIR. */
size_t ice_checklist_best(const struct ice_checklist *l);

#endif
