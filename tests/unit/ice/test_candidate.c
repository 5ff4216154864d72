#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/ice/candidate.h"

static struct netaddr addr(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static void priorities(void **state)
{
	static const struct {
		enum ice_candidate_type type;
		uint16_t local;
		uint32_t priority;
	} table[] = {
		/* RFC 8445 s. 5.1.2.1 by hand: type << 24 | local << 8 | 255. */
		{ICE_CANDIDATE_HOST, 65535, 2130706431},
		{ICE_CANDIDATE_HOST, 65534, 2130706175},
		{ICE_CANDIDATE_HOST, 0, 2113929471},
		{ICE_CANDIDATE_PRFLX, 65535, 1862270975},
		{ICE_CANDIDATE_SRFLX, 65535, 1694498815},
		{ICE_CANDIDATE_RELAY, 65535, 16777215},
		{ICE_CANDIDATE_RELAY, 0, 255},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(ice_priority(table[i].type, table[i].local), table[i].priority);
}

static void pair_priorities(void **state)
{
	static const struct {
		uint32_t g, d;
		uint64_t priority;
	} table[] = {
		{1, 1, (1ULL << 32) + 2},
		{2, 1, (1ULL << 32) + 5},
		{1, 2, (1ULL << 32) + 4},
		{2130706431, 1694498815, 7277816997797167103ULL},
		{1694498815, 2130706431, 7277816997797167102ULL},
		{0x7fffffff, 0x7fffffff, (0x7fffffffULL << 32) + 0xfffffffeULL},
		/* Clamped: 2^32 - 1 would overflow. */
		{0xffffffff, 0xffffffff, (0x7fffffffULL << 32) + 0xfffffffeULL},
		{0xffffffff, 1, (1ULL << 32) + 0xffffffffULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(ice_pair_priority(table[i].g, table[i].d), table[i].priority);
}

static void foundations_are_by_type_base_and_server(void **state)
{
	struct ice_foundations f = {0};
	struct netaddr a = addr("192.0.2.1:1"), a2 = addr("192.0.2.1:2"), b = addr("192.0.2.2:1");
	struct netaddr s = addr("198.51.100.1:3478"), s2 = addr("198.51.100.2:3478");
	char first[33], text[33];

	(void)state;
	ice_foundation(&f, ICE_CANDIDATE_HOST, &a, NULL, false, first);
	ice_foundation(&f, ICE_CANDIDATE_HOST, &a2, NULL, false, text);
	assert_string_equal(first, text); /* ports do not matter */
	ice_foundation(&f, ICE_CANDIDATE_HOST, &b, NULL, false, text);
	assert_string_not_equal(first, text);
	ice_foundation(&f, ICE_CANDIDATE_SRFLX, &a, &s, false, text);
	assert_string_not_equal(first, text);
	memcpy(first, text, sizeof(first));
	ice_foundation(&f, ICE_CANDIDATE_SRFLX, &a, &s2, false, text);
	assert_string_not_equal(first, text);
	ice_foundation(&f, ICE_CANDIDATE_SRFLX, &a, &s, false, text);
	assert_string_equal(first, text);
	/* Of relays also how their server is reached. */
	ice_foundation(&f, ICE_CANDIDATE_RELAY, &a, &s, false, first);
	ice_foundation(&f, ICE_CANDIDATE_RELAY, &a2, &s, false, text);
	assert_string_equal(first, text);
	ice_foundation(&f, ICE_CANDIDATE_RELAY, &a, &s, true, text);
	assert_string_not_equal(first, text);
	s.port++;
	ice_foundation(&f, ICE_CANDIDATE_RELAY, &a, &s, false, text);
	assert_string_not_equal(first, text);
}

static void foundations_forget_the_oldest(void **state)
{
	struct ice_foundations f = {0};
	struct netaddr a = addr("192.0.2.0:1");
	char text[33];

	(void)state;
	for (int i = 1; i <= ICE_FOUNDATIONS + 1; i++) {
		a.ip[3] = (uint8_t)i;
		ice_foundation(&f, ICE_CANDIDATE_HOST, &a, NULL, false, text);
	}
	assert_string_equal(text, "65");
	a.ip[3] = 2;
	ice_foundation(&f, ICE_CANDIDATE_HOST, &a, NULL, false, text);
	assert_string_equal(text, "2");
	a.ip[3] = 1; /* pushed out by the 65th */
	ice_foundation(&f, ICE_CANDIDATE_HOST, &a, NULL, false, text);
	assert_string_equal(text, "66");
}

static void usable_addresses(void **state)
{
	static const struct {
		const char *text;
		bool usable;
	} table[] = {
		{"192.0.2.1:1", true},	 {"10.0.0.1:65535", true},
		{"169.254.1.1:9", true}, {"[2001:db8::1]:1", true},
		{"[fe80::1]:1", true},	 {"192.0.2.1:0", false},
		{"127.0.0.1:1", false},	 {"0.0.0.0:1", false},
		{"224.0.0.1:1", false},	 {"255.255.255.255:1", false},
		{"[::]:1", false},	 {"[::1]:1", false},
		{"[ff02::1]:1", false},	 {"[::192.0.2.1]:1", false},
		{"[fec0::1]:1", false},	 {"[::ffff:127.0.0.1]:1", false},
	};
	struct netaddr none = {.port = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct netaddr a = addr(table[i].text);

		if (ice_is_usable_address(&a) != table[i].usable)
			fail_msg("%s", table[i].text);
	}
	assert_false(ice_is_usable_address(&none));
}

static void who_pairs_with_whom(void **state)
{
	struct netaddr v4 = addr("192.0.2.1:1"), v4ll = addr("169.254.1.1:1");
	struct netaddr v6 = addr("[2001:db8::1]:1"), ll = addr("[fe80::1]:1");

	(void)state;
	assert_true(ice_can_pair(&v4, &v4ll)); /* the rule is IPv6's */
	assert_true(ice_can_pair(&v6, &v6));
	assert_true(ice_can_pair(&ll, &ll));
	assert_false(ice_can_pair(&v6, &ll));
	assert_false(ice_can_pair(&ll, &v6));
	assert_false(ice_can_pair(&v4, &v6));
	ll.scope_id = 7;
	v6 = ll;
	v6.scope_id = 0;
	assert_false(netaddr_equal(&v6, &ll));
	assert_true(ice_same_address(&v6, &ll));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities),
		cmocka_unit_test(pair_priorities),
		cmocka_unit_test(foundations_are_by_type_base_and_server),
		cmocka_unit_test(foundations_forget_the_oldest),
		cmocka_unit_test(usable_addresses),
		cmocka_unit_test(who_pairs_with_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
