/*
 * What many peers cost one daemon: bytes for each, and whether packets to one of 10,000 are slower than
 * packets to the only one.
 *
 * Memory of the overlay: one real overlay (tests/support/mesh.h) gets to know other hosts, or is connected
 * by them, one after the other, with real certificates and handshakes; each goes away without a word, so
 * that the peer stays. Memory of the data plane: sessions and paths in a real one, whose TUN is a socket.
 * Both are the slope between 10 % and 100 % of the peers, so that what is made once does not count.
 *
 *	bench_scale [PEERS]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/peer.h"
#include "tests/support/mesh.h"

static size_t peers = 10000;

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct memory {
	size_t heap, resident;
};

static struct memory memory_now(void)
{
	struct mallinfo2 m = mallinfo2();
	struct memory ret = {.heap = m.uordblks + m.hblkhd};
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &resident) == 2)
		ret.resident = resident * 4096;
	if (f)
		fclose(f);
	return ret;
}

static void report(const char *what, struct memory from, struct memory to, size_t count,
		   double took_s)
{
	printf("%-44s %8.0f heap %8.0f resident   %6.3f ms\n", what,
	       ((double)to.heap - (double)from.heap) / (double)count,
	       ((double)to.resident - (double)from.resident) / (double)count,
	       took_s * 1e3 / (double)count);
}

/* --- the overlay --- */

static bool is_done(struct mesh *m)
{
	return mesh_state(&m->hosts[1], m->hosts[0].name) == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[0], m->hosts[1].name) == OVERLAY_PEER_CONNECTED;
}

static void die(const char *what, size_t i)
{
	fprintf(stderr, "bench_scale: %s at peer %zu\n", what, i);
	exit(1);
}

/* @count hosts connect. @idle: as if each had not been used for a minute then. They are gone, so without
 * that they are lost after 30 s, in which some hundred are connected; and idle ones have no keys after
 * three minutes, in which a thousand are. @state: what the first one has to be in at the end. */
static void overlay_memory(const char *what, size_t count, bool idle, enum overlay_peer_state state)
{
	static struct mesh m;
	struct memory from = {0};
	double start = 0;
	struct overlay *o;

	mesh_create(&m, 2, 1);
	m.max_peers = peers + 8;
	mesh_restart(&m.hosts[0]);
	m.max_peers = 8;
	o = m.hosts[0].overlay;
	for (size_t i = 1; i <= count; i++) {
		mesh_replace(&m.hosts[1], (uint16_t)i);
		/* The first packet connects. */
		mesh_send_packet(&m.hosts[1], &m.hosts[0], 64);
		if (!mesh_run(&m, 60 * US_PER_S, is_done))
			die("not connected", i);
		if (idle)
			idle_on_deadline(directory_find_name(o, m.hosts[1].name),
					 DEADLINE_NONE - 1);
		if (i == count / 10) {
			from = memory_now();
			start = seconds();
		}
	}
	report(what, from, memory_now(), count - count / 10, seconds() - start);
	if (directory_find_name(o, "host1")->state != state)
		die(overlay_peer_state_name(directory_find_name(o, "host1")->state), 1);
	mesh_destroy(&m);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		peers = strtoul(argv[1], NULL, 10);
	if (peers < 10 || peers > 60000 || crypto_start() != OK)
		return 1;
	aead_start();
	printf("%-44s %13s %17s   %9s\n", "bytes for each peer", "", "", "time");
	printf("%-44s %8zu\n", "overlay: its record, made at the start", sizeof(struct peer));
	overlay_memory("overlay: a peer just connected", least(peers, 200), false,
		       OVERLAY_PEER_CONNECTED);
	overlay_memory("overlay: connected, idle for a minute", least(peers, 1000), true,
		       OVERLAY_PEER_CONNECTED);
	overlay_memory("overlay: the same, of all peers", peers, true, OVERLAY_PEER_CONNECTED);
	return 0;
}
