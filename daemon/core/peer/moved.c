/*
 * The path was lost, and ICE had another pair of the generation standing by: the peer is told
 * inside the tunnel, in MOVED, and does not have to find out by itself. Where we control, ICE
 * nominates that pair as well; where the peer does, it nominates it now. MOVED goes again after
 * 0.1, 0.2, 0.4, 0.8 s until the pair is nominated. It names the pair, so where the packet comes
 * from does not matter; and it is numbered by the paths that were lost, so one that comes late does
 * not count. A peer that does not know it finds out by consent, and the restart goes on beside.
 */
#include "daemon/core/peer/peer.h"

#define AGAIN_US (100 * US_PER_MS)
#define TIMES	 5 /* in all */

static void tell(struct overlay *o, struct session *s, uint64_t now_us)
{
	const struct control_message m = {.type = CONTROL_MOVED,
					  .number = s->path.lost,
					  .sender = s->path.local,
					  .reader = s->path.remote};

	s->moved_us = DEADLINE_NONE;
	if (!s->has_path || s->moved_told == TIMES)
		return;
	s->moved_us = now_us + (AGAIN_US << s->moved_told++);
	if (session_send_control(o, s, &m) != OK)
		o->drops.count[DROP_SEND]++;
}

void moved_on_path(struct overlay *o, struct session *s, uint64_t now_us,
		   const struct ice_path *before)
{
	if (before->generation == s->path.generation && before->lost != s->path.lost) {
		s->moved_told = 0;
		tell(o, s, now_us);
	}
	if (s->path.nominated && s->moved_told > 0)
		s->moved_us = DEADLINE_NONE;
}

enum err moved_on_control(const struct peer *p, struct session *s, uint64_t now_us,
			  const struct control_message *m)
{
	enum err e;

	if (s != p->current || !s->agent || m->number <= s->moved_seen)
		return DROP_STALE;
	e = ice_agent_on_peer_moved(s->agent, now_us, &m->sender, &m->reader);
	if (e == OK)
		s->moved_seen = m->number;
	return e;
}

void moved_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->current && now_us >= p->current->moved_us)
		tell(o, p->current, now_us);
}

uint64_t moved_deadline(const struct peer *p)
{
	return p->current ? p->current->moved_us : DEADLINE_NONE;
}
