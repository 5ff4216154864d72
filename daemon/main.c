/*
 * icetund: joins this host to an overlay network and moves its packets. docs/CONTROL.md says how it
 * is controlled, packaging/examples/icetund.conf how it is configured.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/app/app.h"
#include "daemon/app/memory.h"
#include "daemon/app/privilege.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/log/log.h"

static const char usage[] =
	"Usage: icetund [--config FILE]\n"
	"\n"
	"Joins this host to an overlay network. Runs in the foreground and logs to standard "
	"error;\n"
	"SIGTERM ends it and leaves no device, address, route or rule behind.\n"
	"\n"
	"  --config FILE  configuration (default " CONFIG_DEFAULT_FILE ", which may be missing)\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"It is controlled by ictl; `ictl help exit-codes` lists the exit codes of both.\n";

struct process {
	uv_loop_t loop;
	uv_signal_t signals[2];
	struct app *app;
};

/* Says what is wrong and what to do. Return: the exit code. */
static int give_up(enum problem problem, const char *detail)
{
	fprintf(stderr, "icetund: %s%s%s%s\n%s\n", problem_text(problem), detail[0] ? " (" : "",
		detail, detail[0] ? ")." : ".", problem_advice(problem));
	return problem_exit(problem);
}

/* sd_notify(3), which says to do this by hand: its library brings six others and a megabyte. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') /* an abstract name */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct process *p = handle->data;

	log_info("stop", "signal=%d", number);
	notify("STOPPING=1");
	for (size_t i = 0; i < ARRAY_SIZE(p->signals); i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
	app_stop(p->app);
}

static void catch_signals(struct process *p)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	_Static_assert(ARRAY_SIZE(numbers) == ARRAY_SIZE(((struct process *)NULL)->signals),
		       "a handle for each signal");
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
}

static gid_t group_id(const char *name)
{
	const struct group *g = getgrnam(name);

	return g ? g->gr_gid : (gid_t)-1;
}

/* @detail: CONFIG_ERROR_BYTES for people. */
static enum problem load_state(const struct config *config, struct state *state, char *detail)
{
	enum err e = state_load(config->state_directory, state, detail);

	if (e == OK)
		return PROBLEM_NONE;
	return e == ERR_PERMISSION   ? PROBLEM_STATE_UNSAFE
	       : e == DROP_MALFORMED ? PROBLEM_STATE_DAMAGED
				     : PROBLEM_INTERNAL;
}

static int run(struct process *p, const struct config *config, struct state *state)
{
	struct app_params params = {
		.loop = &p->loop,
		.config = config,
		.state = state,
		.control_group = group_id(config->control_group),
	};
	char detail[CONFIG_ERROR_BYTES];
	enum err e = app_create(&p->app, &params);

	if (e == ERR_EXISTS)
		return give_up(PROBLEM_RUNNING, config->control_socket);
	if (e != OK) {
		snprintf(detail, sizeof(detail), "control socket %s: %s", config->control_socket,
			 strerror(errno));
		return give_up(e == ERR_PERMISSION ? PROBLEM_PERMISSION : PROBLEM_INTERNAL, detail);
	}
	e = privilege_drop(config->user);
	if (e != OK) {
		snprintf(detail, sizeof(detail), "User=%s: %s", config->user, err_text(e));
		app_stop(p->app);
		uv_run(&p->loop, UV_RUN_DEFAULT);
		return give_up(PROBLEM_PERMISSION, detail);
	}
	catch_signals(p);
	log_info("start", "version=%s socket=%s", ICETUN_VERSION, config->control_socket);
	notify("READY=1");
	app_start(p->app);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	app_destroy(p->app);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	static struct process process;
	char detail[CONFIG_ERROR_BYTES] = "";
	const char *file = NULL;
	struct config config;
	struct state *state;
	enum problem problem;
	int option, code;

	while ((option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (option == 'V') {
			puts("icetund " ICETUN_VERSION);
			return 0;
		}
		if (option != 'c') {
			fputs(usage, stderr);
			return problem_exit(PROBLEM_USAGE);
		}
		file = optarg;
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return problem_exit(PROBLEM_USAGE);
	}
	if (config_load(file, &config, detail) != OK)
		return give_up(PROBLEM_CONFIG, detail);
	memory_start();
	log_start(config.log_level, NULL);
	privilege_protect_memory();
	state = crypto_start() == OK ? state_create() : NULL;
	if (!state)
		return give_up(PROBLEM_INTERNAL, "no memory for secrets");
	aead_start();
	problem = load_state(&config, state, detail);
	if (problem != PROBLEM_NONE) {
		secret_wipe(&config, sizeof(config));
		state_destroy(state);
		return give_up(problem, detail);
	}
	/* Names are looked up by half of libuv's threads: enough that dead ones hold up no
	 * others. */
	setenv("UV_THREADPOOL_SIZE", "16", 0);
	uv_loop_init(&process.loop);
	code = run(&process, &config, state);
	uv_loop_close(&process.loop);
	secret_wipe(&config, sizeof(config));
	state_destroy(state);
	return code;
}
