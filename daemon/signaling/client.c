#include "daemon/signaling/client.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/crypto/secret.h"

#define RESTART_FIRST_MS 200
#define RESTART_MAX_MS	 30000
/* A helper that ran so long was healthy: the next restart is quick again. */
#define RESTART_RESET_MS 30000
/* How long a helper may take to answer CONFIGURE and RECONNECT, and to end after its socket did. */
#define ANSWER_MS 5000
#define ENDING_MS 1000
/* Frames taken in one turn of the loop. */
#define READ_BUDGET 32

/* One life of the helper process. It outlives the client until its handles are closed. */
struct run {
	struct signal_client *client; /* NULL when the client is gone or has given this run up */
	uv_process_t process;
	uv_poll_t poll;
	uv_timer_t kill_timer;
	unsigned open_handles;
	int fd;
	bool is_configured; /* CONFIGURE was taken by the socket */
	uint64_t started_ms;
};

struct signal_client {
	struct signal_client_params params;
	char helper_path[PATH_MAX];
	struct signal_link_config *config; /* secret memory; NULL before the first configuration */
	uv_timer_t restart_timer;
	struct run *run;
	uint64_t restart_delay_ms;
	uint64_t restarts;
	enum signal_link_state state;
	bool is_destroyed;
};

static void on_restart(uv_timer_t *timer);

/* The only writer of the state. The callback may destroy the client. */
static void set_state(struct signal_client *c, enum signal_link_state state,
		      enum signal_link_reason reason, const char *detail)
{
	c->state = state;
	c->params.on_state(c->params.ctx, state, reason, detail);
}

static void on_run_handle_closed(uv_handle_t *handle)
{
	struct run *run = handle->data;

	if (--run->open_handles)
		return;
	close(run->fd);
	free(run);
}

static void close_run_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_run_handle_closed);
}

static void on_kill_timer(uv_timer_t *timer)
{
	struct run *run = timer->data;

	uv_process_kill(&run->process, SIGKILL);
}

/* Ends the socket, which ends the helper; its exit frees the run. */
static void run_end(struct run *run)
{
	run->client = NULL;
	uv_poll_stop(&run->poll);
	shutdown(run->fd, SHUT_RDWR);
	uv_timer_start(&run->kill_timer, on_kill_timer, ENDING_MS, 0);
}

static void schedule_restart(struct signal_client *c, uint64_t lived_ms)
{
	if (lived_ms >= RESTART_RESET_MS)
		c->restart_delay_ms = RESTART_FIRST_MS;
	uv_timer_start(&c->restart_timer, on_restart, c->restart_delay_ms, 0);
	c->restart_delay_ms *= 2;
	if (c->restart_delay_ms > RESTART_MAX_MS)
		c->restart_delay_ms = RESTART_MAX_MS;
}

static void on_helper_exit(uv_process_t *process, int64_t status, int signal_number)
{
	struct run *run = process->data;
	struct signal_client *c = run->client;
	char detail[SIGNAL_DETAIL_BYTES];

	close_run_handle((uv_handle_t *)&run->process);
	close_run_handle((uv_handle_t *)&run->poll);
	close_run_handle((uv_handle_t *)&run->kill_timer);
	if (!c)
		return;
	run->client = NULL;
	c->run = NULL;
	schedule_restart(c, uv_now(c->params.loop) - run->started_ms);
	if (signal_number)
		snprintf(detail, sizeof(detail), "ended by signal %d", signal_number);
	else
		snprintf(detail, sizeof(detail), "ended with exit code %d", (int)status);
	set_state(c, SIGNAL_LINK_DOWN, SIGNAL_LINK_HELPER, detail);
}

