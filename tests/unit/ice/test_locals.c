#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/locals.h"

static struct ice_locals l;

static int set_up(void **state)
{
	(void)state;
	return ice_locals_init(&l, 4) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ice_locals_fini(&l);
	return 0;
}

static void sockets_by_number(void **state)
{
	struct netaddr a = wire_addr("192.0.2.1:1");

	(void)state;
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(ice_locals_add(&l, (uint16_t)(10 * i), &a, i), OK);
	assert_int_equal(ice_locals_add(&l, 20, &a, 1), ERR_EXISTS);
	assert_int_equal(ice_locals_add(&l, 99, &a, 1), ERR_LIMIT);
	assert_int_equal(ice_locals_find(&l, 30)->local_preference, 3);
	assert_null(ice_locals_find(&l, 99));
	assert_null(ice_locals_find(&l, ICE_NO_SOCKET));
	ice_locals_remove(&l, 10);
	ice_locals_remove(&l, 10);
	assert_null(ice_locals_find(&l, 10));
	assert_int_equal(l.socket_count, 3);
	assert_null(ice_locals_find(&l, ICE_NO_SOCKET)); /* a free row is no socket */
	assert_int_equal(ice_locals_add(&l, 99, &a, 1), OK);
}

static void refused_addresses(void **state)
{
	struct netaddr ok = wire_addr("192.0.2.1:1"), blocked = wire_addr("10.1.2.3:1");
	struct netaddr six = wire_addr("[fd00::1]:1"), mapped = wire_addr("[::ffff:10.1.2.3]:1");

	(void)state;
	assert_int_equal(netprefix_parse("10.1.0.0/16", &l.blocked[0]), OK);
	assert_int_equal(netprefix_parse("fd00::/64", &l.blocked[1]), OK);
	l.blocked_count = 2;
	assert_false(ice_locals_refuses(&l, &ok));
	assert_true(ice_locals_refuses(&l, &blocked));
	assert_true(ice_locals_refuses(&l, &six));
	assert_true(ice_locals_refuses(&l, &mapped)); /* written in another way */
	ok.port = 0;
	assert_true(ice_locals_refuses(&l, &ok));
}

static void the_list_of_candidates(void **state)
{
	struct netaddr a = wire_addr("10.0.0.1:1000"), b = wire_addr("10.0.0.2:1000");
	struct netaddr m1 = wire_addr("192.0.2.1:5"), m2 = wire_addr("192.0.2.1:6");
	struct netaddr s1 = wire_addr("198.51.100.1:3478"), s2 = wire_addr("198.51.100.2:3478");

	(void)state;
	assert_int_equal(ice_locals_add(&l, 0, &a, 65534), OK);
	assert_int_equal(ice_locals_add(&l, 1, &b, 65535), OK);
	ice_locals_list_hosts(&l);
	assert_int_equal(l.candidate_count, 2);
	ice_locals_list_mapped(&l, &l.sockets[0], &m1, &s1);
	ice_locals_list_mapped(&l, &l.sockets[0], &m1, &s2); /* seen alike */
	ice_locals_list_mapped(&l, &l.sockets[0], &a, &s1);  /* no NAT */
	ice_locals_list_mapped(&l, &l.sockets[0], &m2, &s2); /* symmetric NAT */
	assert_int_equal(l.candidate_count, 4);
	/* Best first, each with a priority of its own. */
	for (size_t i = 1; i < l.candidate_count; i++)
		assert_true(l.candidates[i - 1].priority > l.candidates[i].priority);
	assert_int_equal(l.candidates[0].socket, 1);
	assert_int_equal(l.candidates[0].type, ICE_CANDIDATE_HOST);
	assert_int_equal(l.candidates[0].priority, ice_priority(ICE_CANDIDATE_HOST, 65535));
	assert_int_equal(l.candidates[0].related.family, NETADDR_NONE);
	assert_int_equal(l.candidates[2].type, ICE_CANDIDATE_SRFLX);
	assert_int_equal(l.candidates[2].priority, ice_priority(ICE_CANDIDATE_SRFLX, 65534));
	assert_true(netaddr_equal(&l.candidates[2].addr, &m1));
	assert_true(netaddr_equal(&l.candidates[2].base, &a));
	assert_true(netaddr_equal(&l.candidates[2].related, &a));
	assert_string_not_equal(l.candidates[2].foundation, l.candidates[3].foundation);
	assert_ptr_equal(ice_locals_find_candidate(&l, 0, &m2), &l.candidates[3]);
	assert_null(ice_locals_find_candidate(&l, 1, &m2));
	for (size_t i = 0; i < l.candidate_count; i++)
		assert_int_equal(ice_candidate_check(&l.candidates[i]), OK);
}

static void a_full_list_keeps_the_best(void **state)
{
	struct netaddr a = wire_addr("10.0.0.1:1000"), m = wire_addr("192.0.2.1:1");

	(void)state;
	assert_int_equal(ice_locals_add(&l, 0, &a, 65535), OK);
	ice_locals_list_hosts(&l);
	for (uint16_t i = 0; i < 100; i++) {
		m.port = (uint16_t)(i + 1);
		ice_locals_list_mapped(&l, &l.sockets[0], &m, &m);
	}
	assert_int_equal(l.candidate_count, ICE_MAX_CANDIDATES);
	assert_int_equal(l.candidates[0].type, ICE_CANDIDATE_HOST);
	assert_int_equal(l.candidates[1].addr.port, 1);
	for (size_t i = 1; i < l.candidate_count; i++)
		assert_true(l.candidates[i - 1].priority > l.candidates[i].priority);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(sockets_by_number),
		T(refused_addresses),
		T(the_list_of_candidates),
		T(a_full_list_keeps_the_best),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
