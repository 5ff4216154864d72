/* A path is lost, another pair stands by: the peer is told, and follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/control.h"
#include "daemon/core/tunnel/packet.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
static uint64_t deaf_until_us; /* to what alice has sealed */
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 29);
	deaf_until_us = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static bool all_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static bool both_have_path(struct mesh *m)
{
	return m->hosts[0].has_path && m->hosts[1].has_path;
}

static struct overlay_peer_info peer_of(const struct mesh_host *h)
{
	struct overlay_peer_info info;

	assert_int_equal(overlay_peer(h->overlay, 0, &info), OK);
	return info;
}

/* Alice gets a second address, which is the worse one. Return: its socket. */
static uint16_t connect_both(struct mesh_host *from, const char *to)
{
	struct netaddr second = netaddr_from_ip4((const uint8_t[]){203, 0, 113, 60}, 0);
	uint16_t socket;
	uint32_t peer;

	assert_true(mesh_run(&mesh, US_PER_S, all_registered));
	assert_int_equal(overlay_connect(from->overlay, mesh.now_us, to, &peer), OK);
	assert_true(mesh_run(&mesh, 3 * US_PER_S, both_have_path));
	socket = mesh_add_address(alice, &second, 0);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(peer_of(alice).path.socket, 1);
	assert_int_equal(peer_of(alice).standby_count, 1);
	assert_int_equal(peer_of(alice).standby[0].socket, socket);
	return socket;
}

static bool drop_sealed(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			size_t len)
{
	return from != &m->hosts[0] || len == 0 || buf[0] < TUNNEL_TYPE_MIN ||
	       m->now_us >= deaf_until_us;
}

static bool bob_has_followed(struct mesh *m)
{
	return m->hosts[1].path.remote.ip[3] == 60 && m->hosts[1].path.generation == 0;
}

static void expect_followed(uint16_t socket)
{
	assert_true(alice->has_path);
	assert_int_equal(alice->path.socket, socket);
	assert_true(bob->has_path);
	assert_int_equal(bob->path.remote.ip[3], 60);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_PATH_CLEAR), 0);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_PATH_CLEAR), 0);
}

/* Whoever controls. The restart that the lost address causes goes on beside, and ends well. */
static void the_peer_follows_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint16_t socket;

		tear_down(NULL);
		set_up(NULL);
		socket = i == 0 ? connect_both(alice, "bob") : connect_both(bob, "alice");
		mesh_remove_socket(alice, 1);
		assert_true(peer_of(alice).has_path);
		assert_int_equal(peer_of(alice).path.socket, socket);
		/* One way. */
		(void)mesh_run(&mesh, MESH_DELAY_US, NULL);
		assert_true(bob_has_followed(&mesh));
		(void)mesh_run(&mesh, US_PER_S, NULL);
		expect_followed(socket);
		assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_ADDRESS_LOST);
		assert_int_equal(peer_of(alice).switches, 1);
		mesh_send_packet(bob, alice, 100);
		(void)mesh_run(&mesh, US_PER_S, NULL);
		assert_int_equal(alice->packets, 1);
	}
}

static void what_got_lost_is_said_again(void **state)
{
	uint16_t socket;

	(void)state;
	socket = connect_both(bob, "alice");
	mesh_set_server(&mesh, false);
	mesh.filter_datagram = drop_sealed;
	deaf_until_us = mesh.now_us + 50 * US_PER_MS;
	mesh_remove_socket(alice, 1);
	(void)mesh_run(&mesh, 50 * US_PER_MS, NULL);
	assert_false(bob_has_followed(&mesh));
	(void)mesh_run(&mesh, 70 * US_PER_MS, NULL);
	assert_true(bob_has_followed(&mesh));
	(void)mesh_run(&mesh, US_PER_S, NULL);
	expect_followed(socket);
}

static enum err say_moved(uint32_t number, const struct netaddr *sender)
{
	const struct control_message m = {
		.type = CONTROL_MOVED, .number = number, .sender = *sender, .reader = bob->socket};
	uint8_t text[64];
	size_t len;

	assert_int_equal(control_encode(&m, text, sizeof(text), &len), OK);
	return overlay_on_control(bob->overlay, mesh.now_us, 0, peer_of(bob).session, true, text,
				  len);
}

/* It was overtaken, or comes twice. */
static void an_old_word_does_not_count(void **state)
{
	struct netaddr first, second;

	(void)state;
	(void)connect_both(alice, "bob");
	first = bob->path.remote;
	second = peer_of(alice).standby[0].local;
	assert_int_equal(say_moved(1, &second), OK);
	(void)mesh_run(&mesh, 20 * US_PER_MS, NULL);
	assert_int_equal(bob->path.remote.ip[3], 60);
	assert_int_equal(say_moved(1, &first), DROP_STALE);
	assert_int_equal(say_moved(0, &first), DROP_STALE);
	(void)mesh_run(&mesh, 20 * US_PER_MS, NULL);
	assert_int_equal(bob->path.remote.ip[3], 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_peer_follows_at_once),
		TEST(what_got_lost_is_said_again),
		TEST(an_old_word_does_not_count),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
