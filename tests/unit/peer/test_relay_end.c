/* Relays that end under a session: servers restart, streams break, UDP is blocked, hosts go. */
#include "tests/unit/peer/relays.h"

/* Both send; the app says each second that nothing comes. Return: how long until bob hears alice,
 * at most @limit_s. */
static uint64_t silent_for_us(int limit_s)
{
	uint64_t since_us = mesh.now_us;

	bob->packets = 0;
	for (int i = 0; i < limit_s; i++) {
		for (int k = 0; k < 5; k++) {
			mesh_send_packet(alice, bob, 100);
			mesh_send_packet(bob, alice, 100);
			if (mesh_run(&mesh, 200 * US_PER_MS, alice_is_back))
				return mesh.now_us - since_us;
		}
		for (size_t n = 0; n < 2; n++)
			overlay_on_unanswered(mesh.hosts[n].overlay, mesh.now_us, 0);
	}
	return UINT64_MAX;
}

static uint64_t back_after_us(void)
{
	return silent_for_us(15);
}

static void stop_server(size_t turn)
{
	mesh.turn[turn].config.silent = true;
	mesh_break_streams(&mesh, &mesh.turn[turn]);
	turn_server_restart(&mesh.turn[turn], mesh.now_us);
}

/* UDP ends under a session; the second server is one over TLS. */
static void udp_is_blocked_later(void **state)
{
	struct overlay_relay_server s[2] = {server(1, 0), server(2, 0)};

	(void)state;
	s[1].target_count = 0;
	add_stream_target(&s[1], 0, TURN_TRANSPORT_TLS);
	give(alice, s, 2);
	give(bob, s, 2);
	connect_both(3 * US_PER_S);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
	assert_int_equal(info(alice, 1).state, OVERLAY_RELAY_READY);
	alice->udp_blocked = true;
	assert_in_range(back_after_us(), 0, 4 * US_PER_S);
	assert_true(alice->path_by_overlay);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
}

static void stream_that_breaks_is_made_again(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);

	(void)state;
	s.target_count = 0;
	add_stream_target(&s, 0, TURN_TRANSPORT_TLS);
	alice->udp_blocked = true;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(4 * US_PER_S);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	mesh_break_streams(&mesh, &mesh.turn[0]);
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	mesh_send_packet(alice, bob, 100);
	assert_true(mesh_run(&mesh, 3 * US_PER_S, both_connected));
	assert_int_equal(exchange(20, 20 * US_PER_MS), 0);
	assert_true(info(alice, 0).is_stream_problem);
}

/* UDP is blocked, which nobody says: the stream does not wait for that. */
static void stream_is_refused_for_a_while(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);

	(void)state;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	alice->udp_blocked = true;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(4 * US_PER_S);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	stop_server(0);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_true(info(alice, 0).is_stream_problem);
	mesh.turn[0].config.silent = false;
	assert_in_range(back_after_us(), 0, 3 * US_PER_S);
	assert_int_equal(info(alice, 0).target.transport, TURN_TRANSPORT_TCP);
}

/* A new process at the same address, without memory. */
static void server_restarts_under_a_session(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);

	(void)state;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(3 * US_PER_S);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	turn_server_restart(&mesh.turn[1], mesh.now_us);
	assert_in_range(back_after_us(), 0, 3 * US_PER_S);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
}

/* One loss does not make the next one last longer: each is noticed after a second. */
static void server_restarts_again_and_again(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);

	(void)state;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(3 * US_PER_S);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
		turn_server_restart(&mesh.turn[0], mesh.now_us);
		turn_server_restart(&mesh.turn[1], mesh.now_us);
		assert_in_range(back_after_us(), 0, 1600 * US_PER_MS);
		(void)mesh_run(&mesh, US_PER_S, NULL);
	}
}

/* Nor do false alarms, when they are over. */
static void server_restarts_after_false_alarms(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
		assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
	}
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	assert_in_range(back_after_us(), 0, 1600 * US_PER_MS);
}

/* It is away for @from_s, 3 s longer each time, up to @to_s, and we are back soon after it. */
static void server_is_away(int from_s, int to_s, uint64_t back_us)
{
	struct overlay_relay_server s = server(1, 0);

	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	for (int away_s = from_s; away_s < to_s; away_s += 3) {
		assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
		stop_server(0);
		assert_int_equal(silent_for_us(away_s), UINT64_MAX);
		mesh.turn[0].config.silent = false;
		assert_in_range(back_after_us(), 0, back_us);
		(void)mesh_run(&mesh, US_PER_S, NULL);
	}
}

/* What was asked for while it was away does not wait for its next repetition. */
static void server_is_away_for_a_while(void **state)
{
	(void)state;
	server_is_away(1, 20, 2 * US_PER_S);
}

/* The allocation's life ends meanwhile: nothing asks whether it is still there any more. */
static void server_is_away_for_longer_than_an_allocation(void **state)
{
	(void)state;
	mesh.turn[0].config.lifetime_s = 15;
	server_is_away(10, 40, 3 * US_PER_S);
}

