/*
 * Standby pairs: what carries the data when the path is lost.
 *
 * When a pair has been nominated (RFC 8445 s. 8.1.2), what was not checked until then is checked
 * now, without haste and without nominating: each pair once, best first, every fourth time a
 * relayed one while none is valid. That makes a few valid pairs at both ends, and opens the NAT for
 * those that the peer is after. Two of them are kept: the best one that leaves from another socket
 * than the path, since addresses come and go; and one over a relay behind a direct path, or else
 * the best of a third base. Each is checked again ICE_KEEPALIVE_US after its last answer, which
 * keeps its NAT mapping and its permission, and its consent fresh (RFC 7675): an indication would
 * not. The peer does the same to what we keep (ICE_STANDBY_MIRROR_US). An idle session has none:
 * what it had gets stale, and is checked again when it is used.
 *
 * A pair that stands by never takes the place of a path that answers, or that the peer asks over;
 * and of another one only when that has been silent for long (ice_standby_may_replace()), because
 * under heavy loss any pair looks dead at times.
 */
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

struct standby {
	size_t index[ICE_MAX_STANDBY];
	size_t count;
};

void ice_standby_on_candidate(struct ice_generation *g)
{
	g->standby_left += ICE_STANDBY_CHECKS_NEW;
	if (g->standby_left > ICE_STANDBY_CHECKS)
		g->standby_left = ICE_STANDBY_CHECKS;
}

static bool is_wanted(const struct ice_generation *g)
{
	return g->phase == ICE_PHASE_CONCLUDED && g->path != ICE_NO_PAIR && !g->agent->idle;
}

static bool is_kept(const struct standby *s, size_t index)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->index[i] == index)
			return true;
	}
	return false;
}

/* Would @p do beside those of @s? */
static bool fits(const struct ice_generation *g, const struct standby *s, const struct ice_pair *p)
{
	const struct ice_pair *path = &g->list.pairs[g->path];
	bool has_relayed = ice_pair_is_relayed(&g->list, path), has_base = false;

	for (size_t i = 0; i < s->count; i++) {
		const struct ice_pair *other = &g->list.pairs[s->index[i]];

		has_relayed |= ice_pair_is_relayed(&g->list, other);
		has_base |= ice_via_equal(p->via, other->via);
	}
	if (!has_relayed && ice_pair_is_relayed(&g->list, p))
		return true;
	return !has_base && p->via.socket != path->via.socket;
}

static struct standby choose(const struct ice_generation *g)
{
	struct standby s = {.count = 0};

	for (size_t n = 0; n < ICE_MAX_STANDBY; n++) {
		size_t best = ICE_NO_PAIR;

		for (size_t i = 0; i < g->list.pair_count; i++) {
			const struct ice_pair *p = &g->list.pairs[i];

			if (!p->valid || i == g->path || is_kept(&s, i) || !fits(g, &s, p))
				continue;
			if (best == ICE_NO_PAIR ||
			    p->valid_priority > g->list.pairs[best].valid_priority)
				best = i;
		}
		if (best != ICE_NO_PAIR)
			s.index[s.count++] = best;
	}
	return s;
}

static bool is_untried(const struct ice_pair *p)
{
	return !p->valid && !p->queued && !p->unreachable && !ice_via_is_none(p->via) &&
	       (p->state == ICE_PAIR_FROZEN || p->state == ICE_PAIR_WAITING);
}

/* Return: the pair to look at next, or ICE_NO_PAIR. */
static size_t best_untried(const struct ice_generation *g)
{
	size_t best = ICE_NO_PAIR, best_relayed = ICE_NO_PAIR;
	bool has_relayed = false;

	for (size_t i = 0; g->standby_left > 0 && i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];
		bool relayed = ice_pair_is_relayed(&g->list, p);

		has_relayed |= relayed && p->valid;
		if (!is_untried(p))
			continue;
		if (best == ICE_NO_PAIR || p->priority > g->list.pairs[best].priority)
			best = i;
		if (relayed && (best_relayed == ICE_NO_PAIR ||
				p->priority > g->list.pairs[best_relayed].priority))
			best_relayed = i;
	}
	if (best_relayed != ICE_NO_PAIR && !has_relayed && g->standby_left % 4 == 0)
		return best_relayed;
	return best;
}

uint64_t ice_standby_due(const struct ice_generation *g)
{
	uint64_t due = DEADLINE_NONE;
	struct standby s;

	if (!is_wanted(g))
		return DEADLINE_NONE;
	s = choose(g);
	for (size_t i = 0; i < s.count; i++) {
		const struct ice_pair *p = &g->list.pairs[s.index[i]];

		if (p->state == ICE_PAIR_SUCCEEDED)
			due = deadline_min(due, p->proof_us + ICE_KEEPALIVE_US);
	}
	if (best_untried(g) != ICE_NO_PAIR)
		due = deadline_min(due, g->standby_us);
	return due;
}

