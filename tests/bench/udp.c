/*
 * Datagrams at a fixed rate, and how many arrive. For tests/bench/run.
 *
 *	bench_udp send ADDRESS PORT BYTES PER-SECOND SECONDS	prints how many it sent
 *	bench_udp receive ADDRESS PORT		"ready", then, after the last, how many came
 *
 * The sender is one that knows no superpackets: 32 at most with one call, paced by the clock. What
 * came is counted by the receiver, as the sender's word is worth nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BURST	  32
#define END_MARK  0xffffffffffffffffull
#define BYTES_MAX 9000

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const char *address, const char *port, int listening)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = 8 << 20;

	if (fd < 0 || inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	if (listening ? bind(fd, (struct sockaddr *)&sa, sizeof(sa))
		      : connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		fail("bind or connect");
	return fd;
}

static void send_all(int fd, size_t bytes, double rate, double seconds)
{
	static unsigned char packet[BYTES_MAX];
	struct iovec iov = {.iov_base = packet, .iov_len = bytes};
	struct mmsghdr messages[BURST];
	double start = now_s(), end = start + seconds;
	unsigned long long sent = 0, mark = END_MARK;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < BURST; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	for (double now = start; now < end; now = now_s()) {
		double due = (now - start) * rate - (double)sent;
		int count = due > BURST ? BURST : (int)due, n;

		if (count < 1) {
			struct timespec pause = {.tv_nsec = 20000};

			nanosleep(&pause, NULL);
			continue;
		}
		n = sendmmsg(fd, messages, (unsigned int)count, 0);
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			fail("send");
		sent += n > 0 ? (unsigned long long)n : 0;
	}
	memcpy(packet, &mark, sizeof(mark));
	for (int i = 0; i < 20; i++) {
		struct timespec pause = {.tv_nsec = 20000000};

		(void)!send(fd, packet, sizeof(mark), 0);
		nanosleep(&pause, NULL);
	}
	printf("%llu\n", sent);
}

static void receive_all(int fd)
{
	static unsigned char buffers[BURST][BYTES_MAX];
	struct mmsghdr messages[BURST];
	struct iovec iovs[BURST];
	unsigned long long received = 0, mark;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n;

		if (poll(&p, 1, 5000) != 1)
			break;
		memset(messages, 0, sizeof(messages));
		for (int i = 0; i < BURST; i++) {
			iovs[i] = (struct iovec){.iov_base = buffers[i], .iov_len = BYTES_MAX};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
		}
		n = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			memcpy(&mark, buffers[i], sizeof(mark));
			if (messages[i].msg_len == sizeof(mark) && mark == END_MARK) {
				printf("%llu\n", received);
				return;
			}
			received++;
		}
	}
	printf("%llu\n", received);
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "send") == 0 && atoi(argv[4]) <= BYTES_MAX &&
	    atoi(argv[4]) > 0) {
		send_all(open_socket(argv[2], argv[3], 0), (size_t)atoi(argv[4]), atof(argv[5]),
			 atof(argv[6]));
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "receive") == 0) {
		receive_all(open_socket(argv[2], argv[3], 1));
		return 0;
	}
	fprintf(stderr, "usage: bench_udp send ADDRESS PORT BYTES PER-SECOND SECONDS\n"
			"       bench_udp receive ADDRESS PORT\n");
	return 2;
}
