#include "daemon/core/ice/gatherer.h"

#include <stdlib.h>

#include "daemon/core/ice/private.h"
#include "daemon/core/stun/writer.h"

enum err ice_gatherer_init(struct ice_gatherer *g, size_t max_sockets)
{
	*g = (struct ice_gatherer){.keep_warm = true, .deadline_us = DEADLINE_NONE};
	g->max_rows = max_sockets * ICE_MAX_STUN_SERVERS;
	g->rows = calloc(g->max_rows, sizeof(struct ice_gather));
	return g->rows ? OK : ERR_NO_MEMORY;
}

void ice_gatherer_fini(struct ice_gatherer *g)
{
	free(g->rows);
	g->rows = NULL;
}

/* The one place that changes a row's state. */
static void set_state(struct ice_gather *row, enum ice_gather_state state, uint64_t due_us)
{
	row->state = state;
	row->due_us = due_us;
}

void ice_gatherer_list_candidates(struct ice_engine *e)
{
	ice_locals_list_bases(&e->locals);
	for (size_t i = 0; i < e->gatherer.max_rows; i++) {
		const struct ice_gather *row = &e->gatherer.rows[i];

		if (row->state != ICE_GATHER_UNUSED && row->mapped.family != NETADDR_NONE)
			ice_locals_list_mapped(
				&e->locals,
				ice_locals_find(&e->locals, ice_via_socket(row->socket)),
				&row->mapped, &row->server);
	}
}

/* Recomputes both deadlines: ours, and when the pacer should come to us. */
static void schedule(struct ice_engine *e)
{
	struct ice_gatherer *g = &e->gatherer;
	uint64_t ready_us = DEADLINE_NONE;

	g->deadline_us = DEADLINE_NONE;
	for (size_t i = 0; i < g->max_rows; i++) {
		const struct ice_gather *row = &g->rows[i];

		if (row->state == ICE_GATHER_UNUSED)
			continue;
		if (row->state == ICE_GATHER_DUE)
			ready_us = deadline_min(ready_us, row->due_us);
		if (!row->settled)
			g->deadline_us = deadline_min(g->deadline_us, row->patience_us);
		g->deadline_us =
			deadline_min(g->deadline_us, stun_transaction_deadline(&row->request.txn));
	}
	ice_pacer_set(&e->pacer, &g->pace,
		      ready_us == DEADLINE_NONE ? ICE_PACE_IDLE : ICE_PACE_GATHER, 0, ready_us);
}

static bool has_server(const struct ice_gatherer *g, const struct netaddr *server)
{
	for (size_t i = 0; i < g->server_count; i++) {
		if (netaddr_equal(&g->servers[i], server))
			return true;
	}
	return false;
}

static void ensure_row(struct ice_engine *e, uint64_t now_us, const struct ice_base *b,
		       const struct netaddr *server)
{
	struct ice_gather *free_row = NULL;

	if (!ice_can_pair(&b->addr, server))
		return;
	for (size_t i = 0; i < e->gatherer.max_rows; i++) {
		struct ice_gather *row = &e->gatherer.rows[i];

		if (row->state == ICE_GATHER_UNUSED) {
			free_row = free_row ? free_row : row;
		} else if (row->socket == b->via.socket && netaddr_equal(&row->server, server)) {
			return;
		}
	}
	if (!free_row)
		return;
	*free_row = (struct ice_gather){
		.socket = b->via.socket,
		.server = *server,
		.outcome = ICE_STUN_SERVER_ASKING,
		.outcome_us = now_us,
		.patience_us = now_us + ICE_GATHER_PATIENCE_US,
		.request = {.kind = ICE_REQUEST_GATHER, .owner = free_row},
	};
	set_state(free_row, ICE_GATHER_DUE, now_us);
}

void ice_gatherer_update(struct ice_engine *e, uint64_t now_us)
{
	struct ice_gatherer *g = &e->gatherer;

	for (size_t i = 0; i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];

		if (row->state == ICE_GATHER_UNUSED ||
		    (ice_locals_find(&e->locals, ice_via_socket(row->socket)) &&
		     has_server(g, &row->server)))
			continue;
		ice_request_stop(&e->requests, &row->request);
		set_state(row, ICE_GATHER_UNUSED, 0);
	}
	/* Servers outside, so that the first one is asked for every socket first. */
	for (size_t i = 0; i < g->server_count; i++) {
		for (size_t j = 0; j < e->locals.max_bases; j++) {
			const struct ice_base *b = &e->locals.bases[j];

			if (!ice_via_is_none(b->via) && !b->via.relay &&
			    e->locals.policy != ICE_POLICY_RELAY)
				ensure_row(e, now_us, b, &g->servers[i]);
		}
	}
	ice_gatherer_list_candidates(e);
	schedule(e);
}

