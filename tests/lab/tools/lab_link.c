/*
 * A link between two Ethernet devices, in user space: what enters one leaves the other, later, or
 * not at all, as link.h says. For kernels without netem.
 *
 *	lab_link run [--seed N] [--log FILE] CONTROL DEVICE DEVICE [SETTING...]
 *	lab_link set CONTROL SETTING...
 *	lab_link show CONTROL
 *	lab_link plain DEVICE...
 *
 * `run` moves frames until SIGTERM; it says "ready" when it does. From the first device to the
 * second is "out", the other way is "in". The devices are ends of veth pairs that nothing else
 * uses, without addresses. SETTING: see link_text.h. `set` changes settings while it runs, `show`
 * prints them and the counters. CONTROL is the path of a Unix socket, one text message for each
 * question and answer.
 *
 * `plain` turns the offloads of a device off, so that what leaves it are frames as on a wire: whole
 * checksums, and no superpackets. It belongs to the other ends of the two pairs.
 *
 * --log writes a line for each frame that did not just pass, "TIME out lost LENGTH", and for each
 * change; `set trace=1` has it write the others too. TIME is that of the clock, as in a capture.
 *
 * A frame counts from when it entered the device, as the kernel saw it, not from when this program
 * got to run; and the program asks for real-time priority. So a busy machine delays only the exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/core/base/compiler.h"
#include "tests/lab/tools/link_text.h"

#define BUDGET_FRAMES 64
#define RECEIVE_BYTES (8 << 20)
#define REQUEST_BYTES 1024
#define ANSWER_BYTES  4096
#define TRUST_AGE_US  US_PER_S

struct direction {
	struct link *link;
	int from_fd, to_fd;
	uint64_t last_us;
	uint64_t unsent;
};

struct program {
	struct direction directions[LINK_DIRECTIONS];
	int listen_fd;
	int client_fd; /* the one client, or -1; a newer one takes its place */
	FILE *log;
	bool trace;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static _Noreturn void PRINTF_LIKE(1, 2) fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("lab_link: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static void PRINTF_LIKE(2, 3) write_log(struct program *p, const char *format, ...)
{
	uint64_t now_us = clock_us(CLOCK_REALTIME);
	va_list args;

	if (!p->log)
		return;
	fprintf(p->log, "%llu.%06llu ", now_us / US_PER_S, now_us % US_PER_S);
	va_start(args, format);
	vfprintf(p->log, format, args);
	va_end(args);
	fputc('\n', p->log);
	fflush(p->log);
}

/* --- frames --- */

static int open_device(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int on = 1, bytes = RECEIVE_BYTES;

	if (fd < 0)
		fail("a packet socket: %s", strerror(errno));
	if (!address.sll_ifindex)
		fail("there is no device %s", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("%s: %s", name, strerror(errno));
	return fd;
}

/* For how long the frame has waited for us, by the kernel's stamp; 0 when that makes no sense. */
static uint64_t age_us(struct msghdr *m)
{
	uint64_t now_us = clock_us(CLOCK_REALTIME), then_us;
	struct timespec t;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		then_us = (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
		if (then_us <= now_us && now_us - then_us < TRUST_AGE_US)
			return now_us - then_us;
	}
	return 0;
}

static bool receive_one(struct program *p, enum link_direction direction)
{
	struct direction *d = &p->directions[direction];
	uint8_t frame[LINK_FRAME_BYTES + 1], control[128];
	struct iovec iov = {.iov_base = frame, .iov_len = sizeof(frame)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(d->from_fd, &m, MSG_TRUNC);
	enum link_fate fate;
	uint64_t at_us;

	if (n < 0) {
		if (errno == ENODEV || errno == ENXIO)
			fail("a device has gone");
		return false;
	}
	at_us = clock_us(CLOCK_MONOTONIC) - age_us(&m);
	if (at_us < d->last_us)
		at_us = d->last_us;
	d->last_us = at_us;
	fate = link_input(d->link, at_us, frame, (size_t)n);
	if (fate != LINK_PASSED || p->trace)
		write_log(p, "%s %s %zd", link_direction_name(direction), link_fate_name(fate), n);
	return true;
}

static void send_due(struct direction *d)
{
	uint8_t frame[LINK_FRAME_BYTES];
	size_t len;

	for (int i = 0;
	     i < BUDGET_FRAMES && link_pop(d->link, clock_us(CLOCK_MONOTONIC), frame, &len); i++) {
		if (send(d->to_fd, frame, len, 0) < 0)
			d->unsent++;
	}
}

/* --- control --- */

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		fail("%s: the path is too long", path);
	strcpy(address.sun_path, path);
	return address;
}

static int open_control(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8))
		fail("%s: %s", path, strerror(errno));
	return fd;
}

