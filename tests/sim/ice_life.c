#include "tests/sim/ice_life.h"

#include <inttypes.h>

#define RECOVERY_US (900 * US_PER_S)

enum life_event {
	LIFE_REBOOT,
	LIFE_ROAM,
	LIFE_SOCKET,
	LIFE_SILENCE,
	LIFE_LINK,
	LIFE_RESTART,
	LIFE_IDLE,
	LIFE_TURN,
	LIFE_COUNT
};

static const char *const names[LIFE_COUNT] = {
	"reboot of a NAT", "move",    "socket goes and comes", "silence",
	"other link",	   "restart", "idle or busy",	       "restart of the TURN server"};

static void pause(struct ice_world *w, uint32_t max_ms)
{
	ice_world_run_on(w, (1 + random_below(&w->random, max_ms)) * US_PER_MS);
}

static void reboot(struct ice_world *w, struct ice_end *e)
{
	size_t i = e->index;

	w->expects_changes = true;
	if (w->routers[i] != SIMNET_INTERNET)
		simnet_reboot(w->net, w->routers[i]);
	else if (w->above[i] != SIMNET_INTERNET)
		simnet_reboot(w->net, w->above[i]);
}

static enum ice_home draw_home(struct ice_world *w)
{
	return (enum ice_home)(ICE_HOME_EIM_EIF +
			       random_below(&w->random, ICE_HOME_COUNT - ICE_HOME_EIM_EIF));
}

static struct ice_socket *draw_socket(struct ice_end *e)
{
	size_t first = random_below(&e->world->random, ICE_END_SOCKETS);

	for (size_t i = 0; i < ICE_END_SOCKETS; i++) {
		struct ice_socket *s = &e->sockets[(first + i) % ICE_END_SOCKETS];

		if (s->is_open)
			return s;
	}
	return NULL;
}

/* The watcher of addresses tells the owner as well as ICE. */
static void lose_and_regain(struct ice_world *w, struct ice_end *e)
{
	struct ice_socket *s = draw_socket(e);
	struct netaddr again;

	if (!s)
		return;
	again = s->addr;
	again.port++;
	ice_end_remove_socket(e, s);
	ice_owner_want_restart(e, 0);
	pause(w, 8000);
	if (w->failed)
		return;
	ice_end_add_socket(e, &again);
	ice_owner_want_restart(e, 0);
}

static void be_silent(struct ice_world *w)
{
	struct simnet_link dead = {.loss_permille = 1000};

	w->expects_changes = true;
	ice_world_set_links(w, &dead);
	pause(w, random_below(&w->random, 3) ? 15000 : 60000);
	ice_world_set_links(w, &w->scenario.link[0]);
}

static void change_links(struct ice_world *w)
{
	struct simnet_link link = {.delay_us = 500 + random_below(&w->random, 150000)};

	link.loss_permille = (uint16_t)random_below(&w->random, 150);
	link.duplicate_permille = (uint16_t)random_below(&w->random, 50);
	link.corrupt_permille = (uint16_t)random_below(&w->random, 20);
	w->expects_changes = true;
	ice_world_set_links(w, &link);
}

static void happen(struct ice_world *w)
{
	enum life_event event = (enum life_event)random_below(&w->random, LIFE_COUNT);
	struct ice_end *e = &w->ends[random_below(&w->random, 2)];

	if (w->trace)
		fprintf(w->trace, "%10" PRIu64 " us  -- end %zu: %s\n", w->now_us, e->index,
			names[event]);
	switch (event) {
	case LIFE_REBOOT:
		reboot(w, e);
		break;
	case LIFE_ROAM:
		w->expects_changes = true;
		ice_world_roam(w, e, draw_home(w));
		ice_owner_want_restart(e, 0);
		break;
	case LIFE_SOCKET:
		lose_and_regain(w, e);
		break;
	case LIFE_SILENCE:
		be_silent(w);
		break;
	case LIFE_LINK:
		change_links(w);
		break;
	case LIFE_RESTART:
		ice_owner_want_restart(e, 0);
		break;
	case LIFE_IDLE:
		ice_owner_set_idle(e, !e->is_idle);
		break;
	case LIFE_TURN:
		ice_servers_restart_turn(w->servers, w->now_us);
		break;
	case LIFE_COUNT:
		break;
	}
}

static void begin_traffic(struct ice_world *w)
{
	for (size_t i = 0; i < 2; i++) {
		struct ice_end *e = &w->ends[i];

		e->restarts = true;
		e->has_traffic = true;
		e->beat_us = w->now_us;
		e->heard_us = w->now_us;
		if (e->state == ICE_AGENT_DISCONNECTED || e->state == ICE_AGENT_FAILED)
			ice_owner_want_restart(e, 0);
	}
}

void ice_life_run(struct ice_world *w)
{
	begin_traffic(w);
	for (size_t i = 0; i < w->scenario.events && !w->failed; i++) {
		happen(w);
		pause(w, random_below(&w->random, 4) ? 12000 : 70000);
	}
}

bool ice_life_recovers(struct ice_world *w)
{
	uint64_t end_us = w->now_us + RECOVERY_US;
	bool is_direct;

	w->expects_changes = true;
	ice_world_heal(w);
	begin_traffic(w);
	for (size_t i = 0; i < 2; i++)
		if (w->ends[i].is_idle)
			ice_owner_set_idle(&w->ends[i], false);
	while (w->now_us < end_us && !w->failed) {
		ice_world_run_on(w, US_PER_S);
		if (ice_world_has_agreed(w, &is_direct) &&
		    (is_direct || ice_scenario_way(&w->scenario) != ICE_WAY_DIRECT) &&
		    ice_world_probe(w, 0) && ice_world_probe(w, 1))
			return true;
	}
	return false;
}
