#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "tests/support/mesh.h"

/* The tests run one after the other in one process. */
static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static bool both_registered(struct mesh *m)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (!overlay_is_registered(m->hosts[i].overlay))
			return false;
	}
	return true;
}

static bool bob_has_packet(struct mesh *m)
{
	return m->hosts[1].packets > 0;
}

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

static void connect_both(void)
{
	uint32_t peer;

	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, 2 * US_PER_S, both_connected));
}

/* A packet for an unknown address: lookup, offer, answer, checks; it is the first to arrive. */
static void first_packet_arrives(void **state)
{
	uint64_t sent_us;

	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	sent_us = mesh.now_us;
	mesh_send_packet(alice, bob, 100);
	assert_true(mesh_run(&mesh, US_PER_S, bob_has_packet));
	assert_int_equal(bob->last_packet_len, 100);
	assert_memory_equal(bob->last_packet + 16, bob->address.ip, 4);
	/* Lookup 1 round trip, exchange 2 ways through the server, one check, the packet. */
	assert_true(mesh.now_us - sent_us <= 8 * MESH_DELAY_US + 20 * US_PER_MS);
	assert_true(both_connected(&mesh));
}

/* While the address is looked up its owner becomes known by name. */
static void waiting_packets_follow_the_name(void **state)
{
	uint32_t peer;

	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	mesh_send_packet(alice, bob, 100);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, US_PER_S, bob_has_packet));
	assert_int_equal(bob->last_packet_len, 100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->packets, 1);
	assert_true(both_connected(&mesh));
}

static void queue_is_bounded_and_in_order(void **state)
{
	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	for (size_t i = 0; i < OVERLAY_QUEUE_PACKETS + 10; i++)
		mesh_send_packet(alice, bob, 100 + i);
	assert_int_equal(overlay_drops(alice->overlay)->count[DROP_QUEUE_FULL], 10);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->packets, OVERLAY_QUEUE_PACKETS);
	assert_int_equal(bob->last_packet_len, 100 + OVERLAY_QUEUE_PACKETS - 1);
}

static void both_at_once(void **state)
{
	uint32_t peer;

	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_int_equal(overlay_connect(bob->overlay, mesh.now_us, "alice", &peer), OK);
	assert_true(mesh_run(&mesh, 2 * US_PER_S, both_connected));
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_true(both_connected(&mesh));
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_SESSION_ADD), 1);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 1);
}

static int frames_to_drop;

static bool drop_some_forwards(struct mesh *m, const struct mesh_host *from,
			       struct signal_message *message)
{
	(void)m;
	(void)from;
	return message->type != SIGNAL_FORWARD || frames_to_drop-- <= 0;
}

static void lost_exchange_is_repeated(void **state)
{
	uint32_t peer;

	(void)state;
	/* The offer, its first repetition, then the answer. */
	frames_to_drop = 2;
	mesh.filter_frame = drop_some_forwards;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_connected));
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 1);
}

static void no_answer_fails_with_reason(void **state)
{
	struct overlay_peer_info info;
	uint32_t peer;

	(void)state;
	frames_to_drop = 1000;
	mesh.filter_frame = drop_some_forwards;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	(void)mesh_run(&mesh, 11 * US_PER_S, NULL);
	assert_int_equal(overlay_peer(alice->overlay, peer, &info), OK);
	assert_int_equal(info.state, OVERLAY_PEER_FAILED);
	assert_int_equal(info.reason, OVERLAY_REASON_NO_ANSWER);
	/* The next wish tries again. */
	frames_to_drop = 0;
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, both_connected));
}

static void absent_and_unknown_peers(void **state)
{
	struct overlay_peer_info info;
	uint32_t peer;

	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	bob->is_registered = false;
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(overlay_peer(alice->overlay, peer, &info), OK);
	assert_int_equal(info.reason, OVERLAY_REASON_ABSENT);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "nobody", &peer), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(overlay_peer(alice->overlay, peer, &info), OK);
	assert_int_equal(info.reason, OVERLAY_REASON_UNKNOWN);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "alice", &peer), ERR_INVALID);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "No Name", &peer),
			 ERR_INVALID);
}

