/* A host that can know forty peers, and is asked for more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "tests/support/mesh.h"

#define PEERS 40

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

static bool registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static bool both_connected(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED;
}

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 5);
	mesh.max_peers = PEERS;
	mesh_restart(alice);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, registered));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static size_t known_peers(void)
{
	struct overlay_peer_info info;
	uint32_t cursor = 0;
	size_t count = 0;

	while (overlay_next_peer(alice->overlay, &cursor, &info))
		count++;
	return count;
}

/* Nobody has this name. */
static enum err ask_for(unsigned int i, uint32_t *ret_peer)
{
	char name[16];

	snprintf(name, sizeof(name), "nobody%u", i);
	return overlay_connect(alice->overlay, mesh.now_us, name, ret_peer);
}

static unsigned long number_of(const char *name)
{
	return strtoul(name + strlen("nobody"), NULL, 10);
}

static void a_name_is_one_peer(void **state)
{
	uint32_t first, again, other;

	(void)state;
	assert_int_equal(ask_for(0, &first), OK);
	assert_int_equal(ask_for(1, &other), OK);
	assert_int_equal(ask_for(0, &again), OK);
	assert_true(first == again);
	assert_true(first != other);
	assert_int_equal(known_peers(), 2);
}

/* Packets for an address wait in one place, and leave when its owner is known under its name. */
static void an_address_is_one_peer(void **state)
{
	(void)state;
	mesh_send_packet(alice, bob, 64);
	mesh_send_packet(alice, bob, 64);
	assert_int_equal(known_peers(), 1);
	assert_true(mesh_run(&mesh, 30 * US_PER_S, both_connected));
	mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->packets, 2);
	assert_int_equal(known_peers(), 1);
}

/* The second address of a host: fd00:77::1, ::2 ... */
static struct netaddr ip6_of(const struct mesh_host *h)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse_ip("fd00:77::", 0, &a), OK);
	a.ip[15] = h->address.ip[3];
	return a;
}

/* The host has a new certificate, with both addresses. */
static void give_ip6(struct mesh_host *h)
{
	struct cert c;

	assert_int_equal(cert_open(h->certificate, h->certificate_len, mesh.authority_public, &c),
			 OK);
	c.addresses[c.address_count++] = ip6_of(h);
	c.networks[c.network_count] = netprefix_of(&c.addresses[1], 64);
	c.network_count++;
	assert_int_equal(cert_sign(&c, mesh.authority_secret, h->certificate,
				   sizeof(h->certificate), &h->certificate_len),
			 OK);
	mesh_restart(h);
}

/* An IPv6 packet without a payload, for bob. */
static enum err send_ip6(const struct netaddr *to)
{
	uint8_t packet[40] = {0x60, [6] = 59, [7] = 64};
	struct netaddr from = ip6_of(alice);

	memcpy(packet + 8, from.ip, 16);
	memcpy(packet + 24, to->ip, 16);
	return overlay_on_packet(alice->overlay, mesh.now_us, packet, sizeof(packet));
}

static size_t asked_for_ip6;

/* The mesh knows hosts by their IPv4 addresses. */
static bool knows_ip6(struct mesh *m, const struct mesh_host *from, struct signal_message *message)
{
	(void)m;
	(void)from;
	if (message->type == SIGNAL_LOOKUP && !message->name[0] &&
	    message->address.family == NETADDR_IP6) {
		asked_for_ip6++;
		message->address = bob->address;
	}
	return true;
}

