/*
 * One ICE session, as the parts of this room see it.
 *
 * An agent holds what survives a restart: the role and the tie-breaker (RFC 8445 s. 9), its state
 * and its place in the engine. A *generation* holds what a restart makes new: credentials of both
 * ends, the checklist, consent, timers. `current` carries the traffic. A restart makes `next`
 * beside it, which does all that `current` does except carry traffic, until the owner switches;
 * then the generation that was current becomes `old` and for a while only answers. Which of them a
 * request is for is in its username: our fragment.
 *
 * Files: agent.c life, state, timers; generation.c credentials and their table; remote.c what the
 * peer tells; restart.c one generation after another; path.c which pair carries the data; standby.c
 * what would carry it next; check.c the side that asks; respond.c the side that answers; event.c
 * what the owner is told; nomination.c, consent.c and upgrade.c are policies that know nothing of
 * the agent.
 */
#ifndef ICETUN_ICE_AGENT_H
#define ICETUN_ICE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/heap.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/table.h"
#include "daemon/core/ice/checklist.h"
#include "daemon/core/ice/consent.h"
#include "daemon/core/ice/description.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/pacer.h"
#include "daemon/core/ice/request.h"
#include "daemon/core/ice/upgrade.h"
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

/* Pairs that stand by, and the checks of a generation that look for them: so many, so far apart;
 * and so many more for each candidate that comes later. */
#define ICE_STANDBY_CHECKS     40
#define ICE_STANDBY_CHECKS_NEW 8
#define ICE_STANDBY_TA_US      (20 * US_PER_MS)
/* When the pacer has enough of them, it is asked again after this time. */
#define ICE_STANDBY_AGAIN_US (500 * US_PER_MS)
/* The peer's check on a pair whose last proof is older than this is answered with one of ours. */
#define ICE_STANDBY_MIRROR_US (10 * US_PER_S)

enum ice_phase {
	/* Ordinary and triggered checks are begun, a pair may be nominated. Leaves to CONCLUDED. */
	ICE_PHASE_CHECKING = 0,
	/* A pair is nominated. For ICE_CONCLUDE_US no check is begun, except for a better
	 * nomination of the peer's, or while the path is suspect; then only those of standby.c,
	 * those that the peer's trigger, and for a new nomination. Leaves to LOST with the path. */
	ICE_PHASE_CONCLUDED,
	/* The nominated pair was lost. Only what the peer's checks or its data trigger is
	 * checked, and pairs that were valid beside it. Leaves to CONCLUDED. */
	ICE_PHASE_LOST,
};

/* A check that came before the remote description. */
struct ice_early {
	struct ice_via via;
	bool use_candidate;
	uint32_t priority;
	struct netaddr from;
	uint64_t remote_ufrag_hash;
};

struct ice_generation {
	struct ice_agent *agent;
	struct table_node by_ufrag;
	uint32_t number;
	char ufrag[ICE_OUR_UFRAG_BYTES + 1];
	char pwd[ICE_OUR_PWD_BYTES + 1];
	bool remote_known;
	bool remote_ended; /* no candidate will follow */
	size_t signalled_count;
	/* "" while not known; both in one block, which is wiped. */
	const char *remote_ufrag, *remote_pwd;
	char *remote_text;
	size_t remote_text_bytes;
	uint64_t ta_us;
	enum ice_phase phase;
	struct ice_checklist list;
	struct ice_early *early; /* ICE_MAX_EARLY while there are any, else NULL */
	size_t early_count;
	size_t path;	   /* the pair in use, or ICE_NO_PAIR */
	size_t nominating; /* the pair whose nomination is under way, or ICE_NO_PAIR */
	bool has_lost;	   /* the pair in use has gone, and none was nominated since */
	bool patience_over;
	uint64_t patience_us;
	uint64_t nominate_us; /* when to ask the policy again */
	uint64_t concluded_us;
	uint32_t lost_count;   /* paths that were lost */
	uint64_t standby_us;   /* not before is the next check for a standby pair begun */
	uint32_t standby_left; /* how many more there may be */
	struct ice_consent consent;
	/* ICE_CONSENT_REQUESTS of them, with the first question; NULL while nothing is asked. */
	struct ice_request *consent_requests;
};