/* Return: when @p, whose check is under way, is not fresh any more; DEADLINE_NONE. */
static uint64_t stale_us(const struct ice_pair *p)
{
	return p->state == ICE_PAIR_SUCCEEDED ? DEADLINE_NONE : p->proof_us + ICE_STALE_US;
}

uint64_t ice_standby_deadline(const struct ice_generation *g)
{
	uint64_t deadline = DEADLINE_NONE;
	struct standby s = {.count = 0};

	if (is_wanted(g))
		s = choose(g);
	for (size_t i = 0; i < s.count; i++)
		deadline = deadline_min(deadline, stale_us(&g->list.pairs[s.index[i]]));
	return deadline;
}

void ice_standby_on_deadline(struct ice_generation *g, uint64_t now_us)
{
	struct standby s = {.count = 0};

	if (is_wanted(g))
		s = choose(g);
	for (size_t i = 0; i < s.count; i++) {
		/* An answer makes it valid again. */
		if (now_us >= stale_us(&g->list.pairs[s.index[i]]))
			g->list.pairs[s.index[i]].valid = false;
	}
}

size_t ice_standby_next(const struct ice_generation *g, uint64_t now_us)
{
	struct standby s;

	if (!is_wanted(g))
		return ICE_NO_PAIR;
	s = choose(g);
	for (size_t i = 0; i < s.count; i++) {
		const struct ice_pair *p = &g->list.pairs[s.index[i]];

		if (p->state == ICE_PAIR_SUCCEEDED && now_us >= p->proof_us + ICE_KEEPALIVE_US)
			return s.index[i];
	}
	return now_us >= g->standby_us ? best_untried(g) : ICE_NO_PAIR;
}

void ice_standby_on_begun(struct ice_generation *g, size_t index, uint64_t now_us)
{
	if (g->list.pairs[index].valid)
		return;
	g->standby_us = now_us + ICE_STANDBY_TA_US;
	g->standby_left--;
}

bool ice_standby_may_replace(const struct ice_generation *g, size_t index, uint64_t now_us)
{
	const struct ice_pair *path = g->path == ICE_NO_PAIR ? NULL : &g->list.pairs[g->path];
	const struct ice_pair *p = &g->list.pairs[index];

	if (!path || !ice_path_is_suspect(g, now_us) || now_us < path->asked_us + ICE_SUSPECT_US)
		return false;
	/* The peer's NAT has been restarted. */
	if (ice_via_equal(p->via, path->via) && netaddr_ip_equal(&p->to, &path->to))
		return true;
	return !p->valid || now_us >= p->proof_us + ICE_STALE_US ||
	       now_us >= path->proof_us + ICE_STALE_US;
}

size_t ice_agent_get_standby(const struct ice_agent *a, struct ice_path ret[ICE_MAX_STANDBY])
{
	struct standby s = {.count = 0};

	if (is_wanted(a->current))
		s = choose(a->current);
	for (size_t i = 0; i < s.count; i++)
		ice_path_describe_pair(a->current, s.index[i], &ret[i]);
	return s.count;
}

/* Their pair is ours seen from the other end: what a NAT makes of us there is what the answers to
 * our checks have told. */
static size_t find_pair(const struct ice_generation *g, const struct netaddr *theirs,
			const struct netaddr *ours)
{
	size_t best = ICE_NO_PAIR;

	for (size_t i = 0; i < g->list.pair_count; i++) {
		const struct ice_pair *p = &g->list.pairs[i];

		if (ice_via_is_none(p->via) || !ice_same_address(&p->to, theirs))
			continue;
		if (p->valid && ice_same_address(&p->mapped, ours))
			return i;
		if (best == ICE_NO_PAIR || p->priority > g->list.pairs[best].priority)
			best = i;
	}
	return best;
}

enum err ice_agent_on_peer_moved(struct ice_agent *a, uint64_t now_us, const struct netaddr *theirs,
				 const struct netaddr *ours)
{
	struct ice_generation *g = a->current;
	size_t index = find_pair(g, theirs, ours);
	const struct ice_pair *p;
	bool follows;

	if (index == ICE_NO_PAIR || g->phase == ICE_PHASE_CHECKING)
		return DROP_STATE;
	p = &g->list.pairs[index];
	if (index == g->path)
		return OK;
	follows = g->path != ICE_NO_PAIR && p->valid && now_us < p->proof_us + ICE_STALE_US;
	if (follows)
		ice_path_follow(g, index, now_us);
	else
		ice_check_renew(g, index, now_us);
	ice_agent_update(a, now_us);
	ice_engine_pace(a->engine, now_us);
	return follows ? OK : DROP_STATE;
}