/* Both addresses of a host are looked up while neither is known, and turn out to be one peer. */
static void two_addresses_are_one_peer(void **state)
{
	const struct netaddr bob6 = ip6_of(bob);
	struct netaddr other = bob6;

	(void)state;
	give_ip6(alice);
	give_ip6(bob);
	assert_true(mesh_run(&mesh, 10 * US_PER_S, registered));
	asked_for_ip6 = 0;
	mesh.filter_frame = knows_ip6;
	assert_int_equal(send_ip6(&bob6), OK);
	mesh_send_packet(alice, bob, 64);
	assert_int_equal(known_peers(), 2);
	assert_true(mesh_run(&mesh, 30 * US_PER_S, both_connected));
	mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(asked_for_ip6, 1);
	assert_int_equal(bob->packets, 2);
	assert_int_equal(known_peers(), 1);
	/* From then on the route is there; no other address of the block is his. */
	assert_int_equal(route_table_lookup(overlay_routes(alice->overlay), &bob6),
			 route_table_lookup(overlay_routes(alice->overlay), &bob->address));
	other.ip[15] = 99;
	assert_int_equal(route_table_lookup(overlay_routes(alice->overlay), &other),
			 ROUTE_UNRESOLVED);
	other.ip[1] = 1;
	assert_int_equal(send_ip6(&other), DROP_NO_ROUTE);
}

/* A server that lies: asked for another address, it shows bob's certificate. */
static bool shows_bob(struct mesh *m, const struct mesh_host *from, struct signal_message *message)
{
	(void)m;
	(void)from;
	if (message->type == SIGNAL_LOOKUP && !message->name[0])
		message->address = bob->address;
	return true;
}

/* What waits for an address is for its owner's eyes. */
static void a_packet_for_one_goes_to_no_other(void **state)
{
	struct mesh_host other = {.address = bob->address};
	uint64_t before = overlay_drops(alice->overlay)->count[DROP_IDENTITY];

	(void)state;
	other.address.ip[3] = 99;
	mesh.filter_frame = shows_bob;
	mesh_send_packet(alice, &other, 64);
	mesh_run(&mesh, 30 * US_PER_S, NULL);
	assert_int_equal(bob->packets, 0);
	assert_int_equal(overlay_drops(alice->overlay)->count[DROP_IDENTITY], before + 1);
	mesh_send_packet(alice, bob, 64);
	assert_true(mesh_run(&mesh, 30 * US_PER_S, both_connected));
	mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(bob->packets, 1);
}

static void the_longest_idle_makes_room(void **state)
{
	struct overlay_peer_info info;
	uint32_t peers[PEERS], more, again;

	(void)state;
	for (unsigned int i = 0; i < PEERS; i++)
		assert_int_equal(ask_for(i, &peers[i]), OK);
	/* All are being looked up. */
	assert_int_equal(ask_for(PEERS, &more), ERR_LIMIT);
	mesh_run(&mesh, 20 * US_PER_S, NULL);
	/* Nobody has answered: the attempts are over. More than twice around. */
	for (unsigned int i = PEERS; i < 3 * PEERS + 1; i++) {
		assert_int_equal(ask_for(i, &more), OK);
		assert_int_equal(known_peers(), PEERS);
		mesh_run(&mesh, 20 * US_PER_S, NULL);
		/* The newest ones are all there, under the same numbers. */
		for (unsigned int k = i - PEERS / 2; k <= i; k++) {
			assert_int_equal(ask_for(k, &again), OK);
			assert_int_equal(overlay_peer(alice->overlay, again, &info), OK);
			assert_int_equal(number_of(info.name), k);
		}
		assert_int_equal(known_peers(), PEERS);
		mesh_run(&mesh, 20 * US_PER_S, NULL);
	}
	assert_int_equal(mesh_state(alice, "nobody0"), OVERLAY_PEER_STATE_COUNT);
	assert_int_equal(mesh_state(alice, "nobody120"), OVERLAY_PEER_FAILED);
	/* A name that was forgotten is a new one. */
	assert_int_equal(ask_for(0, &more), OK);
	mesh_run(&mesh, 20 * US_PER_S, NULL);
	assert_int_equal(overlay_connect(alice->overlay, mesh.now_us, "bob", &more), OK);
	assert_true(mesh_run(&mesh, 30 * US_PER_S, both_connected));
	assert_int_equal(known_peers(), PEERS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_one_peer),	   TEST(an_address_is_one_peer),
		TEST(two_addresses_are_one_peer),  TEST(a_packet_for_one_goes_to_no_other),
		TEST(the_longest_idle_makes_room),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
