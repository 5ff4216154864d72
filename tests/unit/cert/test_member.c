#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cert/member.h"

static struct cert sample(void)
{
	struct cert c = {.serial = 7, .noise_public = {1, 2, 3}, .address_count = 2};

	assert_int_equal(netaddr_parse_ip("10.77.0.1", 0, &c.addresses[0]), OK);
	assert_int_equal(netaddr_parse_ip("fd00::1", 0, &c.addresses[1]), OK);
	assert_int_equal(netprefix_parse("192.168.0.0/16", &c.routes[0]), OK);
	c.route_count = 1;
	return c;
}

static void keeps_addresses_and_routes(void **state)
{
	struct cert c = sample();
	struct member *m;

	(void)state;
	assert_int_equal(member_create(&m, &c), OK);
	assert_true(m->serial == 7);
	assert_memory_equal(m->noise_public, c.noise_public, sizeof(c.noise_public));
	assert_int_equal(m->address_count, 2);
	assert_int_equal(m->prefix_count, 3);
	for (size_t i = 0; i < 2; i++) {
		struct netaddr a = member_address(m, i);

		assert_true(netaddr_equal(&a, &c.addresses[i]));
	}
	assert_int_equal(m->prefixes[0].length_bits, 32);
	assert_int_equal(m->prefixes[1].length_bits, 128);
	assert_true(netprefix_equal(&m->prefixes[2], &c.routes[0]));
	member_destroy(m);
	member_destroy(NULL);
}

static void knows_what_moved(void **state)
{
	struct cert c = sample();
	struct member *m, *other;

	(void)state;
	assert_int_equal(member_create(&m, &c), OK);
	c.serial++;
	c.noise_public[0]++;
	assert_int_equal(member_create(&other, &c), OK);
	assert_true(member_is_same_place(m, other));
	member_destroy(other);
	c.addresses[1].ip[15]++;
	assert_int_equal(member_create(&other, &c), OK);
	assert_false(member_is_same_place(m, other));
	member_destroy(other);
	c = sample();
	c.route_count = 0;
	assert_int_equal(member_create(&other, &c), OK);
	assert_false(member_is_same_place(m, other));
	member_destroy(other);
	member_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_addresses_and_routes),
		cmocka_unit_test(knows_what_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