void ice_gatherer_set_keep_warm(struct ice_engine *e, uint64_t now_us, bool wanted)
{
	struct ice_gatherer *g = &e->gatherer;

	g->keep_warm = wanted;
	for (size_t i = 0; i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];

		if (row->state == ICE_GATHER_DUE && row->mapped.family != NETADDR_NONE)
			set_state(row, ICE_GATHER_DUE, wanted ? now_us : DEADLINE_NONE);
	}
	schedule(e);
}

void ice_gatherer_ask_again(struct ice_engine *e, uint64_t now_us, uint16_t socket)
{
	struct ice_gatherer *g = &e->gatherer;

	for (size_t i = 0; i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];

		if (row->state == ICE_GATHER_DUE &&
		    (socket == ICE_NO_SOCKET || row->socket == socket))
			set_state(row, ICE_GATHER_DUE, now_us);
	}
	schedule(e);
}

bool ice_gatherer_is_settled(const struct ice_gatherer *g)
{
	for (size_t i = 0; i < g->max_rows; i++) {
		if (g->rows[i].state != ICE_GATHER_UNUSED && !g->rows[i].settled)
			return false;
	}
	return true;
}

/* FINGERPRINT for the sake of whatever shares the server's port; no credentials (s. 5.1.1.2). */
static void send(struct ice_engine *e, const struct ice_gather *row)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct stun_writer w;
	size_t len;

	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING,
			 row->request.txn.txid);
	if (stun_write_finish(&w, NULL, 0, true, &len) == OK)
		ice_engine_transmit(e, ice_via_socket(row->socket), &row->server, buf, len);
}

void ice_gatherer_on_pace(struct ice_engine *e, uint64_t now_us)
{
	struct ice_gatherer *g = &e->gatherer;
	struct ice_gather *first = NULL;
	uint64_t rto_us = 0;

	for (size_t i = 0; i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];

		if (row->state != ICE_GATHER_UNUSED)
			rto_us += ICE_GATHER_INTERVAL_US;
		if (row->state == ICE_GATHER_DUE && row->due_us <= now_us &&
		    (!first || row->due_us < first->due_us))
			first = row;
	}
	if (first) {
		/* RFC 8445 s. 14.3 for gathering: Ta times the number of candidates asked for. */
		ice_request_start(&e->requests, &first->request, &e->random, now_us,
				  rto_us > STUN_RTO_US ? rto_us : STUN_RTO_US, e->rc, STUN_RM);
		set_state(first, ICE_GATHER_ASKING, 0);
		send(e, first);
	}
	schedule(e);
}

static void set_outcome(struct ice_gather *row, enum ice_stun_server_state outcome,
			uint64_t since_us)
{
	if (row->outcome != outcome)
		row->outcome_us = since_us;
	row->outcome = outcome;
}

/* The row rests until @due_us. */
static void rest(struct ice_engine *e, struct ice_gather *row, uint64_t due_us)
{
	ice_request_stop(&e->requests, &row->request);
	row->settled = true;
	set_state(row, ICE_GATHER_DUE, due_us);
}

void ice_gatherer_on_deadline(struct ice_engine *e, uint64_t now_us)
{
	struct ice_gatherer *g = &e->gatherer;

	if (now_us < g->deadline_us)
		return;
	for (size_t i = 0; i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];

		if (row->state == ICE_GATHER_UNUSED)
			continue;
		if (now_us >= row->patience_us)
			row->settled = true;
		if (row->state == ICE_GATHER_ASKING &&
		    now_us >= row->request.txn.started_us + ICE_GATHER_PATIENCE_US)
			set_outcome(row, ICE_STUN_SERVER_SILENT, row->request.txn.started_us);
		switch (stun_transaction_on_deadline(&row->request.txn, now_us)) {
		case STUN_TRANSACTION_NOTHING:
			break;
		case STUN_TRANSACTION_RETRANSMIT:
			send(e, row);
			break;
		case STUN_TRANSACTION_TIMED_OUT:
			rest(e, row, now_us + ICE_GATHER_RETRY_US);
			break;
		}
	}
	schedule(e);
}

