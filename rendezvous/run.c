/* icetun-rendezvous run: the server process. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

#include "daemon/core/base/time.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/crypto/sign.h"
#include "rendezvous/command.h"
#include "rendezvous/log.h"
#include "rendezvous/router.h"
#include "rendezvous/service.h"
#include "rendezvous/store.h"
#include "rendezvous/stun_responder.h"
#include "rendezvous/stun_socket.h"

/* The loop waits so long at most for a `token` command that writes. */
#define BUSY_MS 250

/* The leak check of AddressSanitizer is a debugger to the kernel. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_LEAK_CHECK true
#elif defined(__has_feature)
#define HAS_LEAK_CHECK __has_feature(address_sanitizer)
#else
#define HAS_LEAK_CHECK false
#endif

/* In secret memory. */
struct secrets {
	uint8_t seed[SIGN_SEED_BYTES];
	uint8_t authority[SIGN_SECRET_BYTES];
	uint8_t server[DH_BYTES];
};

struct server {
	struct config config;
	struct secrets *secrets;
	uint8_t authority_public[SIGN_PUBLIC_BYTES];
	struct issuer *issuer;
	struct service *service;
	struct router *router;
	struct stun_responder *responder;
	struct stun_socket *stun;
	uv_loop_t loop;
	uv_timer_t timer;
	uv_signal_t signals[2];
};

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static void on_timer(uv_timer_t *timer);

