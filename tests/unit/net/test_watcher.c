/* The watcher: one call for a burst of changes, after it has settled, and not never while changes go
 * on for long. Real time, as the kernel's messages come in real time. */
#include "daemon/net/interfaces.h"
#include "tests/support/netns.h"

struct run {
	uv_loop_t loop;
	struct net_watcher *watcher;
	uv_timer_t changer, limit;
	unsigned int calls, changes;
};

static struct run run;

static void on_change(void *ctx)
{
	struct run *r = ctx;

	r->calls++;
	uv_stop(&r->loop);
}

static void on_limit(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static void change(uv_timer_t *t)
{
	struct run *r = t->data;

	netns_ip_ok(r->changes++ % 2 ? "addr del 192.0.2.1/24 dev ve0"
				     : "addr add 192.0.2.1/24 dev ve0");
}

static int set_up(void **state)
{
	struct net_watcher_params params = {.loop = &run.loop, .on_change = on_change, .ctx = &run};

	(void)state;
	if (unshare(CLONE_NEWNET))
		return -1;
	memset(&run, 0, sizeof(run));
	netns_ip_ok("link add ve0 type veth peer name ve1");
	/* What the kernel would do by itself, in its own time. */
	netns_ip_ok("link set ve0 addrgenmode none");
	netns_ip_ok("link set ve1 addrgenmode none");
	uv_loop_init(&run.loop);
	uv_timer_init(&run.loop, &run.changer);
	uv_timer_init(&run.loop, &run.limit);
	run.changer.data = &run;
	assert_int_equal(net_watcher_create(&run.watcher, &params), OK);
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

static void test_silence(void **state)
{
	(void)state;
	wait_ms(NET_WATCH_SETTLE_MS + 100);
	assert_int_equal(run.calls, 0);
}

static void test_burst_is_one_call(void **state)
{
	uint64_t took;

	(void)state;
	netns_ip_ok("link set ve0 up");
	netns_ip_ok("link set ve1 up");
	netns_ip_ok("addr add 192.0.2.1/24 dev ve0");
	netns_ip_ok("route add default via 192.0.2.9");
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(took >= NET_WATCH_SETTLE_MS - 1);
	wait_ms(NET_WATCH_SETTLE_MS + 100);
	assert_int_equal(run.calls, 1);
}

/* Each alone is told. */
static void test_each_kind_of_change(void **state)
{
	static const char *const changes[] = {
		"link set ve0 up",
		"addr add 192.0.2.1/24 dev ve0",
		"route add default via 192.0.2.9",
		"addr add 2001:db8::1/64 dev ve0 nodad",
		"-6 route add default via 2001:db8::9",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		run.calls = 0;
		netns_ip_ok(changes[i]);
		wait_ms(20000);
		if (run.calls != 1)
			fail_msg("%s: %u calls", changes[i], run.calls);
	}
}

static void test_endless_changes_are_told(void **state)
{
	uint64_t took;

	(void)state;
	uv_timer_start(&run.changer, change, 1, 100);
	took = wait_ms(20000);
	assert_int_equal(run.calls, 1);
	assert_true(took >= NET_WATCH_MAX_MS - 600);
	assert_true(run.changes >= 10);
}

static void test_destroyed_while_it_waits(void **state)
{
	(void)state;
	netns_ip_ok("link set ve0 up");
	wait_ms(100);
	net_watcher_destroy(run.watcher);
	run.watcher = NULL;
	wait_ms(NET_WATCH_SETTLE_MS + 200);
	assert_int_equal(run.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silence),
		TEST(test_burst_is_one_call),
		TEST(test_each_kind_of_change),
		TEST(test_endless_changes_are_told),
		TEST(test_destroyed_while_it_waits),
	};

	if (!netns_enter())
		return NETNS_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
