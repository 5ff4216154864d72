/* Life, states, deadlines and events. */
#include "daemon/core/turn/allocation.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/turn/private.h"

void turn_allocation_set_state(struct turn_allocation *a, enum turn_state state)
{
	a->state = state;
}

struct turn_event *turn_allocation_push_event(struct turn_allocation *a, enum turn_event_type type)
{
	struct turn_event *e;

	/* The owner pulls after each call, which makes at most two; were it not so, the oldest
	 * goes. */
	if (a->event_count == TURN_EVENT_SLOTS) {
		a->event_head = (a->event_head + 1) % TURN_EVENT_SLOTS;
		a->event_count--;
	}
	e = &a->events[(a->event_head + a->event_count++) % TURN_EVENT_SLOTS];
	*e = (struct turn_event){.type = type, .cookie = a->cookie, .server = a->server};
	return e;
}

bool turn_allocation_pop_event(struct turn_allocation *a, struct turn_event *ret)
{
	if (a->event_count == 0)
		return turn_peers_pop_event(a, ret);
	*ret = a->events[a->event_head];
	a->event_head = (a->event_head + 1) % TURN_EVENT_SLOTS;
	a->event_count--;
	return true;
}

static void stop_requests(struct turn_allocation *a)
{
	for (size_t i = 0; i < TURN_REQUESTS; i++)
		turn_request_stop(&a->requests[i]);
}

/* --- deadlines --- */

void turn_allocation_schedule(struct turn_allocation *a)
{
	uint64_t due = DEADLINE_NONE;

	for (size_t i = 0; i < TURN_REQUESTS; i++)
		due = deadline_min(due, stun_transaction_deadline(&a->requests[i].txn));
	if (turn_allocation_is_usable(a)) {
		due = deadline_min(due, a->expires_us);
		if (!turn_request_is_active(&a->requests[TURN_MAIN]))
			due = deadline_min(due, a->refresh_us);
		if (!a->stream && !turn_request_is_active(&a->requests[TURN_KEEPALIVE]))
			due = deadline_min(due, a->keepalive_us);
	}
	a->deadline_us = deadline_min(due, turn_peers_deadline(a));
}

uint64_t turn_allocation_next_deadline(const struct turn_allocation *a)
{
	return a->deadline_us;
}

void turn_allocation_schedule_keepalive(struct turn_allocation *a)
{
	uint64_t fifth_us = TURN_KEEPALIVE_US / 5;

	a->keepalive_us = a->sent_us + TURN_KEEPALIVE_US - fifth_us +
			  random_below(&a->random, (uint32_t)(2 * fifth_us));
}

/* --- creation --- */

static bool params_are_valid(const struct turn_params *p)
{
	return p->random.fill && netaddr_ip_bytes(&p->server) != 0 && p->server.port != 0 &&
	       (p->family == NETADDR_NONE || p->family == NETADDR_IP4 ||
		p->family == NETADDR_IP6) &&
	       p->max_permissions <= 1024 && p->max_channels <= 4096;
}

static void begin(struct turn_allocation *a, uint64_t now_us)
{
	a->purged = false;
	a->one_family = false;
	a->relayed = a->relayed_other = a->mapped = (struct netaddr){0};
	a->expires_us = 0;
	turn_allocation_set_state(a, TURN_ALLOCATING);
	turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
}

enum err turn_allocation_create(struct turn_allocation **ret, const struct turn_params *params,
				uint64_t now_us)
{
	struct turn_allocation *a;
	enum err e = ERR_NO_MEMORY;

	if (!params_are_valid(params))
		return ERR_INVALID;
	a = calloc(1, sizeof(*a));
	if (!a)
		return ERR_NO_MEMORY;
	a->random = params->random;
	a->server = params->server;
	a->stream = params->stream;
	a->hold = params->hold;
	a->family = params->family;
	a->cookie = params->cookie;
	a->auth = secret_alloc(sizeof(*a->auth));
	if (a->auth)
		e = turn_auth_set(a->auth, params->username, params->password);
	if (e == OK)
		e = turn_peers_init(a, params);
	if (e != OK) {
		turn_allocation_destroy(a);
		return e;
	}
	begin(a, now_us);
	turn_allocation_schedule(a);
	*ret = a;
	return OK;
}

void turn_allocation_destroy(struct turn_allocation *a)
{
	if (!a)
		return;
	turn_peers_fini(a);
	secret_free(a->auth);
	free(a);
}

/* --- ends --- */

struct turn_event *turn_allocation_end(struct turn_allocation *a, enum turn_state state,
				       enum turn_event_type type, enum turn_problem problem,
				       uint16_t code, uint64_t retry_us)
{
	struct turn_event *e;

	stop_requests(a);
	turn_peers_reset(a);
	a->relayed = a->relayed_other = (struct netaddr){0};
	a->expires_us = 0;
	turn_allocation_set_state(a, state);
	e = turn_allocation_push_event(a, type);
	e->problem = problem;
	e->code = code;
	e->retry_us = retry_us;
	return e;
}

