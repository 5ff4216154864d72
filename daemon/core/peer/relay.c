/* Inputs and outputs of the relays. */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/relay_private.h"

/* --- creation --- */

void relays_destroy(struct relays *r)
{
	if (!r)
		return;
	for (size_t i = 0; r->slots && i < RELAYS_MAX_SLOTS; i++)
		slot_free(&r->slots[i]);
	free(r->slots);
	secret_free(r->secrets);
	free(r);
}

enum err relays_create(struct relays **ret, const struct random_source *random)
{
	struct relays *r = calloc(1, sizeof(*r));

	if (!r)
		return ERR_NO_MEMORY;
	r->random = *random;
	r->slots = calloc(RELAYS_MAX_SLOTS, sizeof(*r->slots));
	r->secrets = secret_alloc(OVERLAY_MAX_RELAY_SERVERS * sizeof(*r->secrets));
	if (!r->slots || !r->secrets) {
		relays_destroy(r);
		return ERR_NO_MEMORY;
	}
	*ret = r;
	return OK;
}

/* --- after each input --- */

/* What an allocation wants to write to its stream. */
void slot_pump_stream(struct relay_slot *s)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	size_t len;

	/* A request that does not fit is repeated by nobody; but then the stream is dead. */
	while (s->turn && s->stream && s->state != SLOT_CONNECTING &&
	       turn_allocation_pop_transmit(s->turn, buf, sizeof(buf), &len)) {
		if (fifo_push(&s->out, NULL, 0, buf, len) != OK)
			break;
	}
	secret_wipe(buf, sizeof(buf));
}

void relays_settle(struct relays *r, uint64_t now_us)
{
	r->now_us = now_us;
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		slot_drain(r, s, now_us);
		if (s->in_doubt && turn_allocation_expires_us(s->turn) != s->verify_expires_us)
			slot_set_doubt(s, false);
	}
	for (size_t i = 0; i < r->server_count; i++)
		server_update(r, i, now_us);
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++)
		slot_pump_stream(&r->slots[i]);
}

static void expect_candidates(struct relays *r, uint64_t now_us)
{
	r->pending_until_us = now_us + RELAYS_PATIENCE_US;
}

/* --- servers --- */

static bool is_valid(const struct overlay_relay_server *s)
{
	if (s->target_count > OVERLAY_MAX_RELAY_TARGETS ||
	    strnlen(s->name, sizeof(s->name)) == sizeof(s->name) || !s->username || !s->password ||
	    strlen(s->username) > TURN_USERNAME_MAX_BYTES ||
	    strlen(s->password) > TURN_PASSWORD_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s->target_count; i++) {
		if (s->targets[i].transport > TURN_TRANSPORT_TLS ||
		    netaddr_ip_bytes(&s->targets[i].address) == 0 ||
		    s->targets[i].address.port == 0)
			return false;
	}
	return true;
}

static void set_secret(struct relay_secret *to, const char *username, const char *password)
{
	secret_wipe(to, sizeof(*to));
	memcpy(to->username, username, strlen(username));
	memcpy(to->password, password, strlen(password));
}

/* New credentials are for the next allocation; a new password of the same user is for this one,
 * too. */
static void set_credentials(struct relays *r, struct relay_server *s,
			    const struct overlay_relay_server *in, uint64_t now_us)
{
	bool same_user = strcmp(s->secret->username, in->username) == 0;

	s->expires_us = in->expires_us;
	if (same_user && strcmp(s->secret->password, in->password) == 0) {
		if (s->main != RELAYS_NO_SLOT && r->slots[s->main].credentials == s->credentials)
			r->slots[s->main].credentials_end_us = in->expires_us;
		return;
	}
	set_secret(s->secret, in->username, in->password);
	if (same_user && s->main != RELAYS_NO_SLOT &&
	    turn_allocation_set_credentials(r->slots[s->main].turn, now_us, in->username,
					    in->password) == OK)
		return;
	s->credentials = ++r->next_credentials;
	s->retry_us = now_us;
	s->retry_delay_us = 0;
}

