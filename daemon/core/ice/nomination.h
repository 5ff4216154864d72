/*
 * The nomination policy: which valid pair the controlling end nominates, and when (RFC 8445 s.
 * 8.1.1 leaves this stopping rule to us). A pure function of what the checklist looks like; sending
 * the nomination is the agent's job.
 *
 * The best valid pair is nominated as soon as no better pair can still turn up, that is, when none
 * of higher priority waits or is in progress; or else when it has been valid for a grace time:
 * twice its round trip within 100..500 ms for a direct pair, 2 s for a relayed one, because NAT
 * filters make late direct successes common. After a restart it is 2 s for any pair: the old path
 * is checked first and works at once, while the better one, for which the restart was made, needs
 * an address from its NAT, a message to the peer, and a check of the peer's to open its filter.
 * Patience costs nothing: data flows on the best valid pair meanwhile. But when the pair that
 * carried it was lost, the peer may not know and still send to where nobody is: then the best valid
 * pair is nominated at once.
 */
#ifndef ICETUN_ICE_NOMINATION_H
#define ICETUN_ICE_NOMINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/time.h"

#define ICE_GRACE_MIN_US     (100 * US_PER_MS)
#define ICE_GRACE_MAX_US     (500 * US_PER_MS)
#define ICE_GRACE_RELAY_US   (2 * US_PER_S)
#define ICE_GRACE_RESTART_US (2 * US_PER_S)

/* One pair as the policy sees it. */
struct ice_nominee {
	uint64_t priority; /* of the valid pair if `valid`, else of the pair in the checklist */
	bool valid;
	bool pending;	 /* a check of it may still succeed soon: it waits or is in progress */
	bool relayed;	 /* either end */
	uint64_t rtt_us; /* 0 = not known */
	uint64_t valid_since_us;
};

/* Begin with zeros and these two, offer every pair, then decide. */
struct ice_nomination {
	bool is_restart; /* not the first generation of the session */
	bool has_lost;	 /* the pair that carried the data has gone */
	bool has_best;
	size_t best_index;
	struct ice_nominee best;
	uint64_t best_pending_priority;
};

void ice_nomination_offer(struct ice_nomination *n, size_t index, const struct ice_nominee *p);

/* Return: when to nominate pair *ret_index: a time <= @now_us means now, a later one means to
 * ask again then, DEADLINE_NONE that there is no valid pair. *ret_index is set unless
 * DEADLINE_NONE. */
uint64_t ice_nomination_decide(const struct ice_nomination *n, uint64_t now_us, size_t *ret_index);

#endif
