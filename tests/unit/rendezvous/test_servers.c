#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rendezvous/servers.h"

/* The password was computed by: printf %s 1433895918:h3 | openssl dgst -sha1 -hmac north -binary |
 * openssl base64 */
static void test_turn_credentials(void **state)
{
	const struct servers s = {
		.uri = {"stun:192.0.2.1:3478", "turn:192.0.2.2:3478", "turns:192.0.2.3:5349"},
		.count = 3,
		.turn_secret = "north",
	};
	struct signal_server out[SIGNAL_MAX_SERVERS];

	(void)state;
	assert_int_equal(servers_fill(&s, "h3", 1433895918 - SERVERS_CREDENTIAL_S, out), 3);
	assert_string_equal(out[0].uri, "stun:192.0.2.1:3478");
	assert_string_equal(out[0].username, "");
	assert_string_equal(out[0].credential, "");
	assert_int_equal(out[0].lifetime_s, 0);
	for (size_t i = 1; i < 3; i++) {
		assert_string_equal(out[i].uri, s.uri[i]);
		assert_string_equal(out[i].username, "1433895918:h3");
		assert_string_equal(out[i].credential, "ZHCtKg2V8WcjPbx8M+Rgj0rzk/U=");
		assert_int_equal(out[i].lifetime_s, SERVERS_CREDENTIAL_S);
	}
}

static void test_without_secret(void **state)
{
	const struct servers s = {.uri = {"turn:192.0.2.2"}, .count = 1, .turn_secret = ""};
	struct signal_server out[SIGNAL_MAX_SERVERS];

	(void)state;
	assert_int_equal(servers_fill(&s, "alice", 0, out), 1);
	assert_string_equal(out[0].credential, "");
}

static void test_lifetime(void **state)
{
	struct servers s = {.uri = {"turn:192.0.2.2"}, .count = 1, .turn_secret = "north"};
	struct signal_server out[SIGNAL_MAX_SERVERS];

	(void)state;
	assert_int_equal(servers_lifetime_s(&s), SERVERS_CREDENTIAL_S);
	s.lifetime_s = 60;
	assert_int_equal(servers_fill(&s, "h3", 1433895918 - 60, out), 1);
	assert_string_equal(out[0].credential, "ZHCtKg2V8WcjPbx8M+Rgj0rzk/U=");
	assert_int_equal(out[0].lifetime_s, 60);
	s.turn_secret = "";
	assert_int_equal(servers_lifetime_s(&s), 0);
	s = (struct servers){.uri = {"stun:192.0.2.2"}, .count = 1, .turn_secret = "north"};
	assert_int_equal(servers_lifetime_s(&s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turn_credentials),
		cmocka_unit_test(test_without_secret),
		cmocka_unit_test(test_lifetime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
