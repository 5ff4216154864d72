/* The route table: rules of add and remove, longest prefix, and thousands of random operations
 * against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/route/table.h"

static struct netprefix prefix(const char *text)
{
	struct netprefix p;

	assert_int_equal(netprefix_parse(text, &p), OK);
	return p;
}

static uint32_t lookup(const struct route_table *t, const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse_ip(text, 99, &a), OK);
	return route_table_lookup(t, &a);
}

static void add(struct route_table *t, const char *text, uint32_t target)
{
	struct netprefix p = prefix(text);

	assert_int_equal(route_table_add(t, &p, target), OK);
}

static void test_longest_prefix(void **state)
{
	struct route_table *t;
	struct netprefix p;

	(void)state;
	assert_int_equal(route_table_create(&t, 32), OK);
	assert_int_equal(lookup(t, "10.1.2.3"), ROUTE_NONE);
	add(t, "10.1.2.3/32", 1);
	add(t, "10.1.2.0/24", 2);
	add(t, "10.1.0.0/16", 3);
	add(t, "10.0.0.0/8", ROUTE_UNRESOLVED);
	add(t, "fd00::1/128", 4);
	add(t, "fd00::/64", 5);
	add(t, "fd00::/63", 6);
	add(t, "fd00::8000:0:0:0/65", 7);
	add(t, "10.1.2.4/32", ROUTE_SELF);
	assert_int_equal(lookup(t, "10.1.2.3"), 1);
	assert_int_equal(lookup(t, "10.1.2.4"), ROUTE_SELF);
	assert_int_equal(lookup(t, "10.1.2.5"), 2);
	assert_int_equal(lookup(t, "10.1.3.3"), 3);
	assert_int_equal(lookup(t, "10.2.2.3"), ROUTE_UNRESOLVED);
	assert_int_equal(lookup(t, "11.1.2.3"), ROUTE_NONE);
	assert_int_equal(lookup(t, "fd00::1"), 4);
	assert_int_equal(lookup(t, "fd00::2"), 5);
	assert_int_equal(lookup(t, "fd00:0:0:1::2"), 6);
	assert_int_equal(lookup(t, "fd00::8000:0:0:2"), 7);
	assert_int_equal(lookup(t, "fd00:0:0:2::2"), ROUTE_NONE);
	add(t, "0.0.0.0/0", 8);
	assert_int_equal(lookup(t, "11.1.2.3"), 8);
	assert_int_equal(lookup(t, "fd01::1"), ROUTE_NONE);
	add(t, "::/0", 9);
	assert_int_equal(lookup(t, "fd01::1"), 9);

	p = prefix("10.1.2.0/24");
	assert_int_equal(route_table_remove(t, &p), OK);
	assert_int_equal(route_table_remove(t, &p), ERR_NOT_FOUND);
	assert_int_equal(lookup(t, "10.1.2.5"), 3);
	assert_int_equal(lookup(t, "10.1.2.3"), 1);
	route_table_destroy(t);
	route_table_destroy(NULL);
}

static void test_limits_and_errors(void **state)
{
	struct route_table *t;
	struct netprefix p = prefix("10.0.0.0/8");
	struct netaddr none = {0};

	(void)state;
	assert_int_equal(route_table_create(&t, 0), ERR_INVALID);
	assert_int_equal(route_table_create(&t, SIZE_MAX), ERR_INVALID);
	assert_int_equal(route_table_create(&t, 2), OK);
	assert_int_equal(route_table_add(t, &p, 7), OK);
	assert_int_equal(route_table_add(t, &p, 7), OK);
	assert_int_equal(route_table_add(t, &p, 8), ERR_EXISTS);
	assert_int_equal(route_table_count(t), 1);
	assert_int_equal(route_table_add(t, &p, ROUTE_NONE), ERR_INVALID);
	assert_int_equal(route_table_add(t, &p, ROUTE_MAX_PEER + 1), ERR_INVALID);
	p.length_bits = 33;
	assert_int_equal(route_table_add(t, &p, 7), ERR_INVALID);
	assert_int_equal(route_table_remove(t, &p), ERR_NOT_FOUND);
	p.length_bits = 6; /* a host bit stands */
	assert_int_equal(route_table_add(t, &p, 7), ERR_INVALID);
	p.family = 5;
	assert_int_equal(route_table_add(t, &p, 7), ERR_INVALID);
	add(t, "10.0.0.1/32", 1);
	p = prefix("10.0.0.2/32");
	assert_int_equal(route_table_add(t, &p, 1), ERR_LIMIT);
	assert_int_equal(route_table_lookup(t, &none), ROUTE_NONE);
	route_table_destroy(t);
}

static void test_clone_is_independent(void **state)
{
	struct route_table *t, *copy;

	(void)state;
	assert_int_equal(route_table_create(&t, 100), OK);
	add(t, "10.0.0.0/8", 1);
	assert_int_equal(route_table_clone(&copy, t), OK);
	add(t, "10.1.0.0/16", 2);
	assert_int_equal(lookup(copy, "10.1.0.1"), 1);
	route_table_remove_target(t, 1);
	assert_int_equal(lookup(t, "10.2.0.1"), ROUTE_NONE);
	route_table_destroy(t);
	assert_int_equal(lookup(copy, "10.2.0.1"), 1);
	add(copy, "10.3.0.0/16", 3);
	assert_int_equal(lookup(copy, "10.3.0.1"), 3);
	route_table_destroy(copy);
}

