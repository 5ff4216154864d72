/* Long ways: hosts without a network, many peers at once, paths that come and go for hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/message.h"
#include "daemon/core/peer/control.h"
#include "tests/support/mesh.h"

#define MANY	 100
#define BUSY	 10
#define CHECK_US (5 * US_PER_MS) /* the least between two transactions of a process */

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 13);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static struct netaddr address(uint8_t last)
{
	uint8_t ip[4] = {203, 0, 113, last};

	return netaddr_from_ip4(ip, 0);
}

static bool all_registered(struct mesh *m)
{
	for (size_t i = 0; i < m->host_count; i++) {
		if (!overlay_is_registered(m->hosts[i].overlay))
			return false;
	}
	return true;
}

static bool both_have_path(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED &&
	       m->hosts[0].has_path && m->hosts[1].has_path;
}

static void connect_both(void)
{
	uint32_t peer;

	assert_true(mesh_run(&mesh, US_PER_S, all_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, 3 * US_PER_S, both_have_path));
	(void)mesh_run(&mesh, US_PER_S, NULL);
}

static void give_relay(struct mesh_host *h)
{
	struct overlay_relay_server s = {
		.id = 1,
		.name = "relay.example.net",
		.targets = {mesh_turn_target(0, TURN_TRANSPORT_UDP)},
		.target_count = 1,
		.username = "user",
		.password = "secret",
		.expires_us = DEADLINE_NONE,
	};

	assert_int_equal(overlay_set_relay_servers(h->overlay, mesh.now_us, &s, 1), OK);
}

static struct overlay_peer_info peer_of(const struct mesh_host *h, uint32_t peer)
{
	struct overlay_peer_info info;

	assert_int_equal(overlay_peer(h->overlay, peer, &info), OK);
	return info;
}

/* --- sleep, and no network --- */

/* Our allocation went while the host slept, though no path needs it now. */
static void a_resume_is_a_full_change(void **state)
{
	uint32_t switches;

	(void)state;
	mesh_set_nat(&mesh, MESH_DELAY_US);
	give_relay(alice);
	connect_both();
	assert_int_equal(peer_of(alice, 0).path.relay, 0);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
	switches = peer_of(alice, 0).switches;
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	overlay_on_resume(alice->overlay, mesh.now_us);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(peer_of(alice, 0).restart_cause, OVERLAY_RESTART_RESUMED);
	assert_int_equal(peer_of(alice, 0).switches, switches + 1);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
	assert_true(both_have_path(&mesh));
}

/* How often alice wants to be called within @us, while somebody sends to bob once a second. */
static size_t count_wakes(uint64_t us)
{
	uint64_t until_us = mesh.now_us + us, packet_us = mesh.now_us, due_us;
	size_t wakes = 0;

	while (mesh.now_us < until_us) {
		if (mesh.now_us >= packet_us) {
			mesh_send_packet(alice, bob, 60);
			packet_us += US_PER_S;
		}
		(void)mesh_run(&mesh, 0, NULL);
		due_us = overlay_next_deadline(alice->overlay);
		assert_true(due_us > mesh.now_us);
		wakes += due_us < packet_us;
		(void)mesh_run(&mesh, deadline_min(due_us, packet_us) - mesh.now_us, NULL);
	}
	return wakes;
}

static bool bob_has_a_packet(struct mesh *m)
{
	return m->hosts[1].packets > 0;
}

static void offline_is_calm(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	mesh_remove_socket(alice, 1);
	mesh_set_server(&mesh, false);
	assert_true(count_wakes(300 * US_PER_S) < 300);
	/* Every packet in the queue is of the last minute. */
	bob->packets = 0;
	(void)mesh_add_address(alice, &a, 100);
	mesh_set_server(&mesh, true);
	mesh_send_packet(alice, bob, 60);
	assert_true(mesh_run(&mesh, US_PER_S, bob_has_a_packet));
}

/* --- pairs of a lost address --- */

static uint16_t lost_socket;
static size_t sent_from_lost;

static void watch_sent(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
		       const uint8_t *buf, size_t len)
{
	(void)to;
	(void)buf;
	(void)len;
	sent_from_lost += h == alice && socket == lost_socket;
}

