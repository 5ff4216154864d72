/* What a kernel sends into the device by itself. */
#include "tests/unit/data/host.h"

static struct host a;

static int set_up(void **state)
{
	(void)state;
	host_start(&a, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	host_stop(&a);
	return 0;
}

/* From nowhere, as before a host has an address. */
static void ip6_packet(uint8_t *ret, size_t len, const struct netaddr *destination)
{
	memset(ret, 0, len);
	ret[0] = 0x60;
	ret[5] = (uint8_t)(len - 40);
	ret[6] = 58;
	ret[7] = 1;
	memcpy(ret + 24, destination->ip, 16);
}

/* Listener reports, solicitations of routers, names of neighbours: counted on their own, they go no
 * further, so nothing wakes for them. */
static void test_what_belongs_to_a_link(void **state)
{
	static const char *const to[] = {
		"ff02::16", "ff02::2", "fe80::1", "ff05::2", "224.0.0.251", "169.254.1.1",
	};
	uint8_t packet[100];
	struct data_counters c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		struct netaddr dst = ip(to[i]);

		if (dst.family == NETADDR_IP4)
			ip4_packet(packet, sizeof(packet), &a.overlay, &dst, i);
		else
			ip6_packet(packet, sizeof(packet), &dst);
		assert_int_equal(write(a.tun, packet, sizeof(packet)), sizeof(packet));
	}
	host_drain_tun(&a);
	assert_int_equal(host_drops(&a, DROP_LINK), ARRAY_SIZE(to));
	assert_int_equal(host_drops(&a, DROP_NO_ROUTE), 0);
	/* That of host_drain_tun() alone. */
	data_plane_counters(a.plane, &c);
	assert_int_equal(c.tx_unrouted, 1);
	host_check_balance(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_belongs_to_a_link, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
