#include "daemon/core/cert/member.h"

#include <stdlib.h>
#include <string.h>

enum err member_create(struct member **ret, const struct cert *c)
{
	size_t count = c->address_count + c->route_count;
	struct member *m = malloc(sizeof(*m) + count * sizeof(m->prefixes[0]));

	if (!m)
		return ERR_NO_MEMORY;
	m->serial = c->serial;
	memcpy(m->noise_public, c->noise_public, sizeof(m->noise_public));
	m->address_count = (uint8_t)c->address_count;
	m->prefix_count = (uint8_t)count;
	for (size_t i = 0; i < c->address_count; i++)
		m->prefixes[i] = netprefix_of(&c->addresses[i], UINT8_MAX);
	for (size_t i = 0; i < c->route_count; i++)
		m->prefixes[c->address_count + i] = c->routes[i];
	*ret = m;
	return OK;
}

void member_destroy(struct member *m)
{
	free(m);
}

struct netaddr member_address(const struct member *m, size_t i)
{
	struct netaddr a = {.family = m->prefixes[i].family};

	memcpy(a.ip, m->prefixes[i].ip, sizeof(a.ip));
	return a;
}

bool member_is_same_place(const struct member *a, const struct member *b)
{
	if (a->address_count != b->address_count || a->prefix_count != b->prefix_count)
		return false;
	for (size_t i = 0; i < a->prefix_count; i++) {
		if (!netprefix_equal(&a->prefixes[i], &b->prefixes[i]))
			return false;
	}
	return true;
}
