/* ChannelData: packets through a TURN server, both ways, and what of a server's is whose. */
#include "tests/unit/data/host.h"

#define CIPHER AEAD_AES_256_GCM

static struct host a, b;
static int relay; /* the server, which is the test */
static struct netaddr relay_addr;

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	host_start(&b, 2);
	relay = udp_open(&relay_addr);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	host_drain_tun(&a);
	host_drain_tun(&b);
	host_drain_udp(&a, relay);
	host_drain_udp(&b, relay);
	host_check_balance(&a);
	host_check_balance(&b);
	host_stop(&a);
	host_stop(&b);
	close(relay);
	return 0;
}

/* Takes one datagram, which is ChannelData of @from, and passes on what is in it: as ChannelData
 * with @to_channel, with @padding bytes behind it, or plainly with 0. */
static void relay_pass(const struct host *from, uint16_t from_channel, const struct host *to,
		       uint16_t to_channel, size_t padding)
{
	uint8_t buf[65536];
	union net_sockaddr sa;
	socklen_t sa_len = sizeof(sa);
	struct netaddr source;
	ssize_t len;

	wait_readable(relay);
	len = recvfrom(relay, buf, sizeof(buf) - 8, 0, &sa.any, &sa_len);
	assert_true(len >= 4);
	assert_true(net_sockaddr_to(&sa, sa_len, &source));
	assert_true(netaddr_equal(&source, &from->addr));
	assert_int_equal(buf[0] << 8 | buf[1], from_channel);
	assert_int_equal(buf[2] << 8 | buf[3], len - 4);
	if (to_channel) {
		buf[0] = (uint8_t)(to_channel >> 8);
		buf[1] = (uint8_t)to_channel;
		memset(buf + len, 0xee, padding);
		udp_send(relay, &to->addr, buf, (size_t)len + padding);
	} else {
		udp_send(relay, &to->addr, buf + 4, (size_t)len - 4);
	}
}

static void set_channel(struct host *h, uint32_t peer, uint32_t index, uint16_t channel)
{
	struct data_path path = {.socket = SOCKET, .remote = relay_addr, .channel = channel};

	assert_int_equal(data_plane_set_path(h->plane, peer, index, &path), OK);
}

static void add_relay(struct host *h)
{
	assert_int_equal(data_plane_add_server(h->plane, SOCKET, &relay_addr), OK);
}

static void test_both_on_channels(void **state)
{
	struct data_stats stats;
	uint64_t mark = 0;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	set_channel(&a, 2, 1001, 0x4001);
	set_channel(&b, 1, 1002, 0x4fff);
	add_relay(&a);
	add_relay(&b);
	for (size_t len = 28; len <= 1500; len += 23) {
		host_say(&a, &a.overlay, &b.overlay, len, ++mark);
		relay_pass(&a, 0x4001, &b, 0x4fff, len % 4);
		assert_int_equal(host_hear(&b, len), mark);
		host_say(&b, &b.overlay, &a.overlay, len, ++mark);
		relay_pass(&b, 0x4fff, &a, 0x4001, 0);
		assert_int_equal(host_hear(&a, len), mark);
	}
	host_drain_tun(&a);
	assert_true(data_plane_session_stats(a.plane, 1001, &stats));
	assert_int_equal(stats.rx_packets, 65);
	assert_int_equal(stats.tx_packets, 65);
	assert_true(stats.last_rx_us > 0);
}

/* Only A has an allocation; B sees A's relayed address and no channel. */
static void test_one_on_a_channel(void **state)
{
	uint8_t packet[2048], wrapped[2048] = {0x45, 0x67, 0};
	size_t len;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	set_channel(&a, 2, 1001, 0x4567);
	host_set_path(&b, 1, 1002, &relay_addr);
	add_relay(&a);
	host_say(&a, &a.overlay, &b.overlay, 1500, 1);
	relay_pass(&a, 0x4567, &b, 0, 0);
	assert_int_equal(host_hear(&b, 1500), 1);
	host_say(&b, &b.overlay, &a.overlay, 1500, 2);
	len = udp_receive(relay, packet, sizeof(packet));
	wrapped[2] = (uint8_t)(len >> 8);
	wrapped[3] = (uint8_t)len;
	memcpy(wrapped + 4, packet, len);
	udp_send(relay, &a.addr, wrapped, 4 + len);
	assert_int_equal(host_hear(&a, 1500), 2);
}

static void test_control_message(void **state)
{
	uint8_t packet[100] = {0x40, 0x05, 0, 0}, buf[65536];
	struct data_input input;
	size_t len;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	add_relay(&a);
	len = host_seal_control(&b, "\0hello", 6, packet + 4, sizeof(packet) - 4);
	packet[3] = (uint8_t)len;
	udp_send(relay, &a.addr, packet, 4 + len);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_CONTROL);
	assert_int_equal(input.local_index, 1001);
	assert_int_equal(input.socket, SOCKET);
	assert_true(netaddr_equal(&input.remote, &relay_addr));
	assert_int_equal(input.len, 6);
	assert_memory_equal(buf, "\0hello", 6);
}

static void expect_relayed(const uint8_t *datagram, size_t len)
{
	uint8_t buf[65536];
	struct data_input input;

	udp_send(relay, &a.addr, datagram, len);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_RELAYED);
	assert_int_equal(input.socket, SOCKET);
	assert_true(netaddr_equal(&input.remote, &relay_addr));
	assert_true(input.now_us > 0);
	assert_int_equal(input.len, len);
	assert_memory_equal(buf, datagram, len);
}

