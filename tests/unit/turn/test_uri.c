/* RFC 7064 and RFC 7065, and what they do not allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/turn/uri.h"

static const struct {
	const char *text, *again, *host;
	enum turn_scheme scheme;
	uint16_t port;
	enum turn_transport transport;
	uint8_t family;
} good[] = {
	{"stun:example.org", NULL, "example.org", TURN_SCHEME_STUN, 3478, TURN_TRANSPORT_UDP, 0},
	{"stuns:example.org", NULL, "example.org", TURN_SCHEME_STUNS, 5349, TURN_TRANSPORT_TLS, 0},
	{"stun:example.org:8000", NULL, "example.org", TURN_SCHEME_STUN, 8000, TURN_TRANSPORT_UDP,
	 0},
	{"turn:example.org", NULL, "example.org", TURN_SCHEME_TURN, 3478, TURN_TRANSPORT_UDP, 0},
	{"turns:example.org", NULL, "example.org", TURN_SCHEME_TURNS, 5349, TURN_TRANSPORT_TLS, 0},
	{"turn:example.org:8000", NULL, "example.org", TURN_SCHEME_TURN, 8000, TURN_TRANSPORT_UDP,
	 0},
	{"turn:example.org?transport=udp", NULL, "example.org", TURN_SCHEME_TURN, 3478,
	 TURN_TRANSPORT_UDP, 0},
	{"turn:example.org?transport=tcp", NULL, "example.org", TURN_SCHEME_TURN, 3478,
	 TURN_TRANSPORT_TCP, 0},
	{"turns:example.org?transport=tcp", NULL, "example.org", TURN_SCHEME_TURNS, 5349,
	 TURN_TRANSPORT_TLS, 0},
	{"turns:relay.example.org:443?transport=tcp", NULL, "relay.example.org", TURN_SCHEME_TURNS,
	 443, TURN_TRANSPORT_TLS, 0},
	{"turns:example.org?transport=udp", NULL, "example.org", TURN_SCHEME_TURNS, 5349,
	 TURN_TRANSPORT_DTLS, 0},
	{"TURN:Example.ORG?TRANSPORT=TCP", "turn:example.org?transport=tcp", "example.org",
	 TURN_SCHEME_TURN, 3478, TURN_TRANSPORT_TCP, 0},
	{"turn:192.0.2.1", NULL, "192.0.2.1", TURN_SCHEME_TURN, 3478, TURN_TRANSPORT_UDP, 4},
	{"turn:[2001:DB8::1]:53", "turn:[2001:db8::1]:53", "2001:db8::1", TURN_SCHEME_TURN, 53,
	 TURN_TRANSPORT_UDP, 6},
	{"stun:a_b-c.example.", NULL, "a_b-c.example.", TURN_SCHEME_STUN, 3478, TURN_TRANSPORT_UDP,
	 0},
	{"stun:x:65535", NULL, "x", TURN_SCHEME_STUN, 65535, TURN_TRANSPORT_UDP, 0},
};

static const char *const bad[] = {
	"",
	"stun",
	"stun:",
	"stun://example.org",
	"http:example.org",
	"stunx:example.org",
	"turn:user@example.org",
	"turn:example.org/",
	"turn:example.org#x",
	"turn:example.org:",
	"turn:example.org:0",
	"turn:example.org:01",
	"turn:example.org:65536",
	"turn:example.org:100000",
	"turn:example.org:-1",
	"turn:example.org:12a",
	"turn:example.org?",
	"turn:example.org?transport",
	"turn:example.org?transport=",
	"turn:example.org?transport=sctp",
	"turn:example.org?transport=udp&x=1",
	"turn:example.org?x=udp",
	"stun:example.org?transport=udp",
	"turn:exa%6dple.org",
	"turn:exa mple.org",
	"turn: example.org",
	"turn:example..org",
	"turn:.example.org",
	"turn:.",
	"turn:2001:db8::1",
	"turn:[2001:db8::1",
	"turn:[2001:db8::1]x",
	"turn:[]",
	"turn:[192.0.2.1]",
	"turn:[::ffff:192.0.2.1]",
	"turn:[fe80::1%eth0]",
	"turn:[example.org]",
	"turn:192.0.2",
	"turn:192.0.2.256",
	"turn:1.2.3.4.5",
	"turn:\xc3\xa4.example",
};

static void good_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[TURN_URI_TEXT_BYTES];
		struct turn_uri u;

		assert_int_equal(turn_uri_parse(good[i].text, &u), OK);
		assert_int_equal(u.scheme, good[i].scheme);
		assert_string_equal(u.host, good[i].host);
		assert_int_equal(u.port, good[i].port);
		assert_int_equal(u.transport, good[i].transport);
		assert_int_equal(u.address.family, good[i].family);
		if (u.address.family)
			assert_int_equal(u.address.port, u.port);
		assert_string_equal(turn_uri_format(&u, text),
				    good[i].again ? good[i].again : good[i].text);
	}
}

static void bad_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct turn_uri u = {.port = 7};

		if (turn_uri_parse(bad[i], &u) != ERR_INVALID)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_equal(u.port, 7);
	}
}

static void names_have_bounds(void **state)
{
	char label[64 + sizeof("stun:")] = "stun:", name[300] = "stun:";
	struct turn_uri u;

	(void)state;
	memset(label + 5, 'a', 63);
	assert_int_equal(turn_uri_parse(label, &u), OK);
	label[5 + 63] = 'a';
	label[5 + 64] = '\0';
	assert_int_equal(turn_uri_parse(label, &u), ERR_INVALID);
	for (size_t i = 0; i < 253; i++)
		name[5 + i] = i % 64 == 63 ? '.' : 'a';
	assert_int_equal(turn_uri_parse(name, &u), OK);
	name[5 + 253] = 'a';
	assert_int_equal(turn_uri_parse(name, &u), ERR_INVALID);
}

static void transports_have_names(void **state)
{
	(void)state;
	assert_string_equal(turn_transport_name(TURN_TRANSPORT_UDP), "udp");
	assert_string_equal(turn_transport_name(TURN_TRANSPORT_TCP), "tcp");
	assert_string_equal(turn_transport_name(TURN_TRANSPORT_TLS), "tls");
	assert_string_equal(turn_transport_name(TURN_TRANSPORT_DTLS), "dtls");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(names_have_bounds),
		cmocka_unit_test(transports_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
