/* Packets that are longer than their path carries: cut, fragmented, answered or sent in pieces, and
 * counted whatever becomes of them. */
#include "tests/support/netns.h"
#include "tests/support/packet_model.h"
#include "tests/unit/data/host.h"

#define CIPHER	    AEAD_CHACHA20_POLY1305
#define PATH_BYTES  800
#define MANY	    200
#define TELL_BURST  32 /* tx.c */
#define SYN	    0x02
#define SMALL_BYTES 100

static struct host a, b;
static bool has_net; /* of its own, which the tests may change */
static uint8_t payload[9000];

static void set_size(struct host *h, uint16_t max_bytes, bool is_found)
{
	uint32_t peer = h == &a ? peer_of(&b) : peer_of(&a);

	assert_int_equal(data_plane_set_path_size(h->plane, peer, max_bytes, is_found), OK);
}

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	host_start(&b, 2);
	host_link(&a, &b, 1000, CIPHER);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 5 + i / 256);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	host_check_balance(&a);
	host_check_balance(&b);
	host_stop(&a);
	host_stop(&b);
	return 0;
}

/* From A to B; @len is the packet's. */
static size_t make(uint8_t *ret, uint8_t protocol, uint8_t flags, size_t len, bool dont_fragment)
{
	struct model_flow f = {.protocol = protocol,
			       .ttl = 64,
			       .port = 7,
			       .dont_fragment = dont_fragment,
			       .tcp_options = flags & SYN ? 4 : 0};
	struct model_tcp tcp = {.flags = flags, .window = 500};
	size_t headers = protocol == 17 ? 28 : 40 + f.tcp_options;

	model_packet(ret, &f, &tcp, 100, payload, len - headers, false);
	memcpy(ret + 12, a.overlay.ip, 4);
	memcpy(ret + 16, b.overlay.ip, 4);
	model_finish(ret, len, false);
	return len;
}

static size_t take(struct host *h, uint8_t *buf, size_t cap)
{
	ssize_t len;

	wait_readable(h->tun);
	len = read(h->tun, buf, cap);
	assert_true(len > 0);
	return (size_t)len;
}

static void say(const uint8_t *packet, size_t len)
{
	assert_int_equal(write(a.tun, packet, len), len);
}

/* What comes to B's TUN next is the small packet that is said now: nothing before has passed. */
static void expect_nothing(void)
{
	uint8_t small[SMALL_BYTES], buf[2000];
	size_t len = make(small, 17, 0, sizeof(small), true);

	say(small, len);
	assert_int_equal(take(&b, buf, sizeof(buf)), len);
	assert_memory_equal(buf, small, len);
}

static struct data_counters counters(const struct host *h)
{
	struct data_counters c;

	data_plane_counters(h->plane, &c);
	return c;
}

/* --- too big ---------------------------------------------------------------------------------- */

static void its_sender_is_told(void **state)
{
	uint8_t packet[2000], buf[2000];
	size_t len = make(packet, 17, 0, PATH_BYTES + 1, true);

	(void)state;
	set_size(&a, PATH_BYTES, true);
	say(packet, len);
	assert_int_equal(take(&a, buf, sizeof(buf)), 576);
	assert_memory_equal(buf + 12, b.overlay.ip, 4);
	assert_memory_equal(buf + 16, a.overlay.ip, 4);
	assert_int_equal(buf[20], 3);
	assert_int_equal(buf[21], 4);
	assert_int_equal(model_get16(buf + 26), PATH_BYTES);
	assert_memory_equal(buf + 28, packet, 548);
	assert_int_equal(model_sum(0, buf + 20, 556), 0xffff);
	expect_nothing();
	assert_int_equal(counters(&a).tx_drops.count[DROP_TOO_LONG], 1);
	assert_int_equal(counters(&a).tx_too_big, 1);
	/* One byte less passes. */
	len = make(packet, 17, 0, PATH_BYTES, true);
	say(packet, len);
	assert_int_equal(take(&b, buf, sizeof(buf)), len);
	assert_memory_equal(buf, packet, len);
}

/* While the size is only assumed, hosts are not to remember it. */
static void nobody_is_told_too_early(void **state)
{
	uint8_t packet[2000];
	size_t len = make(packet, 17, 0, PATH_BYTES + 1, true);

	(void)state;
	set_size(&a, PATH_BYTES, false);
	say(packet, len);
	expect_nothing();
	assert_int_equal(counters(&a).tx_drops.count[DROP_TOO_LONG], 1);
	assert_int_equal(counters(&a).tx_too_big, 0);
	assert_false(is_readable(a.tun));
}