static void pairs_of_a_lost_address_end_at_once(void **state)
{
	static const struct mesh_watch watch = {.sent = watch_sent};
	struct netaddr a = address(60);
	uint64_t now_us;

	(void)state;
	(void)mesh_add_address(alice, &a, 100);
	connect_both();
	lost_socket = alice->path.socket;
	sent_from_lost = 0;
	now_us = mesh.now_us;
	mesh_remove_socket(alice, lost_socket);
	mesh.watch = &watch;
	(void)mesh_run(&mesh, 0, NULL);
	assert_int_equal(mesh.now_us, now_us);
	/* Another pair of the same generation takes over in the same moment. */
	assert_true(alice->has_path);
	assert_int_not_equal(alice->path.socket, lost_socket);
	assert_int_equal(mesh_state(alice, "bob"), OVERLAY_PEER_CONNECTED);
	bob->packets = 0;
	mesh_send_packet(alice, bob, 60);
	(void)mesh_run(&mesh, 2 * MESH_DELAY_US, NULL);
	assert_int_equal(bob->packets, 1);
	(void)mesh_run(&mesh, 10 * US_PER_S, NULL);
	assert_int_equal(sent_from_lost, 0);
}

/* --- direct now and then --- */

static bool is_direct(struct mesh *m)
{
	for (size_t i = 0; i < 2; i++) {
		struct ice_path path = peer_of(&m->hosts[i], 0).path;

		if (path.relay != 0 || path.remote_type == ICE_CANDIDATE_RELAY)
			return false;
	}
	return both_have_path(m);
}

static bool is_relayed(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED && !is_direct(m);
}

/* With traffic, and the shell's look at the counters, until @done. Return: how long it took. */
static uint64_t run_with_traffic(uint64_t limit_us, bool (*done)(struct mesh *m))
{
	uint64_t since_us = mesh.now_us;

	while (!done || !done(&mesh)) {
		size_t before[2] = {alice->packets, bob->packets};

		if (!done && mesh.now_us >= since_us + limit_us)
			break;
		assert_true(mesh.now_us < since_us + limit_us);
		mesh_send_packet(alice, bob, 60);
		mesh_send_packet(bob, alice, 60);
		(void)mesh_run(&mesh, US_PER_S, NULL);
		for (size_t i = 0; i < 2; i++) {
			if (mesh.hosts[i].packets == before[i])
				overlay_on_unanswered(mesh.hosts[i].overlay, mesh.now_us, 0);
		}
	}
	return mesh.now_us - since_us;
}

/* The direct path works, and does not an hour later a minute after it was taken: each time it is
 * left in peace twice as long. */
static void an_upgrade_that_does_not_last_is_not_tried_soon(void **state)
{
	uint64_t wait_us, least_us = 60 * US_PER_S;

	(void)state;
	mesh.direct_blocked = true;
	give_relay(alice);
	give_relay(bob);
	connect_both();
	(void)run_with_traffic(5 * US_PER_S, NULL);
	mesh.direct_blocked = false;
	/* The first time nobody knows yet. */
	assert_true(run_with_traffic(61 * US_PER_S, is_direct) < 61 * US_PER_S);
	for (int i = 0; i < 5; i++) {
		mesh.direct_blocked = true;
		(void)run_with_traffic(10 * US_PER_S, is_relayed);
		(void)run_with_traffic(5 * US_PER_S, NULL); /* nominated */
		mesh.direct_blocked = false;
		wait_us = run_with_traffic(least_us + 320 * US_PER_S, is_direct);
		assert_true(wait_us >= least_us - 10 * US_PER_S);
		least_us *= 2;
	}
}

/* The path did not need our relay, so nobody has noticed that its server was restarted. */
static void a_relay_that_was_not_needed(void **state)
{
	(void)state;
	give_relay(alice);
	connect_both();
	(void)run_with_traffic(30 * US_PER_S, NULL);
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	mesh.direct_blocked = true;
	(void)run_with_traffic(8 * US_PER_S, is_relayed);
}

static size_t sealed_frames;

static bool count_sealed_frames(struct mesh *m, const struct mesh_host *from,
				struct signal_message *message)
{
	(void)m;
	sealed_frames += from == alice && message->type == SIGNAL_FORWARD &&
			 message->kind == SIGNAL_BODY_SEALED;
	return true;
}

