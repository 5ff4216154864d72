/* A network namespace of its own for a test program, and the command ip to change and see it. */
#ifndef ICETUN_TEST_NETNS_H
#define ICETUN_TEST_NETNS_H

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

/* For CTest: the test could not run here. */
#define NETNS_SKIP 77

/*
 * Moves this process into a new network namespace, so that nothing of the machine's own can be
 * touched. Return: false, after it has said why, if that is not possible here.
 */
static inline bool netns_enter(void)
{
	if (system("ip -V >/dev/null 2>&1")) {
		printf("skipped: needs the command ip (iproute2)\n");
		return false;
	}
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

#endif
