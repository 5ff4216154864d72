/* How long packets may be: the prober of a peer's path, over a net of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/control.h"
#include "daemon/core/signal/handshake.h"
#include "daemon/core/tunnel/packet.h"
#include "daemon/core/tunnel/pmtu.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static size_t most; /* bytes of a datagram that the net carries */
static size_t longest, probes;

static bool carry(struct mesh *m, const struct mesh_host *from, const uint8_t *buf, size_t len)
{
	(void)m;
	if (from == alice && buf[0] >= TUNNEL_TYPE_MIN && len > 500) {
		longest = len > longest ? len : longest;
		probes++;
	}
	return len <= most;
}

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

static bool both_found(struct mesh *m)
{
	return m->hosts[0].path_is_found && m->hosts[1].path_is_found;
}

static uint32_t bob_of_alice(void)
{
	uint32_t peer;

	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	return peer;
}

/* @net: bytes of a plaintext that the net carries. */
static void connect_over(size_t net, size_t alice_mtu, size_t bob_mtu)
{
	most = net + TUNNEL_OVERHEAD_BYTES;
	longest = probes = 0;
	alice->mtu = alice_mtu;
	bob->mtu = bob_mtu;
	mesh_restart(alice);
	mesh_restart(bob);
	(void)bob_of_alice();
	assert_true(mesh_run(&mesh, US_PER_S, both_connected));
}

static uint16_t info_bytes(struct mesh_host *h)
{
	struct overlay_peer_info info;

	assert_int_equal(overlay_peer(h->overlay, 0, &info), OK);
	return info.path_bytes;
}

/* Alice's data plane has sealed packets; something has come back. */
static void use(uint64_t packets)
{
	overlay_on_authenticated(alice->overlay, mesh.now_us, 0, alice->path_session, packets);
}

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 4);
	mesh.filter_datagram = carry;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static void the_usual_takes_one_round(void **state)
{
	(void)state;
	connect_over(1400, 1280, 1280);
	assert_int_equal(alice->path_bytes, 1280);
	assert_true(mesh_run(&mesh, 3 * MESH_DELAY_US, both_found));
	assert_int_equal(alice->path_bytes, 1280);
	assert_int_equal(bob->path_bytes, 1280);
	assert_int_equal(info_bytes(alice), 1280);
	/* It is quiet then: the next look is with the next packets. */
	probes = 0;
	(void)mesh_run(&mesh, 50 * US_PER_S, NULL);
	assert_int_equal(probes, 0);
}

static void a_small_path_is_found(void **state)
{
	(void)state;
	connect_over(940, 1280, 1280);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_found));
	assert_in_range(alice->path_bytes, 933, 940);
	assert_in_range(bob->path_bytes, 933, 940);
	assert_int_equal(info_bytes(alice), alice->path_bytes);
	assert_true(both_connected(&mesh));
}

static void jumbo_is_found(void **state)
{
	(void)state;
	connect_over(8960, 8900, 9000);
	assert_true(mesh_run(&mesh, US_PER_S, both_found));
	/* No more than the other end's device takes. */
	assert_int_equal(alice->path_bytes, 8900);
	assert_int_equal(bob->path_bytes, 8900);
}

static void the_link_refuses(void **state)
{
	(void)state;
	alice->link_bytes = 1440 + TUNNEL_OVERHEAD_BYTES;
	connect_over(9000, 8900, 8900);
	assert_true(mesh_run(&mesh, US_PER_S, both_found));
	assert_in_range(alice->path_bytes, 1433, 1440);
	assert_int_equal(bob->path_bytes, 8900);
}

/* The feature is announced, not assumed. */
static void an_old_peer_is_not_probed(void **state)
{
	(void)state;
	bob->is_old = true;
	connect_over(9000, 9000, 9000);
	(void)mesh_run(&mesh, 10 * US_PER_S, NULL);
	assert_int_equal(alice->path_bytes, PMTU_DEFAULT_BYTES);
	assert_true(alice->path_is_found);
	assert_int_equal(probes, 0);
	/* What alice announces holds for bob. */
	assert_int_equal(bob->path_bytes, 9000);
}

