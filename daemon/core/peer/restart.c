/*
 * Restarts: the same session over a next ICE generation and new keys (RFC 8445 s. 9).
 *
 *	wanted    something has changed, see enum overlay_restart_cause. Not while one is under
 *		  way: it has the new candidates by trickle
 *	begun     the offer went out, inside the tunnel and through the rendezvous, and goes again
 *		  after 0.5, 1, 2, 4 s and then every 4 s, and 100 ms after an offer that shows that
 *		  the peer has not seen ours; or the peer's offer was answered
 *	has path  ICE has a valid pair: the host that offered asks with the new keys, every 100 ms
 *	switched  something authenticated came over it: it carries the data
 *	failed    39.5 s are over. The old path stays; it is tried again after 1, 2, 4 ... 60 s
 *
 * Roaming is a session without a path: the same, with packets waiting. When nobody answers the
 * offer for 3 s though the rendezvous knows the peer, the peer may have forgotten the session, and
 * a new one is offered. After 60 s without a path, not counting those without the rendezvous, it is
 * given up.
 *
 * A TURN server that has lost an allocation has lost those of others, too: paths over it, and
 * relayed ones that nothing comes back on, are not waited for any longer.
 *
 * When both have the keys of a restart and it has found nothing for a second, though a packet waits
 * or what goes out is not answered, another one begins, then only after 2, 4 and each 8 s: what was
 * in the way may be gone, and ICE's own repetitions have become slow.
 *
 * Of many peers that want a restart at once, those with packets waiting begin first, then the
 * busiest.
 *
 * A relayed path, here or there, is tried to be made direct as ICE advises. One that was made
 * direct by either host and did not stay so for 5 min earns a pause at both: 60 s, doubling to an
 * hour, so that a path that works now and then does not make the session flap.
 */
#include <string.h>

#include "daemon/core/peer/peer.h"

#define RESEND_FIRST_US (500 * US_PER_MS)
#define RESEND_MAX_US	(4 * US_PER_S)
#define PAUSE_MIN_US	(1 * US_PER_S)
#define PAUSE_MAX_US	(60 * US_PER_S)
#define UNANSWERED_US	(900 * US_PER_MS)
#define FRESH_US	(3 * US_PER_S)
#define GIVE_UP_US	(60 * US_PER_S)
#define AGAIN_MIN_US	(1 * US_PER_S)
#define AGAIN_MAX_US	(8 * US_PER_S)
/* Causes that say "perhaps" are not acted on more often than this. */
#define SPACING_US (2 * US_PER_S)
/* Who goes first when many peers want a restart at once. */
#define BUSY_DELAY_US	(1 * US_PER_MS)
#define QUIET_DELAY_US	(20 * US_PER_MS)
#define HOLD_MIN_US	(60 * US_PER_S)
#define HOLD_MAX_US	(3600 * US_PER_S)
#define HOLD_LASTING_US (300 * US_PER_S)

const char *overlay_restart_cause_text(enum overlay_restart_cause c)
{
	static const char *const texts[] = {
		[OVERLAY_RESTART_NONE] = "",
		[OVERLAY_RESTART_ADDRESS_LOST] = "the local address of the path has gone",
		[OVERLAY_RESTART_ADDRESS_NEW] = "there is a better local address",
		[OVERLAY_RESTART_MAPPING] = "the NAT gives us another address",
		[OVERLAY_RESTART_REROUTED] = "the local address leads into another network",
		[OVERLAY_RESTART_PATH_LOST] = "nothing came back on the path",
		[OVERLAY_RESTART_SEND_ERROR] = "the system refused to send on the path",
		[OVERLAY_RESTART_RELAY_GOES] = "the relay of the path is given up",
		[OVERLAY_RESTART_RELAYED] = "a direct path may be possible",
		[OVERLAY_RESTART_RESUMED] = "the host has slept",
		[OVERLAY_RESTART_ASKED] = "it was asked for",
		[OVERLAY_RESTART_PEER] = "the peer began it",
	};

	_Static_assert(ARRAY_SIZE(texts) == OVERLAY_RESTART_CAUSE_COUNT, "a text for each cause");
	return c < OVERLAY_RESTART_CAUSE_COUNT ? texts[c] : "unknown";
}