static void schedule(struct server *s)
{
	uint64_t at_us = service_next_deadline(s->service);
	uint64_t now = now_us();

	if (at_us == DEADLINE_NONE)
		uv_timer_stop(&s->timer);
	else
		uv_timer_start(&s->timer, on_timer,
			       at_us > now ? (at_us - now + US_PER_MS - 1) / US_PER_MS : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct server *s = timer->data;

	service_on_deadline(s->service, now_us());
	schedule(s);
}

static void on_message(void *ctx, uint32_t connection, const uint8_t key[static ROUTER_KEY_BYTES],
		       const uint8_t *buf, size_t len)
{
	struct server *s = ctx;

	/* What is ignored is counted there. */
	(void)!service_input(s->service, now_us(), (int64_t)time(NULL), connection, key, buf, len);
	schedule(s);
}

static enum transport_result send_message(void *ctx, uint32_t connection, const uint8_t *buf,
					  size_t len)
{
	struct server *s = ctx;

	return router_send(s->router, connection, buf, len);
}

static enum issuer_result issuer_join_shim(void *ctx, int64_t now_s,
					   const struct issuer_request *request, uint8_t *ret,
					   size_t *ret_len)
{
	const struct server *s = ctx;

	return issuer_join(s->issuer, now_s, request, ret, ret_len);
}

static enum err issuer_find_shim(void *ctx, const char *name, const struct netaddr *address,
				 uint8_t *ret, size_t *ret_len)
{
	const struct server *s = ctx;

	return issuer_find(s->issuer, name, address, ret, ret_len);
}

static void on_event(void *ctx, enum service_event event, const char *name)
{
	(void)ctx;
	switch (event) {
	case SERVICE_EVENT_REGISTERED:
		log_info("member.registered name=%s", name);
		break;
	case SERVICE_EVENT_GONE:
		log_info("member.gone name=%s", name);
		break;
	case SERVICE_EVENT_TAKEN_OVER:
		log_info("member.taken_over name=%s", name);
		break;
	case SERVICE_EVENT_FROZEN:
		log_warning("member.frozen name=%s: two machines seem to use one key", name);
		break;
	case SERVICE_EVENT_NAME_CONFLICT:
		log_warning("member.conflict name=%s: another key was refused", name);
		break;
	case SERVICE_EVENT_JOINED:
		log_info("member.joined name=%s", name);
		break;
	case SERVICE_EVENT_JOIN_REFUSED:
		log_info("member.join_refused name=%s", name);
		break;
	case SERVICE_EVENT_COUNT:
		break;
	}
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Closes everything that is open; the loop then ends. */
static void stop(struct server *s)
{
	router_destroy(s->router);
	stun_socket_destroy(s->stun);
	s->router = NULL;
	s->stun = NULL;
	uv_walk(&s->loop, close_handle, NULL);
}

static void log_counters(const struct server *s)
{
	const struct service_counters *c = service_counters(s->service);
	const struct router_counters *r = router_counters(s->router);

	log_info("run.counters messages=%" PRIu64 " registered=%" PRIu64 " forwarded=%" PRIu64
		 " absent=%" PRIu64 " busy=%" PRIu64 " joined=%" PRIu64 " refused_joins=%" PRIu64
		 " refused_registers=%" PRIu64 " handshakes_failed=%" PRIu64
		 " accepts_failed=%" PRIu64 " foreign_ids=%" PRIu64 " malformed=%" PRIu64,
		 r->messages, c->registered, c->forwarded, c->absent, c->busy, c->joined,
		 c->refused_joins, c->refused_registers, r->handshakes_failed, r->accepts_failed,
		 r->foreign_ids, r->malformed + c->drops.count[DROP_MALFORMED]);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *s = handle->data;

	log_info("run.stopping signal=%d online=%zu", number, service_online_count(s->service));
	log_counters(s);
	stop(s);
}

static enum exit_code load_secrets(struct server *s)
{
	enum exit_code code;

	s->secrets = secret_alloc(sizeof(*s->secrets));
	if (!s->secrets)
		return command_fail(EXIT_CODE_INTERNAL, "out of memory for keys.");
	code = command_read_key(&s->config, STORE_AUTHORITY_KEY, true, s->secrets->seed);
	if (code == EXIT_CODE_DONE)
		code = command_read_key(&s->config, STORE_SERVER_KEY, true, s->secrets->server);
	if (code == EXIT_CODE_DONE)
		sign_keypair(s->secrets->seed, s->authority_public, s->secrets->authority);
	return code;
}

/* What hosts are told: our own STUN responder at the host of the first endpoint, then the rest. */
static struct servers make_servers(const struct server *s)
{
	struct servers ret = {.turn_secret = s->config.turn_secret,
			      .lifetime_s = s->config.turn_lifetime_s};

	if (s->stun && s->config.endpoint_count) {
		char host[CONFIG_ENDPOINT_BYTES];
		int n;

		config_endpoint_host(s->config.endpoint[0], host);
		n = snprintf(ret.uri[0], sizeof(ret.uri[0]), "stun:%s:%u", host,
			     stun_socket_port(s->stun));
		if (n > 0 && (size_t)n < sizeof(ret.uri[0]))
			ret.count++;
	}
	for (size_t i = 0; i < s->config.uri_count && ret.count < SIGNAL_MAX_SERVERS; i++)
		memcpy(ret.uri[ret.count++], s->config.uri[i], sizeof(ret.uri[0]));
	return ret;
}

static enum exit_code listen_failed(const char *what, const char *where, enum err err)
{
	switch ((int)err) {
	case ERR_EXISTS:
		return command_fail(EXIT_CODE_LISTEN,
				    "another program uses %s %s; stop it or change %s.", what,
				    where, what);
	case ERR_NOT_FOUND:
		return command_fail(EXIT_CODE_LISTEN,
				    "%s %s is no address of this machine; correct it.", what,
				    where);
	case ERR_PERMISSION:
		return command_fail(EXIT_CODE_PERMISSION,
				    "no permission for %s %s; use a port from 1024, or give the "
				    "program CAP_NET_BIND_SERVICE.",
				    what, where);
	case ERR_INVALID:
		return command_fail(EXIT_CODE_CONFIG, "%s %s is no address to listen on.", what,
				    where);
	default:
		return command_fail(EXIT_CODE_INTERNAL, "%s %s cannot be used (%s).", what, where,
				    err_text(err));
	}
}

static enum exit_code start_stun(struct server *s)
{
	const struct random_source random = random_system();
	const struct netaddr *listen = &s->config.stun_listen;
	char where[NETADDR_TEXT_BYTES];
	enum err err;

	if (!s->config.is_stun_on)
		return EXIT_CODE_DONE;
	if (listen->family == NETADDR_NONE)
		snprintf(where, sizeof(where), "*:%u", listen->port);
	else
		netaddr_format(listen, where);
	err = stun_responder_create(&s->responder, &random);
	if (err == OK)
		err = stun_socket_create(&s->stun, &s->loop, listen, s->responder);
	return err == OK ? EXIT_CODE_DONE : listen_failed("StunListen", where, err);
}

static enum exit_code start_service(struct server *s)
{
	struct service_params params = service_default_params();

	params.random = random_system();
	memcpy(params.authority_public, s->authority_public, sizeof(params.authority_public));
	params.servers = make_servers(s);
	params.issuer = (struct service_issuer){
		.join = issuer_join_shim, .find = issuer_find_shim, .ctx = s};
	params.transport = (struct transport){.send = send_message, .ctx = s};
	params.on_event = on_event;
	if (service_create(&s->service, &params) != OK)
		return command_fail(EXIT_CODE_INTERNAL, "out of memory.");
	return EXIT_CODE_DONE;
}

static enum exit_code start_router(struct server *s)
{
	const struct router_params params = {
		.loop = &s->loop,
		.listen = s->config.listen,
		.server_secret = s->secrets->server,
		.ctx = s,
		.on_message = on_message,
	};
	enum err err = router_create(&s->router, &params);

	if (err != OK)
		return listen_failed("Listen", s->config.listen, err);
	secret_wipe(s->secrets->server, sizeof(s->secrets->server));
	return EXIT_CODE_DONE;
}

static void watch_signals(struct server *s)
{
	static const int numbers[ARRAY_SIZE(s->signals)] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_SIZE(s->signals); i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], on_signal, numbers[i]);
	}
}

