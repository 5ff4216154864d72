/* The data plane, one rule at a time: what goes where, what is dropped and under which name. */
#include "daemon/data/ahead.h"
#include "tests/unit/data/host.h"

#define CIPHER AEAD_CHACHA20_POLY1305

static struct host a, b;
static int tap;
static struct netaddr tap_addr;

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	host_start(&b, 2);
	tap = udp_open(&tap_addr);
	return 0;
}

/* Whatever a test did, every packet must be accounted for. */
static int tear_down(void **state)
{
	(void)state;
	host_drain_tun(&a);
	host_drain_tun(&b);
	host_drain_udp(&a, tap);
	host_drain_udp(&b, tap);
	host_check_balance(&a);
	host_check_balance(&b);
	host_stop(&a);
	host_stop(&b);
	close(tap);
	return 0;
}

static void test_both_ways_and_both_ciphers(void **state)
{
	struct data_stats stats;
	uint64_t mark = 100;

	(void)state;
	for (int i = 0; i < 2; i++) {
		host_link(&a, &b, i ? 2000 : 1000, i ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305);
		for (size_t len = 28; len <= 1500; len += 46) {
			host_say(&a, &a.overlay, &b.overlay, len, ++mark);
			assert_int_equal(host_hear(&b, len), mark);
			host_say(&b, &b.overlay, &a.overlay, len, ++mark);
			assert_int_equal(host_hear(&a, len), mark);
		}
	}
	host_drain_tun(&a);
	assert_true(data_plane_session_stats(b.plane, 1002, &stats));
	assert_int_equal(stats.rx_packets, 33);
	assert_int_equal(stats.rx_bytes, 33 * (28 + 1500) / 2);
	assert_true(stats.last_rx_us > 0);
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_int_equal(stats.tx_packets, 66);
	assert_int_equal(stats.tx_bytes, 66 * (28 + 1500) / 2);
	assert_true(stats.last_tx_us > 0);
	assert_int_equal(stats.rx_packets, 66);
	data_plane_remove_session(a.plane, 1001);
	assert_false(data_plane_session_stats(a.plane, 1001, &stats));
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_int_equal(stats.tx_packets, 66);
	data_plane_remove_peer(a.plane, 2);
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_int_equal(stats.tx_packets, 0);
	assert_int_equal(stats.last_rx_us, 0);
}

static void test_stun_goes_to_control(void **state)
{
	static const uint8_t not_stun[20] = {0, 1, 0, 0, 1, 2, 3, 4};
	uint8_t stun[64], buf[65536];
	size_t len = stun_binding(stun, sizeof(stun), 77);
	struct data_input input;

	(void)state;
	udp_send(tap, &a.addr, not_stun, sizeof(not_stun));
	udp_send(tap, &a.addr, stun, len);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_STUN);
	assert_int_equal(input.socket, SOCKET);
	assert_true(netaddr_equal(&input.remote, &tap_addr));
	assert_int_equal(input.len, len);
	assert_memory_equal(buf, stun, len);
	assert_true(input.now_us > 0);
	assert_false(data_plane_pop(a.plane, &input, buf, sizeof(buf)));
	assert_false(is_readable(data_plane_wakeup_fd(a.plane)));
	assert_int_equal(host_drops(&a, DROP_MALFORMED), 1);
}

static void test_wakeup_lasts_until_all_is_popped(void **state)
{
	uint8_t stun[64], buf[65536];
	size_t len = stun_binding(stun, sizeof(stun), 1);
	struct data_input input;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		udp_send(tap, &a.addr, stun, len);
		udp_send(tap, &a.addr, stun, len);
		host_pop(&a, &input, buf);
		if (round % 2) {
			host_pop(&a, &input, buf);
			continue;
		}
		/* One is left or still to come: the descriptor must say so. */
		wait_readable(data_plane_wakeup_fd(a.plane));
		host_pop(&a, &input, buf);
	}
	assert_false(data_plane_pop(a.plane, &input, buf, sizeof(buf)));
	assert_false(is_readable(data_plane_wakeup_fd(a.plane)));
}

static void test_small_buffer_loses_one_input(void **state)
{
	uint8_t stun[64], buf[16];
	size_t len = stun_binding(stun, sizeof(stun), 77);
	struct data_counters c;
	struct data_input input;

	(void)state;
	udp_send(tap, &a.addr, stun, len);
	wait_readable(data_plane_wakeup_fd(a.plane));
	assert_false(data_plane_pop(a.plane, &input, buf, sizeof(buf)));
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.pop_too_long, 1);
}

