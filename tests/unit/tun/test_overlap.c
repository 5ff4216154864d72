#include "tests/unit/tun/netns.h"
#include "tun/device.h"
#include "tun/netcfg.h"

static char why[TUN_WHY_CAP];

#define WHY why, sizeof(why)

/* Two devices that are up: ours, and somebody else's that is made to be in the way. */
static struct tun_device *ours, *other;
static struct tun_netcfg *nc;

static int set_up(void **state)
{
	struct tun_device_params params = {.name = "ice0", .queues = 1};

	(void)state;
	ok(tun_netcfg_create(&nc, WHY));
	ok(tun_device_open(&params, &ours, WHY));
	params.name = "other0";
	ok(tun_device_open(&params, &other, WHY));
	ok(tun_netcfg_set_up(nc, tun_device_ifindex(ours), true, WHY));
	ok(tun_netcfg_set_up(nc, tun_device_ifindex(other), true, WHY));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tun_device_close(ours);
	tun_device_close(other);
	tun_netcfg_destroy(nc);
	return 0;
}

static void check_none(const char *overlay)
{
	struct tun_prefix p = netns_prefix(overlay);
	struct tun_overlap overlap = {.text = "untouched"};
	int found = tun_netcfg_find_overlap(nc, &p, tun_device_ifindex(ours), &overlap, WHY);

	if (found)
		fail_msg("%s: %d, \"%s\" %s", overlay, found, overlap.text, found < 0 ? why : "");
	assert_string_equal(overlap.text, "untouched");
}

static void check_found(const char *overlay, enum tun_overlap_kind kind, const char *want)
{
	struct tun_prefix p = netns_prefix(overlay);
	struct tun_overlap overlap = {0};
	int found = tun_netcfg_find_overlap(nc, &p, tun_device_ifindex(ours), &overlap, WHY);

	if (found != 1)
		fail_msg("%s: %d instead of \"%s\" %s", overlay, found, want, found < 0 ? why : "");
	assert_string_equal(overlap.text, want);
	assert_int_equal(overlap.kind, kind);
	assert_int_equal(overlap.ifindex, tun_device_ifindex(other));
}

static void test_route4(void **state)
{
	(void)state;
	check_none("192.0.2.0/24");
	netns_ip_ok("route add 192.0.2.0/24 dev other0");
	check_found("192.0.2.0/24", TUN_OVERLAP_ROUTE, "192.0.2.0/24 dev other0");
	check_found("192.0.0.0/16", TUN_OVERLAP_ROUTE, "192.0.2.0/24 dev other0");
	check_found("192.0.2.128/25", TUN_OVERLAP_ROUTE, "192.0.2.0/24 dev other0");
	check_found("192.0.2.77/32", TUN_OVERLAP_ROUTE, "192.0.2.0/24 dev other0");
	check_found("192.0.77.77/16", TUN_OVERLAP_ROUTE, "192.0.2.0/24 dev other0");
	check_none("192.0.3.0/24");
	check_none("192.0.0.0/23");
	check_none("fd00:7::/64");
}

static void test_route6(void **state)
{
	(void)state;
	check_none("fd00:7::/64");
	netns_ip_ok("route add fd00:7::/64 dev other0");
	check_found("fd00:7::/64", TUN_OVERLAP_ROUTE, "fd00:7::/64 dev other0");
	check_found("fd00::/8", TUN_OVERLAP_ROUTE, "fd00:7::/64 dev other0");
	check_found("fd00:7::abcd:0/112", TUN_OVERLAP_ROUTE, "fd00:7::/64 dev other0");
	check_none("fd00:7:0:1::/64");
	check_none("10.7.0.0/16");
}

static void test_gateway(void **state)
{
	(void)state;
	netns_ip_ok("route add 10.20.0.0/24 dev other0");
	netns_ip_ok("route add 10.7.0.0/16 via 10.20.0.1 dev other0");
	check_found("10.7.3.0/24", TUN_OVERLAP_ROUTE, "10.7.0.0/16 via 10.20.0.1 dev other0");
	netns_ip_ok("route add 10.8.0.0/16 nexthop via 10.20.0.2 dev other0 "
		    "nexthop via 10.20.0.3 dev other0");
	check_found("10.8.3.0/24", TUN_OVERLAP_ROUTE, "10.8.0.0/16 via 10.20.0.2 dev other0");
	netns_ip_ok("route add fd00:20::/64 dev other0");
	netns_ip_ok("route add fd00:7::/48 via fd00:20::1 dev other0");
	check_found("fd00:7::/64", TUN_OVERLAP_ROUTE, "fd00:7::/48 via fd00:20::1 dev other0");
}

