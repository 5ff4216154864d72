#include "daemon/core/tunnel/coalesce.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/tunnel/checksum.h"

#define NONE	    UINT16_MAX
#define SETS	    64 /* of open groups, found by hash */
#define WAYS	    4
#define MAX_PACKETS 4096
#define TCP_JOINS   (L4_TCP_ACK | L4_TCP_ECE | L4_TCP_PSH)

/* One packet of the batch. */
struct item {
	uint8_t *packet;
	uint16_t len;
	uint16_t next; /* of its group, or NONE */
};

struct group {
	const void *owner;
	struct l4 l4;	  /* protocol 0: not TCP or UDP */
	bool is_partial;  /* the packets' checksums */
	bool is_verified; /* the first one's, when not partial */
	bool has_push;
	uint16_t first, last; /* items */
	uint16_t count;
	uint16_t segment_bytes;
	uint16_t next_id;
	uint32_t next_sequence;
	uint32_t bytes;
	uint32_t hash;
};

/* What a packet looks like to those who join. */
struct look {
	struct l4 l4;
	uint32_t hash;
	uint16_t payload;
	bool joins; /* of a kind that can be joined at all */
};

struct coalescer {
	bool tcp, udp;
	uint16_t max_packets, item_count, group_count, given;
	struct item *items;
	struct group *groups;
	struct coalesce_part *parts;
	uint16_t open[SETS][WAYS]; /* groups that may grow, one of a flow; or NONE */
	uint8_t undo[L4_HEADERS_MAX_BYTES];
};

enum err coalesce_create(struct coalescer **ret, const struct coalesce_params *params)
{
	size_t n = params->max_packets;
	struct coalescer *c;

	if (n == 0 || n > MAX_PACKETS)
		return ERR_INVALID;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ERR_NO_MEMORY;
	c->items = calloc(n, sizeof(*c->items));
	c->groups = calloc(n, sizeof(*c->groups));
	c->parts = calloc(n, sizeof(*c->parts));
	if (!c->items || !c->groups || !c->parts) {
		coalesce_destroy(c);
		return ERR_NO_MEMORY;
	}
	c->max_packets = (uint16_t)n;
	coalesce_set(c, params->tcp, params->udp);
	coalesce_reset(c);
	*ret = c;
	return OK;
}

void coalesce_destroy(struct coalescer *c)
{
	if (!c)
		return;
	free(c->items);
	free(c->groups);
	free(c->parts);
	free(c);
}

void coalesce_set(struct coalescer *c, bool tcp, bool udp)
{
	c->tcp = tcp;
	c->udp = udp;
}

void coalesce_reset(struct coalescer *c)
{
	c->item_count = 0;
	c->group_count = 0;
	c->given = 0;
	memset(c->open, 0xff, sizeof(c->open));
}

size_t coalesce_count(const struct coalescer *c)
{
	return c->item_count;
}

/* --- looking at packets ---------------------------------------------------------------------- */

static bool is_ip4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

