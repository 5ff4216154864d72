/* One server: which targets are tried when, and which allocation serves. */
#include <string.h>

#include "daemon/core/peer/relay_private.h"

static uint64_t later(const struct relays *r, uint64_t now_us, uint64_t delay_us)
{
	uint64_t spread = delay_us / 5 * 2;

	return now_us + delay_us - spread / 2 + random_below(&r->random, (uint32_t)spread + 1);
}

/* Of many clients that have lost the same server, and have seen it at the same moment. */
static uint64_t much_later(const struct relays *r, uint64_t now_us, uint64_t delay_us)
{
	return now_us + delay_us / 2 + random_below(&r->random, (uint32_t)delay_us + 1);
}

/* Return: the present delay; the next one is twice as long. */
static uint64_t grow(uint64_t *delay_us, uint64_t min_us, uint64_t max_us)
{
	uint64_t delay = *delay_us < min_us ? min_us : *delay_us;

	*delay_us = 2 * delay > max_us ? max_us : 2 * delay;
	return delay;
}

void server_set_state(struct relay_server *s, uint64_t now_us, enum overlay_relay_state state)
{
	if (s->state != state)
		s->since_us = now_us;
	s->state = state;
}

static struct relay_slot *main_slot(const struct relays *r, const struct relay_server *s)
{
	return s->main == RELAYS_NO_SLOT ? NULL : &r->slots[s->main];
}

/* Servers whose allocation is expected to go on. */
static size_t count_ready(const struct relays *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->server_count; i++) {
		size_t main = r->servers[i].main;

		n += main != RELAYS_NO_SLOT && !r->slots[main].in_doubt &&
		     turn_allocation_state(r->slots[main].turn) == TURN_ALLOCATED;
	}
	return n;
}

static size_t count_attempts(const struct relays *r, size_t server)
{
	size_t n = 0;

	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++)
		n += r->slots[i].server == server && slot_is_attempt(&r->slots[i]);
	return n;
}

/* --- where from --- */

static bool is_taken(const struct relays *r, uint16_t socket, const struct netaddr *server)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		const struct relay_slot *s = &r->slots[i];

		if (s->state != SLOT_FREE && s->state != SLOT_ENDED && !s->stream &&
		    s->socket == socket && netaddr_equal(&s->target.address, server))
			return true;
	}
	return false;
}

/* The best socket of the family from which there is no allocation at @target yet. Return: NULL when
 * there is none; *ret_any is then the best of those that have one, or NULL. */
static struct relay_socket *pick_socket(struct relays *r, const struct relay_server *s,
					const struct netaddr *target, uint64_t now_us,
					struct relay_socket **ret_any)
{
	struct relay_socket *best = NULL, *any = NULL;

	for (size_t i = 0; i < r->socket_count; i++) {
		struct relay_socket *k = &r->sockets[i];
		bool blocked = k->number == s->blocked_socket && now_us < s->blocked_until_us;

		if (k->base.family != target->family)
			continue;
		if (!k->is_spare && (!any || k->preference > any->preference))
			any = k;
		if (blocked || is_taken(r, k->number, target))
			continue;
		if (!best || (best->is_spare && !k->is_spare) ||
		    (best->is_spare == k->is_spare && k->preference > best->preference))
			best = k;
	}
	*ret_any = any;
	return best;
}

/* --- rounds --- */

static unsigned int rank(enum turn_transport t)
{
	return t == TURN_TRANSPORT_UDP ? 0 : t == TURN_TRANSPORT_TCP ? 1 : 2;
}

static bool is_usable(const struct relays *r, const struct overlay_relay_target *t)
{
	if (t->transport != TURN_TRANSPORT_UDP)
		return true;
	for (size_t i = 0; i < r->socket_count; i++) {
		if (r->sockets[i].base.family == t->address.family)
			return true;
	}
	return false;
}

/* It had an allocation of ours a moment ago, and has said nothing else since than that it is not
 * there. */
static bool is_returning(const struct relay_server *s, uint64_t now_us)
{
	return s->lost_us && now_us < s->lost_us + RELAYS_RETURN_US && s->said_us == 0 &&
	       s->severity != RELAY_SEVERITY_ANSWER;
}

static void begin_round(struct relay_server *s, uint64_t now_us, size_t end)
{
	s->has_round = true;
	s->next = 0;
	s->end = end;
	s->next_us = now_us;
	s->severity = RELAY_SEVERITY_NONE;
	s->said_us = 0;
	s->mismatches = 0;
	s->give_up_us = is_returning(s, now_us) ? now_us + RELAYS_RETURN_ROUND_US : DEADLINE_NONE;
	if (s->main == RELAYS_NO_SLOT)
		server_set_state(s, now_us, OVERLAY_RELAY_TRYING);
}

