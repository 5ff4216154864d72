#include <string.h>

#include "daemon/core/peer/peer.h"

const char *overlay_peer_state_name(enum overlay_peer_state s)
{
	static const char *const names[] = {
		[OVERLAY_PEER_IDLE] = "idle",		[OVERLAY_PEER_LOOKUP] = "looking up",
		[OVERLAY_PEER_OFFERING] = "offering",	[OVERLAY_PEER_CHECKING] = "checking",
		[OVERLAY_PEER_CONNECTED] = "connected", [OVERLAY_PEER_ROAMING] = "roaming",
		[OVERLAY_PEER_FAILED] = "failed",
	};

	_Static_assert(ARRAY_SIZE(names) == OVERLAY_PEER_STATE_COUNT, "a name for each state");
	return s < OVERLAY_PEER_STATE_COUNT ? names[s] : "unknown";
}

const char *overlay_reason_text(enum overlay_reason r)
{
	static const char *const texts[] = {
		[OVERLAY_REASON_NONE] = "",
		[OVERLAY_REASON_ABSENT] = "the peer is not registered with the rendezvous now",
		[OVERLAY_REASON_UNKNOWN] = "the rendezvous knows no such member",
		[OVERLAY_REASON_NO_ANSWER] = "the peer did not answer the offer",
		[OVERLAY_REASON_NO_PATH] = "no pair of addresses works between the two hosts",
		[OVERLAY_REASON_LOST] = "the path stopped working",
		[OVERLAY_REASON_CLOSED] = "the peer has gone down",
		[OVERLAY_REASON_OFFLINE] = "there is no connection to the rendezvous",
		[OVERLAY_REASON_CERTIFICATE] = "the peer's certificate is not acceptable",
		[OVERLAY_REASON_REFUSED] = "the rendezvous refused to forward the offer",
	};

	_Static_assert(ARRAY_SIZE(texts) == OVERLAY_REASON_COUNT, "a text for each reason");
	return r < OVERLAY_REASON_COUNT ? texts[r] : "unknown";
}

void peer_init(struct peer *p, uint32_t number, uint64_t now_us)
{
	*p = (struct peer){
		.in_use = true,
		.number = number,
		.since_us = now_us,
		.retry_us = DEADLINE_NONE,
		.give_up_us = DEADLINE_NONE,
		.rekey_us = DEADLINE_NONE,
		.restart = {.due_us = DEADLINE_NONE,
			    .fresh_us = DEADLINE_NONE,
			    .give_up_us = DEADLINE_NONE},
	};
	heap_node_init(&p->timer);
}

void peer_set_state(struct overlay *o, struct peer *p, uint64_t now_us,
		    enum overlay_peer_state state, enum overlay_reason reason)
{
	struct overlay_event *e;

	if (p->state == state && p->reason == reason)
		return;
	e = event_push(o, OVERLAY_EVENT_PEER_STATE, p->number);
	e->old_state = p->state;
	e->state = state;
	e->reason = reason;
	if (p->state == OVERLAY_PEER_LOOKUP && state != OVERLAY_PEER_LOOKUP)
		directory_end_lookup(o, p);
	p->state = state;
	p->reason = reason;
	p->since_us = now_us;
}

void peer_update_timer(struct overlay *o, struct peer *p)
{
	uint64_t due = deadline_min(p->retry_us, p->give_up_us);

	if (p->state == OVERLAY_PEER_FAILED && p->wants_connection)
		due = deadline_min(due, p->pause_until_us);
	due = deadline_min(due, session_deadline(p));
	due = deadline_min(due, trickle_deadline(p));
	due = deadline_min(due, moved_deadline(p));
	due = deadline_min(due, p->rekey_us);
	due = deadline_min(due, restart_deadline(p));
	due = deadline_min(due, idle_deadline(p));
	due = deadline_min(due, mtu_deadline(p));
	heap_set(&o->timers, &p->timer, due);
}

