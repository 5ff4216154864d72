/* The file of the socket, and who may do what. The second half needs root for other users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/control/internal.h"

#define GROUP	 23456
#define STRANGER 34567

struct fixture {
	char root[64];
	char directory[80];
	char path[108];
	uv_loop_t loop;
};

static void on_status(void *ctx, struct control_status *ret)
{
	(void)ctx;
	ret->state = CONTROL_STATE_UNJOINED;
}

static bool on_peer(void *ctx, size_t index, struct control_peer *ret)
{
	(void)ctx;
	(void)index;
	(void)ret;
	return false;
}

static void on_join(void *ctx, struct control_call *call, const char *token, const char *name)
{
	(void)ctx;
	(void)token;
	(void)name;
	control_reply_done(call);
}

static void on_done(void *ctx, struct control_call *call)
{
	(void)ctx;
	control_reply_done(call);
}

static void on_ping(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		    uint32_t interval_ms)
{
	(void)peer;
	(void)count;
	(void)interval_ms;
	on_done(ctx, call);
}

static void on_cancelled(void *ctx, struct control_call *call)
{
	(void)ctx;
	(void)call;
}

static void on_restart(void *ctx, struct control_call *call, const char *peer)
{
	(void)ctx;
	(void)peer;
	control_reply_done(call);
}

static bool on_offload(void *ctx, enum control_offload which)
{
	(void)ctx;
	(void)which;
	return true;
}

static void on_set_offload(void *ctx, struct control_call *call, enum control_offload which,
			   bool on)
{
	(void)ctx;
	(void)which;
	(void)on;
	control_reply_done(call);
}

static const struct control_ops ops = {
	.status = on_status,
	.peer = on_peer,
	.join = on_join,
	.leave = on_done,
	.up = on_done,
	.down = on_done,
	.ping = on_ping,
	.restart = on_restart,
	.offload = on_offload,
	.set_offload = on_set_offload,
	.events = on_done,
	.cancelled = on_cancelled,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->root, "/tmp/icetun-socket-XXXXXX");
	if (!mkdtemp(f->root) || chmod(f->root, 0755) != 0)
		return -1;
	snprintf(f->directory, sizeof(f->directory), "%s/run", f->root);
	snprintf(f->path, sizeof(f->path), "%s/sock", f->directory);
	uv_loop_init(&f->loop);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(uv_loop_close(&f->loop), 0);
	unlink(f->path);
	rmdir(f->directory);
	assert_int_equal(rmdir(f->root), 0);
	free(f);
	return 0;
}

static enum err create(struct fixture *f, struct control_server **ret, gid_t group)
{
	struct control_params params = {
		.loop = &f->loop, .path = f->path, .group = group, .ops = &ops};

	return control_server_create(ret, &params);
}

static void destroy(struct fixture *f, struct control_server *s)
{
	control_server_destroy(s);
	/* Another server may live on the same loop. */
	for (int i = 0; i < 10; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void test_modes(void **state)
{
	struct fixture *f = *state;
	struct control_server *s;
	mode_t old = umask(0);
	gid_t group = geteuid() == 0 ? GROUP : getegid();
	struct stat st;

	for (int i = 0; i < 2; i++, umask(0777)) {
		assert_int_equal(create(f, &s, group), OK);
		assert_int_equal(stat(f->directory, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0750);
		assert_int_equal(st.st_gid, group);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
		assert_int_equal(st.st_gid, group);
		destroy(f, s);
		assert_int_equal(access(f->path, F_OK), -1);
	}
	umask(old);
	control_server_destroy(NULL);
}

static void test_second_daemon_and_stale_socket(void **state)
{
	struct fixture *f = *state;
	struct control_server *first, *second = NULL;
	char kept[120];

	assert_int_equal(create(f, &first, (gid_t)-1), OK);
	assert_int_equal(create(f, &second, (gid_t)-1), ERR_EXISTS);
	assert_null(second);
	assert_int_equal(access(f->path, F_OK), 0);
	/* A name that stays when its daemon goes, as after a kill. */
	snprintf(kept, sizeof(kept), "%s.kept", f->path);
	assert_int_equal(link(f->path, kept), 0);
	destroy(f, first);
	assert_int_equal(rename(kept, f->path), 0);
	assert_int_equal(create(f, &second, (gid_t)-1), OK);
	/* Somebody else's file at our path is not ours to remove. */
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(create(f, &first, (gid_t)-1), OK);
	destroy(f, second);
	assert_int_equal(access(f->path, F_OK), 0);
	destroy(f, first);
}

static void test_bad_paths(void **state)
{
	struct fixture *f = *state;
	struct control_server *s = NULL;
	char long_path[200];
	struct control_params params = {.loop = &f->loop, .group = (gid_t)-1, .ops = &ops};
	int fd;

	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	long_path[108] = '\0';
	params.path = long_path;
	assert_int_equal(control_server_create(&s, &params), ERR_INVALID);
	params.path = "relative";
	assert_int_equal(control_server_create(&s, &params), ERR_INVALID);
	params.path = "/nonexistent-icetun/deeper/sock";
	assert_int_equal(control_server_create(&s, &params), ERR_SYSTEM);
	assert_int_equal(mkdir(f->directory, 0700), 0);
	fd = open(f->path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(create(f, &s, (gid_t)-1), ERR_INVALID);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_null(s);
}

/* Asks as another user. Return: 'y' for an answer, 'd' for denied, 'c' when connect() failed, 'n'
 * when the server hung up. */
static char ask_as(struct fixture *f, uid_t uid, gid_t gid, gid_t extra, const char *method)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char request[128], reply[8192];
	int fd, status, n;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid != 0) {
		while (waitpid(pid, &status, WNOHANG) == 0)
			uv_run(&f->loop, UV_RUN_NOWAIT);
		assert_true(WIFEXITED(status));
		return (char)WEXITSTATUS(status);
	}
	if (setgroups(1, &extra) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
		_exit('x');
	strcpy(address.sun_path, f->path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit('c');
	n = snprintf(request, sizeof(request),
		     "{\"method\":\"net.icetun.Control.%s\",\"parameters\":%s}", method,
		     strcmp(method, "Join") == 0   ? "{\"token\":\"t\",\"name\":\"n\"}"
		     : strcmp(method, "Ping") == 0 ? "{\"peer\":\"p\"}"
						   : "{}");
	if (write(fd, request, (size_t)n + 1) != n + 1)
		_exit('n');
	n = (int)read(fd, reply, sizeof(reply) - 1);
	if (n <= 0)
		_exit('n');
	reply[n] = '\0';
	if (strstr(reply, "\"error\":\"org.varlink.service.PermissionDenied\""))
		_exit('d');
	_exit(strstr(reply, "\"parameters\":{") && !strstr(reply, "error") ? 'y' : 'x');
}

static void test_who_may_do_what(void **state)
{
	static const struct {
		const char *method;
		char root, member, extra_member, stranger;
	} rows[] = {
		{"Status", 'y', 'y', 'y', 'd'}, {"Peers", 'y', 'y', 'y', 'd'},
		{"Ping", 'y', 'y', 'y', 'd'},	{"Join", 'y', 'd', 'd', 'd'},
		{"Leave", 'y', 'd', 'd', 'd'},	{"Up", 'y', 'd', 'd', 'd'},
		{"Down", 'y', 'd', 'd', 'd'},
	};
	struct fixture *f = *state;
	struct control_server *s;

	if (geteuid() != 0)
		skip();
	assert_int_equal(create(f, &s, GROUP), OK);
	assert_int_equal(ask_as(f, STRANGER, STRANGER, STRANGER, "Status"), 'c');
	/* Whatever happens to the modes, the server looks for itself. */
	assert_int_equal(chmod(f->directory, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *method = rows[i].method;

		assert_int_equal(ask_as(f, 0, 0, 0, method), rows[i].root);
		assert_int_equal(ask_as(f, STRANGER, GROUP, STRANGER, method), rows[i].member);
		assert_int_equal(ask_as(f, STRANGER, STRANGER, GROUP, method),
				 rows[i].extra_member);
		assert_int_equal(ask_as(f, STRANGER, STRANGER, STRANGER, method), rows[i].stranger);
	}
	assert_int_equal(control_server_counters(s)->denied, 3 + 4 * 3);
	destroy(f, s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_modes),
		TEST(test_second_daemon_and_stale_socket),
		TEST(test_bad_paths),
		TEST(test_who_may_do_what),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