static void update_server(struct relays *r, struct relay_server *s,
			  const struct overlay_relay_server *in, uint64_t now_us)
{
	bool same = s->target_count == in->target_count &&
		    memcmp(s->targets, in->targets, in->target_count * sizeof(*in->targets)) == 0;

	memcpy(s->name, in->name, sizeof(s->name));
	set_credentials(r, s, in, now_us);
	if (same)
		return;
	memcpy(s->targets, in->targets, in->target_count * sizeof(*in->targets));
	s->target_count = in->target_count;
	s->has_round = false;
	s->retry_us = now_us;
	s->retry_delay_us = 0;
	expect_candidates(r, now_us);
}

static size_t find_server(const struct relays *r, uint32_t id)
{
	for (size_t i = 0; i < r->server_count; i++) {
		if (r->servers[i].id == id)
			return i;
	}
	return RELAYS_NO_SERVER;
}

static size_t find_in(const struct overlay_relay_server *servers, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (servers[i].id == id)
			return i;
	}
	return RELAYS_NO_SERVER;
}

/* Slots of servers that are not in the list any more serve as long as paths need them. */
static void move_slots(struct relays *r, const struct overlay_relay_server *servers, size_t count,
		       uint64_t now_us)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (s->state == SLOT_FREE || s->server == RELAYS_NO_SERVER)
			continue;
		s->server = find_in(servers, count, s->server_id);
		if (s->server != RELAYS_NO_SERVER)
			continue;
		if (s->state == SLOT_STANDING)
			slot_retire(s, now_us);
		else if (slot_is_attempt(s))
			slot_end(r, s);
	}
}

enum err relays_set_servers(struct relays *r, uint64_t now_us,
			    const struct overlay_relay_server *servers, size_t count)
{
	struct relay_server next[OVERLAY_MAX_RELAY_SERVERS] = {0};
	bool taken[OVERLAY_MAX_RELAY_SERVERS] = {false};

	if (count > OVERLAY_MAX_RELAY_SERVERS)
		return ERR_LIMIT;
	for (size_t i = 0; i < count; i++) {
		if (!is_valid(&servers[i]) ||
		    find_in(servers, i, servers[i].id) != RELAYS_NO_SERVER)
			return ERR_INVALID;
	}
	for (size_t i = 0; i < count; i++) {
		size_t at = find_server(r, servers[i].id);

		if (at == RELAYS_NO_SERVER)
			continue;
		next[i] = r->servers[at];
		taken[r->servers[at].secret - r->secrets] = true;
	}
	for (size_t i = 0; i < count; i++) {
		size_t free_secret = 0;

		if (next[i].secret)
			continue;
		while (taken[free_secret])
			free_secret++;
		taken[free_secret] = true;
		secret_wipe(&r->secrets[free_secret], sizeof(*r->secrets));
		next[i] = (struct relay_server){.id = servers[i].id,
						.secret = &r->secrets[free_secret],
						.main = RELAYS_NO_SLOT,
						.since_us = now_us,
						.retry_us = now_us};
	}
	/* While the slots are moved they belong to nobody: `main` goes with the server. */
	move_slots(r, servers, count, now_us);
	memcpy(r->servers, next, sizeof(next));
	r->server_count = count;
	for (size_t i = 0; i < count; i++)
		update_server(r, &r->servers[i], &servers[i], now_us);
	relays_settle(r, now_us);
	return OK;
}

/* --- sockets --- */

void relays_add_socket(struct relays *r, uint64_t now_us, uint16_t socket,
		       const struct netaddr *base, uint16_t local_preference, bool is_spare)
{
	if (r->socket_count == RELAYS_MAX_SOCKETS)
		return;
	r->sockets[r->socket_count++] = (struct relay_socket){.number = socket,
							      .base = *base,
							      .preference = local_preference,
							      .is_spare = is_spare};
	if (!is_spare)
		expect_candidates(r, now_us);
	for (size_t i = 0; i < r->server_count; i++)
		server_on_socket(&r->servers[i], now_us, is_spare);
	relays_settle(r, now_us);
}

void relays_remove_socket(struct relays *r, uint64_t now_us, uint16_t socket)
{
	for (size_t i = r->socket_count; i-- > 0;) {
		if (r->sockets[i].number == socket)
			r->sockets[i] = r->sockets[--r->socket_count];
	}
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];
		bool was_main = s->state == SLOT_STANDING && s->server != RELAYS_NO_SERVER;

		if (s->state == SLOT_FREE || s->state == SLOT_ENDED || s->stream ||
		    s->socket != socket)
			continue;
		if (was_main) {
			struct relay_server *server = &r->servers[s->server];

			server->retry_us = now_us;
			if (!server->has_round)
				server_set_state(server, now_us, OVERLAY_RELAY_WAITING);
		}
		slot_end(r, s);
	}
	expect_candidates(r, now_us);
	relays_settle(r, now_us);
}