void peer_retire_sessions(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->current && p->current->has_path)
		session_tell_no_path(o, p);
	session_retire(o, p, p->current, now_us);
	session_retire(o, p, p->next, now_us);
	p->current = NULL;
	p->next = NULL;
	p->retry_us = DEADLINE_NONE;
	p->give_up_us = DEADLINE_NONE;
	p->rekey_us = DEADLINE_NONE;
	p->idle = false;
	p->asleep = false;
	mtu_forget(p);
	p->restart.wanted = OVERLAY_RESTART_NONE;
	p->restart.due_us = DEADLINE_NONE;
	p->restart.fresh_us = DEADLINE_NONE;
	p->restart.give_up_us = DEADLINE_NONE;
}

void peer_drop_sessions(struct overlay *o, struct peer *p, uint64_t now_us)
{
	peer_retire_sessions(o, p, now_us);
	for (size_t i = 0; i < SESSION_MAX_OLD; i++) {
		session_destroy(o, p->old[i], now_us);
		p->old[i] = NULL;
	}
}

void peer_fail(struct overlay *o, struct peer *p, uint64_t now_us, enum overlay_reason reason)
{
	peer_retire_sessions(o, p, now_us);
	o->drops.count[DROP_NO_ROUTE] += packet_clear(o->pool, &p->queue);
	p->wants_connection = false;
	p->pause_us = p->pause_us ? 2 * p->pause_us : BACKOFF_MIN_US;
	if (p->pause_us > BACKOFF_MAX_US)
		p->pause_us = BACKOFF_MAX_US;
	p->pause_until_us = now_us + p->pause_us;
	peer_set_state(o, p, now_us, OVERLAY_PEER_FAILED, reason);
	peer_update_timer(o, p);
}

/* Looks up or offers. */
static void attempt(struct overlay *o, struct peer *p, uint64_t now_us)
{
	p->tries = 1;
	p->retry_us = now_us + US_PER_S;
	p->give_up_us = now_us + OFFER_GIVE_UP_US;
	if (!p->member) {
		directory_begin_lookup(o, p);
		peer_set_state(o, p, now_us, OVERLAY_PEER_LOOKUP, OVERLAY_REASON_NONE);
		directory_send_lookup(o, p);
		return;
	}
	peer_set_state(o, p, now_us, OVERLAY_PEER_OFFERING, OVERLAY_REASON_NONE);
	if (exchange_offer(o, p, now_us) != OK)
		peer_fail(o, p, now_us, OVERLAY_REASON_NO_PATH);
}

void peer_begin_anew(struct overlay *o, struct peer *p, uint64_t now_us)
{
	peer_retire_sessions(o, p, now_us);
	p->wants_connection = true;
	attempt(o, p, now_us);
	peer_update_timer(o, p);
}

void peer_connect(struct overlay *o, struct peer *p, uint64_t now_us)
{
	switch (p->state) {
	case OVERLAY_PEER_LOOKUP:
	case OVERLAY_PEER_OFFERING:
	case OVERLAY_PEER_CHECKING:
	case OVERLAY_PEER_CONNECTED:
	case OVERLAY_PEER_ROAMING:
		return;
	case OVERLAY_PEER_FAILED:
	case OVERLAY_PEER_IDLE:
	case OVERLAY_PEER_STATE_COUNT:
		break;
	}
	p->wants_connection = true;
	if (!overlay_is_registered(o)) {
		p->pause_until_us = DEADLINE_NONE; /* registration goes on */
		peer_set_state(o, p, now_us, OVERLAY_PEER_FAILED, OVERLAY_REASON_OFFLINE);
	} else if (p->state == OVERLAY_PEER_IDLE || now_us >= p->pause_until_us) {
		attempt(o, p, now_us);
	}
	peer_update_timer(o, p);
}

static void retry(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (rekey_retry(o, p, now_us) || restart_retry(o, p, now_us))
		return;
	if (p->tries >= OFFER_TRIES) {
		p->retry_us = DEADLINE_NONE;
		return;
	}
	p->retry_us = now_us + (US_PER_S << p->tries);
	p->tries++;
	if (p->state == OVERLAY_PEER_LOOKUP)
		directory_send_lookup(o, p);
	else if (p->next && p->next->initiator)
		exchange_resend(o, p, p->next);
}