static void not_all_are_told(void **state)
{
	uint8_t packet[2000], buf[2000];
	size_t len = make(packet, 17, 0, PATH_BYTES + 1, true);
	uint64_t told;

	(void)state;
	set_size(&a, PATH_BYTES, true);
	for (int i = 0; i < MANY; i++)
		say(packet, len);
	expect_nothing();
	told = counters(&a).tx_too_big;
	assert_true(told >= TELL_BURST && told < MANY);
	assert_int_equal(counters(&a).tx_drops.count[DROP_TOO_LONG], MANY);
	for (uint64_t i = 0; i < told; i++)
		assert_int_equal(take(&a, buf, sizeof(buf)), 576);
	assert_false(is_readable(a.tun));
}

/* --- made to fit ------------------------------------------------------------------------------ */

static void without_df_it_is_fragmented(void **state)
{
	uint8_t packet[2000], buf[2000], joined[2000];
	size_t len = make(packet, 17, 0, 1500, false), end = 0, out;

	(void)state;
	set_size(&a, PATH_BYTES, true);
	say(packet, len);
	for (int i = 0; i < 2; i++) {
		out = take(&b, buf, sizeof(buf));
		assert_true(out <= PATH_BYTES);
		assert_int_equal((model_get16(buf + 6) & 0x1fff) * 8, end);
		assert_int_equal((buf[6] & 0x20) != 0, i == 0);
		assert_int_equal(model_sum(0, buf, 20), 0xffff);
		memcpy(joined + 20 + end, buf + 20, out - 20);
		end += out - 20;
	}
	assert_int_equal(end, len - 20);
	assert_memory_equal(joined + 20, packet + 20, len - 20);
	expect_nothing();
}

static void tcp_is_cut(void **state)
{
	uint8_t packet[3000], buf[3000], expected[3000];
	size_t len = make(packet, 6, 0x18, 2000, true), expected_len;

	(void)state;
	set_size(&a, PATH_BYTES, true);
	say(packet, len);
	for (size_t i = 0; (expected_len = model_cut(expected, packet, len, PATH_BYTES - 40, i));
	     i++) {
		assert_int_equal(take(&b, buf, sizeof(buf)), expected_len);
		assert_memory_equal(buf, expected, expected_len);
	}
	assert_int_equal(counters(&a).tx_too_big, 0);
}

static void say_ip6(uint8_t *packet, size_t len)
{
	struct model_flow f = {.ip6 = true, .protocol = 17, .ttl = 64, .port = 7};

	model_packet(packet, &f, NULL, 0, payload, len - 48, false);
	memcpy(packet + 8, a.overlay.ip, 16);
	memcpy(packet + 24, b.overlay.ip, 16);
	model_finish(packet, len, false);
	say(packet, len);
}

/* A session between the IPv6 addresses of the hosts. */
static void be_ip6(void)
{
	struct netaddr b4 = b.overlay, b6 = ip("fd00:2::1");
	struct route_table *routes;

	a.overlay = ip("fd00:1::1");
	b.overlay = b6;
	host_link(&a, &b, 2000, CIPHER);
	assert_int_equal(route_table_create(&routes, 10), OK);
	host_add_route(routes, &b6, 64, 2);
	host_add_route(routes, &b4, 32, 2);
	assert_int_equal(data_plane_set_routes(a.plane, routes), OK);
	route_table_destroy(routes);
}

/* Passes over a link that refuses it whole; and whole it is again with the next packet. */
static void expect_pieces(const char *link, uint16_t max_bytes)
{
	uint8_t packet[2000], buf[65536];
	struct data_input input;

	if (has_net)
		netns_ipf("link set lo mtu %s", link);
	set_size(&a, max_bytes, true);
	say_ip6(packet, 1280);
	assert_int_equal(take(&b, buf, sizeof(buf)), 1280);
	assert_memory_equal(buf, packet, 1280);
	if (has_net) {
		set_size(&a, 0, false);
		say_ip6(packet, 1280);
		host_pop(&a, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_TOO_LONG);
		netns_ip_ok("link set lo mtu 65536");
	}
}

/* IPv6 has a right to 1,280 bytes: in pieces outside. */
static void ip6_has_its_minimum(void **state)
{
	uint8_t packet[2000], buf[2000];

	(void)state;
	be_ip6();
	expect_pieces("1000", PATH_BYTES);
	/* One more is one too many; and of less than the minimum IPv6 knows nothing. */
	set_size(&a, PATH_BYTES, true);
	say_ip6(packet, 1281);
	assert_int_equal(take(&a, buf, sizeof(buf)), 1280);
	assert_int_equal(buf[40], 2);
	assert_int_equal(model_get32(buf + 44), 1280);
}