/* --- what comes --- */

static void note_heard(struct relay_slot *s, uint64_t now_us, const struct netaddr *peer)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		struct relay_peer *p = &s->peers[i];

		if (netaddr_equal(&p->addr, peer))
			p->heard_us = now_us;
	}
}

static enum err take(struct relays *r, struct relay_slot *s, uint64_t now_us, const uint8_t *buf,
		     size_t len, struct relays_data *ret)
{
	struct turn_data data;
	enum err e = turn_allocation_input(s->turn, now_us, buf, len, &data);

	*ret = (struct relays_data){0};
	if (e == OK && data.kind == TURN_DATA_BYTES && s->relay) {
		note_heard(s, now_us, &data.peer);
		*ret = (struct relays_data){
			.relay = (uint16_t)(s->relay + (data.peer.family == NETADDR_IP6)),
			.peer = data.peer,
			.bytes = data.bytes,
			.len = data.len,
		};
	}
	relays_settle(r, now_us);
	return e;
}

bool relays_input(struct relays *r, uint64_t now_us, uint16_t socket, const struct netaddr *from,
		  const uint8_t *buf, size_t len, struct relays_data *ret, enum err *ret_err)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (!s->turn || s->stream || s->socket != socket ||
		    !netaddr_equal(&s->target.address, from) ||
		    !turn_allocation_wants(s->turn, buf, len))
			continue;
		*ret_err = take(r, s, now_us, buf, len, ret);
		return true;
	}
	return false;
}

/* --- streams --- */

void relays_on_stream_open(struct relays *r, uint64_t now_us, uint32_t stream)
{
	struct relay_slot *s = slot_of_stream(r, stream);

	if (s)
		slot_on_stream_open(r, s, now_us);
	relays_settle(r, now_us);
}

bool relays_stream_input(struct relays *r, uint64_t now_us, uint32_t stream, const uint8_t **buf,
			 size_t *len, struct relays_data *ret, enum err *ret_err)
{
	struct relay_slot *s;

	*ret_err = OK;
	while ((s = slot_of_stream(r, stream)) != NULL && s->turn) {
		const uint8_t *frame;
		uint8_t *to;
		size_t n, room;
		enum err e = turn_framer_next(s->framer, &frame, &n);

		if (e == OK) {
			*ret_err = take(r, s, now_us, frame, n, ret);
			if (ret->relay)
				return true;
			continue;
		}
		if (e == DROP_TOO_LONG)
			continue;
		if (e == DROP_MALFORMED) {
			*ret_err = e;
			slot_on_stream_broken(r, s, now_us);
			relays_settle(r, now_us);
			break;
		}
		if (*len == 0)
			return false;
		to = turn_framer_reserve(s->framer, &room);
		n = *len < room ? *len : room;
		memcpy(to, *buf, n);
		turn_framer_commit(s->framer, n);
		*buf += n;
		*len -= n;
	}
	*len = 0;
	return false;
}

void relays_on_stream_closed(struct relays *r, uint64_t now_us, uint32_t stream)
{
	struct relay_slot *s = slot_of_stream(r, stream);
	struct netaddr server;

	if (s) {
		/* Perhaps it has restarted, and has forgotten what we have over UDP. */
		server = s->target.address;
		slot_on_stream_closed(r, s, now_us);
		relays_verify_server(r, now_us, &server);
	}
	relays_settle(r, now_us);
}

bool relays_pop_stream(struct relays *r, uint32_t stream, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct relay_slot *s = slot_of_stream(r, stream);

	return s && s->state != SLOT_CONNECTING && fifo_pop(&s->out, NULL, 0, buf, cap, ret_len);
}

const char *relays_stream_name(const struct relays *r, uint32_t stream)
{
	const struct relay_slot *s = slot_of_stream(r, stream);

	return s ? s->name : NULL;
}

/* --- time and outputs --- */

