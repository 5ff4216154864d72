#include "daemon/core/ice/locals.h"

#include <stdlib.h>
#include <string.h>

static const size_t type_limit[ICE_CANDIDATE_TYPE_COUNT] = {
	[ICE_CANDIDATE_HOST] = ICE_MAX_HOST_CANDIDATES,
	[ICE_CANDIDATE_SRFLX] = ICE_MAX_SRFLX_CANDIDATES,
	[ICE_CANDIDATE_RELAY] = ICE_MAX_RELAY_CANDIDATES,
};

enum err ice_locals_init(struct ice_locals *l, size_t max_sockets)
{
	*l = (struct ice_locals){.max_sockets = max_sockets,
				 .max_bases = max_sockets + ICE_MAX_RELAYS};
	l->bases = calloc(l->max_bases, sizeof(struct ice_base));
	if (!l->bases)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < l->max_bases; i++)
		l->bases[i].via = ice_via_none();
	return OK;
}

void ice_locals_fini(struct ice_locals *l)
{
	free(l->bases);
	l->bases = NULL;
}

/* Also finds a free row, as the base of none. */
static struct ice_base *find_row(const struct ice_locals *l, struct ice_via via)
{
	for (size_t i = 0; i < l->max_bases; i++) {
		if (ice_via_equal(l->bases[i].via, via))
			return &l->bases[i];
	}
	return NULL;
}

struct ice_base *ice_locals_find(const struct ice_locals *l, struct ice_via via)
{
	return ice_via_is_none(via) ? NULL : find_row(l, via);
}

struct ice_base *ice_locals_find_relay(const struct ice_locals *l, uint16_t relay)
{
	for (size_t i = 0; i < l->max_bases && relay; i++) {
		if (l->bases[i].via.relay == relay)
			return &l->bases[i];
	}
	return NULL;
}

enum err ice_locals_add(struct ice_locals *l, const struct ice_base *base)
{
	struct ice_base *row = find_row(l, ice_via_none());
	uint16_t relay = base->via.relay;

	if (relay ? ice_locals_find_relay(l, relay) : ice_locals_find(l, base->via))
		return ERR_EXISTS;
	if (!row || (relay ? l->relay_count == ICE_MAX_RELAYS : l->socket_count == l->max_sockets))
		return ERR_LIMIT;
	*row = *base;
	if (relay)
		l->relay_count++;
	else
		l->socket_count++;
	return OK;
}

void ice_locals_remove(struct ice_locals *l, struct ice_via via)
{
	struct ice_base *row = ice_locals_find(l, via);

	if (!row)
		return;
	row->via = ice_via_none();
	if (via.relay)
		l->relay_count--;
	else
		l->socket_count--;
}

bool ice_locals_refuses(const struct ice_locals *l, const struct netaddr *a)
{
	if (!ice_is_usable_address(a))
		return true;
	for (size_t i = 0; i < l->blocked_count; i++) {
		if (netprefix_contains(&l->blocked[i], a))
			return true;
	}
	return false;
}

/* Ports below 1024 are other people's services, which a peer must not make us knock at (RFC 8445 s.
 * 19.5.1). NATs do not map ordinary ports to them (RFC 4787 s. 4.2.1), TURN servers do not allocate
 * them (RFC 8656 s. 7.2). 443 and 80 are what people choose to get out of narrow networks; the same
 * exception as libwebrtc makes. */
static bool is_low_port(const struct netaddr *a)
{
	if (a->port >= 1024)
		return false;
	return (a->port != 443 && a->port != 80) || netaddr_is_private(a) ||
	       netaddr_is_link_local(a);
}

bool ice_locals_refuses_remote(const struct ice_locals *l, const struct netaddr *a)
{
	return ice_locals_refuses(l, a) || (!l->allow_low_ports && is_low_port(a));
}

static void take_out(struct ice_locals *l, size_t at)
{
	l->candidate_count--;
	memmove(&l->candidates[at], &l->candidates[at + 1],
		(l->candidate_count - at) * sizeof(struct ice_candidate));
}

/* Keeps the list in falling order of priority; when there are too many of a type, the worst falls
 * out. */
static void insert(struct ice_locals *l, const struct ice_candidate *c)
{
	size_t at, of_type = 0, worst = 0;

	for (at = 0; at < l->candidate_count; at++) {
		if (l->candidates[at].type != c->type)
			continue;
		of_type++;
		worst = at;
	}
	if (of_type == type_limit[c->type]) {
		if (l->candidates[worst].priority > c->priority)
			return;
		take_out(l, worst);
	}
	for (at = l->candidate_count; at > 0 && l->candidates[at - 1].priority < c->priority; at--)
		l->candidates[at] = l->candidates[at - 1];
	l->candidates[at] = *c;
	l->candidate_count++;
}

static bool has_priority(const struct ice_locals *l, uint32_t priority)
{
	for (size_t i = 0; i < l->candidate_count; i++) {
		if (l->candidates[i].priority == priority)
			return true;
	}
	return false;
}

