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

static enum err add_socket(uint16_t number, const struct netaddr *addr, uint16_t preference)
{
	return ice_locals_add(&l, &(struct ice_base){.via = ice_via_socket(number),
						     .local_preference = preference,
						     .addr = *addr});
}

static enum err add_relay(uint16_t number, uint16_t socket, const char *relayed,
			  uint16_t preference)
{
	return ice_locals_add(&l, &(struct ice_base){.via = {.socket = socket, .relay = number},
						     .local_preference = preference,
						     .addr = wire_addr(relayed),
						     .mapped = wire_addr("203.0.113.1:7"),
						     .server = wire_addr("198.51.100.9:3478")});
}

static struct ice_base *find(uint16_t socket)
{
	return ice_locals_find(&l, ice_via_socket(socket));
}

static void sockets_by_number(void **state)
{
	struct netaddr a = wire_addr("192.0.2.1:1");

	(void)state;
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(add_socket((uint16_t)(10 * i), &a, i), OK);
	assert_int_equal(add_socket(20, &a, 1), ERR_EXISTS);
	assert_int_equal(add_socket(99, &a, 1), ERR_LIMIT);
	assert_int_equal(find(30)->local_preference, 3);
	assert_null(find(99));
	assert_null(find(ICE_NO_SOCKET));
	ice_locals_remove(&l, ice_via_socket(10));
	ice_locals_remove(&l, ice_via_socket(10));
	assert_null(find(10));
	assert_int_equal(l.socket_count, 3);
	assert_null(find(ICE_NO_SOCKET)); /* a free row is no socket */
	assert_int_equal(add_socket(99, &a, 1), OK);
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
	assert_int_equal(add_socket(0, &a, 65534), OK);
	assert_int_equal(add_socket(1, &b, 65535), OK);
	ice_locals_list_bases(&l);
	assert_int_equal(l.candidate_count, 2);
	ice_locals_list_mapped(&l, &l.bases[0], &m1, &s1);
	ice_locals_list_mapped(&l, &l.bases[0], &m1, &s2); /* seen alike */
	ice_locals_list_mapped(&l, &l.bases[0], &a, &s1);  /* no NAT */
	ice_locals_list_mapped(&l, &l.bases[0], &m2, &s2); /* symmetric NAT */
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
	assert_ptr_equal(ice_locals_find_candidate(&l, ice_via_socket(0), &m2), &l.candidates[3]);
	assert_null(ice_locals_find_candidate(&l, ice_via_socket(1), &m2));
	for (size_t i = 0; i < l.candidate_count; i++)
		assert_int_equal(ice_candidate_check(&l.candidates[i]), OK);
}

static size_t count_of(enum ice_candidate_type type)
{
	size_t count = 0;

	for (size_t i = 0; i < l.candidate_count; i++)
		count += l.candidates[i].type == type;
	return count;
}

static void the_best_of_each_type_are_kept(void **state)
{
	struct netaddr a = wire_addr("10.0.0.1:1000"), m = wire_addr("192.0.2.1:1");

	(void)state;
	tear_down(NULL);
	assert_int_equal(ice_locals_init(&l, 20), OK);
	for (uint16_t i = 0; i < 20; i++) {
		a.port = (uint16_t)(1000 + i);
		assert_int_equal(add_socket(i, &a, (uint16_t)(100 + 7 * i % 20)), OK);
	}
	for (uint16_t i = 1; i <= 4; i++)
		assert_int_equal(add_relay(i, 0, "198.51.100.9:50000", i), OK);
	ice_locals_list_bases(&l);
	for (uint16_t i = 0; i < 100; i++) {
		m.port = (uint16_t)(i + 1);
		ice_locals_list_mapped(&l, find(0), &m, &m);
	}
	assert_int_equal(count_of(ICE_CANDIDATE_HOST), ICE_MAX_HOST_CANDIDATES);
	assert_int_equal(count_of(ICE_CANDIDATE_SRFLX), ICE_MAX_SRFLX_CANDIDATES);
	assert_int_equal(count_of(ICE_CANDIDATE_RELAY), ICE_MAX_RELAY_CANDIDATES);
	for (size_t i = 0; i < ICE_MAX_HOST_CANDIDATES; i++)
		assert_int_equal(l.candidates[i].priority,
				 ice_priority(ICE_CANDIDATE_HOST, (uint16_t)(119 - i)));
	assert_int_equal(l.candidates[ICE_MAX_HOST_CANDIDATES].addr.port, 1);
	assert_int_equal(l.candidates[l.candidate_count - 2].relay, 4);
	assert_int_equal(l.candidates[l.candidate_count - 1].relay, 3);
	for (size_t i = 1; i < l.candidate_count; i++)
		assert_true(l.candidates[i - 1].priority > l.candidates[i].priority);
}

