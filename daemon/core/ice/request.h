/*
 * Requests that wait for their answer, found by transaction id.
 *
 * A request is embedded in its owner (a pair, a gatherer's slot). It is active exactly as long as
 * it is in the table. Transaction ids are 96 random bits of ours: no stranger can choose where in
 * the table anything goes.
 */
#ifndef ICETUN_ICE_REQUEST_H
#define ICETUN_ICE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"
#include "daemon/core/base/table.h"
#include "daemon/core/stun/transaction.h"

enum ice_request_kind {
	ICE_REQUEST_CHECK,   /* owner: struct ice_generation */
	ICE_REQUEST_CONSENT, /* owner: struct ice_generation */
	ICE_REQUEST_GATHER,  /* owner: struct ice_gather */
};

struct ice_request {
	struct stun_transaction txn;
	struct table_node by_txid;
	void *owner;
	enum ice_request_kind kind;
	uint16_t pair; /* index in the checklist */
	bool nominate; /* carries USE-CANDIDATE */
	/* What the request said, for sending it again and for judging a 487. */
	bool controlling;
	uint64_t tie_breaker;
};

/* Starts @r, which is stopped first if active: a fresh transaction id, times as of @now_us. */
void ice_request_start(struct table *t, struct ice_request *r, const struct random_source *random,
		       uint64_t now_us, uint64_t rto_us, uint8_t rc, uint8_t rm);
/* Ends @r; fine when it is not active. */
void ice_request_stop(struct table *t, struct ice_request *r);
/* Takes over the activity of @from into @to, which must not be active. */
void ice_request_move(struct table *t, struct ice_request *to, struct ice_request *from);
/* Return: the active request with this id, or NULL. */
struct ice_request *ice_request_find(const struct table *t,
				     const uint8_t txid[static STUN_TXID_BYTES]);

#endif
