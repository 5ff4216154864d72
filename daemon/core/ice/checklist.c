#include "daemon/core/ice/checklist.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fnv.h"

#define FIRST_ROOM 2

void ice_checklist_init(struct ice_checklist *l, size_t max_pairs, bool controlling)
{
	*l = (struct ice_checklist){.controlling = controlling, .max_pairs = max_pairs};
}

void ice_checklist_fini(struct ice_checklist *l)
{
	for (size_t i = 0; i < l->pair_count; i++)
		free(l->pairs[i].requests);
	free(l->pairs);
	free(l->remotes);
	l->pairs = NULL;
	l->remotes = NULL;
}

/* Collisions only make two foundations share their order. */
static uint64_t hash_foundation(uint64_t h, const char *text)
{
	return fnv_hash(h, text, strnlen(text, ICE_FOUNDATION_MAX_BYTES));
}

static uint64_t pair_priority(const struct ice_checklist *l, uint32_t local, uint32_t remote)
{
	return l->controlling ? ice_pair_priority(local, remote) : ice_pair_priority(remote, local);
}

static void compute_priority(const struct ice_checklist *l, struct ice_pair *p)
{
	uint32_t remote = l->remotes[p->remote].priority;

	p->priority = pair_priority(l, p->local_priority, remote);
	p->valid_priority = pair_priority(l, p->valid_local_priority, remote);
}

static void compute_priorities(struct ice_checklist *l)
{
	for (size_t i = 0; i < l->pair_count; i++)
		compute_priority(l, &l->pairs[i]);
}

struct ice_remote *ice_checklist_find_remote(struct ice_checklist *l, const struct netaddr *addr)
{
	for (size_t i = 0; i < l->remote_count; i++) {
		if (ice_same_address(&l->remotes[i].addr, addr))
			return &l->remotes[i];
	}
	return NULL;
}

/* Return: of a table with @room entries that is full. */
static size_t next_room(size_t room, size_t limit)
{
	size_t next = room ? 2 * room : FIRST_ROOM;

	return next < limit ? next : limit;
}

/* @room: at least remote_count, and not 0. Return: false without memory. */
static bool set_remote_room(struct ice_checklist *l, size_t room)
{
	struct ice_remote *remotes = realloc(l->remotes, room * sizeof(*remotes));

	if (!remotes)
		return false;
	l->remotes = remotes;
	l->remote_room = room;
	return true;
}

/* Return: whether there is room for one more. */
static bool grow_remotes(struct ice_checklist *l)
{
	if (l->remote_count < l->remote_room)
		return true;
	return l->remote_count < ICE_MAX_REMOTES &&
	       set_remote_room(l, next_room(l->remote_room, ICE_MAX_REMOTES));
}

/* @room: at least pair_count. Return: false without memory. */
static bool move_pairs(struct ice_checklist *l, size_t room)
{
	struct ice_pair *moved = calloc(room, sizeof(*moved));

	if (!moved)
		return false;
	for (size_t i = 0; i < l->pair_count; i++)
		moved[i] = l->pairs[i];
	free(l->pairs);
	l->pairs = moved;
	l->pair_room = room;
	return true;
}

static bool grow_pairs(struct ice_checklist *l)
{
	return l->pair_count < l->pair_room || move_pairs(l, next_room(l->pair_room, l->max_pairs));
}

bool ice_checklist_make_requests(struct ice_pair *p)
{
	if (!p->requests)
		p->requests = calloc(1, sizeof(*p->requests));
	return p->requests != NULL;
}

void ice_checklist_rest(struct ice_checklist *l)
{
	for (size_t i = 0; i < l->pair_count; i++) {
		struct ice_pair *p = &l->pairs[i];

		if (ice_pair_is_checking(p) || ice_pair_has_cancelled(p))
			continue;
		free(p->requests);
		p->requests = NULL;
	}
	if (l->pair_count && l->pair_count < l->pair_room)
		(void)move_pairs(l, l->pair_count);
	if (l->remote_count && l->remote_count < l->remote_room)
		(void)set_remote_room(l, l->remote_count);
}