static void tell(struct overlay *o, const struct peer *p, enum overlay_restart_step step)
{
	struct overlay_event *e = event_push(o, OVERLAY_EVENT_RESTART, p->number);

	e->restart_cause = p->restart.last;
	e->restart_step = step;
}

static bool has_session(const struct peer *p)
{
	return p->current && p->current->agent && p->current->secret;
}

static bool is_under_way(const struct peer *p)
{
	return p->next && (p->next->restart || p->next->agent);
}

/* --- wanting --- */

static bool is_certain(enum overlay_restart_cause cause)
{
	switch (cause) {
	case OVERLAY_RESTART_ADDRESS_LOST:
	case OVERLAY_RESTART_REROUTED:
	case OVERLAY_RESTART_PATH_LOST:
	case OVERLAY_RESTART_RESUMED:
	case OVERLAY_RESTART_ASKED:
		return true;
	case OVERLAY_RESTART_NONE:
	case OVERLAY_RESTART_ADDRESS_NEW:
	case OVERLAY_RESTART_MAPPING:
	case OVERLAY_RESTART_SEND_ERROR:
	case OVERLAY_RESTART_RELAY_GOES:
	case OVERLAY_RESTART_RELAYED:
	case OVERLAY_RESTART_PEER:
	case OVERLAY_RESTART_CAUSE_COUNT:
		break;
	}
	return false;
}

static uint64_t delay_of(const struct peer *p)
{
	if (p->queue.count > 0)
		return 0;
	return p->activity > 0 ? BUSY_DELAY_US : QUIET_DELAY_US;
}

void restart_want(struct overlay *o, struct peer *p, uint64_t now_us,
		  enum overlay_restart_cause cause)
{
	struct peer_restart *r = &p->restart;
	uint64_t due_us = now_us + delay_of(p);

	if (!has_session(p) || is_under_way(p))
		return;
	if (!is_certain(cause) && r->last_us && due_us < r->last_us + SPACING_US)
		due_us = r->last_us + SPACING_US;
	ice_agent_set_worth(p->current->agent, p->queue.count > 0 ? UINT32_MAX : p->activity);
	if (r->wanted == OVERLAY_RESTART_NONE || due_us < r->due_us || is_certain(cause))
		r->wanted = cause;
	r->due_us = deadline_min(r->due_us, due_us);
	peer_update_timer(o, p);
}

void restart_on_new_socket(struct overlay *o, uint64_t now_us, uint16_t local_preference)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];
		uint16_t present;

		if (!p->in_use || !has_session(p))
			continue;
		if (p->state == OVERLAY_PEER_ROAMING) {
			restart_want(o, p, now_us, OVERLAY_RESTART_ADDRESS_NEW);
			p->restart.due_us = deadline_min(p->restart.due_us, now_us + delay_of(p));
			peer_update_timer(o, p);
		} else if (p->current->has_path && p->current->path.relay == 0 &&
			   ice_engine_socket_preference(o->ice, p->current->path.socket,
							&present) &&
			   local_preference > present) {
			restart_want(o, p, now_us, OVERLAY_RESTART_ADDRESS_NEW);
		}
	}
}

static uint16_t preference_of(const struct overlay *o, const struct overlay_preference *list,
			      size_t count, uint16_t socket)
{
	uint16_t preference = 0;

	for (size_t i = 0; i < count; i++) {
		if (list[i].socket == socket)
			return list[i].local_preference;
	}
	(void)ice_engine_socket_preference(o->ice, socket, &preference);
	return preference;
}

/* Another address was worse than that of @socket, and will be better. */
static bool is_overtaken(const struct overlay *o, const struct overlay_preference *list,
			 size_t count, uint16_t socket)
{
	uint16_t own_after = preference_of(o, list, count, socket), own_before, before;

	if (!ice_engine_socket_preference(o->ice, socket, &own_before))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (ice_engine_socket_preference(o->ice, list[i].socket, &before) &&
		    before < own_before && list[i].local_preference > own_after)
			return true;
	}
	return false;
}

