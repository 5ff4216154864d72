#include "daemon/core/cert/revocation.h"

#include "daemon/core/cert/claims.h"

#define CONTEXT "icetun revocation list"

static bool is_consistent(const struct revocation_list *l)
{
	if (l->serial_count > REVOCATION_MAX_SERIALS || l->issued_s < 0)
		return false;
	for (size_t i = 1; i < l->serial_count; i++) {
		if (l->serials[i - 1] >= l->serials[i])
			return false;
	}
	return true;
}

enum err revocation_list_sign(const struct revocation_list *l,
			      const uint8_t authority_secret[static SIGN_SECRET_BYTES],
			      uint8_t *out, size_t cap, size_t *ret_len)
{
	uint8_t buf[CLAIMS_MAX_BYTES];
	struct wr w = wr_init(buf, sizeof(buf));
	enum err err;

	if (!is_consistent(l))
		return ERR_INVALID;
	item_wr_map(&w, 4);
	err = claims_write_issuer(&w, authority_secret);
	if (err != OK)
		return err;
	claims_write_time(&w, CLAIM_ISSUED_AT, l->issued_s);
	item_wr_int(&w, CLAIM_LIST_NUMBER);
	item_wr_uint(&w, l->number);
	item_wr_int(&w, CLAIM_LIST_SERIALS);
	item_wr_array(&w, l->serial_count);
	for (size_t i = 0; i < l->serial_count; i++)
		item_wr_uint(&w, l->serials[i]);
	return claims_sign(&w, CONTEXT, authority_secret, out, cap, ret_len);
}

static unsigned read_claim(struct item_rd *r, int64_t claim, struct revocation_list *ret)
{
	uint8_t issuer[CERT_NETWORK_BYTES];

	switch (claim) {
	case CLAIM_ISSUER:
		claims_read_issuer(r, issuer);
		return 1u << 0;
	case CLAIM_ISSUED_AT:
		ret->issued_s = (int64_t)item_rd_uint_max(r, INT64_MAX);
		return 1u << 1;
	case CLAIM_LIST_NUMBER:
		ret->number = item_rd_uint(r);
		return 1u << 2;
	case CLAIM_LIST_SERIALS:
		ret->serial_count = item_rd_array(r, REVOCATION_MAX_SERIALS);
		for (size_t i = 0; i < ret->serial_count; i++)
			ret->serials[i] = item_rd_uint(r);
		return 1u << 3;
	default:
		item_rd_skip(r);
		return 0;
	}
}

#define ALL_REQUIRED ((1u << 4) - 1)

enum err revocation_list_verify(const uint8_t *buf, size_t len,
				const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
				struct revocation_list *ret)
{
	struct revocation_list l = {.number = 0};
	unsigned seen = 0;
	struct item_rd r;
	struct item_map map;
	int64_t claim;
	enum err err = claims_open(buf, len, REVOCATION_MAX_BYTES, CONTEXT, authority_public, &r);

	if (err != OK)
		return err;
	item_rd_map(&r, &map);
	while (item_map_next_int(&r, &map, &claim))
		seen |= read_claim(&r, claim, &l);
	if (!item_rd_at_end(&r) || seen != ALL_REQUIRED || !is_consistent(&l))
		return DROP_MALFORMED;
	*ret = l;
	return OK;
}

bool revocation_list_contains(const struct revocation_list *l, uint64_t serial)
{
	size_t low = 0, high = l->serial_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->serials[middle] == serial)
			return true;
		if (l->serials[middle] < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
