/* Which local addresses may be candidates, in which order. In a namespace of the test's own, made
 * anew for each test; devices in it stand for what a real host has. */
#include <time.h>
#include <unistd.h>

#include "daemon/net/interfaces.h"
#include "tests/support/netns.h"

static struct net_snapshot found;
static struct net_interface_filter filter;

static int set_up(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET))
		return -1;
	memset(&filter, 0, sizeof(filter));
	netns_ip_ok("link set lo up");
	return 0;
}

static void set_sysctl(const char *device, const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", device, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(value, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void add_addr(const char *device, const char *addr)
{
	char args[128];

	snprintf(args, sizeof(args), "addr add %s dev %s %s", addr, device,
		 strchr(addr, ':') ? "nodad" : "");
	netns_ip_ok(args);
}

/* The snapshot as text: "addr%device ...". */
static void check(const char *expected)
{
	char text[1024] = "", one[NETADDR_TEXT_BYTES];
	size_t len = 0;

	assert_int_equal(net_interfaces_snapshot(&filter, &found), OK);
	for (size_t i = 0; i < found.count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%%%s", i ? " " : "",
					netaddr_format_ip(&found.addrs[i].addr, one),
					found.addrs[i].ifname);
	assert_string_equal(text, expected);
	for (size_t i = 0; i < found.count; i++) {
		assert_int_equal(found.addrs[i].local_preference, 65535 - i);
		assert_int_equal(found.addrs[i].addr.port, 0);
		assert_int_equal(found.addrs[i].ifindex, if_nametoindex(found.addrs[i].ifname));
	}
}

static void test_nothing_but_loopback(void **state)
{
	(void)state;
	check("");
	add_addr("lo", "192.0.2.1/32");
	check("");
}

static void test_card_without_default_route_counts(void **state)
{
	(void)state;
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	add_addr("card", "169.254.1.1/16");
	add_addr("card", "fe80::77/64");
	check("192.0.2.1%card");
	add_addr("card", "2001:db8::1/64");
	add_addr("card", "fec0::1/64"); /* site-local */
	check("2001:db8::1%card 192.0.2.1%card");
	netns_ip_ok("link set card down");
	check("");
}

static void test_carrier(void **state)
{
	(void)state;
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	check("192.0.2.1%card");
	netns_ip_ok("link set card-x down");
	for (int tries = 0; !netns_shows("link show card", "NO-CARRIER"); tries++)
		assert_true(tries < 5000);
	check("");
}

static void test_inner_kinds_need_a_default_route(void **state)
{
	(void)state;
	netns_ip_ok("link add ve0 type veth peer name ve1");
	netns_ip_ok("link add br0 type bridge");
	netns_ip_ok("link set ve1 master br0");
	netns_ip_ok("link set ve0 up");
	netns_bring_up("ve1");
	netns_bring_up("ve0");
	netns_bring_up("br0");
	add_addr("ve0", "192.0.2.1/24");
	add_addr("br0", "198.51.100.1/24");
	check("");
	netns_ip_ok("route add default via 192.0.2.9");
	check("192.0.2.1%ve0");
	netns_ip_ok("route add default via 198.51.100.9 metric 100");
	check("192.0.2.1%ve0 198.51.100.1%br0");
	netns_ip_ok("route del default via 192.0.2.9");
	netns_ip_ok("route add unreachable default metric 700");
	netns_ip_ok("route add default via 192.0.2.9 table 77"); /* not the main table */
	netns_ip_ok("route add 203.0.113.0/24 via 192.0.2.9");
	check("198.51.100.1%br0");
}

static void test_multipath_default_route(void **state)
{
	(void)state;
	netns_ip_ok("link add ve0 type veth peer name ve1");
	netns_ip_ok("link set ve0 up");
	netns_bring_up("ve1");
	netns_bring_up("ve0");
	add_addr("ve0", "192.0.2.1/24");
	add_addr("ve1", "198.51.100.1/24");
	netns_ip_ok("route add default nexthop via 192.0.2.9 nexthop via 198.51.100.9");
	/* By number; the kernel makes the peer first. */
	check("198.51.100.1%ve1 192.0.2.1%ve0");
}

static void test_tun_device(void **state)
{
	(void)state;
	if (access("/dev/net/tun", R_OK | W_OK))
		skip();
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	netns_ip_ok("tuntap add dev vpn0 mode tun");
	netns_ip_ok("link set vpn0 up");
	add_addr("vpn0", "198.51.100.1/24");
	netns_ip_ok("route add default dev vpn0");
	/* Nobody holds the device, so it has no carrier; as soon as it had one it would count. */
	check("192.0.2.1%card");
}

static void test_own_device_and_overlay_never(void **state)
{
	struct netprefix overlay[2];

	(void)state;
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	add_addr("card", "10.7.0.1/24");
	add_addr("card", "fd07::1/64");
	netns_add_card("own");
	add_addr("own", "198.51.100.1/24");
	check("fd07::1%card 10.7.0.1%card 192.0.2.1%card 198.51.100.1%own");
	assert_int_equal(netprefix_parse("10.7.0.0/16", &overlay[0]), OK);
	assert_int_equal(netprefix_parse("fd07::/32", &overlay[1]), OK);
	filter.exclude = overlay;
	filter.exclude_count = 2;
	filter.exclude_ifindex = (int)if_nametoindex("own");
	check("192.0.2.1%card");
	filter.allow[filter.allow_count++] = "*"; /* not even when allowed by name */
	check("192.0.2.1%card");
}

static void test_names(void **state)
{
	(void)state;
	netns_add_card("card1");
	add_addr("card1", "192.0.2.1/24");
	netns_add_card("card2");
	add_addr("card2", "198.51.100.1/24");
	filter.deny[filter.deny_count++] = "*1";
	check("198.51.100.1%card2");
	filter.deny_count = 0;
	filter.allow[filter.allow_count++] = "x*";
	check("");
	filter.allow[filter.allow_count++] = "card[0-1]";
	check("192.0.2.1%card1");
	filter.deny[filter.deny_count++] = "card1"; /* to deny is stronger */
	check("");
	/* By name, a device of this host only counts as well. */
	netns_ip_ok("link add ve0 type veth peer name ve1");
	netns_ip_ok("link set ve0 up");
	netns_bring_up("ve1");
	netns_bring_up("ve0");
	add_addr("ve0", "203.0.113.1/24");
	filter.allow[filter.allow_count++] = "ve?";
	check("203.0.113.1%ve0");
}

static void test_ip6_states(void **state)
{
	(void)state;
	netns_add_card("card");
	add_addr("card", "2001:db8::1/64");
	netns_ip_ok("addr add 2001:db8::2/64 dev card nodad preferred_lft 0"); /* deprecated */
	check("2001:db8::1%card");
	set_sysctl("card", "dad_transmits", "1000");
	netns_ip_ok("addr add 2001:db8::3/64 dev card"); /* tentative for a long time */
	check("2001:db8::1%card");
	set_sysctl("card", "optimistic_dad", "1");
	netns_ip_ok("addr add 2001:db8::4/64 dev card");
	check("2001:db8::1%card");
}

static void test_temporary_stands_for_stable(void **state)
{
	char text[NETADDR_TEXT_BYTES];

	(void)state;
	netns_add_card("card");
	set_sysctl("card", "use_tempaddr", "2");
	set_sysctl("card", "accept_dad", "0");
	add_addr("card", "2001:db8:5::1/64");
	netns_ip_ok("addr add 2001:db8::1/64 dev card mngtmpaddr");
	for (int tries = 0; *netns_ip("-6 addr show tentative"); tries++)
		assert_true(tries < 5000); /* each is a process: seconds */
	assert_int_equal(net_interfaces_snapshot(&filter, &found), OK);
	/* One for each prefix: the only one, and the temporary one. */
	assert_int_equal(found.count, 2);
	for (size_t i = 0; i < 2; i++) {
		netaddr_format_ip(&found.addrs[i].addr, text);
		assert_string_not_equal(text, "2001:db8::1");
		if (strcmp(text, "2001:db8:5::1") != 0)
			assert_memory_equal(found.addrs[i].addr.ip, "\x20\1\xd\xb8\0\0\0\0", 8);
	}
	assert_memory_not_equal(found.addrs[0].addr.ip, found.addrs[1].addr.ip, 8);
}

static void test_order(void **state)
{
	(void)state;
	netns_add_card("card-a"); /* no default route: last, though first in number */
	add_addr("card-a", "192.0.2.1/24");
	netns_add_card("card-b");
	add_addr("card-b", "198.51.100.2/24");
	add_addr("card-b", "198.51.100.1/24");
	add_addr("card-b", "2001:db8:b::1/64");
	netns_add_card("card-c");
	add_addr("card-c", "203.0.113.1/24");
	add_addr("card-c", "2001:db8:c::1/64");
	add_addr("card-c", "2001:db8:c::2/64");
	netns_ip_ok("route add default via 198.51.100.9 metric 200");
	netns_ip_ok("route add default via 203.0.113.9 metric 100");
	netns_ip_ok("-6 route add default via fe80::9 dev card-c");
	check("2001:db8:c::1%card-c 203.0.113.1%card-c 2001:db8:c::2%card-c 198.51.100.1%card-b "
	      "2001:db8:b::1%card-b 198.51.100.2%card-b 192.0.2.1%card-a");
}

/* Of one prefix two, of all eight, both families among them. */
static void test_no_more_than_fits(void **state)
{
	char addr[32];

	(void)state;
	netns_add_card("card");
	for (int i = 1; i <= 100; i++) {
		snprintf(addr, sizeof(addr), "192.0.2.%d/24", i);
		add_addr("card", addr);
	}
	add_addr("card", "2001:db8::1/64");
	check("2001:db8::1%card 192.0.2.1%card 192.0.2.2%card");
	for (int i = 1; i <= 20; i++) {
		snprintf(addr, sizeof(addr), "198.51.100.%d/32", i);
		add_addr("card", addr);
	}
	check("2001:db8::1%card 192.0.2.1%card 192.0.2.2%card 198.51.100.1%card "
	      "198.51.100.2%card 198.51.100.3%card 198.51.100.4%card 198.51.100.5%card");
}

/* Two ways out: which is the better, who has to be told its device, and what counts as a change. */
static void test_ways_out(void **state)
{
	struct net_snapshot before;

	(void)state;
	netns_add_card("card-a");
	add_addr("card-a", "192.0.2.1/24");
	netns_add_card("card-b");
	add_addr("card-b", "198.51.100.1/24");
	check("192.0.2.1%card-a 198.51.100.1%card-b");
	assert_int_equal(found.out4.ifindex, 0);
	assert_false(found.addrs[0].has_default);
	netns_ip_ok("route add default via 198.51.100.9 metric 100");
	check("198.51.100.1%card-b 192.0.2.1%card-a");
	assert_int_equal(found.out4.ifindex, if_nametoindex("card-b"));
	assert_memory_equal(found.out4.source.ip, "\xc6\x33\x64\1", 4);
	assert_memory_equal(found.out4.gateway.ip, "\xc6\x33\x64\11", 4);
	assert_true(found.addrs[0].has_default);
	assert_int_equal(found.addrs[0].metric, 100);
	assert_memory_equal(found.addrs[0].gateway.ip, "\xc6\x33\x64\11", 4);
	assert_false(found.addrs[0].is_second || found.addrs[1].is_second);
	netns_ip_ok("route add default via 192.0.2.9 metric 50");
	before = found;
	check("192.0.2.1%card-a 198.51.100.1%card-b");
	assert_false(found.addrs[0].is_second);
	assert_true(found.addrs[1].is_second);
	assert_false(net_snapshot_same_addrs(&before, &found));
	assert_false(net_snapshot_same_ways(&before, &found));
	before = found;
	netns_ip_ok("route add 203.0.113.0/24 via 192.0.2.8");
	netns_ip_ok("route add default via 192.0.2.8 table 77");
	check("192.0.2.1%card-a 198.51.100.1%card-b");
	assert_true(net_snapshot_same_addrs(&before, &found));
	assert_true(net_snapshot_same_ways(&before, &found));
	netns_ip_ok("route replace default via 192.0.2.8 metric 50");
	check("192.0.2.1%card-a 198.51.100.1%card-b");
	assert_false(net_snapshot_same_addrs(&before, &found));
	assert_false(net_snapshot_same_ways(&before, &found));
}

/* A rule for the source leads to a table of its own. */
static void test_default_route_by_rule(void **state)
{
	(void)state;
	netns_ip_ok("link add ve0 type veth peer name ve1");
	netns_ip_ok("link set ve0 up");
	netns_bring_up("ve1");
	netns_bring_up("ve0");
	add_addr("ve0", "192.0.2.1/24");
	add_addr("ve0", "2001:db8::1/64");
	netns_ip_ok("route add default via 192.0.2.9 table 77");
	netns_ip_ok("-6 route add default via 2001:db8::9 table 77");
	check("");
	netns_ip_ok("rule add from 192.0.2.1 lookup 77");
	check("192.0.2.1%ve0");
	netns_ip_ok("-6 rule add from 2001:db8::1 lookup 77");
	check("2001:db8::1%ve0 192.0.2.1%ve0");
}

static void test_ip6_default_routes(void **state)
{
	(void)state;
	netns_add_card("card-a");
	add_addr("card-a", "2001:db8:a::1/64");
	netns_add_card("card-b");
	add_addr("card-b", "2001:db8:b::1/64");
	check("2001:db8:a::1%card-a 2001:db8:b::1%card-b");
	netns_ip_ok("-6 route add default via fe80::9 dev card-b metric 2000");
	check("2001:db8:b::1%card-b 2001:db8:a::1%card-a");
	netns_ip_ok("-6 route add 2000::/3 via fe80::9 dev card-a metric 1000");
	check("2001:db8:a::1%card-a 2001:db8:b::1%card-b");
	assert_int_equal(found.out6.ifindex, if_nametoindex("card-a"));
	assert_true(found.addrs[1].is_second);
}

/* What is asked about a million routes costs what it costs about one. */
static void test_many_routes(void **state)
{
	struct timespec a, b;
	FILE *f;

	(void)state;
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	netns_ip_ok("route add default via 192.0.2.9 metric 100");
	f = popen("ip -batch -", "w");
	assert_non_null(f);
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(f, "route add 10.%u.%u.%u/32 via 192.0.2.9\n", i >> 16, i >> 8 & 255,
			i & 255);
	assert_int_equal(pclose(f), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < 20; i++)
		check("192.0.2.1%card");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	print_message("20 snapshots beside 100,000 routes: %ld ms of CPU\n",
		      (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
	/* To list them takes longer for one alone. */
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 200);
}

static void test_leaves_no_descriptor(void **state)
{
	unsigned int before;

	(void)state;
	netns_add_card("card");
	add_addr("card", "192.0.2.1/24");
	before = netns_count_fds();
	for (int i = 0; i < 10; i++)
		check("192.0.2.1%card");
	assert_int_equal(netns_count_fds(), before);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_but_loopback),
		TEST(test_card_without_default_route_counts),
		TEST(test_carrier),
		TEST(test_inner_kinds_need_a_default_route),
		TEST(test_multipath_default_route),
		TEST(test_tun_device),
		TEST(test_own_device_and_overlay_never),
		TEST(test_names),
		TEST(test_ip6_states),
		TEST(test_temporary_stands_for_stable),
		TEST(test_order),
		TEST(test_no_more_than_fits),
		TEST(test_ways_out),
		TEST(test_default_route_by_rule),
		TEST(test_ip6_default_routes),
		TEST(test_many_routes),
		TEST(test_leaves_no_descriptor),
	};

	if (!netns_enter())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
