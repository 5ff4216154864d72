/* Restarts and roaming: whole hosts that move, with packets counted each millisecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])
/* One way through the rendezvous: there and on. */
#define S_US (2 * MESH_DELAY_US)
/* There and back. */
#define D_US (2 * MESH_DELAY_US)

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 11);
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

static bool both_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
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

	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &peer), OK);
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	(void)mesh_run(&mesh, US_PER_S, NULL);
}

struct flow {
	size_t sent, received;
	uint64_t last_us, longest_us; /* between two that arrived */
};

static struct flow flows[2]; /* to alice, to bob */

static void look(size_t i)
{
	struct flow *f = &flows[i];

	if (mesh.hosts[i].packets == f->received)
		return;
	f->received = mesh.hosts[i].packets;
	if (f->last_us && mesh.now_us - f->last_us > f->longest_us)
		f->longest_us = mesh.now_us - f->last_us;
	f->last_us = mesh.now_us;
}

/* One packet each way each millisecond; once a second the shell's look at the counters. */
static void flow(uint64_t for_us)
{
	for (uint64_t i = 0; i < for_us / US_PER_MS; i++) {
		mesh_send_packet(alice, bob, 60);
		mesh_send_packet(bob, alice, 60);
		flows[0].sent++;
		flows[1].sent++;
		for (size_t k = 0; i % 1000 == 999 && k < 2; k++) {
			if (mesh.now_us > flows[k].last_us + US_PER_S)
				overlay_on_unanswered(mesh.hosts[k].overlay, mesh.now_us, 0);
		}
		(void)mesh_run(&mesh, US_PER_MS, NULL);
		look(0);
		look(1);
	}
}

static void flow_begin(void)
{
	/* What is on its way of an earlier flow does not count. */
	(void)mesh_run(&mesh, 300 * US_PER_MS, NULL);
	memset(flows, 0, sizeof(flows));
	alice->packets = bob->packets = 0;
	flow(100 * US_PER_MS);
}

/* Return: how many are missing. What was sent before has arrived. */
static size_t flow_end(void)
{
	(void)mesh_run(&mesh, 200 * US_PER_MS, NULL);
	flows[0].received = alice->packets;
	flows[1].received = bob->packets;
	assert_true(flows[0].received <= flows[0].sent); /* nothing twice */
	assert_true(flows[1].received <= flows[1].sent);
	return flows[0].sent + flows[1].sent - flows[0].received - flows[1].received;
}

static struct overlay_peer_info peer_of(const struct mesh_host *h)
{
	struct overlay_peer_info info;

	assert_int_equal(overlay_peer(h->overlay, 0, &info), OK);
	return info;
}

/* --- both addresses are there for a while --- */

/* A better address comes, the old one goes 5 s later. Socket 1 has the highest preference, so the
 * test begins on a worse one. */
static void move_softly(void)
{
	struct netaddr worse = address(40), better = address(50);
	uint16_t second;

	mesh_add_address(alice, &worse, 100);
	mesh_remove_socket(alice, 1);
	connect_both();
	flow_begin();
	second = mesh_add_address(alice, &better, 200);
	flow(5 * US_PER_S);
	assert_int_equal(alice->path.socket, second);
	mesh_remove_socket(alice, MESH_FIRST_MOVE);
	flow(US_PER_S);
}

static void nothing_is_lost_in_a_soft_handover(void **state)
{
	(void)state;
	move_softly();
	assert_int_equal(flow_end(), 0);
	assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_ADDRESS_NEW);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_int_equal(peer_of(bob).restart_cause, OVERLAY_RESTART_PEER);
	assert_int_equal(peer_of(bob).switches, 1);
	assert_true(flows[0].longest_us < 5 * US_PER_MS && flows[1].longest_us < 5 * US_PER_MS);
}