static struct ice_remote *free_remote(struct ice_checklist *l)
{
	for (size_t i = 0; i < l->remote_count; i++) {
		if (l->remotes[i].addr.family == NETADDR_NONE)
			return &l->remotes[i];
	}
	return grow_remotes(l) ? &l->remotes[l->remote_count++] : NULL;
}

enum err ice_checklist_add_remote(struct ice_checklist *l, const struct ice_candidate *c,
				  size_t *ret_index)
{
	struct ice_remote *r = ice_checklist_find_remote(l, &c->addr);
	struct ice_remote signalled = {
		.addr = c->addr,
		.priority = c->priority > ICE_PRIORITY_MAX ? ICE_PRIORITY_MAX : c->priority,
		.type = c->type,
		.foundation = hash_foundation(FNV_SEED, c->foundation),
	};

	if (!r) {
		r = free_remote(l);
		if (!r)
			return ERR_LIMIT;
		*r = signalled;
	} else if (r->type == ICE_CANDIDATE_PRFLX || r->priority < signalled.priority) {
		*r = signalled;
		compute_priorities(l);
	}
	*ret_index = (size_t)(r - l->remotes);
	return OK;
}

/* Nothing is under way for it, and nothing refers to it. */
static bool is_over(const struct ice_pair *p)
{
	return p->state == ICE_PAIR_FAILED && !p->valid && !p->queued && !ice_pair_is_checking(p) &&
	       !ice_pair_has_cancelled(p);
}

static size_t count_pairs_of(const struct ice_checklist *l, size_t remote)
{
	size_t n = 0;

	for (size_t i = 0; i < l->pair_count; i++)
		n += l->pairs[i].remote == remote && !ice_via_is_none(l->pairs[i].via);
	return n;
}

bool ice_checklist_has_room_for_prflx(struct ice_checklist *l, uint64_t now_us, struct ice_via via)
{
	struct ice_pair *oldest = NULL;
	bool has_succeeded = false;
	size_t count = 0;

	for (size_t i = 0; i < l->pair_count; i++) {
		struct ice_pair *p = &l->pairs[i];

		has_succeeded |= p->proof_us != 0;
		if (!ice_via_equal(p->via, via) ||
		    l->remotes[p->remote].type != ICE_CANDIDATE_PRFLX)
			continue;
		count++;
		if (is_over(p) && now_us >= p->sent_us + ICE_PRFLX_REST_US &&
		    (!oldest || p->sent_us < oldest->sent_us))
			oldest = p;
	}
	if (count < ICE_MAX_PRFLX_A_BASE)
		return true;
	if (!oldest || !has_succeeded)
		return false;
	/* The pair is dead now; if it was the last of its candidate, so is that. */
	oldest->via = ice_via_none();
	if (count_pairs_of(l, oldest->remote) == 0)
		l->remotes[oldest->remote].addr = (struct netaddr){0};
	return true;
}

enum err ice_checklist_add_prflx(struct ice_checklist *l, const struct netaddr *from,
				 uint32_t priority, size_t *ret_index)
{
	struct ice_remote *r = free_remote(l);

	if (!r)
		return DROP_LIMIT;
	*r = (struct ice_remote){
		.addr = *from,
		.priority = priority > ICE_PRIORITY_MAX ? ICE_PRIORITY_MAX : priority,
		.type = ICE_CANDIDATE_PRFLX,
		.foundation = ++l->prflx_count, /* no hash of a text is that small */
	};
	*ret_index = (size_t)(r - l->remotes);
	return OK;
}

size_t ice_checklist_find(const struct ice_checklist *l, struct ice_via via,
			  const struct netaddr *to)
{
	for (size_t i = 0; i < l->pair_count; i++) {
		if (ice_via_equal(l->pairs[i].via, via) && ice_same_address(&l->pairs[i].to, to))
			return i;
	}
	return ICE_NO_PAIR;
}