/* It refuses connections for a while: tried often at first, and seldom later. */
static void stream_server_is_away_for_a_while(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	size_t before;

	(void)state;
	s.target_count = 0;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	for (int away_s = 1; away_s < 20; away_s += 3) {
		assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
		stop_server(0);
		assert_int_equal(silent_for_us(away_s), UINT64_MAX);
		mesh.turn[0].config.silent = false;
		assert_in_range(back_after_us(), 0, 2 * US_PER_S);
		(void)mesh_run(&mesh, US_PER_S, NULL);
	}
	before = mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN);
	stop_server(0);
	(void)mesh_run(&mesh, 30 * US_PER_S, NULL);
	assert_in_range(mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN) - before, 20, 60);
	before = mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN);
	(void)mesh_run(&mesh, 600 * US_PER_S, NULL);
	assert_in_range(mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN) - before, 1, 12);
}

/* It takes the connection and says nothing: that is found out in seconds, and told. */
static void stream_server_is_mute(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	s.target_count = 0;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_MS, NULL);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN), 1);
	mesh.turn[0].config.silent = true;
	(void)mesh_run(&mesh, 7600 * US_PER_MS, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_TRYING);
	(void)mesh_run(&mesh, 800 * US_PER_MS, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_WAITING);
	assert_int_equal(info(alice, 0).problem, TURN_PROBLEM_SILENT);
	assert_false(info(alice, 0).is_stream_problem);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_STREAM_CLOSE), 1);
	mesh.turn[0].config.silent = false;
	(void)mesh_run(&mesh, 3 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
}

/* The allocation that follows takes a free place before the one that has gone, with the same socket
 * and server: the data plane hears of the end first, or it would take nothing from the new one. */
static void ends_are_told_first(void **state)
{
	struct overlay_relay_server s[2] = {server(1, 0), server(2, 1)};

	(void)state;
	give(alice, s, 2);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	give(alice, &s[1], 1);
	connect_both(3 * US_PER_S);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	turn_server_restart(&mesh.turn[1], mesh.now_us);
	assert_in_range(back_after_us(), 0, 3 * US_PER_S);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
}

/* Nobody sends anything, so nobody complains; the allocation is missed all the same. */
static void server_restarts_under_an_idle_session(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	unsigned int before;

	(void)state;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	(void)mesh_run(&mesh, 50 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 0).problem, TURN_PROBLEM_GONE);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
	/* While all is well the server is not asked. */
	mesh_send_packet(bob, alice, 100);
	assert_true(mesh_run(&mesh, 3 * US_PER_S, both_connected));
	before = mesh.turn[0].requests[STUN_METHOD_REFRESH];
	(void)mesh_run(&mesh, 200 * US_PER_S, NULL);
	/* At most once for each of alice's looks for a direct path. */
	assert_in_range(mesh.turn[0].requests[STUN_METHOD_REFRESH] - before, 0, 2);
}

/* A daemon that was killed comes back on its port: the server still has its allocation. */
static void allocation_of_an_earlier_life(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	mesh_restart(alice);
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
	/* With other credentials it cannot be given back: from another socket then. */
	mesh_restart(alice);
	s.username = "another";
	give(alice, &s, 1);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_WANT_SOCKET), 1);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 2);
}

static void goodbye_gives_back(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	overlay_close_peers(alice->overlay, mesh.now_us);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 0);
	assert_int_equal(relay_candidates(alice), 0);
}

static bool bob_was_told(struct mesh *m)
{
	return mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_IDLE;
}

/* First the goodbye, then the relay that carries it. */
static void goodbye_goes_over_the_relay(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	connect_both(4 * US_PER_S);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	overlay_close_peers(alice->overlay, mesh.now_us);
	assert_true(mesh_run(&mesh, 100 * US_PER_MS, bob_was_told));
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 0);
}

static void goodbye_goes_over_the_stream(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);

	(void)state;
	s.target_count = 0;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	alice->udp_blocked = true;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(4 * US_PER_S);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	overlay_close_peers(alice->overlay, mesh.now_us);
	assert_true(mesh_run(&mesh, 100 * US_PER_MS, bob_was_told));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(udp_is_blocked_later),
		TEST(stream_that_breaks_is_made_again),
		TEST(stream_is_refused_for_a_while),
		TEST(server_restarts_under_a_session),
		TEST(server_restarts_again_and_again),
		TEST(server_restarts_after_false_alarms),
		TEST(server_is_away_for_a_while),
		TEST(stream_server_is_away_for_a_while),
		TEST(server_is_away_for_longer_than_an_allocation),
		TEST(stream_server_is_mute),
		TEST(ends_are_told_first),
		TEST(server_restarts_under_an_idle_session),
		TEST(allocation_of_an_earlier_life),
		TEST(goodbye_gives_back),
		TEST(goodbye_goes_over_the_relay),
		TEST(goodbye_goes_over_the_stream),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