void restart_on_preferences(struct overlay *o, uint64_t now_us,
			    const struct overlay_preference *list, size_t count)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (p->in_use && has_session(p) && p->current->has_path &&
		    p->current->path.relay == 0 &&
		    is_overtaken(o, list, count, p->current->path.socket))
			restart_want(o, p, now_us, OVERLAY_RESTART_ADDRESS_NEW);
	}
}

void restart_on_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
		       const struct netaddr *to, enum overlay_restart_cause cause)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (p->in_use && has_session(p) && p->current->has_path &&
		    p->current->path.socket == socket &&
		    (!to || netaddr_equal(&p->current->path.remote, to)))
			restart_want(o, p, now_us, cause);
	}
}

static bool is_relayed(const struct ice_path *path)
{
	return path->relay != 0 || path->remote_type == ICE_CANDIDATE_RELAY;
}

void restart_on_relay_lost(struct overlay *o, uint64_t now_us, uint16_t relay)
{
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if (!p->in_use || !has_session(p) || !p->current->has_path)
			continue;
		if (p->current->path.relay == relay ||
		    (p->unanswered_us && is_relayed(&p->current->path)))
			restart_want(o, p, now_us, OVERLAY_RESTART_PATH_LOST);
	}
}

enum err overlay_restart(struct overlay *o, uint64_t now_us, uint32_t peer)
{
	struct peer *p = directory_get(o, peer);

	if (!p)
		return ERR_NOT_FOUND;
	if (!has_session(p) || is_under_way(p))
		return ERR_WRONG_STATE;
	restart_want(o, p, now_us, OVERLAY_RESTART_ASKED);
	return OK;
}

void overlay_on_resume(struct overlay *o, uint64_t now_us)
{
	ice_engine_gather_again(o->ice, now_us, ICE_NO_SOCKET);
	relays_verify(o->relays, now_us);
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		if (!o->peers[n].in_use)
			continue;
		restart_want(o, &o->peers[n], now_us, OVERLAY_RESTART_RESUMED);
		restart_hurry(o, &o->peers[n], now_us);
	}
	overlay_drain_ice(o, now_us);
}

/* --- beginning --- */

void restart_on_begun(struct overlay *o, struct peer *p, uint64_t now_us,
		      enum overlay_restart_cause cause)
{
	struct peer_restart *r = &p->restart;

	r->wanted = OVERLAY_RESTART_NONE;
	r->due_us = DEADLINE_NONE;
	r->last = cause;
	r->last_us = now_us;
	r->begun++;
	/* The new generation should not begin with dead relays, and may need one though the path
	 * did not. */
	if (cause != OVERLAY_RESTART_RELAYED)
		relays_verify(o->relays, now_us);
	tell(o, p, OVERLAY_RESTART_BEGUN);
}

static void begin(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;
	enum overlay_restart_cause cause = r->wanted;

	r->wanted = OVERLAY_RESTART_NONE;
	r->due_us = DEADLINE_NONE;
	if (cause == OVERLAY_RESTART_NONE || !has_session(p) || is_under_way(p))
		return;
	if (exchange_offer_restart(o, p, now_us) != OK) {
		r->wanted = cause;
		r->due_us = now_us + PAUSE_MIN_US;
		return;
	}
	p->tries = 0;
	p->retry_us = now_us + RESEND_FIRST_US;
	if (p->state == OVERLAY_PEER_ROAMING)
		r->fresh_us = now_us + FRESH_US;
	restart_on_begun(o, p, now_us, cause);
}

bool restart_retry(struct overlay *o, struct peer *p, uint64_t now_us)
{
	uint64_t wait_us;

	if (!p->next || !p->next->restart)
		return false;
	p->retry_us = DEADLINE_NONE;
	if (p->next->noise) {
		exchange_resend(o, p, p->next);
		wait_us = RESEND_FIRST_US << (p->tries < 3 ? ++p->tries : 3);
		p->retry_us = now_us + (wait_us < RESEND_MAX_US ? wait_us : RESEND_MAX_US);
	}
	return true;
}

