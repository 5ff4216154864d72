/* Permissions and channels (RFC 8656 s. 9, 10, 12): what is wanted, and how long it lasts. */
#include <stdlib.h>

#include "daemon/core/turn/private.h"

enum err turn_peers_init(struct turn_allocation *a, const struct turn_params *p)
{
	a->max_permissions = p->max_permissions ? p->max_permissions : TURN_DEFAULT_PERMISSIONS;
	a->max_channels = p->max_channels ? p->max_channels : TURN_DEFAULT_CHANNELS;
	a->permissions = calloc(a->max_permissions, sizeof(*a->permissions));
	a->channels = calloc(a->max_channels, sizeof(*a->channels));
	return a->permissions && a->channels ? OK : ERR_NO_MEMORY;
}

void turn_peers_fini(struct turn_allocation *a)
{
	free(a->permissions);
	free(a->channels);
}

/* --- finding --- */

struct turn_permission *turn_peers_permission(const struct turn_allocation *a,
					      const struct netaddr *ip)
{
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (p->state != TURN_PEER_FREE && netaddr_ip_equal(&p->ip, ip))
			return p;
	}
	return NULL;
}

static struct turn_channel *find_channel(const struct turn_allocation *a,
					 const struct netaddr *peer)
{
	for (size_t i = 0; i < a->channel_top; i++) {
		struct turn_channel *c = &a->channels[i];

		if (c->state != TURN_PEER_FREE && netaddr_equal(&c->peer, peer))
			return c;
	}
	return NULL;
}

bool turn_peers_has_channel(const struct turn_allocation *a, const struct netaddr *ip)
{
	for (size_t i = 0; i < a->channel_top; i++) {
		const struct turn_channel *c = &a->channels[i];

		if ((c->state == TURN_PEER_ASKED || c->state == TURN_PEER_GRANTED) &&
		    netaddr_ip_equal(&c->peer, ip))
			return true;
	}
	return false;
}

const struct turn_permission *turn_permission_find(const struct turn_allocation *a,
						   const struct netaddr *ip)
{
	const struct turn_permission *p = turn_peers_permission(a, ip);

	return p && p->state != TURN_PEER_REFUSED ? p : NULL;
}

const struct turn_channel *turn_channel_find(const struct turn_allocation *a,
					     const struct netaddr *peer)
{
	return find_channel(a, peer);
}

const struct turn_channel *turn_channel_of(const struct turn_allocation *a, uint16_t number)
{
	const struct turn_channel *c;

	if (number < TURN_CHANNEL_MIN || number - TURN_CHANNEL_MIN >= a->channel_top)
		return NULL;
	c = &a->channels[number - TURN_CHANNEL_MIN];
	return c->state == TURN_PEER_ASKED || c->state == TURN_PEER_GRANTED ||
			       (c->state == TURN_PEER_WANTED && c->expires_us)
		       ? c
		       : NULL;
}

static uint16_t number_of(const struct turn_allocation *a, const struct turn_channel *c)
{
	return (uint16_t)(TURN_CHANNEL_MIN + (c - a->channels));
}

/* --- wanting --- */

static bool family_is_possible(const struct turn_allocation *a, uint8_t family)
{
	return family != NETADDR_NONE && (a->family == NETADDR_NONE || a->family == family);
}

static struct turn_permission *new_permission(struct turn_allocation *a, const struct netaddr *ip)
{
	for (size_t i = 0; i < a->max_permissions; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (p->state != TURN_PEER_FREE)
			continue;
		*p = (struct turn_permission){.ip = *ip};
		p->ip.port = 0;
		if (i >= a->permission_top)
			a->permission_top = (uint16_t)(i + 1);
		return p;
	}
	return NULL;
}

static void want_permission(struct turn_permission *p, uint64_t now_us)
{
	p->wants++;
	if (p->state == TURN_PEER_FREE || p->state == TURN_PEER_REFUSED) {
		p->state = TURN_PEER_WANTED;
		p->tell = false;
		p->due_us = now_us;
	}
}

static size_t free_permissions(const struct turn_allocation *a)
{
	size_t count = (size_t)(a->max_permissions - a->permission_top);

	for (size_t i = 0; i < a->permission_top; i++)
		count += a->permissions[i].state == TURN_PEER_FREE;
	return count;
}

static bool is_among(const struct netaddr *ip, const struct netaddr *ips, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (netaddr_ip_equal(ip, &ips[i]))
			return true;
	}
	return false;
}

