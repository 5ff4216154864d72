#include "daemon/core/ice/locals.h"

#include <stdlib.h>
#include <string.h>

enum err ice_locals_init(struct ice_locals *l, size_t max_sockets)
{
	*l = (struct ice_locals){.max_sockets = max_sockets};
	l->sockets = calloc(max_sockets, sizeof(struct ice_socket));
	if (!l->sockets)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < max_sockets; i++)
		l->sockets[i].number = ICE_NO_SOCKET;
	return OK;
}

void ice_locals_fini(struct ice_locals *l)
{
	free(l->sockets);
	l->sockets = NULL;
}

/* Also finds a free row, as ICE_NO_SOCKET. */
static struct ice_socket *find_row(const struct ice_locals *l, uint16_t number)
{
	for (size_t i = 0; i < l->max_sockets; i++) {
		if (l->sockets[i].number == number)
			return &l->sockets[i];
	}
	return NULL;
}

struct ice_socket *ice_locals_find(const struct ice_locals *l, uint16_t number)
{
	return number == ICE_NO_SOCKET ? NULL : find_row(l, number);
}

enum err ice_locals_add(struct ice_locals *l, uint16_t number, const struct netaddr *base,
			uint16_t local_preference)
{
	struct ice_socket *s = find_row(l, ICE_NO_SOCKET);

	if (ice_locals_find(l, number))
		return ERR_EXISTS;
	if (!s)
		return ERR_LIMIT;
	*s = (struct ice_socket){
		.number = number, .local_preference = local_preference, .base = *base};
	l->socket_count++;
	return OK;
}

void ice_locals_remove(struct ice_locals *l, uint16_t number)
{
	struct ice_socket *s = ice_locals_find(l, number);

	if (!s)
		return;
	s->number = ICE_NO_SOCKET;
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

/* Keeps the list in falling order of priority; the worst falls out of a full one. */
static void insert(struct ice_locals *l, const struct ice_candidate *c)
{
	size_t at = l->candidate_count;

	while (at > 0 && l->candidates[at - 1].priority < c->priority)
		at--;
	if (at == ICE_MAX_CANDIDATES)
		return;
	if (l->candidate_count < ICE_MAX_CANDIDATES)
		l->candidate_count++;
	memmove(&l->candidates[at + 1], &l->candidates[at],
		(l->candidate_count - at - 1) * sizeof(*c));
	l->candidates[at] = *c;
}

static bool has_priority(const struct ice_locals *l, uint32_t priority)
{
	for (size_t i = 0; i < l->candidate_count; i++) {
		if (l->candidates[i].priority == priority)
			return true;
	}
	return false;
}

static void list(struct ice_locals *l, enum ice_candidate_type type, const struct ice_socket *s,
		 const struct netaddr *addr, const struct netaddr *server)
{
	struct ice_candidate c = {
		.type = type,
		.transport = ICE_TRANSPORT_UDP,
		.socket = s->number,
		.addr = *addr,
		.base = s->base,
	};
	uint16_t preference = s->local_preference;

	/* Each candidate has a priority of its own (RFC 8445 s. 5.1.2), though several servers may
	 * have seen one socket in different places. */
	c.priority = ice_priority(type, preference);
	while (has_priority(l, c.priority) && preference > 0)
		c.priority = ice_priority(type, --preference);
	ice_foundation(&l->foundations, type, &s->base, server, c.foundation);
	if (type != ICE_CANDIDATE_HOST)
		c.related = s->base;
	insert(l, &c);
}

void ice_locals_list_hosts(struct ice_locals *l)
{
	l->candidate_count = 0;
	for (size_t i = 0; i < l->max_sockets; i++) {
		const struct ice_socket *s = &l->sockets[i];

		if (s->number != ICE_NO_SOCKET)
			list(l, ICE_CANDIDATE_HOST, s, &s->base, NULL);
	}
}

void ice_locals_list_mapped(struct ice_locals *l, const struct ice_socket *s,
			    const struct netaddr *mapped, const struct netaddr *server)
{
	if (!ice_locals_find_candidate(l, s->number, mapped))
		list(l, ICE_CANDIDATE_SRFLX, s, mapped, server);
}

const struct ice_candidate *ice_locals_find_candidate(const struct ice_locals *l, uint16_t socket,
						      const struct netaddr *addr)
{
	for (size_t i = 0; i < l->candidate_count; i++) {
		if (l->candidates[i].socket == socket &&
		    ice_same_address(&l->candidates[i].addr, addr))
			return &l->candidates[i];
	}
	return NULL;
}