/* Not begun and not asked for: such a pair may be given up for a better one. */
static bool is_idle(const struct ice_pair *p)
{
	return (p->state == ICE_PAIR_FROZEN || p->state == ICE_PAIR_WAITING) && !p->queued &&
	       !p->valid && !ice_pair_has_cancelled(p);
}

/* How little a pair is needed. */
enum need {
	NEED_NONE,  /* its base is gone */
	NEED_OVER,  /* it has failed; the peer's check brings it back */
	NEED_SHARE, /* not begun, and the other family has less than its share */
	NEED_LATER, /* not begun */
	NEED_NOW,
};

static enum need need_of(const struct ice_pair *p)
{
	if (is_over(p))
		return ice_via_is_none(p->via) ? NEED_NONE : NEED_OVER;
	return is_idle(p) ? NEED_LATER : NEED_NOW;
}

/* Pairs of @family that have not come to an end, less its share of the list. */
static ptrdiff_t excess_of(const struct ice_checklist *l, uint8_t family)
{
	ptrdiff_t n = 0;

	for (size_t i = 0; i < l->pair_count; i++)
		n += l->pairs[i].to.family == family && need_of(&l->pairs[i]) >= NEED_SHARE;
	return n - (ptrdiff_t)(l->max_pairs / ICE_FAMILY_SHARE);
}

/* Return: the pair that gives way to @new, or ICE_NO_PAIR. */
static size_t find_least(const struct ice_checklist *l, const struct ice_pair *new)
{
	uint8_t other = new->to.family == NETADDR_IP4 ? NETADDR_IP6 : NETADDR_IP4;
	bool is_short = excess_of(l, new->to.family)<0, may_take = excess_of(l, other)> 0;
	size_t least = ICE_NO_PAIR;
	enum need best = NEED_NOW;

	for (size_t i = 0; i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];
		enum need need = need_of(p);

		if (need == NEED_LATER && p->to.family == other)
			need = !may_take ? NEED_NOW : is_short ? NEED_SHARE : NEED_LATER;
		if (need == NEED_NOW || (need == NEED_LATER && p->priority >= new->priority))
			continue;
		if (need < best || (need == best && p->priority < l->pairs[least].priority)) {
			least = i;
			best = need;
		}
	}
	return least;
}

/* Return: where @new may go: a new place, or that of the pair that is needed least. */
static size_t make_room(struct ice_checklist *l, const struct ice_pair *new)
{
	size_t least;

	if (l->pair_count < l->max_pairs) {
		if (!grow_pairs(l))
			return ICE_NO_PAIR;
		l->state_count[ICE_PAIR_FROZEN]++;
		return l->pair_count++;
	}
	least = find_least(l, new);
	if (least != ICE_NO_PAIR)
		ice_checklist_set_state(l, &l->pairs[least], ICE_PAIR_FROZEN);
	return least;
}

size_t ice_checklist_pair(struct ice_checklist *l, const struct ice_candidate *local,
			  uint32_t prflx_priority, size_t remote_index)
{
	const struct ice_remote *remote = &l->remotes[remote_index];
	struct ice_pair new = {
		.via = {.socket = local->socket, .relay = local->relay},
		.remote = (uint16_t)remote_index,
		.local_type = local->type,
		.to = remote->addr,
		.local_priority = local->priority,
		.prflx_priority = prflx_priority,
		.foundation = hash_foundation(remote->foundation, local->foundation),
		.is_good = ice_same_address(&remote->addr, &l->good),
		.wants_permit = local->relay != 0,
	};
	size_t at;

	if (!ice_can_pair(&local->base, &remote->addr))
		return ICE_NO_PAIR;
	new.to.scope_id = netaddr_is_link_local(&remote->addr) ? local->base.scope_id : 0;
	compute_priority(l, &new);
	at = ice_checklist_find(l, new.via, &remote->addr);
	if (at != ICE_NO_PAIR) {
		struct ice_pair *p = &l->pairs[at];

		if (is_idle(p) && p->priority < new.priority) {
			p->local_type = new.local_type;
			p->local_priority = new.local_priority;
			p->priority = new.priority;
			p->foundation = new.foundation;
		}
		return at;
	}
	at = make_room(l, &new);
	if (at != ICE_NO_PAIR) {
		l->permits_wanted -= l->pairs[at].wants_permit;
		new.requests = l->pairs[at].requests;
		l->pairs[at] = new;
		l->permits_wanted += new.wants_permit;
	}
	return at;
}

