#include "daemon/core/cert/cert.h"

#include "daemon/core/base/cursor.h"
#include "daemon/core/cbor/address.h"
#include "daemon/core/cert/claims.h"

/* A certificate is a plain CWT: there is no external data. */
#define CONTEXT ""

static bool is_prefix(const struct netprefix *p)
{
	struct netaddr a = {.family = p->family};
	struct netprefix canonical;

	memcpy(a.ip, p->ip, sizeof(a.ip));
	canonical = netprefix_of(&a, p->length_bits);
	return netaddr_ip_bytes(&a) > 0 && netprefix_equal(&canonical, p);
}

static bool are_prefixes(const struct netprefix *p, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_prefix(&p[i]))
			return false;
	}
	return true;
}

static bool contain(const struct netprefix *p, size_t count, const struct netaddr *a)
{
	for (size_t i = 0; i < count; i++) {
		if (netprefix_contains(&p[i], a))
			return true;
	}
	return false;
}

static bool are_groups(const struct cert *c)
{
	for (size_t i = 0; i < c->group_count; i++) {
		if (strnlen(c->groups[i], CERT_GROUP_BYTES) == CERT_GROUP_BYTES ||
		    !identifier_is_valid(c->groups[i]))
			return false;
	}
	return true;
}

/* The rules that signing and reading share. */
static bool is_consistent(const struct cert *c)
{
	if (!identifier_is_valid(c->name) || c->address_count == 0 || c->network_count == 0 ||
	    c->address_count > CERT_MAX_ADDRESSES || c->network_count > CERT_MAX_NETWORKS ||
	    c->route_count > CERT_MAX_ROUTES || c->group_count > CERT_MAX_GROUPS)
		return false;
	if (!are_prefixes(c->networks, c->network_count) ||
	    !are_prefixes(c->routes, c->route_count) || !are_groups(c))
		return false;
	for (size_t i = 0; i < c->address_count; i++) {
		const struct netaddr *a = &c->addresses[i];

		if (a->port || a->scope_id || !contain(c->networks, c->network_count, a))
			return false;
	}
	return c->issued_s >= 0 && c->not_before_s >= 0 && c->not_before_s < c->not_after_s;
}

static void write_prefixes(struct wr *w, enum claim claim, const struct netprefix *p, size_t count)
{
	item_wr_int(w, claim);
	item_wr_array(w, count);
	for (size_t i = 0; i < count; i++)
		item_wr_prefix(w, &p[i]);
}

static void write_serial(struct wr *w, uint64_t serial)
{
	uint8_t bytes[8];
	struct wr b = wr_init(bytes, sizeof(bytes));

	wr_u64be(&b, serial);
	item_wr_bytes(w, bytes, sizeof(bytes));
}

/* Everything behind the issuer, in the order of the labels' encodings. */
static void write_claims(struct wr *w, const struct cert *c)
{
	item_wr_int(w, CLAIM_SUBJECT);
	item_wr_text(w, c->name);
	claims_write_time(w, CLAIM_EXPIRATION, c->not_after_s);
	claims_write_time(w, CLAIM_NOT_BEFORE, c->not_before_s);
	claims_write_time(w, CLAIM_ISSUED_AT, c->issued_s);
	item_wr_int(w, CLAIM_ID);
	write_serial(w, c->serial);
	item_wr_int(w, CLAIM_NOISE_KEY);
	item_wr_bytes(w, c->noise_public, sizeof(c->noise_public));
	item_wr_int(w, CLAIM_CURVE_KEY);
	item_wr_bytes(w, c->curve_public, sizeof(c->curve_public));
	item_wr_int(w, CLAIM_ADDRESSES);
	item_wr_array(w, c->address_count);
	for (size_t i = 0; i < c->address_count; i++)
		item_wr_ip(w, &c->addresses[i]);
	write_prefixes(w, CLAIM_NETWORKS, c->networks, c->network_count);
	if (c->route_count)
		write_prefixes(w, CLAIM_ROUTES, c->routes, c->route_count);
	if (c->group_count) {
		item_wr_int(w, CLAIM_GROUPS);
		item_wr_array(w, c->group_count);
		for (size_t i = 0; i < c->group_count; i++)
			item_wr_text(w, c->groups[i]);
	}
}

enum err cert_sign(const struct cert *c, const uint8_t authority_secret[static SIGN_SECRET_BYTES],
		   uint8_t *out, size_t cap, size_t *ret_len)
{
	uint8_t buf[CERT_MAX_BYTES - CLAIMS_OVERHEAD_BYTES];
	struct wr w = wr_init(buf, sizeof(buf));
	enum err err;

	if (!is_consistent(c))
		return ERR_INVALID;
	item_wr_map(&w, 10u + (c->route_count > 0) + (c->group_count > 0));
	err = claims_write_issuer(&w, authority_secret);
	if (err != OK)
		return err;
	write_claims(&w, c);
	return claims_sign(&w, CONTEXT, authority_secret, out, cap, ret_len);
}

