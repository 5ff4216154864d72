/* A network namespace of its own for a test program, and a second opinion on what is in it. */
#ifndef ICETUN_TESTS_UNIT_TUN_NETNS_H
#define ICETUN_TESTS_UNIT_TUN_NETNS_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "tun/prefix.h"

/* For CTest: the test could not run here. */
#define NETNS_SKIP 77

#define ok(call) netns_assert_ok((call), why, #call, __FILE__, __LINE__)

/*
 * Moves this process into a new network namespace, so that nothing of the machine's own can be
 * touched. Return: false, after it has said why, if that or a TUN device is not possible here.
 */
static inline bool netns_enter(void)
{
	int fd;

	if (system("ip -V >/dev/null 2>&1")) {
		printf("skipped: needs the command ip (iproute2)\n");
		return false;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("skipped: needs /dev/net/tun: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	if (unshare(CLONE_NEWNET)) {
		printf("skipped: needs root for a network namespace: %s\n", strerror(errno));
		return false;
	}
	return true;
}

/* The output of `ip ARGS...`, cut at 64 KiB. The string lives until the next call. */
static inline const char *netns_ip(const char *args)
{
	static char output[65536];
	char command[256];
	size_t len;
	FILE *f;

	snprintf(command, sizeof(command), "ip %s 2>&1", args);
	f = popen(command, "r");
	assert_non_null(f);
	len = fread(output, 1, sizeof(output) - 1, f);
	output[len] = '\0';
	pclose(f);
	return output;
}

/* Runs `ip ARGS...`, which has to succeed in silence. */
static inline void netns_ip_ok(const char *args)
{
	assert_string_equal(netns_ip(args), "");
}

static inline bool netns_shows(const char *args, const char *want)
{
	return strstr(netns_ip(args), want);
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

static inline unsigned int netns_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
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