static void a_black_hole_is_noticed(void **state)
{
	(void)state;
	connect_over(1400, 1280, 1280);
	assert_true(mesh_run(&mesh, US_PER_S, both_found));
	most = 1000 + TUNNEL_OVERHEAD_BYTES;
	/* Nothing goes out: nobody knows. */
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_int_equal(alice->path_bytes, 1280);
	use(1);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_in_range(alice->path_bytes, 993, 1000);
	assert_true(alice->path_is_found);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_RESTART), 0);
}

/* Packets go out, nothing comes back: asked at once. */
static void doubt(void **state)
{
	(void)state;
	connect_over(1400, 1280, 1280);
	assert_true(mesh_run(&mesh, US_PER_S, both_found));
	most = 1200 + TUNNEL_OVERHEAD_BYTES;
	overlay_on_unanswered(alice->overlay, mesh.now_us, 0);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_true(alice->path_bytes <= 1200);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_in_range(alice->path_bytes, 1193, 1200);
	alice->link_bytes = 1100 + TUNNEL_OVERHEAD_BYTES;
	overlay_on_packet_too_long(alice->overlay, mesh.now_us, 0);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_in_range(alice->path_bytes, 1093, 1100);
}

static void it_grows_again(void **state)
{
	(void)state;
	connect_over(1000, 1280, 1280);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_found));
	most = 2000;
	for (uint64_t i = 1; i < 61; i++) {
		(void)mesh_run(&mesh, 10 * US_PER_S, NULL);
		use(i);
	}
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(alice->path_bytes, 1280);
}

/* New keys keep the size, a restart begins anew. */
static void new_keys_and_restarts(void **state)
{
	(void)state;
	connect_over(1000, 1280, 1280);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_found));
	(void)mesh_run(&mesh, 110 * US_PER_S, NULL);
	use(1);
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	use(2);
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_true(mesh_count(alice, OVERLAY_EVENT_SESSION_ADD) >= 2);
	assert_in_range(alice->path_bytes, 993, 1000);
	most = 2000;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_true(mesh_count(alice, OVERLAY_EVENT_RESTART) >= 2);
	assert_int_equal(alice->path_bytes, 1280);
	assert_int_equal(bob->path_bytes, 1280);
}

/* A relay's channel takes four bytes: as long as there is none, the overlay sends. */
static void over_a_relay(void **state)
{
	struct overlay_relay_server server = {
		.id = 1,
		.name = "turn.example",
		.targets = {mesh_turn_target(0, TURN_TRANSPORT_UDP)},
		.target_count = 1,
		.username = "user",
		.password = "secret",
		.expires_us = DEADLINE_NONE,
	};

	(void)state;
	mesh.direct_blocked = true;
	most = 9000;
	mesh_restart(alice);
	mesh_restart(bob);
	assert_int_equal(overlay_set_relay_servers(alice->overlay, mesh.now_us, &server, 1), OK);
	assert_int_equal(overlay_set_relay_servers(bob->overlay, mesh.now_us, &server, 1), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	(void)bob_of_alice();
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_connected));
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_true(alice->path.relay || bob->path.relay);
	assert_true(both_found(&mesh));
	assert_int_equal(alice->path_bytes, 1280);
	assert_int_equal(bob->path_bytes, 1280);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_usual_takes_one_round),
		TEST(a_small_path_is_found),
		TEST(jumbo_is_found),
		TEST(the_link_refuses),
		TEST(an_old_peer_is_not_probed),
		TEST(a_black_hole_is_noticed),
		TEST(doubt),
		TEST(it_grows_again),
		TEST(new_keys_and_restarts),
		TEST(over_a_relay),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