/* The same over IPv6 outside, where nobody on the way fragments. */
static void ip6_in_ip6(void **state)
{
	struct data_path path = {.socket = SOCKET + 1};
	struct netaddr loopback = ip("::1");
	int fds[2];

	(void)state;
	if (!has_net)
		skip();
	/* A link below 1,280 loses its IPv6, and has it again when it comes up. */
	netns_ip_ok("link set lo down");
	netns_ip_ok("link set lo up");
	be_ip6();
	assert_int_equal(net_udp_open(&loopback, 0, &fds[0], &path.remote), OK);
	assert_int_equal(data_plane_add_socket(a.plane, path.socket, &fds[0], 1), OK);
	assert_int_equal(net_udp_open(&loopback, 0, &fds[1], &path.remote), OK);
	assert_int_equal(data_plane_add_socket(b.plane, path.socket, &fds[1], 1), OK);
	assert_int_equal(data_plane_set_path(a.plane, 2, 2001, &path), OK);
	expect_pieces("1300", 1200);
	data_plane_remove_socket(a.plane, path.socket);
	data_plane_remove_socket(b.plane, path.socket);
	close(fds[0]);
	close(fds[1]);
}

/* --- MSS -------------------------------------------------------------------------------------- */

static uint16_t mss_of_syn(void)
{
	uint8_t packet[200], buf[200];
	size_t len = make(packet, 6, SYN, 44, true);

	memcpy(packet + 40, "\x02\x04\x05\xb4", 4);
	model_finish(packet, len, false);
	say(packet, len);
	assert_int_equal(take(&b, buf, sizeof(buf)), len);
	assert_int_equal(model_sum(model_pseudo(buf, len), buf + 20, len - 20), 0xffff);
	return (uint16_t)model_get16(buf + 42);
}

static void the_mss_is_lowered_both_ways(void **state)
{
	(void)state;
	assert_int_equal(mss_of_syn(), 1460);
	set_size(&a, PATH_BYTES, false);
	assert_int_equal(mss_of_syn(), 1460);
	set_size(&a, PATH_BYTES, true);
	assert_int_equal(mss_of_syn(), PATH_BYTES - 40);
	/* What B sends back has another path. */
	set_size(&b, 700, true);
	assert_int_equal(mss_of_syn(), 660);
	set_size(&a, 600, true);
	assert_int_equal(mss_of_syn(), 560);
}

/* --- what the system refuses ------------------------------------------------------------------ */

static void control_hears_of_it_once(void **state)
{
	struct data_input input;
	uint8_t buf[65536];

	(void)state;
	/* Longer than any datagram. */
	for (int i = 0; i < 3; i++)
		host_say(&a, &a.overlay, &b.overlay, 65535, 1);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_TOO_LONG);
	assert_int_equal(input.peer, 2);
	assert_int_equal(input.error, DROP_TOO_LONG);
	expect_nothing();
	assert_false(data_plane_pop(a.plane, &input, buf, sizeof(buf)));
	assert_int_equal(counters(&a).tx_drops.count[DROP_TOO_LONG], 3);
	/* And again after it was told another size. */
	set_size(&a, 65535, false);
	host_say(&a, &a.overlay, &b.overlay, 65535, 1);
	host_pop(&a, &input, buf);
	assert_int_equal(input.kind, DATA_INPUT_TOO_LONG);
}

static void no_path_has_no_size(void **state)
{
	(void)state;
	assert_int_equal(data_plane_set_path_size(a.plane, 5, 1000, true), ERR_NOT_FOUND);
	assert_int_equal(data_plane_set_path_size(a.plane, 1u << 30, 1000, true), ERR_NOT_FOUND);
	data_plane_clear_path(a.plane, 2);
	assert_int_equal(data_plane_set_path_size(a.plane, 2, 1000, true), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(its_sender_is_told),
		TEST(nobody_is_told_too_early),
		TEST(not_all_are_told),
		TEST(without_df_it_is_fragmented),
		TEST(tcp_is_cut),
		TEST(ip6_has_its_minimum),
		TEST(ip6_in_ip6),
		TEST(the_mss_is_lowered_both_ways),
		TEST(control_hears_of_it_once),
		TEST(no_path_has_no_size),
	};

	/* Without one, the rest of the tests is worth it. */
	has_net = netns_enter();
	if (has_net && system("ip link set lo up") != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
