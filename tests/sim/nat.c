#include "tests/sim/nat.h"

#include <stdlib.h>

#define FIRST_PORT 1024u
#define PORTS	   (65536u - FIRST_PORT)

struct peer {
	struct netaddr addr;
	uint64_t used_us;
};

struct mapping {
	struct netaddr inside;
	struct netaddr first_to; /* what the mapping depends on */
	struct netaddr outside;
	uint64_t used_us;
	struct peer *peers;
	size_t peer_count, peer_capacity;
};

struct nat {
	struct nat_params params;
	struct mapping *mappings;
	size_t count, capacity;
};

/* Room for one element more in a growing array. */
static void *grow(void *array, size_t count, size_t *capacity, size_t element_bytes)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity ? 2 * *capacity : 8;
	array = realloc(array, *capacity * element_bytes);
	if (!array)
		abort();
	return array;
}

struct nat *nat_create(const struct nat_params *params)
{
	struct nat *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->params = *params;
	return n;
}

void nat_reboot(struct nat *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->mappings[i].peers);
	n->count = 0;
}

void nat_destroy(struct nat *n)
{
	if (!n)
		return;
	nat_reboot(n);
	free(n->mappings);
	free(n);
}

static bool is_fresh(const struct nat *n, uint64_t now_us, uint64_t used_us)
{
	return now_us - used_us < n->params.lifetime_us;
}

static void expire(struct nat *n, uint64_t now_us)
{
	for (size_t i = n->count; i-- > 0;) {
		if (is_fresh(n, now_us, n->mappings[i].used_us))
			continue;
		free(n->mappings[i].peers);
		n->mappings[i] = n->mappings[--n->count];
	}
}

size_t nat_count(const struct nat *n, uint64_t now_us)
{
	size_t fresh = 0;

	for (size_t i = 0; i < n->count; i++)
		fresh += is_fresh(n, now_us, n->mappings[i].used_us);
	return fresh;
}

static bool is_same(enum nat_dependence dependence, const struct netaddr *a,
		    const struct netaddr *b)
{
	switch (dependence) {
	case NAT_INDEPENDENT:
		return true;
	case NAT_ADDRESS:
		return netaddr_ip_equal(a, b);
	case NAT_ADDRESS_AND_PORT:
		return netaddr_equal(a, b);
	}
	return false;
}

static struct mapping *find_outside(struct nat *n, const struct netaddr *outside)
{
	for (size_t i = 0; i < n->count; i++)
		if (netaddr_equal(&n->mappings[i].outside, outside))
			return &n->mappings[i];
	return NULL;
}

static struct mapping *find_inside(struct nat *n, const struct netaddr *inside,
				   const struct netaddr *to)
{
	for (size_t i = 0; i < n->count; i++) {
		struct mapping *m = &n->mappings[i];

		if (netaddr_equal(&m->inside, inside) &&
		    is_same(n->params.mapping, &m->first_to, to))
			return m;
	}
	return NULL;
}

static bool choose_outside(struct nat *n, const struct netaddr *inside, struct netaddr *ret)
{
	uint32_t offset = random_below(&n->params.random, PORTS);

	if (n->params.outside.family == NETADDR_NONE) {
		*ret = *inside;
		return true;
	}
	*ret = n->params.outside;
	ret->port = inside->port;
	if (!n->params.random_ports && ret->port >= FIRST_PORT && !find_outside(n, ret))
		return true;
	for (uint32_t i = 0; i < PORTS; i++) {
		ret->port = (uint16_t)(FIRST_PORT + (offset + i) % PORTS);
		if (!find_outside(n, ret))
			return true;
	}
	return false;
}

static void remember_peer(struct mapping *m, uint64_t now_us, const struct netaddr *to)
{
	for (size_t i = 0; i < m->peer_count; i++) {
		if (netaddr_equal(&m->peers[i].addr, to)) {
			m->peers[i].used_us = now_us;
			return;
		}
	}
	m->peers = grow(m->peers, m->peer_count, &m->peer_capacity, sizeof(*m->peers));
	m->peers[m->peer_count++] = (struct peer){.addr = *to, .used_us = now_us};
}

struct netaddr nat_outbound(struct nat *n, uint64_t now_us, const struct netaddr *from,
			    const struct netaddr *to)
{
	struct mapping *m;

	expire(n, now_us);
	m = find_inside(n, from, to);
	if (!m) {
		struct mapping fresh = {.inside = *from, .first_to = *to};

		if (!choose_outside(n, from, &fresh.outside))
			return (struct netaddr){0};
		n->mappings = grow(n->mappings, n->count, &n->capacity, sizeof(*n->mappings));
		m = &n->mappings[n->count++];
		*m = fresh;
	}
	m->used_us = now_us;
	remember_peer(m, now_us, to);
	return m->outside;
}

bool nat_inbound(struct nat *n, uint64_t now_us, const struct netaddr *from,
		 const struct netaddr *to, struct netaddr *ret_inside)
{
	struct mapping *m;
	bool allowed;

	expire(n, now_us);
	m = find_outside(n, to);
	if (!m)
		return false;
	allowed = n->params.filtering == NAT_INDEPENDENT;
	for (size_t i = 0; i < m->peer_count && !allowed; i++)
		allowed = is_same(n->params.filtering, &m->peers[i].addr, from) &&
			  is_fresh(n, now_us, m->peers[i].used_us);
	if (!allowed)
		return false;
	if (n->params.inbound_refresh) {
		m->used_us = now_us;
		remember_peer(m, now_us, from);
	}
	*ret_inside = m->inside;
	return true;
}