/* The offer goes inside the tunnel. */
static void nor_without_the_rendezvous(void **state)
{
	struct netaddr worse = address(40), better = address(50);
	uint16_t second;

	(void)state;
	mesh_add_address(alice, &worse, 100);
	mesh_remove_socket(alice, 1);
	connect_both();
	flow_begin();
	mesh_set_server(&mesh, false);
	flow(US_PER_S);
	second = mesh_add_address(alice, &better, 200);
	flow(5 * US_PER_S);
	assert_int_equal(alice->path.socket, second);
	mesh_remove_socket(alice, MESH_FIRST_MOVE);
	flow(US_PER_S);
	assert_int_equal(flow_end(), 0);
}

/* The default route moves from one device to another: the same addresses in another order. */
static void another_order(void **state)
{
	struct overlay_preference list[] = {{1, 300}, {0, 200}};
	struct netaddr a = address(50);

	(void)state;
	connect_both();
	list[1].socket = mesh_add_address(alice, &a, 50);
	flow_begin();
	overlay_set_preferences(alice->overlay, mesh.now_us, list, 2);
	flow(5 * US_PER_S);
	assert_int_equal(alice->path.socket, 1);
	assert_int_equal(peer_of(alice).switches, 0);
	list[0].local_preference = 100;
	overlay_set_preferences(alice->overlay, mesh.now_us, list, 2);
	flow(5 * US_PER_S);
	assert_int_equal(alice->path.socket, list[1].socket);
	assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_ADDRESS_NEW);
	assert_int_equal(peer_of(alice).switches, 1);
	/* All lower, in the same order. */
	list[0].local_preference = 10;
	list[1].local_preference = 20;
	overlay_set_preferences(alice->overlay, mesh.now_us, list, 2);
	flow(5 * US_PER_S);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_int_equal(flow_end(), 0);
}

static size_t too_early, behind;

static bool watch_order(struct mesh *m, const struct mesh_host *from,
			struct signal_message *message)
{
	(void)m;
	if (message->type == SIGNAL_FORWARD) {
		too_early += !from->is_registered;
		behind += !overlay_is_registered(from->overlay);
	}
	return true;
}

/* A host that has lost its address connects anew: its offer goes right behind its registration. */
static void what_is_forwarded_follows_the_registration(void **state)
{
	struct netaddr second = address(50), third = address(51);

	(void)state;
	connect_both();
	mesh_set_server(&mesh, false);
	(void)mesh_add_address(alice, &second, 50);
	mesh_remove_socket(alice, 1);
	(void)mesh_run(&mesh, 10 * US_PER_MS, NULL);
	too_early = behind = 0;
	mesh.filter_frame = watch_order;
	mesh_set_server(&mesh, true);
	(void)mesh_add_address(alice, &third, 40);
	(void)mesh_run(&mesh, US_PER_MS, NULL);
	assert_false(overlay_is_registered(alice->overlay));
	assert_false(overlay_has_output(alice->overlay));
	assert_true(mesh_run(&mesh, 3 * US_PER_S, both_have_path));
	assert_int_equal(too_early, 0);
	assert_in_range(behind, 1, 9);
}

/* The same address, another gateway: only the sessions over it are restarted. */
static void another_gateway(void **state)
{
	struct netaddr a = address(50);
	uint16_t second;

	(void)state;
	connect_both();
	second = mesh_add_address(alice, &a, 50);
	flow_begin();
	overlay_on_rerouted(alice->overlay, mesh.now_us, second);
	flow(3 * US_PER_S);
	assert_int_equal(peer_of(alice).switches, 0);
	overlay_on_rerouted(alice->overlay, mesh.now_us, 1);
	flow(3 * US_PER_S);
	assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_REROUTED);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_int_equal(flow_end(), 0);
}

/* --- the old address goes first --- */