static uint32_t flow_hash(const uint8_t *packet, const struct l4 *l4)
{
	size_t at = is_ip4(packet) ? 12 : 8;
	uint64_t h = l4->protocol;

	/* Addresses and ports, four bytes at a time; they follow each other in IPv6, and in IPv4
	 * without options. */
	for (; at < l4->offset + 4u; at += 4) {
		uint32_t word;

		memcpy(&word, packet + at, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
	}
	return (uint32_t)(h >> 32);
}

/* Return: whether it is TCP or UDP, without options of IP. */
static bool look_at(const uint8_t *packet, size_t len, bool is_partial, struct look *ret)
{
	const uint8_t *l4;

	if (!l4_read(packet, len, &ret->l4) || (is_ip4(packet) && ret->l4.offset != 20))
		return false;
	l4 = packet + ret->l4.offset;
	ret->hash = flow_hash(packet, &ret->l4);
	ret->payload = (uint16_t)(len - ret->l4.header_bytes);
	/* A header whose checksum is wrong must not get a right one. */
	ret->joins = ret->payload > 0 &&
		     (!is_ip4(packet) || checksum_fold(checksum_sum(packet, 20)) == 0xffff);
	if (ret->l4.protocol == L4_TCP)
		ret->joins &= !(l4[13] & ~TCP_JOINS) && (l4[13] & L4_TCP_ACK);
	else
		ret->joins &= is_partial || l4_get16(l4 + L4_UDP_CHECKSUM) != 0;
	return true;
}

static bool protocol_is_joined(const struct coalescer *c, uint8_t protocol)
{
	return protocol == L4_TCP ? c->tcp : c->udp;
}

/* --- joining --------------------------------------------------------------------------------- */

/* Addresses, protocol and ports. */
static bool is_same_flow(const uint8_t *a, const uint8_t *b, const struct l4 *l4)
{
	size_t addresses = is_ip4(a) ? 12 : 8;

	return a[0] >> 4 == b[0] >> 4 &&
	       memcmp(a + addresses, b + addresses, l4->offset + 4u - addresses) == 0;
}

/* All else of the IP header that has to be the same; a group has no others. */
static bool is_same_ip(const uint8_t *a, const uint8_t *b)
{
	if (is_ip4(a))
		return a[1] == b[1] && memcmp(a + 6, b + 6, 4) == 0;
	return memcmp(a, b, 4) == 0 && a[7] == b[7];
}

static bool ids_are_in_order(const struct group *g, const uint8_t *packet)
{
	return !is_ip4(packet) || l4_get16(packet + 6) & L4_IP4_DONT_FRAGMENT ||
	       l4_get16(packet + 4) == g->next_id;
}

static bool tcp_joins(const struct group *g, const uint8_t *first, const uint8_t *packet)
{
	const uint8_t *a = first + g->l4.offset, *b = packet + g->l4.offset;

	return l4_get32(b + 4) == g->next_sequence && memcmp(a + 8, b + 8, 5) == 0 &&
	       ((a[13] ^ b[13]) & ~L4_TCP_PSH) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
	       memcmp(a + 18, b + 18, g->l4.header_bytes - g->l4.offset - 18u) == 0;
}

static bool checksum_is_right(const uint8_t *packet, size_t len, const struct l4 *l4)
{
	size_t l4_len = len - l4->offset;

	return checksum_fold(checksum_pseudo(packet, l4->protocol, l4_len) +
			     checksum_sum(packet + l4->offset, l4_len)) == 0xffff;
}

static bool checksums_allow(const struct coalescer *c, struct group *g, const uint8_t *packet,
			    size_t len, bool is_partial)
{
	const struct item *first = &c->items[g->first];

	if (is_partial != g->is_partial)
		return false;
	if (is_partial)
		return true;
	if (!g->is_verified && !checksum_is_right(first->packet, first->len, &g->l4))
		return false;
	g->is_verified = true;
	return checksum_is_right(packet, len, &g->l4);
}

static bool can_join(const struct coalescer *c, struct group *g, const struct look *l,
		     const uint8_t *packet, size_t len, bool is_partial)
{
	const uint8_t *first = c->items[g->first].packet;
	size_t limit = l->l4.protocol == L4_TCP ? COALESCE_MAX_TCP : COALESCE_MAX_UDP;

	return l->joins && g->count < limit && l->payload <= g->segment_bytes &&
	       g->bytes + l->payload <= COALESCE_MAX_BYTES &&
	       l->l4.header_bytes == g->l4.header_bytes && is_same_ip(first, packet) &&
	       ids_are_in_order(g, packet) &&
	       (l->l4.protocol == L4_UDP || tcp_joins(g, first, packet)) &&
	       checksums_allow(c, g, packet, len, is_partial);
}

static uint16_t item_add(struct coalescer *c, uint8_t *packet, size_t len)
{
	c->items[c->item_count] =
		(struct item){.packet = packet, .len = (uint16_t)len, .next = NONE};
	return c->item_count++;
}

/* What the next packet of the flow is measured by. Return: whether one may follow. */
static bool advance(struct group *g, const struct look *l, const uint8_t *packet)
{
	const uint8_t *l4 = packet + l->l4.offset;

	g->bytes += l->payload;
	g->next_id = (uint16_t)(l4_get16(packet + 4) + 1);
	if (l->l4.protocol == L4_TCP) {
		g->next_sequence = l4_get32(l4 + 4) + l->payload;
		g->has_push = l4[13] & L4_TCP_PSH;
	}
	return l->payload == g->segment_bytes && !g->has_push;
}

/* Where the flow's open group is, or NULL. */
static uint16_t *find_open(struct coalescer *c, const void *owner, const uint8_t *packet,
			   const struct look *l)
{
	uint16_t *set = c->open[l->hash % SETS];

	for (size_t i = 0; i < WAYS; i++) {
		const struct group *g = &c->groups[set[i] == NONE ? 0 : set[i]];

		if (set[i] != NONE && g->hash == l->hash && g->owner == owner &&
		    g->l4.protocol == l->l4.protocol &&
		    is_same_flow(c->items[g->first].packet, packet, &g->l4))
			return &set[i];
	}
	return NULL;
}

/* In a set that is full, the oldest is not found any more. */
static void add_open(struct coalescer *c, uint32_t hash, uint16_t group)
{
	uint16_t *set = c->open[hash % SETS];
	size_t at = 0;

	while (at < WAYS && set[at] != NONE)
		at++;
	if (at == WAYS) {
		memmove(set, set + 1, (WAYS - 1) * sizeof(*set));
		at = WAYS - 1;
	}
	set[at] = group;
}

bool coalesce_join(struct coalescer *c, const void *owner, uint8_t *packet, size_t len,
		   bool is_partial)
{
	uint16_t *open;
	struct group *g;
	struct look l;

	if (len > COALESCE_MAX_BYTES || c->item_count == c->max_packets ||
	    !look_at(packet, len, is_partial, &l))
		return false;
	open = find_open(c, owner, packet, &l);
	if (!open)
		return false;
	g = &c->groups[*open];
	if (!can_join(c, g, &l, packet, len, is_partial)) {
		/* A bare ACK says nothing about what follows. */
		if (l.payload > 0 || l.l4.protocol == L4_UDP || !l4_is_bare_ack(packet, &l.l4))
			*open = NONE;
		return false;
	}
	c->items[g->last].next = item_add(c, packet, len);
	g->last = c->items[g->last].next;
	g->count++;
	if (!advance(g, &l, packet))
		*open = NONE;
	return true;
}

enum err coalesce_start(struct coalescer *c, const void *owner, uint8_t *packet, size_t len,
			bool is_partial)
{
	struct group *g = &c->groups[c->group_count];
	struct look l;
	bool has_look;

	if (c->item_count == c->max_packets || len > COALESCE_MAX_BYTES)
		return DROP_LIMIT;
	has_look = look_at(packet, len, is_partial, &l);
	*g = (struct group){.owner = owner, .is_partial = is_partial, .count = 1};
	/* With options of IP it can be partial all the same. */
	if (has_look)
		g->l4 = l.l4;
	else if (is_partial && !l4_read(packet, len, &g->l4))
		return DROP_MALFORMED;
	g->first = g->last = item_add(c, packet, len);
	if (has_look && l.joins && protocol_is_joined(c, l.l4.protocol)) {
		g->segment_bytes = l.payload;
		g->bytes = l.l4.header_bytes;
		g->hash = l.hash;
		if (advance(g, &l, packet))
			add_open(c, l.hash, c->group_count);
	}
	c->group_count++;
	return OK;
}

/* --- giving back ----------------------------------------------------------------------------- */

/* The header of the whole, over that of the first. */
static void patch_header(struct coalescer *c, const struct group *g, uint8_t *h, size_t bytes)
{
	uint8_t *l4 = h + g->l4.offset;
	size_t l4_len = bytes - g->l4.offset;

	memcpy(c->undo, h, g->l4.header_bytes);
	if (is_ip4(h)) {
		l4_put16(h + 2, (uint16_t)bytes);
		l4_put16(h + 10, 0);
		l4_put16(h + 10, (uint16_t)~checksum_fold(checksum_sum(h, g->l4.offset)));
	} else {
		l4_put16(h + 4, (uint16_t)(bytes - g->l4.offset));
	}
	if (g->l4.protocol == L4_UDP)
		l4_put16(l4 + 4, (uint16_t)l4_len);
	else if (g->has_push)
		l4[13] |= L4_TCP_PSH;
	l4_put16(l4 + l4_checksum_offset(g->l4.protocol),
		 checksum_fold(checksum_pseudo(h, g->l4.protocol, l4_len)));
}

bool coalesce_next(struct coalescer *c, struct coalesced *ret)
{
	const struct group *g;
	size_t count = 0;

	if (c->given == c->group_count)
		return false;
	g = &c->groups[c->given++];
	*ret = (struct coalesced){.parts = c->parts, .is_partial = g->is_partial || g->count > 1};
	for (uint16_t i = g->first; i != NONE; i = c->items[i].next) {
		size_t skip = count ? g->l4.header_bytes : 0;

		c->parts[count].base = c->items[i].packet + skip;
		c->parts[count].len = c->items[i].len - skip;
		ret->bytes += c->parts[count++].len;
	}
	ret->count = count;
	if (ret->is_partial) {
		ret->csum_start = g->l4.offset;
		ret->csum_offset = l4_checksum_offset(g->l4.protocol);
	}
	if (count > 1) {
		ret->segment_bytes = g->segment_bytes;
		ret->header_bytes = g->l4.header_bytes;
		ret->protocol = g->l4.protocol;
		patch_header(c, g, c->parts[0].base, ret->bytes);
	}
	return true;
}

void coalesce_split(struct coalescer *c, struct coalesced *group)
{
	const struct group *g = &c->groups[c->given - 1];

	if (group->count < 2)
		return;
	memcpy(c->parts[0].base, c->undo, g->l4.header_bytes);
	for (size_t i = 1; i < group->count; i++) {
		c->parts[i].base -= g->l4.header_bytes;
		c->parts[i].len += g->l4.header_bytes;
	}
	group->segment_bytes = 0;
	group->is_partial = g->is_partial;
}
