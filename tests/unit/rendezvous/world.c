#include "tests/unit/rendezvous/world.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"

#define READY_MS 15000

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static int free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_return_code(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* Starts the server program. Return: its process id; the read ends of its output. */
static pid_t spawn(const char *const *args, int *ret_out, int *ret_err)
{
	const char *argv[16] = {SERVER_PROGRAM};
	int out[2];
	int err[2];
	pid_t pid;

	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	assert_return_code(pipe2(out, O_CLOEXEC), 0);
	assert_return_code(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_return_code(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test fails */
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	*ret_out = out[0];
	*ret_err = err[0];
	return pid;
}

static void read_all(int fd, char *buf, size_t cap)
{
	size_t len = 0;
	ssize_t n;

	while (len < cap - 1 && (n = read(fd, buf + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(fd);
}

static int exit_code_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int world_command(struct world *w, const char *const *args, char *out, size_t out_cap, char *err,
		  size_t err_cap)
{
	int out_fd;
	int err_fd;
	pid_t pid = spawn(args, &out_fd, &err_fd);

	(void)w;
	read_all(out_fd, out, out_cap);
	read_all(err_fd, err, err_cap);
	return exit_code_of(pid);
}

void world_start_server(struct world *w)
{
	char path[96];
	const char *const args[] = {"run", "--config", path, NULL};
	char line[4096] = "";
	size_t len = 0;
	char *at;
	int out;

	snprintf(path, sizeof(path), "%s/rendezvous.conf", w->dir);
	w->server = spawn(args, &out, &w->server_log);
	close(out);
	while (!(at = strstr(line, "run.ready")) || !strchr(at, '\n')) {
		ssize_t n = read(w->server_log, line + len, sizeof(line) - 1 - len);

		if (n <= 0)
			fail_msg("the server did not start: %s", line);
		len += (size_t)n;
		line[len] = '\0';
	}
	at = strstr(line, "stun=");
	assert_non_null(at);
	w->stun_port = atoi(at + 5);
	/* What it logs later must not stop it. */
	assert_return_code(fcntl(w->server_log, F_SETPIPE_SZ, 1 << 20), 0);
}

void world_kill_server(struct world *w)
{
	kill(w->server, SIGKILL);
	assert_int_equal(exit_code_of(w->server), 128 + SIGKILL);
	close(w->server_log);
	w->server = 0;
}

bool world_server_lives(struct world *w)
{
	return waitpid(w->server, NULL, WNOHANG) == 0;
}

static void write_config(const struct world *w)
{
	char path[96];
	FILE *out;

	snprintf(path, sizeof(path), "%s/rendezvous.conf", w->dir);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out,
		"[Network]\nName=test\nPrefix=100.96.0.0/24\n"
		"[Rendezvous]\nListen=tcp://127.0.0.1:%d\nEndpoint=tcp://127.0.0.1:%d\n"
		"StunListen=*:0\n"
		"[Servers]\nUri=turn:192.0.2.1:3478\nTurnSecret=north\n",
		w->port, w->port);
	fclose(out);
}

/* Keeps the loop turning so that limits are seen, and serves the deadlines of all hosts. */
static void pump(struct host *h);
static void on_tick(uv_timer_t *timer)
{
	struct world *w = timer->data;

	for (size_t i = 0; i < w->host_count; i++) {
		struct host *h = w->hosts[i];

		if (h->registrar && registrar_next_deadline(h->registrar) <= now_us())
			registrar_on_deadline(h->registrar, now_us());
		if (h->joiner && joiner_next_deadline(h->joiner) <= now_us())
			joiner_on_deadline(h->joiner, now_us());
		pump(h);
	}
}

void world_init(struct world *w)
{
	const char *const args[] = {"init", "--dir", w->dir, "--name", "test", NULL};
	char out[4096];
	char err[4096];

	memset(w, 0, sizeof(*w));
	assert_int_equal(crypto_start(), OK);
	strcpy(w->dir, "/tmp/icetun-rendezvous-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->port = free_port();
	assert_int_equal(world_command(w, args, out, sizeof(out), err, sizeof(err)), 0);
	write_config(w);
	world_start_server(w);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->tick);
	w->tick.data = w;
	uv_timer_start(&w->tick, on_tick, 5, 5);
}

void world_fini(struct world *w)
{
	char log[65536];
	char command[96];

	while (w->host_count)
		host_free(w->hosts[0]);
	uv_close((uv_handle_t *)&w->tick, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	if (w->server) {
		kill(w->server, SIGTERM);
		read_all(w->server_log, log, sizeof(log));
		if (exit_code_of(w->server) != 0)
			fail_msg("the server did not end well: %s", log);
	}
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
}

void world_token(struct world *w, const char *uses, struct token *ret)
{
	const char *const args[] = {"token", "create", "--dir", w->dir, "--uses", uses, NULL};
	char out[2048];
	char err[2048];

	assert_int_equal(world_command(w, args, out, sizeof(out), err, sizeof(err)), 0);
	assert_int_equal(token_parse(out, ret), TOKEN_OK);
}

bool world_wait(struct world *w, bool (*is_true)(void *ctx), void *ctx, unsigned limit_ms)
{
	uint64_t until_us = now_us() + limit_ms * US_PER_MS;

	while (!is_true(ctx)) {
		if (now_us() > until_us)
			return false;
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	return true;
}

static void pump(struct host *h)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	struct registrar_event event;
	size_t len;

	/* What cannot be sent now is repeated by who wants it. */
	while (h->joiner && joiner_pop_transmit(h->joiner, buf, sizeof(buf), &len))
		(void)!signal_client_send(h->client, buf, len);
	while (h->registrar && registrar_pop_transmit(h->registrar, buf, sizeof(buf), &len))
		(void)!signal_client_send(h->client, buf, len);
	while (h->registrar && registrar_pop_event(h->registrar, &event)) {
		if (event.type == REGISTRAR_EVENT_LINK_DEAD)
			signal_client_reconnect(h->client);
		if (event.type == REGISTRAR_EVENT_REFUSED)
			h->refusals++;
	}
}

static void on_state(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
		     const char *detail)
{
	struct host *h = ctx;
	bool is_up = state == SIGNAL_LINK_UP;

	assert_non_null(detail);
	h->ups += is_up;
	if (state == SIGNAL_LINK_DOWN)
		h->reason = reason;
	if (h->registrar && is_up)
		registrar_on_link_up(h->registrar, now_us());
	if (h->registrar && state == SIGNAL_LINK_DOWN)
		registrar_on_link_down(h->registrar, now_us());
	if (h->joiner && is_up)
		joiner_on_link_up(h->joiner, now_us());
	if (h->joiner && state == SIGNAL_LINK_DOWN)
		joiner_on_link_down(h->joiner, now_us());
	pump(h);
}

static void on_message(void *ctx, const uint8_t *buf, size_t len)
{
	struct host *h = ctx;
	struct signal_message m;

	assert_int_equal(signal_message_decode(buf, len, &m), OK);
	h->last[m.type] = m;
	h->seen[m.type]++;
	if (m.type == SIGNAL_DELIVER)
		memcpy(h->body, m.body, m.body_len);
	if (h->registrar)
		registrar_on_message(h->registrar, now_us(), &m);
	if (h->joiner)
		joiner_on_message(h->joiner, now_us(), &m);
	pump(h);
}

void world_link_config(struct world *w, struct signal_link_config *ret)
{
	char path[96];
	char text[65] = "";
	uint8_t secret[DH_BYTES];
	FILE *in;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "%s/server.key", w->dir);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_int_equal(fread(text, 1, 64, in), 64);
	fclose(in);
	for (size_t i = 0; i < DH_BYTES; i++) {
		unsigned v;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		secret[i] = (uint8_t)v;
	}
	dh_public(secret, ret->server_key);
	snprintf(ret->endpoint[0], sizeof(ret->endpoint[0]), "tcp://127.0.0.1:%d", w->port);
	ret->endpoint_count = 1;
}

struct host *host_new(struct world *w, const char *name)
{
	const struct random_source random = random_system();
	struct host *h = calloc(1, sizeof(*h));
	struct signal_client_params params = {
		.loop = &w->loop,
		.helper_path = HELPER_PROGRAM,
		.ctx = h,
		.on_state = on_state,
		.on_message = on_message,
	};
	struct signal_link_config config;

	assert_non_null(h);
	h->world = w;
	snprintf(h->name, sizeof(h->name), "%s", name);
	dh_generate(&h->noise, &random);
	dh_generate(&h->curve, &random);
	assert_true(w->host_count < ARRAY_SIZE(w->hosts));
	w->hosts[w->host_count++] = h;
	assert_int_equal(signal_client_create(&h->client, &params), OK);
	world_link_config(w, &config);
	memcpy(config.curve_secret, h->curve.secret, sizeof(config.curve_secret));
	memcpy(config.curve_public, h->curve.public, sizeof(config.curve_public));
	assert_int_equal(signal_client_configure(h->client, &config), OK);
	return h;
}

void host_free(struct host *h)
{
	struct world *w = h->world;

	signal_client_destroy(h->client);
	registrar_destroy(h->registrar);
	joiner_destroy(h->joiner);
	for (size_t i = 0; i < w->host_count; i++) {
		if (w->hosts[i] == h)
			w->hosts[i--] = w->hosts[--w->host_count];
	}
	free(h);
}

static bool join_is_over(void *ctx)
{
	struct host *h = ctx;
	enum joiner_state state = joiner_state(h->joiner);

	return state == JOINER_DONE || state == JOINER_FAILED;
}

enum joiner_state host_join(struct host *h, const struct token *token)
{
	const struct joiner_params params = {
		.secret = token->secret,
		.name = h->name,
		.noise_public = h->noise.public,
		.curve_public = h->curve.public,
		.random = random_system(),
	};
	enum joiner_state state;
	const uint8_t *certificate;
	struct cert cert;

	joiner_destroy(h->joiner);
	assert_int_equal(joiner_create(&h->joiner, &params), OK);
	if (signal_client_state(h->client) == SIGNAL_LINK_UP)
		joiner_on_link_up(h->joiner, now_us());
	assert_true(world_wait(h->world, join_is_over, h, READY_MS));
	state = joiner_state(h->joiner);
	if (state != JOINER_DONE)
		return state;
	certificate = joiner_certificate(h->joiner, &h->certificate_len);
	memcpy(h->certificate, certificate, h->certificate_len);
	assert_int_equal(cert_verify(h->certificate, h->certificate_len, token->authority_key,
				     (int64_t)time(NULL), &cert),
			 OK);
	assert_string_equal(cert.name, h->name);
	return state;
}

void host_forge_certificate(struct host *h, const char *name)
{
	struct cert cert = {
		.serial = 4711,
		.address_count = 1,
		.network_count = 1,
		.issued_s = (int64_t)time(NULL),
		.not_before_s = (int64_t)time(NULL) - 60,
		.not_after_s = (int64_t)time(NULL) + 3600,
	};
	char path[96];
	char text[65] = "";
	uint8_t seed[SIGN_SEED_BYTES];
	uint8_t public[SIGN_PUBLIC_BYTES];
	uint8_t secret[SIGN_SECRET_BYTES];
	FILE *in;

	snprintf(path, sizeof(path), "%s/authority.key", h->world->dir);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_int_equal(fread(text, 1, 64, in), 64);
	fclose(in);
	for (size_t i = 0; i < sizeof(seed); i++) {
		unsigned v;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		seed[i] = (uint8_t)v;
	}
	sign_keypair(seed, public, secret);
	snprintf(cert.name, sizeof(cert.name), "%s", name);
	memcpy(cert.noise_public, h->noise.public, sizeof(cert.noise_public));
	memcpy(cert.curve_public, h->curve.public, sizeof(cert.curve_public));
	assert_int_equal(netaddr_parse_ip("100.96.0.200", 0, &cert.addresses[0]), OK);
	assert_int_equal(netprefix_parse("100.96.0.0/24", &cert.networks[0]), OK);
	assert_int_equal(cert_sign(&cert, secret, h->certificate, sizeof(h->certificate),
				   &h->certificate_len),
			 OK);
}

void host_register(struct host *h, uint64_t epoch)
{
	const struct registrar_params params = {
		.certificate = h->certificate,
		.certificate_len = h->certificate_len,
		.epoch = epoch,
		.random = random_system(),
	};

	registrar_destroy(h->registrar);
	assert_int_equal(registrar_create(&h->registrar, &params), OK);
	/* A new connection brings a new challenge; on one that is still coming it comes anyway. */
	if (signal_client_state(h->client) == SIGNAL_LINK_UP)
		signal_client_reconnect(h->client);
}

void host_send(struct host *h, const struct signal_message *m)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	assert_int_equal(signal_message_encode(m, buf, sizeof(buf), &len), OK);
	assert_int_equal(signal_client_send(h->client, buf, len), OK);
}

bool host_is_registered(void *ctx)
{
	struct host *h = ctx;

	return registrar_state(h->registrar) == REGISTRAR_REGISTERED;
}

bool host_is_refused(void *ctx)
{
	struct host *h = ctx;

	return h->refusals > 0;
}