static enum err run_send(struct run *run, const uint8_t *buf, size_t len)
{
	ssize_t n = send(run->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n == (ssize_t)len ? OK : DROP_QUEUE_FULL;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void run_watch(struct run *run)
{
	bool want_write = run->client->config && !run->is_configured;

	uv_poll_start(&run->poll, UV_READABLE | (want_write ? UV_WRITABLE : 0), on_poll);
}

/* Hands the configuration to the helper, now or when the socket takes it. */
static void run_configure(struct run *run)
{
	const struct signal_link_config *config = run->client->config;
	uint8_t buf[4 + 3 * SIGNAL_CURVE_BYTES + SIGNAL_ENDPOINTS_MAX * SIGNAL_ENDPOINT_BYTES];
	struct signal_frame *frame = NULL;
	size_t len = 0;

	if (!config || run->is_configured)
		return;
	frame = secret_alloc(sizeof(*frame));
	if (frame) {
		frame->type = SIGNAL_FRAME_CONFIGURE;
		frame->config = *config;
		if (signal_frame_encode(frame, buf, sizeof(buf), &len) == OK &&
		    run_send(run, buf, len) == OK) {
			run->is_configured = true;
			uv_timer_start(&run->kill_timer, on_kill_timer, ANSWER_MS, 0);
		}
	}
	secret_free(frame);
	secret_wipe(buf, sizeof(buf));
	run_watch(run);
}

static void on_frame(struct run *run, const uint8_t *buf, size_t len)
{
	struct signal_client *c = run->client;
	struct signal_frame frame;

	if (signal_frame_decode(buf, len, &frame) != OK)
		return;
	if (frame.type == SIGNAL_FRAME_STATE) {
		uv_timer_stop(&run->kill_timer);
		set_state(c, frame.state, frame.reason, frame.detail);
	} else if (frame.type == SIGNAL_FRAME_MESSAGE) {
		c->params.on_message(c->params.ctx, frame.payload, frame.payload_len);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct run *run = poll->data;
	uint8_t buf[SIGNAL_FRAME_MAX_BYTES];

	(void)status;
	if (events & UV_WRITABLE)
		run_configure(run);
	/* A callback may end this run: it then has no client. */
	for (int i = 0; i < READ_BUDGET && run->client; i++) {
		ssize_t n = recv(run->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n > 0) {
			on_frame(run, buf, (size_t)n);
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			/* It is ending; if it only closed its socket, it shall end. */
			uv_poll_stop(&run->poll);
			uv_timer_start(&run->kill_timer, on_kill_timer, ENDING_MS, 0);
		}
		break;
	}
}

/* Return: 0 or a libuv error. @child_fd becomes descriptor 3 of the helper. */
static int spawn(struct signal_client *c, struct run *run, int child_fd)
{
	char *args[] = {c->helper_path, NULL};
	uv_stdio_container_t stdio[4] = {
		{.flags = UV_IGNORE},
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = child_fd},
	};
	uv_process_options_t options = {
		.file = c->helper_path,
		.args = args,
		.stdio = stdio,
		.stdio_count = ARRAY_SIZE(stdio),
		.exit_cb = on_helper_exit,
	};

	if (c->params.set_user) {
		options.flags = UV_PROCESS_SETUID | UV_PROCESS_SETGID;
		options.uid = c->params.uid;
		options.gid = c->params.gid;
	}
	return uv_spawn(c->params.loop, &run->process, &options);
}

static enum err run_start(struct signal_client *c)
{
	int fds[2];
	int result;
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return ERR_NO_MEMORY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)) {
		free(run);
		return ERR_SYSTEM;
	}
	run->fd = fds[0];
	run->started_ms = uv_now(c->params.loop);
	run->process.data = run->poll.data = run->kill_timer.data = run;
	uv_timer_init(c->params.loop, &run->kill_timer);
	run->open_handles = 1;
	if (uv_poll_init(c->params.loop, &run->poll, run->fd)) {
		close(fds[1]);
		close_run_handle((uv_handle_t *)&run->kill_timer);
		return ERR_SYSTEM;
	}
	run->open_handles = 3;
	result = spawn(c, run, fds[1]);
	close(fds[1]);
	if (result) {
		/* libuv has initialised the process handle even so; it must be closed. */
		close_run_handle((uv_handle_t *)&run->process);
		close_run_handle((uv_handle_t *)&run->poll);
		close_run_handle((uv_handle_t *)&run->kill_timer);
		return result == UV_ENOENT || result == UV_EACCES ? ERR_NOT_FOUND : ERR_SYSTEM;
	}
	run->client = c;
	c->run = run;
	run_watch(run);
	run_configure(run);
	return OK;
}

static void on_restart(uv_timer_t *timer)
{
	struct signal_client *c = timer->data;

	c->restarts++;
	if (run_start(c) != OK)
		schedule_restart(c, 0);
}

