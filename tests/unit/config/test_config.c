#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config/config.h"

static enum err parse(const char *text, struct config *ret, char error[static CONFIG_ERROR_BYTES])
{
	error[0] = '\0';
	return config_parse("f", text, strlen(text), ret, error);
}

static void test_defaults(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	assert_string_equal(c.state_directory, "/var/lib/icetun");
	assert_string_equal(c.control_socket, "/run/icetun/control.sock");
	assert_string_equal(c.control_group, "icetun");
	assert_string_equal(c.user, "");
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.signal_helper[0], '/');
	assert_string_equal(c.interface_name, "icetun0");
	assert_int_equal(c.mtu_bytes, 1280);
	assert_int_equal(c.workers, 0);
	assert_true(c.offloads.tun_tcp && c.offloads.tun_udp && c.offloads.udp_segment &&
		    c.offloads.udp_gro && c.offloads.partial_checksums && c.offloads.tun_queues);
	assert_int_equal(c.port, 0);
	assert_int_equal(c.allow.count + c.deny.count + c.stun_server_count, 0);
	assert_int_equal(c.ta_ms, 10);
	assert_int_equal(c.candidates, CONFIG_CANDIDATES_ALL);
	assert_string_equal(c.ca_file, "");
	assert_int_equal(c.server_count, 0);
	assert_string_equal(c.rendezvous_endpoint, "");
}

static void test_every_key(void **state)
{
	struct config c;
	char error[CONFIG_ERROR_BYTES];

	(void)state;
	assert_int_equal(
		parse("\xef\xbb\xbf# comment\r\n"
		      "[Daemon]\r\n"
		      "StateDirectory=/s\r\n"
		      "ControlSocket = /c ; inline\n"
		      "ControlGroup=g\nUser=u-1\nLogLevel=debug\nSignalHelper=/h\n"
		      "\n[Interface]\n  Name=ov.0\n\tMTU=1400\n"
		      "[Data]\nWorkers=3\nOffloads=udp-gro, tun-tcp\n"
		      "[Ice]\nPort=40000\nAllowInterfaces=eth0, wlan0\nDenyInterfaces=docker* "
		      "veth[0-9]*\n"
		      "StunServers=stun:a.example b.example:99 [2001:db8::1] stun:[::1]:5\n"
		      "Ta=50\nCandidates=no-host\nCaFile=/ca.pem\n"
		      "[Server]\nUri=turns:Relay.example:443\nUser=u\nPassword=p;=#\n"
		      "[Server]\nUri=stun:192.0.2.1\n"
		      "[Server]\nUri=turn:a?transport=tcp\nPassword=q\nUser=v\n"
		      "[Rendezvous]\nEndpoint=tcp://[2001:db8::2]:7000",
		      &c, error),
		OK);
	assert_string_equal(c.state_directory, "/s");
	assert_string_equal(c.control_socket, "/c");
	assert_string_equal(c.control_group, "g");
	assert_string_equal(c.user, "u-1");
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(c.signal_helper, "/h");
	assert_string_equal(c.interface_name, "ov.0");
	assert_int_equal(c.mtu_bytes, 1400);
	assert_int_equal(c.workers, 3);
	assert_true(c.offloads.tun_tcp && c.offloads.udp_gro);
	assert_false(c.offloads.tun_udp || c.offloads.udp_segment || c.offloads.partial_checksums ||
		     c.offloads.tun_queues);
	assert_int_equal(c.port, 40000);
	assert_int_equal(c.allow.count, 2);
	assert_string_equal(c.allow.text[0], "eth0");
	assert_string_equal(c.allow.text[1], "wlan0");
	assert_int_equal(c.deny.count, 2);
	assert_string_equal(c.deny.text[0], "docker*");
	assert_string_equal(c.deny.text[1], "veth[0-9]*");
	assert_int_equal(c.stun_server_count, 4);
	assert_string_equal(c.stun_servers[0], "a.example");
	assert_string_equal(c.stun_servers[1], "b.example:99");
	assert_string_equal(c.stun_servers[2], "[2001:db8::1]");
	assert_string_equal(c.stun_servers[3], "[::1]:5");
	assert_int_equal(c.ta_ms, 50);
	assert_int_equal(c.candidates, CONFIG_CANDIDATES_NO_HOST);
	assert_string_equal(c.ca_file, "/ca.pem");
	assert_int_equal(c.server_count, 3);
	assert_string_equal(c.servers[0].uri.host, "relay.example");
	assert_int_equal(c.servers[0].uri.transport, TURN_TRANSPORT_TLS);
	assert_string_equal(c.servers[0].user, "u");
	assert_string_equal(c.servers[0].password, "p;=#");
	assert_int_equal(c.servers[1].uri.scheme, TURN_SCHEME_STUN);
	assert_string_equal(c.servers[1].user, "");
	assert_int_equal(c.servers[2].uri.transport, TURN_TRANSPORT_TCP);
	assert_string_equal(c.servers[2].user, "v");
	assert_string_equal(c.servers[2].password, "q");
	assert_string_equal(c.rendezvous_endpoint, "tcp://[2001:db8::2]:7000");
	assert_int_equal(parse("[Data]\nOffloads=none", &c, error), OK);
	assert_false(c.offloads.tun_tcp || c.offloads.tun_udp || c.offloads.udp_segment ||
		     c.offloads.udp_gro || c.offloads.partial_checksums || c.offloads.tun_queues);
	assert_int_equal(parse("[Data]\nOffloads=tun-queues", &c, error), OK);
	assert_true(c.offloads.tun_queues && !c.offloads.tun_tcp);
}

