#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/time.h"
#include "tests/sim/network.h"

#define MINUTE_US (60 * US_PER_S)

static const struct simnet_link wire; /* no delay, no loss */

/* One inside network behind one router, and three servers: two on one address. */
struct bench {
	struct simnet *net;
	size_t router, inside, neighbour, server, other_server;
	struct netaddr in, neighbour_in, outside, s_p1, s_p2, t_p1;
	uint64_t now_us;
};

static struct netaddr at(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static struct nat_params nat_of(enum nat_dependence mapping, enum nat_dependence filtering)
{
	return (struct nat_params){
		.mapping = mapping,
		.filtering = filtering,
		.outside = at("203.0.113.1:0"),
		.lifetime_us = 2 * MINUTE_US,
	};
}

static size_t add_host(struct simnet *net, size_t above, const struct netaddr *addr)
{
	size_t host = simnet_add_host(net, above, &wire);

	simnet_add_address(net, host, addr);
	return host;
}

static struct bench bench(const struct nat_params *nat)
{
	struct bench b = {
		.net = simnet_create(1),
		.in = at("192.168.1.2:4000"),
		.neighbour_in = at("192.168.1.3:4000"),
		.outside = at("203.0.113.1:4000"),
		.s_p1 = at("198.51.100.1:3478"),
		.s_p2 = at("198.51.100.1:3479"),
		.t_p1 = at("198.51.100.2:3478"),
		.now_us = 1,
	};

	b.router = simnet_add_router(b.net, SIMNET_INTERNET, &wire, nat);
	b.inside = add_host(b.net, b.router, &b.in);
	b.neighbour = add_host(b.net, b.router, &b.neighbour_in);
	b.server = add_host(b.net, SIMNET_INTERNET, &b.s_p1);
	b.other_server = add_host(b.net, SIMNET_INTERNET, &b.t_p1);
	return b;
}

/* Sends one byte and waits until the network is quiet. Return: how often it arrived at @at_host. */
static size_t send_to(struct bench *b, size_t host, const struct netaddr *from,
		      const struct netaddr *to, size_t at_host, struct simnet_delivery *ret)
{
	struct simnet_delivery d;
	uint8_t byte = 7;
	size_t count = 0;

	assert_true(simnet_send(b->net, b->now_us, host, from, to, &byte, 1));
	while (simnet_next_deadline(b->net) != DEADLINE_NONE) {
		b->now_us = simnet_next_deadline(b->net);
		while (simnet_pop_delivery(b->net, b->now_us, &d, &byte, 1)) {
			assert_int_equal(d.host, at_host);
			assert_int_equal(byte, 7);
			if (ret)
				*ret = d;
			count++;
		}
	}
	return count;
}

/* The outside endpoint that @server sees of the inside host. */
static struct netaddr mapped(struct bench *b, const struct netaddr *server)
{
	bool other = netaddr_ip_equal(server, &b->t_p1);
	struct simnet_delivery d;

	assert_int_equal(
		send_to(b, b->inside, &b->in, server, other ? b->other_server : b->server, &d), 1);
	assert_true(netaddr_ip_equal(&d.from, &b->outside));
	return d.from;
}

static bool reaches_inside(struct bench *b, const struct netaddr *from, const struct netaddr *to)
{
	bool other = netaddr_ip_equal(from, &b->t_p1);
	struct simnet_delivery d;
	size_t n = send_to(b, other ? b->other_server : b->server, from, to, b->inside, &d);

	if (n == 1) {
		assert_true(netaddr_equal(&d.to, &b->in));
		assert_true(netaddr_equal(&d.from, from));
	}
	return n == 1;
}

/* RFC 4787 s. 4.1: which outside endpoints are the same. */
static void mapping_truth_table(void **state)
{
	(void)state;
	for (enum nat_dependence m = NAT_INDEPENDENT; m <= NAT_ADDRESS_AND_PORT; m++) {
		for (enum nat_dependence f = NAT_INDEPENDENT; f <= NAT_ADDRESS_AND_PORT; f++) {
			struct nat_params nat = nat_of(m, f);
			struct bench b = bench(&nat);
			struct netaddr s1 = mapped(&b, &b.s_p1);
			struct netaddr s2 = mapped(&b, &b.s_p2);
			struct netaddr t1 = mapped(&b, &b.t_p1);
			struct netaddr again = mapped(&b, &b.s_p1);

			assert_true(netaddr_equal(&s1, &again));
			assert_int_equal(netaddr_equal(&s1, &s2), m != NAT_ADDRESS_AND_PORT);
			assert_int_equal(netaddr_equal(&s1, &t1), m == NAT_INDEPENDENT);
			simnet_destroy(b.net);
		}
	}
}

/* RFC 4787 s. 5: who may answer after the inside has sent to S:p1. */
static void filtering_truth_table(void **state)
{
	(void)state;
	for (enum nat_dependence m = NAT_INDEPENDENT; m <= NAT_ADDRESS_AND_PORT; m++) {
		for (enum nat_dependence f = NAT_INDEPENDENT; f <= NAT_ADDRESS_AND_PORT; f++) {
			struct nat_params nat = nat_of(m, f);
			struct bench b = bench(&nat);
			struct netaddr never = at("203.0.113.1:9");
			struct netaddr to = mapped(&b, &b.s_p1);

			assert_true(reaches_inside(&b, &b.s_p1, &to));
			assert_int_equal(reaches_inside(&b, &b.s_p2, &to),
					 f != NAT_ADDRESS_AND_PORT);
			assert_int_equal(reaches_inside(&b, &b.t_p1, &to), f == NAT_INDEPENDENT);
			assert_false(reaches_inside(&b, &b.s_p1, &never));
			simnet_destroy(b.net);
		}
	}
}

static void nothing_comes_in_before_something_went_out(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_INDEPENDENT);
	struct bench b = bench(&nat);

	(void)state;
	assert_false(reaches_inside(&b, &b.s_p1, &b.outside));
	assert_int_equal(simnet_counters(b.net)->filtered, 1);
	simnet_destroy(b.net);
}

