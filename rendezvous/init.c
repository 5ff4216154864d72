/* icetun-rendezvous init: a new network. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/crypto/sign.h"
#include "rendezvous/command.h"
#include "rendezvous/store.h"

struct init {
	const char *dir;
	char name[CONFIG_NAME_BYTES];
	struct netprefix prefix;
	struct netprefix prefix6;
	char endpoint[CONFIG_ENDPOINT_BYTES]; /* "" = not known yet */
};

/* RFC 4193 s. 3.2: 40 random bits make the prefix unique. */
static struct netprefix random_prefix6(void)
{
	struct random_source random = random_system();
	struct netprefix p = {.family = NETADDR_IP6, .length_bits = 64, .ip = {0xfd}};

	random_bytes(&random, p.ip + 1, 5);
	return p;
}

static enum exit_code check_prefixes(const char *ip4, const char *ip6, struct init *ret)
{
	if (config_parse_prefix(ip4 ? ip4 : CONFIG_DEFAULT_PREFIX, &ret->prefix) != OK)
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no IPv4 block for a network; use one from /8 to /30 "
				    "without host bits, such as " CONFIG_DEFAULT_PREFIX ".",
				    ip4);
	ret->prefix6 = ip6 ? (struct netprefix){.family = NETADDR_NONE} : random_prefix6();
	if (ip6 && strcmp(ip6, "none") && config_parse_prefix6(ip6, &ret->prefix6) != OK)
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no IPv6 block for a network; use one from /16 to "
				    "/104 without host bits, such as fd12:3456:789a::/64, or "
				    "\"none\".",
				    ip6);
	return EXIT_CODE_DONE;
}

static enum exit_code check_options(const struct command_option *options, struct init *ret)
{
	const char *name = options[1].value;
	const char *endpoint = options[3].value;

	ret->dir = options[0].value ? options[0].value : CONFIG_DEFAULT_DIRECTORY;
	if (!name)
		return command_fail(EXIT_CODE_USAGE, "give the network a name with --name.");
	if (config_parse_name(name, ret->name) != OK)
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no name for a network; use 1 to 63 of a-z, 0-9, "
				    "'-', '_' and '.', a letter or digit first and last.",
				    name);
	ret->endpoint[0] = '\0';
	if (endpoint && config_parse_endpoint(endpoint, false, ret->endpoint) != OK)
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no endpoint; write tcp://HOST:PORT.", endpoint);
	return check_prefixes(options[2].value, options[4].value, ret);
}

/* Nothing of an older network may be lost: its keys cannot be made again. */
static enum exit_code check_empty(const char *dir)
{
	static const char *const names[] = {STORE_AUTHORITY_KEY, STORE_AUTHORITY_PUBLIC,
					    STORE_SERVER_KEY, STORE_DATABASE, CONFIG_FILE_NAME};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (store_path(dir, names[i], path, sizeof(path)) != OK)
			return command_fail(EXIT_CODE_USAGE, "the path %s is too long.", dir);
		if (access(path, F_OK) == 0)
			return command_fail(EXIT_CODE_EXISTS,
					    "%s exists already and is not overwritten; choose "
					    "another --dir, or move the old network away.",
					    path);
	}
	return EXIT_CODE_DONE;
}

static enum err write_keys(const char *dir)
{
	struct random_source random = random_system();
	struct {
		uint8_t seed[SIGN_SEED_BYTES];
		uint8_t authority[SIGN_SECRET_BYTES];
		struct dh_keypair server;
	} *secret = secret_alloc(sizeof(*secret));
	uint8_t public[SIGN_PUBLIC_BYTES];
	enum err err;

	if (!secret)
		return ERR_NO_MEMORY;
	random_bytes(&random, secret->seed, sizeof(secret->seed));
	sign_keypair(secret->seed, public, secret->authority);
	dh_generate(&secret->server, &random);
	err = store_write_key(dir, STORE_AUTHORITY_KEY, 0600, secret->seed);
	if (err == OK)
		err = store_write_key(dir, STORE_AUTHORITY_PUBLIC, 0644, public);
	if (err == OK)
		err = store_write_key(dir, STORE_SERVER_KEY, 0600, secret->server.secret);
	secret_free(secret);
	return err;
}

static enum err write_config(const struct init *init)
{
	const bool has_ip6 = init->prefix6.family != NETADDR_NONE;
	char prefix[NETPREFIX_TEXT_BYTES], prefix6[NETPREFIX_TEXT_BYTES] = "";
	char text[2048];
	int n;

