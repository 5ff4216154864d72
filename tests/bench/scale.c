/*
 * What many peers cost one daemon: bytes for each, and whether packets to one of 10,000 are slower
 * than packets to the only one.
 *
 * Memory of the overlay: one real overlay (tests/support/mesh.h) gets to know other hosts, or is
 * connected by them, one after the other, with real certificates and handshakes; each goes away
 * without a word, so that the peer stays. Memory of the data plane: sessions and paths in a real
 * one, whose TUN is a socket. Both are the slope between 10 % and 100 % of the peers, so that what
 * is made once does not count.
 *
 *	bench_scale [PEERS]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/secret.h"
#include "tests/bench/scale.h"

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct memory memory_now(void)
{
	struct mallinfo2 m = mallinfo2();
	struct memory ret = {.heap = m.uordblks + m.hblkhd};
	unsigned long size, resident = 0;
	char line[128];
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &resident) == 2)
		ret.resident = resident * 4096;
	if (f)
		fclose(f);
	f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmLck: %lu", &size) == 1)
			ret.locked = size * 1024;
	}
	if (f)
		fclose(f);
	return ret;
}

void report(const char *what, struct memory from, struct memory to, size_t count, double took_s)
{
	printf("%-44s %8.0f heap %5.0f locked %8.0f resident   %6.3f ms\n", what,
	       ((double)to.heap - (double)from.heap) / (double)count,
	       ((double)to.locked - (double)from.locked) / (double)count,
	       ((double)to.resident - (double)from.resident) / (double)count,
	       took_s * 1e3 / (double)count);
}

void die(const char *what, size_t i)
{
	fprintf(stderr, "bench_scale: %s at peer %zu\n", what, i);
	exit(1);
}

void need(enum err e)
{
	if (e == OK)
		return;
	fprintf(stderr, "bench_scale: %s\n", err_text(e));
	exit(1);
}

int main(int argc, char **argv)
{
	size_t peers = 10000;

	if (argc > 1)
		peers = strtoul(argv[1], NULL, 10);
	if (peers < 10 || peers > 60000 || crypto_start() != OK)
		return 1;
	aead_start();
	printf("%-44s %13s %17s   %9s\n", "bytes for each peer", "", "", "time");
	overlay_bench(peers);
	data_bench(peers);
	return 0;
}
