/* Permissions and channels (RFC 8656 s. 9, 10, 12): what is wanted, asked for, granted. */
#include <stdlib.h>

#include "daemon/core/turn/private.h"

/* The rest of a CreatePermission: header and, for each address, an attribute of its family. */
/* Servers may bound the attributes that they read. */
#define ADDRESSES_MAX	      20
#define ADDRESS_BYTES(family) ((family) == NETADDR_IP6 ? 4u + 20u : 4u + 8u)

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

static struct turn_permission *find_permission(const struct turn_allocation *a,
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

/* A channel carries the permission of its address, as long as it is asked for. */
static bool has_channel(const struct turn_allocation *a, const struct netaddr *ip)
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
	const struct turn_permission *p = find_permission(a, ip);

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
		new_count += find_permission(a, &ips[i]) == NULL && !is_among(&ips[i], ips, i);
	}
	if (new_count > free_permissions(a))
		return ERR_LIMIT;
	for (size_t i = 0; i < count; i++) {
		struct turn_permission *p = find_permission(a, &ips[i]);

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
	struct turn_permission *p = find_permission(a, ip);

	if (!p || p->wants == 0 || --p->wants > 0)
		return;
	/* The row of a request under way is needed until its answer. */
	if (p->state != TURN_PEER_ASKED)
		*p = (struct turn_permission){0};
}

bool turn_allocation_is_permitted(const struct turn_allocation *a, uint64_t now_us,
				  const struct netaddr *ip)
{
	const struct turn_permission *p = find_permission(a, ip);

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
		const struct turn_permission *copy = find_permission(to, &p->ip);
		uint32_t has = copy ? copy->wants : 0;

		for (uint32_t n = has; p->state != TURN_PEER_FREE && n < p->wants; n++) {
			if (turn_allocation_permit(to, now_us, &p->ip, 1) != OK)
				break;
		}
	}
}

/* --- asking --- */

static bool is_due(enum turn_peer_state state, uint64_t due_us, uint64_t now_us)
{
	return (state == TURN_PEER_WANTED || state == TURN_PEER_GRANTED) && now_us >= due_us;
}

static void refuse_permission(struct turn_allocation *a, struct turn_permission *p,
			      enum turn_problem problem, uint16_t code)
{
	p->state = TURN_PEER_REFUSED;
	p->alone = false;
	p->expires_us = 0;
	p->problem = problem;
	p->code = code;
	p->tell = true;
	a->peers_tell = true;
}

static void refuse_channel(struct turn_allocation *a, struct turn_channel *c,
			   enum turn_problem problem, uint16_t code)
{
	c->state = TURN_PEER_REFUSED;
	c->problem = problem;
	c->code = code;
	c->tell = true;
	a->peers_tell = true;
}

static bool is_in(const struct turn_permission *p, size_t request)
{
	return p->state == TURN_PEER_ASKED && p->request == request;
}

/* Chooses what goes into one request, which may have some already: what is due and fits, or one
 * address alone. Return: how many it has got. */
static size_t collect_permissions(struct turn_allocation *a, size_t request, uint64_t now_us)
{
	size_t used = STUN_HEADER_BYTES + turn_auth_bytes(a->auth);
	size_t count = 0, added = 0;

	for (size_t i = 0; i < a->permission_top; i++) {
		const struct turn_permission *p = &a->permissions[i];

		if (!is_in(p, request))
			continue;
		if (p->alone)
			return 0;
		used += ADDRESS_BYTES(p->ip.family);
		count++;
	}
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];
		size_t bytes = ADDRESS_BYTES(p->ip.family);

		/* Of a channel's address its renewal takes care. */
		if (!is_due(p->state, p->due_us, now_us) ||
		    (p->state == TURN_PEER_GRANTED && has_channel(a, &p->ip)))
			continue;
		if (!turn_relayed_of(a, p->ip.family)) {
			refuse_permission(a, p, TURN_PROBLEM_FAMILY, 0);
			continue;
		}
		if (count > 0 &&
		    (p->alone || count == ADDRESSES_MAX || used + bytes > STUN_SAFE_BYTES))
			continue;
		p->state = TURN_PEER_ASKED;
		p->request = (uint8_t)request;
		used += bytes;
		count++;
		added++;
		if (p->alone)
			break;
	}
	return added;
}

/* One that has not been written yet takes more; else there is one more. */
static void ask_permissions(struct turn_allocation *a, uint64_t now_us)
{
	for (size_t i = TURN_PERMITS; i < TURN_PERMITS + TURN_PERMIT_REQUESTS; i++) {
		struct turn_request *r = &a->requests[i];
		bool is_active = turn_request_is_active(r);

		if (is_active && !(r->to_send && r->txn.sent == 1))
			continue;
		if (collect_permissions(a, i, now_us) > 0 && !is_active)
			turn_request_start(a, r, TURN_REQUEST_PERMISSION, now_us);
	}
}

static void ask_channel(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	for (size_t i = 0; i < a->channel_top; i++) {
		struct turn_channel *c = &a->channels[i];

		if (!c->wanted || !is_due(c->state, c->due_us, now_us))
			continue;
		if (!turn_relayed_of(a, c->peer.family)) {
			refuse_channel(a, c, TURN_PROBLEM_FAMILY, 0);
			continue;
		}
		c->state = TURN_PEER_ASKED;
		r->slot = (uint16_t)i;
		turn_request_start(a, r, TURN_REQUEST_BIND, now_us);
		return;
	}
}

