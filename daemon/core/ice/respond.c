/* The side that answers: Binding requests from the peer and from strangers (RFC 8445 s. 7.3). */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fnv.h"
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"
#include "daemon/core/stun/writer.h"

/* What is said in return for a request. */
struct reply {
	uint16_t error;	 /* 0 = success */
	const char *pwd; /* NULL: the requester is a stranger */
};

static void send_reply(struct ice_engine *e, struct ice_via via, const struct netaddr *to,
		       const struct stun_message *m, const struct reply *reply)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct stun_writer w;
	size_t len;

	stun_write_begin(&w, buf, sizeof(buf), reply->error ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS,
			 m->method, m->txid);
	if (reply->error)
		stun_write_error(&w, reply->error);
	else
		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, to);
	if (reply->error == STUN_ERROR_UNKNOWN_ATTRIBUTE)
		stun_write_unknown(&w, &m->unknown);
	if (stun_write_finish(&w, reply->pwd, reply->pwd ? strlen(reply->pwd) : 0, true, &len) !=
	    OK)
		return;
	/* Nobody is to gain by sending us requests in somebody else's name. */
	if (!reply->pwd && len > 3 * m->len)
		return;
	ice_engine_transmit(e, via, to, buf, len);
}

/* An error for somebody who could not prove anything (RFC 8489 s. 9.1.3): a bucket of one second's
 * worth of replies. */
static void refuse_stranger(struct ice_engine *e, uint64_t now_us, struct ice_via via,
			    const struct netaddr *to, const struct stun_message *m, uint16_t error)
{
	uint64_t cost_us = US_PER_S / ICE_STRANGER_REPLIES_PER_S;

	if (e->stranger_us + US_PER_S < now_us)
		e->stranger_us = now_us - US_PER_S;
	if (e->stranger_us + cost_us > now_us)
		return;
	e->stranger_us += cost_us;
	send_reply(e, via, to, m, &(struct reply){.error = error});
}

/* RFC 8445 s. 7.3.1.1. Return: false when the answer is 487. */
static bool resolve_role(struct ice_agent *a, const struct stun_message *m)
{
	if (a->controlling && stun_has(m, STUN_ICE_CONTROLLING)) {
		if (a->lite_peer || a->tie_breaker >= m->ice_controlling)
			return false;
		ice_agent_switch_role(a, false);
	} else if (!a->controlling && stun_has(m, STUN_ICE_CONTROLLED)) {
		if (a->tie_breaker < m->ice_controlled)
			return false;
		ice_agent_switch_role(a, true);
	}
	return true;
}

/* A request before the remote description (s. 7.3): its turn comes when that is known. */
static void remember(struct ice_generation *g, const struct ice_early *new)
{
	for (size_t i = 0; i < g->early_count; i++) {
		struct ice_early *old = &g->early[i];

		if (ice_via_equal(old->via, new->via) && netaddr_equal(&old->from, &new->from)) {
			bool use_candidate = old->use_candidate || new->use_candidate;

			*old = *new;
			old->use_candidate = use_candidate;
			return;
		}
	}
	if (!g->early)
		g->early = calloc(ICE_MAX_EARLY, sizeof(*g->early));
	if (g->early && g->early_count < ICE_MAX_EARLY)
		g->early[g->early_count++] = *new;
	else
		g->agent->engine->drops.count[DROP_LIMIT]++;
}

/* Return: the pair of this request, made if need be (s. 7.3.1.3, 7.3.1.4), or ICE_NO_PAIR. */
static size_t find_pair(struct ice_generation *g, const struct ice_early *c, uint64_t now_us)
{
	struct ice_engine *e = g->agent->engine;
	size_t index = ice_checklist_find(&g->list, c->via, &c->from);
	struct ice_remote *remote;
	const struct ice_candidate *listed;
	struct ice_candidate local;
	const struct ice_base *base;
	size_t remote_index;

	if (index != ICE_NO_PAIR)
		return index;
	base = ice_locals_find(&e->locals, c->via);
	if (!base)
		return ICE_NO_PAIR;
	listed = ice_locals_find_candidate(&e->locals, c->via, &base->addr);
	if (listed)
		local = *listed;
	else
		ice_locals_make_candidate(&e->locals, base, &local);
	remote = ice_checklist_find_remote(&g->list, &c->from);
	if (remote) {
		remote_index = (size_t)(remote - g->list.remotes);
	} else if (c->priority == 0 ||
		   !ice_checklist_has_room_for_prflx(&g->list, now_us, c->via) ||
		   ice_checklist_add_prflx(&g->list, &c->from, c->priority, &remote_index) != OK) {
		/* No PRIORITY, no candidate. */
		e->drops.count[DROP_LIMIT]++;
		return ICE_NO_PAIR;
	}
	index = ice_checklist_pair(&g->list, &local, ice_agent_prflx_priority(g->agent, c->via),
				   remote_index);
	if (index == ICE_NO_PAIR)
		e->drops.count[DROP_LIMIT]++;
	return index;
}

/* After the conclusion (s. 8.1.2, 8.3.1): for a while a better pair may still be nominated by peers
 * that nominate several; later a nomination means that the peer has changed its mind. When the path
 * answers no more, any sign of life is welcome; and when the peer still asks over the pair that it
 * has nominated, though we have left that meanwhile, we come back. And what the peer wants to stand
 * by, it shall have. */