static void test_control_and_keepalive(void **state)
{
	uint8_t buf[65536];
	struct data_input input;
	struct data_stats stats;
	struct data_counters c;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_say_control(&b, &a.addr, NULL, 0);
	host_say_control(&b, &a.addr, "\0hello", 6);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_CONTROL);
	assert_int_equal(input.peer, 2);
	assert_int_equal(input.local_index, 1001);
	assert_int_equal(input.socket, SOCKET);
	assert_true(netaddr_equal(&input.remote, &b.addr));
	assert_int_equal(input.len, 6);
	assert_memory_equal(buf, "\0hello", 6);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.rx_empty, 1);
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_int_equal(stats.rx_packets, 2);
}

static void test_unknown_and_broken_datagrams(void **state)
{
	uint8_t packet[65536];
	size_t len;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_set_path(&a, 2, 1001, &tap_addr);
	host_say(&a, &a.overlay, &b.overlay, 100, 1);
	len = udp_receive(tap, packet, sizeof(packet));
	assert_int_equal(len, 100 + TUNNEL_OVERHEAD_BYTES);

	packet[7] ^= 1; /* receiver index */
	udp_send(tap, &b.addr, packet, len);
	packet[7] ^= 1;
	packet[40] ^= 1; /* ciphertext */
	udp_send(tap, &b.addr, packet, len);
	packet[40] ^= 1;
	packet[8] = 50; /* a lane that was not announced */
	udp_send(tap, &b.addr, packet, len);
	packet[8] = 1;
	udp_send(tap, &b.addr, packet, 31);
	udp_send(tap, &b.addr, packet, 0);
	packet[0] = 0xff;
	udp_send(tap, &b.addr, packet, len);
	packet[0] = 0x41; /* ChannelData from nowhere */
	udp_send(tap, &b.addr, packet, len);
	packet[0] = TUNNEL_TYPE_DATA;
	host_drain_udp(&b, tap);
	assert_int_equal(host_drops(&b, DROP_UNKNOWN_INDEX), 1);
	assert_int_equal(host_drops(&b, DROP_DECRYPT), 1);
	assert_int_equal(host_drops(&b, DROP_MALFORMED), 1);
	assert_int_equal(host_drops(&b, DROP_TRUNCATED), 2);
	assert_int_equal(host_drops(&b, DROP_UNKNOWN_TYPE), 2);
	assert_false(is_readable(b.tun));

	udp_send(tap, &b.addr, packet, len); /* what it really was is still accepted, once */
	udp_send(tap, &b.addr, packet, len);
	assert_int_equal(host_hear(&b, 100), 1);
	host_drain_udp(&b, tap);
	assert_int_equal(host_drops(&b, DROP_REPLAY), 1);
	assert_false(is_readable(b.tun));
}

static void test_source_must_be_the_peers(void **state)
{
	struct netaddr third = ip("10.0.0.3");

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_say(&a, &third, &b.overlay, 100, 1);
	host_say(&a, &b.overlay, &b.overlay, 100, 2); /* even B's own */
	host_say(&a, &a.overlay, &b.overlay, 100, 3);
	assert_int_equal(host_hear(&b, 100), 3);
	assert_int_equal(host_drops(&b, DROP_SOURCE), 2);
}

static void test_padding_does_not_pass(void **state)
{
	uint8_t packet[65536];

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	ip4_packet(packet, 60, &a.overlay, &b.overlay, 5);
	packet[3] = 40;
	assert_int_equal(write(a.tun, packet, 60), 60);
	assert_int_equal(host_hear(&b, 40), 5);
	/* A peer that does send it gains nothing. */
	host_say_control(&a, &b.addr, packet, 60);
	assert_int_equal(host_hear(&b, 40), 5);
}