static void test_patterns(void **state)
{
	static const char *const good[] = {
		"eth0", "*",	       "?",    "en[op]*",	 "[!e]*",
		"[^e]", "[a-c0-9_-]x", "[-a]", "veth[0-9][0-9]", "0123456789abcde0123456789abcdef"};
	static const char *const bad[] = {
		"[",	       "eth[",	"eth[0",
		"eth[0-9",     "eth]",	"eth[]",
		"[!]",	       "[]a]",	"[[a]]",
		"[9-0]",       "a/b",	"a\\*",
		"{a|b}",       "eth0!", "[a/b]",
		"[[:alpha:]]", "[a,b]", "0123456789abcdef0123456789abcdef"};
	char error[CONFIG_ERROR_BYTES], text[128];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "[Ice]\nDenyInterfaces=%s", good[i]);
		assert_int_equal(parse(text, &c, error), OK);
		assert_int_equal(c.deny.count, 1);
		assert_string_equal(c.deny.text[0], good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "[Ice]\nDenyInterfaces=%s", bad[i]);
		assert_int_equal(parse(text, &c, error), ERR_INVALID);
	}
}

static void test_bad_input(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"[Ice]\nProt=1",
		 "f:2: Prot: there is no such key in [Ice]; did you mean Port in [Ice]?"},
		{"[Ice]\nport=1",
		 "f:2: port: there is no such key in [Ice]; did you mean Port in [Ice]?"},
		{"[Ice]\nSomething=1", "f:2: Something: there is no such key in [Ice]"},
		{"[Daemon]\nPort=1", "f:2: Port: this key belongs into section [Ice]"},
		{"Port=1", "f:1: Port: this key belongs into section [Ice]"},
		{"[Ise]\nPort=1", "f:2: Port: this key belongs into section [Ice]"},
		{"[Ice]\nPort=1\nPort=2", "f:3: Port: stands twice"},
		{"[Ice]\nPort=65536", "f:2: Port=65536: must be a port from 1 to 65535, or 0 for a "
				      "random one that is kept"},
		{"[Ice]\nTa=4", "f:2: Ta=4: must be a whole number of milliseconds from 5 to 500"},
		{"[Ice]\nTa=99999999999999999999", NULL},
		{"[Ice]\nTa=10ms", NULL},
		{"[Ice]\nTa=-5", NULL},
		{"[Ice]\nTa=+5", NULL},
		{"[Interface]\nMTU=575", NULL},
		{"[Data]\nWorkers=9", NULL},
		{"[Data]\nOffloads=tun-tcp none", NULL},
		{"[Data]\nOffloads=tcp", NULL},
		{"[Interface]\nName=a/b", NULL},
		{"[Interface]\nName=..", NULL},
		{"[Interface]\nName=icetun%d", NULL},
		{"[Interface]\nName=0123456789abcdef", NULL},
		{"[Daemon]\nStateDirectory=relative", NULL},
		{"[Daemon]\nLogLevel=loud",
		 "f:2: LogLevel=loud: must be one of error, warning, info, "
		 "debug"},
		{"[Daemon]\nControlSocket=/"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 NULL},
		{"[Daemon]\nUser=-x", NULL},
		{"[Ice]\nStunServers=a:0", NULL},
		{"[Ice]\nStunServers=a:1:2", NULL},
		{"[Ice]\nStunServers=[a]:1", NULL},
		{"[Ice]\nStunServers=[::1", NULL},
		{"[Ice]\nStunServers=::1", NULL},
		{"[Ice]\nStunServers=1 2 3 4 5 6 7 8 9", NULL},
		{"[Ice]\nAllowInterfaces=1 2 3 4 5 6 7 8 9 a b c d e f g h", NULL},
		{"[Ice]\nDenyInterfaces=eth0 veth[0-9",
		 "f:2: DenyInterfaces=eth0 veth[0-9: must be at most 16 device names or patterns "
		 "(with *, ?, and whole sets like [0-9] or [!a-c]) of at most 31 characters, "
		 "separated by spaces"},
		{"[Ice]\nCandidates=host",
		 "f:2: Candidates=host: must be one of all, no-host, relay"},
		{"[Ice]\nCaFile=relative", NULL},
		{"[Server]\nUri=http://x", "f:2: Uri=http://x: must be stun:host, turn:host or "
					   "turns:host, of at most 8 servers"},
		{"[Server]\nUser=u", "f:2: User=u: must be at most 128 characters, after Uri"},
		{"[Server]\nPassword=secret",
		 "f:2: Password=...: must be at most 128 characters, after Uri"},
		{"[Server]\nUri=turn:a\nUser=u\nUser=v", "f:4: User: stands twice"},
		{"[Server]\nUri=turn:a\nUri=turn:b\nPassword=p\nPassword=p",
		 "f:5: Password: stands twice"},
		{"[Server]\nUri=stun:a\nUri=stun:a\nUri=stun:a\nUri=stun:a\nUri=stun:a\n"
		 "Uri=stun:a\nUri=stun:a\nUri=stun:a\nUri=stun:a\n",
		 NULL},
		{"[Rendezvous]\nEndpoint=host:7000", NULL},
		{"[Rendezvous]\nEndpoint=tcp://host", NULL},
		{"[Rendezvous]\nEndpoint=udp://host:1", NULL},
		{"[Ice\nPort=1", "f:1: this is neither [Section] nor Key=value"},
		{"[Ice]\nPort", "f:2: this is neither [Section] nor Key=value"},
		{"[Ice]\nPort=1\nwhat\nPort=2", "f:3: this is neither [Section] nor Key=value"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c, before;
		char error[CONFIG_ERROR_BYTES];

		memset(&c, 0x5a, sizeof(c));
		before = c;
		if (parse(rows[i].text, &c, error) != ERR_INVALID)
			fail_msg("taken: %s", rows[i].text);
		assert_memory_equal(&c, &before, sizeof(c));
		if (rows[i].error)
			assert_string_equal(error, rows[i].error);
		assert_memory_equal(error, "f:", 2);
	}
}

