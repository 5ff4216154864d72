#include "daemon/control/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/control/internal.h"
#include "daemon/log/log.h"

static void on_closed(uv_handle_t *handle)
{
	control_server_release(handle->data);
}

void control_server_release(struct control_server *s)
{
	if (--s->handles == 0 && s->destroyed)
		free(s);
}

static void on_connection(uv_stream_t *listener, int status)
{
	if (status == 0)
		control_client_accept(listener->data);
	else
		log_warning("control.accept_failed", "error=%s", uv_err_name(status));
}

/* Handles what was left over. A client may go while its turn runs, but not from the list: that
 * happens when the loop reports its closing. */
static void on_resume(uv_idle_t *idle)
{
	struct control_server *s = idle->data;

	uv_idle_stop(idle);
	for (struct control_client *c = s->clients; c && !s->destroyed; c = c->next)
		control_client_process(c);
}

static enum err listen_on(struct control_server *s, int fd)
{
	struct stat st;
	int status = uv_pipe_open(&s->listener, fd);

	if (status != 0) {
		close(fd);
		errno = -status;
		return ERR_SYSTEM;
	}
	if (stat(s->path, &st) != 0)
		return ERR_SYSTEM;
	s->path_device = st.st_dev;
	s->path_inode = st.st_ino;
	status = uv_listen((uv_stream_t *)&s->listener, SOMAXCONN, on_connection);
	errno = -status;
	return status == 0 ? OK : ERR_SYSTEM;
}

enum err control_server_create(struct control_server **ret, const struct control_params *params)
{
	struct control_server *s;
	int fd = -1, why;
	enum err e;

	e = control_socket_open(params, &fd);
	if (e != OK)
		return e;
	s = calloc(1, sizeof(*s));
	if (!s) {
		unlink(params->path);
		close(fd);
		return ERR_NO_MEMORY;
	}
	s->params = *params;
	memcpy(s->path, params->path, strlen(params->path) + 1);
	s->params.path = s->path;
	s->resume_cb = on_resume;
	/* Neither of the two can fail. */
	(void)uv_pipe_init(params->loop, &s->listener, 0);
	(void)uv_idle_init(params->loop, &s->resume);
	s->listener.data = s;
	s->resume.data = s;
	s->handles = 2;
	e = listen_on(s, fd);
	if (e != OK) {
		why = errno;
		unlink(params->path);
		control_server_destroy(s);
		errno = why;
		return e;
	}
	*ret = s;
	return OK;
}

/* Only the file that we made: another daemon may have put its own there meanwhile. */
static void remove_socket(const struct control_server *s)
{
	struct stat st;

	if (lstat(s->path, &st) == 0 && st.st_dev == s->path_device && st.st_ino == s->path_inode)
		unlink(s->path);
}

void control_server_destroy(struct control_server *s)
{
	if (!s || s->destroyed)
		return;
	s->destroyed = true;
	remove_socket(s);
	for (struct control_client *c = s->clients; c; c = c->next) {
		if (c->call)
			control_call_cancel(c->call);
		control_client_close(c);
	}
	uv_close((uv_handle_t *)&s->listener, on_closed);
	uv_close((uv_handle_t *)&s->resume, on_closed);
}

const struct control_counters *control_server_counters(const struct control_server *s)
{
	return &s->counters;
}

size_t control_server_clients(const struct control_server *s)
{
	return s->client_count;
}
