#include "daemon/core/signal/registrar.h"

#include <stdlib.h>
#include <string.h>

/* The list of timers is in registrar.h. */
#define ANSWER_US	  (10 * US_PER_S)
#define REGISTER_SPACE_US (500 * US_PER_MS)
#define RETRY_DEFAULT_MS  5000
#define RETRY_MAX_MS	  60000
#define PING_MIN_MS	  5000
#define PING_MAX_MS	  120000
#define JITTER_PERCENT	  20
#define PINGS_UNANSWERED  2
#define EVENTS		  8

struct registrar {
	struct random_source random;
	enum registrar_state state;
	enum signal_error code;
	uint64_t action_us; /* when to do what the state does: ask, register, ping */
	uint64_t silent_us; /* until when the server has to have answered */
	uint64_t next_register_us;
	bool is_known;	     /* the server has registered us, and has not asked since who we are */
	bool is_early;	     /* REGISTERING before a challenge */
	unsigned unanswered; /* pings since the last message of the server */
	enum signal_type transmit; /* what is to be sent, SIGNAL_NONE when nothing */
	uint64_t epoch;		   /* of the next REGISTER */
	uint64_t seq;
	uint64_t server_time_s;
	uint64_t ping_us;
	uint8_t nonce[SIGNAL_NONCE_BYTES];
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
	struct signal_server servers[SIGNAL_MAX_SERVERS];
	size_t server_count;
	uint8_t revocation[REVOCATION_MAX_BYTES];
	size_t revocation_len;
	struct registrar_event events[EVENTS];
	size_t event_head, event_count;
};

/* The oldest event goes when nobody takes them. */
static void push_event(struct registrar *r, enum registrar_event_type type)
{
	if (r->event_count == EVENTS) {
		r->event_head = (r->event_head + 1) % EVENTS;
		r->event_count--;
	}
	r->events[(r->event_head + r->event_count++) % EVENTS] =
		(struct registrar_event){.type = type, .code = r->code};
}

/* The one place where the state changes: nothing of the old one stays scheduled. */
static void set_state(struct registrar *r, enum registrar_state state)
{
	if (r->state == REGISTRAR_REGISTERED)
		push_event(r, REGISTRAR_EVENT_LOST);
	r->state = state;
	r->action_us = DEADLINE_NONE;
	r->silent_us = DEADLINE_NONE;
	r->unanswered = 0;
	r->is_early = false;
	r->transmit = SIGNAL_NONE;
}

/* @us, plus or minus up to JITTER_PERCENT. */
static uint64_t jitter(struct registrar *r, uint64_t us)
{
	uint64_t span = us * JITTER_PERCENT / 100;

	return us - span + random_below(&r->random, (uint32_t)(2 * span + 1));
}

static bool is_certificate_len(size_t len)
{
	return len >= 1 && len <= CERT_MAX_BYTES;
}

enum err registrar_create(struct registrar **ret, const struct registrar_params *params)
{
	struct registrar *r;

	if (!is_certificate_len(params->certificate_len) ||
	    params->epoch >= (uint64_t)1 << (64 - SIGNAL_EPOCH_COUNTER_BITS))
		return ERR_INVALID;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ERR_NO_MEMORY;
	r->random = params->random;
	r->epoch = params->epoch << SIGNAL_EPOCH_COUNTER_BITS;
	memcpy(r->certificate, params->certificate, params->certificate_len);
	r->certificate_len = params->certificate_len;
	set_state(r, REGISTRAR_DOWN);
	*ret = r;
	return OK;
}

void registrar_destroy(struct registrar *r)
{
	free(r);
}

static void declare_dead(struct registrar *r)
{
	set_state(r, REGISTRAR_DOWN);
	push_event(r, REGISTRAR_EVENT_LINK_DEAD);
}

void registrar_on_link_down(struct registrar *r, uint64_t now_us)
{
	(void)now_us;
	if (r->state != REGISTRAR_REFUSED)
		set_state(r, REGISTRAR_DOWN);
}