	netprefix_format(&init->prefix, prefix);
	if (has_ip6)
		netprefix_format(&init->prefix6, prefix6);
	n = snprintf(
		text, sizeof(text),
		"# Configuration of icetun-rendezvous. Keys and database are beside this file:\n"
		"# keep a backup of them, and keep it secret.\n\n"
		"[Network]\n"
		"Name=%s\n"
		"Prefix=%s\n"
		"%s%s\n\n"
		"[Rendezvous]\n"
		"# Where hosts connect (TCP), on this machine.\n"
		"Listen=tcp://*:%s\n"
		"# How hosts reach it from outside; stands in join tokens. Up to four lines.\n"
		"%sEndpoint=%s\n"
		"# The STUN responder (UDP); \"off\" for none.\n"
		"StunListen=*:%d\n\n"
		"[Servers]\n"
		"# Further STUN and TURN servers for hosts. Up to seven lines.\n"
		"#Uri=turn:turn.example.org:3478?transport=udp\n"
		"# The static-auth-secret of your coturn.\n"
		"#TurnSecret=\n"
		"# Seconds that its passwords are good; hosts get new ones in time.\n"
		"#TurnLifetime=86400\n",
		init->name, prefix, has_ip6 ? "Prefix=" : "# No IPv6.", prefix6,
		init->endpoint[0] ? strrchr(init->endpoint, ':') + 1 : CONFIG_DEFAULT_PORT,
		init->endpoint[0] ? "" : "#",
		init->endpoint[0] ? init->endpoint : "tcp://HOST:" CONFIG_DEFAULT_PORT,
		CONFIG_DEFAULT_STUN_PORT);
	if (n < 0 || (size_t)n >= sizeof(text))
		return ERR_NO_SPACE;
	return store_write(init->dir, CONFIG_FILE_NAME, 0600, text, (size_t)n);
}

static enum err make_database(const char *dir)
{
	char path[PATH_MAX];
	enum err err = store_path(dir, STORE_DATABASE, path, sizeof(path));

	return err == OK ? issuer_create_database(path) : err;
}

static void print_next(const struct init *init)
{
	const bool has_ip6 = init->prefix6.family != NETADDR_NONE;
	char prefix[NETPREFIX_TEXT_BYTES], prefix6[NETPREFIX_TEXT_BYTES] = "";

	printf("The network \"%s\" (%s%s%s) was made in %s.\n\nNext:\n", init->name,
	       netprefix_format(&init->prefix, prefix), has_ip6 ? ", " : "",
	       has_ip6 ? netprefix_format(&init->prefix6, prefix6) : "", init->dir);
	if (!init->endpoint[0])
		printf("  - set Endpoint= in %s/" CONFIG_FILE_NAME
		       " to the address at which hosts reach this server\n",
		       init->dir);
	printf("  - let in %s/tcp and %d/udp where there is a firewall\n"
	       "  - start the server:     icetun-rendezvous run --config %s/" CONFIG_FILE_NAME "\n"
	       "  - make a join token:    icetun-rendezvous token create --dir %s\n"
	       "  - and on a host:        ictl join TOKEN\n"
	       "  - keep a secret backup of %s: with its keys the network stands or falls\n",
	       init->endpoint[0] ? strrchr(init->endpoint, ':') + 1 : CONFIG_DEFAULT_PORT,
	       CONFIG_DEFAULT_STUN_PORT, init->dir, init->dir, init->dir);
}

enum exit_code command_init(int argc, char **argv)
{
	struct command_option options[] = {
		{"dir", NULL}, {"name", NULL}, {"ipv4", NULL}, {"endpoint", NULL}, {"ipv6", NULL}};
	struct init init;
	size_t rest;
	enum err err;
	enum exit_code code =
		command_parse(argc, argv, options, ARRAY_SIZE(options), NULL, 0, &rest);

	if (code == EXIT_CODE_DONE)
		code = check_options(options, &init);
	if (code == EXIT_CODE_DONE)
		code = check_empty(init.dir);
	if (code != EXIT_CODE_DONE)
		return code;
	err = store_make_directory(init.dir);
	if (err == OK)
		err = write_keys(init.dir);
	if (err == OK)
		err = make_database(init.dir);
	/* Last: a directory without it is not complete. */
	if (err == OK)
		err = write_config(&init);
	if (err == ERR_PERMISSION)
		return command_fail(EXIT_CODE_PERMISSION,
				    "no permission to write %s; run as root, or choose another "
				    "--dir.",
				    init.dir);
	if (err != OK)
		return command_fail(EXIT_CODE_WRITE, "%s cannot be written (%s); is the disk full?",
				    init.dir, err_text(err));
	print_next(&init);
	return EXIT_CODE_DONE;
}