static void drop_attempts(struct relays *r, size_t server, const struct relay_slot *but)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *k = &r->slots[i];

		if (k != but && k->server == server && slot_is_attempt(k))
			slot_end(r, k);
	}
}

static void end_round(struct relays *r, size_t server)
{
	r->servers[server].has_round = false;
	drop_attempts(r, server, NULL);
}

static void fail_round(struct relays *r, size_t server, uint64_t now_us)
{
	struct relay_server *s = &r->servers[server];
	uint64_t delay;

	end_round(r, server);
	if (s->main != RELAYS_NO_SLOT) {
		delay = grow(&s->replace_delay_us, RELAYS_REPLACE_MIN_US, RELAYS_REPLACE_MAX_US);
		s->replace_us = later(r, now_us, delay);
		s->upgrade_us = now_us + RELAYS_UPGRADE_US;
		return;
	}
	if (is_returning(s, now_us)) {
		delay = grow(&s->return_delay_us, RELAYS_RETURN_MIN_US, RELAYS_RETURN_MAX_US);
		s->retry_us = much_later(r, now_us, delay);
	} else {
		delay = grow(&s->retry_delay_us, RELAYS_RETRY_MIN_US, RELAYS_RETRY_MAX_US);
		s->retry_us = later(r, now_us, delay > s->said_us ? delay : s->said_us);
	}
	server_set_state(s, now_us, OVERLAY_RELAY_WAITING);
}

/* How long the next target waits for @t. */
static uint64_t patience_us(const struct relay_server *s, const struct overlay_relay_target *t)
{
	if (s->targets[s->next].transport == t->transport)
		return RELAYS_FAMILY_US;
	return s->was_stream && s->main == RELAYS_NO_SLOT ? 0 : RELAYS_TRANSPORT_US;
}

/* Begins with the next target of the round. Return: false when the round has to wait for a
 * socket. */
static bool start_next(struct relays *r, size_t server, uint64_t now_us)
{
	struct relay_server *s = &r->servers[server];
	const struct overlay_relay_target *t = &s->targets[s->next];
	struct relay_socket *socket = NULL, *any = NULL;

	if (t->transport == TURN_TRANSPORT_UDP) {
		socket = pick_socket(r, s, &t->address, now_us, &any);
		if (!socket && any && !s->wants_spare) {
			s->wants_spare = true;
			any->wants_spare = true;
			return false;
		}
	}
	s->next++;
	if (s->next < s->end)
		s->next_us = now_us + patience_us(s, t);
	if (t->transport == TURN_TRANSPORT_UDP && !socket)
		return true;
	s->last_target = *t;
	r->pace_us = now_us + RELAYS_PACE_US;
	/* Without memory or a free slot: like a target that does not answer. */
	if (slot_start(r, server, t, socket ? socket->number : ICE_NO_SOCKET, now_us) != OK)
		s->next_us = now_us;
	return true;
}

static bool has_stream_attempt(const struct relays *r, size_t server)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		const struct relay_slot *s = &r->slots[i];

		if (s->server == server && s->stream && slot_is_attempt(s))
			return true;
	}
	return false;
}

/* When the round is over though attempts are left. Where UDP is blocked nobody says so: the streams
 * would have to wait for 39.5 s until they are tried again. */
static uint64_t give_up_us(const struct relays *r, size_t server)
{
	return has_stream_attempt(r, server) ? DEADLINE_NONE : r->servers[server].give_up_us;
}

static bool has_winner(const struct relays *r, size_t server)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		if (r->slots[i].server == server && r->slots[i].state == SLOT_ALLOCATING)
			return true;
	}
	return false;
}

static void run_round(struct relays *r, size_t server, uint64_t now_us)
{
	struct relay_server *s = &r->servers[server];
	size_t attempts = count_attempts(r, server);

	if (has_winner(r, server))
		return;
	if (s->next >= s->end) {
		if (attempts == 0 || now_us >= give_up_us(r, server))
			fail_round(r, server, now_us);
		return;
	}
	if ((attempts > 0 && now_us < s->next_us) || now_us < r->pace_us)
		return;
	if (!start_next(r, server, now_us))
		fail_round(r, server, now_us);
	else if (s->next >= s->end && count_attempts(r, server) == 0)
		fail_round(r, server, now_us);
}

