/* The command line: each error is one sentence on stderr, and has its exit code. */
#include "tests/unit/rendezvous/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rendezvous/config.h"
#include "rendezvous/exit.h"

struct fixture {
	char dir[64];
	char out[8192];
	char err[8192];
};

/* Runs the program; in the words, "%" stands for the directory. */
static int run(struct fixture *f, const char *line)
{
	char words[512];
	char expanded[12][96];
	const char *args[13] = {NULL};
	char *save = NULL;
	size_t n = 0;

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(n < 12);
		if (word[0] == '%')
			snprintf(expanded[n], sizeof(expanded[n]), "%s%s", f->dir, word + 1);
		else
			snprintf(expanded[n], sizeof(expanded[n]), "%s", word);
		args[n] = expanded[n];
		n++;
	}
	return world_command(NULL, args, f->out, sizeof(f->out), f->err, sizeof(f->err));
}

static void run_ok(struct fixture *f, const char *line)
{
	if (run(f, line) != 0)
		fail_msg("%s: %s", line, f->err);
	assert_string_equal(f->err, "");
}

static void run_wrong(struct fixture *f, const char *line, enum exit_code code)
{
	static const char prefix[] = "icetun-rendezvous: ";
	int result = run(f, line);

	if (result != (int)code)
		fail_msg("%s: exit code %d instead of %d: %s", line, result, (int)code, f->err);
	if (strncmp(f->err, prefix, sizeof(prefix) - 1) || f->out[0])
		fail_msg("%s: out \"%s\", err \"%s\"", line, f->out, f->err);
	/* One line. */
	assert_ptr_equal(strchr(f->err, '\n'), f->err + strlen(f->err) - 1);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/icetun-command-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void check_mode(struct fixture *f, const char *name, mode_t mode)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/net/%s", f->dir, name);
	assert_return_code(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

static void test_init(void **state)
{
	struct fixture *f = *state;

	run_ok(f, "init --dir %/net --name home --endpoint tcp://rv.example.org:99");
	assert_non_null(strstr(f->out, "token create"));
	check_mode(f, "", 0700);
	check_mode(f, "authority.key", 0600);
	check_mode(f, "server.key", 0600);
	check_mode(f, "issuer.sqlite", 0600);
	check_mode(f, "rendezvous.conf", 0600);
	run_wrong(f, "init --dir %/net --name home", EXIT_CODE_EXISTS);
	run_wrong(f, "init --dir /proc/x --name home", EXIT_CODE_WRITE);
	run_wrong(f, "init --dir %/other", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name UPPER", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name a --ipv4 10.0.0.1/8", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name a --ipv6 fd00::1/64", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name a --ipv6 10.0.0.0/8", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name a --endpoint rv.example.org", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name", EXIT_CODE_USAGE);
	run_wrong(f, "init --dir %/other --name a --name b", EXIT_CODE_USAGE);
	run_wrong(f, "init --directory %/other --name a", EXIT_CODE_USAGE);
	run_wrong(f, "init %/other --name a", EXIT_CODE_USAGE);
}

/* What `run` would read. */
static void read_config(struct fixture *f, const char *name, struct config *ret)
{
	char error[CONFIG_ERROR_BYTES], path[128];

	snprintf(path, sizeof(path), "%s/%s/rendezvous.conf", f->dir, name);
	if (config_load(path, ret, error) != OK)
		fail_msg("%s", error);
}

/* Unless told otherwise a network has a block of IPv6 addresses that no other one has. */
static void test_init_prefixes(void **state)
{
	struct fixture *f = *state;
	char text[NETPREFIX_TEXT_BYTES];
	struct config a, b;

	run_ok(f, "init --dir %/a --name home");
	run_ok(f, "init --dir %/b --name home");
	read_config(f, "a", &a);
	read_config(f, "b", &b);
	assert_int_equal(a.prefix6.length_bits, 64);
	assert_int_equal(a.prefix6.ip[0], 0xfd);
	assert_non_null(strstr(f->out, netprefix_format(&b.prefix6, text)));
	assert_false(netprefix_equal(&a.prefix6, &b.prefix6));
	run_ok(f, "init --dir %/c --name home --ipv4 10.1.0.0/16 --ipv6 2001:db8:1::/48");
	read_config(f, "c", &a);
	assert_string_equal(netprefix_format(&a.prefix, text), "10.1.0.0/16");
	assert_string_equal(netprefix_format(&a.prefix6, text), "2001:db8:1::/48");
	run_ok(f, "init --dir %/d --name home --ipv6 none");
	read_config(f, "d", &a);
	assert_int_equal(a.prefix6.family, NETADDR_NONE);
}

static void test_tokens(void **state)
{
	struct fixture *f = *state;
	struct token token;
	char *end;

	run_ok(f, "init --dir %/net --name home --endpoint tcp://rv.example.org:99");
	run_ok(f, "token create --dir %/net --uses 3 --expires 7d");
	end = strchr(f->out, '\n');
	assert_ptr_equal(end, f->out + strlen(f->out) - 1);
	assert_int_equal(token_parse(f->out, &token), TOKEN_OK);
	assert_string_equal(token.network, "home");
	assert_int_equal(token.endpoint_count, 1);
	assert_string_equal(token.endpoints[0], "tcp://rv.example.org:99");
	run_ok(f, "token create --uses=2 --config %/net/rendezvous.conf");
	run_ok(f, "token list --dir %/net");
	assert_non_null(strstr(f->out, "0/3"));
	assert_null(strstr(f->out, "icetun1."));
	run_ok(f, "token revoke 1 --dir %/net");
	run_ok(f, "token list --dir %/net");
	assert_non_null(strstr(f->out, "revoked"));
	run_ok(f, "member list --dir %/net");
	run_wrong(f, "token revoke 7 --dir %/net", EXIT_CODE_NOT_FOUND);
	run_wrong(f, "token revoke x --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token revoke --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token revoke 1 2 --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token list --uses 3 --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token create --uses 0 --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token create --uses 3x --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token create --expires 5 --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token create --expires 99999d --dir %/net", EXIT_CODE_USAGE);
	run_wrong(f, "token create --dir %/net --config %/net/rendezvous.conf", EXIT_CODE_USAGE);
	run_wrong(f, "token create --dir %/nothing", EXIT_CODE_CONFIG);
	run_wrong(f, "token", EXIT_CODE_USAGE);
	run_wrong(f, "member", EXIT_CODE_USAGE);
}

static void damage(struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/net/%s", f->dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	char path[128];

	run_ok(f, "init --dir %/net --name home");
	run_wrong(f, "token create --dir %/net", EXIT_CODE_NO_ENDPOINT);
	run_wrong(f, "init --dir %/net --name home", EXIT_CODE_EXISTS);
	damage(f, "rendezvous.conf",
	       "[Network]\nName=a\n[Rendezvous]\nListen=tcp://192.0.2.1:1\nStunListen=off\n");
	run_wrong(f, "run --dir %/net", EXIT_CODE_LISTEN);
	damage(f, "rendezvous.conf", "[Network]\nName=a\n[Rendezvous]\nStunListen=192.0.2.1:1\n");
	run_wrong(f, "run --dir %/net", EXIT_CODE_LISTEN);
	damage(f, "rendezvous.conf", "[Network]\nName=a\nName=!\n");
	run_wrong(f, "run --config %/net/rendezvous.conf", EXIT_CODE_CONFIG);
	damage(f, "rendezvous.conf", "[Network]\nName=a\n[Rendezvous]\nListen=tcp://127.0.0.1:*\n");
	/* A key that others may read is not used. */
	snprintf(path, sizeof(path), "%s/net/server.key", f->dir);
	chmod(path, 0640);
	run_wrong(f, "run --dir %/net", EXIT_CODE_KEYS);
	chmod(path, 0600);
	damage(f, "server.key", "0123\n");
	run_wrong(f, "run --dir %/net", EXIT_CODE_KEYS);
	unlink(path);
	run_wrong(f, "run --dir %/net", EXIT_CODE_KEYS);
	damage(f, "issuer.sqlite", "x");
	run_wrong(f, "token list --dir %/net", EXIT_CODE_DATABASE);
	snprintf(path, sizeof(path), "%s/net/issuer.sqlite", f->dir);
	unlink(path);
	run_wrong(f, "member list --dir %/net", EXIT_CODE_DATABASE);
}

static void test_port_in_use(void **state)
{
	struct fixture *f = *state;
	struct world *w = calloc(1, sizeof(*w));
	char text[256];

	assert_non_null(w);
	world_init(w);
	run_ok(f, "init --dir %/net --name home");
	snprintf(text, sizeof(text),
		 "[Network]\nName=a\n[Rendezvous]\nListen=tcp://127.0.0.1:%d\nStunListen=off\n",
		 w->port);
	damage(f, "rendezvous.conf", text);
	run_wrong(f, "run --dir %/net", EXIT_CODE_LISTEN);
	snprintf(text, sizeof(text),
		 "[Network]\nName=a\n[Rendezvous]\nListen=tcp://127.0.0.1:*\n"
		 "StunListen=127.0.0.1:%d\n",
		 w->stun_port);
	damage(f, "rendezvous.conf", text);
	run_wrong(f, "run --dir %/net", EXIT_CODE_LISTEN);
	world_fini(w);
	free(w);
}

static void test_help(void **state)
{
	struct fixture *f = *state;

	run_ok(f, "--help");
	assert_non_null(strstr(f->out, "token create"));
	assert_non_null(strstr(f->out, "  8  run: "));
	run_ok(f, "token create --help");
	run_ok(f, "--version");
	assert_non_null(strstr(f->out, ICETUN_VERSION));
	run_wrong(f, "", EXIT_CODE_USAGE);
	run_wrong(f, "serve", EXIT_CODE_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init_prefixes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