void ice_checklist_set_state(struct ice_checklist *l, struct ice_pair *p, enum ice_pair_state state)
{
	l->state_count[p->state]--;
	l->state_count[state]++;
	p->state = state;
}

/* Others of its foundation wait for what becomes of it. A check that had to be repeated is no
 * reason any more: a relay that came in the place of a dead one has the dead one's foundation, and
 * would have to wait for 39.5 s. */
static bool holds_foundation(const struct ice_pair *p)
{
	return p->state == ICE_PAIR_WAITING || (p->state == ICE_PAIR_IN_PROGRESS && !p->repeated);
}

static bool foundation_is_busy(const struct ice_checklist *l, uint64_t foundation)
{
	for (size_t i = 0; i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];

		if (p->foundation == foundation && holds_foundation(p))
			return true;
	}
	return false;
}

static bool goes_before(const struct ice_pair *a, const struct ice_pair *b)
{
	return a->is_good != b->is_good ? a->is_good : a->priority > b->priority;
}

/* Return: the best pair in @state; with @free_only one whose foundation is not busy. */
static size_t best_in_state(const struct ice_checklist *l, enum ice_pair_state state,
			    bool free_only)
{
	size_t best = ICE_NO_PAIR;

	if (l->state_count[state] == 0)
		return ICE_NO_PAIR;
	for (size_t i = 0; i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];

		if (p->state != state || p->queued)
			continue;
		if (best != ICE_NO_PAIR && !goes_before(p, &l->pairs[best]))
			continue;
		if (free_only && foundation_is_busy(l, p->foundation))
			continue;
		best = i;
	}
	return best;
}

/* True when nothing of the foundation of @l->pairs[@index] is busy and no frozen one is better. */
static bool is_first_of_foundation(const struct ice_checklist *l, size_t index)
{
	const struct ice_pair *first = &l->pairs[index];

	for (size_t i = 0; i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];

		if (i == index || p->foundation != first->foundation)
			continue;
		if (holds_foundation(p))
			return false;
		if (p->state == ICE_PAIR_FROZEN && p->priority > first->priority)
			return false;
	}
	return true;
}

void ice_checklist_thaw(struct ice_checklist *l)
{
	for (size_t i = 0; i < l->pair_count; i++) {
		if (l->pairs[i].state == ICE_PAIR_FROZEN &&
		    (l->pairs[i].is_good || is_first_of_foundation(l, i)))
			ice_checklist_set_state(l, &l->pairs[i], ICE_PAIR_WAITING);
	}
}

void ice_checklist_thaw_foundation(struct ice_checklist *l, uint64_t foundation)
{
	for (size_t i = 0; i < l->pair_count; i++) {
		struct ice_pair *p = &l->pairs[i];

		if (p->state == ICE_PAIR_FROZEN && p->foundation == foundation)
			ice_checklist_set_state(l, p, ICE_PAIR_WAITING);
	}
}

void ice_checklist_trigger(struct ice_checklist *l, size_t index)
{
	struct ice_pair *p = &l->pairs[index];

	if (p->queued)
		return;
	p->queued = true;
	if (l->triggered_count++ == 0)
		l->triggered_first = (uint16_t)index;
	else
		l->pairs[l->triggered_last].next_triggered = (uint16_t)index;
	l->triggered_last = (uint16_t)index;
}