static void relayed_candidates(void **state)
{
	struct netaddr a = wire_addr("192.0.2.1:1000"), b = wire_addr("192.0.2.2:1000");
	const struct ice_candidate *c;
	char first[ICE_FOUNDATION_MAX_BYTES + 1];

	(void)state;
	assert_int_equal(add_socket(0, &a, 65535), OK);
	assert_int_equal(add_socket(1, &b, 65534), OK);
	assert_int_equal(add_relay(7, 0, "198.51.100.9:50000", 3), OK);
	assert_int_equal(add_relay(7, 1, "198.51.100.9:50001", 3), ERR_EXISTS);
	/* One that is reached over a stream has no socket. */
	assert_int_equal(add_relay(8, ICE_NO_SOCKET, "198.51.100.10:50000", 2), OK);
	assert_int_equal(ice_locals_find_relay(&l, 7)->via.socket, 0);
	assert_int_equal(ice_locals_find_relay(&l, 8)->via.socket, ICE_NO_SOCKET);
	assert_null(ice_locals_find_relay(&l, 9));
	assert_null(ice_locals_find_relay(&l, 0));
	assert_ptr_not_equal(find(0), ice_locals_find_relay(&l, 7));
	ice_locals_list_bases(&l);
	assert_int_equal(l.candidate_count, 4);
	c = &l.candidates[2];
	assert_int_equal(c->type, ICE_CANDIDATE_RELAY);
	assert_int_equal(c->relay, 7);
	assert_int_equal(c->socket, 0);
	assert_int_equal(c->priority, 3 << 8 | 255);
	assert_int_equal(c->addr.port, 50000);
	assert_true(netaddr_equal(&c->base, &c->addr));
	assert_int_equal(c->related.port, 7);
	assert_string_not_equal(c->foundation, l.candidates[3].foundation);
	/* The same server and address once more: the same foundation. */
	strcpy(first, c->foundation);
	ice_locals_remove(&l, (struct ice_via){.socket = 0, .relay = 7});
	assert_int_equal(l.relay_count, 1);
	assert_int_equal(add_relay(9, 0, "198.51.100.9:50009", 3), OK);
	ice_locals_list_bases(&l);
	assert_string_equal(l.candidates[2].foundation, first);
	/* A relayed address that is one of our sockets is no candidate of its own. */
	assert_int_equal(add_relay(10, 0, "192.0.2.2:1000", 9), OK);
	ice_locals_list_bases(&l);
	assert_int_equal(l.candidate_count, 4);
	for (size_t i = 0; i < l.candidate_count; i++)
		assert_int_equal(ice_candidate_check(&l.candidates[i]), OK);
	for (uint16_t i = 20; l.relay_count < ICE_MAX_RELAYS; i++)
		assert_int_equal(add_relay(i, 0, "198.51.100.9:50000", 1), OK);
	assert_int_equal(add_relay(99, 0, "198.51.100.9:50000", 1), ERR_LIMIT);
	assert_int_equal(add_socket(2, &a, 1), OK); /* sockets have places of their own */
}

static void new_candidates_are_told_once(void **state)
{
	struct netaddr a = wire_addr("10.0.0.1:1000"), m = wire_addr("192.0.2.1:5");

	(void)state;
	assert_null(ice_locals_pop_new(&l));
	assert_int_equal(add_socket(0, &a, 65535), OK);
	ice_locals_list_bases(&l);
	assert_int_equal(ice_locals_pop_new(&l)->type, ICE_CANDIDATE_HOST);
	assert_null(ice_locals_pop_new(&l));
	ice_locals_list_bases(&l);
	ice_locals_list_mapped(&l, find(0), &m, &m);
	assert_int_equal(ice_locals_pop_new(&l)->type, ICE_CANDIDATE_SRFLX);
	assert_null(ice_locals_pop_new(&l));
	/* Gone and back is new. */
	ice_locals_list_bases(&l);
	assert_null(ice_locals_pop_new(&l));
	ice_locals_list_mapped(&l, find(0), &m, &m);
	assert_int_equal(ice_locals_pop_new(&l)->type, ICE_CANDIDATE_SRFLX);
}

static void low_ports_of_others(void **state)
{
	static const struct {
		const char *addr;
		bool refused;
	} table[] = {
		{"203.0.113.1:1", true},     {"203.0.113.1:53", true},
		{"203.0.113.1:1023", true},  {"203.0.113.1:1024", false},
		{"203.0.113.1:443", false},  {"203.0.113.1:80", false},
		{"192.168.1.1:443", true},   {"[fd00::1]:443", true},
		{"[fe80::1]:80", true},	     {"100.64.0.1:443", true},
		{"192.168.1.1:1024", false}, {"[2001:db8::1]:443", false},
		{"127.0.0.1:5000", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct netaddr a = wire_addr(table[i].addr);

		if (ice_locals_refuses_remote(&l, &a) != table[i].refused)
			fail_msg("%s", table[i].addr);
	}
	l.allow_low_ports = true;
	for (size_t i = 0; i + 1 < ARRAY_SIZE(table); i++) {
		struct netaddr a = wire_addr(table[i].addr);

		assert_false(ice_locals_refuses_remote(&l, &a));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(sockets_by_number),	   T(refused_addresses),
		T(the_list_of_candidates), T(the_best_of_each_type_are_kept),
		T(relayed_candidates),	   T(new_candidates_are_told_once),
		T(low_ports_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
