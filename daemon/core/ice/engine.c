/* The engine: sockets in, datagrams in and out, whose deadline it is. */
#include "daemon/core/ice/engine.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/core/ice/private.h"

/* Room for outgoing datagrams: some for the engine, and two for each agent, whose timers may all
 * be due at once. */
#define TRANSMIT_BYTES	       65536
#define TRANSMIT_BYTES_A_AGENT 512

static bool params_are_valid(const struct ice_engine_params *p)
{
	return p->random.fill && p->max_agents > 0 && p->max_agents <= 1000000 &&
	       p->max_sockets <= ICE_MAX_CANDIDATES && (p->ta_ms == 0 || p->ta_ms >= 5) &&
	       p->rc <= 16 && p->max_pairs <= 1000;
}

static enum err init_tables(struct ice_engine *e, size_t max_sockets)
{
	enum err err = table_init(&e->ufrags, e->max_agents);

	if (err == OK)
		err = ice_locals_init(&e->locals, max_sockets);
	if (err == OK)
		err = ice_gatherer_init(&e->gatherer, max_sockets);
	if (err == OK)
		err = table_init(&e->requests, e->max_agents);
	if (err == OK)
		err = heap_init(&e->timers, e->max_agents);
	if (err == OK)
		err = fifo_init(&e->transmits,
				TRANSMIT_BYTES + TRANSMIT_BYTES_A_AGENT * e->max_agents);
	return err;
}

enum err ice_engine_create(struct ice_engine **ret, const struct ice_engine_params *params)
{
	struct ice_engine *e;
	enum err err;

	if (!params_are_valid(params))
		return ERR_INVALID;
	e = calloc(1, sizeof(*e));
	if (!e)
		return ERR_NO_MEMORY;
	e->random = params->random;
	e->max_agents = params->max_agents;
	e->max_pairs = params->max_pairs ? params->max_pairs : ICE_MAX_PAIRS_DEFAULT;
	e->ta_ms = params->ta_ms ? params->ta_ms : ICE_TA_DEFAULT_MS;
	e->rc = params->rc ? params->rc : ICE_RC_DEFAULT;
	err = init_tables(e, params->max_sockets ? params->max_sockets : 16);
	e->locals.allow_low_ports = params->allow_low_ports;
	e->locals.policy = params->policy;
	if (err != OK) {
		ice_engine_destroy(e);
		return err;
	}
	*ret = e;
	return OK;
}

void ice_engine_destroy(struct ice_engine *e)
{
	if (!e)
		return;
	while (e->agents)
		ice_agent_close(e->agents, 0);
	fifo_fini(&e->transmits);
	heap_fini(&e->timers);
	table_fini(&e->requests);
	ice_gatherer_fini(&e->gatherer);
	ice_locals_fini(&e->locals);
	table_fini(&e->ufrags);
	free(e);
}

void ice_engine_transmit(struct ice_engine *e, struct ice_via via, const struct netaddr *to,
			 const uint8_t *buf, size_t len)
{
	struct ice_transmit t;

	memset(&t, 0, sizeof(t));
	t.socket = via.socket;
	t.relay = via.relay;
	t.to = *to;
	t.len = len;
	drop_count(&e->drops, fifo_push(&e->transmits, &t, sizeof(t), buf, len));
}

bool ice_engine_pop_transmit(struct ice_engine *e, struct ice_transmit *ret, uint8_t *buf,
			     size_t cap)
{
	size_t len;

	return fifo_pop(&e->transmits, ret, sizeof(*ret), buf, cap, &len);
}

void ice_engine_set_dirty(struct ice_engine *e, struct ice_agent *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	DL_APPEND2(e->dirty, a, prev_dirty, next_dirty);
}