static void test_what_the_tun_may_not_send(void **state)
{
	struct netaddr nowhere = ip("192.0.2.1");
	uint8_t packet[100];

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_say(&a, &a.overlay, &a.overlay, 100, 1); /* to ourselves */
	host_say(&a, &a.overlay, &nowhere, 100, 2);
	ip4_packet(packet, 100, &a.overlay, &b.overlay, 3);
	packet[0] = 0; /* a control message, forged */
	assert_int_equal(write(a.tun, packet, 100), 100);
	packet[0] = 0x45;
	packet[3] = 101; /* longer than it is */
	assert_int_equal(write(a.tun, packet, 100), 100);
	host_say(&a, &a.overlay, &b.overlay, 65000, 4); /* fits a datagram */
	assert_int_equal(host_hear(&b, 65000), 4);
	host_say(&a, &a.overlay, &b.overlay, 65535, 5); /* does not */
	host_drain_tun(&a);
	host_drain_udp(&b, tap);
	assert_int_equal(host_drops(&a, DROP_BLOCKED), 1);
	assert_int_equal(host_drops(&a, DROP_NO_ROUTE), 1);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 1);
	assert_int_equal(host_drops(&a, DROP_TRUNCATED), 1);
	assert_int_equal(host_drops(&a, DROP_TOO_LONG), 1);
	assert_false(is_readable(b.tun));
}

static void test_unrouted_goes_to_control(void **state)
{
	struct netaddr unresolved = ip("10.2.3.4");
	uint8_t buf[65536];
	struct data_input input;

	(void)state;
	host_say(&a, &a.overlay, &b.overlay, 100, 11); /* a peer without a path */
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
	assert_int_equal(input.peer, 2);
	assert_true(netaddr_equal(&input.remote, &b.overlay));
	assert_int_equal(input.len, 100);
	assert_int_equal(packet_mark(buf), 11);

	host_say(&a, &a.overlay, &unresolved, 200, 12);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
	assert_int_equal(input.peer, DATA_NO_PEER);
	assert_true(netaddr_equal(&input.remote, &unresolved));

	host_link(&a, &b, 1000, CIPHER);
	host_say(&a, &a.overlay, &b.overlay, 100, 13);
	assert_int_equal(host_hear(&b, 100), 13);
	data_plane_clear_path(a.plane, 2);
	host_say(&a, &a.overlay, &b.overlay, 100, 14);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
	assert_int_equal(packet_mark(buf), 14);
}

static void test_removed_session_is_unknown(void **state)
{
	uint8_t buf[65536];
	struct data_input input;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_link(&a, &b, 2000, CIPHER);
	data_plane_remove_session(a.plane, 1001); /* not the one of the path */
	host_say(&a, &a.overlay, &b.overlay, 100, 1);
	assert_int_equal(host_hear(&b, 100), 1);
	data_plane_remove_session(b.plane, 2002);
	host_say(&a, &a.overlay, &b.overlay, 100, 2);
	host_drain_tun(&a);
	host_drain_udp(&b, tap);
	assert_int_equal(host_drops(&b, DROP_UNKNOWN_INDEX), 1);
	data_plane_remove_session(a.plane, 2001); /* takes the path along */
	data_plane_remove_session(a.plane, 2001);
	host_say(&a, &a.overlay, &b.overlay, 100, 3);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
}

static void test_removed_socket(void **state)
{
	struct netaddr second_addr;
	int second = udp_open(&second_addr);
	uint8_t buf[65536];
	struct data_input input;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	assert_int_equal(data_plane_add_socket(a.plane, SOCKET, &second, 1), ERR_EXISTS);
	assert_int_equal(data_plane_add_socket(a.plane, 8, &second, 1), OK);
	data_plane_remove_socket(a.plane, SOCKET);
	data_plane_remove_socket(a.plane, SOCKET);
	host_say(&a, &a.overlay, &b.overlay, 100, 3);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
	host_say_control(&b, &second_addr, "\0x", 2);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_CONTROL);
	assert_int_equal(input.socket, 8);
	data_plane_remove_socket(a.plane, 8);
	close(second);
	assert_int_equal(data_plane_add_socket(a.plane, SOCKET, &a.udp, 1), OK);
}

