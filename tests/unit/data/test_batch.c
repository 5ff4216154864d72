/* What is read and received together goes to and comes from several peers, and none of it is mixed
 * up. */
#include "daemon/data/ahead.h"
#include "tests/unit/data/host.h"

#define PEERS 3

static struct host a, peers[PEERS];

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	for (uint8_t i = 0; i < PEERS; i++) {
		host_start(&peers[i], (uint8_t)(2 + i));
		host_link(&a, &peers[i], 1000u * (1 + i), AEAD_AES_256_GCM);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	host_drain_tun(&a);
	host_check_balance(&a);
	host_stop(&a);
	for (size_t i = 0; i < PEERS; i++) {
		host_check_balance(&peers[i]);
		host_stop(&peers[i]);
	}
	return 0;
}

/* The worker gets batches of every length, since its TUN blocks until they are full. */
static void test_out_to_several(void **state)
{
	uint64_t mark = 0, heard[PEERS] = {0};

	(void)state;
	fcntl(a.tun_far, F_SETFL, 0);
	for (size_t i = 0; i < 20 * AHEAD_SEALS; i++) {
		/* Runs of one to three packets; some go nowhere. */
		size_t peer = i / (1 + i % 3) % (PEERS + 1);
		struct netaddr to = peer < PEERS ? peers[peer].overlay : ip("172.16.0.1");

		host_say(&a, &a.overlay, &to, 28 + i % 1000, ++mark);
	}
	fcntl(a.tun_far, F_SETFL, O_NONBLOCK);
	mark = 0;
	for (size_t i = 0; i < 20 * AHEAD_SEALS; i++) {
		size_t peer = i / (1 + i % 3) % (PEERS + 1);

		mark++;
		if (peer == PEERS)
			continue;
		assert_int_equal(host_hear(&peers[peer], 28 + i % 1000), mark);
		heard[peer]++;
	}
	for (size_t i = 0; i < PEERS; i++)
		assert_true(heard[i] > 20);
}

/* Datagrams of all peers, and such that are nobody's, wait in one socket while the worker waits in
 * its TUN. */
static void test_in_from_several(void **state)
{
	uint8_t nobodys[64] = {TUNNEL_TYPE_DATA, 0, 0, 0, 9, 9, 9, 9};
	uint64_t mark = 0, next[PEERS] = {0};

	(void)state;
	fcntl(a.tun_far, F_SETFL, 0);
	host_say(&a, &a.overlay, &a.overlay, 28, 0); /* dropped; the next read waits */
	for (size_t i = 0; i < 200; i++) {
		struct host *peer = &peers[i / (1 + i % 3) % PEERS];

		host_say(peer, &peer->overlay, &a.overlay, 100, peer_of(peer) << 16 | ++mark);
		if (i % 5 == 0)
			udp_send(peer->udp, &a.addr, nobodys, sizeof(nobodys));
	}
	for (size_t i = 0; i < PEERS; i++)
		host_drain_tun(&peers[i]);
	fcntl(a.tun_far, F_SETFL, O_NONBLOCK);
	host_say(&a, &a.overlay, &a.overlay, 28, 0);
	for (size_t i = 0; i < 200; i++) {
		uint64_t heard = host_hear(&a, 100);
		size_t peer = (heard >> 16) - peer_of(&peers[0]);

		/* In order from each. */
		assert_in_range(peer, 0, PEERS - 1);
		assert_true((heard & 0xffff) > next[peer]);
		next[peer] = heard & 0xffff;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_out_to_several, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_from_several, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