static void hard_handover(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	flow_begin();
	mesh_remove_socket(alice, 1);
	mesh_add_address(alice, &a, 100);
	flow(2 * US_PER_S);
	(void)flow_end();
	assert_true(both_have_path(&mesh));
	assert_true(flows[0].longest_us <= 2 * S_US + 2 * D_US + 100 * US_PER_MS);
	assert_true(flows[1].longest_us <= 2 * S_US + 2 * D_US + 100 * US_PER_MS);
	/* What alice wanted to send meanwhile has waited, as far as there is room. */
	assert_true(flows[1].sent - flows[1].received < flows[1].sent / 10);
	assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_ADDRESS_LOST);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_PATH_CLEAR), 1);
}

static void a_new_address_comes_later(void **state)
{
	struct netaddr a = address(60);
	uint64_t since_us;

	(void)state;
	connect_both();
	flow_begin();
	mesh_remove_socket(alice, 1);
	flow(2 * US_PER_S);
	assert_int_equal(mesh_state(alice, "bob"), OVERLAY_PEER_ROAMING);
	since_us = mesh.now_us;
	mesh_add_address(alice, &a, 100);
	flows[0].last_us = flows[1].last_us = since_us;
	flows[0].longest_us = flows[1].longest_us = 0;
	flow(US_PER_S);
	assert_true(flows[0].longest_us <= 2 * S_US + 2 * D_US + 300 * US_PER_MS);
	assert_true(flows[1].longest_us <= 2 * S_US + 2 * D_US + 300 * US_PER_MS);
	assert_true(both_have_path(&mesh));
}

static void both_move_at_once(void **state)
{
	struct netaddr a = address(60), b = address(61);

	(void)state;
	connect_both();
	flow_begin();
	mesh_remove_socket(alice, 1);
	mesh_remove_socket(bob, 1);
	mesh_add_address(alice, &a, 100);
	flow(300 * US_PER_MS);
	mesh_add_address(bob, &b, 100);
	flow(2700 * US_PER_MS);
	assert_true(both_have_path(&mesh));
	flow_begin();
	flow(US_PER_S);
	assert_int_equal(flow_end(), 0);
}

static void the_rendezvous_comes_back_during_a_hard_handover(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	flow_begin();
	mesh_set_server(&mesh, false);
	mesh_remove_socket(alice, 1);
	mesh_add_address(alice, &a, 100);
	flow(5 * US_PER_S);
	mesh_set_server(&mesh, true);
	flow(3 * US_PER_S);
	assert_true(both_have_path(&mesh));
	flow_begin();
	flow(US_PER_S);
	assert_int_equal(flow_end(), 0);
}

/* 50 times in 10 s. */
static void an_address_flaps(void **state)
{
	struct netaddr a = address(60);
	uint16_t number = 1;

	(void)state;
	connect_both();
	for (int i = 0; i < 50; i++) {
		mesh_remove_socket(alice, number);
		flow(100 * US_PER_MS);
		number = mesh_add_address(alice, &a, 100);
		flow(100 * US_PER_MS);
	}
	flow(2 * US_PER_S);
	assert_true(both_have_path(&mesh));
	flow_begin();
	flow(US_PER_S);
	assert_int_equal(flow_end(), 0);
}

static void the_peer_has_forgotten_us_meanwhile(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	flow_begin();
	mesh_remove_socket(alice, 1);
	mesh_restart(bob);
	flow(500 * US_PER_MS);
	mesh_add_address(alice, &a, 100);
	flow(8 * US_PER_S);
	assert_true(both_have_path(&mesh));
}

/* --- restarts for their own sake --- */

static bool lose_long(struct mesh *m, const struct mesh_host *from, const uint8_t *buf, size_t len)
{
	(void)m;
	(void)from;
	(void)buf;
	return len < 250;
}

