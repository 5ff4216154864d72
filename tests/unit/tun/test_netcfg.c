#include "tests/unit/tun/netns.h"
#include "tun/device.h"
#include "tun/netcfg.h"
#include "tun/netcfg_internal.h"

static char why[TUN_WHY_CAP];

#define WHY why, sizeof(why)

/* What each test has: a device that is down, and a netlink socket. */
struct fixture {
	struct tun_device *dev;
	struct tun_netcfg *nc;
	int ifindex;
};

static int set_up(void **state)
{
	static struct fixture f;
	struct tun_device_params params = {.name = "ice0", .queues = 1};

	ok(tun_device_open(&params, &f.dev, WHY));
	ok(tun_netcfg_create(&f.nc, WHY));
	f.ifindex = tun_device_ifindex(f.dev);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tun_netcfg_destroy(f->nc);
	tun_device_close(f->dev);
	return 0;
}

static void bring_up(struct fixture *f)
{
	ok(tun_netcfg_set_no_autoconf(f->nc, f->ifindex, WHY));
	ok(tun_netcfg_set_up(f->nc, f->ifindex, true, WHY));
}

static void check_says(const char *word)
{
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
}

static void test_link(void **state)
{
	struct fixture *f = *state;

	ok(tun_netcfg_set_mtu(f->nc, f->ifindex, 1380, WHY));
	assert_true(netns_shows("link show dev ice0", "mtu 1380 "));
	assert_false(netns_shows("link show dev ice0", ",UP"));
	bring_up(f);
	assert_true(netns_shows("link show dev ice0", ",UP"));
	assert_true(netns_shows("-d link show dev ice0", "addrgenmode none"));
	/* No address was asked for, so there is none. */
	assert_string_equal(netns_ip("-o -4 addr show dev ice0"), "");
	assert_string_equal(netns_ip("-o -6 addr show dev ice0"), "");
	ok(tun_netcfg_set_up(f->nc, f->ifindex, false, WHY));
	assert_false(netns_shows("link show dev ice0", ",UP"));
}

static void check_address(struct fixture *f, const char *text, const char *want, const char *flags)
{
	struct tun_prefix addr = netns_prefix(text);

	ok(tun_netcfg_add_address(f->nc, f->ifindex, &addr, WHY));
	assert_true(netns_shows("-o addr show dev ice0", want));
	assert_true(netns_shows("-o addr show dev ice0", flags));
	assert_false(netns_shows("-o addr show dev ice0", "tentative"));
	/* An address brings no route. */
	assert_string_equal(netns_ip("-4 route show dev ice0"), "");
	assert_string_equal(netns_ip("-6 route show dev ice0"), "");

	assert_int_equal(tun_netcfg_add_address(f->nc, f->ifindex, &addr, WHY), -EEXIST);
	check_says("ice0: it is there already");
	check_says(text);
	ok(tun_netcfg_remove_address(f->nc, f->ifindex, &addr, WHY));
	assert_false(netns_shows("-o addr show dev ice0", want));
	assert_int_equal(tun_netcfg_remove_address(f->nc, f->ifindex, &addr, WHY), -ENOENT);
	check_says("it is not there");
}

static void test_address(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	check_address(f, "10.7.0.1/16", "inet 10.7.0.1/16 ", "noprefixroute");
	check_address(f, "10.7.0.1/32", "inet 10.7.0.1/32 ", "noprefixroute");
	check_address(f, "fd00:7::1/64", "inet6 fd00:7::1/64 ", "nodad noprefixroute");
	check_address(f, "fd00:7::1/128", "inet6 fd00:7::1/128 ", "nodad noprefixroute");
}

/* @want: how `ip` writes it. */
static void check_route(struct fixture *f, const char *text, const char *want, const char *show)
{
	struct tun_prefix dst = netns_prefix(text);
	char elsewhere[128];

	ok(tun_netcfg_add_route(f->nc, f->ifindex, &dst, WHY));
	assert_true(netns_shows(show, want));
	assert_true(netns_shows(show, "proto static"));
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &dst, WHY), -EEXIST);
	check_says("it is there already");
	ok(tun_netcfg_remove_route(f->nc, f->ifindex, &dst, WHY));
	assert_string_equal(netns_ip(show), "");
	assert_int_equal(tun_netcfg_remove_route(f->nc, f->ifindex, &dst, WHY), -ENOENT);
	check_says("it is not there");

	/* The same prefix on another device is in the way, and not ours to remove. */
	snprintf(elsewhere, sizeof(elsewhere), "route add %s dev lo", text);
	netns_ip_ok(elsewhere);
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &dst, WHY), -EEXIST);
	assert_int_equal(tun_netcfg_remove_route(f->nc, f->ifindex, &dst, WHY), -ENOENT);
	snprintf(elsewhere, sizeof(elsewhere), "route del %s dev lo", text);
	netns_ip_ok(elsewhere);
}