/* Return: false when the agent that seemed to have an event has none. */
static bool pop_agent_event(struct ice_engine *e, struct ice_agent *a, struct ice_event *ret)
{
	bool has = ice_agent_pop_event(a, ret);

	if (ice_agent_has_event(a))
		return has;
	a->dirty = false;
	DL_DELETE2(e->dirty, a, prev_dirty, next_dirty);
	return has;
}

bool ice_engine_pop_event(struct ice_engine *e, struct ice_event *ret)
{
	const struct ice_candidate *new;

	if (ice_gatherer_pop_event(e, ret))
		return true;
	new = ice_locals_pop_new(&e->locals);
	if (new) {
		*ret = (struct ice_event){.type = ICE_EVENT_LOCAL_CANDIDATE, .candidate = *new};
		return true;
	}
	if (e->gathered_event) {
		e->gathered_event = false;
		*ret = (struct ice_event){.type = ICE_EVENT_GATHERED};
		return true;
	}
	while (e->dirty) {
		if (pop_agent_event(e, e->dirty, ret))
			return true;
	}
	return false;
}

bool ice_engine_is_gathered(const struct ice_engine *e)
{
	return e->locals.socket_count + e->locals.relay_count > 0 && !e->relays_pending &&
	       ice_gatherer_is_settled(&e->gatherer);
}

static void notice_gathered(struct ice_engine *e)
{
	bool is_gathered = ice_engine_is_gathered(e);

	if (is_gathered != e->was_gathered)
		e->gathered_event = is_gathered;
	e->was_gathered = is_gathered;
}

void ice_engine_pace(struct ice_engine *e, uint64_t now_us)
{
	struct ice_pace *next = ice_pacer_pop(&e->pacer, now_us);

	if (!next)
		return;
	if (next == &e->gatherer.pace)
		ice_gatherer_on_pace(e, now_us);
	else
		ice_agent_on_pace(container_of(next, struct ice_agent, pace), now_us);
}

/* After the sockets or the servers have changed. */
static void update_gathering(struct ice_engine *e, uint64_t now_us)
{
	ice_gatherer_update(e, now_us);
	ice_engine_pace(e, now_us);
	notice_gathered(e);
}

static enum err add_base(struct ice_engine *e, uint64_t now_us, const struct ice_base *base)
{
	struct ice_agent *a;
	enum err err;

	if (!ice_is_usable_address(&base->addr))
		return ERR_INVALID;
	if (ice_locals_refuses(&e->locals, &base->addr))
		return DROP_BLOCKED;
	err = ice_locals_add(&e->locals, base);
	if (err != OK)
		return err;
	ice_gatherer_list_candidates(e);
	DL_FOREACH2(e->agents, a, next_agent)
	{
		ice_agent_add_base(a, now_us, base->via);
	}
	if (!base->via.relay)
		ice_engine_on_local_change(e, now_us);
	update_gathering(e, now_us);
	return OK;
}

void ice_engine_on_local_change(struct ice_engine *e, uint64_t now_us)
{
	struct ice_agent *a;

	DL_FOREACH2(e->agents, a, next_agent)
	{
		ice_agent_on_local_change(a, now_us);
	}
}

static void remove_base(struct ice_engine *e, uint64_t now_us, struct ice_via via)
{
	struct ice_agent *a;

	ice_locals_remove(&e->locals, via);
	DL_FOREACH2(e->agents, a, next_agent)
	{
		ice_agent_drop_base(a, now_us, via);
	}
	update_gathering(e, now_us);
}

enum err ice_engine_add_socket(struct ice_engine *e, uint64_t now_us, uint16_t socket,
			       const struct netaddr *base, uint16_t local_preference)
{
	if (socket == ICE_NO_SOCKET)
		return ERR_INVALID;
	return add_base(e, now_us,
			&(struct ice_base){.via = ice_via_socket(socket),
					   .local_preference = local_preference,
					   .addr = *base});
}

void ice_engine_remove_socket(struct ice_engine *e, uint64_t now_us, uint16_t socket)
{
	if (ice_locals_find(&e->locals, ice_via_socket(socket)))
		remove_base(e, now_us, ice_via_socket(socket));
}

