/* The watcher: one call for a burst of changes, after it has settled, and not never while changes
 * go on for long; at once where something in use has gone; none for what is not ours. Real time, as
 * the kernel's messages come in real time. */
#include <time.h>

#include "daemon/net/watcher.h"
#include "tests/support/netns.h"

struct run {
	uv_loop_t loop;
	struct net_watcher *watcher;
	struct net_interface_filter filter;
	uv_timer_t changer, limit;
	unsigned int calls, changes, told;
	uint64_t asleep_ms;
};

static struct run run;

static void on_change(void *ctx, const struct net_snapshot *now, unsigned int told)
{
	struct run *r = ctx;

	assert_ptr_equal(now, net_watcher_snapshot(r->watcher));
	r->calls++;
	r->told = told;
	uv_stop(&r->loop);
}

static uint64_t asleep_ms(void *ctx)
{
	return ((struct run *)ctx)->asleep_ms;
}

static void on_limit(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static void change(uv_timer_t *t)
{
	struct run *r = t->data;

	netns_ip_ok(r->changes++ % 2 ? "addr del 198.51.100.7/24 dev lo"
				     : "addr add 198.51.100.7/24 dev lo");
}

static void set_no_autoconf(void)
{
	FILE *f = fopen("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "w");

	assert_non_null(f);
	assert_true(fputs("1", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void start(void)
{
	struct net_watcher_params params = {.loop = &run.loop,
					    .filter = &run.filter,
					    .on_change = on_change,
					    .ctx = &run,
					    .asleep_ms = asleep_ms};

	assert_int_equal(net_watcher_create(&run.watcher, &params), OK);
}

static int set_up(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET))
		return -1;
	memset(&run, 0, sizeof(run));
	/* No addresses that the kernel makes in its own time. */
	set_no_autoconf();
	netns_add_card("lan");
	uv_loop_init(&run.loop);
	uv_timer_init(&run.loop, &run.changer);
	uv_timer_init(&run.loop, &run.limit);
	run.changer.data = &run;
	return 0;
}

/* With an address and a way out, from the beginning. */
static int set_up_online(void **state)
{
	if (set_up(state))
		return -1;
	netns_ip_ok("addr add 192.0.2.1/24 dev lan");
	netns_ip_ok("route add default via 192.0.2.9");
	start();
	return 0;
}

static int set_up_offline(void **state)
{
	if (set_up(state))
		return -1;
	start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	net_watcher_destroy(run.watcher);
	uv_close((uv_handle_t *)&run.changer, NULL);
	uv_close((uv_handle_t *)&run.limit, NULL);
	uv_run(&run.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&run.loop);
}

/* Runs until the watcher has called, or for @ms. Return: how long it took. */
static uint64_t wait_ms(uint64_t ms)
{
	uint64_t begin;

	uv_update_time(&run.loop);
	begin = uv_now(&run.loop);
	uv_timer_start(&run.limit, on_limit, ms, 0);
	uv_run(&run.loop, UV_RUN_DEFAULT);
	uv_timer_stop(&run.limit);
	return uv_now(&run.loop) - begin;
}

static void expect_silence(void)
{
	run.calls = 0;
	wait_ms(NET_WATCH_SETTLE_MS + 300);
	assert_int_equal(run.calls, 0);
}

static void test_first_snapshot(void **state)
{
	const struct net_snapshot *s = net_watcher_snapshot(run.watcher);

	(void)state;
	assert_int_equal(s->count, 1);
	assert_string_equal(s->addrs[0].ifname, "lan");
	assert_true(s->addrs[0].has_default);
	expect_silence();
}

static void test_burst_is_one_call(void **state)
{
	uint64_t took;

	(void)state;
	netns_ip_ok("addr add 198.51.100.1/24 dev lan");
	netns_ip_ok("addr add 203.0.113.1/24 dev lan");
	netns_ip_ok("route replace default via 192.0.2.8");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_int_equal(run.told, NET_CHANGE_ADDRS | NET_CHANGE_WAYS);
	assert_int_equal(net_watcher_snapshot(run.watcher)->count, 3);
	assert_true(took >= NET_WATCH_SETTLE_MS - 1);
	assert_true(took < NET_WATCH_SETTLE_MS + 400);
	expect_silence();
}

/* Each alone is told. */
static void test_each_kind_of_change(void **state)
{
	static const struct {
		const char *args;
		unsigned int told;
	} changes[] = {
		{"addr add 198.51.100.1/24 dev lan", NET_CHANGE_ADDRS},
		{"route add default via 198.51.100.9 metric 7 src 198.51.100.1", NET_CHANGE_ADDRS},
		{"route del default via 192.0.2.9", NET_CHANGE_ADDRS | NET_CHANGE_WAYS},
		{"addr add 2001:db8::1/64 dev lan nodad", NET_CHANGE_ADDRS},
		{"-6 route add default via 2001:db8::9", NET_CHANGE_ADDRS | NET_CHANGE_WAYS},
		{"link set lan down", NET_CHANGE_ADDRS | NET_CHANGE_WAYS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		run.calls = 0;
		netns_ip_ok(changes[i].args);
		if (i == 1) { /* the better one stays */
			expect_silence();
			continue;
		}
		wait_ms(20000);
		if (run.calls != 1 || !(run.told & NET_CHANGE_ADDRS))
			fail_msg("%s: %u calls, told %u", changes[i].args, run.calls, run.told);
	}
	assert_int_equal(net_watcher_snapshot(run.watcher)->count, 0);
}

/* A rule that leads somewhere else. */
static void test_rule(void **state)
{
	(void)state;
	netns_ip_ok("route add default via 192.0.2.8 table 77");
	expect_silence();
	netns_ip_ok("rule add from all lookup 77 pref 100");
	wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(run.told & NET_CHANGE_WAYS);
}

static void test_loss_is_told_at_once(void **state)
{
	static const char *const losses[] = {"addr del 192.0.2.1/24 dev lan", "link set lan down",
					     "link del lan"};

	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		uint64_t took;

		if (i > 0) {
			tear_down(state);
			set_up_online(state);
		}
		netns_ip_ok(losses[i]);
		took = wait_ms(20000);
		assert_int_equal(run.calls, 1);
		assert_int_equal(net_watcher_snapshot(run.watcher)->count, 0);
		if (took > 100)
			fail_msg("%s: told after %lu ms", losses[i], (unsigned long)took);
	}
}

/* A message that is no loss does not put off the look that a loss wants. */
static void test_loss_among_others(void **state)
{
	uint64_t took;

	(void)state;
	netns_ip_ok("addr add 198.51.100.1/24 dev lan");
	wait_ms(50);
	netns_ip_ok("addr del 192.0.2.1/24 dev lan");
	netns_ip_ok("addr add 203.0.113.1/24 dev lan");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(took <= 100);
}

/* Who is offline, or has just lost an address, does not wait until all has settled. */
static void test_haste(void **state)
{
	uint64_t took;

	(void)state;
	expect_silence();
	netns_ip_ok("addr add 192.0.2.1/24 dev lan");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(took <= 150);
	netns_ip_ok("route add default via 192.0.2.9");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 2);
	assert_true(took <= 150);
	netns_ip_ok("addr del 192.0.2.1/24 dev lan");
	wait_ms(20000);
	netns_ip_ok("addr add 192.0.2.2/24 dev lan");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 4);
	assert_true(took <= 150);
}

static void test_endless_changes_are_told(void **state)
{
	uint64_t took;

	(void)state;
	netns_ip_ok("addr add 203.0.113.1/24 dev lan");
	uv_timer_start(&run.changer, change, 1, 100); /* of something else */
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(took >= NET_WATCH_MAX_MS - 200);
	assert_true(took <= NET_WATCH_MAX_MS + 500);
	assert_true(run.changes >= 10);
}

/* What is not ours makes it look at most. */
static void test_foreign_changes(void **state)
{
	static const char *const changes[] = {
		"link add ve0 type veth peer name ve1",
		"link set ve0 up",
		"link set ve1 up",
		"addr add 198.51.100.1/24 dev ve0",
		"route add 203.0.113.0/24 via 198.51.100.2",
		"route add default via 198.51.100.2 table 99",
		"rule add fwmark 0x77 lookup 99",
		"link add br0 type bridge",
		"link set br0 up",
		"link set ve1 master br0",
		"link del ve0",
		"addr change 192.0.2.1/24 dev lan valid_lft 1000 preferred_lft 500",
		"addr change 192.0.2.1/24 dev lan valid_lft 2000 preferred_lft 900",
		"link set lan mtu 1400",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		netns_ip_ok(changes[i]);
	wait_ms(NET_WATCH_MAX_MS + 300);
	assert_int_equal(run.calls, 0);
	assert_true(net_watcher_stats(run.watcher).looks >= 2);
	assert_int_equal(net_watcher_stats(run.watcher).changes, 0);
}

static uint64_t cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The messages about them do not even reach us. */
static void test_foreign_routes(void **state)
{
	struct net_watcher_stats before = net_watcher_stats(run.watcher), after;
	uint64_t cpu = cpu_ms();
	FILE *f = popen("ip -batch -", "w");

	(void)state;
	assert_non_null(f);
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(f, "route add 10.%u.%u.%u/32 via 192.0.2.9 table %d\n", i >> 16,
			i >> 8 & 255, i & 255, i % 2 ? 254 : 99);
	assert_int_equal(pclose(f), 0);
	expect_silence();
	after = net_watcher_stats(run.watcher);
	assert_int_equal(after.messages, before.messages);
	assert_int_equal(after.overruns, 0);
	assert_int_equal(after.looks, before.looks);
	print_message("100,000 routes: %lu ms of CPU, most of it to make them\n",
		      (unsigned long)(cpu_ms() - cpu));
	netns_ip_ok("addr del 192.0.2.1/24 dev lan"); /* and still: */
	wait_ms(20000);
	assert_int_equal(run.calls, 1);
}

/* More than the socket holds, all before it could read: it looks at the end. */
static void test_overrun(void **state)
{
	FILE *f = popen("ip -batch -", "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 2000; i++)
		fprintf(f, "addr add 198.51.100.%d/32 dev lo\naddr del 198.51.100.%d/32 dev lo\n",
			i % 250, i % 250);
	assert_int_equal(pclose(f), 0);
	netns_ip_ok("addr add 203.0.113.1/24 dev lan");
	wait_ms(20000);
	assert_true(net_watcher_stats(run.watcher).overruns > 0);
	assert_int_equal(run.calls, 1);
	assert_int_equal(net_watcher_snapshot(run.watcher)->count, 2);
	/* And goes on to listen. */
	run.calls = 0;
	netns_ip_ok("addr del 203.0.113.1/24 dev lan");
	wait_ms(20000);
	assert_int_equal(run.calls, 1);
}

static void test_sleep(void **state)
{
	(void)state;
	run.asleep_ms = 20; /* the clocks are not read together */
	wait_ms(NET_WATCH_SLEEP_TICK_MS + 200);
	assert_int_equal(run.calls, 0);
	run.asleep_ms = 60000;
	wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_int_equal(run.told, NET_CHANGE_RESUMED);
	netns_ip_ok("link set lan down");
	run.asleep_ms = 120000;
	wait_ms(20000);
	wait_ms(NET_WATCH_SLEEP_TICK_MS + 200);
	assert_in_range(run.calls, 2, 3);
	assert_int_equal(net_watcher_snapshot(run.watcher)->count, 0);
}

/* Asked to look again and again, it does not spin. */
static void test_asked(void **state)
{
	uint64_t looks = net_watcher_stats(run.watcher).looks;

	(void)state;
	wait_ms(NET_WATCH_ASKED_PAUSE_MS);
	for (int i = 0; i < 100; i++) {
		net_watcher_look(run.watcher);
		wait_ms(10);
	}
	assert_int_equal(run.calls, 0);
	assert_in_range(net_watcher_stats(run.watcher).looks - looks, 2, 6);
}

static void test_no_network_is_calm(void **state)
{
	uint64_t cpu, looks;

	(void)state;
	expect_silence(); /* the kernel has more to say of the new device, in its own time */
	cpu = cpu_ms();
	looks = net_watcher_stats(run.watcher).looks;
	wait_ms(3000);
	assert_int_equal(run.calls, 0);
	assert_int_equal(net_watcher_stats(run.watcher).looks, looks);
	assert_true(cpu_ms() - cpu < 50);
}

static void test_destroyed_while_it_waits(void **state)
{
	(void)state;
	netns_ip_ok("addr add 198.51.100.1/24 dev lan");
	wait_ms(100);
	net_watcher_destroy(run.watcher);
	run.watcher = NULL;
	wait_ms(NET_WATCH_SETTLE_MS + 200);
	assert_int_equal(run.calls, 0);
}

static void test_leaves_no_descriptor(void **state)
{
	unsigned int before = netns_count_fds();

	(void)state;
	for (int i = 0; i < 25; i++) {
		netns_ip_ok("link set lan down");
		wait_ms(100);
		netns_ip_ok("link set lan up");
		wait_ms(100);
	}
	assert_true(run.calls >= 10);
	assert_int_equal(netns_count_fds(), before);
}

#define ONLINE(name)  cmocka_unit_test_setup_teardown(name, set_up_online, tear_down)
#define OFFLINE(name) cmocka_unit_test_setup_teardown(name, set_up_offline, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONLINE(test_first_snapshot),
		ONLINE(test_burst_is_one_call),
		ONLINE(test_each_kind_of_change),
		ONLINE(test_rule),
		ONLINE(test_loss_is_told_at_once),
		ONLINE(test_loss_among_others),
		OFFLINE(test_haste),
		ONLINE(test_endless_changes_are_told),
		ONLINE(test_foreign_changes),
		ONLINE(test_foreign_routes),
		ONLINE(test_overrun),
		ONLINE(test_sleep),
		ONLINE(test_asked),
		OFFLINE(test_no_network_is_calm),
		ONLINE(test_destroyed_while_it_waits),
		ONLINE(test_leaves_no_descriptor),
	};

	if (!netns_enter())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