static void sessions_outlive_the_server(void **state)
{
	(void)state;
	connect_both();
	mesh_set_server(&mesh, false);
	for (int i = 0; i < 100; i++) {
		mesh_send_packet(alice, bob, 200);
		mesh_send_packet(bob, alice, 200);
		(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	}
	assert_int_equal(bob->packets, 100);
	assert_int_equal(alice->packets, 100);
	mesh_set_server(&mesh, true);
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_true(both_connected(&mesh));
}

static void wish_waits_for_the_server(void **state)
{
	uint32_t peer;

	(void)state;
	mesh_set_server(&mesh, false);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	mesh_send_packet(alice, bob, 64);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(mesh_state(alice, "bob"), OVERLAY_PEER_FAILED);
	mesh_set_server(&mesh, true);
	assert_true(mesh_run(&mesh, 2 * US_PER_S, both_connected));
}

/* The peer starts anew while we believe in the old session: its offer makes a new one. */
static void restarted_peer_takes_over(void **state)
{
	uint32_t peer;

	(void)state;
	connect_both();
	mesh_restart(bob);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(overlay_connect(bob->overlay, mesh.now_us, "alice", &peer), OK);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_true(both_connected(&mesh));
	mesh_send_packet(alice, bob, 300);
	mesh_send_packet(bob, alice, 300);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->last_packet_len, 300);
	assert_int_equal(alice->last_packet_len, 300);
	/* Of the old session nothing is left after its time. */
	(void)mesh_run(&mesh, 10 * US_PER_S, NULL);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_SESSION_REMOVE), 1);
}

static void goodbye_frees_at_once(void **state)
{
	(void)state;
	connect_both();
	overlay_close_peers(alice->overlay, mesh.now_us);
	(void)mesh_run(&mesh, 2 * MESH_DELAY_US, NULL);
	assert_int_equal(mesh_state(bob, "alice"), OVERLAY_PEER_IDLE);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_REMOVE), 1);
}

static uint64_t pong_id;

static bool alice_has_pong(struct mesh *m)
{
	const struct mesh_host *h = &m->hosts[0];

	if (h->log_count == 0 || h->log[h->log_count - 1].type != OVERLAY_EVENT_PONG)
		return false;
	pong_id = h->log[h->log_count - 1].ping_id;
	return true;
}

static void ping_comes_back(void **state)
{
	uint32_t peer;
	uint64_t sent_us;

	(void)state;
	connect_both();
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	sent_us = mesh.now_us;
	assert_int_equal(overlay_ping(alice->overlay, mesh.now_us, peer, 42), OK);
	assert_true(mesh_run(&mesh, US_PER_S, alice_has_pong));
	assert_int_equal(pong_id, 42);
	assert_true(mesh.now_us - sent_us == 2 * MESH_DELAY_US);
	assert_int_equal(overlay_ping(alice->overlay, mesh.now_us, 7, 1), ERR_NOT_FOUND);
}

/* Whoever has a session cannot be displaced by an offer that was recorded. */
static uint8_t recorded[SIGNAL_MESSAGE_MAX_BYTES];
static size_t recorded_len;

static bool record_offer(struct mesh *m, const struct mesh_host *from,
			 struct signal_message *message)
{
	struct signal_message copy = *message;

	(void)m;
	if (message->type == SIGNAL_FORWARD && message->kind == SIGNAL_BODY_OFFER) {
		copy.type = SIGNAL_DELIVER;
		memcpy(copy.from, from->name, strlen(from->name) + 1);
		assert_int_equal(
			signal_message_encode(&copy, recorded, sizeof(recorded), &recorded_len),
			OK);
	}
	return true;
}

