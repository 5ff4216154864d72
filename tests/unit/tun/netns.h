/* What the tests of the TUN room share, beside the namespace of their own. */
#ifndef ICETUN_TESTS_UNIT_TUN_NETNS_H
#define ICETUN_TESTS_UNIT_TUN_NETNS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/netns.h"
#include "tun/prefix.h"

#define ok(call) netns_assert_ok((call), why, #call, __FILE__, __LINE__)

/* netns_enter(), where TUN devices can be made. */
static inline bool netns_enter_with_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("skipped: needs /dev/net/tun: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	return netns_enter();
}

static inline struct tun_prefix netns_prefix(const char *text)
{
	struct tun_prefix p = {0};
	char ip[64];
	char *slash;

	snprintf(ip, sizeof(ip), "%s", text);
	slash = strchr(ip, '/');
	assert_non_null(slash);
	*slash = '\0';
	p.length_bits = (uint8_t)atoi(slash + 1);
	p.family = strchr(ip, ':') ? 6 : 4;
	assert_int_equal(inet_pton(p.family == 6 ? AF_INET6 : AF_INET, ip, p.ip), 1);
	return p;
}

/* The exit code of `body(arg)` in a child process. */
static inline int netns_in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		exit(body(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Gives up root for good. Only in a child. */
static inline bool netns_become_nobody(void)
{
	return !setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534);
}

static inline void netns_assert_ok(int err, const char *why, const char *call, const char *file,
				   int line)
{
	if (!err)
		return;
	print_error("%s = %d: %s\n", call, err, why);
	_fail(file, line);
}

#endif
