/* The helper program as its socket sees it, and the spacing of its tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/signaling/client.h"
#include "daemon/signaling/helper/connector.h"

struct helper {
	pid_t pid;
	int fd;
};

static struct helper start(void)
{
	struct helper h;
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	h.pid = fork();
	assert_return_code(h.pid, 0);
	if (h.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 3);
		execl(HELPER_PROGRAM, HELPER_PROGRAM, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	h.fd = fds[0];
	return h;
}

static int exit_code(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct signal_frame next(const struct helper *h)
{
	static uint8_t buf[SIGNAL_FRAME_MAX_BYTES];
	struct signal_frame frame;
	ssize_t n = recv(h->fd, buf, sizeof(buf), 0);

	assert_true(n > 0);
	assert_int_equal(signal_frame_decode(buf, (size_t)n, &frame), OK);
	return frame;
}

/* Nothing listens on port 1 of loopback. */
static void configure(const struct helper *h)
{
	struct signal_frame frame = {.type = SIGNAL_FRAME_CONFIGURE};
	uint8_t buf[1024];
	size_t len;

	memset(frame.config.server_key, 7, SIGNAL_CURVE_BYTES);
	memset(frame.config.curve_secret, 8, SIGNAL_CURVE_BYTES);
	memset(frame.config.curve_public, 9, SIGNAL_CURVE_BYTES);
	strcpy(frame.config.endpoint[0], "tcp://127.0.0.1:1");
	frame.config.endpoint_count = 1;
	assert_int_equal(signal_frame_encode(&frame, buf, sizeof(buf), &len), OK);
	assert_int_equal(send(h->fd, buf, len, 0), len);
}

static void test_states(void **state)
{
	const struct helper h = start();
	struct signal_frame frame;

	(void)state;
	configure(&h);
	/* It tries again by itself. */
	for (int i = 0; i < 2; i++) {
		frame = next(&h);
		assert_int_equal(frame.type, SIGNAL_FRAME_STATE);
		assert_int_equal(frame.state, SIGNAL_LINK_CONNECTING);
		frame = next(&h);
		assert_int_equal(frame.state, SIGNAL_LINK_DOWN);
		assert_int_equal(frame.reason, SIGNAL_LINK_UNREACHABLE);
		assert_string_equal(frame.detail, "tcp://127.0.0.1:1");
	}
	close(h.fd);
	assert_int_equal(exit_code(h.pid), 0);
}

static void check_bad_frame(const void *buf, size_t len)
{
	const struct helper h = start();

	assert_int_equal(send(h.fd, buf, len, 0), len);
	assert_int_equal(exit_code(h.pid), 4);
	close(h.fd);
}

static void test_bad_frames(void **state)
{
	static const uint8_t large[SIGNAL_FRAME_MAX_BYTES + 1] = {SIGNAL_FRAME_SEND};
	static const uint8_t wrong_way[3] = {SIGNAL_FRAME_STATE, 0, 0};
	static const uint8_t configure_short[9] = {SIGNAL_FRAME_CONFIGURE};

	(void)state;
	check_bad_frame("rubbish", 7);
	check_bad_frame(large, sizeof(large));
	check_bad_frame(wrong_way, sizeof(wrong_way));
	check_bad_frame(configure_short, sizeof(configure_short));
}

static void test_commands_before_configuration(void **state)
{
	static const uint8_t reconnect[1] = {SIGNAL_FRAME_RECONNECT};
	static const uint8_t message[3] = {SIGNAL_FRAME_SEND, 1, 2};
	const struct helper h = start();

	(void)state;
	assert_int_equal(send(h.fd, reconnect, sizeof(reconnect), 0), 1);
	assert_int_equal(send(h.fd, message, sizeof(message), 0), 3);
	configure(&h);
	assert_int_equal(next(&h).state, SIGNAL_LINK_CONNECTING);
	close(h.fd);
	assert_int_equal(exit_code(h.pid), 0);
}

static void check_status(const char *status, const char *key, const char *value)
{
	const char *at = strstr(status, key);

	assert_non_null(at);
	at += strlen(key);
	at += strspn(at, "\t ");
	if (strncmp(at, value, strlen(value)))
		fail_msg("%s is %.20s", key, at);
}

static void test_has_no_privileges(void **state)
{
	const struct helper h = start();
	char path[64];
	char status[8192] = "";
	FILE *in;

	(void)state;
	configure(&h);
	(void)next(&h);
	snprintf(path, sizeof(path), "/proc/%d/status", h.pid);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_true(fread(status, 1, sizeof(status) - 1, in) > 0);
	fclose(in);
	check_status(status, "CapEff:", "0000000000000000");
	check_status(status, "CapPrm:", "0000000000000000");
	check_status(status, "CapInh:", "0000000000000000");
	check_status(status, "CapAmb:", "0000000000000000");
	check_status(status, "NoNewPrivs:", "1");
	if (geteuid() == 0) {
		check_status(status, "CapBnd:", "0000000000000000");
		check_status(status, "\nUid:", "65534\t65534\t65534");
		check_status(status, "\nGid:", "65534\t65534\t65534");
		check_status(status, "\nGroups:", "\n");
	}
	close(h.fd);
	assert_int_equal(exit_code(h.pid), 0);
}

static void test_by_hand(void **state)
{
	pid_t pid = fork();

	(void)state;
	assert_return_code(pid, 0);
	if (pid == 0) {
		close(3);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(HELPER_PROGRAM, HELPER_PROGRAM, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(exit_code(pid), 2);
}

static void test_backoff(void **state)
{
	static const uint64_t limits_ms[] = {400,   1000,  2000,  4000, 8000,
					     16000, 32000, 60000, 60000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(limits_ms); i++)
		assert_int_equal(connector_backoff_ms(i), limits_ms[i]);
	assert_int_equal(connector_backoff_ms(UINT32_MAX), 60000);
}

static void on_state(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
		     const char *detail)
{
	(void)ctx;
	(void)state;
	(void)reason;
	(void)detail;
	fail();
}

static void on_message(void *ctx, const uint8_t *buf, size_t len)
{
	(void)ctx;
	(void)buf;
	(void)len;
	fail();
}

static void test_client_without_helper(void **state)
{
	uv_loop_t loop;
	struct signal_client *client;
	struct signal_client_params params = {
		.loop = &loop,
		.helper_path = "/nonexistent/icetun-signal",
		.on_state = on_state,
		.on_message = on_message,
	};
	const struct signal_link_config none = {.endpoint_count = 0};

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(signal_client_create(&client, &params), ERR_NOT_FOUND);
	params.helper_path = "/etc/passwd";
	assert_int_equal(signal_client_create(&client, &params), ERR_NOT_FOUND);
	/* A client that is destroyed at once leaves nothing behind, and tells nobody. */
	params.helper_path = HELPER_PROGRAM;
	assert_int_equal(signal_client_create(&client, &params), OK);
	assert_int_equal(signal_client_configure(client, &none), ERR_INVALID);
	assert_int_equal(signal_client_send(client, (const uint8_t *)"x", 1), ERR_WRONG_STATE);
	signal_client_destroy(client);
	signal_client_destroy(NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_commands_before_configuration),
		cmocka_unit_test(test_has_no_privileges),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_client_without_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
