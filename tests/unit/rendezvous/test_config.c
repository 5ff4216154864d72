#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rendezvous/config.h"

static enum err load(const char *text, struct config *ret, char *error)
{
	char path[] = "/tmp/icetun-config-XXXXXX";
	int fd = mkstemp(path);
	enum err err;

	assert_return_code(fd, 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = config_load(path, ret, error);
	unlink(path);
	return err;
}

static void test_all_keys(void **state)
{
	char error[CONFIG_ERROR_BYTES];
	char buf[NETADDR_TEXT_BYTES];
	char host[CONFIG_ENDPOINT_BYTES];
	struct config c;

	(void)state;
	assert_int_equal(load("# a comment\n"
			      "[Network]\nName=home\nPrefix=10.0.0.0/8\nPrefix=fd12::/64\n"
			      "[Rendezvous]\nListen=tcp://0.0.0.0:1\n"
			      "Endpoint=tcp://rv.example.org:2\nEndpoint = tcp://[2001:db8::1]:3\n"
			      "StunListen=192.0.2.1:4\nDirectory=/x/y\n"
			      "[Servers]\nUri=stun:a\nUri=turn:b:1?transport=udp\nTurnSecret="
			      "s\nTurnLifetime=3600\n",
			      &c, error),
			 OK);
	assert_string_equal(c.network, "home");
	assert_int_equal(c.prefix.length_bits, 8);
	assert_int_equal(c.prefix6.family, NETADDR_IP6);
	assert_int_equal(c.prefix6.length_bits, 64);
	assert_string_equal(c.listen, "tcp://0.0.0.0:1");
	assert_int_equal(c.endpoint_count, 2);
	config_endpoint_host(c.endpoint[0], host);
	assert_string_equal(host, "rv.example.org");
	config_endpoint_host(c.endpoint[1], host);
	assert_string_equal(host, "[2001:db8::1]");
	assert_true(c.is_stun_on);
	assert_string_equal(netaddr_format(&c.stun_listen, buf), "192.0.2.1:4");
	assert_string_equal(c.directory, "/x/y");
	assert_int_equal(c.uri_count, 2);
	assert_string_equal(c.uri[1], "turn:b:1?transport=udp");
	assert_string_equal(c.turn_secret, "s");
	assert_int_equal(c.turn_lifetime_s, 3600);
}

static void test_defaults(void **state)
{
	char error[CONFIG_ERROR_BYTES];
	struct config c;

	(void)state;
	assert_int_equal(load("[Network]\nName=a\n", &c, error), OK);
	assert_string_equal(c.listen, "tcp://*:4510");
	assert_int_equal(c.prefix.family, NETADDR_IP4);
	assert_int_equal(c.prefix6.family, NETADDR_NONE);
	assert_int_equal(c.endpoint_count, 0);
	assert_int_equal(c.stun_listen.family, NETADDR_NONE);
	assert_int_equal(c.stun_listen.port, 3478);
	assert_string_equal(c.directory, "/tmp");
	assert_int_equal(load("[Network]\nName=a\n[Rendezvous]\nStunListen=off\n", &c, error), OK);
	assert_false(c.is_stun_on);
}

/* Each line is wrong; the message names it, but not the value, which may be a secret. */
static void test_errors(void **state)
{
	static const char *const rows[] = {
		"[Network]\nName=A B",
		"[Network]\nName=-a",
		"[Network]\nPrefix=10.0.0.1/8",
		"[Network]\nPrefix=fd00::1/64",
		"[Network]\nPrefix=fd00::/8",
		"[Network]\nPrefix=fd00::/105",
		"[Network]\nPrefix=fe80::/64",
		"[Network]\nPrefix=ff05::/64",
		"[Network]\nPrefix=::ffff:0:0/96",
		"[Network]\nPrefix=10.0.0.0/31",
		"[Rendezvous]\nListen=udp://*:1",
		"[Rendezvous]\nListen=tcp://*:65536",
		"[Rendezvous]\nListen=tcp://a",
		"[Rendezvous]\nListen=tcp://::1:5",
		"[Rendezvous]\nEndpoint=tcp://*:5",
		"[Rendezvous]\nEndpoint=tcp://a:*",
		"[Rendezvous]\nEndpoint=tcp://a:0",
		"[Rendezvous]\nEndpoint=tcp://a;b:1",
		"[Rendezvous]\nStunListen=3478",
		"[Rendezvous]\nDirectory=relative",
		"[Servers]\nUri=http:a",
		"[Servers]\nUri=turn:",
		"[Servers]\nTurnSecret=a secret",
		"[Servers]\nTurnLifetime=19",
		"[Servers]\nTurnLifetime=1d",
		"[Servers]\nTurnLifetime=99999999999999999999",
		"[Servers]\nName=a",
		"[Server]\nUri=stun:a",
		"[Network]\nName",
	};
	char error[CONFIG_ERROR_BYTES];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *value = strchr(rows[i], '=');

		if (load(rows[i], &c, error) != ERR_INVALID)
			fail_msg("accepted: %s", rows[i]);
		if (!strstr(error, ":2: "))
			fail_msg("no line in: %s", error);
		assert_null(value && strlen(value) > 6 ? strstr(error, value + 1) : NULL);
	}
	assert_int_equal(load("[Rendezvous]\n", &c, error), ERR_INVALID);
	assert_non_null(strstr(error, "Name"));
	assert_int_equal(config_load("/nonexistent/x.conf", &c, error), ERR_NOT_FOUND);
	assert_non_null(strstr(error, "init"));
}

static void test_too_many(void **state)
{
	char error[CONFIG_ERROR_BYTES];
	char text[1024] = "[Network]\nName=a\n[Rendezvous]\n";
	struct config c;

	(void)state;
	for (int i = 0; i < CONFIG_MAX_ENDPOINTS; i++)
		strcat(text, "Endpoint=tcp://a:1\n");
	assert_int_equal(load(text, &c, error), OK);
	strcat(text, "Endpoint=tcp://a:1\n");
	assert_int_equal(load(text, &c, error), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
