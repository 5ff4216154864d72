/*
 * Trickle (RFC 8838): offer and answer go out with the candidates that are known; those that come
 * later follow in CANDIDATES messages, sealed with the session's keys, inside the tunnel when it
 * has a path that is long enough, and through the rendezvous when not. A session belongs to one ICE
 * generation, so its receiver index says which generation a candidate is for (RFC 8838 s. 10 has
 * the ufrag for that). Each message carries all candidates; the agent passes over what it knows.
 * Until something has come over the session's path it goes again after 0.5, 1, 2, 4 s and then
 * every 8 s, and once more over that path: it may have been lost.
 *
 * We never say that no candidate will follow: addresses come and go, and a TURN server that has
 * restarted gives another one, while the peer still checks. A peer that says so is believed.
 */
#include "daemon/core/peer/peer.h"
#include "daemon/core/signal/description.h"

#define TELL_FIRST_US	(500 * US_PER_MS)
#define TELL_MAX_DOUBLE 4

/* Whether the session's path takes @m. */
static bool is_carried(const struct peer *p, const struct session *s,
		       const struct control_message *m)
{
	return s->has_path && s->shared &&
	       (s != p->current || !p->mtu.is_known || m->body_len < p->mtu.pmtu.size);
}

void trickle_send(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us)
{
	uint8_t body[CONTROL_MAX_BYTES - 1];
	struct control_message m = {.type = CONTROL_CANDIDATES, .body = body};
	struct signal_candidates c = {.end = false};
	enum err e;

	s->candidates_version = o->candidates_version;
	s->tell_us = s->heard ? DEADLINE_NONE : now_us + (TELL_FIRST_US << s->told);
	if (s->told < TELL_MAX_DOUBLE)
		s->told++;
	c.local = ice_engine_local_candidates(o->ice, &c.count);
	e = signal_candidates_encode(&c, body, sizeof(body), &m.body_len);
	if (e == OK)
		e = is_carried(p, s, &m) ? session_send_control(o, s, &m)
					 : session_forward_control(o, p, s, &m);
	if (e != OK)
		o->drops.count[DROP_SEND]++;
}

void trickle_on_local(struct overlay *o, uint64_t now_us)
{
	o->candidates_version++;
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];
		struct session *all[] = {p->current, p->next};

		for (size_t i = 0; p->in_use && i < ARRAY_SIZE(all); i++) {
			if (!all[i] || !(all[i]->agent || all[i]->restart) || !all[i]->secret)
				continue;
			all[i]->told = 0;
			trickle_send(o, p, all[i], now_us);
		}
		if (p->in_use)
			peer_update_timer(o, p);
	}
}

void trickle_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us)
{
	if (p->current && now_us >= p->current->tell_us)
		trickle_send(o, p, p->current, now_us);
	if (p->next && now_us >= p->next->tell_us)
		trickle_send(o, p, p->next, now_us);
}

uint64_t trickle_deadline(const struct peer *p)
{
	uint64_t due = p->current ? p->current->tell_us : DEADLINE_NONE;

	return p->next ? deadline_min(due, p->next->tell_us) : due;
}

void trickle_hurry(struct peer *p, uint64_t now_us)
{
	if (p->current && p->current->tell_us != DEADLINE_NONE)
		p->current->tell_us = now_us;
	if (p->next && p->next->tell_us != DEADLINE_NONE)
		p->next->tell_us = now_us;
}

enum err trickle_on_message(struct peer *p, struct session *s, uint64_t now_us, const uint8_t *body,
			    size_t len)
{
	struct ice_agent *agent = s->agent || s->restart ? session_agent(p, s) : NULL;
	struct signal_candidates c;
	const char *ufrag = s->remote_ufrag;
	enum err e = agent ? signal_candidates_decode(body, len, &c) : DROP_STATE;

	if (e != OK)
		return e;
	for (size_t i = 0; i < c.count; i++) {
		/* What is known, blocked or too much is no reason to stop. */
		enum err ignored =
			ice_agent_add_remote_candidate(agent, now_us, ufrag, &c.remote[i]);

		(void)ignored;
	}
	if (c.end)
		ice_agent_end_remote(agent, now_us, ufrag);
	return OK;
}
