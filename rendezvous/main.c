#include <stdio.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "rendezvous/command.h"

static const struct {
	const char *name;
	enum exit_code (*run)(int argc, char **argv);
} commands[] = {
	{"init", command_init},
	{"token", command_token},
	{"member", command_member},
	{"run", command_run},
};

static enum exit_code print_help(void)
{
	printf("icetun-rendezvous: the server through which the hosts of a network find each "
	       "other\n\n"
	       "  icetun-rendezvous init --name NET [--dir DIR] [--ipv4 PREFIX]\n"
	       "                         [--ipv6 PREFIX|none] [--endpoint tcp://HOST:PORT]\n"
	       "      Makes a network: keys, database and configuration in DIR.\n"
	       "  icetun-rendezvous run [--config FILE | --dir DIR]\n"
	       "      Serves, in the foreground, until SIGTERM or SIGINT. Logs to stderr.\n"
	       "  icetun-rendezvous token create [--uses N] [--expires T] [--dir DIR | --config "
	       "FILE]\n"
	       "      Prints a join token, good for N hosts (default 1) within T (30m, 24h, 7d;\n"
	       "      default 24h). Whoever has it can join: hand it on like a password.\n"
	       "  icetun-rendezvous token list | token revoke ID | member list\n"
	       "                         [--dir DIR | --config FILE]\n"
	       "  icetun-rendezvous --help | --version\n\n"
	       "DIR is " CONFIG_DEFAULT_DIRECTORY " and FILE is DIR/" CONFIG_FILE_NAME
	       " if not given; PREFIX is\n" CONFIG_DEFAULT_PREFIX
	       " for IPv4 and a random fdXX:XXXX:XXXX::/64 (RFC 4193) for IPv6 if not given.\n"
	       "Tokens may be made while the server runs.\n\nExit codes:\n");
#define X(name, code, text) printf("  %2d  %s\n", code, text);
	EXIT_TABLE(X)
#undef X
	return EXIT_CODE_DONE;
}

static enum exit_code dispatch(int argc, char **argv)
{
	if (argc < 2)
		return command_fail(EXIT_CODE_USAGE, "say what to do; see --help.");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
		return print_help();
	if (!strcmp(argv[1], "--version")) {
		printf("icetun-rendezvous %s\n", ICETUN_VERSION);
		return EXIT_CODE_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		for (int j = 2; j < argc; j++) {
			if (!strcmp(argv[j], "--help"))
				return print_help();
		}
		if (crypto_start() != OK)
			return command_fail(EXIT_CODE_INTERNAL, "the crypto library cannot start.");
		return commands[i].run(argc - 2, argv + 2);
	}
	return command_fail(EXIT_CODE_USAGE, "there is no command \"%s\"; see --help.", argv[1]);
}

int main(int argc, char **argv)
{
	return (int)dispatch(argc, argv);
}