static void ports_are_kept_or_random(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT);
	struct bench b = bench(&nat);
	struct simnet_delivery d;
	struct netaddr a = mapped(&b, &b.s_p1);

	(void)state;
	assert_int_equal(a.port, 4000);
	/* The neighbour has the same inside port: it gets another one outside. */
	assert_int_equal(send_to(&b, b.neighbour, &b.neighbour_in, &b.s_p1, b.server, &d), 1);
	assert_int_not_equal(d.from.port, 4000);
	simnet_destroy(b.net);
	nat.random_ports = true;
	b = bench(&nat);
	a = mapped(&b, &b.s_p1);
	assert_int_not_equal(a.port, 4000);
	simnet_destroy(b.net);
}

static void hairpin(void **state)
{
	(void)state;
	for (int on = 0; on < 2; on++) {
		struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT);
		struct simnet_delivery d;
		struct netaddr to, back;
		struct bench b;

		nat.hairpin = on;
		b = bench(&nat);
		assert_int_equal(send_to(&b, b.neighbour, &b.neighbour_in, &b.s_p1, b.server, &d),
				 1);
		to = d.from;
		back = mapped(&b, &b.s_p1);
		/* Filtering holds for hairpinned packets too: the neighbour must have sent. */
		assert_int_equal(send_to(&b, b.inside, &b.in, &to, b.neighbour, NULL), 0);
		assert_int_equal(send_to(&b, b.neighbour, &b.neighbour_in, &back, b.inside, &d),
				 on);
		if (on)
			assert_true(netaddr_equal(&d.from, &to)); /* seen from outside */
		assert_int_equal(send_to(&b, b.inside, &b.in, &to, b.neighbour, NULL), on);
		simnet_destroy(b.net);
	}
}

static void neighbours_meet_without_the_router(void **state)
{
	struct nat_params nat = nat_of(NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT);
	struct bench b = bench(&nat);
	struct simnet_delivery d;

	(void)state;
	simnet_set_blocked(b.net, b.router, true);
	assert_int_equal(send_to(&b, b.inside, &b.in, &b.neighbour_in, b.neighbour, &d), 1);
	assert_true(netaddr_equal(&d.from, &b.in));
	assert_int_equal(send_to(&b, b.inside, &b.in, &b.s_p1, b.server, &d), 0);
	simnet_destroy(b.net);
}