/* A candidate, or the end of candidates, of a generation that we have not heard of otherwise. */
struct ice_early_candidate {
	uint64_t ufrag_hash;
	bool is_end;
	struct ice_candidate candidate;
};

struct ice_agent {
	struct ice_engine *engine;
	void *cookie;
	uint32_t worth;
	bool controlling;
	uint64_t tie_breaker;
	enum ice_agent_state state;
	bool lite_peer;
	bool idle;
	bool had_path; /* at any time */
	bool has_path; /* as the last path event said, or will say */
	struct ice_path path;
	bool has_next_path; /* the same of the next generation */
	struct ice_path next_path;
	struct ice_generation *current;
	struct ice_generation *next; /* of a restart, or NULL */
	struct ice_generation *old;  /* replaced by a restart, until old_until_us; or NULL */
	uint64_t old_until_us;
	uint32_t last_generation;	   /* the newest number */
	struct ice_early_candidate *early; /* ICE_MAX_EARLY_CANDIDATES, or NULL: none */
	size_t early_count;
	struct ice_upgrade upgrade;
	struct heap_node timer;
	struct ice_pace pace;
	uint64_t next_check_us; /* Ta */
	bool state_event, path_event, next_path_event, next_failed_event, upgrade_event;
	uint32_t failed_generation;
	bool dirty; /* in the engine's list of agents with events */
	struct ice_agent *prev_agent, *next_agent;
	struct ice_agent *prev_dirty, *next_dirty;
};

/* generation.c */

/* Makes a generation with fresh credentials and enters it in the engine's table.
 * Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_generation_create(struct ice_generation **ret, struct ice_agent *a,
					uint32_t number);
/* Takes the peer's credentials. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err ice_generation_set_remote(struct ice_generation *g, const char *ufrag,
					    const char *pwd);
/* Consent has lapsed while the session is idle: forgets the questions for it, which nobody has
 * answered till then. */
void ice_generation_rest(struct ice_generation *g);
/* Nothing waits for an answer any more. */
void ice_generation_stop(struct ice_generation *g);
void ice_generation_destroy(struct ice_generation *g);
/* Return: the generation whose username fragment is these @len bytes, or NULL. */
struct ice_generation *ice_generation_find(const struct ice_engine *e, const uint8_t *ufrag,
					   size_t len);

/* agent.c */

/* The generations that check and may have a path. Return: the current one for 0, the next one,
 * which may be NULL, for 1. */
#define ICE_LIVE_GENERATIONS 2
static inline struct ice_generation *ice_agent_live(const struct ice_agent *a, size_t i)
{
	return i == 0 ? a->current : a->next;
}

/* After anything has changed: chooses the path, asks the nomination policy, derives the state and
 * sets the timers. */
void ice_agent_update(struct ice_agent *a, uint64_t now_us);
/* Changes the role and recomputes all pairs. */
void ice_agent_switch_role(struct ice_agent *a, bool controlling);
/* A socket or a relay is new: while checks run it takes part. */
void ice_agent_add_base(struct ice_agent *a, uint64_t now_us, struct ice_via via);
/* It is gone. */
void ice_agent_drop_base(struct ice_agent *a, uint64_t now_us, struct ice_via via);
/* The local candidates have changed in a way that may help a relayed session. */
void ice_agent_on_local_change(struct ice_agent *a, uint64_t now_us);
/* The system refused to send. */
void ice_agent_on_send_error(struct ice_agent *a, uint64_t now_us, struct ice_via via,
			     const struct netaddr *to);
void ice_agent_on_pace(struct ice_agent *a, uint64_t now_us);
void ice_agent_on_deadline(struct ice_agent *a, uint64_t now_us);
/* PRIORITY of checks over @via: that of a peer-reflexive candidate (RFC 8445 s. 7.1.1). */
uint32_t ice_agent_prflx_priority(const struct ice_agent *a, struct ice_via via);

/* remote.c */

/* Pairs the local candidates over @via with what the peer has. */
void ice_remote_pair_base(struct ice_generation *g, struct ice_via via);

/* restart.c */

