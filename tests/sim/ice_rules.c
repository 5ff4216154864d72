#include "tests/sim/ice_rules.h"

#include <string.h>

#include "daemon/core/stun/writer.h"

#define RTO_MIN_US (500 * US_PER_MS)

void ice_rules_allow(struct ice_rules *r, const struct netaddr *a)
{
	if (!ice_rules_is_allowed(r, a) && r->allowed_count < ICE_RULES_MAX_ALLOWED)
		r->allowed[r->allowed_count++] = *a;
}

bool ice_rules_is_allowed(const struct ice_rules *r, const struct netaddr *a)
{
	for (size_t i = 0; i < r->allowed_count; i++)
		if (netaddr_equal(&r->allowed[i], a))
			return true;
	return false;
}

/* RFC 7675: a request on the path of an end that is connected already. */
static bool is_consent(const struct ice_transmit *t, const struct stun_message *m,
		       const struct ice_path *path)
{
	return path && path->socket == t->socket && netaddr_equal(&path->remote, &t->to) &&
	       !stun_has(m, STUN_USE_CANDIDATE);
}

static const char *check_nomination(struct ice_rules *r, const struct netaddr *to)
{
	if (r->nominations > 0 && netaddr_equal(&r->nominated, to))
		return NULL;
	r->nominated = *to;
	return ++r->nominations > 1 ? "a second pair is nominated" : NULL;
}

static const char *check_transaction(struct ice_rules *r, uint64_t now_us,
				     const struct ice_transmit *t, const struct stun_message *m,
				     const struct ice_path *path)
{
	struct ice_rules_transaction *tx = r->transactions;
	uint64_t last_new_us = r->last_new_us;

	for (size_t i = 0; i < r->transaction_count; i++, tx++) {
		uint64_t last_us = tx->last_us;

		if (memcmp(tx->txid, m->txid, sizeof(tx->txid)) != 0)
			continue;
		tx->last_us = now_us;
		return now_us - last_us < RTO_MIN_US ? "a request is repeated within 500 ms" : NULL;
	}
	if (r->transaction_count == ICE_RULES_MAX_TRANSACTIONS)
		return "there are too many transactions";
	memcpy(tx->txid, m->txid, sizeof(tx->txid));
	tx->last_us = now_us;
	r->transaction_count++;
	if (is_consent(t, m, path))
		return NULL;
	r->last_new_us = now_us;
	return last_new_us && now_us - last_new_us < ICE_PACER_FLOOR_US
		       ? "two transactions begin within 5 ms"
		       : NULL;
}

const char *ice_rules_check(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
			    const uint8_t *buf, const struct ice_path *path)
{
	const char *broken = NULL;
	struct stun_message m;

	if (t->len > STUN_SAFE_BYTES || stun_decode(&m, buf, t->len) != OK ||
	    !stun_has(&m, STUN_FINGERPRINT))
		return "a datagram is no STUN of ours";
	if (!ice_rules_is_allowed(r, &t->to))
		return "a datagram goes where nobody asked for it";
	if (m.class != STUN_CLASS_REQUEST)
		return NULL;
	if (stun_has(&m, STUN_USE_CANDIDATE))
		broken = check_nomination(r, &t->to);
	return broken ? broken : check_transaction(r, now_us, t, &m, path);
}