/* The restart has come as far as it can when alice gets an address; and what tells bob is lost. */
static void candidates_are_told_again(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	mesh.direct_blocked = true;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	mesh_set_server(&mesh, false);
	(void)mesh_add_address(alice, &a, 100);
	(void)mesh_run(&mesh, 100 * US_PER_MS, NULL);
	mesh.filter_frame = count_sealed_frames;
	sealed_frames = 0;
	mesh_set_server(&mesh, true);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_in_range(sealed_frames, 1, 3);
	(void)mesh_run(&mesh, 30 * US_PER_S, NULL);
	assert_in_range(sealed_frames, 3, 10);
}

/* --- many peers --- */

static int set_up_many(void **state)
{
	(void)state;
	mesh_create(&mesh, 1 + MANY, 14);
	return 0;
}

static bool all_connected(struct mesh *m)
{
	struct overlay_peer_info info;
	uint32_t cursor = 0;
	size_t n = 0;

	while (overlay_next_peer(m->hosts[0].overlay, &cursor, &info))
		n += info.state == OVERLAY_PEER_CONNECTED;
	return n == MANY;
}

/* What the last restart of each peer of alice has come to, and in which order. */
static size_t switched;
static size_t busy_rank_sum;
static uint64_t last_switch_us;

static bool is_busy(uint32_t peer)
{
	return peer % (MANY / BUSY) == 3;
}

static void watch_switches(struct mesh_host *h, const struct overlay_event *e)
{
	if (h != alice || e->type != OVERLAY_EVENT_RESTART ||
	    e->restart_step != OVERLAY_RESTART_SWITCHED)
		return;
	if (is_busy(e->peer))
		busy_rank_sum += switched;
	switched++;
	last_switch_us = mesh.now_us;
}

static bool all_switched(struct mesh *m)
{
	(void)m;
	return switched == MANY;
}

static void be_active(uint64_t packets)
{
	for (uint32_t n = 0; n < MANY; n++) {
		struct overlay_peer_info info = peer_of(alice, n);

		overlay_on_authenticated(alice->overlay, mesh.now_us, n, info.session,
					 is_busy(n) ? 1000 * packets : packets);
	}
}

static void connect_many(void)
{
	struct netaddr a = address(50);
	uint32_t peer;

	(void)mesh_add_address(alice, &a, 100);
	mesh_remove_socket(alice, 1);
	assert_true(mesh_run(&mesh, 2 * US_PER_S, all_registered));
	for (size_t i = 1; i <= MANY; i++)
		assert_int_equal(
			overlay_connect(alice->overlay, mesh.now_us, mesh.hosts[i].name, &peer),
			OK);
	assert_true(mesh_run(&mesh, 20 * US_PER_S, all_connected));
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	switched = busy_rank_sum = 0;
}

/* All restart at once. Each needs a check and a nomination of ours at least, and the pacer lets one
 * go each 5 ms. */
static void many_peers_restart_in_time(void **state)
{
	static const struct mesh_watch watch = {.event = watch_switches};
	struct netaddr better = address(60);
	uint64_t since_us;

	(void)state;
	connect_many();
	be_active(100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	be_active(200);
	mesh.watch = &watch;
	since_us = mesh.now_us;
	(void)mesh_add_address(alice, &better, 200);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, all_switched));
	printf("%zu peers in %u ms, busy ones at %zu on average\n", switched,
	       (unsigned int)((last_switch_us - since_us) / US_PER_MS), busy_rank_sum / BUSY);
	assert_true(last_switch_us - since_us <= 2 * MANY * CHECK_US + 300 * US_PER_MS);
	/* The ten that are busy are among the first. */
	assert_true(busy_rank_sum / BUSY <= BUSY);
}

static void send_to(const struct mesh_host *h)
{
	uint8_t packet[60] = {0x45, 0, 0, sizeof(packet), [8] = 64, [9] = 17};

	memcpy(packet + 12, alice->address.ip, 4);
	memcpy(packet + 16, h->address.ip, 4);
	assert_int_equal(overlay_on_packet(alice->overlay, mesh.now_us, packet, sizeof(packet)),
			 OK);
}