bool relays_is_pending(const struct relays *r)
{
	size_t ready = 0, open = 0;

	if (r->now_us >= r->pending_until_us)
		return false;
	for (size_t i = 0; i < r->server_count; i++) {
		ready += r->servers[i].state == OVERLAY_RELAY_READY;
		open += r->servers[i].state == OVERLAY_RELAY_TRYING ||
			r->servers[i].target_count == 0;
	}
	return open > 0 && ready < RELAYS_WANTED;
}

uint64_t relays_next_deadline(const struct relays *r)
{
	uint64_t due = DEADLINE_NONE;

	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		due = deadline_min(due, slot_stream_deadline(&r->slots[i]));
		if (!r->slots[i].turn)
			continue;
		due = deadline_min(due, r->sweep_us);
		if (r->slots[i].is_verifying)
			due = deadline_min(due, r->slots[i].verify_us);
		due = deadline_min(due, turn_allocation_next_deadline(r->slots[i].turn));
	}
	for (size_t i = 0; i < r->server_count; i++)
		due = deadline_min(due, server_next_deadline(r, i));
	if (relays_is_pending(r))
		due = deadline_min(due, r->pending_until_us);
	return due;
}

void relays_on_deadline(struct relays *r, uint64_t now_us)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (s->turn && turn_allocation_next_deadline(s->turn) <= now_us)
			turn_allocation_on_deadline(s->turn, now_us);
		if (s->turn && s->is_verifying && now_us >= s->verify_us)
			slot_on_verify_deadline(s, now_us);
		if (now_us >= slot_stream_deadline(s))
			slot_on_stream_deadline(r, s, now_us);
	}
	relays_settle(r, now_us);
}

/* Return: true with the next event of the slots that have one of @news to tell. */
static bool pop_news(struct relays *r, uint16_t news, struct relays_event *ret)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if ((s->news & news) && slot_pop_event(r, s, ret))
			return true;
	}
	return false;
}

bool relays_pop_event(struct relays *r, struct relays_event *ret)
{
	/* What begins may have the socket and server of what ends. */
	if (pop_news(r, SLOT_NEWS_STREAM_CLOSE | SLOT_NEWS_SERVER_REMOVE, ret) ||
	    pop_news(r, UINT16_MAX, ret))
		return true;
	for (size_t i = 0; i < r->socket_count; i++) {
		struct relay_socket *k = &r->sockets[i];

		if (!k->wants_spare)
			continue;
		k->wants_spare = false;
		*ret = (struct relays_event){.type = RELAYS_EVENT_WANT_SOCKET, .socket = k->number};
		return true;
	}
	return false;
}

bool relays_pop_transmit(struct relays *r, struct ice_transmit *ret, uint8_t *buf, size_t cap)
{
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (!s->turn || s->stream)
			continue;
		*ret = (struct ice_transmit){.socket = s->socket, .to = s->target.address};
		if (turn_allocation_pop_transmit(s->turn, buf, cap, &ret->len))
			return true;
	}
	return false;
}

void relays_release_all(struct relays *r, uint64_t now_us)
{
	r->is_closing = true;
	for (size_t i = 0; i < RELAYS_MAX_SLOTS; i++) {
		struct relay_slot *s = &r->slots[i];

		if (s->state != SLOT_FREE && s->state != SLOT_ENDED && !s->stream)
			slot_release(r, s, now_us);
	}
	relays_settle(r, now_us);
}

/* --- for people --- */

bool relays_info(const struct relays *r, size_t i, struct overlay_relay_info *ret)
{
	const struct relay_server *s = &r->servers[i];

	if (i >= r->server_count)
		return false;
	*ret = (struct overlay_relay_info){
		.id = s->id,
		.state = s->state,
		.since_us = s->since_us,
		.retry_us = s->state == OVERLAY_RELAY_WAITING ? s->retry_us : DEADLINE_NONE,
		.target = s->last_target,
		.rtt_us = s->rtt_us,
		.problem_us = s->problem_us,
		.problem = s->problem,
		.code = s->code,
		.is_stream_problem = s->is_stream_problem,
	};
	if (s->main != RELAYS_NO_SLOT) {
		const struct relay_slot *main = &r->slots[s->main];

		ret->target = main->target;
		ret->rtt_us = main->rtt_us;
		ret->relayed = main->relayed[main->relayed[0].family == NETADDR_NONE];
	}
	return true;
}