static void test_lines(void **state)
{
	struct config c;
	char error[CONFIG_ERROR_BYTES];
	char text[400];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "\n#", 2);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse(text, &c, error), ERR_INVALID);
	assert_string_equal(error, "f:2: this line is too long, the limit is 198 characters");
	assert_int_equal(config_parse("f", "[Ice]\nPo\0rt=1", 13, &c, error), ERR_INVALID);
	assert_string_equal(error, "f:2: there is a NUL in this line; is it a text file?");
	assert_int_equal(config_parse("f", NULL, 0, &c, error), OK);
}

static void test_empty_value_is_the_default(void **state)
{
	struct config c, preset;
	char error[CONFIG_ERROR_BYTES], text[1024] = "";
	const char *section = "", *key;

	(void)state;
	config_init(&preset);
	for (size_t i = 0; (key = config_key_at(i, &section)); i++) {
		snprintf(text, sizeof(text), "[%s]\n%s=\n", section, key);
		assert_int_equal(parse(text, &c, error), OK);
		assert_memory_equal(&c, &preset, sizeof(c));
	}
}

static char *read_example(void)
{
	FILE *f = fopen(EXAMPLE_FILE, "r");
	char *text = calloc(1, 16384);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, 16383, f) > 0);
	fclose(f);
	return text;
}

/* The example has every key, once, and nothing but defaults. */
static void test_example_file(void **state)
{
	struct config c, preset;
	char error[CONFIG_ERROR_BYTES], line[128];
	char *text = read_example();
	const char *section, *key;

	(void)state;
	config_init(&preset);
	assert_int_equal(config_load(EXAMPLE_FILE, &c, error), OK);
	assert_memory_equal(&c, &preset, sizeof(c));
	for (size_t i = 0; (key = config_key_at(i, &section)); i++) {
		snprintf(line, sizeof(line), "\n%s=", key);
		if (!strstr(text, line))
			fail_msg("%s is missing in the example", key);
	}
	free(text);
}

static void test_load(void **state)
{
	char path[] = "/tmp/icetun-config-XXXXXX", error[CONFIG_ERROR_BYTES];
	char big[4096];
	struct config c;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "[Ice]\nTa=20\n", 12), 12);
	assert_int_equal(config_load(path, &c, error), OK);
	assert_int_equal(c.ta_ms, 20);
	memset(big, '\n', sizeof(big));
	for (size_t i = 0; i <= CONFIG_FILE_MAX_BYTES / sizeof(big); i++)
		assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
	assert_int_equal(config_load(path, &c, error), ERR_LIMIT);
	close(fd);
	unlink(path);
	assert_int_equal(config_load(path, &c, error), ERR_NOT_FOUND);
	assert_non_null(strstr(error, path));
	assert_int_equal(config_load("/tmp", &c, error), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_empty_value_is_the_default),
		cmocka_unit_test(test_example_file),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
