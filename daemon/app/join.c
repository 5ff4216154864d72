/*
 * One attempt to become a member: keys are made, a connection with the token's server key is
 * opened, the issuer is asked, and the certificate is checked against the token's authority before
 * anything is saved.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/core/cert/token.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/joiner.h"

/* Without a connection to the server by then it counts as unreachable. */
#define CONNECT_TIMEOUT_MS 15000

/* What a member needs; in secret memory until it is saved. */
struct keys {
	struct dh_keypair noise, curve;
	struct token token;
};

struct join {
	struct app *app;
	struct control_call *call; /* NULL once it has gone */
	struct keys *keys;
	char name[IDENTIFIER_BYTES];
	struct joiner *joiner;
	struct signal_client *signal;
	uv_timer_t timer;
	uint64_t connect_by_us;
	enum signal_link_reason reason; /* why the last connection failed */
	char detail[SIGNAL_DETAIL_BYTES];
	bool ended;
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
};

bool join_is_for(const struct join *j, const struct control_call *call)
{
	return j->call == call;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void end(struct join *j)
{
	if (j->ended)
		return;
	j->ended = true;
	j->app->join = NULL;
	signal_client_destroy(j->signal);
	joiner_destroy(j->joiner);
	secret_free(j->keys);
	secret_wipe(j->buf, sizeof(j->buf));
	uv_close((uv_handle_t *)&j->timer, on_closed);
}

static void fail(struct join *j, enum problem problem, const char *detail)
{
	log_warning("join.failed", "problem=%s detail=%s", problem_name(problem),
		    log_quote(detail).text);
	if (j->call)
		control_reply_problem(j->call, problem, detail[0] ? detail : NULL);
	j->call = NULL;
	end(j);
}

/* Why there is no connection. */
static void fail_link(struct join *j)
{
	char detail[2 * SIGNAL_DETAIL_BYTES];
	enum problem problem = problem_of_link(j->reason);

	if (problem == PROBLEM_SERVER_UNREACHABLE)
		snprintf(detail, sizeof(detail), "%s (%s)", signal_link_reason_text(j->reason),
			 j->detail);
	else
		snprintf(detail, sizeof(detail), "%s", j->detail);
	fail(j, problem == PROBLEM_NONE ? PROBLEM_SERVER_UNREACHABLE : problem, detail);
}

void join_cancel(struct join *j)
{
	if (j->call)
		j->call = NULL;
	end(j);
}

/* Copies what was won into the state, and saves it. */
static enum problem save(struct join *j, const uint8_t *certificate, size_t len, char *error)
{
	struct state *s = j->app->state;
	const struct token *t = &j->keys->token;

	_Static_assert(sizeof(s->endpoints) == sizeof(t->endpoints), "the same endpoints");
	snprintf(s->network, sizeof(s->network), "%s", t->network);
	snprintf(s->name, sizeof(s->name), "%s", j->name);
	memcpy(s->authority_key, t->authority_key, sizeof(s->authority_key));
	memcpy(s->server_key, t->server_key, sizeof(s->server_key));
	memcpy(s->endpoints, t->endpoints, sizeof(s->endpoints));
	s->endpoint_count = t->endpoint_count;
	s->noise = j->keys->noise;
	s->curve = j->keys->curve;
	memcpy(s->certificate, certificate, len);
	s->certificate_len = len;
	s->joined = true;
	if (state_save(j->app->config->state_directory, s, error) == OK)
		return PROBLEM_NONE;
	s->joined = false;
	return PROBLEM_INTERNAL;
}

static void on_joined(struct join *j)
{
	struct control_joined reply = {0};
	char error[STATE_ERROR_BYTES];
	const uint8_t *certificate;
	enum problem problem;
	struct cert cert;
	size_t len;
	enum err e;

	certificate = joiner_certificate(j->joiner, &len);
	e = cert_verify(certificate, len, j->keys->token.authority_key,
			(int64_t)(app_unix_us() / US_PER_S), &cert);
	if (e == OK && (strcmp(cert.name, j->name) != 0 ||
			memcmp(cert.noise_public, j->keys->noise.public, DH_BYTES) != 0 ||
			memcmp(cert.curve_public, j->keys->curve.public, DH_BYTES) != 0))
		e = DROP_IDENTITY;
	if (e != OK) {
		fail(j, e == DROP_EXPIRED ? PROBLEM_MEMBERSHIP_EXPIRED : PROBLEM_SERVER_REFUSED,
		     err_text(e));
		return;
	}
	problem = save(j, certificate, len, error);
	if (problem != PROBLEM_NONE) {
		fail(j, problem, error);
		return;
	}
	log_info("member.joined", "network=%s name=%s", log_quote(j->app->state->network).text,
		 log_quote(j->name).text);
	snprintf(reply.network, sizeof(reply.network), "%s", j->app->state->network);
	snprintf(reply.name, sizeof(reply.name), "%s", j->name);
	for (size_t i = 0; i < cert.address_count; i++)
		reply.addresses[reply.address_count++] = cert.addresses[i];
	j->app->since_us = app_now_us();
	if (j->call)
		control_reply_joined(j->call, &reply);
	j->call = NULL;
	end(j);
}

static void on_timer(uv_timer_t *t);

/* Sends what the joiner wants, looks how it stands, and sets the timer. */
static void pump(struct join *j)
{
	enum joiner_state state = joiner_state(j->joiner);
	uint64_t now = app_now_us(), due;
	size_t len;

	while (joiner_pop_transmit(j->joiner, j->buf, sizeof(j->buf), &len)) {
		if (signal_client_send(j->signal, j->buf, len) != OK)
			log_debug("join.send", "result=dropped"); /* it is asked again */
		secret_wipe(j->buf, len);
	}
	if (state == JOINER_DONE) {
		on_joined(j);
		return;
	}
	if (state == JOINER_FAILED) {
		enum signal_error code = joiner_code(j->joiner);

		fail(j,
		     code == SIGNAL_ERROR_OTHER ? PROBLEM_SERVER_UNREACHABLE
						: problem_of_signal(code),
		     joiner_detail(j->joiner));
		return;
	}
	due = joiner_next_deadline(j->joiner);
	if (state == JOINER_DOWN)
		due = deadline_min(due, j->connect_by_us);
	uv_update_time(j->app->loop);
	if (due != DEADLINE_NONE)
		uv_timer_start(&j->timer, on_timer,
			       due <= now ? 0 : (due - now + US_PER_MS - 1) / US_PER_MS, 0);
}

static void on_timer(uv_timer_t *t)
{
	struct join *j = t->data;
	uint64_t now = app_now_us();

	if (joiner_state(j->joiner) == JOINER_DOWN && now >= j->connect_by_us) {
		fail_link(j);
		return;
	}
	joiner_on_deadline(j->joiner, now);
	pump(j);
}

static void on_link(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
		    const char *detail)
{
	struct join *j = ctx;
	enum problem problem = problem_of_link(reason);

	if (j->ended)
		return;
	switch (state) {
	case SIGNAL_LINK_UP:
		joiner_on_link_up(j->joiner, app_now_us());
		break;
	case SIGNAL_LINK_DOWN:
		j->reason = reason;
		snprintf(j->detail, sizeof(j->detail), "%s", detail);
		joiner_on_link_down(j->joiner, app_now_us());
		/* Trying again does not mend these. */
		if (problem == PROBLEM_SERVER_KEY || problem == PROBLEM_SERVER_REFUSED ||
		    reason == SIGNAL_LINK_NAME) {
			fail_link(j);
			return;
		}
		break;
	case SIGNAL_LINK_CONNECTING:
	case SIGNAL_LINK_STATE_COUNT:
		break;
	}
	pump(j);
}

static void on_message(void *ctx, const uint8_t *buf, size_t len)
{
	struct join *j = ctx;
	struct signal_message m;

	if (j->ended || signal_message_decode(buf, len, &m) != OK)
		return;
	joiner_on_message(j->joiner, app_now_us(), &m);
	pump(j);
}

static enum problem check_token(const char *text, struct token *ret)
{
	switch (token_parse(text, ret)) {
	case TOKEN_OK:
		return PROBLEM_NONE;
	case TOKEN_DAMAGED:
		return PROBLEM_TOKEN_DAMAGED;
	case TOKEN_UNKNOWN_VERSION:
		return PROBLEM_TOKEN_VERSION;
	case TOKEN_NOT_A_TOKEN:
	case TOKEN_PROBLEM_COUNT:
		break;
	}
	return PROBLEM_TOKEN_BAD;
}

static enum err connect_server(struct join *j)
{
	const struct config *c = j->app->config;
	const struct token *t = &j->keys->token;
	struct signal_client_params params = {
		.loop = j->app->loop,
		.helper_path = c->signal_helper[0] ? c->signal_helper : NULL,
		.ctx = j,
		.on_state = on_link,
		.on_message = on_message,
	};
	struct signal_link_config link = {.endpoint_count = t->endpoint_count};
	enum err e = signal_client_create(&j->signal, &params);

	if (e != OK)
		return e;
	_Static_assert(sizeof(link.endpoint) == sizeof(t->endpoints), "the same endpoints");
	memcpy(link.endpoint, t->endpoints, sizeof(link.endpoint));
	memcpy(link.server_key, t->server_key, sizeof(link.server_key));
	memcpy(link.curve_secret, j->keys->curve.secret, sizeof(link.curve_secret));
	memcpy(link.curve_public, j->keys->curve.public, sizeof(link.curve_public));
	e = signal_client_configure(j->signal, &link);
	secret_wipe(&link, sizeof(link));
	return e;
}

void join_begin(struct app *a, struct control_call *call, const char *token, const char *name)
{
	struct random_source random = random_system();
	struct join *j = calloc(1, sizeof(*j));
	struct joiner_params params = {.random = random};
	enum problem problem;
	enum err e;

	if (!j) {
		control_reply_problem(call, PROBLEM_INTERNAL, err_text(ERR_NO_MEMORY));
		return;
	}
	j->app = a;
	j->call = call;
	a->join = j;
	uv_timer_init(a->loop, &j->timer);
	j->timer.data = j;
	j->connect_by_us = app_now_us() + CONNECT_TIMEOUT_MS * US_PER_MS;
	snprintf(j->name, sizeof(j->name), "%s", name);
	j->keys = secret_alloc(sizeof(*j->keys));
	if (!j->keys) {
		fail(j, PROBLEM_INTERNAL, err_text(ERR_NO_MEMORY));
		return;
	}
	problem = check_token(token, &j->keys->token);
	if (problem != PROBLEM_NONE) {
		fail(j, problem, "");
		return;
	}
	dh_generate(&j->keys->noise, &random);
	dh_generate(&j->keys->curve, &random);
	params.secret = j->keys->token.secret;
	params.name = j->name;
	params.noise_public = j->keys->noise.public;
	params.curve_public = j->keys->curve.public;
	e = joiner_create(&j->joiner, &params);
	if (e == OK)
		e = connect_server(j);
	if (e == ERR_INVALID)
		fail(j, PROBLEM_NAME_INVALID, "");
	else if (e != OK)
		fail(j, PROBLEM_INTERNAL, err_text(e));
	else
		pump(j);
}
