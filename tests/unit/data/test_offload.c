/* Superpackets, trains, partial checksums and several workers: whatever is on or off, or is refused
 * on the way, each packet arrives as it was sent. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/support/packet_model.h"
#include "tests/unit/data/host.h"
#include "tun/vnet.h"

#define CIPHER	     AEAD_AES_256_GCM
#define MAX_EXPECTED 200
#define PACKET_BYTES 4096
#define CHUNK	     1300

static struct host a, b;

/* --- a kernel that refuses ------------------------------------------------------------------- */

/* 0, or the errno with which trains to the network, superpackets to the TUN, UDP_GRO are
 * refused. */
static _Atomic int refuse_trains, refuse_superpackets, refuse_gro;
static _Atomic unsigned int refusals;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

static int refuse(int error)
{
	atomic_fetch_add(&refusals, 1);
	errno = error;
	return -1;
}

/* What is before the first train goes, as the kernel does it. */
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	int error = atomic_load(&refuse_trains);
	unsigned int good = 0;

	while (good < count && !(error && messages[good].msg_hdr.msg_controllen))
		good++;
	return good ? __real_sendmmsg(fd, messages, good, flags) : refuse(error);
}

ssize_t __wrap_writev(int fd, const struct iovec *parts, int count)
{
	int error = atomic_load(&refuse_superpackets);
	const uint8_t *header = parts[0].iov_base;

	return error && count > 1 && header[1] ? refuse(error) : __real_writev(fd, parts, count);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int error = atomic_load(&refuse_gro);

	return error && level == SOL_UDP && name == UDP_GRO
		       ? refuse(error)
		       : __real_setsockopt(fd, level, name, value, len);
}

/* --- packets --------------------------------------------------------------------------------- */

/* What has to come out of B's TUN, complete. */
struct expected {
	size_t count;
	struct {
		uint8_t bytes[PACKET_BYTES];
		size_t len;
		unsigned int seen;
	} packets[MAX_EXPECTED];
};

static struct expected expected;

static void add_expected(const uint8_t *super, size_t len, size_t chunk)
{
	for (size_t i = 0;; i++) {
		uint8_t packet[PACKET_BYTES];
		size_t packet_len = model_cut(packet, super, len, chunk, i);

		if (packet_len == 0)
			return;
		assert_true(expected.count < MAX_EXPECTED);
		memcpy(expected.packets[expected.count].bytes, packet, packet_len);
		expected.packets[expected.count].len = packet_len;
		expected.packets[expected.count++].seen = 0;
	}
}

/* From A to B; the model's addresses are replaced. */
static size_t make(uint8_t *ret, uint8_t protocol, uint16_t port, uint32_t sequence, size_t payload)
{
	static uint8_t bytes[65536];
	struct model_flow f = {
		.protocol = protocol, .ttl = 64, .port = port, .dont_fragment = true};
	struct model_tcp tcp = {.sequence = sequence, .flags = 0x18, .window = 500};
	size_t len;

	for (size_t i = 0; i < payload; i++)
		bytes[i] = (uint8_t)(i * 3 + sequence + i / 256);
	len = model_packet(ret, &f, &tcp, 100, bytes, payload, true);
	memcpy(ret + 12, a.overlay.ip, 4);
	memcpy(ret + 16, b.overlay.ip, 4);
	model_finish(ret, len, true);
	return len;
}

/* The kernel of @h hands out a superpacket, or with @chunk 0 a single packet. */
static void hand_out(struct host *h, unsigned int queue, uint8_t *packet, size_t len, size_t chunk)
{
	uint8_t buf[70000];
	struct tun_vnet v = {.is_partial = true,
			     .csum_start = 20,
			     .csum_offset = model_protocol(packet) == 6 ? 16 : 6,
			     .gso = !chunk			  ? TUN_GSO_NONE
				    : model_protocol(packet) == 6 ? TUN_GSO_TCP4
								  : TUN_GSO_UDP,
			     .gso_size = (uint16_t)chunk,
			     .header_bytes = 77};

	tun_vnet_write(buf, &v);
	memcpy(buf + TUN_VNET_BYTES, packet, len);
	assert_int_equal(write(h->tuns[queue], buf, TUN_VNET_BYTES + len), TUN_VNET_BYTES + len);
}