/* From a connection that it does not know, the server answers with CHALLENGE. */
static void ask_for_challenge(struct registrar *r, uint64_t now_us)
{
	r->seq++;
	r->transmit = SIGNAL_PING;
	r->action_us = DEADLINE_NONE;
	r->silent_us = now_us + ANSWER_US;
}

static void send_register(struct registrar *r, uint64_t now_us)
{
	r->epoch++;
	r->transmit = SIGNAL_REGISTER;
	r->next_register_us = now_us + REGISTER_SPACE_US;
	r->action_us = DEADLINE_NONE;
	r->silent_us = now_us + ANSWER_US;
}

static void begin_registering(struct registrar *r, uint64_t now_us)
{
	set_state(r, REGISTRAR_REGISTERING);
	if (now_us >= r->next_register_us)
		send_register(r, now_us);
	else
		r->action_us = r->next_register_us;
}

void registrar_on_link_up(struct registrar *r, uint64_t now_us)
{
	if (r->state == REGISTRAR_REFUSED)
		return;
	if (r->is_known) {
		memset(r->nonce, 0, sizeof(r->nonce));
		begin_registering(r, now_us);
		r->is_early = true;
	} else {
		set_state(r, REGISTRAR_WAITING);
		ask_for_challenge(r, now_us);
	}
}

static void on_challenge(struct registrar *r, uint64_t now_us, const struct signal_message *m)
{
	memcpy(r->nonce, m->nonce, sizeof(r->nonce));
	r->server_time_s = m->server_time_s;
	r->is_known = false;
	begin_registering(r, now_us);
}

static void schedule_ping(struct registrar *r, uint64_t now_us)
{
	r->action_us = now_us + jitter(r, r->ping_us);
	r->silent_us = DEADLINE_NONE;
}

/* How often to ping: as told, but at least three times in a lease. */
static uint64_t ping_us(const struct signal_message *m)
{
	uint32_t ms = m->ping_ms;

	if (m->lease_ms && ms > m->lease_ms / 3)
		ms = m->lease_ms / 3;
	if (ms < PING_MIN_MS)
		ms = PING_MIN_MS;
	if (ms > PING_MAX_MS)
		ms = PING_MAX_MS;
	return ms * US_PER_MS;
}

static void take_lists(struct registrar *r, const struct signal_message *m)
{
	memcpy(r->servers, m->servers, sizeof(r->servers));
	r->server_count = m->server_count;
	r->revocation_len = m->revocation_len;
	if (m->revocation_len)
		memcpy(r->revocation, m->revocation, m->revocation_len);
}

/* The server has something new to say: credentials that are to replace those from before. */
static void on_registered_again(struct registrar *r, const struct signal_message *m)
{
	take_lists(r, m);
	push_event(r, REGISTRAR_EVENT_SERVERS);
}

static void on_registered(struct registrar *r, uint64_t now_us, const struct signal_message *m)
{
	/* Only as the answer to a REGISTER that is on its way. */
	if (r->action_us != DEADLINE_NONE || r->transmit != SIGNAL_NONE)
		return;
	take_lists(r, m);
	r->ping_us = ping_us(m);
	set_state(r, REGISTRAR_REGISTERED);
	r->is_known = true;
	schedule_ping(r, now_us);
	push_event(r, REGISTRAR_EVENT_REGISTERED);
}

