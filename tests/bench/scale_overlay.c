#include <stdio.h>

#include "daemon/core/peer/peer.h"
#include "tests/bench/scale.h"
#include "tests/support/mesh.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* mesh_state() goes through all peers, and this is asked after each datagram. */
static bool is_connected(const struct mesh_host *h, const struct mesh_host *to)
{
	const struct peer *p = directory_find_name(h->overlay, to->name);

	return p && p->state == OVERLAY_PEER_CONNECTED;
}

static bool is_done(struct mesh *m)
{
	return is_connected(&m->hosts[1], &m->hosts[0]) && is_connected(&m->hosts[0], &m->hosts[1]);
}

/* Of processor time, for both ends of each connection; the other end is made anew each time. */
static void report_speed(const char *what, size_t count, double took_s)
{
	printf("%-44s %8.0f a second\n", what, (double)count / took_s);
}

/* Records, tables and queues for all peers. */
static void overlay_room(size_t peers)
{
	static struct mesh m;
	struct memory from;
	double start;

	mesh_create(&m, 1, 1);
	m.max_peers = peers;
	from = memory_now();
	start = cpu_seconds();
	mesh_restart(&m.hosts[0]);
	report("overlay: made at the start", from, memory_now(), peers, cpu_seconds() - start);
	mesh_destroy(&m);
}

/* @count hosts connect. @idle: as if each had not been used for a minute then. They are gone, so
 * without that they are lost after 30 s, in which some hundred are connected; and idle ones have no
 * keys after three minutes, in which a thousand are. @state: what the first one has to be in at the
 * end. */
static void overlay_memory(const char *what, size_t peers, size_t count, bool idle,
			   enum overlay_peer_state state)
{
	static struct mesh m;
	size_t first = 0, last = count - count / 10;
	struct memory from = {0};
	double start = 0, start_last = 0, begun = cpu_seconds();
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
			start = cpu_seconds();
			first = i;
			begun = start - begun;
		}
		if (i == last)
			start_last = cpu_seconds();
	}
	report(what, from, memory_now(), count - first, cpu_seconds() - start);
	report_speed("  connections, the first tenth", first, begun);
	report_speed("  connections, the last tenth", count - last, cpu_seconds() - start_last);
	if (directory_find_name(o, "host1")->state != state)
		die(overlay_peer_state_name(directory_find_name(o, "host1")->state), 1);
	mesh_destroy(&m);
}

void overlay_bench(size_t peers)
{
	printf("%-44s %8zu\n", "overlay: its record, made at the start", sizeof(struct peer));
	overlay_room(peers);
	overlay_memory("overlay: a peer just connected", peers, least(peers, 200), false,
		       OVERLAY_PEER_CONNECTED);
	overlay_memory("overlay: connected, idle for a minute", peers, least(peers, 1000), true,
		       OVERLAY_PEER_CONNECTED);
	overlay_memory("overlay: the same, of all peers", peers, peers, true,
		       OVERLAY_PEER_CONNECTED);
}