static bool is_wanted_after_conclusion(const struct ice_generation *g, const struct ice_early *c,
				       uint64_t now_us)
{
	size_t index;

	if (ice_path_is_suspect(g, now_us))
		return true;
	if (now_us >= g->concluded_us + ICE_CONCLUDE_US && !g->agent->idle)
		return true;
	if (g->agent->controlling)
		return false;
	if (c->use_candidate || now_us < g->concluded_us + ICE_CONCLUDE_US)
		return true;
	index = ice_checklist_find(&g->list, c->via, &c->from);
	return index != ICE_NO_PAIR && index != g->path && g->list.pairs[index].use_candidate;
}

static void on_check(struct ice_generation *g, const struct ice_early *c, uint64_t now_us)
{
	struct ice_pair *p;
	size_t index;

	index = ice_checklist_find(&g->list, c->via, &c->from);
	if (index != ICE_NO_PAIR)
		g->list.pairs[index].asked_us = now_us;
	if (g->phase == ICE_PHASE_CONCLUDED && !is_wanted_after_conclusion(g, c, now_us))
		return;
	index = find_pair(g, c, now_us);
	if (index == ICE_NO_PAIR)
		return;
	p = &g->list.pairs[index];
	if (c->use_candidate && !g->agent->controlling)
		ice_path_on_use_candidate(g, index, now_us);
	if (p->state == ICE_PAIR_SUCCEEDED && p->valid) {
		if (p->use_candidate && !p->nominated && !g->agent->controlling)
			ice_path_nominate(g, index, now_us);
		else if (index != g->path && (ice_path_is_suspect(g, now_us) ||
					      now_us >= p->proof_us + ICE_STANDBY_MIRROR_US))
			ice_check_renew(g, index, now_us);
		return;
	}
	if (g->phase == ICE_PHASE_CONCLUDED && now_us < g->concluded_us + ICE_CONCLUDE_US &&
	    !ice_path_is_suspect(g, now_us) && p->priority <= g->list.pairs[g->path].priority)
		return;
	ice_check_renew(g, index, now_us);
}

void ice_respond_to_early(struct ice_generation *g, uint64_t now_us)
{
	uint64_t hash = fnv_hash(FNV_SEED, g->remote_ufrag, strlen(g->remote_ufrag));

	for (size_t i = 0; i < g->early_count; i++) {
		if (g->early[i].remote_ufrag_hash == hash)
			on_check(g, &g->early[i], now_us);
	}
	g->early_count = 0;
	free(g->early);
	g->early = NULL;
}

/* The request is authentic. */
static void process(struct ice_generation *g, uint64_t now_us, struct ice_via via,
		    const struct netaddr *from, const struct stun_message *m,
		    const uint8_t *remote_ufrag, size_t remote_ufrag_len)
{
	struct ice_early c = {
		.via = via,
		.use_candidate = stun_has(m, STUN_USE_CANDIDATE),
		.priority = m->priority,
		.from = *from,
		.remote_ufrag_hash = fnv_hash(FNV_SEED, remote_ufrag, remote_ufrag_len),
	};

	if (g == g->agent->old)
		return;
	if (!g->remote_known)
		remember(g, &c);
	else if (remote_ufrag_len == strlen(g->remote_ufrag) &&
		 memcmp(remote_ufrag, g->remote_ufrag, remote_ufrag_len) == 0)
		on_check(g, &c, now_us);
}

enum err ice_respond(struct ice_engine *e, uint64_t now_us, struct ice_via via,
		     const struct netaddr *from, const struct stun_message *m)
{
	const uint8_t *colon;
	struct ice_generation *g;
	struct reply reply;
	size_t our_len;

	if (!stun_has(m, STUN_FINGERPRINT))
		return DROP_FINGERPRINT;
	if (!stun_has(m, STUN_USERNAME) || !stun_has(m, STUN_MESSAGE_INTEGRITY)) {
		refuse_stranger(e, now_us, via, from, m, STUN_ERROR_BAD_REQUEST);
		return DROP_INTEGRITY;
	}
	colon = memchr(m->username.p, ':', m->username.len);
	our_len = colon ? (size_t)(colon - m->username.p) : m->username.len;
	g = ice_generation_find(e, m->username.p, our_len);
	if (!g || !colon) {
		refuse_stranger(e, now_us, via, from, m, STUN_ERROR_UNAUTHENTICATED);
		return DROP_UNKNOWN_USER;
	}
	if (stun_check_integrity(m, g->pwd, ICE_OUR_PWD_BYTES) != OK) {
		refuse_stranger(e, now_us, via, from, m, STUN_ERROR_UNAUTHENTICATED);
		return DROP_INTEGRITY;
	}
	reply = (struct reply){.pwd = g->pwd};
	if (m->unknown.count) {
		reply.error = STUN_ERROR_UNKNOWN_ATTRIBUTE;
		send_reply(e, via, from, m, &reply);
		return DROP_UNKNOWN_TYPE;
	}
	if (!resolve_role(g->agent, m)) {
		reply.error = STUN_ERROR_ROLE_CONFLICT;
		send_reply(e, via, from, m, &reply);
		return OK;
	}
	send_reply(e, via, from, m, &reply);
	process(g, now_us, via, from, m, colon + 1, m->username.len - our_len - 1);
	ice_agent_update(g->agent, now_us);
	return OK;
}
