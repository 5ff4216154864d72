/* Relays of whole hosts: found, used, replaced, lost, over UDP and over streams. */
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

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 5);
	mesh_set_nat(&mesh, MESH_DELAY_US);
	mesh.direct_blocked = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

/* --- helpers --- */

static struct overlay_relay_server server(uint32_t id, size_t turn)
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

static void add_stream_target(struct overlay_relay_server *s, size_t turn, enum turn_transport t)
{
	s->targets[s->target_count++] = mesh_turn_target(turn, t);
}

static void give(struct mesh_host *h, const struct overlay_relay_server *servers, size_t count)
{
	assert_int_equal(overlay_set_relay_servers(h->overlay, mesh.now_us, servers, count), OK);
}

static struct overlay_relay_info info(const struct mesh_host *h, size_t i)
{
	struct overlay_relay_info ret;

	assert_true(overlay_relay_info(h->overlay, i, &ret));
	return ret;
}

static bool both_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

/* The data plane of both sends by itself. */
static bool both_have_path(struct mesh *m)
{
	return both_connected(m) && m->hosts[0].has_path && m->hosts[1].has_path;
}

static unsigned int requests(size_t turn)
{
	unsigned int sum = mesh.turn[turn].challenges;

	for (size_t i = 0; i < ARRAY_SIZE(mesh.turn[turn].requests); i++)
		sum += mesh.turn[turn].requests[i];
	return sum;
}

static size_t relay_candidates(const struct mesh_host *h)
{
	size_t count, n = 0;
	const struct ice_candidate *c = overlay_local_candidates(h->overlay, &count);

	for (size_t i = 0; i < count; i++)
		n += c[i].type == ICE_CANDIDATE_RELAY;
	return n;
}

static void connect_both(uint64_t limit_us)
{
	uint32_t peer;

	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, limit_us, both_connected));
}

/* @count packets each way, one every @every_us. Return: how many were lost. */
static size_t exchange(size_t count, uint64_t every_us)
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
static bool alice_is_back(struct mesh *m)
{
	return m->hosts[1].packets > 0;
}

/* --- tests --- */

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

/* UDP ends under a session; the second server is one over TLS. */
static void udp_is_blocked_later(void **state)
{
	struct overlay_relay_server s[2] = {server(1, 0), server(2, 0)};
	bool back = false;
	uint64_t since_us;

	(void)state;
	s[1].target_count = 0;
	add_stream_target(&s[1], 0, TURN_TRANSPORT_TLS);
	give(alice, s, 2);
	give(bob, s, 2);
	connect_both(3 * US_PER_S);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
	assert_int_equal(info(alice, 1).state, OVERLAY_RELAY_READY);
	alice->udp_blocked = true;
	bob->packets = 0;
	since_us = mesh.now_us;
	for (int i = 0; i < 15 && !back; i++) {
		for (int k = 0; k < 5 && !back; k++) {
			mesh_send_packet(alice, bob, 100);
			mesh_send_packet(bob, alice, 100);
			back = mesh_run(&mesh, 200 * US_PER_MS, alice_is_back);
		}
		for (size_t n = 0; n < 2 && !back; n++)
			overlay_on_unanswered(mesh.hosts[n].overlay, mesh.now_us, 0);
	}
	assert_true(back);
	assert_true(mesh.now_us - since_us < 4 * US_PER_S);
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

/* A new process at the same address, without memory; the app says each second that nothing comes. */
static void server_restarts_under_a_session(void **state)
{
	struct overlay_relay_server s = server(1, 0), other = server(1, 1);
	uint64_t since_us;
	bool back = false;

	(void)state;
	give(alice, &s, 1);
	give(bob, &other, 1);
	connect_both(3 * US_PER_S);
	assert_int_equal(exchange(50, 100 * US_PER_MS), 0);
	(void)mesh_run(&mesh, 60 * US_PER_S, NULL);
	turn_server_restart(&mesh.turn[0], mesh.now_us);
	turn_server_restart(&mesh.turn[1], mesh.now_us);
	bob->packets = 0;
	since_us = mesh.now_us;
	for (int i = 0; i < 10 && !back; i++) {
		for (int k = 0; k < 5 && !back; k++) {
			mesh_send_packet(alice, bob, 100);
			mesh_send_packet(bob, alice, 100);
			back = mesh_run(&mesh, 200 * US_PER_MS, alice_is_back);
		}
		for (size_t n = 0; n < 2 && !back; n++)
			overlay_on_unanswered(mesh.hosts[n].overlay, mesh.now_us, 0);
	}
	assert_true(back);
	assert_true(mesh.now_us - since_us < 3 * US_PER_S);
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
		TEST(udp_is_blocked_later),
		TEST(stream_that_breaks_is_made_again),
		TEST(dead_servers_delay_nothing),
		TEST(wrong_password),
		TEST(refusals_have_their_name),
		TEST(third_server_stands_by),
		TEST(credentials_rotate_without_a_cut),
		TEST(server_restarts_under_a_session),
		TEST(server_restarts_under_an_idle_session),
		TEST(allocation_of_an_earlier_life),
		TEST(eyeballs),
		TEST(server_leaves_the_list),
		TEST(permissions_go_when_unused),
		TEST(goodbye_gives_back),
		TEST(goodbye_goes_over_the_relay),
		TEST(goodbye_goes_over_the_stream),
		TEST(socket_goes),
		TEST(relays_alone),
		TEST(no_host_candidates),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