static void test_send_error_comes_once_a_path(void **state)
{
	struct netaddr broadcast = ip("255.255.255.255"); /* EACCES without SO_BROADCAST */
	uint8_t buf[65536];
	struct data_input input;

	(void)state;
	broadcast.port = 9;
	host_link(&a, &b, 1000, CIPHER);
	for (int i = 1; i <= 2; i++) {
		host_set_path(&a, 2, 1001, &broadcast);
		host_say(&a, &a.overlay, &b.overlay, 100, 1);
		host_say(&a, &a.overlay, &b.overlay, 100, 2);
		host_pop(&a, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_SEND_ERROR);
		assert_int_equal(input.error, ERR_PERMISSION);
		assert_int_equal(input.peer, 2);
		assert_int_equal(input.local_index, 1001);
		assert_int_equal(input.socket, SOCKET);
		assert_true(netaddr_equal(&input.remote, &broadcast));
		host_say(&a, &a.overlay, &(struct netaddr){.family = 4, .ip = {10, 1}}, 100, 3);
		host_pop(&a, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
		assert_int_equal(host_drops(&a, DROP_SEND), 2 * i);
	}
}

static void test_full_rings_are_counted(void **state)
{
	uint8_t stun[64], buf[65536];
	size_t len = stun_binding(stun, sizeof(stun), 77);
	struct data_input input;
	struct data_counters c;
	struct host small;
	unsigned int popped = 0;

	(void)state;
	host_start_with(&small, 3, 4096);
	host_link(&small, &b, 1000, CIPHER);
	for (int i = 0; i < 200; i++) {
		udp_send(tap, &small.addr, stun, len);
		host_say(&small, &small.overlay, &(struct netaddr){.family = 4, .ip = {10, 1}}, 28,
			 0);
	}
	/* Neither flood keeps a peer's message out. The packets say when all was handled. */
	host_say_control(&b, &small.addr, "\0urgent", 7);
	host_say(&b, &b.overlay, &small.overlay, 100, 4);
	assert_int_equal(host_hear(&small, 100), 4);
	host_say(&small, &small.overlay, &b.overlay, 100, 5);
	assert_int_equal(host_hear(&b, 100), 5);
	host_pop(&small, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_CONTROL);
	while (data_plane_pop(small.plane, &input, buf, sizeof(buf)))
		popped++;
	data_plane_counters(small.plane, &c);
	assert_int_equal(c.rx_stun + c.rx_drops.count[DROP_QUEUE_FULL], 200);
	assert_int_equal(c.tx_unrouted + c.tx_drops.count[DROP_QUEUE_FULL], 200);
	assert_int_equal(popped, c.rx_stun + c.tx_unrouted);
	assert_in_range(c.rx_stun, 10, 100);
	assert_in_range(c.tx_unrouted, 10, 100);
	host_drain_tun(&small);
	host_check_balance(&small);
	host_stop(&small);
}

static void test_write_tun(void **state)
{
	uint8_t packet[100];
	struct data_counters c;

	(void)state;
	ip4_packet(packet, 100, &b.overlay, &a.overlay, 21);
	assert_int_equal(data_plane_write_tun(a.plane, packet, 100), OK);
	assert_int_equal(host_hear(&a, 100), 21);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.tun_from_control, 1);
	assert_int_equal(c.rx_tun, 0);
}

static void test_tun_that_goes_away(void **state)
{
	uint8_t buf[65536];
	struct data_input input;
	struct host c;

	(void)state;
	host_start(&c, 3);
	host_link(&c, &b, 1000, CIPHER);
	shutdown(c.tun, SHUT_RDWR);
	host_pop(&c, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_TUN_LOST);
	assert_int_equal(input.error, ERR_IO);
	host_drain_udp(&c, tap); /* the other direction lives on */
	assert_false(data_plane_pop(c.plane, &input, buf, sizeof(buf)));
	host_stop(&c);
}

