#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/tunnel/rekey.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 3);
	mesh_send_packet(alice, bob, 100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	mesh_send_packet(alice, bob, 100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	return both_connected(&mesh) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

/* Packets both ways, ten a second. Return: how many of them arrived. */
static size_t traffic(uint64_t duration_us, size_t *ret_sent)
{
	size_t before = alice->packets + bob->packets;
	uint64_t until = mesh.now_us + duration_us;

	*ret_sent = 0;
	while (mesh.now_us < until) {
		mesh_send_packet(alice, bob, 120);
		mesh_send_packet(bob, alice, 120);
		*ret_sent += 2;
		(void)mesh_run(&mesh, 100 * US_PER_MS, NULL);
	}
	return alice->packets + bob->packets - before;
}

static void use_renews_keys_without_loss(void **state)
{
	size_t sent, arrived;

	(void)state;
	mesh_set_server(&mesh, false); /* the rendezvous is not needed */
	arrived = traffic(400 * US_PER_S, &sent);
	assert_int_equal(arrived, sent);
	/* The first session, then one renewal every 120 s of use. */
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_SESSION_ADD), 4);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 4);
	assert_true(mesh_count(alice, OVERLAY_EVENT_SESSION_REMOVE) >= 2);
	assert_true(both_connected(&mesh));
}

static int to_drop;

static bool drop_handshakes(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			    size_t len)
{
	(void)m;
	(void)from;
	/* The offer of a renewal is longer than the traffic of this test (152 bytes). */
	return !(buf[0] >= 192 && len > 152 && to_drop-- > 0);
}

static void lost_renewal_is_repeated(void **state)
{
	size_t sent, arrived;

	(void)state;
	mesh.filter_datagram = drop_handshakes;
	to_drop = 5;
	arrived = traffic(200 * US_PER_S, &sent);
	assert_int_equal(arrived, sent);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_SESSION_ADD), 2);
	assert_true(to_drop <= 0);
}

static void silence_keeps_keys(void **state)
{
	(void)state;
	(void)mesh_run(&mesh, 1000 * US_PER_S, NULL);
	assert_true(both_connected(&mesh));
	bob->packets = 0;
	mesh_set_server(&mesh, false);
	mesh_send_packet(alice, bob, 100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->packets, 1);
}

static void keys_that_cannot_be_renewed_expire(void **state)
{
	size_t sent;

	(void)state;
	mesh.filter_datagram = drop_handshakes;
	to_drop = 1000000;
	(void)traffic(TUNNEL_REJECT_AFTER_US + 10 * US_PER_S, &sent);
	/* Nobody sealed with keys that are too old: a whole new session took their place. */
	assert_true(to_drop < 1000000 - 10);
	assert_true(mesh_count(alice, OVERLAY_EVENT_PATH_CLEAR) >= 1);
	assert_true(mesh_count(alice, OVERLAY_EVENT_SESSION_ADD) >= 2);
	assert_true(both_connected(&mesh));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(use_renews_keys_without_loss),
		TEST(lost_renewal_is_repeated),
		TEST(silence_keeps_keys),
		TEST(keys_that_cannot_be_renewed_expire),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