static void mappings_expire(void **state)
{
	(void)state;
	for (int inbound_refresh = 0; inbound_refresh < 2; inbound_refresh++) {
		struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT);
		struct netaddr to;
		struct bench b;

		nat.inbound_refresh = inbound_refresh;
		b = bench(&nat);
		to = mapped(&b, &b.s_p1);
		b.now_us += 2 * MINUTE_US - 1;
		assert_true(reaches_inside(&b, &b.s_p1, &to));
		b.now_us += 1;
		assert_int_equal(reaches_inside(&b, &b.s_p1, &to), inbound_refresh);
		/* What goes out always prolongs. */
		to = mapped(&b, &b.s_p1);
		b.now_us += 2 * MINUTE_US - 1;
		to = mapped(&b, &b.s_p1);
		b.now_us += 2 * MINUTE_US - 1;
		assert_true(reaches_inside(&b, &b.s_p1, &to));
		simnet_destroy(b.net);
	}
}

static void a_reboot_forgets(void **state)
{
	struct nat_params nat = nat_of(NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT);
	struct bench b;
	struct netaddr before, after;

	(void)state;
	nat.random_ports = true;
	b = bench(&nat);
	before = mapped(&b, &b.s_p1);
	assert_true(reaches_inside(&b, &b.s_p1, &before));
	simnet_reboot(b.net, b.router);
	assert_false(reaches_inside(&b, &b.s_p1, &before));
	after = mapped(&b, &b.s_p1);
	assert_false(netaddr_equal(&before, &after));
	simnet_destroy(b.net);
}

/* A home behind a carrier: both boxes translate, and answers find their way through both. */
static void nested_routers(void **state)
{
	struct nat_params carrier = nat_of(NAT_INDEPENDENT, NAT_INDEPENDENT);
	struct nat_params home = nat_of(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT);
	struct netaddr in = at("192.168.1.2:4000"), server = at("198.51.100.1:3478");
	struct netaddr stranger = at("198.51.100.2:1");
	struct bench b = {.net = simnet_create(1), .now_us = 1};
	size_t cgn, router, host, s, t;
	struct simnet_delivery d;

	(void)state;
	home.outside = at("100.64.0.5:0");
	cgn = simnet_add_router(b.net, SIMNET_INTERNET, &wire, &carrier);
	router = simnet_add_router(b.net, cgn, &wire, &home);
	host = add_host(b.net, router, &in);
	s = add_host(b.net, SIMNET_INTERNET, &server);
	t = add_host(b.net, SIMNET_INTERNET, &stranger);
	assert_int_equal(send_to(&b, host, &in, &server, s, &d), 1);
	assert_true(netaddr_ip_equal(&d.from, &carrier.outside));
	assert_int_equal(send_to(&b, s, &server, &d.from, host, NULL), 1);
	/* The carrier lets strangers in, the home does not. */
	assert_int_equal(send_to(&b, t, &stranger, &d.from, host, NULL), 0);
	simnet_destroy(b.net);
}

/* IPv6 is not translated, only filtered; and addresses are found through nested routers. */
static void ip6_is_filtered_only(void **state)
{
	struct nat_params nat = nat_of(NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT);
	struct netaddr in6 = at("[2001:db8:1::2]:4000"), s6 = at("[2001:db8:2::1]:3478");
	struct netaddr t6 = at("[2001:db8:2::2]:3478");
	struct bench b = bench(&nat);
	size_t inner = simnet_add_router(b.net, b.router, &wire, &nat);
	size_t host = add_host(b.net, inner, &in6);
	struct simnet_delivery d;

	(void)state;
	simnet_add_address(b.net, b.server, &s6);
	simnet_add_address(b.net, b.other_server, &t6);
	assert_int_equal(send_to(&b, b.server, &s6, &in6, host, NULL), 0);
	assert_int_equal(send_to(&b, host, &in6, &s6, b.server, &d), 1);
	assert_true(netaddr_equal(&d.from, &in6));
	assert_int_equal(send_to(&b, b.server, &s6, &in6, host, NULL), 1);
	assert_int_equal(send_to(&b, b.other_server, &t6, &in6, host, NULL), 0);
	assert_int_equal(send_to(&b, host, &in6, &t6, b.other_server, NULL), 1);
	assert_int_equal(send_to(&b, b.other_server, &t6, &in6, host, NULL), 1);
	assert_int_equal(send_to(&b, b.server, &s6, &in6, host, NULL), 1);
	simnet_destroy(b.net);
}

