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

/* The same with arguments. */
__attribute__((format(printf, 1, 2))) static inline void netns_ipf(const char *format, ...)
{
	char args[200];
	va_list list;

	va_start(list, format);
	vsnprintf(args, sizeof(args), format, list);
	va_end(list);
	netns_ip_ok(args);
}

/* Brings @device up and waits until the system, in its own time, says that it has a carrier. */
static inline void netns_bring_up(const char *device)
{
	char args[128];

	netns_ipf("link set %s up", device);
	snprintf(args, sizeof(args), "link show %s", device);
	for (int tries = 0; !netns_shows(args, "state UP"); tries++)
		assert_true(tries < 5000); /* each is a process: seconds */
}

/* A pair whose near end is up. What stands for a real network card is a macvlan: no kind that
 * exists inside a host only. Its other end is @name-x. */
static inline void netns_add_card(const char *name)
{
	netns_ipf("link add %s-w type veth peer name %s-x", name, name);
	netns_ipf("link set %s-x up", name);
	netns_ipf("link set %s-w up", name);
	netns_ipf("link add link %s-w name %s type macvlan mode private", name, name);
	netns_bring_up(name);
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