/* Applies all words or none. Return: NULL, or the word that is wrong. */
static const char *apply(struct program *p, char *const words[], size_t count)
{
	struct link_settings settings[LINK_DIRECTIONS];
	bool trace = p->trace;

	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++)
		settings[d] = *link_settings(p->directions[d].link);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], "trace=1") == 0 || strcmp(words[i], "trace=0") == 0)
			trace = words[i][strlen("trace=")] == '1';
		else if (!link_text_apply(settings, words[i]))
			return words[i];
	}
	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++)
		link_set(p->directions[d].link, &settings[d]);
	p->trace = trace;
	for (size_t i = 0; i < count; i++)
		write_log(p, "set %s", words[i]);
	return NULL;
}

static void show(const struct program *p, char *answer)
{
	size_t used = 0;

	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++) {
		const struct direction *way = &p->directions[d];
		const char *name = link_direction_name(d);

		link_text_format(d, link_settings(way->link), answer + used, ANSWER_BYTES - used);
		used += strlen(answer + used);
		for (enum link_fate fate = 0; fate < LINK_FATES; fate++)
			used += (size_t)snprintf(answer + used, ANSWER_BYTES - used,
						 "%s.%s=%" PRIu64 "\n", name, link_fate_name(fate),
						 link_count(way->link, fate));
		used += (size_t)snprintf(answer + used, ANSWER_BYTES - used,
					 "%s.unsent=%" PRIu64 "\n", name, way->unsent);
	}
}

static void answer_request(struct program *p, char *request, char *answer)
{
	char *words[REQUEST_BYTES / 2], *word, *rest = NULL;
	const char *wrong;
	size_t count = 0;

	for (word = strtok_r(request, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	if (count == 1 && strcmp(words[0], "show") == 0) {
		show(p, answer);
	} else if (count > 0 && strcmp(words[0], "set") == 0) {
		wrong = apply(p, words + 1, count - 1);
		answer[0] = '\0';
		if (wrong)
			snprintf(answer, ANSWER_BYTES, "error: no such setting: %s\n", wrong);
	} else {
		snprintf(answer, ANSWER_BYTES, "error: only set and show can be asked for\n");
	}
}

static void on_client(struct program *p)
{
	char request[REQUEST_BYTES], answer[ANSWER_BYTES];
	ssize_t n = recv(p->client_fd, request, sizeof(request) - 1, 0);

	if (n > 0) {
		request[n] = '\0';
		answer_request(p, request, answer);
		/* An answer is never empty: that would look like an end. */
		(void)!send(p->client_fd, answer, strlen(answer) + 1, MSG_NOSIGNAL);
	}
	close(p->client_fd);
	p->client_fd = -1;
}

static void on_connection(struct program *p)
{
	int fd = accept4(p->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (p->client_fd >= 0)
		close(p->client_fd);
	p->client_fd = fd;
}

/* --- the program --- */

/* How long to sleep: until the next frame leaves. */
static const struct timespec *patience(const struct program *p, struct timespec *t)
{
	uint64_t due_us = DEADLINE_NONE, now_us = clock_us(CLOCK_MONOTONIC);

	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++)
		due_us = deadline_min(due_us, link_next_deadline(p->directions[d].link));
	if (due_us == DEADLINE_NONE)
		return NULL;
	due_us = due_us > now_us ? due_us - now_us : 0;
	*t = (struct timespec){.tv_sec = (time_t)(due_us / US_PER_S),
			       .tv_nsec = (long)(due_us % US_PER_S) * 1000};
	return t;
}

static void loop(struct program *p, const sigset_t *during_sleep)
{
	while (!stopping) {
		struct pollfd fds[] = {
			{.fd = p->directions[LINK_OUT].from_fd, .events = POLLIN},
			{.fd = p->directions[LINK_IN].from_fd, .events = POLLIN},
			{.fd = p->listen_fd, .events = POLLIN},
			{.fd = p->client_fd, .events = POLLIN},
		};
		struct timespec t;

		if (ppoll(fds, ARRAY_SIZE(fds), patience(p, &t), during_sleep) < 0 &&
		    errno != EINTR)
			fail("poll: %s", strerror(errno));
		for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++) {
			for (int i = 0; i < BUDGET_FRAMES && receive_one(p, d); i++)
				;
			send_due(&p->directions[d]);
		}
		if (p->client_fd >= 0 && fds[3].revents)
			on_client(p);
		if (fds[2].revents)
			on_connection(p);
	}
}

static void hurry(void)
{
	struct sched_param param = {.sched_priority = 1};

	/* Without it the link still works, if less evenly. */
	(void)sched_setscheduler(0, SCHED_FIFO, &param);
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
}

static void catch_signals(sigset_t *ret_before)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, ret_before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int run(char *args[], size_t count)
{
	struct program p = {.client_fd = -1};
	uint64_t seed = 1;
	sigset_t before;
	int fds[LINK_DIRECTIONS];
	const char *wrong;

	for (; count >= 2 && strncmp(args[0], "--", 2) == 0; args += 2, count -= 2) {
		if (strcmp(args[0], "--seed") == 0) {
			seed = strtoull(args[1], NULL, 0);
		} else if (strcmp(args[0], "--log") == 0) {
			p.log = fopen(args[1], "we");
			if (!p.log)
				fail("%s: %s", args[1], strerror(errno));
		} else {
			return 2;
		}
	}
	if (count < 3)
		return 2;
	fds[LINK_OUT] = open_device(args[1]);
	fds[LINK_IN] = open_device(args[2]);
	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++) {
		p.directions[d].from_fd = fds[d];
		p.directions[d].to_fd = fds[LINK_DIRECTIONS - 1 - d];
		if (link_create(&p.directions[d].link, seed * LINK_DIRECTIONS + (uint64_t)d) != OK)
			fail("no memory");
	}
	wrong = apply(&p, args + 3, count - 3);
	if (wrong)
		fail("no such setting: %s", wrong);
	p.listen_fd = open_control(args[0]);
	hurry();
	catch_signals(&before);
	puts("ready");
	fflush(stdout);
	loop(&p, &before);
	unlink(args[0]);
	for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++)
		link_destroy(p.directions[d].link);
	if (p.log)
		fclose(p.log);
	return 0;
}

