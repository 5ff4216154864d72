#include "daemon/core/cbor/address.h"

static size_t ip_bytes(uint8_t family)
{
	return family == NETADDR_IP4 ? 4 : family == NETADDR_IP6 ? 16 : 0;
}

void item_rd_ip(struct item_rd *r, uint16_t port, struct netaddr *ret)
{
	size_t len;
	const uint8_t *ip = item_rd_bytes(r, &len);

	*ret = (struct netaddr){.family = NETADDR_NONE};
	if (ip && len == 4)
		*ret = netaddr_from_ip4(ip, port);
	else if (ip && len == 16)
		*ret = netaddr_from_ip6(ip, port);
	if (!ip || netaddr_ip_bytes(ret) != len || len == 0) {
		*ret = (struct netaddr){.family = NETADDR_NONE};
		item_rd_fail(r);
	}
}

void item_rd_prefix(struct item_rd *r, struct netprefix *ret)
{
	struct netaddr a;
	size_t items = item_rd_array(r, 2);
	uint8_t bits;

	item_rd_ip(r, 0, &a);
	bits = (uint8_t)item_rd_uint_max(r, 8 * ip_bytes(a.family));
	*ret = netprefix_of(&a, bits);
	if (items != 2 || memcmp(ret->ip, a.ip, sizeof(a.ip)) != 0)
		item_rd_fail(r);
	if (!item_rd_ok(r))
		*ret = (struct netprefix){.family = NETADDR_NONE};
}

void item_wr_ip(struct wr *w, const struct netaddr *a)
{
	item_wr_bytes(w, a->ip, ip_bytes(a->family));
}

void item_wr_prefix(struct wr *w, const struct netprefix *p)
{
	item_wr_array(w, 2);
	item_wr_bytes(w, p->ip, ip_bytes(p->family));
	item_wr_uint(w, p->length_bits);
}
