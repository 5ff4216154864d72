/*
 * What the owner of an agent does, as daemon/core/peer does it: restarts with a pause between them,
 * data on the path, a question over the next path until something has come over it.
 *
 * Data is a byte 0xc1, a kind, and the name of the restart whose generations it belongs to: what
 * the tunnel's keys say in the product.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/ice_world.h"

#define ASK_US	     (100 * US_PER_MS)
#define BEAT_US	     US_PER_S
#define PAUSE_MIN_US US_PER_S
#define PAUSE_MAX_US (16 * US_PER_S)

enum data_kind {
	DATA_BEAT,
	DATA_PING,
	DATA_PONG,
	DATA_PROBE,
};

#define DATA_BYTES 10

static void send_data(struct ice_end *e, const struct ice_path *path, enum data_kind kind,
		      uint64_t name)
{
	struct ice_transmit t = {.socket = path->socket,
				 .relay = path->relay,
				 .to = path->remote,
				 .len = DATA_BYTES};
	uint8_t buf[DATA_BYTES] = {0xc1, (uint8_t)kind};

	memcpy(buf + 2, &name, sizeof(name));
	ice_end_transmit(e, &t, buf);
}

bool ice_owner_send_probe(struct ice_end *e)
{
	struct ice_path path;

	if (!e->agent || !ice_agent_get_path(e->agent, &path) || !path.consented)
		return false;
	send_data(e, &path, DATA_PROBE, e->current);
	return true;
}

/* --- restarts --- */

static void trace(const struct ice_end *e, const char *what)
{
	FILE *f = e->world->trace;

	if (f)
		fprintf(f, "%10" PRIu64 " us  -- end %zu %s %016" PRIx64 "\n", e->world->now_us,
			e->index, what, e->restart);
}

void ice_owner_want_restart(struct ice_end *e, uint64_t delay_us)
{
	uint64_t at_us = e->world->now_us + delay_us;

	if (!e->is_wanted || at_us < e->want_us)
		e->want_us = at_us;
	e->is_wanted = true;
}

static void new_name(struct ice_end *e, uint64_t name)
{
	e->restart = name;
	e->generations++;
	e->ask_us = DEADLINE_NONE;
}

static bool same_path(struct ice_end *e, bool had, const struct ice_path *before)
{
	struct ice_path now;
	bool has = ice_agent_get_path(e->agent, &now);

	return had == has && (!has || (now.relay == before->relay && now.socket == before->socket &&
				       netaddr_equal(&now.remote, &before->remote)));
}

static void begin_restart(struct ice_end *e)
{
	struct ice_world *w = e->world;
	struct ice_path path;
	bool has = ice_agent_get_path(e->agent, &path);

	e->is_wanted = false;
	if (e->is_offering || e->restart)
		return; /* one is under way */
	if (ice_agent_restart(e->agent, w->now_us) != OK) {
		ice_owner_want_restart(e, PAUSE_MIN_US);
		return;
	}
	if (!same_path(e, has, &path))
		ice_world_fail(w, "a restart has touched the path");
	new_name(e, random_u64(&w->random) | 1);
	ice_end_note_generation(e);
	e->restarts_begun++;
	e->is_offering = true;
	trace(e, "offers the restart");
	ice_end_send_description(e, ICE_MESSAGE_RESTART);
}

static void on_offer(struct ice_end *e, const struct ice_message *m)
{
	struct ice_world *w = e->world;
	struct ice_path path;
	bool has = ice_agent_get_path(e->agent, &path);

	/* Two offers that cross: that of end 0 stands. */
	if (e->is_offering && e->index == 0)
		return;
	if (e->restart)
		ice_agent_abandon_restart(e->agent, w->now_us);
	e->is_offering = false;
	new_name(e, m->restart);
	ice_world_require(w, ice_agent_set_remote(e->agent, w->now_us, &m->description),
			  "take the offer of a restart");
	ice_end_note_generation(e);
	if (!same_path(e, has, &path))
		ice_world_fail(w, "the offer of a restart has touched the path");
	trace(e, "answers the restart");
	ice_end_send_description(e, ICE_MESSAGE_RESTARTED);
}

void ice_owner_on_message(struct ice_end *e, const struct ice_message *m)
{
	if (m->kind == ICE_MESSAGE_RESTART) {
		on_offer(e, m);
		return;
	}
	if (!e->is_offering || m->restart != e->restart)
		return; /* of one that was given up */
	e->is_offering = false;
	ice_world_require(e->world,
			  ice_agent_set_remote(e->agent, e->world->now_us, &m->description),
			  "take the answer of a restart");
}