static void replayed_offer_is_ignored(void **state)
{
	(void)state;
	mesh.filter_frame = record_offer;
	connect_both();
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	/* Another session meanwhile, so that the exchange id is not remembered any more. */
	mesh_restart(alice);
	mesh.filter_frame = NULL;
	(void)mesh_run(&mesh, US_PER_S, NULL);
	mesh_send_packet(alice, bob, 99);
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_true(both_connected(&mesh));
	bob->log_count = 0;
	assert_int_equal(overlay_on_signal(bob->overlay, mesh.now_us, recorded, recorded_len),
			 DROP_STALE);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 0);
	assert_true(both_connected(&mesh));
	/* Neither does a host that has just started believe it. */
	mesh_restart(bob);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	bob->log_count = 0;
	assert_int_equal(overlay_on_signal(bob->overlay, mesh.now_us, recorded, recorded_len),
			 DROP_STALE);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 0);
}

/* The server says that an offer of alice came from carol. */
static bool lie_about_sender(struct mesh *m, const struct mesh_host *from,
			     struct signal_message *message)
{
	struct signal_message lie = *message;
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	(void)from;
	if (message->type != SIGNAL_FORWARD)
		return true;
	lie.type = SIGNAL_DELIVER;
	memcpy(lie.from, "carol", sizeof("carol"));
	assert_int_equal(signal_message_encode(&lie, buf, sizeof(buf), &len), OK);
	assert_int_equal(overlay_on_signal(m->hosts[1].overlay, m->now_us, buf, len),
			 DROP_HANDSHAKE);
	return false;
}

static void server_cannot_change_names(void **state)
{
	uint32_t peer;

	(void)state;
	mesh.filter_frame = lie_about_sender;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 0);
}

/* The STUN server answers when offer and answer are long gone: what it says follows. */
static void late_candidates_trickle(void **state)
{
	(void)state;
	mesh_set_nat(&mesh, 700 * US_PER_MS);
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	mesh_send_packet(alice, bob, 100);
	(void)mesh_run(&mesh, 500 * US_PER_MS, NULL);
	assert_int_equal(mesh_state(alice, "bob"), OVERLAY_PEER_CHECKING);
	assert_int_equal(mesh_state(bob, "alice"), OVERLAY_PEER_CHECKING);
	assert_true(mesh_run(&mesh, 2 * US_PER_S, bob_has_packet));
	assert_true(both_connected(&mesh));
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_ADD), 1);
}

static bool drop_everything;

static bool cut(struct mesh *m, const struct mesh_host *from, const uint8_t *buf, size_t len)
{
	(void)m;
	(void)from;
	(void)buf;
	(void)len;
	return !drop_everything;
}

/* A path that is cut is noticed; the next packet connects again by itself. */
static void lost_path_recovers(void **state)
{
	(void)state;
	mesh.filter_datagram = cut;
	drop_everything = false;
	connect_both();
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	drop_everything = true;
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	assert_int_not_equal(mesh_state(alice, "bob"), OVERLAY_PEER_CONNECTED);
	drop_everything = false;
	mesh_send_packet(alice, bob, 77);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_true(both_connected(&mesh));
	assert_int_equal(bob->last_packet_len, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(first_packet_arrives),	     TEST(waiting_packets_follow_the_name),
		TEST(queue_is_bounded_and_in_order), TEST(both_at_once),
		TEST(lost_exchange_is_repeated),     TEST(no_answer_fails_with_reason),
		TEST(absent_and_unknown_peers),	     TEST(sessions_outlive_the_server),
		TEST(wish_waits_for_the_server),     TEST(restarted_peer_takes_over),
		TEST(goodbye_frees_at_once),	     TEST(ping_comes_back),
		TEST(replayed_offer_is_ignored),     TEST(server_cannot_change_names),
		TEST(late_candidates_trickle),	     TEST(lost_path_recovers),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
