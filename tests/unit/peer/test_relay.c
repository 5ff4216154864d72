/* Relays of whole hosts: found, used, replaced, over UDP and over streams. */
#include "tests/unit/peer/relays.h"

static void allocates_once_and_keeps_it(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 0).rtt_us, 2 * MESH_DELAY_US);
	assert_int_equal(info(alice, 0).relayed.ip[3], 10);
	assert_int_equal(info(alice, 0).problem_us, 0);
	/* One of each family. */
	assert_int_equal(relay_candidates(alice), 2);
	(void)mesh_run(&mesh, 3600 * US_PER_S, NULL);
	assert_int_equal(mesh.turn[0].requests[STUN_METHOD_ALLOCATE], 1);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
	assert_int_equal(relay_candidates(alice), 2);
}

static void one_relay_serves(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	assert_int_not_equal(alice->path.relay, 0);
	assert_int_equal(alice->path_channel, 0x4000);
	assert_int_equal(alice->path_server.port, 3478);
	assert_int_equal(bob->path.relay, 0);
	assert_int_equal(bob->path.remote_type, ICE_CANDIDATE_RELAY);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
	/* It lives: consent, permissions and channels are renewed. */
	(void)mesh_run(&mesh, 1200 * US_PER_S, NULL);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
	assert_true(both_have_path(&mesh));
	assert_int_equal(mesh.turn[0].violations, 0);
}

static void relays_on_both_sides(void **state)
{
	struct overlay_relay_server a = server(1, 0), b = server(1, 1);
	uint64_t since_us;

	(void)state;
	give(alice, &a, 1);
	give(bob, &b, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	since_us = mesh.now_us;
	connect_both(3 * US_PER_S);
	/* Warm: nothing is waited for but the exchange and one check. */
	assert_true(mesh.now_us - since_us < 400 * US_PER_MS);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
}

static void packets_that_wait_go_first(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	for (size_t i = 0; i < 20; i++)
		mesh_send_packet(alice, bob, 100 + i);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_int_equal(bob->packets, 20);
	assert_int_equal(bob->last_packet_len, 119);
}

static void stream_when_udp_is_blocked(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);
	uint64_t since_us = mesh.now_us;

	(void)state;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	alice->udp_blocked = true;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(4 * US_PER_S);
	assert_true(mesh.now_us - since_us < 2 * US_PER_S);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 0).target.transport, TURN_TRANSPORT_TCP);
	assert_false(alice->has_path);
	assert_true(alice->path_by_overlay);
	assert_int_equal(alice->path.socket, ICE_NO_SOCKET);
	assert_int_equal(exchange(100, 20 * US_PER_MS), 0);
	(void)mesh_run(&mesh, 700 * US_PER_S, NULL);
	assert_int_equal(exchange(100, 20 * US_PER_MS), 0);

	/* UDP comes back; it is better. */
	alice->udp_blocked = false;
	(void)mesh_run(&mesh, 400 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).target.transport, TURN_TRANSPORT_UDP);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
	assert_true(alice->has_path);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 1);
}

/* The second server works; nothing is wrong with it because the first does not answer. */
static void dead_servers_delay_nothing(void **state)
{
	struct overlay_relay_server s[2] = {server(1, 0), server(2, 1)};
	uint64_t since_us = mesh.now_us;

	(void)state;
	mesh.turn[0].config.silent = true;
	give(alice, s, 2);
	connect_both(3 * US_PER_S);
	assert_true(mesh.now_us - since_us < 300 * US_PER_MS);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_WAITING);
	assert_int_equal(info(alice, 0).problem, TURN_PROBLEM_SILENT);
	assert_true(info(alice, 0).retry_us > mesh.now_us);
	/* It is asked again, and is there. */
	mesh.turn[0].config.silent = false;
	(void)mesh_run(&mesh, 400 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 0).problem, TURN_PROBLEM_SILENT);
	assert_int_equal(relay_candidates(alice), 2);
}

static void wrong_password(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	unsigned int asked;

	(void)state;
	s.password = "wrong";
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	give(alice, &s, 1);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_WAITING);
	assert_int_equal(info(alice, 0).problem, TURN_PROBLEM_CREDENTIALS);
	assert_int_equal(info(alice, 0).code, 401);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_STREAM_OPEN), 0);
	/* Not too often. */
	asked = requests(0);
	(void)mesh_run(&mesh, 600 * US_PER_S, NULL);
	assert_in_range(requests(0) - asked, 2, 40);
	/* The right one is used at once. */
	s.password = "secret";
	give(alice, &s, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
}