void restart_hurry(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;

	if (p->next && p->next->restart && p->next->noise) {
		p->tries = 0;
		p->retry_us = now_us;
		r->fresh_us = now_us + FRESH_US;
	} else if (p->state == OVERLAY_PEER_ROAMING && r->wanted != OVERLAY_RESTART_NONE) {
		r->due_us = now_us;
	}
	trickle_hurry(p, now_us);
	peer_update_timer(o, p);
}

/* Return: true when the restart under way has found nothing for long enough; it is given up. An
 * offer that is not answered yet goes again by itself, and what the peer is heard on will do. */
static bool give_up_fruitless(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;
	uint64_t again_us = r->again_us ? r->again_us : AGAIN_MIN_US, wait_us = again_us;

	if (!p->next || !p->next->restart || !p->next->secret || p->next->heard)
		return false;
	/* Our answer may have a long way, or be lost: then the offer comes again. */
	if (!p->next->shared && wait_us < RESEND_MAX_US)
		wait_us = RESEND_MAX_US;
	if (now_us < p->next->rekey.born_us + wait_us || now_us < r->last_us + SPACING_US)
		return false;
	session_retire(o, p, p->next, now_us);
	p->next = NULL;
	r->again_us = 2 * again_us < AGAIN_MAX_US ? 2 * again_us : AGAIN_MAX_US;
	return true;
}

/* Traffic that wants no answer gets one by this: a PONG. */
void restart_on_unanswered(struct overlay *o, struct peer *p, uint64_t now_us)
{
	static const struct control_message m = {.type = CONTROL_PING, .id = CONTROL_PATH_PING};

	if (p->unanswered_us == 0) {
		p->unanswered_us = now_us;
	} else if (now_us >= p->unanswered_us + UNANSWERED_US &&
		   p->restart.wanted == OVERLAY_RESTART_NONE) {
		(void)give_up_fruitless(o, p, now_us);
		restart_want(o, p, now_us, OVERLAY_RESTART_PATH_LOST);
	}
	if (session_send_control(o, p->current, &m) != OK)
		o->drops.count[DROP_SEND]++;
}

void restart_on_packet(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->state != OVERLAY_PEER_ROAMING || !has_session(p))
		return;
	ice_agent_set_worth(p->current->agent, UINT32_MAX);
	if (give_up_fruitless(o, p, now_us))
		restart_want(o, p, now_us, p->restart.last);
}

enum err restart_on_control(struct overlay *o, struct peer *p, uint64_t now_us,
			    const struct control_message *m)
{
	const uint8_t *body;
	size_t len;

	if (m->body_len < SIGNAL_XID_BYTES)
		return DROP_TRUNCATED;
	body = m->body + SIGNAL_XID_BYTES;
	len = m->body_len - SIGNAL_XID_BYTES;
	return m->type == CONTROL_RESTART_OFFER
		       ? exchange_on_offer(o, p, now_us, m->body, body, len)
		       : exchange_on_answer(o, p, now_us, m->body, body, len);
}

/* --- ending --- */

/* A session that became direct by an upgrade and is not any more has not lasted. */
static void judge_upgrade(struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;

	if (r->upgraded_us == 0)
		return;
	if (now_us < r->upgraded_us + HOLD_LASTING_US) {
		r->hold_us = r->hold_us ? 2 * r->hold_us : HOLD_MIN_US;
		if (r->hold_us > HOLD_MAX_US)
			r->hold_us = HOLD_MAX_US;
		r->hold_until_us = now_us + r->hold_us;
	} else {
		r->hold_us = 0;
	}
	r->upgraded_us = 0;
}

void restart_on_moved(struct peer *p, uint64_t now_us, const struct ice_path *path)
{
	if (is_relayed(path))
		judge_upgrade(p, now_us);
}

void restart_on_switched(struct overlay *o, struct peer *p, uint64_t now_us,
			 const struct ice_path *before)
{
	struct peer_restart *r = &p->restart;
	bool may_be_upgrade = r->last == OVERLAY_RESTART_RELAYED || r->last == OVERLAY_RESTART_PEER;

	r->switched++;
	r->pause_us = 0;
	r->again_us = 0;
	r->fresh_us = DEADLINE_NONE;
	r->give_up_us = DEADLINE_NONE;
	restart_on_moved(p, now_us, &p->current->path);
	if (before && is_relayed(before) && !is_relayed(&p->current->path) && may_be_upgrade)
		r->upgraded_us = now_us;
	tell(o, p, OVERLAY_RESTART_SWITCHED);
}