/* --- the model: a list ------------------------------------------------------------------------ */

#define MODEL_MAX 300

struct model {
	struct netprefix prefix[MODEL_MAX];
	uint32_t target[MODEL_MAX];
	size_t count;
};

static uint32_t model_lookup(const struct model *m, const struct netaddr *a)
{
	uint32_t found = ROUTE_NONE;
	int length_bits = -1;

	for (size_t i = 0; i < m->count; i++) {
		if (m->prefix[i].length_bits > length_bits &&
		    netprefix_contains(&m->prefix[i], a)) {
			found = m->target[i];
			length_bits = m->prefix[i].length_bits;
		}
	}
	return found;
}

static size_t model_find(const struct model *m, const struct netprefix *p)
{
	size_t i = 0;

	while (i < m->count && !netprefix_equal(&m->prefix[i], p))
		i++;
	return i;
}

static void model_remove(struct model *m, size_t i)
{
	m->count--;
	m->prefix[i] = m->prefix[m->count];
	m->target[i] = m->target[m->count];
}

static enum err model_add(struct model *m, const struct netprefix *p, uint32_t target)
{
	size_t i = model_find(m, p);

	if (i < m->count)
		return m->target[i] == target ? OK : ERR_EXISTS;
	if (m->count == MODEL_MAX)
		return ERR_LIMIT;
	m->prefix[m->count] = *p;
	m->target[m->count++] = target;
	return OK;
}

/* Few distinct bits, so that prefixes meet each other and the addresses asked for. */
static struct netaddr random_addr(const struct random_source *r)
{
	uint8_t ip[16] = {0};
	bool is_ip4 = random_below(r, 2);
	size_t len = is_ip4 ? 4 : 16;

	for (size_t i = 0; i < 5; i++) {
		uint32_t bit = random_below(r, is_ip4 ? 32 : 128);

		ip[bit / 8 % len] |= (uint8_t)(0x80 >> bit % 8);
	}
	if (random_below(r, 2))
		ip[len - 1] = (uint8_t)random_below(r, 256);
	return is_ip4 ? netaddr_from_ip4(ip, 0) : netaddr_from_ip6(ip, 0);
}

static struct netprefix random_prefix(const struct random_source *r)
{
	static const uint8_t common4[] = {32, 32, 32, 24, 16, 8, 0};
	static const uint8_t common6[] = {128, 128, 128, 64, 48, 65, 0};
	struct netaddr a = random_addr(r);
	uint8_t length_bits = (uint8_t)random_below(r, a.family == NETADDR_IP4 ? 33 : 129);

	if (random_below(r, 2))
		length_bits = a.family == NETADDR_IP4 ? common4[random_below(r, 7)]
						      : common6[random_below(r, 7)];
	return netprefix_of(&a, length_bits);
}

static void model_step(struct model *m, struct route_table *t, const struct random_source *r)
{
	struct netprefix p = random_prefix(r);
	uint32_t target = random_below(r, 20);
	uint32_t what = random_below(r, 100);

	if (what < 60) {
		assert_int_equal(route_table_add(t, &p, target), model_add(m, &p, target));
	} else if (what < 98) {
		size_t i = m->count && what < 90 ? random_below(r, (uint32_t)m->count)
						 : model_find(m, &p);
		enum err expected = i < m->count ? OK : ERR_NOT_FOUND;

		if (i < m->count)
			p = m->prefix[i];
		assert_int_equal(route_table_remove(t, &p), expected);
		if (expected == OK)
			model_remove(m, i);
	} else {
		route_table_remove_target(t, target);
		for (size_t i = 0; i < m->count;) {
			if (m->target[i] == target)
				model_remove(m, i);
			else
				i++;
		}
	}
	assert_int_equal(route_table_count(t), m->count);
}

static void test_random_against_model(void **state)
{
	struct random_seeded seeded;
	struct random_source r = random_seeded_source(&seeded);

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model m = {.count = 0};
		struct route_table *t;

		random_seeded_init(&seeded, seed);
		assert_int_equal(route_table_create(&t, MODEL_MAX), OK);
		for (int step = 0; step < 3000; step++) {
			struct netaddr a = random_addr(&r);

			model_step(&m, t, &r);
			if (route_table_lookup(t, &a) != model_lookup(&m, &a))
				fail_msg("seed %llu step %d", (unsigned long long)seed, step);
		}
		route_table_destroy(t);
	}
}

static void test_ten_thousand_peers(void **state)
{
	struct route_table *t;
	struct netaddr a = netaddr_from_ip4((const uint8_t[4]){10, 0, 0, 0}, 0);

	(void)state;
	assert_int_equal(route_table_create(&t, 20000), OK);
	for (uint32_t i = 0; i < 10000; i++) {
		struct netprefix p;

		a.ip[2] = (uint8_t)(i >> 8);
		a.ip[3] = (uint8_t)i;
		p = netprefix_of(&a, 32);
		assert_int_equal(route_table_add(t, &p, i), OK);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		a.ip[2] = (uint8_t)(i >> 8);
		a.ip[3] = (uint8_t)i;
		assert_int_equal(route_table_lookup(t, &a), i);
	}
	route_table_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_prefix),
		cmocka_unit_test(test_limits_and_errors),
		cmocka_unit_test(test_clone_is_independent),
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_ten_thousand_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