void ice_engine_set_socket_preference(struct ice_engine *e, uint16_t socket,
				      uint16_t local_preference)
{
	struct ice_base *base = ice_locals_find(&e->locals, ice_via_socket(socket));

	if (!base || base->local_preference == local_preference)
		return;
	base->local_preference = local_preference;
	ice_gatherer_list_candidates(e);
}

bool ice_engine_socket_preference(const struct ice_engine *e, uint16_t socket,
				  uint16_t *ret_local_preference)
{
	const struct ice_base *base = ice_locals_find(&e->locals, ice_via_socket(socket));

	if (base)
		*ret_local_preference = base->local_preference;
	return base != NULL;
}

void ice_engine_gather_again(struct ice_engine *e, uint64_t now_us, uint16_t socket)
{
	ice_gatherer_ask_again(e, now_us, socket);
	ice_engine_pace(e, now_us);
}

enum err ice_engine_add_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay,
			      uint16_t socket, const struct netaddr *relayed,
			      const struct netaddr *mapped, const struct netaddr *server,
			      uint16_t local_preference)
{
	if (relay == 0)
		return ERR_INVALID;
	return add_base(e, now_us,
			&(struct ice_base){.via = {.socket = socket, .relay = relay},
					   .local_preference = local_preference,
					   .addr = *relayed,
					   .mapped = *mapped,
					   .server = *server});
}

void ice_engine_remove_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay)
{
	const struct ice_base *base = ice_locals_find_relay(&e->locals, relay);

	if (base)
		remove_base(e, now_us, base->via);
}

void ice_engine_offer_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay, bool offered)
{
	struct ice_base *base = ice_locals_find_relay(&e->locals, relay);

	if (!base)
		return;
	base->is_retired = !offered;
	update_gathering(e, now_us);
}

void ice_engine_set_relays_pending(struct ice_engine *e, bool pending)
{
	e->relays_pending = pending;
	notice_gathered(e);
}

enum err ice_engine_set_stun_servers(struct ice_engine *e, uint64_t now_us,
				     const struct netaddr *servers, size_t count)
{
	if (count > ICE_MAX_STUN_SERVERS)
		return ERR_LIMIT;
	for (size_t i = 0; i < count; i++) {
		if (ice_locals_refuses(&e->locals, &servers[i]))
			return ERR_INVALID;
	}
	for (size_t i = 0; i < count; i++)
		e->gatherer.servers[i] = servers[i];
	e->gatherer.server_count = count;
	update_gathering(e, now_us);
	return OK;
}

bool ice_engine_stun_server_info(const struct ice_engine *e, size_t i,
				 struct ice_stun_server_info *ret)
{
	if (i >= e->gatherer.server_count)
		return false;
	ice_gatherer_describe(&e->gatherer, i, ret);
	return true;
}

enum err ice_engine_set_blocked(struct ice_engine *e, const struct netprefix *prefixes,
				size_t count)
{
	if (count > ICE_MAX_BLOCKED)
		return ERR_LIMIT;
	for (size_t i = 0; i < count; i++)
		e->locals.blocked[i] = prefixes[i];
	e->locals.blocked_count = count;
	return OK;
}

void ice_engine_set_keep_warm(struct ice_engine *e, uint64_t now_us, bool wanted)
{
	ice_gatherer_set_keep_warm(e, now_us, wanted);
	ice_engine_pace(e, now_us);
}

const struct ice_candidate *ice_engine_local_candidates(const struct ice_engine *e,
							size_t *ret_count)
{
	*ret_count = e->locals.candidate_count;
	return e->locals.candidates;
}