void turn_allocation_fail(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			  uint64_t retry_us)
{
	(void)turn_allocation_end(a, TURN_FAILED, TURN_EVENT_FAILED, problem, code, retry_us);
}

void turn_allocation_lose(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			  uint64_t retry_us)
{
	(void)turn_allocation_end(a, TURN_LOST, TURN_EVENT_LOST, problem, code, retry_us);
}

void turn_allocation_expire(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			    uint64_t now_us)
{
	struct turn_event *e;

	a->refresh_us = now_us + TURN_REFRESH_RETRY_US;
	if (a->state != TURN_ALLOCATED)
		return;
	turn_allocation_set_state(a, TURN_EXPIRING);
	e = turn_allocation_push_event(a, TURN_EVENT_EXPIRING);
	e->problem = problem;
	e->code = code;
	e->expires_us = a->expires_us;
}

void turn_allocation_set_released(struct turn_allocation *a)
{
	(void)turn_allocation_end(a, TURN_RELEASED, TURN_EVENT_RELEASED, TURN_PROBLEM_NONE, 0, 0);
}

void turn_allocation_refresh(struct turn_allocation *a, uint64_t now_us)
{
	if (turn_allocation_is_usable(a) && !turn_request_is_active(&a->requests[TURN_MAIN]))
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_REFRESH, now_us);
}

/* --- what comes --- */

enum err turn_allocation_input(struct turn_allocation *a, uint64_t now_us, const uint8_t *buf,
			       size_t len, struct turn_data *ret)
{
	struct stun_message m;
	enum err e;

	*ret = (struct turn_data){0};
	if (len > 0 && buf[0] >= TURN_CHANNEL_MIN >> 8 && buf[0] <= TURN_CHANNEL_MAX >> 8)
		return turn_data_on_channel(a, buf, len, ret);
	if (len > 0 && buf[0] > 3)
		return DROP_UNKNOWN_TYPE;
	e = stun_decode(&m, buf, len);
	if (e != OK)
		return e;
	switch (m.class) {
	case STUN_CLASS_REQUEST:
		return DROP_UNKNOWN_TYPE;
	case STUN_CLASS_INDICATION:
		return turn_data_on_indication(a, &m, ret);
	case STUN_CLASS_SUCCESS:
	case STUN_CLASS_ERROR:
		break;
	}
	e = turn_response_take(a, &m, now_us);
	turn_allocation_schedule(a);
	return e;
}

bool turn_allocation_expects(const struct turn_allocation *a,
			     const uint8_t txid[static STUN_TXID_BYTES])
{
	return turn_request_find(a, txid) != TURN_REQUESTS;
}

/* --- time --- */

static void serve(struct turn_allocation *a, struct turn_request *r, uint64_t now_us)
{
	switch (stun_transaction_on_deadline(&r->txn, now_us)) {
	case STUN_TRANSACTION_NOTHING:
		return;
	case STUN_TRANSACTION_RETRANSMIT:
		r->to_send = true;
		a->sent_us = now_us;
		return;
	case STUN_TRANSACTION_TIMED_OUT:
		turn_response_on_silence(a, r, now_us);
		return;
	}
}

void turn_allocation_on_deadline(struct turn_allocation *a, uint64_t now_us)
{
	bool is_late = a->deadline_us != DEADLINE_NONE && now_us > a->deadline_us + TURN_LATE_US;

	for (size_t i = 0; i < TURN_REQUESTS; i++)
		serve(a, &a->requests[i], now_us);
	if (turn_allocation_is_usable(a) && now_us >= a->expires_us)
		turn_allocation_lose(a, TURN_PROBLEM_EXPIRED, 0, US_PER_S);
	turn_peers_expire(a, now_us);
	turn_peers_ask(a, now_us);
	if (turn_allocation_is_usable(a)) {
		if (now_us >= a->refresh_us || is_late)
			turn_allocation_refresh(a, now_us);
		if (now_us < a->sent_us + TURN_KEEPALIVE_US * 4 / 5 && now_us >= a->keepalive_us)
			turn_allocation_schedule_keepalive(a);
		if (!a->stream && now_us >= a->keepalive_us &&
		    !turn_request_is_active(&a->requests[TURN_KEEPALIVE]))
			turn_request_start(a, &a->requests[TURN_KEEPALIVE], TURN_REQUEST_KEEPALIVE,
					   now_us);
	}
	turn_allocation_schedule(a);
}