void turn_peers_ask(struct turn_allocation *a, uint64_t now_us)
{
	if (a->state != TURN_ALLOCATED)
		return;
	ask_permissions(a, now_us);
	for (size_t i = 0; i < TURN_BIND_REQUESTS; i++) {
		if (!turn_request_is_active(&a->requests[TURN_BINDS + i]))
			ask_channel(a, &a->requests[TURN_BINDS + i], now_us);
	}
}

void turn_peers_write(const struct turn_allocation *a, const struct turn_request *r,
		      struct stun_writer *w)
{
	if (r->kind == TURN_REQUEST_BIND) {
		stun_write_number(w, STUN_CHANNEL_NUMBER, TURN_CHANNEL_MIN + r->slot);
		stun_write_address(w, STUN_XOR_PEER_ADDRESS, &a->channels[r->slot].peer);
		return;
	}
	for (size_t i = 0; i < a->permission_top; i++) {
		if (is_in(&a->permissions[i], (size_t)(r - a->requests)))
			stun_write_address(w, STUN_XOR_PEER_ADDRESS, &a->permissions[i].ip);
	}
}

/* --- answers --- */

static void grant_permission(struct turn_allocation *a, struct turn_permission *p,
			     uint64_t asked_us)
{
	if (p->wants == 0) {
		*p = (struct turn_permission){0};
		return;
	}
	p->tell |= p->expires_us == 0;
	a->peers_tell |= p->tell;
	p->state = TURN_PEER_GRANTED;
	p->problem = TURN_PROBLEM_NONE;
	p->alone = false;
	p->expires_us = asked_us + TURN_PERMISSION_LIFE_US;
	p->due_us = asked_us + TURN_RENEW_US;
}

static void grant_channel(struct turn_allocation *a, struct turn_channel *c, uint64_t asked_us)
{
	struct turn_permission *p = find_permission(a, &c->peer);

	c->tell |= c->expires_us == 0;
	a->peers_tell |= c->tell;
	c->state = TURN_PEER_GRANTED;
	c->problem = TURN_PROBLEM_NONE;
	c->expires_us = asked_us + TURN_CHANNEL_LIFE_US;
	c->due_us = asked_us + TURN_RENEW_US;
	/* A bind refreshes the permission of its address (s. 12). */
	if (p && p->state != TURN_PEER_ASKED)
		grant_permission(a, p, asked_us);
}

void turn_peers_on_success(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	uint64_t asked_us = r->txn.started_us;

	if (r->kind == TURN_REQUEST_BIND) {
		grant_channel(a, &a->channels[r->slot], asked_us);
	} else {
		for (size_t i = 0; i < a->permission_top; i++) {
			if (is_in(&a->permissions[i], (size_t)(r - a->requests)))
				grant_permission(a, &a->permissions[i], asked_us);
		}
	}
	turn_request_stop(r);
	turn_peers_ask(a, now_us);
}

/* One refusal of several says nothing of each: they are asked for one by one. */
static void fail_permissions(struct turn_allocation *a, size_t request,
			     const struct turn_rule *rule, uint16_t code, uint64_t now_us)
{
	size_t count = 0;

	for (size_t i = 0; i < a->permission_top; i++)
		count += is_in(&a->permissions[i], request);
	for (size_t i = 0; i < a->permission_top; i++) {
		struct turn_permission *p = &a->permissions[i];

		if (!is_in(p, request))
			continue;
		p->state = p->expires_us ? TURN_PEER_GRANTED : TURN_PEER_WANTED;
		p->due_us = now_us;
		if (p->wants == 0) {
			*p = (struct turn_permission){0};
		} else if (rule->action == TURN_ACTION_LATER) {
			p->due_us = now_us + rule->retry_s * US_PER_S;
		} else if (rule->action == TURN_ACTION_PEER && count > 1) {
			p->alone = true;
		} else if (rule->action == TURN_ACTION_PEER) {
			refuse_permission(a, p, rule->problem, code);
		}
	}
}

static void fail_channel(struct turn_allocation *a, struct turn_channel *c,
			 const struct turn_rule *rule, uint16_t code, uint64_t asked_us,
			 uint64_t now_us)
{
	c->state = c->expires_us ? TURN_PEER_GRANTED : TURN_PEER_WANTED;
	c->due_us = now_us;
	if (rule->action == TURN_ACTION_LATER) {
		/* Nobody knows whether the server has bound it: the number belongs to this peer. */
		c->due_us = now_us + rule->retry_s * US_PER_S;
		if (!c->wanted && c->expires_us == 0) {
			c->state = TURN_PEER_RESTING;
			c->due_us = asked_us + TURN_CHANNEL_LIFE_US + TURN_CHANNEL_REST_US;
		}
	} else if (rule->action == TURN_ACTION_PEER) {
		refuse_channel(a, c, rule->problem, code);
		if (!c->wanted)
			*c = (struct turn_channel){0};
	}
}

void turn_peers_on_failure(struct turn_allocation *a, struct turn_request *r,
			   const struct turn_rule *rule, uint16_t code, uint64_t now_us)
{
	uint64_t asked_us = r->txn.started_us;

	turn_request_stop(r);
	if (r->kind == TURN_REQUEST_BIND)
		fail_channel(a, &a->channels[r->slot], rule, code, asked_us, now_us);
	else
		fail_permissions(a, (size_t)(r - a->requests), rule, code, now_us);
	turn_peers_ask(a, now_us);
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
		if (permit_is_free && (p->state == TURN_PEER_WANTED ||
				       (p->state == TURN_PEER_GRANTED && !has_channel(a, &p->ip))))
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