static void asked_for(void **state)
{
	uint32_t first, second;

	(void)state;
	connect_both();
	first = peer_of(alice).session;
	flow_begin();
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 7), ERR_NOT_FOUND);
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	flow(500 * US_PER_MS);
	second = peer_of(alice).session;
	assert_int_not_equal(first, second);
	assert_int_equal(peer_of(alice).restarts, 1);
	assert_int_equal(peer_of(alice).switches, 1);
	/* And from the other end. */
	assert_int_equal(overlay_restart(bob->overlay, mesh.now_us, 0), OK);
	flow(500 * US_PER_MS);
	assert_int_equal(flow_end(), 0);
	assert_int_not_equal(second, peer_of(alice).session);
	assert_int_equal(peer_of(bob).switches, 2);
	assert_int_equal(peer_of(bob).path.generation, 2);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_PATH_CLEAR), 0);
}

static void both_ask_at_once(void **state)
{
	(void)state;
	connect_both();
	flow_begin();
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	assert_int_equal(overlay_restart(bob->overlay, mesh.now_us, 0), OK);
	flow(3 * US_PER_S);
	assert_int_equal(flow_end(), 0);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_int_equal(peer_of(bob).switches, 1);
}

/* Under loss nothing but what the network loses is lost. */
static uint32_t dice;

static bool lose_a_fifth(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			 size_t len)
{
	(void)m;
	(void)from;
	(void)buf;
	(void)len;
	dice = dice * 1664525u + 1013904223u;
	return dice >> 16 & 7 ? dice % 5 != 0 : true;
}

static void loss_delays_but_does_not_break(void **state)
{
	(void)state;
	connect_both();
	mesh.filter_datagram = lose_a_fifth;
	for (uint32_t i = 0; i < 20; i++) {
		flow_begin();
		assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
		for (int k = 0; k < 100 && peer_of(alice).switches <= i; k++)
			flow(200 * US_PER_MS);
		flow(2 * US_PER_S);
		assert_true(both_have_path(&mesh));
		assert_true(flows[0].longest_us < 50 * US_PER_MS);
		assert_true(flows[1].longest_us < 50 * US_PER_MS);
	}
	assert_int_equal(peer_of(alice).switches, 20);
}

/* RFC 8445 s. 9, RFC 8863: 39.5 s; the old path is as it was, and it is tried again. */
static void an_unanswered_restart_costs_nothing(void **state)
{
	uint32_t session;

	(void)state;
	connect_both();
	session = peer_of(alice).session;
	mesh.filter_datagram = lose_long;
	mesh_set_server(&mesh, false);
	flow_begin();
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	flow(39 * US_PER_S);
	assert_int_equal(peer_of(alice).restart_failures, 0);
	flow(US_PER_S);
	assert_int_equal(peer_of(alice).restart_failures, 1);
	assert_int_equal(peer_of(alice).session, session);
	assert_int_equal(flow_end(), 0);
	mesh.filter_datagram = NULL;
	flow(3 * US_PER_S);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_int_equal(flow_end(), 0);
}

/* Everything that went through the rendezvous comes again, in the order it came. */
#define KEPT 64
static struct signal_message kept[KEPT];
static uint8_t kept_body[KEPT][SIGNAL_BODY_MAX_BYTES];
static const struct mesh_host *kept_from[KEPT];
static size_t kept_count;

static bool keep(struct mesh *m, const struct mesh_host *from, struct signal_message *message)
{
	(void)m;
	if (message->type != SIGNAL_FORWARD || kept_count == KEPT)
		return true;
	kept[kept_count] = *message;
	memcpy(kept_body[kept_count], message->body, message->body_len);
	kept_from[kept_count++] = from;
	return true;
}

static void replay(size_t i)
{
	static uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	struct mesh_host *to = kept_from[i] == alice ? bob : alice;
	struct signal_message out = kept[i];
	size_t len;

	out.type = SIGNAL_DELIVER;
	out.body = kept_body[i];
	memcpy(out.from, kept_from[i]->name, strlen(kept_from[i]->name) + 1);
	assert_int_equal(signal_message_encode(&out, buf, sizeof(buf), &len), OK);
	(void)overlay_on_signal(to->overlay, mesh.now_us, buf, len);
}