static void test_route(void **state)
{
	struct fixture *f = *state;
	struct tun_prefix dst4 = netns_prefix("10.7.0.0/16");
	struct tun_prefix dst6 = netns_prefix("fd00:7::/64");

	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &dst4, WHY), -ENETDOWN);
	check_says("bring it up first");
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &dst6, WHY), -ENETDOWN);
	bring_up(f);
	netns_ip_ok("link set dev lo up");
	check_route(f, "10.7.0.0/16", "10.7.0.0/16 ", "-4 route show dev ice0");
	check_route(f, "10.7.1.2/32", "10.7.1.2 ", "-4 route show dev ice0");
	check_route(f, "fd00:7::/64", "fd00:7::/64 ", "-6 route show dev ice0");
	check_route(f, "fd00:7::9/128", "fd00:7::9 ", "-6 route show dev ice0");
}

static void test_bad_arguments(void **state)
{
	struct fixture *f = *state;
	struct tun_prefix addr = netns_prefix("10.7.0.1/16");
	struct tun_prefix addr6 = netns_prefix("fd00:7::1/64");
	struct tun_prefix bad = {.family = 4, .length_bits = 33};

	bring_up(f);
	assert_int_equal(tun_netcfg_set_mtu(f->nc, f->ifindex, 10, WHY), -EINVAL);
	check_says("ice0 cannot have an MTU of 10 bytes");
	assert_int_equal(tun_netcfg_set_mtu(f->nc, f->ifindex, 70000, WHY), -EINVAL);
	assert_int_equal(tun_netcfg_set_mtu(f->nc, 0, 1400, WHY), -ENODEV);
	assert_int_equal(tun_netcfg_set_mtu(f->nc, 9999, 1400, WHY), -ENODEV);
	check_says("the device is gone");
	assert_int_equal(tun_netcfg_set_up(f->nc, 9999, true, WHY), -ENODEV);
	assert_int_equal(tun_netcfg_set_no_autoconf(f->nc, 9999, WHY), -ENODEV);
	assert_int_equal(tun_netcfg_add_address(f->nc, 9999, &addr, WHY), -ENODEV);
	assert_int_equal(tun_netcfg_add_address(f->nc, 0, &addr, WHY), -ENODEV);
	check_says("no device for 10.7.0.1/16");
	assert_int_equal(tun_netcfg_add_address(f->nc, f->ifindex, &bad, WHY), -EINVAL);
	check_says("no IP prefix");
	assert_int_equal(tun_netcfg_remove_address(f->nc, f->ifindex, &bad, WHY), -EINVAL);
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &bad, WHY), -EINVAL);
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &addr, WHY), -EINVAL);
	check_says("10.7.0.1/16 is not the start of its block; the route would be 10.7.0.0/16");
	assert_int_equal(tun_netcfg_add_route(f->nc, f->ifindex, &addr6, WHY), -EINVAL);
	assert_int_equal(tun_netcfg_remove_route(f->nc, f->ifindex, &addr6, WHY), -EINVAL);
	/* Without a buffer for the sentence; and the object goes on working. */
	assert_int_equal(tun_netcfg_set_mtu(f->nc, f->ifindex, 10, NULL, 0), -EINVAL);
	ok(tun_netcfg_set_mtu(f->nc, f->ifindex, 1280, WHY));
}

static void test_no_ipv6(void **state)
{
	struct fixture *f = *state;
	struct tun_prefix addr6 = netns_prefix("fd00:7::1/64");
	FILE *sysctl = fopen("/proc/sys/net/ipv6/conf/ice0/disable_ipv6", "w");

	if (!sysctl)
		skip();
	fputs("1\n", sysctl);
	fclose(sysctl);
	bring_up(f);
	assert_int_equal(tun_netcfg_add_address(f->nc, f->ifindex, &addr6, WHY), -EACCES);
	check_says("IPv6 is switched off on ice0");
	check_says("disable_ipv6");
	/* Below 1280 bytes the kernel takes IPv6 away altogether. */
	ok(tun_netcfg_set_mtu(f->nc, f->ifindex, 1000, WHY));
	ok(tun_netcfg_set_no_autoconf(f->nc, f->ifindex, WHY));
}