/* When the allocation is to be replaced, and up to which target. */
static uint64_t replacement_us(const struct relays *r, const struct relay_server *s,
			       size_t *ret_end)
{
	const struct relay_slot *main = &r->slots[s->main];
	uint64_t due = DEADLINE_NONE, left;

	*ret_end = s->target_count;
	if (main->in_doubt || turn_allocation_state(main->turn) == TURN_EXPIRING)
		return s->replace_us;
	if (main->credentials != s->credentials && main->credentials_end_us != DEADLINE_NONE) {
		left = main->credentials_end_us > main->stands_us
			       ? main->credentials_end_us - main->stands_us
			       : 0;
		left = left / 3 > RELAYS_REPLACE_US ? RELAYS_REPLACE_US : left / 3;
		due = main->credentials_end_us - left;
		return due > s->replace_us ? due : s->replace_us;
	}
	/* Only what is better than what we have. */
	*ret_end = 0;
	while (*ret_end < s->target_count &&
	       rank(s->targets[*ret_end].transport) < rank(main->target.transport))
		++*ret_end;
	return *ret_end ? s->upgrade_us : DEADLINE_NONE;
}

/* When a round may begin, and up to which target. */
static uint64_t round_us(const struct relays *r, const struct relay_server *s, size_t *ret_end)
{
	*ret_end = s->target_count;
	if (r->is_closing)
		return DEADLINE_NONE;
	if (s->main != RELAYS_NO_SLOT)
		return replacement_us(r, s, ret_end);
	switch (s->state) {
	case OVERLAY_RELAY_UNUSED:
	case OVERLAY_RELAY_TRYING:
	case OVERLAY_RELAY_READY:
		return 0;
	case OVERLAY_RELAY_STANDBY:
		return count_ready(r) < RELAYS_WANTED ? 0 : DEADLINE_NONE;
	case OVERLAY_RELAY_WAITING:
		break;
	}
	return s->retry_us;
}

static bool has_usable_target(const struct relays *r, const struct relay_server *s)
{
	for (size_t i = 0; i < s->target_count; i++) {
		if (is_usable(r, &s->targets[i]))
			return true;
	}
	return false;
}

void server_update(struct relays *r, size_t server, uint64_t now_us)
{
	struct relay_server *s = &r->servers[server];
	size_t end;

	if (s->main == RELAYS_NO_SLOT && !s->has_round && !has_usable_target(r, s)) {
		server_set_state(s, now_us, OVERLAY_RELAY_UNUSED);
		return;
	}
	if (!s->has_round && round_us(r, s, &end) <= now_us)
		begin_round(s, now_us, end);
	if (s->has_round)
		run_round(r, server, now_us);
}

uint64_t server_next_deadline(const struct relays *r, size_t server)
{
	const struct relay_server *s = &r->servers[server];
	uint64_t due;
	size_t end;

	if (s->has_round) {
		if (has_winner(r, server))
			return DEADLINE_NONE;
		if (s->next >= s->end)
			return give_up_us(r, server);
		due = count_attempts(r, server) ? s->next_us : 0;
		return due > r->pace_us ? due : r->pace_us;
	}
	if (s->main == RELAYS_NO_SLOT && !has_usable_target(r, s))
		return DEADLINE_NONE;
	return round_us(r, s, &end);
}

void server_on_socket(struct relay_server *s, uint64_t now_us, bool is_spare)
{
	if (is_spare && !s->wants_spare)
		return;
	s->upgrade_us = now_us;
	if (s->retry_us > now_us)
		s->retry_us = now_us;
	if (s->wants_spare)
		s->replace_us = now_us;
	/* Asked for another time it is waited for again. */
	if (is_spare)
		s->wants_spare = false;
}

/* --- what slots tell --- */

bool server_on_challenge(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	struct relay_server *server;

	if (s->server == RELAYS_NO_SERVER || has_winner(r, s->server))
		return false;
	server = &r->servers[s->server];
	server->last_target = s->target;
	if (s->rtt_us)
		server->rtt_us = s->rtt_us;
	drop_attempts(r, s->server, s);
	if (main_slot(r, server))
		slot_copy_peers(s, main_slot(r, server), now_us);
	return true;
}

bool server_on_allocated(struct relays *r, struct relay_slot *s, uint64_t now_us)
{
	struct relay_server *server = &r->servers[s->server];
	struct relay_slot *old = main_slot(r, server);

	server->has_round = false;
	server->wants_spare = false;
	server->replace_us = now_us;
	server->replace_delay_us = 0;
	server->upgrade_us = now_us + RELAYS_UPGRADE_US;
	if (!old && count_ready(r) >= RELAYS_WANTED) {
		server_set_state(server, now_us, OVERLAY_RELAY_STANDBY);
		return false;
	}
	if (old)
		slot_retire(old, now_us);
	server->main = (size_t)(s - r->slots);
	server->was_stream = s->stream != 0;
	server_set_state(server, now_us, OVERLAY_RELAY_READY);
	return true;
}