static void refusals_have_their_name(void **state)
{
	static const struct {
		uint16_t code;
		enum turn_problem problem;
	} table[] = {
		{403, TURN_PROBLEM_FORBIDDEN},
		{486, TURN_PROBLEM_QUOTA},
		{508, TURN_PROBLEM_CAPACITY},
		{500, TURN_PROBLEM_SERVER},
	};
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		mesh.turn[0].config.error_method = STUN_METHOD_ALLOCATE;
		mesh.turn[0].config.error_code = table[i].code;
		mesh.turn[0].config.error_times = 2;
		s.id = (uint32_t)i;
		give(alice, &s, 1);
		(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
		assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_WAITING);
		assert_int_equal(info(alice, 0).problem, table[i].problem);
		assert_int_equal(info(alice, 0).code, table[i].code);
	}
}

static void third_server_stands_by(void **state)
{
	struct overlay_relay_server s[3] = {server(1, 0), server(2, 1), server(3, 1)};

	(void)state;
	s[2].target_count = 0;
	add_stream_target(&s[2], 1, TURN_TRANSPORT_TCP);
	give(alice, s, 3);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 1).state, OVERLAY_RELAY_READY);
	assert_int_equal(info(alice, 2).state, OVERLAY_RELAY_STANDBY);
	assert_int_equal(turn_server_count(&mesh.turn[1]), 1);
	/* When one of the two is gone it is its turn. */
	mesh.turn[0].config.silent = true;
	(void)mesh_run(&mesh, 1200 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_WAITING);
	assert_int_equal(info(alice, 2).state, OVERLAY_RELAY_READY);
}

/* A replacement, too, is tried over UDP first. */
static void udp_is_back_when_credentials_rotate(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	struct overlay_peer_info peer;

	(void)state;
	add_stream_target(&s, 0, TURN_TRANSPORT_TCP);
	alice->udp_blocked = true;
	s.username = "0:alice";
	s.expires_us = mesh.now_us + 60 * US_PER_S;
	give(alice, &s, 1);
	connect_both(4 * US_PER_S);
	assert_int_equal(info(alice, 0).target.transport, TURN_TRANSPORT_TCP);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
	/* The data plane has sent none of them. */
	assert_int_equal(overlay_peer(alice->overlay, 0, &peer), OK);
	assert_true(peer.tx_packets >= 50 && peer.tx_bytes >= 50 * 100 && peer.sent_us > 0);
	alice->udp_blocked = false;
	s.username = "1:alice";
	s.expires_us = mesh.now_us + 60 * US_PER_S;
	give(alice, &s, 1);
	(void)mesh_run(&mesh, 50 * US_PER_S, NULL);
	assert_int_equal(info(alice, 0).target.transport, TURN_TRANSPORT_UDP);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
}

/* New credentials come every minute; no packet is lost. */
static void credentials_rotate_without_a_cut(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	char username[32];
	uint16_t first = 0;

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		snprintf(username, sizeof(username), "%u:alice", i);
		s.username = username;
		s.expires_us = mesh.now_us + 60 * US_PER_S;
		give(alice, &s, 1);
		if (i == 0) {
			connect_both(3 * US_PER_S);
			first = alice->path.relay;
		}
		assert_int_equal(exchange(250, 200 * US_PER_MS), 0);
	}
	assert_int_not_equal(alice->path.relay, first);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_WANT_SOCKET), 1);
	assert_in_range(mesh.turn[0].requests[STUN_METHOD_ALLOCATE], 4, 7);
	/* The old ones were given back. */
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_in_range(turn_server_count(&mesh.turn[0]), 1, 2);
	assert_true(both_have_path(&mesh));
}

/* IPv6 leads nowhere: the IPv4 address of the same server is asked a little later. */
static void eyeballs(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	struct overlay_relay_target dead = mesh_turn_target(0, TURN_TRANSPORT_UDP);
	uint64_t since_us = mesh.now_us;

	(void)state;
	dead.address.ip[3] = 99;
	s.targets[1] = s.targets[0];
	s.targets[0] = dead;
	s.target_count = 2;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	assert_true(mesh.now_us - since_us < 500 * US_PER_MS);
	assert_int_equal(info(alice, 0).target.address.ip[3], 10);
}