static void test_close_undoes_all(void **state)
{
	struct tun_device_params params = {.name = "ice9", .queues = 1};
	struct tun_prefix addr4 = netns_prefix("10.9.0.1/16"), dst4 = netns_prefix("10.9.0.0/16");
	struct tun_prefix addr6 = netns_prefix("fd00:9::1/64"), dst6 = netns_prefix("fd00:9::/64");
	struct fixture *f = *state;
	struct tun_device *dev;
	int ifindex;

	ok(tun_device_open(&params, &dev, WHY));
	ifindex = tun_device_ifindex(dev);
	ok(tun_netcfg_set_up(f->nc, ifindex, true, WHY));
	ok(tun_netcfg_add_address(f->nc, ifindex, &addr4, WHY));
	ok(tun_netcfg_add_address(f->nc, ifindex, &addr6, WHY));
	ok(tun_netcfg_add_route(f->nc, ifindex, &dst4, WHY));
	ok(tun_netcfg_add_route(f->nc, ifindex, &dst6, WHY));
	assert_true(netns_shows("-4 route show table all", "10.9.0.0/16 dev ice9"));
	assert_true(netns_shows("-6 route show table all", "fd00:9::/64 dev ice9"));
	assert_true(netns_shows("-4 route show table all", "local 10.9.0.1 dev ice9"));
	tun_device_close(dev);
	assert_false(netns_shows("-4 route show table all", "10.9."));
	assert_false(netns_shows("-6 route show table all", "fd00:9:"));
	assert_false(netns_shows("addr show", "ice9"));
}

static int configure_as_nobody(void *arg)
{
	struct tun_prefix addr = netns_prefix("10.7.0.1/16");
	struct tun_overlap overlap;
	struct fixture *f = arg;
	struct tun_netcfg *nc;
	int err = 0;

	if (!netns_become_nobody() || tun_netcfg_create(&nc, WHY))
		return 1;
	if (tun_netcfg_add_address(nc, f->ifindex, &addr, WHY) != -EPERM ||
	    !strstr(why, "CAP_NET_ADMIN"))
		err = 2;
	if (tun_netcfg_set_up(nc, f->ifindex, true, WHY) != -EPERM)
		err = 3;
	/* To look needs no privilege. */
	if (tun_netcfg_find_overlap(nc, &addr, 0, &overlap, WHY))
		err = 4;
	tun_netcfg_destroy(nc);
	return err;
}

static void test_no_permission(void **state)
{
	assert_int_equal(netns_in_child(configure_as_nobody, *state), 0);
}

/* After a request without an answer a late answer must not be taken for that of the next. */
static void test_timeout(void **state)
{
	struct fixture *f = *state;
	unsigned int fds = netns_count_fds();

	assert_int_equal(tun_netcfg_errno(f->nc, -NLE_AGAIN), -ETIMEDOUT);
	assert_int_equal(netns_count_fds(), fds - 1);
	ok(tun_netcfg_set_mtu(f->nc, f->ifindex, 1400, WHY));
	assert_int_equal(tun_netcfg_set_mtu(f->nc, f->ifindex, 10, WHY), -EINVAL);
	assert_int_equal(netns_count_fds(), fds);
}

static void test_no_leak(void **state)
{
	unsigned int fds = netns_count_fds();
	struct tun_netcfg *nc;

	(void)state;
	for (int i = 0; i < 50; i++) {
		ok(tun_netcfg_create(&nc, WHY));
		tun_netcfg_destroy(nc);
	}
	tun_netcfg_destroy(NULL);
	assert_int_equal(netns_count_fds(), fds);
}

#define with_device(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_device(test_link),		 with_device(test_address),
		with_device(test_route),	 with_device(test_bad_arguments),
		with_device(test_no_ipv6),	 with_device(test_close_undoes_all),
		with_device(test_no_permission), with_device(test_timeout),
		with_device(test_no_leak),
	};

	if (!netns_enter_with_tun())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