static void try_switch(struct ice_end *e)
{
	struct ice_path next;

	if (!ice_agent_get_next_path(e->agent, &next))
		return;
	ice_world_require(e->world, ice_agent_switch(e->agent, e->world->now_us, next.generation),
			  "switch to the next generation");
	e->before = e->current;
	e->current = e->restart;
	e->restart = 0;
	e->ask_us = DEADLINE_NONE;
	e->pause_us = 0;
	e->heard_us = e->world->now_us;
	e->switches++;
}

/* --- data --- */

static void note_probe(struct ice_end *e, uint16_t socket, uint16_t relay,
		       const struct netaddr *from)
{
	struct ice_path path;

	e->probe_arrived = ice_agent_get_path(e->agent, &path) && path.relay == relay &&
			   (relay || path.socket == socket) && netaddr_equal(from, &path.remote);
}

void ice_owner_on_data(struct ice_end *e, uint16_t socket, uint16_t relay,
		       const struct netaddr *from, const uint8_t *buf, size_t len)
{
	struct ice_path path;
	uint64_t name;

	if (len != DATA_BYTES || buf[0] != 0xc1 || !e->agent)
		return;
	memcpy(&name, buf + 2, sizeof(name));
	if (e->restart && name == e->restart)
		try_switch(e);
	if (name != e->current && name != e->before)
		return;
	if (name == e->current) {
		e->heard_us = e->world->now_us;
		ice_rules_on_data(e->rules, e->world->now_us);
		ice_agent_on_authenticated(e->agent, e->world->now_us);
	}
	if (buf[1] == DATA_PING && name == e->current && ice_agent_get_path(e->agent, &path))
		send_data(e, &path, DATA_PONG, name);
	if (buf[1] == DATA_PROBE)
		note_probe(e, socket, relay, from);
}

void ice_owner_set_idle(struct ice_end *e, bool idle)
{
	e->is_idle = idle;
	ice_rules_on_idle(e->rules, e->world->now_us);
	ice_agent_set_idle(e->agent, e->world->now_us, idle);
	ice_end_drain(e);
}

/* --- events and time --- */

void ice_owner_on_event(struct ice_end *e, const struct ice_event *event)
{
	switch (event->type) {
	case ICE_EVENT_MAPPING_CHANGED:
	case ICE_EVENT_UPGRADE_ADVISED:
		ice_owner_want_restart(e, 0);
		break;
	case ICE_EVENT_STATE:
		if (event->state == ICE_AGENT_DISCONNECTED || event->state == ICE_AGENT_FAILED)
			ice_owner_want_restart(e, 0);
		break;
	case ICE_EVENT_NEXT_PATH:
		if (e->restart)
			e->ask_us = event->has_path ? e->world->now_us : DEADLINE_NONE;
		break;
	case ICE_EVENT_NEXT_FAILED:
		e->restart = 0;
		e->is_offering = false;
		e->ask_us = DEADLINE_NONE;
		e->pause_us = e->pause_us ? 2 * e->pause_us : PAUSE_MIN_US;
		if (e->pause_us > PAUSE_MAX_US)
			e->pause_us = PAUSE_MAX_US;
		if (e->state == ICE_AGENT_DISCONNECTED || e->state == ICE_AGENT_FAILED)
			ice_owner_want_restart(e, e->pause_us);
		break;
	case ICE_EVENT_GATHERED:
	case ICE_EVENT_LOCAL_CANDIDATE:
	case ICE_EVENT_PATH:
	case ICE_EVENT_PERMIT:
		break;
	}
}

uint64_t ice_owner_next_deadline(const struct ice_end *e)
{
	uint64_t due = e->ask_us;

	if (e->is_wanted && e->restarts && e->agent)
		due = deadline_min(due, e->want_us);
	return e->has_traffic ? deadline_min(due, e->beat_us) : due;
}

void ice_owner_on_deadline(struct ice_end *e)
{
	uint64_t now_us = e->world->now_us;
	struct ice_path path;

	if (now_us >= e->ask_us) {
		e->ask_us = now_us + ASK_US;
		if (ice_agent_get_next_path(e->agent, &path))
			send_data(e, &path, DATA_PING, e->restart);
	}
	if (e->has_traffic && now_us >= e->beat_us) {
		e->beat_us = now_us + BEAT_US;
		if (!e->is_idle && ice_agent_get_path(e->agent, &path) && path.consented)
			send_data(e, &path, DATA_BEAT, e->current);
	}
	if (e->is_wanted && e->restarts && now_us >= e->want_us)
		begin_restart(e);
}