static void test_the_rest_goes_to_control(void **state)
{
	uint8_t datagram[100] = {0x40, 0x05, 0, 0};
	struct data_counters c;
	size_t len;

	(void)state;
	add_relay(&a);
	len = stun_binding(datagram + 4, sizeof(datagram) - 4, 9);
	datagram[3] = (uint8_t)len;
	expect_relayed(datagram, 4 + len);
	expect_relayed(datagram, 4 + len + 3); /* padding */
	memcpy(datagram, "\x4f\xff\0\0", 4);
	expect_relayed(datagram, 4); /* nothing in it */
	datagram[4] = TUNNEL_TYPE_DATA;
	expect_relayed(datagram, 8); /* nor here, it is padding */
	memcpy(datagram, "\x40\0\0\1\xbf", 5);
	expect_relayed(datagram, 5);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.rx_relayed, 5);
	assert_int_equal(c.udp_in, 5);
}

static void test_short_and_foreign(void **state)
{
	uint8_t packet[100] = {0x40, 0x05, 0, 0};
	struct netaddr other_addr;
	int other = udp_open(&other_addr);
	size_t len;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	add_relay(&a);
	len = host_seal_control(&b, "\0hello", 6, packet + 4, sizeof(packet) - 4);

	packet[3] = (uint8_t)(len + 1); /* one byte short */
	udp_send(relay, &a.addr, packet, 4 + len);
	packet[2] = 0xff;
	udp_send(relay, &a.addr, packet, 4 + len);
	for (size_t i = 1; i < 4; i++)
		udp_send(relay, &a.addr, packet, i);
	host_drain_udp(&a, relay);
	assert_int_equal(host_drops(&a, DROP_TRUNCATED), 5);

	packet[2] = 0;
	packet[3] = 31; /* ends within the tag */
	udp_send(relay, &a.addr, packet, 4 + len);
	packet[3] = (uint8_t)len;
	packet[0] = 0x50; /* no channel */
	udp_send(relay, &a.addr, packet, 4 + len);
	packet[0] = 0x3f;
	udp_send(relay, &a.addr, packet, 4 + len);
	packet[0] = 0x40;
	udp_send(other, &a.addr, packet, 4 + len); /* the server's host, another port */
	packet[11] ^= 1;
	udp_send(relay, &a.addr, packet, 4 + len);
	packet[11] ^= 1;
	packet[20] ^= 1;
	udp_send(relay, &a.addr, packet, 4 + len);
	host_drain_udp(&a, relay);
	host_drain_udp(&a, other);
	assert_int_equal(host_drops(&a, DROP_TRUNCATED), 6);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 3);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_INDEX), 1);
	assert_int_equal(host_drops(&a, DROP_DECRYPT), 1);
	close(other);
}

static void test_servers_come_and_go(void **state)
{
	struct netaddr none = {0}, server = relay_addr;

	(void)state;
	udp_send(relay, &a.addr, "\x40\x01\0\0", 4);
	host_drain_udp(&a, relay);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 1);
	assert_int_equal(data_plane_add_server(a.plane, 99, &server), ERR_NOT_FOUND);
	assert_int_equal(data_plane_add_server(a.plane, SOCKET, &none), ERR_INVALID);
	server.port = 0;
	assert_int_equal(data_plane_add_server(a.plane, SOCKET, &server), ERR_INVALID);
	for (uint16_t i = 1; i < DATA_MAX_SERVERS; i++) {
		server.port = i;
		assert_int_equal(data_plane_add_server(a.plane, SOCKET, &server), OK);
	}
	add_relay(&a);
	assert_int_equal(data_plane_add_server(a.plane, SOCKET, &relay_addr), ERR_EXISTS);
	server.port = DATA_MAX_SERVERS;
	assert_int_equal(data_plane_add_server(a.plane, SOCKET, &server), ERR_LIMIT);
	expect_relayed((const uint8_t *)"\x40\x01\0\0", 4);
	data_plane_remove_server(a.plane, SOCKET, &server);
	data_plane_remove_server(a.plane, 99, &relay_addr);
	server.port = 3;
	data_plane_remove_server(a.plane, SOCKET, &server);
	expect_relayed((const uint8_t *)"\x40\x01\0\0", 4);
	data_plane_remove_server(a.plane, SOCKET, &relay_addr);
	udp_send(relay, &a.addr, "\x40\x01\0\0", 4);
	host_drain_udp(&a, relay);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 2);
}

static void test_server_is_its_sockets(void **state)
{
	struct host second = a;

	(void)state;
	second.udp = udp_open(&second.addr);
	assert_int_equal(data_plane_add_socket(a.plane, 8, &second.udp, 1), OK);
	add_relay(&a);
	udp_send(relay, &second.addr, "\x40\x01\0\0", 4);
	host_drain_udp(&second, relay);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 1);
	data_plane_remove_socket(a.plane, 8);
	close(second.udp);

	/* And goes with it. */
	data_plane_remove_socket(a.plane, SOCKET);
	assert_int_equal(data_plane_add_socket(a.plane, SOCKET, &a.udp, 1), OK);
	udp_send(relay, &a.addr, "\x40\x01\0\0", 4);
	host_drain_udp(&a, relay);
	assert_int_equal(host_drops(&a, DROP_UNKNOWN_TYPE), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_on_channels),	  TEST(test_one_on_a_channel),
		TEST(test_control_message),	  TEST(test_the_rest_goes_to_control),
		TEST(test_short_and_foreign),	  TEST(test_servers_come_and_go),
		TEST(test_server_is_its_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
