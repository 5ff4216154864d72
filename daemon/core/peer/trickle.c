/*
 * Trickle (RFC 8838): offer and answer go out with the candidates that are known; those that come
 * later follow in CANDIDATES messages, sealed with the session's keys, inside the tunnel when it has a
 * path and through the rendezvous when not. A session belongs to one ICE generation, so its receiver
 * index says which generation a candidate is for. Each message carries all candidates, which makes a
 * lost one harmless; the agent passes over what it knows.
 */
#include <string.h>

#include "daemon/core/peer/peer.h"
#include "daemon/core/signal/description.h"

static size_t encode(struct overlay *o, uint8_t *out, size_t cap)
{
	struct wr w = wr_init(out, cap);
	const struct ice_candidate *c;
	size_t count;

	c = ice_engine_local_candidates(o->ice, &count);
	item_wr_array(&w, count + 1);
	item_wr_bool(&w, ice_engine_is_gathered(o->ice));
	for (size_t i = 0; i < count; i++)
		signal_candidate_write(&w, &c[i]);
	return wr_ok(&w) ? wr_len(&w) : 0;
}

void trickle_send(struct overlay *o, struct peer *p, struct session *s)
{
	uint8_t body[CONTROL_MAX_BYTES - 1];
	struct control_message m = {.type = CONTROL_CANDIDATES, .body = body};
	enum err e;

	s->candidates_version = o->candidates_version;
	m.body_len = encode(o, body, sizeof(body));
	e = m.body_len == 0 ? ERR_NO_SPACE
	    : s->has_path   ? session_send_control(o, s, &m)
			    : session_forward_control(o, p, s, &m);
	if (e != OK)
		o->drops.count[DROP_SEND]++;
}

void trickle_on_local(struct overlay *o)
{
	o->candidates_version++;
	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];
		struct session *all[] = {p->current, p->next};

		for (size_t i = 0; p->in_use && i < ARRAY_SIZE(all); i++) {
			if (all[i] && all[i]->agent && all[i]->tx)
				trickle_send(o, p, all[i]);
		}
	}
}

enum err trickle_on_message(struct session *s, uint64_t now_us, const uint8_t *body, size_t len)
{
	struct item_rd r = item_rd_init(body, len);
	size_t count = item_rd_array(&r, ICE_MAX_CANDIDATES + 1);
	struct ice_candidate candidates[ICE_MAX_CANDIDATES];
	size_t usable = 0;
	bool end = item_rd_bool(&r);

	if (!s->agent)
		return DROP_STATE;
	for (size_t i = 1; i < count && item_rd_ok(&r); i++)
		usable += signal_candidate_read(&r, &candidates[usable]);
	if (!item_rd_at_end(&r))
		return DROP_MALFORMED;
	for (size_t i = 0; i < usable; i++) {
		/* What is known, blocked or too much is no reason to stop. */
		enum err ignored =
			ice_agent_add_remote_candidate(s->agent, now_us, NULL, &candidates[i]);

		(void)ignored;
	}
	if (end)
		ice_agent_end_remote(s->agent, now_us, NULL);
	return OK;
}