static void test_inject(void **state)
{
	uint8_t packet[2048], inner[100], buf[65536];
	struct data_stats stats;
	struct data_counters c;
	struct data_input input;
	size_t len;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);

	/* Through the rendezvous: opened and counted, but no sign of life. */
	ip4_packet(inner, 100, &b.overlay, &a.overlay, 31);
	len = host_seal_control(&b, inner, 100, packet, sizeof(packet));
	assert_int_equal(data_plane_inject(a.plane, packet, len, DATA_NO_SOCKET, &tap_addr), OK);
	assert_int_equal(host_hear(&a, 100), 31);
	len = host_seal_control(&b, "\0hello", 6, packet, sizeof(packet));
	assert_int_equal(data_plane_inject(a.plane, packet, len, DATA_NO_SOCKET, &tap_addr), OK);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_CONTROL);
	assert_int_equal(input.peer, 2);
	assert_int_equal(input.local_index, 1001);
	assert_int_equal(input.socket, DATA_NO_SOCKET);
	assert_true(netaddr_equal(&input.remote, &tap_addr));
	assert_memory_equal(buf, "\0hello", input.len);
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_int_equal(stats.rx_packets, 2);
	assert_int_equal(stats.rx_bytes, 106);
	assert_int_equal(stats.last_rx_us, 0);

	/* Over a socket, which need not be known: like a datagram, once. */
	len = host_seal_control(&b, "\0again", 6, packet, sizeof(packet));
	assert_int_equal(data_plane_inject(a.plane, packet, len, 99, &tap_addr), OK);
	assert_int_equal(data_plane_inject(a.plane, packet, len, 99, &tap_addr), OK);
	packet[7] ^= 1;
	assert_int_equal(data_plane_inject(a.plane, packet, len, 99, &tap_addr), OK);
	len = host_seal_control(&b, "\0end", 4, packet, sizeof(packet));
	assert_int_equal(data_plane_inject(a.plane, packet, len, 99, &tap_addr), OK);
	host_pop(&a, &input, buf);
	assert_int_equal(input.socket, 99);
	assert_memory_equal(buf, "\0again", 6);
	host_pop(&a, &input, buf);
	assert_memory_equal(buf, "\0end", 4);
	data_plane_peer_stats(a.plane, 2, &stats);
	assert_true(stats.last_rx_us > 0);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.rx_injected, 6);
	assert_int_equal(c.udp_in, 0);
	assert_int_equal(host_drops(&a, DROP_REPLAY), 1);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_INDEX), 1);
}

static void test_inject_refuses(void **state)
{
	static uint8_t packet[DATA_MAX_PACKET_BYTES + 1] = {TUNNEL_TYPE_DATA};
	struct data_counters c;

	(void)state;
	assert_int_equal(data_plane_inject(a.plane, packet, 0, 1, &tap_addr), DROP_TRUNCATED);
	assert_int_equal(data_plane_inject(a.plane, packet, sizeof(packet), 1, &tap_addr),
			 DROP_TOO_LONG);
	packet[0] = 0x41;
	assert_int_equal(data_plane_inject(a.plane, packet, 100, 1, &tap_addr), DROP_UNKNOWN_TYPE);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.rx_injected, 0);
}