/* Nothing that this process starts gains rights, its memory goes to no file and to no debugger, and
 * it may hold as many connections as the system allows. */
static void harden(void)
{
	const struct rlimit no_core = {0, 0};
	struct rlimit files;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	if (!HAS_LEAK_CHECK)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static enum exit_code start(struct server *s)
{
	struct random_source random = random_system();
	enum exit_code code = load_secrets(s);

	/* libzmq draws routing ids from rand() and never seeds it: see router.h. */
	srand(random_u32(&random));
	if (code == EXIT_CODE_DONE)
		code = command_open_issuer(&s->config, s->secrets->authority, BUSY_MS, &s->issuer);
	if (code == EXIT_CODE_DONE)
		code = start_stun(s);
	if (code == EXIT_CODE_DONE)
		code = start_service(s);
	if (code == EXIT_CODE_DONE)
		code = start_router(s);
	return code;
}

enum exit_code command_run(int argc, char **argv)
{
	struct command_option options[] = {{"config", NULL}, {"dir", NULL}};
	struct server *s = calloc(1, sizeof(*s));
	size_t rest;
	enum exit_code code;

	if (!s || uv_loop_init(&s->loop)) {
		free(s);
		return command_fail(EXIT_CODE_INTERNAL, "out of memory.");
	}
	uv_timer_init(&s->loop, &s->timer);
	s->timer.data = s;
	harden();
	code = command_parse(argc, argv, options, ARRAY_SIZE(options), NULL, 0, &rest);
	if (code == EXIT_CODE_DONE)
		code = command_load_config(options[1].value, options[0].value, &s->config);
	if (code == EXIT_CODE_DONE)
		code = start(s);
	if (code == EXIT_CODE_DONE) {
		watch_signals(s);
		log_info("run.ready network=%s listen=%s stun=%u", s->config.network,
			 router_endpoint(s->router), s->stun ? stun_socket_port(s->stun) : 0);
	} else {
		stop(s);
	}
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
	service_destroy(s->service);
	stun_responder_destroy(s->responder);
	issuer_close(s->issuer);
	secret_free(s->secrets);
	secret_wipe(&s->config, sizeof(s->config));
	free(s);
	return code;
}