enum err turn_allocation_permit(struct turn_allocation *a, uint64_t now_us,
				const struct netaddr *ips, size_t count)
{
	size_t new_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (!family_is_possible(a, ips[i].family))
			return ERR_INVALID;
		new_count +=
			turn_peers_permission(a, &ips[i]) == NULL && !is_among(&ips[i], ips, i);
	}
	if (new_count > free_permissions(a))
		return ERR_LIMIT;
	for (size_t i = 0; i < count; i++) {
		struct turn_permission *p = turn_peers_permission(a, &ips[i]);

		if (!p)
			p = new_permission(a, &ips[i]);
		if (p)
			want_permission(p, now_us);
	}
	turn_peers_ask(a, now_us);
	turn_allocation_schedule(a);
	return OK;
}

void turn_allocation_unpermit(struct turn_allocation *a, const struct netaddr *ip)
{
	struct turn_permission *p = turn_peers_permission(a, ip);

	if (!p || p->wants == 0 || --p->wants > 0)
		return;
	/* The row of a request under way is needed until its answer. */
	if (p->state != TURN_PEER_ASKED)
		*p = (struct turn_permission){0};
}

bool turn_allocation_is_permitted(const struct turn_allocation *a, uint64_t now_us,
				  const struct netaddr *ip)
{
	const struct turn_permission *p = turn_peers_permission(a, ip);

	return turn_allocation_is_usable(a) && p && now_us < p->expires_us;
}

/* A number that the server cannot know of (any more). */
static struct turn_channel *new_channel(struct turn_allocation *a, const struct netaddr *peer)
{
	for (size_t i = 0; i < a->max_channels; i++) {
		struct turn_channel *c = &a->channels[i];

		if (c->state != TURN_PEER_FREE)
			continue;
		*c = (struct turn_channel){.peer = *peer};
		if (i >= a->channel_top)
			a->channel_top = (uint16_t)(i + 1);
		return c;
	}
	return NULL;
}

enum err turn_allocation_bind(struct turn_allocation *a, uint64_t now_us,
			      const struct netaddr *peer)
{
	struct turn_channel *c = find_channel(a, peer);
	enum err e;

	if (!family_is_possible(a, peer->family))
		return ERR_INVALID;
	if (!c)
		c = new_channel(a, peer);
	if (!c)
		return ERR_LIMIT;
	if (c->wanted && c->state != TURN_PEER_REFUSED)
		return OK;
	if (!c->wanted) {
		e = turn_allocation_permit(a, now_us, peer, 1);
		if (e != OK) {
			if (c->state == TURN_PEER_FREE)
				*c = (struct turn_channel){0};
			return e;
		}
	}
	c->wanted = true;
	if (c->state != TURN_PEER_GRANTED && c->state != TURN_PEER_ASKED) {
		c->state = TURN_PEER_WANTED;
		c->due_us = now_us;
	}
	turn_peers_ask(a, now_us);
	turn_allocation_schedule(a);
	return OK;
}

void turn_allocation_unbind(struct turn_allocation *a, const struct netaddr *peer)
{
	struct turn_channel *c = find_channel(a, peer);

	if (!c || !c->wanted)
		return;
	c->wanted = false;
	turn_allocation_unpermit(a, peer);
	if (c->state == TURN_PEER_REFUSED || (c->state == TURN_PEER_WANTED && c->expires_us == 0))
		*c = (struct turn_channel){0};
}

uint16_t turn_allocation_channel(const struct turn_allocation *a, uint64_t now_us,
				 const struct netaddr *peer)
{
	const struct turn_channel *c = find_channel(a, peer);

	if (!c || now_us >= c->expires_us || !turn_allocation_is_usable(a))
		return TURN_NO_CHANNEL;
	return number_of(a, c);
}

void turn_allocation_copy_peers(struct turn_allocation *to, const struct turn_allocation *from,
				uint64_t now_us)
{
	for (size_t i = 0; i < from->channel_top; i++) {
		const struct turn_channel *c = &from->channels[i];

		if (c->state != TURN_PEER_FREE && c->wanted)
			(void)!turn_allocation_bind(to, now_us, &c->peer);
	}
	for (size_t i = 0; i < from->permission_top; i++) {
		const struct turn_permission *p = &from->permissions[i];
		const struct turn_permission *copy = turn_peers_permission(to, &p->ip);
		uint32_t has = copy ? copy->wants : 0;

		for (uint32_t n = has; p->state != TURN_PEER_FREE && n < p->wants; n++) {
			if (turn_allocation_permit(to, now_us, &p->ip, 1) != OK)
				break;
		}
	}
}

/* --- time --- */