static void send_super(unsigned int queue, uint8_t protocol, uint16_t port, uint32_t sequence,
		       size_t payload, size_t chunk)
{
	uint8_t packet[66000];
	size_t len = make(packet, protocol, port, sequence, payload);

	add_expected(packet, len, chunk ? chunk : payload);
	hand_out(&a, queue, packet, len, chunk);
}

static void see(const uint8_t *packet, size_t len)
{
	for (size_t i = 0; i < expected.count; i++) {
		uint8_t copy[PACKET_BYTES];

		if (expected.packets[i].len != len)
			continue;
		memcpy(copy, packet, len);
		/* The identification means nothing when the packet is never fragmented. */
		memcpy(copy + 4, expected.packets[i].bytes + 4, 2);
		model_finish(copy, len, true);
		if (!model_complete(copy, len) || memcmp(copy, expected.packets[i].bytes, len) != 0)
			continue;
		assert_int_equal(expected.packets[i].seen++, 0);
		return;
	}
	fail_msg("a packet of %zu bytes that nobody has sent", len);
}

/* What comes out of B's TUN, taken apart as its kernel would. Return: how many packets. */
static size_t take(struct host *h, unsigned int queue, bool has_header)
{
	uint8_t buf[70000], packet[PACKET_BYTES];
	uint8_t *super = buf + (has_header ? TUN_VNET_BYTES : 0);
	struct tun_vnet v = {0};
	ssize_t n = read(h->tuns[queue], buf, sizeof(buf));
	size_t len, count = 0, packet_len;

	assert_true(n > 0);
	len = (size_t)n - (size_t)(super - buf);
	if (has_header)
		assert_int_equal(tun_vnet_read(buf, &v), 0);
	if (v.is_partial)
		assert_true(model_complete(super, len));
	else
		assert_int_equal(model_sum(model_pseudo(super, len), super + 20, len - 20), 0xffff);
	assert_int_equal(model_sum(0, super, 20), 0xffff);
	if (v.gso == TUN_GSO_NONE) {
		see(super, len);
		return 1;
	}
	assert_true(v.is_partial);
	assert_int_equal(v.gso, model_protocol(super) == 6 ? TUN_GSO_TCP4 : TUN_GSO_UDP);
	while ((packet_len = model_cut(packet, super, len, v.gso_size, count)) > 0) {
		see(packet, packet_len);
		count++;
	}
	return count;
}

/* Return: how many reads it took. */
static size_t take_all(bool has_header)
{
	size_t taken = 0, reads = 0;

	while (taken < expected.count) {
		struct pollfd p[DATA_MAX_WORKERS];

		for (unsigned int i = 0; i < b.workers; i++)
			p[i] = (struct pollfd){.fd = b.tuns[i], .events = POLLIN};
		if (poll(p, b.workers, WAIT_MS) < 1)
			fail_msg("%zu of %zu packets came", taken, expected.count);
		for (unsigned int i = 0; i < b.workers; i++) {
			if (!p[i].revents)
				continue;
			taken += take(&b, i, has_header);
			reads++;
		}
	}
	expected.count = 0;
	return reads;
}

/* --- hosts ----------------------------------------------------------------------------------- */

static const struct data_offloads all_offloads = {.vnet_header = true,
						  .tun_tcp = true,
						  .tun_udp = true,
						  .udp_segment = true,
						  .udp_gro = true,
						  .partial = true};

static void start(const struct data_offloads *of_a, const struct data_offloads *of_b,
		  unsigned int workers_a, unsigned int workers_b)
{
	struct host_options o = {.ring_bytes = 1 << 16,
				 .workers = workers_a,
				 .offloads = *of_a,
				 .takes_partial = of_b->partial};

	expected.count = 0;
	host_start_as(&a, 1, &o);
	o.workers = workers_b;
	o.offloads = *of_b;
	o.takes_partial = of_a->partial;
	host_start_as(&b, 2, &o);
	host_link(&a, &b, 1000, CIPHER);
}

/* B has no packet left that is not accounted for. Every host in this file has headers, so the
 * draining of host.h does not do; nothing else is under way once all has arrived. */
static void stop(void)
{
	host_check_balance(&a);
	host_check_balance(&b);
	host_stop(&a);
	host_stop(&b);
}

