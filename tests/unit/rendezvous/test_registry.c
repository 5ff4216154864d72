#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/time.h"
#include "rendezvous/registry.h"

#define LEASE_US (75 * US_PER_S)

static struct cert cert_of(const char *name, uint8_t number)
{
	const uint8_t ip[4] = {100, 96, 0, number};
	struct cert c = {.serial = number, .address_count = 1};

	snprintf(c.name, sizeof(c.name), "%s", name);
	memset(c.curve_public, number, sizeof(c.curve_public));
	c.addresses[0] = netaddr_from_ip4(ip, 0);
	return c;
}

static struct member *put(struct registry *r, uint64_t now_us, uint32_t connection,
			  const char *name, uint8_t number)
{
	const struct cert c = cert_of(name, number);
	struct member *m;

	assert_int_equal(registry_set_online(r, now_us, connection, 1, &c, (const uint8_t *)name,
					     strlen(name), &m),
			 OK);
	return m;
}

static void test_three_ways_to_find(void **state)
{
	const uint8_t ip[4] = {100, 96, 0, 7};
	const struct netaddr address = netaddr_from_ip4(ip, 1234);
	struct registry r;
	struct member *m;

	(void)state;
	registry_init(&r, 10, LEASE_US);
	m = put(&r, 0, 4711, "alice", 7);
	assert_ptr_equal(registry_find(&r, "alice"), m);
	assert_ptr_equal(registry_find_connection(&r, 4711), m);
	assert_ptr_equal(registry_find_address(&r, &address), m);
	assert_null(registry_find(&r, "alic"));
	assert_null(registry_find_connection(&r, 4712));
	assert_memory_equal(m->certificate, "alice", 5);
	/* Another connection, another address. */
	assert_ptr_equal(put(&r, 0, 4712, "alice", 8), m);
	assert_null(registry_find_connection(&r, 4711));
	assert_ptr_equal(registry_find_connection(&r, 4712), m);
	assert_null(registry_find_address(&r, &address));
	assert_int_equal(r.online_count, 1);
	registry_fini(&r);
}

static void test_first_keeps_an_address(void **state)
{
	const uint8_t ip[4] = {100, 96, 0, 7};
	const struct netaddr address = netaddr_from_ip4(ip, 0);
	struct registry r;
	struct member *alice;

	(void)state;
	registry_init(&r, 10, LEASE_US);
	alice = put(&r, 0, 1, "alice", 7);
	put(&r, 0, 2, "bob", 7);
	assert_ptr_equal(registry_find_address(&r, &address), alice);
	registry_set_gone(&r, 0, registry_find(&r, "bob"));
	assert_ptr_equal(registry_find_address(&r, &address), alice);
	registry_set_gone(&r, 0, alice);
	assert_null(registry_find_address(&r, &address));
	registry_fini(&r);
}

static void test_lease(void **state)
{
	struct registry r;
	struct member *alice;
	struct member *bob;

	(void)state;
	registry_init(&r, 10, LEASE_US);
	assert_int_equal(registry_next_deadline(&r), DEADLINE_NONE);
	alice = put(&r, 0, 1, "alice", 1);
	bob = put(&r, 10, 2, "bob", 2);
	assert_int_equal(registry_next_deadline(&r), LEASE_US);
	registry_renew(&r, 20, alice);
	assert_int_equal(registry_next_deadline(&r), 10 + LEASE_US);
	assert_null(registry_expired(&r, 9 + LEASE_US));
	assert_ptr_equal(registry_expired(&r, 10 + LEASE_US), bob);
	registry_set_gone(&r, 10 + LEASE_US, bob);
	assert_ptr_equal(registry_find(&r, "bob"), bob);
	assert_int_equal(bob->state, MEMBER_GONE);
	assert_null(registry_find_connection(&r, 2));
	registry_forget(&r, 9 + LEASE_US + REGISTRY_GONE_US);
	assert_non_null(registry_find(&r, "bob"));
	registry_forget(&r, 10 + LEASE_US + REGISTRY_GONE_US);
	assert_null(registry_find(&r, "bob"));
	/* Back again: the same entry as before, once more a change. */
	registry_set_gone(&r, 50, alice);
	assert_ptr_equal(put(&r, 60, 9, "alice", 1), alice);
	assert_int_equal(alice->state, MEMBER_ONLINE);
	registry_fini(&r);
}

static void test_full(void **state)
{
	const struct cert dave = cert_of("dave", 4);
	struct registry r;
	struct member *m;

	(void)state;
	registry_init(&r, 3, LEASE_US);
	put(&r, 0, 1, "alice", 1);
	put(&r, 0, 2, "bob", 2);
	put(&r, 0, 3, "carol", 3);
	assert_int_equal(registry_set_online(&r, 0, 4, 1, &dave, dave.curve_public, 1, &m),
			 ERR_LIMIT);
	/* Those who are there may come again; those who went make room. */
	put(&r, 0, 5, "bob", 2);
	registry_set_gone(&r, 0, registry_find(&r, "alice"));
	assert_int_equal(registry_set_online(&r, 0, 4, 1, &dave, dave.curve_public, 1, &m), OK);
	assert_null(registry_find(&r, "alice"));
	assert_int_equal(r.online_count, 3);
	registry_fini(&r);
}

static void test_changes_are_in_order(void **state)
{
	struct registry r;
	uint64_t last = 0;
	unsigned count = 0;

	(void)state;
	registry_init(&r, 10, LEASE_US);
	put(&r, 0, 1, "alice", 1);
	put(&r, 0, 2, "bob", 2);
	put(&r, 0, 3, "carol", 3);
	put(&r, 0, 4, "alice", 1);
	registry_set_gone(&r, 0, registry_find(&r, "bob"));
	for (struct member *m = r.changes; m; m = m->change_next, count++) {
		assert_true(m->change > last);
		last = m->change;
	}
	assert_int_equal(count, 3);
	assert_string_equal(r.changes->name, "carol");
	assert_int_equal(last, r.last_change);
	registry_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_ways_to_find),
		cmocka_unit_test(test_first_keeps_an_address),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_changes_are_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
