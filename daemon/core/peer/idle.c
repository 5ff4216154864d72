/*
 * Peers without traffic. For one that has not been used for IDLE_US, ICE asks for no consent (RFC
 * 7675 s. 5.1) and keeps the path open by an indication every 15 s; after 30 s consent lapses and
 * the data plane has no path any more. The first packet then comes here, waits, and makes ICE ask:
 * one round trip later it goes. What comes from the peer is a proof of consent by itself.
 */
#include "daemon/core/peer/peer.h"

#define IDLE_US (60 * US_PER_S)

static bool is_watched(const struct peer *p)
{
	return p->state == OVERLAY_PEER_CONNECTED && p->current && p->current->agent;
}

void idle_on_use(struct overlay *o, struct peer *p, uint64_t now_us)
{
	p->used_us = now_us;
	if (p->idle && is_watched(p)) {
		p->idle = false;
		p->current->rests = false;
		ice_agent_set_idle(p->current->agent, now_us, false);
	}
	peer_update_timer(o, p);
}

void idle_on_deadline(struct peer *p, uint64_t now_us)
{
	if (now_us < idle_deadline(p))
		return;
	p->idle = true;
	session_rest(p->current);
	ice_agent_set_idle(p->current->agent, now_us, true);
}

uint64_t idle_deadline(const struct peer *p)
{
	return is_watched(p) && !p->idle ? p->used_us + IDLE_US : DEADLINE_NONE;
}

void idle_on_lapsed(struct overlay *o, struct peer *p)
{
	if (p->asleep)
		return;
	p->asleep = true;
	session_tell_no_path(o, p);
}