/* Serves the time limits of the old and the next generation. */
void ice_restart_on_deadline(struct ice_agent *a, uint64_t now_us);
uint64_t ice_restart_deadline(const struct ice_agent *a);

/* path.c */

/* Chooses the path: the nominated valid pair, or the best one before there is any. */
void ice_path_choose(struct ice_generation *g, uint64_t now_us);
/* Asks the nomination policy, and does what it says. */
void ice_path_consider_nomination(struct ice_generation *g, uint64_t now_us);
/* The peer nominates @index, which applies when it is valid. */
void ice_path_on_use_candidate(struct ice_generation *g, size_t index, uint64_t now_us);
/* @index is nominated: by the peer, or our nomination was accepted. */
void ice_path_nominate(struct ice_generation *g, size_t index, uint64_t now_us);
/* Gives up the path: consent ran out or was revoked. */
void ice_path_lose(struct ice_generation *g, uint64_t now_us);
/* Nothing came back on the path for some time. Data may still arrive, from elsewhere: the peer's
 * NAT has been restarted, say. */
bool ice_path_is_suspect(const struct ice_generation *g, uint64_t now_us);
/* Pair @index has answered while the path is suspect: it is the path from now on. */
void ice_path_replace(struct ice_generation *g, size_t index, uint64_t now_us);
/* The peer's end of the path is gone, and it uses pair @index, which is valid, instead. */
void ice_path_follow(struct ice_generation *g, size_t index, uint64_t now_us);
/* Ends all pairs over @via. */
void ice_path_drop_base(struct ice_generation *g, uint64_t now_us, struct ice_via via);
/* The peer is alive though our path is not: tries the last one again. */
void ice_path_revive(struct ice_generation *g);
/* What the path would be over pair @index, which is valid. */
void ice_path_describe_pair(const struct ice_generation *g, size_t index, struct ice_path *ret);
/* Return: false when @g has no path. */
bool ice_path_describe(const struct ice_generation *g, struct ice_path *ret);

/* standby.c */

/* Another candidate, here or there: pairs of it may stand by. */
void ice_standby_on_candidate(struct ice_generation *g);
/* Return: when the next check is to begin, DEADLINE_NONE. */
uint64_t ice_standby_due(const struct ice_generation *g);
/* Return: the pair to check, or ICE_NO_PAIR. */
size_t ice_standby_next(const struct ice_generation *g, uint64_t now_us);
/* What has not answered for ICE_STALE_US does not stand by any more. */
uint64_t ice_standby_deadline(const struct ice_generation *g);
void ice_standby_on_deadline(struct ice_generation *g, uint64_t now_us);
/* A check of that pair has begun. */
void ice_standby_on_begun(struct ice_generation *g, size_t index, uint64_t now_us);
/* Whether a success on pair @index, which is not the path, may make it the path. */
bool ice_standby_may_replace(const struct ice_generation *g, size_t index, uint64_t now_us);

/* event.c */

/* Notes what has changed since the last event, or since the last call. */
void ice_event_note(struct ice_agent *a);
bool ice_agent_has_event(const struct ice_agent *a);
/* Return: false when there is none. */
bool ice_agent_pop_event(struct ice_agent *a, struct ice_event *ret);

/* check.c */

/* Begins the check of a pair; with @nominate it carries USE-CANDIDATE. */
void ice_check_begin(struct ice_generation *g, size_t index, bool nominate, uint64_t now_us);
/* Asks for consent on the path. */
void ice_check_ask_consent(struct ice_generation *g, uint64_t now_us);
/* Consent is asked for by requests that are not sent again, and chance may take all of them: the
 * path gets a check beside them, unless there is one. */
void ice_check_path(struct ice_generation *g);
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
MUST_USE enum err ice_check_on_response(uint64_t now_us, struct ice_request *r, struct ice_via via,
					const struct netaddr *from, const struct stun_message *m);

/* respond.c */

/* A Binding request. Return: OK, or why it was refused. */
MUST_USE enum err ice_respond(struct ice_engine *e, uint64_t now_us, struct ice_via via,
			      const struct netaddr *from, const struct stun_message *m);
/* Treats the remembered early checks as if they came now. */
void ice_respond_to_early(struct ice_generation *g, uint64_t now_us);

#endif
