/* Permissions and channels: how the server is asked for what is wanted, and what its answers
 * change. */
#include "daemon/core/turn/private.h"

/* The rest of a CreatePermission: header and, for each address, an attribute of its family. */
/* Servers may bound the attributes that they read. */
#define ADDRESSES_MAX	      20
#define ADDRESS_BYTES(family) ((family) == NETADDR_IP6 ? 4u + 20u : 4u + 8u)

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
		    (p->state == TURN_PEER_GRANTED && turn_peers_has_channel(a, &p->ip)))
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
	struct turn_permission *p = turn_peers_permission(a, &c->peer);

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