/* The related address is the base, of a relayed candidate what its server sees of us (RFC 8839 s.
 * 5.1). */
static struct netaddr related_address(const struct ice_locals *l, enum ice_candidate_type type,
				      const struct ice_base *base)
{
	struct netaddr hidden = {.family = base->addr.family, .port = 9};

	if (type == ICE_CANDIDATE_HOST)
		return (struct netaddr){0};
	if (l->policy != ICE_POLICY_ALL)
		return hidden;
	return type == ICE_CANDIDATE_RELAY ? base->mapped : base->addr;
}

static void make(struct ice_locals *l, enum ice_candidate_type type, const struct ice_base *base,
		 const struct netaddr *addr, const struct netaddr *server,
		 struct ice_candidate *ret)
{
	uint16_t preference = base->local_preference;

	*ret = (struct ice_candidate){
		.type = type,
		.transport = ICE_TRANSPORT_UDP,
		.socket = base->via.socket,
		.relay = base->via.relay,
		.addr = *addr,
		.base = base->addr,
		.related = related_address(l, type, base),
	};
	/* Each candidate has a priority of its own (RFC 8445 s. 5.1.2), though several servers may
	 * have seen one socket in different places. */
	ret->priority = ice_priority(type, preference);
	while (has_priority(l, ret->priority) && preference > 0)
		ret->priority = ice_priority(type, --preference);
	ice_foundation(&l->foundations, type, &base->addr, server,
		       base->via.socket == ICE_NO_SOCKET, ret->foundation);
}

static void list(struct ice_locals *l, enum ice_candidate_type type, const struct ice_base *base,
		 const struct netaddr *addr, const struct netaddr *server)
{
	struct ice_candidate c;

	if ((l->policy == ICE_POLICY_NO_HOST && type == ICE_CANDIDATE_HOST) ||
	    (l->policy == ICE_POLICY_RELAY && type != ICE_CANDIDATE_RELAY))
		return;
	make(l, type, base, addr, server, &c);
	insert(l, &c);
}

void ice_locals_make_candidate(struct ice_locals *l, const struct ice_base *base,
			       struct ice_candidate *ret)
{
	if (base->via.relay)
		make(l, ICE_CANDIDATE_RELAY, base, &base->addr, &base->server, ret);
	else
		make(l, ICE_CANDIDATE_HOST, base, &base->addr, NULL, ret);
}

static bool has_host(const struct ice_locals *l, const struct netaddr *addr)
{
	for (size_t i = 0; i < l->max_bases; i++) {
		const struct ice_base *b = &l->bases[i];

		if (!ice_via_is_none(b->via) && !b->via.relay && ice_same_address(&b->addr, addr))
			return true;
	}
	return false;
}

void ice_locals_list_bases(struct ice_locals *l)
{
	l->candidate_count = 0;
	for (size_t i = 0; i < l->max_bases; i++) {
		const struct ice_base *b = &l->bases[i];

		if (ice_via_is_none(b->via) || b->is_retired)
			continue;
		if (!b->via.relay)
			list(l, ICE_CANDIDATE_HOST, b, &b->addr, NULL);
		else if (!has_host(l, &b->addr)) /* RFC 8445 s. 5.1.1.2 */
			list(l, ICE_CANDIDATE_RELAY, b, &b->addr, &b->server);
	}
}

void ice_locals_list_mapped(struct ice_locals *l, const struct ice_base *base,
			    const struct netaddr *mapped, const struct netaddr *server)
{
	if (!ice_locals_find_candidate(l, base->via, mapped))
		list(l, ICE_CANDIDATE_SRFLX, base, mapped, server);
}

const struct ice_candidate *ice_locals_find_candidate(const struct ice_locals *l,
						      struct ice_via via,
						      const struct netaddr *addr)
{
	for (size_t i = 0; i < l->candidate_count; i++) {
		const struct ice_candidate *c = &l->candidates[i];

		if (c->socket == via.socket && c->relay == via.relay &&
		    ice_same_address(&c->addr, addr))
			return c;
	}
	return NULL;
}

static bool is_told(const struct ice_locals *l, const struct ice_candidate *c)
{
	for (size_t i = 0; i < l->told_count; i++) {
		const struct ice_told *t = &l->told[i];

		if (t->via.socket == c->socket && t->via.relay == c->relay &&
		    ice_same_address(&t->addr, &c->addr))
			return true;
	}
	return false;
}

static void forget_gone(struct ice_locals *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->told_count; i++) {
		if (ice_locals_find_candidate(l, l->told[i].via, &l->told[i].addr))
			l->told[kept++] = l->told[i];
	}
	l->told_count = kept;
}

const struct ice_candidate *ice_locals_pop_new(struct ice_locals *l)
{
	forget_gone(l);
	for (size_t i = 0; i < l->candidate_count; i++) {
		const struct ice_candidate *c = &l->candidates[i];

		if (is_told(l, c))
			continue;
		l->told[l->told_count++] = (struct ice_told){
			.via = {.socket = c->socket, .relay = c->relay}, .addr = c->addr};
		return c;
	}
	return NULL;
}
