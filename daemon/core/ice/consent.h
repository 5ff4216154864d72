/*
 * When to ask for consent on the path, and when it has run out (RFC 7675 s. 5.1).
 *
 * One request every 5 s +-20 %, each a new transaction that is not sent again. 30 s after the last
 * proof that the peer wants our packets, consent expires. A proof is an authenticated response and,
 * in this protocol, also authenticated data of the session: a lost check never ends a tunnel that
 * works.
 *
 * Who sends no data needs no consent (s. 5.1): an idle one is not asked for and runs out in silence
 * (it *lapses*). When data is to be sent again, it is asked for at once; until there is an answer
 * no data may be sent, and if none comes within ICE_CONSENT_REGAIN_US it has expired.
 *
 * If the process did not run for a while (a deadline is served ICE_CONSENT_STALL_US late), answers
 * may still wait in a socket: expiry is then put off until one more request could be answered.
 */
#ifndef ICETUN_ICE_CONSENT_H
#define ICETUN_ICE_CONSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"

#define ICE_CONSENT_INTERVAL_US (5 * US_PER_S)
#define ICE_CONSENT_EXPIRY_US	(30 * US_PER_S)
#define ICE_CONSENT_STALL_US	(1 * US_PER_S)
#define ICE_CONSENT_REGAIN_US	(10 * US_PER_S)
/* As many requests as can be waited for within the expiry time. */
#define ICE_CONSENT_REQUESTS 8

struct ice_consent {
	bool active;
	bool idle;
	bool lapsed;
	uint64_t ask_us;
	uint64_t expires_us;
};

enum ice_consent_step {
	ICE_CONSENT_NOTHING,
	ICE_CONSENT_ASK,
	ICE_CONSENT_LAPSED,
	ICE_CONSENT_EXPIRED, /* it has been stopped */
};

/* Starts for a pair whose last proof was at @proof_us; asks at once if that is long ago. */
void ice_consent_start(struct ice_consent *c, const struct random_source *random, uint64_t now_us,
		       uint64_t proof_us);
void ice_consent_stop(struct ice_consent *c);
/* Return: true when it had lapsed and is there again. */
bool ice_consent_on_proof(struct ice_consent *c, uint64_t now_us);
/* There is no data to be sent for the time being, or there is again. */
void ice_consent_set_idle(struct ice_consent *c, uint64_t now_us, bool idle);
/* May data be sent? */
bool ice_consent_is_fresh(const struct ice_consent *c);
uint64_t ice_consent_deadline(const struct ice_consent *c);
enum ice_consent_step ice_consent_on_deadline(struct ice_consent *c,
					      const struct random_source *random, uint64_t now_us);

#endif