bool turn_allocation_pop_transmit(struct turn_allocation *a, uint8_t *buf, size_t cap,
				  size_t *ret_len)
{
	for (size_t i = 0; i < TURN_REQUESTS; i++) {
		if (turn_request_write(a, &a->requests[i], buf, cap, ret_len))
			return true;
	}
	return false;
}

/* --- what the owner wants --- */

enum err turn_allocation_proceed(struct turn_allocation *a, uint64_t now_us)
{
	if (a->state != TURN_HELD)
		return ERR_WRONG_STATE;
	turn_allocation_set_state(a, TURN_ALLOCATING);
	turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_ALLOCATE, now_us);
	turn_allocation_schedule(a);
	return OK;
}

enum err turn_allocation_restart(struct turn_allocation *a, uint64_t now_us,
				 const struct netaddr *server)
{
	if (a->state != TURN_RELEASED && a->state != TURN_REDIRECTED && a->state != TURN_FAILED &&
	    a->state != TURN_LOST)
		return ERR_WRONG_STATE;
	if (server && (netaddr_ip_bytes(server) == 0 || server->port == 0))
		return ERR_INVALID;
	if (server && !netaddr_equal(server, &a->server)) {
		a->server = *server;
		turn_auth_forget(a->auth);
	}
	a->answers_keepalives = false;
	stop_requests(a);
	begin(a, now_us);
	turn_allocation_schedule(a);
	return OK;
}

void turn_allocation_release(struct turn_allocation *a, uint64_t now_us)
{
	/* A request that is under way may still get an allocation: that is given back, too. */
	bool may_exist = turn_allocation_is_usable(a) ||
			 (a->state == TURN_ALLOCATING && a->requests[TURN_MAIN].authenticated);

	if (a->state == TURN_RELEASING || a->state == TURN_RELEASED)
		return;
	stop_requests(a);
	if (may_exist) {
		turn_allocation_set_state(a, TURN_RELEASING);
		turn_request_start(a, &a->requests[TURN_MAIN], TURN_REQUEST_RELEASE, now_us);
	} else {
		turn_allocation_set_released(a);
	}
	turn_allocation_schedule(a);
}

void turn_allocation_verify(struct turn_allocation *a, uint64_t now_us)
{
	struct turn_request *r = &a->requests[TURN_MAIN];

	/* One that nobody answers has long pauses by now. */
	if (turn_request_is_active(r) && r->kind == TURN_REQUEST_REFRESH &&
	    now_us >= r->txn.started_us + US_PER_S)
		turn_request_stop(r);
	turn_allocation_refresh(a, now_us);
	turn_allocation_schedule(a);
}

void turn_allocation_on_stream_closed(struct turn_allocation *a, uint64_t now_us)
{
	(void)now_us;
	switch (a->state) {
	case TURN_ALLOCATING:
	case TURN_HELD:
	case TURN_PURGING:
		turn_allocation_fail(a, TURN_PROBLEM_SILENT, 0, 30 * US_PER_S);
		break;
	case TURN_ALLOCATED:
	case TURN_EXPIRING:
		turn_allocation_lose(a, TURN_PROBLEM_SILENT, 0, US_PER_S);
		break;
	case TURN_RELEASING:
		turn_allocation_set_released(a);
		break;
	case TURN_RELEASED:
	case TURN_REDIRECTED:
	case TURN_FAILED:
	case TURN_LOST:
	case TURN_STATE_COUNT:
		break;
	}
	turn_allocation_schedule(a);
}

enum err turn_allocation_set_credentials(struct turn_allocation *a, uint64_t now_us,
					 const char *username, const char *password)
{
	bool stands = turn_allocation_is_usable(a) || a->state == TURN_RELEASING;
	enum err e;

	if (stands && (!username || strcmp(username, a->auth->username) != 0))
		return ERR_WRONG_STATE;
	e = turn_auth_set(a->auth, username, password);
	if (e == OK && a->state == TURN_EXPIRING)
		turn_allocation_refresh(a, now_us);
	turn_allocation_schedule(a);
	return e;
}

/* --- what it is --- */

enum turn_state turn_allocation_state(const struct turn_allocation *a)
{
	return a->state;
}

bool turn_allocation_is_usable(const struct turn_allocation *a)
{
	return a->state == TURN_ALLOCATED || a->state == TURN_EXPIRING;
}

uint64_t turn_allocation_expires_us(const struct turn_allocation *a)
{
	return a->expires_us;
}

const struct netaddr *turn_allocation_relayed(const struct turn_allocation *a)
{
	return &a->relayed;
}

const struct netaddr *turn_relayed_of(const struct turn_allocation *a, uint8_t family)
{
	if (a->relayed.family == family)
		return &a->relayed;
	return a->relayed_other.family == family ? &a->relayed_other : NULL;
}

const struct netaddr *turn_allocation_server(const struct turn_allocation *a)
{
	return &a->server;
}