/* The counters of A settle a moment after B has the packets. */
static void expect_sent(uint64_t packets)
{
	struct data_counters c = {0};

	for (int i = 0; i < WAIT_MS && c.tx_sent < packets; i++) {
		poll(NULL, 0, 1);
		data_plane_counters(a.plane, &c);
	}
	assert_int_equal(c.tx_sent, packets);
	assert_int_equal(c.tun_in, packets);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_every_combination(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < 64; kind++) {
		struct data_offloads of_a = {
			.vnet_header = true, .udp_segment = kind & 1, .partial = kind & 2};
		struct data_offloads of_b = {.vnet_header = kind & 4,
					     .tun_tcp = kind & 8,
					     .tun_udp = kind & 16,
					     .udp_gro = kind & 32,
					     .partial = kind & 2};
		size_t packets;

		start(&of_a, &of_b, 1, 1);
		send_super(0, 6, 1, 77, 60000, CHUNK);
		send_super(0, 17, 2, 78, 30000, 1000);
		send_super(0, 6, 1, 60077, 1, 0);
		send_super(0, 17, 3, 79, 1200, 0);
		send_super(0, 6, 4, 80, 9000, CHUNK);
		packets = expected.count;
		take_all(of_b.vnet_header);
		expect_sent(packets);
		stop();
	}
}

static void test_superpackets_stay_together(void **state)
{
	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	for (uint32_t i = 0; i < 20; i++) {
		send_super(0, 6, 1, i * 60000, 60000, CHUNK);
		assert_int_equal(take_all(true), 1);
		send_super(0, 17, 1, 0, 45 * CHUNK, CHUNK);
		assert_int_equal(take_all(true), 1);
	}
	stop();
}

/* As ChannelData, both prefix and train. */
static void test_channel(void **state)
{
	struct data_path path = {.socket = SOCKET, .remote = b.addr, .channel = 0x4abc};

	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	path.remote = b.addr;
	assert_int_equal(data_plane_set_path(a.plane, 2, 1001, &path), OK);
	assert_int_equal(data_plane_add_server(b.plane, SOCKET, &a.addr), OK);
	for (uint32_t i = 0; i < 20; i++) {
		send_super(0, 6, 1, i * 50000, 50000, CHUNK);
		assert_int_equal(take_all(true), 1);
	}
	stop();
}

/* TCP is cut to the path, what cannot be cut is dropped. */
static void test_path_size(void **state)
{
	struct data_path path = {.socket = SOCKET, .max_bytes = 800};
	uint8_t packet[66000];
	struct data_counters c;
	size_t len;

	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	path.remote = b.addr;
	assert_int_equal(data_plane_set_path(a.plane, 2, 1001, &path), OK);
	len = make(packet, 17, 1, 1, 900);
	hand_out(&a, 0, packet, len, 0);
	len = make(packet, 6, 1, 1, 20000);
	add_expected(packet, len, 760);
	hand_out(&a, 0, packet, len, CHUNK);
	len = make(packet, 6, 2, 1, 1000);
	add_expected(packet, len, 760);
	hand_out(&a, 0, packet, len, 0);
	take_all(true);
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.tx_drops.count[DROP_TOO_LONG], 1);
	stop();
}

