#include "daemon/core/ice/request.h"

#include <string.h>

static uint64_t hash_of(const uint8_t txid[static STUN_TXID_BYTES])
{
	uint32_t h;

	memcpy(&h, txid, sizeof(h));
	return h;
}

void ice_request_start(struct table *t, struct ice_request *r, const struct random_source *random,
		       uint64_t now_us, uint64_t rto_us, uint8_t rc, uint8_t rm)
{
	uint8_t txid[STUN_TXID_BYTES];

	ice_request_stop(t, r);
	random_bytes(random, txid, sizeof(txid));
	stun_transaction_start(&r->txn, txid, now_us, rto_us, rc, rm);
	table_add(t, hash_of(r->txn.txid), &r->by_txid);
}

void ice_request_stop(struct table *t, struct ice_request *r)
{
	table_remove(t, hash_of(r->txn.txid), &r->by_txid);
	stun_transaction_stop(&r->txn);
}

void ice_request_move(struct table *t, struct ice_request *to, struct ice_request *from)
{
	struct ice_request copy = *from;

	if (!stun_transaction_is_active(&from->txn))
		return;
	ice_request_stop(t, from);
	*to = copy;
	table_add(t, hash_of(to->txn.txid), &to->by_txid);
}

struct ice_request *ice_request_find(const struct table *t,
				     const uint8_t txid[static STUN_TXID_BYTES])
{
	for (struct table_node *n = table_first(t, hash_of(txid)); n; n = n->next) {
		struct ice_request *r = container_of(n, struct ice_request, by_txid);

		if (memcmp(r->txn.txid, txid, STUN_TXID_BYTES) == 0)
			return r;
	}
	return NULL;
}