/* Refusals that another try does not change. */
static bool is_final(enum signal_error code)
{
	switch (code) {
	case SIGNAL_ERROR_REPLACED:
	case SIGNAL_ERROR_REVOKED:
	case SIGNAL_ERROR_NAME_TAKEN:
	case SIGNAL_ERROR_NAME_INVALID:
	case SIGNAL_ERROR_VERSION:
	case SIGNAL_ERROR_EXPIRED:
	case SIGNAL_ERROR_CERTIFICATE:
		return true;
	case SIGNAL_ERROR_OTHER:
	case SIGNAL_ERROR_UNKNOWN:
	case SIGNAL_ERROR_ABSENT:
	case SIGNAL_ERROR_BUSY:
	case SIGNAL_ERROR_RATE:
	case SIGNAL_ERROR_BAD:
	case SIGNAL_ERROR_TOKEN_INVALID:
	case SIGNAL_ERROR_TOKEN_EXPIRED:
	case SIGNAL_ERROR_TOKEN_USED:
	case SIGNAL_ERROR_NO_ADDRESS:
	case SIGNAL_ERROR_COUNT:
		return false;
	}
	return false;
}

static void on_error(struct registrar *r, uint64_t now_us, const struct signal_message *m)
{
	uint32_t ms = m->retry_ms ? m->retry_ms : RETRY_DEFAULT_MS;

	if (is_final(m->code)) {
		r->is_known = false;
		r->code = m->code;
		set_state(r, REGISTRAR_REFUSED);
		push_event(r, REGISTRAR_EVENT_REFUSED);
	} else if (r->state == REGISTRAR_REGISTERING) {
		r->is_known = false;
		r->code = m->code;
		if (ms > RETRY_MAX_MS)
			ms = RETRY_MAX_MS;
		set_state(r, REGISTRAR_WAITING);
		r->action_us = now_us + ms * US_PER_MS +
			       random_below(&r->random, (uint32_t)(ms * US_PER_MS / 5));
	}
}

/* Any message shows that the server is there. */
static void on_sign_of_life(struct registrar *r, uint64_t now_us)
{
	if (r->state != REGISTRAR_REGISTERED || r->unanswered == 0)
		return;
	r->unanswered = 0;
	schedule_ping(r, now_us);
}

/* The messages of registration that the state does not take are ignored. */
static void process(struct registrar *r, uint64_t now_us, const struct signal_message *m)
{
	switch (r->state) {
	case REGISTRAR_WAITING:
	case REGISTRAR_REGISTERING:
	case REGISTRAR_REGISTERED:
		if (m->type == SIGNAL_CHALLENGE)
			on_challenge(r, now_us, m);
		else if (m->type == SIGNAL_REGISTERED && r->state == REGISTRAR_REGISTERING)
			on_registered(r, now_us, m);
		else if (m->type == SIGNAL_REGISTERED && r->state == REGISTRAR_REGISTERED)
			on_registered_again(r, m);
		else if (m->type == SIGNAL_ERROR)
			on_error(r, now_us, m);
		break;
	case REGISTRAR_DOWN:
	case REGISTRAR_REFUSED:
	case REGISTRAR_STATE_COUNT:
		break;
	}
}

static bool has_xid(const struct signal_message *m)
{
	static const uint8_t none[SIGNAL_XID_BYTES];

	return memcmp(m->xid, none, sizeof(none)) != 0;
}

bool registrar_on_message(struct registrar *r, uint64_t now_us, const struct signal_message *m)
{
	on_sign_of_life(r, now_us);
	if (m->type != SIGNAL_CHALLENGE && m->type != SIGNAL_REGISTERED && m->type != SIGNAL_PONG &&
	    (m->type != SIGNAL_ERROR || has_xid(m)))
		return false;
	process(r, now_us, m);
	return true;
}

uint64_t registrar_next_deadline(const struct registrar *r)
{
	return deadline_min(r->action_us, r->silent_us);
}

/* Sends a ping that has to be answered. */
static void ping(struct registrar *r, uint64_t now_us)
{
	uint64_t wait_us = r->ping_us / 2 < ANSWER_US ? r->ping_us / 2 : ANSWER_US;

	r->seq++;
	r->transmit = SIGNAL_PING;
	r->unanswered++;
	r->action_us = DEADLINE_NONE;
	r->silent_us = now_us + wait_us;
}

