/* The data plane under load: paths, sessions and sockets change while packets run; random
 * datagrams; nothing is left behind. */
#include <net/if.h>
#include <pthread.h>
#include <semaphore.h>

#include "tests/unit/data/host.h"

#define CIPHER AEAD_AES_256_GCM

static struct host a, b;

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	host_start(&b, 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	host_stop(&a);
	host_stop(&b);
	return 0;
}

static uint64_t counter_on_wire(const uint8_t *packet)
{
	uint64_t v = 0;

	for (int i = 8; i < 16; i++)
		v = v << 8 | packet[i];
	return v;
}

#define BURST  64 /* fits the buffer of a socket */
#define BURSTS 200

/* Takes the datagrams of one burst from the taps, and passes them on to B. */
static void collect_burst(const int taps[2], bool *seen)
{
	for (int i = 0; i < BURST; i++) {
		struct pollfd p[2] = {{.fd = taps[0], .events = POLLIN},
				      {.fd = taps[1], .events = POLLIN}};
		uint8_t packet[2048];
		uint64_t counter;
		size_t len;

		assert_true(poll(p, 2, WAIT_MS) >= 1);
		len = udp_receive(p[0].revents ? taps[0] : taps[1], packet, sizeof(packet));
		counter = counter_on_wire(packet);
		assert_int_equal(counter >> 56, DATA_FIRST_LANE);
		counter &= (1ULL << 56) - 1;
		assert_true(counter < BURST * BURSTS);
		if (seen[counter])
			fail_msg("counter %llu twice", (unsigned long long)counter);
		seen[counter] = true;
		udp_send(taps[0], &b.addr, packet, len);
	}
}

static void test_path_switch_loses_nothing(void **state)
{
	static bool seen[BURST * BURSTS], arrived[BURST * BURSTS];
	struct netaddr tap_addr[2];
	int taps[2] = {udp_open(&tap_addr[0]), udp_open(&tap_addr[1])};
	uint64_t switches = 0;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	host_set_path(&a, 2, 1001, &tap_addr[0]);
	for (uint64_t burst = 0; burst < BURSTS; burst++) {
		for (uint64_t i = 0; i < BURST; i++) {
			host_say(&a, &a.overlay, &b.overlay, 200, burst * BURST + i);
			if (i % 7 == 0)
				host_set_path(&a, 2, 1001, &tap_addr[++switches % 2]);
		}
		for (int i = 0; i < 10; i++) /* while the worker is at it */
			host_set_path(&a, 2, 1001, &tap_addr[++switches % 2]);
		collect_burst(taps, seen);
		for (int i = 0; i < BURST; i++) {
			uint64_t mark = host_hear(&b, 200);

			assert_true(mark < BURST * BURSTS);
			assert_false(arrived[mark]);
			arrived[mark] = true;
		}
	}
	for (size_t i = 0; i < BURST * BURSTS; i++)
		assert_true(seen[i] && arrived[i]);
	host_drain_tun(&a);
	host_check_balance(&a);
	assert_int_equal(host_drops(&a, DROP_SEND) + host_drops(&a, DROP_QUEUE_FULL), 0);
	close(taps[0]);
	close(taps[1]);
}

static void test_keys_rest(void **state)
{
	struct data_stats stats;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	assert_int_equal(data_plane_rest(a.plane, UINT64_MAX), 0); /* there are none yet */
	for (uint64_t i = 1; i <= 3; i++) {
		host_say(&a, &a.overlay, &b.overlay, 100, i);
		assert_int_equal(host_hear(&b, 100), i);
		assert_true(data_plane_session_stats(a.plane, 1001, &stats));
		/* Used since. */
		assert_int_equal(data_plane_rest(a.plane, stats.last_tx_us), 0);
		assert_int_equal(data_plane_rest(a.plane, UINT64_MAX), 1);
		assert_int_equal(data_plane_rest(a.plane, UINT64_MAX), 0);
		assert_int_equal(data_plane_rest(b.plane, UINT64_MAX), 1);
	}
}

struct talker {
	struct host *host;
	const struct netaddr *to;
	_Atomic bool is_stopping;
	sem_t has_begun; /* for flood() */
	pthread_t thread;
};

/* Packets into the TUN as fast as it takes them. */
static void *talk(void *arg)
{
	struct talker *t = arg;
	uint8_t packet[300];

	ip4_packet(packet, sizeof(packet), &t->host->overlay, t->to, 7);
	while (!atomic_load(&t->is_stopping)) {
		if (write(t->host->tun, packet, sizeof(packet)) < 0)
			return t;
	}
	return NULL;
}

static void talker_start(struct talker *t, struct host *h, const struct netaddr *to)
{
	t->host = h;
	t->to = to;
	atomic_store(&t->is_stopping, false);
	assert_int_equal(pthread_create(&t->thread, NULL, talk, t), 0);
}