/* A private address of another network is nobody here, or somebody else. */
static void private_addresses_are_local(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_INDEPENDENT);
	struct bench b = bench(&nat);
	struct netaddr far = at("10.9.9.9:1"), twin = b.neighbour_in;
	size_t other, stranger;

	(void)state;
	nat.outside = at("203.0.113.2:0");
	other = simnet_add_router(b.net, SIMNET_INTERNET, &wire, &nat);
	stranger = add_host(b.net, other, &far);
	simnet_add_address(b.net, stranger, &twin);
	assert_int_equal(send_to(&b, b.inside, &b.in, &far, stranger, NULL), 0);
	assert_int_equal(simnet_counters(b.net)->unroutable, 1);
	assert_int_equal(send_to(&b, b.inside, &b.in, &twin, b.neighbour, NULL), 1);
	simnet_destroy(b.net);
}

static void addresses_come_and_go(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_INDEPENDENT);
	struct simnet_link slow = {.delay_us = 1000};
	struct bench b = bench(&nat);
	struct simnet_delivery d;
	uint8_t byte = 0;

	(void)state;
	simnet_set_link(b.net, b.neighbour, &slow);
	assert_true(simnet_send(b.net, 1, b.inside, &b.in, &b.neighbour_in, &byte, 1));
	simnet_remove_address(b.net, b.neighbour, &b.neighbour_in);
	assert_false(simnet_pop_delivery(b.net, 5000, &d, &byte, 1)); /* on its way */
	assert_int_equal(simnet_counters(b.net)->unroutable, 1);
	assert_false(simnet_send(b.net, 5000, b.neighbour, &b.neighbour_in, &b.in, &byte, 1));
	simnet_add_address(b.net, b.neighbour, &b.neighbour_in);
	simnet_move_host(b.net, b.neighbour, SIMNET_INTERNET); /* takes the address away, too */
	assert_false(simnet_send(b.net, 5000, b.neighbour, &b.neighbour_in, &b.in, &byte, 1));
	b.neighbour_in = at("198.51.100.77:1");
	simnet_add_address(b.net, b.neighbour, &b.neighbour_in);
	b.now_us = 6000;
	assert_int_equal(send_to(&b, b.inside, &b.in, &b.neighbour_in, b.neighbour, &d), 1);
	assert_true(netaddr_ip_equal(&d.from, &b.outside));
	simnet_destroy(b.net);
}

static void packets_of_one_moment_keep_their_order(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_INDEPENDENT);
	struct bench b = bench(&nat);
	struct simnet_delivery d;
	uint8_t byte;

	(void)state;
	for (uint8_t i = 0; i < 100; i++)
		assert_true(simnet_send(b.net, 1, b.inside, &b.in, &b.s_p1, &i, 1));
	for (uint8_t i = 0; i < 100; i++) {
		assert_true(simnet_pop_delivery(b.net, 1, &d, &byte, 1));
		assert_int_equal(byte, i);
	}
	simnet_destroy(b.net);
}

/* What the links do, in numbers, and in the same way for the same seed. */
static uint64_t run_link(uint64_t seed, const struct simnet_link *link, struct simnet_counters *ret,
			 size_t *ret_swapped, uint64_t *ret_max_us)
{
	struct simnet *net = simnet_create(seed);
	struct netaddr from = at("198.51.100.1:1"), to = at("198.51.100.2:2");
	size_t a = add_host(net, SIMNET_INTERNET, &from);
	size_t b = simnet_add_host(net, SIMNET_INTERNET, link);
	uint64_t hash = 14695981039346656037u;
	uint32_t last = 0;

	simnet_add_address(net, b, &to);
	*ret_swapped = 0;
	*ret_max_us = 0;
	for (uint32_t i = 1; i <= 10000; i++)
		assert_true(simnet_send(net, i * 100ULL, a, &from, &to, &i, sizeof(i)));
	while (simnet_next_deadline(net) != DEADLINE_NONE) {
		uint64_t now_us = simnet_next_deadline(net);
		struct simnet_delivery d;
		uint8_t buf[4];
		uint32_t i;

		while (simnet_pop_delivery(net, now_us, &d, buf, sizeof(buf))) {
			memcpy(&i, buf, sizeof(i));
			assert_true(d.at_us == now_us && now_us >= i * 100ULL + link->delay_us);
			if (now_us - i * 100ULL > *ret_max_us)
				*ret_max_us = now_us - i * 100ULL;
			*ret_swapped += i < last;
			last = i;
			hash = (hash ^ i ^ now_us << 20) * 1099511628211u;
		}
	}
	*ret = *simnet_counters(net);
	simnet_destroy(net);
	return hash;
}

