/* RFC 8839 s. 5, with lines of other implementations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/ice/sdp.h"

static enum err read_line(struct ice_description *d, const char *line)
{
	*d = (struct ice_description){0};
	return ice_sdp_read_line(d, line, strlen(line));
}

/* The example of RFC 8839 s. 5.1, and what libnice, aioice and browsers write. */
static void candidates(void **state)
{
	static const struct {
		const char *line;
		enum ice_candidate_type type;
		uint32_t priority;
		const char *addr, *related;
		size_t extensions;
	} good[] = {
		{"a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 "
		 "rport 8998",
		 ICE_CANDIDATE_SRFLX, 1694498815, "192.0.2.3:45664", "203.0.113.141:8998", 0},
		{"a=candidate:1 1 UDP 2015363327 192.0.2.1 50000 typ host", ICE_CANDIDATE_HOST,
		 2015363327, "192.0.2.1:50000", NULL, 0},
		{"a=candidate:842163049 1 udp 1677729535 192.0.2.9 46154 typ srflx raddr 0.0.0.0 "
		 "rport 0 "
		 "generation 0 ufrag EsAw network-id 1 network-cost 10",
		 ICE_CANDIDATE_SRFLX, 1677729535, "192.0.2.9:46154", NULL, 4},
		{"a=candidate:6815297761 1 Udp 2130706431 2001:db8::1 41702 typ HOST",
		 ICE_CANDIDATE_HOST, 2130706431, "[2001:db8::1]:41702", NULL, 0},
		{"a=candidate:a+/ 1 UDP 4294967295 192.0.2.1 1 typ relay raddr 192.0.2.2 rport "
		 "65535",
		 ICE_CANDIDATE_RELAY, ICE_PRIORITY_MAX, "192.0.2.1:1", "192.0.2.2:65535", 0},
		{"a=candidate:1 1 UDP 1 192.0.2.1 1 typ prflx raddr 192.0.2.2 rport 2\r\n",
		 ICE_CANDIDATE_PRFLX, 1, "192.0.2.1:1", "192.0.2.2:2", 0},
		/* More extensions than there is room for, and one that is too long. */
		{"a=candidate:1 1 UDP 1 192.0.2.1 1 typ host a 1 b 2 c 3 d 4 e 5\n",
		 ICE_CANDIDATE_HOST, 1, "192.0.2.1:1", NULL, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ice_description d;
		struct netaddr addr, related = {0};

		assert_int_equal(read_line(&d, good[i].line), OK);
		assert_int_equal(d.candidate_count, 1);
		assert_int_equal(d.candidates[0].type, good[i].type);
		assert_int_equal(d.candidates[0].priority, good[i].priority);
		assert_int_equal(netaddr_parse(good[i].addr, &addr), OK);
		assert_true(netaddr_equal(&d.candidates[0].addr, &addr));
		if (good[i].related)
			assert_int_equal(netaddr_parse(good[i].related, &related), OK);
		assert_true(netaddr_equal(&d.candidates[0].related, &related));
		assert_int_equal(d.candidates[0].extension_count, good[i].extensions);
	}
}

static void what_is_not_for_us_is_passed_over(void **state)
{
	static const char *const lines[] = {
		"",
		"v=0",
		"a=",
		"a=mid:0",
		"a=rtpmap:96 opus/48000",
		"a=end-of-candidatesx",
		"a=candidate:1 2 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:1 1 TCP 1 192.0.2.1 9 typ host tcptype active",
		"a=candidate:1 1 DCCP 1 192.0.2.1 9 typ host",
		"a=candidate:1 1 UDP 1 4f8a1b.local 9 typ host",
		"a=candidate:1 1 UDP 1 host.example.org 9 typ host",
		"a=candidate:1 1 UDP 1 192.0.2.1 9 typ future",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct ice_description d, zero = {0};

		if (read_line(&d, lines[i]) != OK)
			fail_msg("\"%s\" is an error", lines[i]);
		assert_memory_equal(&d, &zero, sizeof(d));
	}
}

static void what_breaks_the_grammar_is_refused(void **state)
{
	static const char *const lines[] = {
		"a=candidate:",
		"a=candidate:1",
		"a=candidate:1 1 UDP 1 192.0.2.1 1",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 type host",
		"a=candidate: 1 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:? 1 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:123456789012345678901234567890123 1 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:1 0 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:1 257 UDP 1 192.0.2.1 1 typ host",
		"a=candidate:1 x UDP 1 192.0.2.1 1 typ host",
		"a=candidate:1 1 UDP 0 192.0.2.1 1 typ host",
		"a=candidate:1 1 UDP 4294967296 192.0.2.1 1 typ host",
		"a=candidate:1 1 UDP -1 192.0.2.1 1 typ host",
		"a=candidate:1 1 UDP 1 192.0.2.1 65536 typ host",
		"a=candidate:1 1 UDP 1 192.0.2.1 0 typ host",
		"a=candidate:1 1 UDP 1 192.0.2.1 1  typ host",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ host ",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ host name",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr 192.0.2.2",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport 65536",
		"a=candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr ! rport 1",
		"a=candidate:1 1 UDP 1 fe80::1%eth0 1 typ host",
		"a=candidate:1 1 UDP 1 2001:db8:::1 1 typ host",
		"a=ice-ufrag:abc",
		"a=ice-ufrag:abc d",
		"a=ice-ufrag:abcd-",
		"a=ice-ufrag:",
		"a=ice-pwd:123456789012345678901",
		"a=ice-pwd:1234567890123456789012!",
		"a=ice-options:",
		"a=ice-pacing:",
		"a=ice-pacing:0",
		"a=ice-pacing:12345678901",
		"a=ice-pacing:5x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct ice_description d, zero = {0};

		if (read_line(&d, lines[i]) != ERR_INVALID)
			fail_msg("\"%s\" was accepted", lines[i]);
		assert_memory_equal(&d, &zero, sizeof(d));
	}
}

static void a_whole_block(void **state)
{
	static const char text[] = "v=0\r\n"
				   "a=ice-ufrag:8hhY\r\n"
				   "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
				   "a=ice-options:ice2,trickle renomination bad!tag ice2\r\n"
				   "a=ice-pacing:20\n"
				   "a=ice-lite\n"
				   "a=ice-future:42\n"
				   "a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host x y\r\n"
				   "a=end-of-candidates";
	char again[ICE_SDP_BYTES], third[ICE_SDP_BYTES];
	struct ice_description d, e;
	size_t len;

	(void)state;
	assert_int_equal(ice_sdp_read(&d, text, strlen(text)), OK);
	assert_int_equal(ice_description_check(&d), OK);
	assert_string_equal(d.ufrag, "8hhY");
	assert_string_equal(d.pwd, "asd88fgpdd777uzjYhagZg");
	assert_int_equal(d.option_count, 3);
	assert_true(ice_description_has_option(&d, "ice2"));
	assert_true(ice_description_has_option(&d, "trickle"));
	assert_true(ice_description_has_option(&d, "renomination"));
	assert_int_equal(d.ta_ms, 20);
	assert_true(d.lite);
	assert_true(d.end_of_candidates);
	assert_int_equal(d.extension_count, 1);
	assert_string_equal(d.extensions[0].name, "ice-future");
	assert_string_equal(d.extensions[0].value, "42");
	assert_int_equal(ice_sdp_write(&d, again, sizeof(again), &len), OK);
	assert_string_equal(again, "a=ice-lite\r\n"
				   "a=ice-ufrag:8hhY\r\n"
				   "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
				   "a=ice-options:ice2 trickle renomination\r\n"
				   "a=ice-pacing:20\r\n"
				   "a=ice-future:42\r\n"
				   "a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host x y\r\n"
				   "a=end-of-candidates\r\n");
	assert_int_equal(ice_sdp_read(&e, again, len), OK);
	assert_int_equal(ice_sdp_write(&e, third, sizeof(third), &len), OK);
	assert_string_equal(again, third);
	for (size_t cap = 0; cap <= len; cap++)
		assert_int_equal(ice_sdp_write(&e, third, cap, &len), ERR_NO_SPACE);
}

static void nothing_is_said_twice(void **state)
{
	static const char *const blocks[] = {
		"a=ice-ufrag:8hhY\na=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg\n",
		("a=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg\n"
		 "a=ice-pwd:asd88fgpdd777uzjYhagZg\n"),
		"a=ice-lite\na=ice-lite\n",
		"a=end-of-candidates\na=end-of-candidates\n",
		"a=ice-pacing:5\na=ice-pacing:5\n",
		"a=ice-options:a\na=ice-options:b\n",
		/* One without the other. */
		"a=ice-ufrag:8hhY\n",
		"a=ice-pwd:asd88fgpdd777uzjYhagZg\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct ice_description d;

		assert_int_equal(ice_sdp_read(&d, blocks[i], strlen(blocks[i])), ERR_INVALID);
	}
}

static void candidates_alone_are_a_block(void **state)
{
	static const char text[] = "a=candidate:1 1 UDP 1 192.0.2.1 8998 typ host\n";
	struct ice_description d;

	(void)state;
	assert_int_equal(ice_sdp_read(&d, text, strlen(text)), OK);
	assert_int_equal(d.candidate_count, 1);
	assert_string_equal(d.ufrag, "");
}

/* The first ones are taken, and the lines behind them still count. */
static void more_candidates_than_there_is_room_for(void **state)
{
	static char all[ICE_SDP_BYTES] = "a=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg\n";
	struct ice_description d;
	size_t at = strlen(all);

	(void)state;
	for (int i = 1; i <= ICE_MAX_CANDIDATES + 3; i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at,
				       "a=candidate:1 1 UDP %d 192.0.2.1 8998 typ host\n", i);
	snprintf(all + at, sizeof(all) - at,
		 "a=candidate:1 1 UDP 9 a.example 9 typ host\n"
		 "a=end-of-candidates\n");
	assert_int_equal(ice_sdp_read(&d, all, strlen(all)), OK);
	assert_int_equal(d.candidate_count, ICE_MAX_CANDIDATES);
	assert_int_equal(d.candidates[0].priority, 1);
	assert_int_equal(d.candidates[ICE_MAX_CANDIDATES - 1].priority, ICE_MAX_CANDIDATES);
	assert_int_equal(d.surplus_count, 3);
	assert_true(d.end_of_candidates);
	assert_int_equal(ice_description_check(&d), OK);
	strcat(all, "a=candidate:1 1 UDP 9 192.0.2.1 0 typ host\n");
	assert_int_equal(ice_sdp_read(&d, all, strlen(all)), ERR_INVALID);
}

/* The longest description that there can be. */
static void everything_fits(void **state)
{
	static struct ice_description d, e;
	static char text[ICE_SDP_BYTES], again[ICE_SDP_BYTES];
	size_t len;

	(void)state;
	memset(d.ufrag, 'u', ICE_UFRAG_MAX_BYTES);
	memset(d.pwd, 'p', ICE_PWD_MAX_BYTES);
	d.ta_ms = UINT16_MAX;
	for (d.option_count = 0; d.option_count < ICE_MAX_OPTIONS; d.option_count++)
		memset(d.options[d.option_count], 'a' + (int)d.option_count, ICE_OPTION_MAX_BYTES);
	for (; d.extension_count < ICE_MAX_EXTENSIONS; d.extension_count++) {
		struct ice_extension *x = &d.extensions[d.extension_count];

		memset(x->name, 'n', ICE_EXTENSION_NAME_MAX_BYTES);
		memcpy(x->name, "ice-", 4);
		memset(x->value, 'v', ICE_EXTENSION_VALUE_MAX_BYTES);
	}
	for (; d.candidate_count < ICE_MAX_CANDIDATES; d.candidate_count++) {
		struct ice_candidate *c = &d.candidates[d.candidate_count];

		c->type = ICE_CANDIDATE_SRFLX;
		c->priority = ICE_PRIORITY_MAX;
		memset(c->foundation, 'f', ICE_FOUNDATION_MAX_BYTES);
		assert_int_equal(
			netaddr_parse("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", &c->addr),
			OK);
		c->related = c->addr;
		for (; c->extension_count < ICE_MAX_CANDIDATE_EXTENSIONS; c->extension_count++) {
			struct ice_extension *x = &c->extensions[c->extension_count];

			memset(x->name, 'n', ICE_EXTENSION_NAME_MAX_BYTES);
			memset(x->value, 'v', ICE_EXTENSION_VALUE_MAX_BYTES);
		}
	}
	assert_int_equal(ice_description_check(&d), OK);
	assert_int_equal(ice_sdp_write(&d, text, sizeof(text), &len), OK);
	assert_int_equal(ice_sdp_read(&e, text, len), OK);
	assert_int_equal(ice_sdp_write(&e, again, sizeof(again), &len), OK);
	assert_string_equal(text, again);
	assert_memory_equal(&d, &e, sizeof(d));
}

static void a_candidate_alone(void **state)
{
	struct ice_candidate c = {.type = ICE_CANDIDATE_SRFLX, .priority = 7, .foundation = "3"};
	char buf[ICE_SDP_LINE_BYTES];

	(void)state;
	assert_int_equal(netaddr_parse("192.0.2.1:9", &c.addr), OK);
	assert_string_equal(ice_sdp_write_candidate(&c, buf),
			    "candidate:3 1 UDP 7 192.0.2.1 9 typ srflx raddr 0.0.0.0 rport 0");
	assert_int_equal(netaddr_parse("[fe80::1]:9", &c.addr), OK);
	c.addr.scope_id = 3;
	c.type = ICE_CANDIDATE_HOST;
	assert_string_equal(ice_sdp_write_candidate(&c, buf),
			    "candidate:3 1 UDP 7 fe80::1 9 typ host");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(candidates),
		cmocka_unit_test(what_is_not_for_us_is_passed_over),
		cmocka_unit_test(what_breaks_the_grammar_is_refused),
		cmocka_unit_test(a_whole_block),
		cmocka_unit_test(nothing_is_said_twice),
		cmocka_unit_test(candidates_alone_are_a_block),
		cmocka_unit_test(more_candidates_than_there_is_room_for),
		cmocka_unit_test(everything_fits),
		cmocka_unit_test(a_candidate_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