static void replays_change_nothing(void **state)
{
	uint32_t session;

	(void)state;
	kept_count = 0;
	mesh.filter_frame = keep;
	connect_both();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			overlay_restart(i % 2 ? bob->overlay : alice->overlay, mesh.now_us, 0), OK);
		(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	}
	assert_true(kept_count >= 8);
	mesh.filter_frame = NULL;
	session = peer_of(alice).session;
	flow_begin();
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < kept_count; i++) {
			replay(round == 1 ? kept_count - 1 - i : i);
			flow(7 * US_PER_MS);
		}
	}
	flow(US_PER_S);
	assert_int_equal(flow_end(), 0);
	assert_int_equal(peer_of(alice).session, session);
	assert_int_equal(peer_of(alice).switches, 3);
}

/* Keys wear out and a restart is asked for in the same moment, many times. */
static void renewal_and_restart_do_not_block_each_other(void **state)
{
	(void)state;
	connect_both();
	for (int i = 0; i < 4; i++) {
		/* The renewal is due at 120 s of use. */
		for (int k = 0; k < 119; k++) {
			mesh_send_packet(alice, bob, 60);
			mesh_send_packet(bob, alice, 60);
			(void)mesh_run(&mesh, US_PER_S, NULL);
			overlay_on_authenticated(alice->overlay, mesh.now_us, 0,
						 peer_of(alice).session, 1);
			overlay_on_authenticated(bob->overlay, mesh.now_us, 0, peer_of(bob).session,
						 1);
		}
		flow_begin();
		for (int k = 0; k < 30; k++) {
			overlay_on_authenticated(alice->overlay, mesh.now_us, 0,
						 peer_of(alice).session, 1);
			overlay_on_authenticated(bob->overlay, mesh.now_us, 0, peer_of(bob).session,
						 1);
			if (k == i * 7)
				(void)!overlay_restart(alice->overlay, mesh.now_us, 0);
			flow(100 * US_PER_MS);
		}
		assert_int_equal(flow_end(), 0);
		assert_true(both_have_path(&mesh));
	}
}

/* Nothing comes back over the path, though it was nominated and ICE has not noticed yet. */
static void silence_is_noticed(void **state)
{
	struct netaddr a = address(60);

	(void)state;
	connect_both();
	mesh_add_address(alice, &a, 100);
	flow_begin();
	mesh.dead = alice->socket;
	flow(5 * US_PER_S);
	assert_true(flows[0].longest_us < 4 * US_PER_S);
	assert_true(both_have_path(&mesh));
	assert_int_equal(alice->path.socket, MESH_FIRST_MOVE);
}

static void causes_have_texts(void **state)
{
	(void)state;
	for (int i = 1; i < OVERLAY_RESTART_CAUSE_COUNT; i++)
		assert_true(strlen(overlay_restart_cause_text((enum overlay_restart_cause)i)) > 10);
	assert_string_equal(overlay_restart_cause_text(OVERLAY_RESTART_CAUSE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(nothing_is_lost_in_a_soft_handover),
		TEST(nor_without_the_rendezvous),
		TEST(what_is_forwarded_follows_the_registration),
		TEST(another_order),
		TEST(another_gateway),
		TEST(hard_handover),
		TEST(a_new_address_comes_later),
		TEST(both_move_at_once),
		TEST(the_rendezvous_comes_back_during_a_hard_handover),
		TEST(an_address_flaps),
		TEST(the_peer_has_forgotten_us_meanwhile),
		TEST(asked_for),
		TEST(both_ask_at_once),
		TEST(loss_delays_but_does_not_break),
		TEST(an_unanswered_restart_costs_nothing),
		TEST(replays_change_nothing),
		TEST(renewal_and_restart_do_not_block_each_other),
		TEST(silence_is_noticed),
		TEST(causes_have_texts),
	};

	return crypto_start() == OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
