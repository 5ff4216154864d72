/* A peer without traffic costs next to nothing, and is there with the first packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/stun/message.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static size_t requests, indications, others;
static bool cut;

static bool count(struct mesh *m, const struct mesh_host *from, const uint8_t *buf, size_t len)
{
	struct stun_message s;

	(void)m;
	(void)from;
	if (len > 0 && buf[0] > 3)
		others++;
	else if (stun_decode(&s, buf, len) == OK && s.class == STUN_CLASS_REQUEST)
		requests++;
	else if (stun_decode(&s, buf, len) == OK && s.class == STUN_CLASS_INDICATION)
		indications++;
	return !cut;
}

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

static bool registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static bool bob_has_packet(struct mesh *m)
{
	return m->hosts[1].packets > 0;
}

static int set_up(void **state)
{
	uint32_t peer;

	(void)state;
	mesh_create(&mesh, 2, 3);
	cut = false;
	mesh.filter_datagram = count;
	assert_true(mesh_run(&mesh, US_PER_S, registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, US_PER_S, both_connected));
	/* Idle after 60 s, consent has lapsed after 30 s more. */
	(void)mesh_run(&mesh, 120 * US_PER_S, NULL);
	requests = indications = others = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static void one_indication_in_15_s(void **state)
{
	(void)state;
	(void)mesh_run(&mesh, 600 * US_PER_S, NULL);
	assert_int_equal(requests, 0);
	assert_int_equal(others, 0);
	assert_in_range(indications, 2 * 600 / 15 - 4, 2 * 600 / 15 + 2);
	assert_true(both_connected(&mesh));
	assert_false(alice->has_path); /* packets come to the overlay first */
}

static void the_first_packet_takes_one_round_more(void **state)
{
	uint64_t since_us;

	(void)state;
	(void)mesh_run(&mesh, 600 * US_PER_S, NULL);
	since_us = mesh.now_us;
	mesh_send_packet(alice, bob, 99);
	assert_true(mesh_run(&mesh, US_PER_S, bob_has_packet));
	assert_true(mesh.now_us - since_us <= 3 * MESH_DELAY_US + US_PER_MS);
	assert_int_equal(bob->last_packet_len, 99);
	/* The other end needs no round of its own. */
	(void)mesh_run(&mesh, 100 * US_PER_MS, NULL);
	assert_true(alice->has_path);
	overlay_on_authenticated(bob->overlay, mesh.now_us, 0, bob->path_session, 1);
	(void)mesh_run(&mesh, 100 * US_PER_MS, NULL);
	assert_true(bob->has_path);
	/* And consent is asked for again. */
	requests = 0;
	(void)mesh_run(&mesh, 30 * US_PER_S, NULL);
	assert_in_range(requests, 8, 16);
}

/* The path has died meanwhile: it is noticed with the first packet, which goes another way or
 * waits. */
static void a_path_that_died_is_noticed(void **state)
{
	struct netaddr a;

	(void)state;
	assert_int_equal(netaddr_parse_ip("203.0.113.9", 0, &a), OK);
	mesh.dead = alice->socket;
	mesh_send_packet(alice, bob, 99);
	mesh_add_address(alice, &a, 100);
	assert_true(mesh_run(&mesh, 15 * US_PER_S, bob_has_packet));
	assert_int_equal(bob->last_packet_len, 99);
}

static void traffic_keeps_it_awake(void **state)
{
	(void)state;
	for (int i = 0; i < 120; i++) {
		mesh_send_packet(alice, bob, 60);
		(void)mesh_run(&mesh, US_PER_S, NULL);
		overlay_on_unanswered(alice->overlay, mesh.now_us, 0);
		(void)mesh_run(&mesh, 50 * US_PER_MS, NULL);
	}
	assert_int_equal(bob->packets, 120);
	assert_true(alice->has_path);
	/* What wants no answer does not make the session restart: it is asked for one. */
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_RESTART), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(one_indication_in_15_s),
		TEST(the_first_packet_takes_one_round_more),
		TEST(a_path_that_died_is_noticed),
		TEST(traffic_keeps_it_awake),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