static void note_problem(struct relay_server *s, uint64_t now_us, const struct relay_failure *why)
{
	enum relay_severity severity = why->is_stream ? RELAY_SEVERITY_STREAM
				       : why->problem == TURN_PROBLEM_SILENT
					       ? RELAY_SEVERITY_SILENT
					       : RELAY_SEVERITY_ANSWER;

	if (severity < s->severity)
		return;
	s->severity = severity;
	s->problem_us = now_us;
	s->problem = why->problem;
	s->code = why->code;
	s->is_stream_problem = why->is_stream;
}

/* Problems that are the same over every transport. */
static bool is_final(enum turn_problem problem)
{
	switch (problem) {
	case TURN_PROBLEM_CREDENTIALS:
	case TURN_PROBLEM_FORBIDDEN:
	case TURN_PROBLEM_QUOTA:
	case TURN_PROBLEM_CAPACITY:
	case TURN_PROBLEM_TRANSPORT:
		return true;
	case TURN_PROBLEM_NONE:
	case TURN_PROBLEM_SILENT:
	case TURN_PROBLEM_REALM:
	case TURN_PROBLEM_DOWNGRADE:
	case TURN_PROBLEM_MISMATCH:
	case TURN_PROBLEM_FAMILY:
	case TURN_PROBLEM_SERVER:
	case TURN_PROBLEM_PROTOCOL:
	case TURN_PROBLEM_ALTERNATE:
	case TURN_PROBLEM_REFUSED:
	case TURN_PROBLEM_GONE:
	case TURN_PROBLEM_EXPIRED:
	case TURN_PROBLEM_SYNC:
	case TURN_PROBLEM_INTERNAL:
	case TURN_PROBLEM_COUNT:
		break;
	}
	return false;
}

void server_on_failed(struct relays *r, const struct relay_slot *s, uint64_t now_us,
		      const struct relay_failure *why)
{
	struct relay_server *server = &r->servers[s->server];
	uint64_t retry_us = why->retry_us;

	note_problem(server, now_us, why);
	if (s->stream)
		server->give_up_us = now_us + RELAYS_LINGER_US;
	if (why->problem == TURN_PROBLEM_MISMATCH && !s->stream && server->mismatches++ == 0) {
		/* The same again, from elsewhere. */
		server->blocked_socket = s->socket;
		server->blocked_until_us = now_us + retry_us;
		server->next = 0;
		server->next_us = now_us;
		return;
	}
	/* Nothing changes by itself, but somebody may have repaired the server. */
	if (retry_us == 0 && !why->is_stream && why->problem != TURN_PROBLEM_SILENT)
		retry_us = RELAYS_REPLACE_MAX_US;
	if (retry_us > server->said_us)
		server->said_us = retry_us;
	if (is_final(why->problem) && !why->is_stream)
		server->next = server->end;
}

void server_on_expiring(struct relays *r, const struct relay_slot *s, uint64_t now_us,
			const struct relay_failure *why)
{
	struct relay_server *server = &r->servers[s->server];

	server->severity = RELAY_SEVERITY_NONE;
	note_problem(server, now_us, why);
	server->replace_us = now_us;
}

void server_on_lost(struct relays *r, const struct relay_slot *s, uint64_t now_us,
		    const struct relay_failure *why)
{
	struct relay_server *server = &r->servers[s->server];
	uint64_t delay;

	server->severity = RELAY_SEVERITY_NONE;
	note_problem(server, now_us, why);
	server->lost_us = now_us;
	if (now_us >= s->stands_us + RELAYS_STOOD_US) {
		server->retry_delay_us = 0;
		server->return_delay_us = 0;
	}
	if (server->has_round) {
		server_set_state(server, now_us, OVERLAY_RELAY_TRYING);
		/* What was asked meanwhile has long pauses by now, or was to be better only. */
		if (!has_winner(r, s->server)) {
			drop_attempts(r, s->server, NULL);
			begin_round(server, now_us, server->target_count);
		}
		return;
	}
	/* The first time at once. */
	delay = server->retry_delay_us;
	(void)grow(&server->retry_delay_us, RELAYS_RETRY_MIN_US / 2, RELAYS_RETRY_MAX_US);
	server->retry_us =
		delay == 0 ? now_us
			   : later(r, now_us, delay > why->retry_us ? delay : why->retry_us);
	server_set_state(server, now_us, OVERLAY_RELAY_WAITING);
}