static void server_leaves_the_list(void **state)
{
	struct overlay_relay_server s[2] = {server(1, 0), server(2, 1)}, other = server(1, 1);

	(void)state;
	give(alice, s, 1);
	connect_both(3 * US_PER_S);
	assert_int_equal(alice->path_server.ip[3], 10);
	/* Packets go on over the old one until the new one carries them. */
	give(alice, &s[1], 1);
	assert_int_equal(exchange(100, 100 * US_PER_MS), 0);
	assert_int_equal(alice->path_server.ip[3], 20);
	(void)mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_int_equal(turn_server_count(&mesh.turn[0]), 0);
	assert_true(both_have_path(&mesh));
	/* What cannot be is refused whole. */
	other.id = 2;
	s[0] = other;
	assert_int_equal(overlay_set_relay_servers(alice->overlay, mesh.now_us, s, 2), ERR_INVALID);
	s[0].id = 1;
	s[0].targets[0].address.port = 0;
	assert_int_equal(overlay_set_relay_servers(alice->overlay, mesh.now_us, s, 2), ERR_INVALID);
	assert_true(both_have_path(&mesh));
}

static void permissions_go_when_unused(void **state)
{
	struct overlay_relay_server s = server(1, 0);
	unsigned int before;

	(void)state;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	assert_int_equal(mesh.turn[0].allocations[0].channels[0].addr.family, NETADDR_IP4);
	overlay_close_peers(bob->overlay, mesh.now_us);
	(void)mesh_run(&mesh, 900 * US_PER_S, NULL);
	before = requests(0) - mesh.turn[0].requests[STUN_METHOD_REFRESH];
	(void)mesh_run(&mesh, 900 * US_PER_S, NULL);
	assert_int_equal(requests(0) - mesh.turn[0].requests[STUN_METHOD_REFRESH], before);
}

static void socket_goes(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	give(alice, &s, 1);
	connect_both(3 * US_PER_S);
	overlay_remove_socket(alice->overlay, mesh.now_us, 1);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(relay_candidates(alice), 0);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_UNUSED);
	assert_int_equal(overlay_add_socket(alice->overlay, mesh.now_us, 1, &alice->socket, 65535),
			 OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(info(alice, 0).state, OVERLAY_RELAY_READY);
}

static void restart_with(struct mesh_host *h, enum ice_policy policy)
{
	h->policy = policy;
	mesh_restart(h);
	mesh_set_nat(&mesh, MESH_DELAY_US);
}

static bool candidates_are(const struct mesh_host *h, bool srflx)
{
	size_t count;
	const struct ice_candidate *c = overlay_local_candidates(h->overlay, &count);

	for (size_t i = 0; i < count; i++) {
		if (c[i].type != ICE_CANDIDATE_RELAY &&
		    !(srflx && c[i].type == ICE_CANDIDATE_SRFLX))
			return false;
		if (!netaddr_is_unspecified(&c[i].related))
			return false;
	}
	return count > 0;
}

static bool nothing_from_alice_to_bob(struct mesh *m, const struct mesh_host *from,
				      const uint8_t *buf, size_t len)
{
	(void)m;
	(void)buf;
	(void)len;
	return from != &m->hosts[0] || !from->has_path || from->path.relay;
}

/* Nobody but the TURN server learns where alice is, though a direct path would work. */
static void relays_alone(void **state)
{
	struct overlay_relay_server s = server(1, 0);

	(void)state;
	mesh.direct_blocked = false;
	restart_with(alice, ICE_POLICY_RELAY);
	give(alice, &s, 1);
	mesh.filter_datagram = nothing_from_alice_to_bob;
	connect_both(3 * US_PER_S);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	assert_true(candidates_are(alice, false));
	assert_true(both_have_path(&mesh));
	assert_int_not_equal(alice->path.relay, 0);
	assert_int_equal(bob->path.remote_type, ICE_CANDIDATE_RELAY);
	assert_int_equal(bob->path.remote.ip[0], 203);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
}

static void no_host_candidates(void **state)
{
	(void)state;
	mesh.direct_blocked = false;
	restart_with(alice, ICE_POLICY_NO_HOST);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	connect_both(3 * US_PER_S);
	assert_true(candidates_are(alice, true));
	assert_int_equal(alice->path.relay, 0);
	assert_int_equal(bob->path.remote.ip[0], 198);
	assert_int_equal(exchange(50, 20 * US_PER_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(allocates_once_and_keeps_it),
		TEST(one_relay_serves),
		TEST(relays_on_both_sides),
		TEST(packets_that_wait_go_first),
		TEST(stream_when_udp_is_blocked),
		TEST(dead_servers_delay_nothing),
		TEST(wrong_password),
		TEST(refusals_have_their_name),
		TEST(third_server_stands_by),
		TEST(udp_is_back_when_credentials_rotate),
		TEST(credentials_rotate_without_a_cut),
		TEST(eyeballs),
		TEST(server_leaves_the_list),
		TEST(permissions_go_when_unused),
		TEST(socket_goes),
		TEST(relays_alone),
		TEST(no_host_candidates),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