/* The TUN does not take superpackets: what fits singly gets there, and no more are tried. */
static void test_tun_refuses(void **state)
{
	struct data_offloads in_use;
	int bytes = 1; /* the least that there is, 4,608: a message must be shorter */

	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	assert_int_equal(setsockopt(b.tun_far, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	send_super(0, 6, 1, 0, 2 * CHUNK, CHUNK); /* fits */
	assert_int_equal(take_all(true), 1);
	for (uint8_t protocol = 6; protocol <= 17; protocol += 11) {
		for (int i = 0; i < 3; i++) {
			send_super(0, protocol, 1, 0, 4800, 2400);
			assert_int_equal(take_all(true), 2);
		}
		data_plane_offloads(b.plane, &in_use);
		assert_false(in_use.tun_tcp);
		assert_int_equal(in_use.tun_udp, protocol == 6);
	}
	assert_true(in_use.udp_gro && in_use.partial);
	assert_int_equal(host_drops(&b, DROP_SEND) + host_drops(&b, DROP_TOO_LONG), 0);
	stop();
}

/* The network does not take trains: the same. */
static void test_network_refuses(void **state)
{
	struct data_offloads in_use;
	int on = 1; /* no train goes without checksums: EINVAL */

	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	assert_int_equal(setsockopt(a.udp, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
	data_plane_offloads(a.plane, &in_use);
	assert_true(in_use.udp_segment);
	for (uint32_t i = 0; i < 3; i++) {
		send_super(0, 6, 1, i * 40000, 40000, CHUNK);
		take_all(true);
		data_plane_offloads(a.plane, &in_use);
		assert_false(in_use.udp_segment);
	}
	assert_int_equal(host_drops(&a, DROP_SEND), 0);
	stop();
}

/* Whatever the kernel says: the batch is not lost, singles before and behind the train go, and no
 * train is tried again until somebody asks for it. */
static void test_every_refusal(void **state)
{
	static const int errors[] = {EIO, EINVAL, ENOPROTOOPT, EOPNOTSUPP, EMSGSIZE};
	struct data_offloads none = all_offloads;

	(void)state;
	none.udp_segment = none.tun_tcp = none.tun_udp = none.udp_gro = false;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(errors); i++) {
		bool is_tun = i % 2;
		_Atomic int *refused = is_tun ? &refuse_superpackets : &refuse_trains;
		struct host *at = is_tun ? &b : &a;
		struct data_offloads in_use;

		start(&all_offloads, &all_offloads, 1, 1);
		atomic_store(&refusals, 0);
		atomic_store(refused, errors[i / 2]);
		for (uint32_t k = 0; k < 3; k++) {
			send_super(0, 17, 9, k, 200, 0);
			send_super(0, 6, 1, k * 40000, 40000, CHUNK);
			send_super(0, 17, 9, k + 100, 300, 0);
			take_all(true);
			data_plane_offloads(at->plane, &in_use);
			assert_false(is_tun ? in_use.tun_tcp : in_use.udp_segment);
		}
		assert_int_equal(atomic_load(&refusals), 1);
		assert_int_equal(host_drops(at, DROP_SEND), 0);
		/* The kernel has learnt it; the switch is turned off and on. */
		atomic_store(refused, 0);
		data_plane_set_offloads(at->plane, &none);
		data_plane_set_offloads(at->plane, &all_offloads);
		data_plane_offloads(at->plane, &in_use);
		assert_true(in_use.tun_tcp && in_use.udp_segment && in_use.udp_gro);
		send_super(0, 6, 1, 200000, 40000, CHUNK);
		assert_int_equal(take_all(true), 1);
		stop();
	}
}

static void test_gro_refused(void **state)
{
	struct data_offloads in_use;

	(void)state;
	atomic_store(&refuse_gro, ENOPROTOOPT);
	start(&all_offloads, &all_offloads, 1, 1);
	atomic_store(&refuse_gro, 0);
	data_plane_offloads(b.plane, &in_use);
	assert_false(in_use.udp_gro);
	send_super(0, 6, 1, 0, 60000, CHUNK);
	take_all(true);
	stop();
}

/* While packets run. */
static void test_switches(void **state)
{
	bool *switches[5];
	struct data_offloads wanted = all_offloads, in_use;

	(void)state;
	switches[0] = &wanted.tun_tcp;
	switches[1] = &wanted.tun_udp;
	switches[2] = &wanted.udp_segment;
	switches[3] = &wanted.udp_gro;
	switches[4] = &wanted.partial;
	start(&all_offloads, &all_offloads, 2, 2);
	for (uint32_t i = 0; i < 60; i++) {
		*switches[i % 5] ^= true;
		send_super(0, 6, 1, i * 30000, 30000, CHUNK);
		data_plane_set_offloads(a.plane, &wanted);
		send_super(1, 17, 2, i, 20000, 1000);
		data_plane_set_offloads(b.plane, &wanted);
		take_all(true);
		data_plane_offloads(b.plane, &in_use);
		assert_int_equal(in_use.tun_tcp, wanted.tun_tcp);
		assert_int_equal(in_use.tun_udp, wanted.tun_udp);
		assert_int_equal(in_use.udp_segment, wanted.udp_segment);
		assert_int_equal(in_use.udp_gro, wanted.udp_gro);
		assert_int_equal(in_use.partial, wanted.partial);
	}
	stop();
}

/* What has no path goes to control singly and complete. */
static void test_unrouted(void **state)
{
	struct netaddr unrouted = ip("10.1.0.1");
	uint8_t packet[66000], buf[65536], copy[PACKET_BYTES];
	struct data_input input;
	size_t len;

	(void)state;
	start(&all_offloads, &all_offloads, 1, 1);
	len = make(packet, 6, 1, 1, 3 * CHUNK);
	memcpy(packet + 16, unrouted.ip, 4);
	model_finish(packet, len, true);
	add_expected(packet, len, CHUNK);
	hand_out(&a, 0, packet, len, CHUNK);
	for (size_t i = 0; i < 3; i++) {
		host_pop(&a, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_UNROUTED);
		assert_int_equal(input.len, expected.packets[i].len);
		memcpy(copy, buf, input.len);
		assert_memory_equal(copy, expected.packets[i].bytes, input.len);
	}
	expected.count = 0;
	stop();
}

/* Each queue's flow stays with one worker at the other end, in order. */
static void test_workers_keep_to_their_lanes(void **state)
{
	struct data_stats stats;

	(void)state;
	for (unsigned int workers = 2; workers <= 4; workers += 2) {
		start(&all_offloads, &all_offloads, workers, 2);
		for (uint32_t i = 0; i < 10; i++) {
			unsigned int queue = i % workers;

			send_super(queue, 6, (uint16_t)queue, i * 40000, 40000, CHUNK);
			wait_readable(b.tuns[queue % 2]);
			assert_false(is_readable(b.tuns[1 - queue % 2]));
			assert_int_equal(take_all(true), 1);
		}
		data_plane_peer_stats(b.plane, 1, &stats);
		assert_int_equal(stats.rx_packets, 10 * 31);
		stop();
	}
}

/* Everything at the same time, on all queues. */
static void test_workers_together(void **state)
{
	(void)state;
	start(&all_offloads, &all_offloads, 4, 3);
	for (uint32_t round = 0; round < 20; round++) {
		for (unsigned int queue = 0; queue < 4; queue++)
			send_super(queue, queue % 2 ? 6 : 17, (uint16_t)queue, round * 30000,
				   30 * 1000, 1000);
		take_all(true);
	}
	expect_sent(20 * 120);
	stop();
}

/* A path between A and B that the test is: datagrams come late, twice, or not at all. */
static void test_bad_path(void **state)
{
	static uint8_t datagrams[256][2048];
	size_t lens[256], count, taken, lost;
	struct random_seeded seeded;
	struct random_source random = random_seeded_source(&seeded);
	struct data_offloads of_a = all_offloads;
	struct netaddr tap_addr;
	int tap = udp_open(&tap_addr);

	(void)state;
	of_a.udp_segment = false; /* the tap wants them singly */
	start(&of_a, &all_offloads, 1, 2);
	host_set_path(&a, 2, 1001, &tap_addr);
	random_seeded_init(&seeded, 7);
	for (uint32_t round = 0; round < 50; round++) {
		send_super(0, 6, 1, round * 40000, 40000, CHUNK);
		send_super(0, 17, 2, round, 30 * 900, 900);
		for (count = 0; count < expected.count; count++)
			lens[count] = udp_receive(tap, datagrams[count], sizeof(datagrams[0]));
		for (size_t i = 0; i < count; i++) {
			size_t k = i +
				   random_below(&random, (uint32_t)(count - i < 9 ? count - i : 9));
			uint8_t swap[2048];
			size_t len = lens[i];

			memcpy(swap, datagrams[i], len);
			memcpy(datagrams[i], datagrams[k], lens[k]);
			memcpy(datagrams[k], swap, len);
			lens[i] = lens[k];
			lens[k] = len;
		}
		lost = 0;
		for (size_t i = 0; i < count; i++) {
			uint32_t fate = random_below(&random, 20);

			if (fate == 0) {
				lost++;
				continue;
			}
			udp_send(tap, &b.addr, datagrams[i], lens[i]);
			if (fate < 4)
				udp_send(tap, &b.addr, datagrams[i], lens[i]);
		}
		for (taken = 0; taken < count - lost;) {
			wait_readable(b.tuns[0]);
			taken += take(&b, 0, true);
		}
		expected.count = 0;
	}
	host_drain_udp(&b, tap);
	assert_false(is_readable(b.tuns[0]) || is_readable(b.tuns[1]));
	assert_true(host_drops(&b, DROP_REPLAY) > 100);
	close(tap);
	host_stop(&a);
	host_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_superpackets_stay_together),
		cmocka_unit_test(test_channel),
		cmocka_unit_test(test_path_size),
		cmocka_unit_test(test_tun_refuses),
		cmocka_unit_test(test_network_refuses),
		cmocka_unit_test(test_every_refusal),
		cmocka_unit_test(test_gro_refused),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_unrouted),
		cmocka_unit_test(test_workers_keep_to_their_lanes),
		cmocka_unit_test(test_workers_together),
		cmocka_unit_test(test_bad_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