static void set_mapped(struct ice_engine *e, uint64_t now_us, struct ice_gather *row,
		       const struct netaddr *mapped)
{
	if (netaddr_equal(&row->mapped, mapped))
		return;
	row->changed = row->mapped.family != NETADDR_NONE;
	row->mapped = *mapped;
	e->gatherer.has_events |= row->changed;
	ice_gatherer_list_candidates(e);
	ice_engine_on_local_change(e, now_us);
}

/* The server has answered, but not with anything of use. */
static void on_refusal(struct ice_engine *e, struct ice_gather *row, uint16_t error,
		       uint64_t now_us)
{
	row->error = error;
	set_outcome(row, ICE_STUN_SERVER_REFUSED, now_us);
	rest(e, row, now_us + ICE_GATHER_RETRY_US);
	schedule(e);
}

enum err ice_gatherer_on_response(struct ice_engine *e, uint64_t now_us, struct ice_request *r,
				  struct ice_via via, const struct netaddr *from,
				  const struct stun_message *m)
{
	struct ice_gather *row = r->owner;
	struct netaddr mapped;

	if (!ice_via_equal(via, ice_via_socket(row->socket)) ||
	    !ice_same_address(from, &row->server))
		return DROP_ASYMMETRIC;
	row->answered_us = now_us;
	(void)stun_transaction_rtt(&r->txn, now_us, &row->rtt_us);
	if (m->class == STUN_CLASS_ERROR || m->unknown.count) {
		on_refusal(e, row, stun_has(m, STUN_ERROR_CODE) ? m->error.code : 0, now_us);
		return OK;
	}
	/* Servers of RFC 3489 know only the plain attribute; s. 5.1.1.2 wants them understood. */
	if (stun_has(m, STUN_XOR_MAPPED_ADDRESS))
		mapped = m->xor_mapped_address;
	else if (stun_has(m, STUN_MAPPED_ADDRESS))
		mapped = m->mapped_address;
	else
		return DROP_MALFORMED;
	if (mapped.family != row->server.family || ice_locals_refuses(&e->locals, &mapped)) {
		on_refusal(e, row, 0, now_us);
		return DROP_BLOCKED;
	}
	set_outcome(row, ICE_STUN_SERVER_ANSWERED, now_us);
	rest(e, row, e->gatherer.keep_warm ? now_us + ICE_KEEP_WARM_US : DEADLINE_NONE);
	set_mapped(e, now_us, row, &mapped);
	schedule(e);
	return OK;
}

bool ice_gatherer_pop_event(struct ice_engine *e, struct ice_event *ret)
{
	struct ice_gatherer *g = &e->gatherer;

	for (size_t i = 0; g->has_events && i < g->max_rows; i++) {
		struct ice_gather *row = &g->rows[i];
		const struct ice_candidate *c;

		if (row->state == ICE_GATHER_UNUSED || !row->changed)
			continue;
		row->changed = false;
		c = ice_locals_find_candidate(&e->locals, ice_via_socket(row->socket),
					      &row->mapped);
		if (!c)
			continue;
		*ret = (struct ice_event){.type = ICE_EVENT_MAPPING_CHANGED, .candidate = *c};
		return true;
	}
	g->has_events = false;
	return false;
}

/* What speaks best for a server over all sockets. */
static unsigned int rank(enum ice_stun_server_state state)
{
	switch (state) {
	case ICE_STUN_SERVER_ANSWERED:
		return 4;
	case ICE_STUN_SERVER_ASKING:
		return 3;
	case ICE_STUN_SERVER_REFUSED:
		return 2;
	case ICE_STUN_SERVER_SILENT:
		return 1;
	case ICE_STUN_SERVER_UNUSED:
		break;
	}
	return 0;
}

void ice_gatherer_describe(const struct ice_gatherer *g, size_t i, struct ice_stun_server_info *ret)
{
	uint64_t answered_us = 0;

	*ret = (struct ice_stun_server_info){.addr = g->servers[i]};
	for (size_t j = 0; j < g->max_rows; j++) {
		const struct ice_gather *row = &g->rows[j];

		if (row->state == ICE_GATHER_UNUSED || !netaddr_equal(&row->server, &ret->addr))
			continue;
		if (row->answered_us > answered_us)
			answered_us = row->answered_us;
		if (rank(row->outcome) <= rank(ret->state))
			continue;
		ret->state = row->outcome;
		ret->since_us = row->outcome_us;
		ret->rtt_us = row->rtt_us;
		ret->error = row->outcome == ICE_STUN_SERVER_REFUSED ? row->error : 0;
		ret->mapped = row->mapped;
	}
	ret->last_answer_us = answered_us;
}