/* Sends @verb and @words to the program behind @path and prints what it answers. */
static int ask(const char *verb, const char *path, char *words[], size_t count)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char request[REQUEST_BYTES], answer[ANSWER_BYTES + 1];
	size_t used = (size_t)snprintf(request, sizeof(request), "%s", verb);
	bool failed;
	ssize_t n;

	for (size_t i = 0; i < count && used < sizeof(request); i++)
		used += (size_t)snprintf(request + used, sizeof(request) - used, " %s", words[i]);
	if (used >= sizeof(request) - 1)
		fail("too many settings at a time");
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    send(fd, request, used, MSG_NOSIGNAL) < 0)
		fail("%s: %s", path, strerror(errno));
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	close(fd);
	if (n <= 0)
		fail("%s: no answer", path);
	answer[n] = '\0';
	failed = strncmp(answer, "error: ", 7) == 0;
	fputs(answer, failed ? stderr : stdout);
	return failed;
}

static int make_plain(const char *device)
{
	static const uint32_t commands[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO,
					    ETHTOOL_SGRO};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_value value = {0};
	struct ifreq request = {.ifr_data = (void *)&value};

	if (fd < 0 || strlen(device) >= sizeof(request.ifr_name))
		fail("there is no device %s", device);
	strcpy(request.ifr_name, device);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		value.cmd = commands[i];
		if (ioctl(fd, SIOCETHTOOL, &request))
			fail("%s: %s", device, strerror(errno));
	}
	close(fd);
	return 0;
}

int main(int argc, char *argv[])
{
	const char *verb = argc > 2 ? argv[1] : "";
	size_t count = argc > 2 ? (size_t)argc - 2 : 0;
	int status = 2;

	if (strcmp(verb, "run") == 0) {
		status = run(argv + 2, count);
	} else if (strcmp(verb, "set") == 0 || (strcmp(verb, "show") == 0 && count == 1)) {
		status = ask(verb, argv[2], argv + 3, count - 1);
	} else if (strcmp(verb, "plain") == 0) {
		for (size_t i = 0; i < count; i++)
			status = make_plain(argv[2 + i]);
	}
	if (status == 2)
		fputs("usage: lab_link run [--seed N] [--log FILE] CONTROL DEVICE DEVICE "
		      "[SETTING...]\n"
		      "       lab_link set CONTROL SETTING...\n"
		      "       lab_link show CONTROL\n"
		      "       lab_link plain DEVICE...\n",
		      stderr);
	return status;
}