/* A worker that stands still: it has read a whole batch, and waits in a TUN that blocks. */
static void worker_stall(struct host *h)
{
	uint8_t buf[65536];
	struct data_input input;

	fcntl(h->tun_far, F_SETFL, 0);
	for (int i = 0; i < AHEAD_SEALS; i++)
		host_say(h, &h->overlay, &(struct netaddr){.family = 4, .ip = {10, 1}}, 28, 0);
	for (int i = 0; i < AHEAD_SEALS; i++) {
		host_pop(h, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
	}
}

static void worker_go_on(struct host *h)
{
	fcntl(h->tun_far, F_SETFL, O_NONBLOCK);
	host_drain_tun(h);
}

static void test_inject_until_full(void **state)
{
	uint8_t packet[200], buf[65536];
	struct data_input input;
	struct data_counters c;
	struct host small;
	size_t len, taken = 0;
	enum err e;

	(void)state;
	host_start_with(&small, 3, 4096);
	host_link(&small, &b, 1000, CIPHER);
	worker_stall(&small);
	for (;;) {
		len = host_seal_control(&b, NULL, 0, packet, sizeof(packet));
		e = data_plane_inject(small.plane, packet, len, 5, &tap_addr);
		if (e)
			break;
		taken++;
	}
	assert_int_equal(e, DROP_QUEUE_FULL);
	assert_in_range(taken, 30, 4096 / TUNNEL_OVERHEAD_BYTES);
	worker_go_on(&small);
	/* More than once round the ring, and more than one turn's budget. */
	for (unsigned int i = 0; i < 500;) {
		len = host_seal_control(&b, "\0x", 2, packet, sizeof(packet));
		do
			e = data_plane_inject(small.plane, packet, len, 5, &tap_addr);
		while (e == DROP_QUEUE_FULL);
		assert_int_equal(e, OK);
		if (++i % 10)
			continue;
		for (int k = 0; k < 10; k++) {
			host_pop(&small, &input, buf);
			assert_int_equal(input.kind, DATA_INPUT_CONTROL);
		}
	}
	data_plane_counters(small.plane, &c);
	assert_int_equal(c.rx_injected, taken + 500);
	assert_int_equal(c.rx_empty, taken);
	assert_int_equal(c.rx_control, 500);
	host_check_balance(&small);
	host_stop(&small);
}

static void test_bad_arguments(void **state)
{
	uint8_t key[32] = {1};
	struct data_params params = {.tun_fds = {a.tun},
				     .workers = DATA_MAX_WORKERS + 1,
				     .max_peers = 1,
				     .max_sessions = 1,
				     .ring_bytes = 4096};
	struct data_session_params session = {.peer = 5,
					      .local_index = 50,
					      .cipher = CIPHER,
					      .send_key = key,
					      .receive_key = key,
					      .lanes = 1};
	struct data_path path = {.socket = SOCKET, .remote = tap_addr};
	struct data_plane *d;

	(void)state;
	assert_int_equal(data_plane_create(&d, &params), ERR_INVALID);
	params.workers = 1;
	params.ring_bytes = 5000;
	assert_int_equal(data_plane_create(&d, &params), ERR_INVALID);
	params.ring_bytes = 4096;
	params.tun_fds[0] = -1;
	assert_int_equal(data_plane_create(&d, &params), ERR_INVALID);
	params.tun_fds[0] = open("/proc/self/status", O_RDONLY); /* cannot be polled */
	assert_int_equal(data_plane_create(&d, &params), ERR_SYSTEM);
	assert_int_equal(data_plane_add_socket(a.plane, 9, &params.tun_fds[0], 1), ERR_SYSTEM);
	assert_int_equal(data_plane_add_socket(a.plane, DATA_NO_SOCKET, &tap, 1), ERR_INVALID);
	close(params.tun_fds[0]);

	session.lanes = 0;
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_INVALID);
	session.lanes = 1;
	session.peer = MAX_PEERS;
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_INVALID);
	session.peer = 5;
	session.cipher = (enum aead_cipher)9;
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_INVALID);
	session.cipher = CIPHER;
	session.allowed_count = DATA_MAX_ALLOWED + 1;
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_INVALID);
	session.allowed_count = 0;
	assert_int_equal(data_plane_add_session(a.plane, &session), OK);
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_EXISTS);
	for (uint32_t i = 1; i < 64; i++) {
		session.local_index = 50 + i;
		assert_int_equal(data_plane_add_session(a.plane, &session), OK);
	}
	session.local_index = 1;
	assert_int_equal(data_plane_add_session(a.plane, &session), ERR_LIMIT);
	data_plane_remove_session(a.plane, 70);
	assert_int_equal(data_plane_add_session(a.plane, &session), OK);

	assert_int_equal(data_plane_set_path(a.plane, 5, 70, &path), ERR_NOT_FOUND);
	assert_int_equal(data_plane_set_path(a.plane, 6, 50, &path), ERR_INVALID);
	path.channel = 0x5000;
	assert_int_equal(data_plane_set_path(a.plane, 5, 50, &path), ERR_INVALID);
	path.channel = 0;
	path.remote.port = 0;
	assert_int_equal(data_plane_set_path(a.plane, 5, 50, &path), ERR_INVALID);
	path.remote = (struct netaddr){.port = 5};
	assert_int_equal(data_plane_set_path(a.plane, 5, 50, &path), ERR_INVALID);
	path.socket = 99;
	assert_int_equal(data_plane_set_path(a.plane, 5, 50, &path), ERR_NOT_FOUND);
	data_plane_clear_path(a.plane, MAX_PEERS);
	data_plane_remove_peer(a.plane, MAX_PEERS);
	data_plane_remove_session(a.plane, 12345);
	data_plane_remove_socket(a.plane, 99);
	data_plane_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways_and_both_ciphers),
		TEST(test_stun_goes_to_control),
		TEST(test_wakeup_lasts_until_all_is_popped),
		TEST(test_small_buffer_loses_one_input),
		TEST(test_control_and_keepalive),
		TEST(test_unknown_and_broken_datagrams),
		TEST(test_source_must_be_the_peers),
		TEST(test_padding_does_not_pass),
		TEST(test_what_the_tun_may_not_send),
		TEST(test_unrouted_goes_to_control),
		TEST(test_removed_session_is_unknown),
		TEST(test_removed_socket),
		TEST(test_send_error_comes_once_a_path),
		TEST(test_full_rings_are_counted),
		TEST(test_write_tun),
		TEST(test_inject),
		TEST(test_inject_refuses),
		TEST(test_inject_until_full),
		TEST(test_tun_that_goes_away),
		TEST(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