static void links(void **state)
{
	struct simnet_link link = {.delay_us = 20000};
	struct simnet_counters c;
	uint64_t max_us, hash;
	size_t swapped;

	(void)state;
	(void)run_link(1, &link, &c, &swapped, &max_us);
	assert_true(c.delivered == 10000 && c.lost == 0 && swapped == 0 && max_us == 20000);

	link.jitter_us = 50;
	(void)run_link(1, &link, &c, &swapped, &max_us);
	assert_true(swapped == 0 && max_us == 20050); /* less than the gap */

	link.reorder_permille = 50;
	(void)run_link(1, &link, &c, &swapped, &max_us);
	assert_in_range(swapped, 400, 600);
	link.loss_permille = 200;
	link.duplicate_permille = 100;
	link.jitter_us = 1000;
	hash = run_link(1, &link, &c, &swapped, &max_us);
	assert_in_range(c.lost, 1850, 2150);
	assert_in_range(c.delivered - (c.sent - c.lost), 700, 900);
	assert_true(hash == run_link(1, &link, &c, &swapped, &max_us));
	assert_true(hash != run_link(2, &link, &c, &swapped, &max_us));
	link = (struct simnet_link){.loss_permille = 1000};
	(void)run_link(1, &link, &c, &swapped, &max_us);
	assert_true(c.delivered == 0 && c.lost == 10000);
}

/* reliability.md's matrix with bare datagrams: both ends know what the server saw of the other,
 * send to it, and answer to where packets come from. */
static bool punches(enum nat_dependence map_a, enum nat_dependence filter_a,
		    enum nat_dependence map_b, enum nat_dependence filter_b)
{
	struct nat_params nat_a = nat_of(map_a, filter_a), nat_b = nat_of(map_b, filter_b);
	struct netaddr in[2] = {at("192.168.1.2:4000"), at("192.168.2.2:5000")};
	struct netaddr server = at("198.51.100.1:3478"), seen[2];
	struct bench b = {.net = simnet_create(1), .now_us = 1};
	size_t router[2], host[2], s;
	bool heard[2] = {false, false};

	nat_a.random_ports = map_a != NAT_INDEPENDENT;
	nat_b.random_ports = map_b != NAT_INDEPENDENT;
	nat_b.outside = at("203.0.113.2:0");
	router[0] = simnet_add_router(b.net, SIMNET_INTERNET, &wire, &nat_a);
	router[1] = simnet_add_router(b.net, SIMNET_INTERNET, &wire, &nat_b);
	s = add_host(b.net, SIMNET_INTERNET, &server);
	for (size_t i = 0; i < 2; i++) {
		struct simnet_delivery d;

		host[i] = add_host(b.net, router[i], &in[i]);
		assert_int_equal(send_to(&b, host[i], &in[i], &server, s, &d), 1);
		seen[i] = d.from;
	}
	for (size_t round = 0; round < 12; round++) {
		size_t i = round % 2;
		struct simnet_delivery d;

		/* It has to come from where the other end sends to. */
		heard[!i] = false;
		if (send_to(&b, host[i], &in[i], &seen[!i], host[!i], &d) == 0)
			continue;
		heard[!i] = netaddr_equal(&seen[i], &d.from);
		seen[i] = d.from;
	}
	simnet_destroy(b.net);
	return heard[0] && heard[1];
}

/* Both ends' mappings differ by destination. A packet of a's gets to b's mapping for the server,
 * b's answer to a's mapping for that, and then one of the two has to stay where it is. */
static bool chases(enum nat_dependence map_a, enum nat_dependence filter_a,
		   enum nat_dependence map_b, enum nat_dependence filter_b)
{
	return filter_b == NAT_INDEPENDENT && filter_a != NAT_ADDRESS_AND_PORT &&
	       (map_a == NAT_ADDRESS || map_b == NAT_ADDRESS);
}

static bool is_direct(enum nat_dependence map_a, enum nat_dependence filter_a,
		      enum nat_dependence map_b, enum nat_dependence filter_b)
{
	if (map_a == NAT_INDEPENDENT)
		return map_b == NAT_INDEPENDENT || filter_a != NAT_ADDRESS_AND_PORT;
	if (map_b == NAT_INDEPENDENT)
		return filter_b != NAT_ADDRESS_AND_PORT;
	return chases(map_a, filter_a, map_b, filter_b) || chases(map_b, filter_b, map_a, filter_a);
}

