/*
 * What must hold for every datagram that leaves an ICE engine; ice_world.h lists the rules.
 */
#ifndef ICETUN_SIM_ICE_RULES_H
#define ICETUN_SIM_ICE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/ice/engine.h"
#include "daemon/core/stun/message.h"

#define ICE_RULES_MAX_ALLOWED	   256
#define ICE_RULES_MAX_TRANSACTIONS 8192

/* The memory of one engine; zeroed at the start. */
struct ice_rules {
	struct netaddr allowed[ICE_RULES_MAX_ALLOWED];
	size_t allowed_count;
	struct ice_rules_transaction {
		uint8_t txid[STUN_TXID_BYTES];
		uint64_t last_us;
	} transactions[ICE_RULES_MAX_TRANSACTIONS];
	size_t transaction_count;
	uint64_t last_new_us;
	struct netaddr nominated;
	size_t nominations; /* pairs that got USE-CANDIDATE */
};

/* The engine may send to @a from now on. */
void ice_rules_allow(struct ice_rules *r, const struct netaddr *a);
bool ice_rules_is_allowed(const struct ice_rules *r, const struct netaddr *a);
/* Checks one datagram that the engine gave out. @path: the path of its agent, or NULL.
 * Return: NULL, or the rule that was broken. */
const char *ice_rules_check(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
			    const uint8_t *buf, const struct ice_path *path);

#endif