/* Takes directory + @name when a program is there. */
static bool take_program(char *ret, size_t cap, const char *dir, size_t dir_len, const char *name)
{
	int n = snprintf(ret, cap, "%.*s%s", (int)dir_len, dir, name);

	return n > 0 && (size_t)n < cap && access(ret, X_OK) == 0;
}

static enum err find_helper(char *ret, size_t cap)
{
	static const char installed[] = ICETUN_HELPER_DIR "/icetun-signal";
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		const char *slash;
		size_t dir_len;

		self[n] = '\0';
		slash = strrchr(self, '/');
		dir_len = slash ? (size_t)(slash - self) : 0;
		if (take_program(ret, cap, self, dir_len, "/icetun-signal") ||
		    take_program(ret, cap, self, dir_len, "/../libexec/icetun/icetun-signal"))
			return OK;
	}
	return take_program(ret, cap, "", 0, installed) ? OK : ERR_NOT_FOUND;
}

enum err signal_client_create(struct signal_client **ret, const struct signal_client_params *params)
{
	struct signal_client *c = calloc(1, sizeof(*c));
	enum err err = ERR_NOT_FOUND;

	if (!c)
		return ERR_NO_MEMORY;
	c->params = *params;
	c->restart_delay_ms = RESTART_FIRST_MS;
	c->state = SIGNAL_LINK_CONNECTING;
	if (!params->helper_path)
		err = find_helper(c->helper_path, sizeof(c->helper_path));
	else if (take_program(c->helper_path, sizeof(c->helper_path), params->helper_path,
			      strlen(params->helper_path), ""))
		err = OK;
	if (err == OK)
		err = run_start(c);
	if (err != OK) {
		free(c);
		return err;
	}
	uv_timer_init(params->loop, &c->restart_timer);
	c->restart_timer.data = c;
	*ret = c;
	return OK;
}

static void on_client_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void signal_client_destroy(struct signal_client *c)
{
	if (!c || c->is_destroyed)
		return;
	c->is_destroyed = true;
	if (c->run)
		run_end(c->run);
	c->run = NULL;
	secret_free(c->config);
	c->config = NULL;
	uv_close((uv_handle_t *)&c->restart_timer, on_client_closed);
}

enum err signal_client_configure(struct signal_client *c, const struct signal_link_config *config)
{
	enum err err = signal_link_config_check(config);

	if (err != OK)
		return err;
	if (!c->config)
		c->config = secret_alloc(sizeof(*c->config));
	if (!c->config)
		return ERR_NO_MEMORY;
	*c->config = *config;
	if (c->run) {
		c->run->is_configured = false;
		run_configure(c->run);
	}
	return OK;
}

enum err signal_client_send(struct signal_client *c, const uint8_t *buf, size_t len)
{
	uint8_t frame[SIGNAL_FRAME_MAX_BYTES];
	struct signal_frame f = {.type = SIGNAL_FRAME_SEND, .payload = buf, .payload_len = len};
	size_t frame_len;
	enum err err;

	if (!c->run || c->state != SIGNAL_LINK_UP)
		return ERR_WRONG_STATE;
	err = signal_frame_encode(&f, frame, sizeof(frame), &frame_len);
	return err == OK ? run_send(c->run, frame, frame_len) : err;
}

void signal_client_reconnect(struct signal_client *c)
{
	static const uint8_t frame[1] = {SIGNAL_FRAME_RECONNECT};

	/* Without a run a new helper comes and connects anyway. */
	if (!c->run || !c->run->is_configured)
		return;
	/* A helper whose socket is full does not react either: the timer sees to both. */
	(void)!run_send(c->run, frame, sizeof(frame));
	if (!uv_is_active((const uv_handle_t *)&c->run->kill_timer))
		uv_timer_start(&c->run->kill_timer, on_kill_timer, ANSWER_MS, 0);
}

enum signal_link_state signal_client_state(const struct signal_client *c)
{
	return c->state;
}

pid_t signal_client_helper_pid(const struct signal_client *c)
{
	return c->run ? c->run->process.pid : 0;
}

uint64_t signal_client_restarts(const struct signal_client *c)
{
	return c->restarts;
}
