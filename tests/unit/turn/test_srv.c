/* RFC 2782 and RFC 5928: which records are asked for, and which servers are in the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/turn/srv.h"

static struct turn_uri uri_of(const char *text)
{
	struct turn_uri u;

	assert_int_equal(turn_uri_parse(text, &u), OK);
	return u;
}

static void check_services(const char *text, const char *first, const char *second)
{
	struct turn_srv_service s[TURN_SRV_SERVICES_MAX] = {0};
	struct turn_uri u = uri_of(text);
	size_t n = turn_srv_services(&u, s);

	assert_int_equal(n, first ? second ? 2 : 1 : 0);
	if (first)
		assert_string_equal(s[0].name, first);
	if (second)
		assert_string_equal(s[1].name, second);
}

static void services(void **state)
{
	(void)state;
	check_services("stun:a.example", "_stun._udp.a.example", NULL);
	check_services("turn:a.example", "_turn._udp.a.example", "_turn._tcp.a.example");
	check_services("turn:a.example?transport=udp", "_turn._udp.a.example", NULL);
	check_services("turn:a.example?transport=tcp", "_turn._tcp.a.example", NULL);
	check_services("turns:a.example", "_turns._tcp.a.example", NULL);
	check_services("turns:a.example?transport=tcp", "_turns._tcp.a.example", NULL);
	/* What icetun does not use, and what needs no look-up. */
	check_services("turns:a.example?transport=udp", NULL, NULL);
	check_services("stuns:a.example", NULL, NULL);
	check_services("turn:a.example:3478", NULL, NULL);
	check_services("turn:192.0.2.1", NULL, NULL);
	check_services("stun:[2001:db8::1]", NULL, NULL);
}

/* A source that says what the test wants: turns are taken from @values. */
struct fixed {
	const uint64_t *values;
	size_t at;
};

static void fixed_fill(void *ctx, void *buf, size_t len)
{
	struct fixed *f = ctx;

	assert_int_equal(len, sizeof(uint64_t));
	memcpy(buf, &f->values[f->at++], len);
}

static struct turn_srv record(uint16_t priority, uint16_t weight, const char *target)
{
	struct turn_srv r = {.priority = priority, .weight = weight, .port = 3478};

	snprintf(r.target, sizeof(r.target), "%s", target);
	return r;
}

static void check_order(const uint64_t *values, const char *expected)
{
	struct turn_srv list[] = {record(20, 0, "z"), record(10, 60, "a"), record(10, 0, "b"),
				  record(10, 40, "c")};
	struct fixed f = {.values = values};
	struct random_source random = {.fill = fixed_fill, .ctx = &f};
	char order[5] = "";

	turn_srv_sort(list, 4, &random);
	for (size_t i = 0; i < 4; i++)
		order[i] = list[i].target[0];
	assert_string_equal(order, expected);
}

/* The numbers of RFC 2782: from 0 to the sum of weights; the first whose running sum reaches it. */
static void weights(void **state)
{
	(void)state;
	check_order((const uint64_t[]){0, 0, 0, 0}, "bacz");
	check_order((const uint64_t[]){1, 0, 0, 0}, "abcz");
	check_order((const uint64_t[]){60, 40, 0, 0}, "acbz");
	check_order((const uint64_t[]){61, 60, 0, 0}, "cabz");
	check_order((const uint64_t[]){100, 0, 1, 0}, "cbaz");
}

static void weights_are_shares(void **state)
{
	struct random_seeded seed;
	struct random_source random;
	size_t first = 0;

	(void)state;
	random_seeded_init(&seed, 1);
	random = random_seeded_source(&seed);
	for (size_t i = 0; i < 4000; i++) {
		struct turn_srv list[] = {record(1, 25, "a"), record(1, 75, "b")};

		turn_srv_sort(list, 2, &random);
		first += list[0].target[0] == 'a';
	}
	assert_in_range(first, 900, 1140); /* 26/101 of them, give or take four deviations */
}

static void add(struct turn_srv_service *s, uint16_t priority, uint16_t port, const char *target)
{
	struct turn_srv r = record(priority, 1, target);

	r.port = port;
	s->is_answered = true;
	s->records[s->record_count++] = r;
}

/* @expected: the URIs, each followed by a space. */
static void check_expand(const char *text, struct turn_srv_service *s, const char *expected)
{
	struct turn_uri u = uri_of(text), ret[TURN_SRV_SERVERS_MAX];
	struct random_seeded seed;
	struct random_source random;
	char got[1024] = "", one[TURN_URI_TEXT_BYTES];
	struct turn_srv_service names[TURN_SRV_SERVICES_MAX];
	size_t count = turn_srv_services(&u, names), n;

	random_seeded_init(&seed, 7);
	random = random_seeded_source(&seed);
	for (size_t i = 0; i < count; i++)
		s[i].transport = names[i].transport;
	n = turn_srv_expand(&u, s, count, &random, ret);
	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(got);

		snprintf(got + at, sizeof(got) - at, "%s ", turn_uri_format(&ret[i], one));
	}
	assert_string_equal(got, expected);
}

static void servers(void **state)
{
	struct turn_srv_service s[TURN_SRV_SERVICES_MAX] = {0};

	(void)state;
	check_expand("turn:example", s, "");
	add(&s[0], 2, 3478, "b.example");
	add(&s[0], 1, 4000, "A.example");
	add(&s[1], 1, 3478, "b.example");
	add(&s[1], 2, 443, "c.example");
	check_expand("turn:example", s,
		     "turn:a.example:4000?transport=udp turn:b.example:3478 "
		     "turn:c.example:443?transport=tcp ");
	s[1].record_count = 0;
	check_expand("turn:example?transport=udp", s,
		     "turn:a.example:4000?transport=udp turn:b.example:3478?transport=udp ");
	check_expand("stun:example", s, "stun:a.example:4000 stun:b.example:3478 ");
	check_expand("turns:example", s, "turns:a.example:4000 turns:b.example:3478 ");
}

static void what_is_no_server(void **state)
{
	struct turn_srv_service s[TURN_SRV_SERVICES_MAX] = {0};

	(void)state;
	add(&s[0], 1, 3478, "");
	add(&s[0], 1, 3478, "192.0.2.1");
	add(&s[0], 1, 3478, "a b");
	add(&s[0], 1, 3478, "a\\032b");
	add(&s[0], 1, 3478, "a:1");
	add(&s[0], 1, 3478, "a?transport=tcp");
	add(&s[0], 1, 0, "port.example");
	check_expand("stun:example", s, "");
}

/* One transport with many records leaves room for the other. */
static void no_transport_is_crowded_out(void **state)
{
	struct turn_srv_service s[TURN_SRV_SERVICES_MAX] = {0};
	char name[] = "a.example";

	(void)state;
	for (uint16_t i = 0; i < TURN_SRV_RECORDS_MAX; i++, name[0]++)
		add(&s[0], i, 3478, name);
	add(&s[1], 1, 443, "z.example");
	check_expand("turn:example", s,
		     "turn:a.example:3478?transport=udp turn:b.example:3478?transport=udp "
		     "turn:c.example:3478?transport=udp turn:z.example:443?transport=tcp ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services),	      cmocka_unit_test(weights),
		cmocka_unit_test(weights_are_shares), cmocka_unit_test(servers),
		cmocka_unit_test(what_is_no_server),  cmocka_unit_test(no_transport_is_crowded_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