size_t ice_checklist_pop_triggered(struct ice_checklist *l)
{
	size_t index;

	if (l->triggered_count == 0)
		return ICE_NO_PAIR;
	index = l->triggered_first;
	l->triggered_first = l->pairs[index].next_triggered;
	l->triggered_count--;
	l->pairs[index].queued = false;
	return index;
}

void ice_checklist_clear_triggered(struct ice_checklist *l)
{
	while (ice_checklist_pop_triggered(l) != ICE_NO_PAIR)
		;
}

size_t ice_checklist_next(struct ice_checklist *l)
{
	size_t i = best_in_state(l, ICE_PAIR_WAITING, false);

	return i != ICE_NO_PAIR ? i : best_in_state(l, ICE_PAIR_FROZEN, true);
}

bool ice_checklist_has_next(const struct ice_checklist *l)
{
	return l->triggered_count != 0 ||
	       best_in_state(l, ICE_PAIR_WAITING, false) != ICE_NO_PAIR ||
	       best_in_state(l, ICE_PAIR_FROZEN, true) != ICE_NO_PAIR;
}

bool ice_checklist_has_good_next(const struct ice_checklist *l)
{
	for (size_t i = 0; l->good.family != NETADDR_NONE && i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];

		if (p->is_good && p->state == ICE_PAIR_WAITING && !p->queued)
			return true;
	}
	return false;
}

size_t ice_checklist_pending(const struct ice_checklist *l)
{
	return l->state_count[ICE_PAIR_WAITING] + l->state_count[ICE_PAIR_IN_PROGRESS];
}

bool ice_checklist_wants_permit(const struct ice_checklist *l)
{
	return l->permits_wanted != 0;
}

/* The relay of a pair may be gone meanwhile: then nothing is wanted any more. */
size_t ice_checklist_pop_permit(struct ice_checklist *l)
{
	size_t found = ICE_NO_PAIR;

	for (size_t i = 0; l->permits_wanted != 0 && i < l->pair_count; i++) {
		struct ice_pair *p = &l->pairs[i];

		if (!p->wants_permit)
			continue;
		if (p->via.relay) {
			if (found == ICE_NO_PAIR)
				found = i;
			if (!ice_via_equal(p->via, l->pairs[found].via) ||
			    !netaddr_ip_equal(&p->to, &l->pairs[found].to))
				continue;
		}
		p->wants_permit = false;
		l->permits_wanted--;
	}
	return found;
}

void ice_checklist_set_controlling(struct ice_checklist *l, bool controlling)
{
	l->controlling = controlling;
	compute_priorities(l);
}

void ice_checklist_set_valid(struct ice_checklist *l, struct ice_pair *p, uint64_t now_us,
			     const struct netaddr *mapped, enum ice_candidate_type type,
			     uint32_t priority)
{
	if (!p->valid)
		p->valid_since_us = now_us;
	p->valid = true;
	p->unreachable = false;
	p->mapped = *mapped;
	p->local_type = type;
	p->valid_local_priority = priority;
	compute_priority(l, p);
}

bool ice_pair_is_relayed(const struct ice_checklist *l, const struct ice_pair *p)
{
	return p->via.relay || l->remotes[p->remote].type == ICE_CANDIDATE_RELAY;
}

void ice_checklist_set_invalid(struct ice_pair *p)
{
	p->valid = false;
	p->nominated = false;
	p->use_candidate = false;
}

size_t ice_checklist_best(const struct ice_checklist *l)
{
	size_t best = ICE_NO_PAIR;

	for (size_t i = 0; i < l->pair_count; i++) {
		const struct ice_pair *p = &l->pairs[i];
		const struct ice_pair *b = best == ICE_NO_PAIR ? NULL : &l->pairs[best];

		if (!p->valid)
			continue;
		if (!b || (p->nominated && !b->nominated) ||
		    (p->nominated == b->nominated && p->valid_priority > b->valid_priority))
			best = i;
	}
	return best;
}
