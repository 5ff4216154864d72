#include "daemon/core/ice/consent.h"

/* 4..6 s: randomised so that the requests of many sessions do not run in step. */
static uint64_t interval_us(const struct random_source *random)
{
	uint64_t spread = ICE_CONSENT_INTERVAL_US / 5;

	return ICE_CONSENT_INTERVAL_US - spread + random_below(random, (uint32_t)(2 * spread + 1));
}

void ice_consent_start(struct ice_consent *c, const struct random_source *random, uint64_t now_us,
		       uint64_t proof_us)
{
	c->active = true;
	c->lapsed = false;
	c->ask_us = now_us;
	if (now_us < proof_us + ICE_CONSENT_INTERVAL_US)
		c->ask_us += interval_us(random);
	c->expires_us = proof_us + ICE_CONSENT_EXPIRY_US;
}

void ice_consent_stop(struct ice_consent *c)
{
	c->active = false;
}

bool ice_consent_on_proof(struct ice_consent *c, uint64_t now_us)
{
	bool had_lapsed = c->lapsed;

	c->lapsed = false;
	if (now_us + ICE_CONSENT_EXPIRY_US > c->expires_us)
		c->expires_us = now_us + ICE_CONSENT_EXPIRY_US;
	return had_lapsed;
}

void ice_consent_set_idle(struct ice_consent *c, uint64_t now_us, bool idle)
{
	if (c->idle == idle)
		return;
	c->idle = idle;
	if (idle)
		return;
	c->lapsed |= now_us >= c->expires_us;
	c->ask_us = now_us;
	if (c->expires_us < now_us + ICE_CONSENT_REGAIN_US)
		c->expires_us = now_us + ICE_CONSENT_REGAIN_US;
}

bool ice_consent_is_fresh(const struct ice_consent *c)
{
	return c->active && !c->lapsed;
}

uint64_t ice_consent_deadline(const struct ice_consent *c)
{
	if (!c->active)
		return DEADLINE_NONE;
	if (c->idle)
		return c->lapsed ? DEADLINE_NONE : c->expires_us;
	return deadline_min(c->ask_us, c->expires_us);
}

enum ice_consent_step ice_consent_on_deadline(struct ice_consent *c,
					      const struct random_source *random, uint64_t now_us)
{
	if (!c->active || now_us < ice_consent_deadline(c))
		return ICE_CONSENT_NOTHING;
	if (c->idle) {
		c->lapsed = true;
		return ICE_CONSENT_LAPSED;
	}
	if (now_us >= ice_consent_deadline(c) + ICE_CONSENT_STALL_US &&
	    c->expires_us < now_us + ICE_CONSENT_INTERVAL_US) {
		c->expires_us = now_us + ICE_CONSENT_INTERVAL_US;
		c->ask_us = now_us;
	}
	if (now_us >= c->expires_us) {
		ice_consent_stop(c);
		return ICE_CONSENT_EXPIRED;
	}
	c->ask_us = now_us + interval_us(random);
	return ICE_CONSENT_ASK;
}