static void hole_punching_matrix(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 81; i++) {
		enum nat_dependence map_a = i / 27, filter_a = i / 9 % 3;
		enum nat_dependence map_b = i / 3 % 3, filter_b = i % 3;

		if (punches(map_a, filter_a, map_b, filter_b) !=
		    is_direct(map_a, filter_a, map_b, filter_b))
			fail_msg("mapping %u filtering %u x mapping %u filtering %u", map_a,
				 filter_a, map_b, filter_b);
	}
	/* The corners that people have names for. */
	assert_true(punches(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT, NAT_INDEPENDENT,
			    NAT_ADDRESS_AND_PORT));
	assert_true(
		punches(NAT_INDEPENDENT, NAT_ADDRESS, NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT));
	assert_false(punches(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT,
			     NAT_ADDRESS_AND_PORT));
	assert_false(punches(NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT,
			     NAT_ADDRESS_AND_PORT));
}

/* Return: how many of 1000 datagrams arrived as they were; the others differ in one bit. */
static size_t count_genuine(const struct simnet_link *link)
{
	static const uint8_t sent[16] = {1, 2, 3};
	struct simnet *net = simnet_create(1);
	struct netaddr from = at("198.51.100.1:1"), to = at("198.51.100.2:2");
	size_t host = add_host(net, SIMNET_INTERNET, &from), genuine = 0;
	size_t other = add_host(net, SIMNET_INTERNET, &to);
	struct simnet_delivery d;
	uint8_t buf[16];

	simnet_set_link(net, host, link);
	for (size_t i = 0; i < 1000; i++) {
		unsigned int bits = 0;

		assert_true(simnet_send(net, i, host, &from, &to, sent, sizeof(sent)));
		assert_true(simnet_pop_delivery(net, i, &d, buf, sizeof(buf)));
		assert_true(d.host == other && d.len == sizeof(sent));
		for (size_t k = 0; k < sizeof(sent); k++)
			bits += (unsigned int)__builtin_popcount(sent[k] ^ buf[k]);
		assert_int_equal(bits, d.is_genuine ? 0 : 1);
		genuine += d.is_genuine;
	}
	simnet_destroy(net);
	return genuine;
}

static void corruption(void **state)
{
	(void)state;
	assert_int_equal(count_genuine(&wire), 1000);
	assert_in_range(count_genuine(&(struct simnet_link){.corrupt_permille = 100}), 850, 950);
}

static void somebody_speaks_in_another_name(void **state)
{
	struct nat_params nat = nat_of(NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT);
	struct bench b = bench(&nat);
	struct netaddr to = mapped(&b, &b.s_p1);
	struct simnet_delivery d;
	uint8_t byte = 9;

	(void)state;
	simnet_inject(b.net, b.now_us, &b.s_p1, &to, &byte, 1);
	assert_true(simnet_pop_delivery(b.net, b.now_us, &d, &byte, 1));
	assert_true(d.host == b.inside && netaddr_equal(&d.from, &b.s_p1) && !d.is_genuine);
	simnet_inject(b.net, b.now_us, &b.t_p1, &to, &byte, 1);
	assert_false(simnet_pop_delivery(b.net, b.now_us, &d, &byte, 1));
	simnet_destroy(b.net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mapping_truth_table),
		cmocka_unit_test(filtering_truth_table),
		cmocka_unit_test(nothing_comes_in_before_something_went_out),
		cmocka_unit_test(ports_are_kept_or_random),
		cmocka_unit_test(hairpin),
		cmocka_unit_test(neighbours_meet_without_the_router),
		cmocka_unit_test(mappings_expire),
		cmocka_unit_test(a_reboot_forgets),
		cmocka_unit_test(nested_routers),
		cmocka_unit_test(ip6_is_filtered_only),
		cmocka_unit_test(private_addresses_are_local),
		cmocka_unit_test(addresses_come_and_go),
		cmocka_unit_test(packets_of_one_moment_keep_their_order),
		cmocka_unit_test(links),
		cmocka_unit_test(hole_punching_matrix),
		cmocka_unit_test(corruption),
		cmocka_unit_test(somebody_speaks_in_another_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
