#include "daemon/core/ice/request.h"

#include <stdlib.h>
#include <string.h>

enum err ice_request_table_init(struct ice_request_table *t, size_t expected)
{
	size_t buckets = 64;

	while (buckets < 2 * expected)
		buckets *= 2;
	t->buckets = calloc(buckets, sizeof(struct ice_request *));
	t->mask = buckets - 1;
	return t->buckets ? OK : ERR_NO_MEMORY;
}

void ice_request_table_fini(struct ice_request_table *t)
{
	free(t->buckets);
	t->buckets = NULL;
}

static struct ice_request **bucket_of(const struct ice_request_table *t, const uint8_t *txid)
{
	uint32_t h;

	memcpy(&h, txid, sizeof(h));
	return &t->buckets[h & t->mask];
}

static void link_in(struct ice_request_table *t, struct ice_request *r)
{
	struct ice_request **bucket = bucket_of(t, r->txn.txid);

	r->next = *bucket;
	*bucket = r;
}

void ice_request_start(struct ice_request_table *t, struct ice_request *r,
		       const struct random_source *random, uint64_t now_us, uint64_t rto_us,
		       uint8_t rc, uint8_t rm)
{
	uint8_t txid[STUN_TXID_BYTES];

	ice_request_stop(t, r);
	random_bytes(random, txid, sizeof(txid));
	stun_transaction_start(&r->txn, txid, now_us, rto_us, rc, rm);
	link_in(t, r);
}

void ice_request_stop(struct ice_request_table *t, struct ice_request *r)
{
	for (struct ice_request **p = bucket_of(t, r->txn.txid); *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	r->next = NULL;
	stun_transaction_stop(&r->txn);
}

void ice_request_move(struct ice_request_table *t, struct ice_request *to, struct ice_request *from)
{
	struct ice_request copy = *from;

	if (!stun_transaction_is_active(&from->txn))
		return;
	ice_request_stop(t, from);
	*to = copy;
	link_in(t, to);
}

void ice_request_relocate(struct ice_request_table *t, struct ice_request *to,
			  const struct ice_request *from)
{
	for (struct ice_request **p = bucket_of(t, from->txn.txid); *p; p = &(*p)->next) {
		if (*p != from)
			continue;
		*p = to;
		return;
	}
}

struct ice_request *ice_request_find(const struct ice_request_table *t,
				     const uint8_t txid[static STUN_TXID_BYTES])
{
	for (struct ice_request *r = *bucket_of(t, txid); r; r = r->next) {
		if (memcmp(r->txn.txid, txid, STUN_TXID_BYTES) == 0)
			return r;
	}
	return NULL;
}
