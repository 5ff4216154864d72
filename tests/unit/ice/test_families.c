/* Hosts with addresses of both families, one of which does not work (RFC 8421): it must cost next
 * to nothing. */
#include "tests/unit/ice/wire.h"

static struct wire w;
static uint8_t broken;
static size_t lost; /* datagrams of the broken family */

static bool drop_broken(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	lost += d->to.family == broken;
	return d->to.family != broken;
}

/* Two addresses of each family at each end, so four pairs of each. */
static int set_up(void **state)
{
	static const char *const texts[WIRE_HOSTS][WIRE_SOCKETS] = {
		{"[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1"},
		{"[2001:db8::8]:1", "192.0.2.8:1", "[2001:db8::9]:1", "192.0.2.9:1"}};

	(void)state;
	wire_init(&w, 8421);
	w.filter = drop_broken;
	broken = NETADDR_NONE;
	lost = 0;
	for (size_t h = 0; h < WIRE_HOSTS; h++) {
		for (uint16_t s = 0; s < WIRE_SOCKETS; s++)
			wire_add_socket(&w, h, s, texts[h][s]);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

/* Return: how long it took until both ends had a path, in ms. */
static uint64_t connect_ms(uint8_t broken_family)
{
	uint64_t start_us = w.now_us;

	broken = broken_family;
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	while (wire_state(&w, 0) < ICE_AGENT_CONNECTED || wire_state(&w, 1) < ICE_AGENT_CONNECTED) {
		assert_true(w.now_us < start_us + 5 * US_PER_S);
		wire_run(&w, US_PER_MS);
	}
	return (w.now_us - start_us) / US_PER_MS;
}

static void expect_path(uint8_t family)
{
	struct ice_path path;

	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_true(ice_agent_get_path(w.host[i].agent, &path));
		assert_int_equal(path.remote.family, family);
	}
}

static void without_a_broken_family(void **state)
{
	(void)state;
	assert_in_range(connect_ms(NETADDR_NONE), 20, 21);
	expect_path(NETADDR_IP6);
}

/* The second check of each end is for the other family: one Ta later, and a round trip. */
static void ipv6_is_broken(void **state)
{
	(void)state;
	assert_in_range(connect_ms(NETADDR_IP6), 30, 31);
	assert_in_range(lost, 1, 6);
	expect_path(NETADDR_IP4);
	/* Nor does the nomination wait for checks that can only fail. */
	wire_run(&w, 600 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	expect_path(NETADDR_IP4);
}

static void ipv4_is_broken(void **state)
{
	(void)state;
	assert_in_range(connect_ms(NETADDR_IP4), 20, 21);
	wire_run(&w, 600 * US_PER_MS);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	expect_path(NETADDR_IP6);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_broken_family),
		T(ipv6_is_broken),
		T(ipv4_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