static void act(struct registrar *r, uint64_t now_us)
{
	switch (r->state) {
	case REGISTRAR_WAITING:
		ask_for_challenge(r, now_us);
		break;
	case REGISTRAR_REGISTERING:
		send_register(r, now_us);
		break;
	case REGISTRAR_REGISTERED:
		ping(r, now_us);
		break;
	case REGISTRAR_DOWN:
	case REGISTRAR_REFUSED:
	case REGISTRAR_STATE_COUNT:
		break;
	}
}

void registrar_on_deadline(struct registrar *r, uint64_t now_us)
{
	if (now_us >= r->silent_us) {
		if (r->state == REGISTRAR_REGISTERED && r->unanswered < PINGS_UNANSWERED)
			ping(r, now_us);
		else
			declare_dead(r);
	} else if (now_us >= r->action_us) {
		act(r, now_us);
	}
}

bool registrar_pop_transmit(struct registrar *r, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct signal_message m = {.type = r->transmit};

	if (r->transmit == SIGNAL_NONE)
		return false;
	m.seq = r->seq;
	m.epoch = r->epoch;
	m.certificate = r->certificate;
	m.certificate_len = r->certificate_len;
	memcpy(m.nonce, r->nonce, sizeof(m.nonce));
	r->transmit = SIGNAL_NONE;
	return signal_message_encode(&m, buf, cap, ret_len) == OK;
}

bool registrar_pop_event(struct registrar *r, struct registrar_event *ret)
{
	if (r->event_count == 0)
		return false;
	*ret = r->events[r->event_head];
	r->event_head = (r->event_head + 1) % EVENTS;
	r->event_count--;
	return true;
}

void registrar_retry(struct registrar *r, uint64_t now_us)
{
	(void)now_us;
	if (r->state == REGISTRAR_REFUSED)
		declare_dead(r);
}

enum err registrar_set_certificate(struct registrar *r, uint64_t now_us, const uint8_t *certificate,
				   size_t len)
{
	(void)now_us;
	if (!is_certificate_len(len))
		return ERR_INVALID;
	memcpy(r->certificate, certificate, len);
	r->certificate_len = len;
	if (r->state == REGISTRAR_REFUSED || r->state == REGISTRAR_REGISTERED ||
	    r->state == REGISTRAR_REGISTERING)
		declare_dead(r);
	return OK;
}

void registrar_bye(struct registrar *r, uint64_t now_us)
{
	bool registered = r->state == REGISTRAR_REGISTERED;

	(void)now_us;
	set_state(r, REGISTRAR_DOWN);
	if (registered)
		r->transmit = SIGNAL_BYE;
}

bool registrar_is_heard(const struct registrar *r)
{
	return r->state == REGISTRAR_REGISTERED ||
	       (r->state == REGISTRAR_REGISTERING && r->is_early && r->action_us == DEADLINE_NONE);
}

enum registrar_state registrar_state(const struct registrar *r)
{
	return r->state;
}

const char *registrar_state_name(enum registrar_state state)
{
	static const char *const names[REGISTRAR_STATE_COUNT] = {
		[REGISTRAR_DOWN] = "down",
		[REGISTRAR_WAITING] = "waiting",
		[REGISTRAR_REGISTERING] = "registering",
		[REGISTRAR_REGISTERED] = "registered",
		[REGISTRAR_REFUSED] = "refused",
	};

	return state < REGISTRAR_STATE_COUNT ? names[state] : names[REGISTRAR_DOWN];
}

enum signal_error registrar_code(const struct registrar *r)
{
	return r->code;
}

const struct signal_server *registrar_servers(const struct registrar *r, size_t *ret_count)
{
	*ret_count = r->server_count;
	return r->servers;
}

const uint8_t *registrar_revocation(const struct registrar *r, size_t *ret_len)
{
	*ret_len = r->revocation_len;
	return r->revocation_len ? r->revocation : NULL;
}

uint64_t registrar_server_time_s(const struct registrar *r)
{
	return r->server_time_s;
}