static void test_address(void **state)
{
	struct tun_prefix addr4 = netns_prefix("192.0.2.1/24");
	struct tun_prefix addr6 = netns_prefix("fd00:7::1/64");

	(void)state;
	ok(tun_netcfg_add_address(nc, tun_device_ifindex(other), &addr4, WHY));
	ok(tun_netcfg_add_address(nc, tun_device_ifindex(other), &addr6, WHY));
	check_found("192.0.2.0/24", TUN_OVERLAP_ADDRESS, "address 192.0.2.1/32 dev other0");
	check_found("fd00::/16", TUN_OVERLAP_ADDRESS, "address fd00:7::1/128 dev other0");
	/* It brought no route, so the rest of its block is free. */
	check_none("192.0.2.128/25");
	check_none("fd00:7::8000:0/112");
	/* An address counts on a device that is down, too. */
	ok(tun_netcfg_set_up(nc, tun_device_ifindex(other), false, WHY));
	check_found("192.0.2.0/24", TUN_OVERLAP_ADDRESS, "address 192.0.2.1/32 dev other0");
}

static void test_point_to_point(void **state)
{
	(void)state;
	netns_ip_ok("addr add 10.30.0.1 peer 10.31.0.1 dev other0");
	check_found("10.30.0.0/16", TUN_OVERLAP_ADDRESS, "address 10.30.0.1/32 dev other0");
	check_found("10.31.0.0/16", TUN_OVERLAP_ROUTE, "10.31.0.1/32 dev other0");
}

static void test_ours_is_ignored(void **state)
{
	int ifindex = tun_device_ifindex(ours);
	struct tun_prefix addr = netns_prefix("10.7.0.1/16"), dst = netns_prefix("10.7.0.0/16");
	struct tun_overlap overlap;

	(void)state;
	ok(tun_netcfg_add_address(nc, ifindex, &addr, WHY));
	check_none("10.7.0.0/16");
	ok(tun_netcfg_add_route(nc, ifindex, &dst, WHY));
	check_none("10.7.0.0/16");
	assert_int_equal(tun_netcfg_find_overlap(nc, &dst, 0, &overlap, WHY), 1);
	assert_string_equal(overlap.text, "10.7.0.0/16 dev ice0");

	/* A route of ours that was passed over leaves no trace in what is found after it. */
	netns_ip_ok("route add 10.7.9.0/24 via 10.7.0.9 dev ice0");
	netns_ip_ok("addr add 10.7.0.2/32 dev other0");
	check_found("10.7.0.0/16", TUN_OVERLAP_ADDRESS, "address 10.7.0.2/32 dev other0");
}

static void test_what_does_not_count(void **state)
{
	(void)state;
	netns_ip_ok("route add default dev other0");
	netns_ip_ok("route add 0.0.0.0/1 dev other0");
	netns_ip_ok("route add 128.0.0.0/1 dev other0");
	netns_ip_ok("-6 route add default dev other0");
	netns_ip_ok("route add 10.7.0.0/16 dev other0 table 100");
	netns_ip_ok("route add blackhole 10.0.0.0/8");
	netns_ip_ok("-6 route add unreachable fd00::/8");
	check_none("10.7.0.0/16");
	check_none("fd00:7::/64");
	netns_ip_ok("route add 10.0.0.0/9 dev other0");
	check_found("10.7.0.0/16", TUN_OVERLAP_ROUTE, "10.0.0.0/9 dev other0");
	netns_ip_ok("route del blackhole 10.0.0.0/8");
	netns_ip_ok("-6 route del unreachable fd00::/8");
}

/* More routes than fit one answer of the kernel; the socket is in order afterwards. */
static void test_many_routes(void **state)
{
	struct tun_prefix dst = netns_prefix("172.16.0.0/32");

	(void)state;
	for (unsigned int i = 0; i < 3000; i++) {
		dst.ip[2] = (uint8_t)(i >> 8);
		dst.ip[3] = (uint8_t)i;
		ok(tun_netcfg_add_route(nc, tun_device_ifindex(other), &dst, WHY));
	}
	check_found("172.16.0.0/12", TUN_OVERLAP_ROUTE, "172.16.0.0/32 dev other0");
	check_found("172.16.11.183/32", TUN_OVERLAP_ROUTE, "172.16.11.183/32 dev other0");
	check_none("172.16.11.184/32");
	ok(tun_netcfg_set_mtu(nc, tun_device_ifindex(ours), 1400, WHY));
}

static void test_bad_prefix(void **state)
{
	struct tun_prefix bad = {.family = 6, .length_bits = 129};
	struct tun_overlap overlap;

	(void)state;
	assert_int_equal(tun_netcfg_find_overlap(nc, &bad, 0, &overlap, WHY), -EINVAL);
	assert_non_null(strstr(why, "no IP prefix"));
}

#define with_devices(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_devices(test_route4),
		with_devices(test_route6),
		with_devices(test_gateway),
		with_devices(test_address),
		with_devices(test_point_to_point),
		with_devices(test_ours_is_ignored),
		with_devices(test_what_does_not_count),
		with_devices(test_many_routes),
		with_devices(test_bad_prefix),
	};

	if (!netns_enter_with_tun())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