static void expire_channel(struct turn_channel *c, uint64_t now_us)
{
	if (c->state == TURN_PEER_RESTING && now_us >= c->due_us) {
		*c = (struct turn_channel){0};
	} else if (c->state == TURN_PEER_GRANTED && now_us >= c->expires_us) {
		/* For the same peer the number may be bound again at any time. */
		c->state = c->wanted ? TURN_PEER_WANTED : TURN_PEER_RESTING;
		c->due_us = c->wanted ? now_us : c->expires_us + TURN_CHANNEL_REST_US;
		c->expires_us = 0;
	}
}

void turn_peers_expire(struct turn_allocation *a, uint64_t now_us)
{
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (p->state == TURN_PEER_GRANTED && now_us >= p->expires_us) {
			p->state = TURN_PEER_WANTED;
			p->due_us = now_us;
			p->expires_us = 0;
		}
	}
	for (size_t i = 0; i < a->channel_top; i++)
		expire_channel(&a->channels[i], now_us);
}

uint64_t turn_peers_deadline(const struct turn_allocation *a)
{
	bool asks = a->state == TURN_ALLOCATED;
	bool permit_is_free = false, bind_is_free = false;
	uint64_t due = DEADLINE_NONE;

	for (size_t i = 0; asks && i < TURN_PERMIT_REQUESTS; i++)
		permit_is_free |= !turn_request_is_active(&a->requests[TURN_PERMITS + i]);
	for (size_t i = 0; asks && i < TURN_BIND_REQUESTS; i++)
		bind_is_free |= !turn_request_is_active(&a->requests[TURN_BINDS + i]);
	for (size_t i = 0; i < a->permission_top; i++) {
		const struct turn_permission *p = &a->permissions[i];

		if (p->state == TURN_PEER_GRANTED)
			due = deadline_min(due, p->expires_us);
		if (permit_is_free &&
		    (p->state == TURN_PEER_WANTED ||
		     (p->state == TURN_PEER_GRANTED && !turn_peers_has_channel(a, &p->ip))))
			due = deadline_min(due, p->due_us);
	}
	for (size_t i = 0; i < a->channel_top; i++) {
		const struct turn_channel *c = &a->channels[i];

		if (c->state == TURN_PEER_GRANTED)
			due = deadline_min(due, c->expires_us);
		if (c->state == TURN_PEER_RESTING ||
		    (bind_is_free && c->wanted &&
		     (c->state == TURN_PEER_WANTED || c->state == TURN_PEER_GRANTED)))
			due = deadline_min(due, c->due_us);
	}
	return due;
}

void turn_peers_reset(struct turn_allocation *a)
{
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (p->state == TURN_PEER_FREE)
			continue;
		if (p->wants == 0) {
			*p = (struct turn_permission){0};
			continue;
		}
		p->state = TURN_PEER_WANTED;
		p->alone = false;
		p->due_us = 0;
		p->expires_us = 0;
	}
	for (size_t i = 0; i < a->channel_top; i++) {
		struct turn_channel *c = &a->channels[i];

		if (!c->wanted) {
			*c = (struct turn_channel){0};
			continue;
		}
		c->state = TURN_PEER_WANTED;
		c->due_us = 0;
		c->expires_us = 0;
	}
}

/* --- events --- */

static bool pop_permission_event(struct turn_allocation *a, struct turn_event *ret)
{
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (!p->tell)
			continue;
		p->tell = false;
		ret->type = p->state == TURN_PEER_REFUSED ? TURN_EVENT_PEER_REFUSED
							  : TURN_EVENT_PERMITTED;
		ret->peer = p->ip;
		ret->problem = p->problem;
		ret->code = p->code;
		return true;
	}
	return false;
}

bool turn_peers_pop_event(struct turn_allocation *a, struct turn_event *ret)
{
	if (!a->peers_tell)
		return false;
	*ret = (struct turn_event){.cookie = a->cookie};
	if (pop_permission_event(a, ret))
		return true;
	for (size_t i = 0; i < a->channel_top; i++) {
		struct turn_channel *c = &a->channels[i];

		if (!c->tell)
			continue;
		c->tell = false;
		ret->type = c->state == TURN_PEER_REFUSED ? TURN_EVENT_PEER_REFUSED
							  : TURN_EVENT_CHANNEL;
		ret->peer = c->peer;
		ret->problem = c->problem;
		ret->code = c->code;
		ret->channel = c->state == TURN_PEER_REFUSED ? TURN_NO_CHANNEL : number_of(a, c);
		return true;
	}
	a->peers_tell = false;
	return false;
}