static enum err input_response(struct ice_engine *e, uint64_t now_us, struct ice_via via,
			       const struct netaddr *from, const struct stun_message *m)
{
	struct ice_request *r = ice_request_find(&e->requests, m->txid);

	if (!r)
		return DROP_NO_TRANSACTION;
	switch (r->kind) {
	case ICE_REQUEST_CHECK:
	case ICE_REQUEST_CONSENT:
		return ice_check_on_response(now_us, r, via, from, m);
	case ICE_REQUEST_GATHER:
		return ice_gatherer_on_response(e, now_us, r, via, from, m);
	}
	return DROP_NO_TRANSACTION;
}

static enum err decode_and_input(struct ice_engine *e, uint64_t now_us, const struct ice_base *base,
				 const struct netaddr *from, const uint8_t *buf, size_t len)
{
	struct stun_message m;
	enum err err;

	if (!base)
		return DROP_STATE;
	if (e->locals.policy == ICE_POLICY_RELAY && !base->via.relay)
		return DROP_BLOCKED;
	if (from->family != base->addr.family || ice_locals_refuses(&e->locals, from))
		return DROP_BLOCKED;
	err = stun_decode(&m, buf, len);
	if (err != OK)
		return err;
	if (m.method != STUN_METHOD_BINDING)
		return DROP_UNKNOWN_TYPE;
	switch (m.class) {
	case STUN_CLASS_REQUEST:
		return ice_respond(e, now_us, base->via, from, &m);
	case STUN_CLASS_INDICATION:
		return OK; /* a keepalive: it has done its work on the way (RFC 8445 s. 11) */
	case STUN_CLASS_SUCCESS:
	case STUN_CLASS_ERROR:
		return input_response(e, now_us, base->via, from, &m);
	}
	return DROP_UNKNOWN_TYPE;
}

static enum err input(struct ice_engine *e, uint64_t now_us, const struct ice_base *base,
		      const struct netaddr *from, const uint8_t *buf, size_t len)
{
	enum err err = decode_and_input(e, now_us, base, from, buf, len);

	ice_engine_pace(e, now_us);
	notice_gathered(e);
	return drop_count(&e->drops, err);
}

enum err ice_engine_input(struct ice_engine *e, uint64_t now_us, uint16_t socket,
			  const struct netaddr *from, const uint8_t *buf, size_t len)
{
	return input(e, now_us, ice_locals_find(&e->locals, ice_via_socket(socket)), from, buf,
		     len);
}

enum err ice_engine_input_relayed(struct ice_engine *e, uint64_t now_us, uint16_t relay,
				  const struct netaddr *from, const uint8_t *buf, size_t len)
{
	return input(e, now_us, ice_locals_find_relay(&e->locals, relay), from, buf, len);
}

void ice_engine_on_send_error(struct ice_engine *e, uint64_t now_us, uint16_t socket,
			      const struct netaddr *to)
{
	struct ice_agent *a;

	DL_FOREACH2(e->agents, a, next_agent)
	{
		ice_agent_on_send_error(a, now_us, ice_via_socket(socket), to);
	}
	e->drops.count[DROP_SEND]++;
}

uint64_t ice_engine_next_deadline(const struct ice_engine *e)
{
	uint64_t deadline = heap_next_deadline(&e->timers);

	deadline = deadline_min(deadline, ice_pacer_deadline(&e->pacer));
	return deadline_min(deadline, e->gatherer.deadline_us);
}

void ice_engine_on_deadline(struct ice_engine *e, uint64_t now_us)
{
	struct heap_node *n;

	/* Each agent at most once a call: an agent that would be due again at once cannot hold
	 * us. */
	for (size_t i = 0; i < e->max_agents; i++) {
		n = heap_pop_due(&e->timers, now_us);
		if (!n)
			break;
		ice_agent_on_deadline(container_of(n, struct ice_agent, timer), now_us);
	}
	ice_gatherer_on_deadline(e, now_us);
	ice_engine_pace(e, now_us);
	notice_gathered(e);
}

const struct drop_counters *ice_engine_drops(const struct ice_engine *e)
{
	return &e->drops;
}