static void on_failed(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;
	bool again = r->last != OVERLAY_RESTART_RELAYED && r->last != OVERLAY_RESTART_PEER;

	if (!p->next || !p->next->restart)
		return;
	session_retire(o, p, p->next, now_us);
	p->next = NULL;
	p->retry_us = DEADLINE_NONE;
	r->fresh_us = DEADLINE_NONE;
	r->failed++;
	tell(o, p, OVERLAY_RESTART_FAILED);
	if (!again && p->state != OVERLAY_PEER_ROAMING)
		return;
	r->pause_us = r->pause_us ? 2 * r->pause_us : PAUSE_MIN_US;
	if (r->pause_us > PAUSE_MAX_US)
		r->pause_us = PAUSE_MAX_US;
	r->wanted = again ? r->last : OVERLAY_RESTART_PATH_LOST;
	r->due_us = now_us + r->pause_us;
}

void restart_on_lost(struct overlay *o, struct peer *p, uint64_t now_us,
		     enum overlay_restart_cause cause)
{
	struct session *next = p->next;

	p->current->has_path = false;
	session_tell_no_path(o, p);
	judge_upgrade(p, now_us);
	peer_set_state(o, p, now_us, OVERLAY_PEER_ROAMING, OVERLAY_REASON_LOST);
	p->restart.give_up_us = now_us + GIVE_UP_US;
	p->restart.again_us = 0;
	if (next && (next->restart || next->agent) && next->has_path)
		session_on_path(o, p, next, now_us, &next->path);
	if (p->state != OVERLAY_PEER_ROAMING)
		return;
	if (next && next->restart && next->noise)
		p->restart.fresh_us = now_us + FRESH_US;
	/* What made us want one already, an address that has gone say, tells more. */
	if (p->restart.wanted != OVERLAY_RESTART_NONE && is_certain(p->restart.wanted))
		cause = p->restart.wanted;
	restart_want(o, p, now_us, cause);
}

void restart_on_ice(struct overlay *o, struct peer *p, uint64_t now_us, const struct ice_event *e)
{
	struct session *next = p->next;

	if (e->type == ICE_EVENT_UPGRADE_ADVISED) {
		if (now_us >= p->restart.hold_until_us)
			restart_want(o, p, now_us, OVERLAY_RESTART_RELAYED);
	} else if (e->type == ICE_EVENT_NEXT_FAILED) {
		on_failed(o, p, now_us);
	} else if (e->type == ICE_EVENT_NEXT_PATH && next && next->restart && next->secret) {
		if (!e->has_path) {
			next->has_path = false;
			return;
		}
		next->generation = e->generation;
		session_on_path(o, p, next, now_us, &e->path);
	}
}

/* Roaming, and nobody answers, or nothing comes of it. */
static void serve_roaming(struct overlay *o, struct peer *p, uint64_t now_us)
{
	struct peer_restart *r = &p->restart;
	bool registered = overlay_is_registered(o);

	if (now_us >= r->fresh_us) {
		r->fresh_us = now_us + FRESH_US;
		if (registered && p->present && p->next && p->next->noise) {
			peer_begin_anew(o, p, now_us);
			return;
		}
	}
	if (now_us < r->give_up_us)
		return;
	if (!registered) {
		r->give_up_us = now_us + GIVE_UP_US;
		return;
	}
	peer_fail(o, p, now_us, OVERLAY_REASON_LOST);
	p->pause_until_us = now_us; /* the next packet may try at once */
}

void restart_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->state == OVERLAY_PEER_ROAMING) {
		serve_roaming(o, p, now_us);
	} else {
		p->restart.fresh_us = DEADLINE_NONE;
		p->restart.give_up_us = DEADLINE_NONE;
	}
	if (now_us >= p->restart.due_us)
		begin(o, p, now_us);
}

uint64_t restart_deadline(const struct peer *p)
{
	uint64_t due = deadline_min(p->restart.due_us, p->restart.fresh_us);

	return deadline_min(due, p->restart.give_up_us);
}