static void give_up(struct overlay *o, struct peer *p, uint64_t now_us)
{
	p->give_up_us = DEADLINE_NONE;
	if (p->state == OVERLAY_PEER_LOOKUP) {
		peer_fail(o, p, now_us, OVERLAY_REASON_UNKNOWN);
	} else if (p->state == OVERLAY_PEER_OFFERING) {
		peer_fail(o, p, now_us, OVERLAY_REASON_NO_ANSWER);
	} else if (p->state == OVERLAY_PEER_CHECKING) {
		/* Our answer has not arrived, it seems, and the peer has given its offer up. */
		if (p->queue.count > 0 && !p->current->shared)
			peer_begin_anew(o, p, now_us);
	} else if (p->next) {
		/* A second session that did not come about; the first one lives on. */
		session_retire(o, p, p->next, now_us);
		p->next = NULL;
		p->retry_us = DEADLINE_NONE;
	}
}

void peer_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	session_on_deadline(o, p, now_us);
	trickle_on_deadline(o, p, now_us);
	moved_on_deadline(o, p, now_us);
	if (now_us >= p->rekey_us)
		rekey_on_deadline(o, p, now_us);
	restart_on_deadline(o, p, now_us);
	idle_on_deadline(p, now_us);
	mtu_on_deadline(o, p, now_us);
	if (now_us >= p->give_up_us)
		give_up(o, p, now_us);
	else if (now_us >= p->retry_us)
		retry(o, p, now_us);
	if (p->state == OVERLAY_PEER_FAILED && p->wants_connection && now_us >= p->pause_until_us)
		peer_connect(o, p, now_us);
	peer_update_timer(o, p);
}

void peer_on_error(struct overlay *o, struct peer *p, uint64_t now_us, enum signal_error error)
{
	enum overlay_reason reason = error == SIGNAL_ERROR_ABSENT    ? OVERLAY_REASON_ABSENT
				     : error == SIGNAL_ERROR_UNKNOWN ? OVERLAY_REASON_UNKNOWN
								     : OVERLAY_REASON_REFUSED;

	/* "Busy" and "too fast" pass: the same message goes again at its time. */
	if (error == SIGNAL_ERROR_BUSY || error == SIGNAL_ERROR_RATE)
		return;
	if (error == SIGNAL_ERROR_ABSENT)
		p->present = false;
	if (p->state == OVERLAY_PEER_LOOKUP || p->state == OVERLAY_PEER_OFFERING)
		peer_fail(o, p, now_us, reason);
}

static void on_agent_state(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
			   enum ice_agent_state state)
{
	switch (state) {
	case ICE_AGENT_NEW:
	case ICE_AGENT_CHECKING:
	case ICE_AGENT_CONNECTED:
	case ICE_AGENT_COMPLETED:
		return;
	case ICE_AGENT_DISCONNECTED:
	case ICE_AGENT_FAILED:
		break;
	}
	if (s == p->next) {
		session_retire(o, p, s, now_us);
		p->next = NULL;
		if (!p->current)
			peer_fail(o, p, now_us, OVERLAY_REASON_NO_PATH);
	} else if (s->has_path && s->shared) {
		restart_on_lost(o, p, now_us, OVERLAY_RESTART_PATH_LOST);
	} else if (p->state != OVERLAY_PEER_ROAMING) {
		peer_fail(o, p, now_us, OVERLAY_REASON_NO_PATH);
	}
}

void peer_on_ice(struct overlay *o, uint64_t now_us, const struct ice_event *e)
{
	struct peer *p = e->cookie;
	struct session *s = p ? session_of_agent(p, e->agent) : NULL;

	if (!s)
		return;
	if (e->type == ICE_EVENT_STATE)
		on_agent_state(o, p, s, now_us, e->state);
	else if (e->type != ICE_EVENT_PATH)
		restart_on_ice(o, p, now_us, e);
	else if (e->has_path && s->secret)
		session_on_path(o, p, s, now_us, &e->path);
	peer_update_timer(o, p);
}
