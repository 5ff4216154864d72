/* Two hosts without a direct path, two TURN servers: what the tests of relays share. */
#ifndef ICETUN_TESTS_PEER_RELAYS_H
#define ICETUN_TESTS_PEER_RELAYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static inline int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 5);
	mesh_set_nat(&mesh, MESH_DELAY_US);
	mesh.direct_blocked = true;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static inline struct overlay_relay_server server(uint32_t id, size_t turn)
{
	return (struct overlay_relay_server){
		.id = id,
		.name = "relay.example.net",
		.targets = {mesh_turn_target(turn, TURN_TRANSPORT_UDP)},
		.target_count = 1,
		.username = "user",
		.password = "secret",
		.expires_us = DEADLINE_NONE,
	};
}

static inline void add_stream_target(struct overlay_relay_server *s, size_t turn,
				     enum turn_transport t)
{
	s->targets[s->target_count++] = mesh_turn_target(turn, t);
}

static inline void give(struct mesh_host *h, const struct overlay_relay_server *servers,
			size_t count)
{
	assert_int_equal(overlay_set_relay_servers(h->overlay, mesh.now_us, servers, count), OK);
}

static inline struct overlay_relay_info info(const struct mesh_host *h, size_t i)
{
	struct overlay_relay_info ret;

	assert_true(overlay_relay_info(h->overlay, i, &ret));
	return ret;
}

static inline bool both_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static inline bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

/* The data plane of both sends by itself. */
static inline bool both_have_path(struct mesh *m)
{
	return both_connected(m) && m->hosts[0].has_path && m->hosts[1].has_path;
}

static inline unsigned int requests(size_t turn)
{
	unsigned int sum = mesh.turn[turn].challenges;

	for (size_t i = 0; i < ARRAY_SIZE(mesh.turn[turn].requests); i++)
		sum += mesh.turn[turn].requests[i];
	return sum;
}

static inline size_t relay_candidates(const struct mesh_host *h)
{
	size_t count, n = 0;
	const struct ice_candidate *c = overlay_local_candidates(h->overlay, &count);

	for (size_t i = 0; i < count; i++)
		n += c[i].type == ICE_CANDIDATE_RELAY;
	return n;
}

static inline void connect_both(uint64_t limit_us)
{
	uint32_t peer;

	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, limit_us, both_connected));
}

/* @count packets each way, one every @every_us. Return: how many were lost. */
static inline size_t exchange(size_t count, uint64_t every_us)
{
	size_t before = alice->packets + bob->packets;

	for (size_t i = 0; i < count; i++) {
		mesh_send_packet(alice, bob, 100);
		mesh_send_packet(bob, alice, 100);
		(void)mesh_run(&mesh, every_us, NULL);
	}
	(void)mesh_run(&mesh, US_PER_S, NULL);
	return 2 * count - (alice->packets + bob->packets - before);
}

/* Bob has heard of her; the test sets his counter to 0 first. */
static inline bool alice_is_back(struct mesh *m)
{
	return m->hosts[1].packets > 0;
}

#endif