static uint64_t read_serial(struct item_rd *r)
{
	uint8_t bytes[8] = {0};
	struct rd b = rd_init(bytes, sizeof(bytes));

	item_rd_bytes_exact(r, bytes, sizeof(bytes));
	return rd_u64be(&b);
}

static size_t read_prefixes(struct item_rd *r, struct netprefix *ret, size_t max)
{
	size_t count = item_rd_array(r, max);

	for (size_t i = 0; i < count; i++)
		item_rd_prefix(r, &ret[i]);
	return count;
}

static int64_t read_time(struct item_rd *r)
{
	return (int64_t)item_rd_uint_max(r, INT64_MAX);
}

/* Reads the value of one claim. Return: which of the required ones it was, as a bit. */
static unsigned read_claim(struct item_rd *r, int64_t claim, struct cert *ret)
{
	switch (claim) {
	case CLAIM_ISSUER:
		claims_read_issuer(r, ret->network_id);
		return 1u << 0;
	case CLAIM_SUBJECT:
		item_rd_text_copy(r, ret->name, sizeof(ret->name), 1);
		return 1u << 1;
	case CLAIM_EXPIRATION:
		ret->not_after_s = read_time(r);
		return 1u << 2;
	case CLAIM_NOT_BEFORE:
		ret->not_before_s = read_time(r);
		return 1u << 3;
	case CLAIM_ISSUED_AT:
		ret->issued_s = read_time(r);
		return 1u << 4;
	case CLAIM_ID:
		ret->serial = read_serial(r);
		return 1u << 5;
	case CLAIM_NOISE_KEY:
		item_rd_bytes_exact(r, ret->noise_public, sizeof(ret->noise_public));
		return 1u << 6;
	case CLAIM_CURVE_KEY:
		item_rd_bytes_exact(r, ret->curve_public, sizeof(ret->curve_public));
		return 1u << 7;
	case CLAIM_ADDRESSES:
		ret->address_count = item_rd_array(r, CERT_MAX_ADDRESSES);
		for (size_t i = 0; i < ret->address_count; i++)
			item_rd_ip(r, 0, &ret->addresses[i]);
		return 1u << 8;
	case CLAIM_NETWORKS:
		ret->network_count = read_prefixes(r, ret->networks, CERT_MAX_NETWORKS);
		return 1u << 9;
	case CLAIM_ROUTES:
		ret->route_count = read_prefixes(r, ret->routes, CERT_MAX_ROUTES);
		return 0;
	case CLAIM_GROUPS:
		ret->group_count = item_rd_array(r, CERT_MAX_GROUPS);
		for (size_t i = 0; i < ret->group_count; i++)
			item_rd_text_copy(r, ret->groups[i], CERT_GROUP_BYTES, 1);
		return 0;
	default:
		item_rd_skip(r);
		return 0;
	}
}

#define ALL_REQUIRED ((1u << 10) - 1)

enum err cert_open(const uint8_t *buf, size_t len,
		   const uint8_t authority_public[static SIGN_PUBLIC_BYTES], struct cert *ret)
{
	struct cert c = {.serial = 0};
	unsigned seen = 0;
	struct item_rd r;
	struct item_map map;
	int64_t claim;
	enum err err = claims_open(buf, len, CERT_MAX_BYTES, CONTEXT, authority_public, &r);

	if (err != OK)
		return err;
	item_rd_map(&r, &map);
	while (item_map_next_int(&r, &map, &claim))
		seen |= read_claim(&r, claim, &c);
	if (!item_rd_at_end(&r) || seen != ALL_REQUIRED || !is_consistent(&c))
		return DROP_MALFORMED;
	*ret = c;
	return OK;
}

enum err cert_verify(const uint8_t *buf, size_t len,
		     const uint8_t authority_public[static SIGN_PUBLIC_BYTES], int64_t unix_s,
		     struct cert *ret)
{
	struct cert c;
	enum err err = cert_open(buf, len, authority_public, &c);

	if (err != OK)
		return err;
	if (!cert_is_current(&c, unix_s))
		return DROP_EXPIRED;
	*ret = c;
	return OK;
}

bool cert_is_current(const struct cert *c, int64_t unix_s)
{
	return c->not_before_s <= unix_s && unix_s < c->not_after_s;
}

bool cert_allows_source(const struct cert *c, const struct netaddr *a)
{
	for (size_t i = 0; i < c->address_count; i++) {
		if (netaddr_ip_equal(&c->addresses[i], a))
			return true;
	}
	return contain(c->routes, c->route_count, a);
}