static void talker_stop(struct talker *t)
{
	void *failed;

	atomic_store(&t->is_stopping, true);
	pthread_join(t->thread, &failed);
	assert_null(failed);
}

/* What came to the TUN or to control is of no interest, only that it does not stand in the way. */
static void swallow(struct host *h)
{
	uint8_t buf[65536];
	struct data_input input;

	while (recv(h->tun, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (data_plane_pop(h->plane, &input, buf, sizeof(buf)))
		;
}

/* What B has sealed on its control lane comes to A through the rendezvous. */
static void inject_one(void)
{
	uint8_t packet[100];
	size_t len = host_seal_control(&b, "\0x", 2, packet, sizeof(packet));

	assert_int_equal(data_plane_inject(a.plane, packet, len, DATA_NO_SOCKET, &b.addr), OK);
}

/* A path keeps the device that it was checked over: here one that does not exist, so that nothing
 * leaves. */
static void test_path_keeps_its_device(void **state)
{
	struct data_path path = {.socket = SOCKET, .remote = b.addr, .ifindex = 999999};
	uint8_t buf[65536];
	struct data_input input;

	(void)state;
	host_link(&a, &b, 1000, CIPHER);
	data_plane_clear_path(a.plane, 2);
	for (int i = 1; i <= 3; i++) {
		if (i < 3)
			assert_int_equal(data_plane_set_path(a.plane, 2, 1001, &path), OK);
		else
			assert_int_equal(data_plane_set_path_size(a.plane, 2, 1200, true), OK);
		host_say(&a, &a.overlay, &b.overlay, 100, 1);
		host_pop(&a, &input, buf);
		assert_int_equal(input.kind, DATA_INPUT_SEND_ERROR);
		assert_int_equal(input.error, ERR_NETWORK);
		assert_int_equal(host_drops(&a, DROP_SEND), i);
		path.ifindex = 0;
	}
	data_plane_clear_path(a.plane, 2);
	path.ifindex = (int)if_nametoindex("lo");
	assert_int_equal(data_plane_set_path(a.plane, 2, 1001, &path), OK);
	host_say(&a, &a.overlay, &b.overlay, 100, 2);
	assert_int_equal(host_hear(&b, 100), 2);
}

static void test_everything_changes_under_traffic(void **state)
{
	static struct talker forth, back; /* outlive a test that fails */
	struct netaddr second_addr;
	int second = udp_open(&second_addr);

	(void)state;
	talker_start(&forth, &a, &b.overlay);
	talker_start(&back, &b, &a.overlay);
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t base = 1000 + 10 * i;

		host_link(&a, &b, base, i % 2 ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305);
		inject_one();
		swallow(&a);
		swallow(&b);
		if (i % 5 == 0) {
			assert_int_equal(data_plane_add_socket(b.plane, 9, &second, 1), OK);
			host_set_path(&a, 2, base + 1, &second_addr);
			swallow(&b);
			data_plane_remove_socket(b.plane, 9);
		}
		/* The worker takes ChannelData of B for a known server's or not. */
		udp_send(b.udp, &a.addr, "\x40\x01\0\0", 4);
		assert_int_equal(data_plane_add_server(a.plane, SOCKET, &b.addr), OK);
		udp_send(b.udp, &a.addr, "\x40\x01\0\0", 4);
		swallow(&a);
		data_plane_remove_server(a.plane, SOCKET, &b.addr);
		if (i % 3 == 0)
			data_plane_remove_session(a.plane, base + 1);
		if (i % 7 == 0)
			data_plane_remove_peer(b.plane, 1);
		/* Keys go while they are used. */
		(void)data_plane_rest(a.plane, UINT64_MAX);
		(void)data_plane_rest(b.plane, UINT64_MAX);
		if (i > 3) {
			data_plane_remove_session(a.plane, base - 40 + 1);
			data_plane_remove_session(b.plane, base - 40 + 2);
		}
	}
	host_link(&a, &b, 10, CIPHER);
	talker_stop(&forth);
	talker_stop(&back);
	swallow(&a);
	swallow(&b);
	host_drain_tun(&a);
	host_drain_tun(&b);
	host_drain_udp(&a, second);
	host_drain_udp(&b, second);
	host_check_balance(&a);
	host_check_balance(&b);
	close(second);
}

/* A stream of datagrams to A, of which none is of use. */
static void *flood(void *arg)
{
	struct talker *t = arg;
	uint8_t packet[200] = {TUNNEL_TYPE_DATA};
	struct netaddr from;
	int fd = udp_open(&from);

	udp_send(fd, &t->host->addr, packet, sizeof(packet));
	sem_post(&t->has_begun);
	while (!atomic_load(&t->is_stopping))
		udp_send(fd, &t->host->addr, packet, sizeof(packet));
	close(fd);
	return NULL;
}

/* Under a flood from the network, what the application sends still gets out. */
static void test_flood_starves_nobody(void **state)
{
	static struct talker t; /* outlives a test that fails */

	(void)state;
	t.host = &a;
	host_link(&a, &b, 1000, CIPHER);
	assert_int_equal(sem_init(&t.has_begun, 0, 0), 0);
	assert_int_equal(pthread_create(&t.thread, NULL, flood, &t), 0);
	sem_wait(&t.has_begun);
	for (uint64_t i = 0; i < 300; i++) {
		host_say(&a, &a.overlay, &b.overlay, 100, i);
		assert_int_equal(host_hear(&b, 100), i);
	}
	talker_stop(&t);
	sem_destroy(&t.has_begun);
	host_drain_tun(&a);
	host_drain_udp(&a, b.udp);
	host_check_balance(&a);
	assert_true(host_drops(&a, DROP_UNKNOWN_INDEX) > 0);
}

#define RANDOM_BURST 20 /* fits the buffer of a socket */

static size_t random_datagram(const struct random_source *r, uint8_t *buf, size_t cap,
			      const uint8_t *genuine, size_t genuine_len)
{
	static const uint8_t starts[][8] = {
		{TUNNEL_TYPE_DATA, 0, 0, 0, 0, 0, 0x03, 0xea}, /* index 1002, which is B's */
		{TUNNEL_TYPE_DATA, 0, 0, 0, 0, 0, 0x03, 0xeb},
		{0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42},
		{0x40, 0x00, 0x00, 0x40},
		{0x4f, 0xff, 0x00, 0x20, TUNNEL_TYPE_DATA},
	};
	uint32_t kind = random_below(r, 9);
	size_t len = random_below(r, 8) ? random_below(r, 120) : random_below(r, (uint32_t)cap);

	random_bytes(r, buf, len);
	if (kind < 5 && len >= 8)
		memcpy(buf, starts[kind], 8);
	if (kind < 2 && len >= 9)
		buf[8] = (uint8_t)random_below(r, 3);
	if (kind == 5) {
		len = genuine_len;
		memcpy(buf, genuine, len);
		buf[random_below(r, (uint32_t)len)] ^= (uint8_t)(1 + random_below(r, 255));
	}
	return len;
}

static void test_random_datagrams(void **state)
{
	struct random_seeded seeded;
	struct random_source r = random_seeded_source(&seeded);
	uint8_t genuine[2048], buf[4000];
	struct netaddr tap_addr;
	int tap = udp_open(&tap_addr);
	struct data_counters c;
	size_t genuine_len;

	(void)state;
	random_seeded_init(&seeded, 42);
	host_link(&a, &b, 1000, CIPHER);
	host_set_path(&a, 2, 1001, &tap_addr);
	assert_int_equal(data_plane_add_server(b.plane, SOCKET, &tap_addr), OK);
	host_say(&a, &a.overlay, &b.overlay, 100, 1);
	genuine_len = udp_receive(tap, genuine, sizeof(genuine));
	for (int i = 0; i < 100000; i++) {
		size_t len = random_datagram(&r, buf, sizeof(buf), genuine, genuine_len);

		udp_send(tap, &b.addr, buf, len);
		if (i % RANDOM_BURST == 0)
			host_drain_udp(&b, tap);
	}
	host_drain_udp(&b, tap);
	host_check_balance(&b);
	assert_false(is_readable(b.tun));
	data_plane_counters(b.plane, &c);
	assert_true(c.udp_in >= 100000 + 100000 / RANDOM_BURST + 1);
	assert_int_equal(c.rx_tun, 0);
	assert_true(c.rx_relayed > 1000);
	assert_true(c.rx_drops.count[DROP_DECRYPT] > 1000);
	udp_send(tap, &b.addr, genuine, genuine_len);
	assert_int_equal(host_hear(&b, 100), 1);
	close(tap);
}

static void test_nothing_is_left_behind(void **state)
{
	size_t fds, threads;
	struct host h;

	(void)state;
	fds = count_entries("/proc/self/fd");
	threads = count_entries("/proc/self/task");
	for (int i = 0; i < 20; i++) {
		host_start(&h, 3);
		assert_int_equal(count_entries("/proc/self/task"), threads + 1);
		host_link(&h, &a, 5000, CIPHER);
		host_say(&h, &h.overlay, &a.overlay, 100, 1);
		assert_int_equal(host_hear(&a, 100), 1);
		host_say(&h, &h.overlay, &a.overlay, 100, 2); /* may be under way */
		host_stop(&h);
		swallow(&a);
		data_plane_remove_peer(a.plane, 3);
		host_drain_tun(&a);
		swallow(&a);
	}
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_entries("/proc/self/task"), threads);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_path_switch_loses_nothing),
		TEST(test_path_keeps_its_device),
		TEST(test_everything_changes_under_traffic),
		TEST(test_flood_starves_nobody),
		TEST(test_random_datagrams),
		TEST(test_nothing_is_left_behind),
		TEST(test_keys_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