/* The address goes, and another one comes: those with packets waiting go first. */
static void many_peers_after_a_hard_handover(void **state)
{
	static const struct mesh_watch watch = {.event = watch_switches};
	struct netaddr a = address(60);
	uint64_t since_us;

	(void)state;
	connect_many();
	mesh_remove_socket(alice, MESH_FIRST_MOVE);
	(void)mesh_run(&mesh, 500 * US_PER_MS, NULL);
	for (uint32_t n = 0; n < MANY; n++) {
		if (is_busy(n))
			send_to(&mesh.hosts[n + 1]);
	}
	mesh.watch = &watch;
	since_us = mesh.now_us;
	(void)mesh_add_address(alice, &a, 200);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, all_switched));
	printf("%zu peers in %u ms, waiting ones at %zu on average\n", switched,
	       (unsigned int)((last_switch_us - since_us) / US_PER_MS), busy_rank_sum / BUSY);
	assert_true(last_switch_us - since_us <= 2 * MANY * CHECK_US + 300 * US_PER_MS);
	assert_true(busy_rank_sum / BUSY <= BUSY);
}

static uint32_t told_session;

static void hear_candidates(struct mesh_host *h, uint32_t session, bool over_path,
			    const uint8_t *buf, size_t len, const uint8_t *plain, size_t plain_len)
{
	(void)buf;
	(void)len;
	if (h == bob && over_path && plain && plain_len > 0 && plain[0] == CONTROL_CANDIDATES)
		told_session = session;
}

/* What a restart's session had to tell through the rendezvous, which is away, goes over its own
 * path when there is one: there may be a better one. */
static void candidates_are_told_on_the_new_path(void **state)
{
	static const struct mesh_watch watch = {.opened = hear_candidates};
	struct overlay_peer_info info;
	struct netaddr a = address(50);

	(void)state;
	connect_both();
	mesh_set_server(&mesh, false);
	mesh.watch = &watch;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	/* The answer is there, and the first check is on its way. */
	(void)mesh_run(&mesh, 5 * MESH_DELAY_US / 2, NULL);
	(void)mesh_add_address(alice, &a, 50);
	(void)mesh_run(&mesh, 400 * US_PER_MS, NULL);
	assert_int_equal(overlay_peer(bob->overlay, 0, &info), OK);
	assert_int_equal(info.switches, 1);
	assert_int_equal(told_session, info.session);
}

static bool bob_is_cut_off;

static bool drop_datagrams_of_bob(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
				  size_t len)
{
	(void)m;
	(void)buf;
	(void)len;
	return !bob_is_cut_off || from != bob;
}

static bool drop_frames_of_bob(struct mesh *m, const struct mesh_host *from,
			       struct signal_message *message)
{
	(void)m;
	(void)message;
	return !bob_is_cut_off || from != bob;
}

static bool both_have_restarted(struct mesh *m)
{
	(void)m;
	return peer_of(alice, 0).switches > 0 && peer_of(bob, 0).switches > 0;
}

/* Both offer, and the offer that stands is lost: that of the other one says so. */
static void glare_with_a_lost_offer(void **state)
{
	(void)state;
	connect_both();
	mesh.filter_datagram = drop_datagrams_of_bob;
	mesh.filter_frame = drop_frames_of_bob;
	bob_is_cut_off = true;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	assert_int_equal(overlay_restart(bob->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, 2 * MESH_DELAY_US, NULL);
	bob_is_cut_off = false;
	assert_true(mesh_run(&mesh, 100 * US_PER_MS + 8 * MESH_DELAY_US, both_have_restarted));
	assert_int_equal(peer_of(alice, 0).restart_cause, OVERLAY_RESTART_PEER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_resume_is_a_full_change),
		TEST(offline_is_calm),
		TEST(pairs_of_a_lost_address_end_at_once),
		TEST(a_relay_that_was_not_needed),
		TEST(glare_with_a_lost_offer),
		TEST(candidates_are_told_again),
		TEST(candidates_are_told_on_the_new_path),
		TEST(an_upgrade_that_does_not_last_is_not_tried_soon),
		cmocka_unit_test_setup_teardown(many_peers_restart_in_time, set_up_many, tear_down),
		cmocka_unit_test_setup_teardown(many_peers_after_a_hard_handover, set_up_many,
						tear_down),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
