/* icetun-rendezvous token and member: the issuer's database from the command line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/core/cert/token.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "rendezvous/command.h"
#include "rendezvous/store.h"

#define BUSY_MS		  5000
#define DEFAULT_EXPIRES_S 86400
#define MAX_EXPIRES_S	  (3650LL * 86400)
#define TIME_BYTES	  24
#define MEMBER_ROW	  "%-8s %-24s %-16s %-25s %-21s %s"

static const char *format_time(int64_t unix_s, char buf[static TIME_BYTES])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(buf, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(buf, TIME_BYTES, "?");
	return buf;
}

/* A number from 1 to @max. */
static bool parse_number(const char *text, int64_t max, int64_t *ret)
{
	size_t len = strspn(text, "0123456789");
	long long value;

	if (len == 0 || len > 12 || text[len])
		return false;
	value = strtoll(text, NULL, 10);
	if (value < 1 || value > max)
		return false;
	*ret = value;
	return true;
}

/* "90s", "30m", "24h", "7d". */
static bool parse_duration(const char *text, int64_t *ret_s)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char number[16];
	size_t len = strlen(text);
	int64_t count;

	if (len < 2 || len > sizeof(number))
		return false;
	memcpy(number, text, len - 1);
	number[len - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (text[len - 1] != units[i].letter ||
		    !parse_number(number, MAX_EXPIRES_S / units[i].seconds, &count))
			continue;
		*ret_s = count * units[i].seconds;
		return true;
	}
	return false;
}

static enum exit_code print_token(const struct config *config, struct token *token)
{
	uint8_t server_secret[DH_BYTES];
	char text[TOKEN_TEXT_BYTES];
	enum exit_code code = command_read_key(config, STORE_SERVER_KEY, true, server_secret);

	if (code == EXIT_CODE_DONE)
		code = command_read_key(config, STORE_AUTHORITY_PUBLIC, false,
					token->authority_key);
	if (code == EXIT_CODE_DONE) {
		snprintf(token->network, sizeof(token->network), "%s", config->network);
		dh_public(server_secret, token->server_key);
		token->endpoint_count = config->endpoint_count;
		memcpy(token->endpoints, config->endpoint, sizeof(token->endpoints));
		if (token_format(token, text, sizeof(text)) == OK)
			printf("%s\n", text);
		else
			code = command_fail(EXIT_CODE_CONFIG,
					    "an Endpoint of the configuration does not fit into a "
					    "token; write tcp://HOST:PORT.");
	}
	secret_wipe(text, sizeof(text));
	secret_wipe(server_secret, sizeof(server_secret));
	return code;
}

static enum exit_code create(const struct config *config, struct issuer *issuer, const char *uses,
			     const char *expires)
{
	const struct random_source random = random_system();
	int64_t use_count = 1;
	int64_t expires_s = DEFAULT_EXPIRES_S;
	int64_t now_s = (int64_t)time(NULL);
	struct token token = {0};
	enum exit_code code;

	if (uses && !parse_number(uses, ISSUER_MAX_USES, &use_count))
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no number of uses; give 1 to %d with --uses.", uses,
				    ISSUER_MAX_USES);
	if (expires && !parse_duration(expires, &expires_s))
		return command_fail(
			EXIT_CODE_USAGE,
			"\"%s\" is no time to expire; give --expires as 30m, 24h or 7d, "
			"3650d at most.",
			expires);
	if (config->endpoint_count == 0)
		return command_fail(EXIT_CODE_NO_ENDPOINT,
				    "no Endpoint is set, so a token could not say where to join; "
				    "add Endpoint=tcp://HOST:PORT to [Rendezvous] in %s/%s.",
				    config->directory, CONFIG_FILE_NAME);
	if (issuer_token_create(issuer, &random, now_s, use_count, now_s + expires_s,
				token.secret) != OK)
		return command_fail(EXIT_CODE_DATABASE,
				    "the database does not take the token; is another program "
				    "holding it, or the disk full? Try again.");
	code = print_token(config, &token);
	secret_wipe(&token, sizeof(token));
	return code;
}

static const char *token_state(const struct issuer_token *t)
{
	if (t->is_revoked)
		return "revoked";
	if (t->used >= t->uses)
		return "used";
	return t->expires_s <= (int64_t)time(NULL) ? "expired" : "valid";
}

static void print_token_row(void *ctx, const struct issuer_token *t)
{
	char created[TIME_BYTES];
	char expires[TIME_BYTES];
	char uses[48];

	(void)ctx;
	snprintf(uses, sizeof(uses), "%" PRId64 "/%" PRId64, t->used, t->uses);
	printf("%-6" PRId64 " %-8s %-10s %-21s %s\n", t->id, token_state(t), uses,
	       format_time(t->created_s, created), format_time(t->expires_s, expires));
}

static void print_member_row(void *ctx, const struct issuer_member *m)
{
	char joined[TIME_BYTES];
	char expires[TIME_BYTES];
	char serial[24];

	(void)ctx;
	snprintf(serial, sizeof(serial), "%" PRId64, m->serial);
	printf(MEMBER_ROW "\n", serial, m->name, m->address, m->address6[0] ? m->address6 : "-",
	       format_time(m->joined_s, joined), format_time(m->expires_s, expires));
}

static enum exit_code list_result(enum err err)
{
	if (err == OK)
		return EXIT_CODE_DONE;
	return command_fail(EXIT_CODE_DATABASE, "the database cannot be read (%s); try again.",
			    err_text(err));
}

static enum exit_code revoke(struct issuer *issuer, const char *text)
{
	int64_t id;
	enum err err;

	if (!parse_number(text, 1000000000000, &id))
		return command_fail(EXIT_CODE_USAGE,
				    "\"%s\" is no token's number; `token list` shows them.", text);
	err = issuer_token_revoke(issuer, (int64_t)time(NULL), id);
	if (err == ERR_NOT_FOUND)
		return command_fail(EXIT_CODE_NOT_FOUND,
				    "there is no token %s; `token list` shows them.", text);
	if (err != OK)
		return command_fail(EXIT_CODE_DATABASE,
				    "the database does not take it; try again.");
	return EXIT_CODE_DONE;
}

enum exit_code command_token(int argc, char **argv)
{
	struct command_option options[] = {
		{"dir", NULL}, {"config", NULL}, {"uses", NULL}, {"expires", NULL}};
	const char *rest[2] = {NULL, NULL};
	struct config config;
	struct issuer *issuer;
	size_t count;
	bool is_create, is_list, is_revoke;
	enum exit_code code =
		command_parse(argc, argv, options, ARRAY_SIZE(options), rest, 2, &count);

	if (code != EXIT_CODE_DONE)
		return code;
	is_create = count == 1 && !strcmp(rest[0], "create");
	is_list = count == 1 && !strcmp(rest[0], "list");
	is_revoke = count == 2 && !strcmp(rest[0], "revoke");
	if (!is_create && !is_list && !is_revoke)
		return command_fail(EXIT_CODE_USAGE, "say `token create`, `token list` or `token "
						     "revoke ID`; see --help.");
	if (!is_create && (options[2].value || options[3].value))
		return command_fail(EXIT_CODE_USAGE,
				    "--uses and --expires belong to `token create`.");
	code = command_load_config(options[0].value, options[1].value, &config);
	if (code == EXIT_CODE_DONE)
		code = command_open_issuer(&config, NULL, BUSY_MS, &issuer);
	if (code != EXIT_CODE_DONE)
		return code;
	if (is_create) {
		code = create(&config, issuer, options[2].value, options[3].value);
	} else if (is_revoke) {
		code = revoke(issuer, rest[1]);
	} else {
		printf("%-6s %-8s %-10s %-21s %s\n", "ID", "STATE", "USED", "CREATED", "EXPIRES");
		code = list_result(issuer_token_list(issuer, print_token_row, NULL));
	}
	issuer_close(issuer);
	return code;
}

enum exit_code command_member(int argc, char **argv)
{
	struct command_option options[] = {{"dir", NULL}, {"config", NULL}};
	const char *rest[1] = {NULL};
	struct config config;
	struct issuer *issuer;
	size_t count;
	enum exit_code code =
		command_parse(argc, argv, options, ARRAY_SIZE(options), rest, 1, &count);

	if (code != EXIT_CODE_DONE)
		return code;
	if (count != 1 || strcmp(rest[0], "list"))
		return command_fail(EXIT_CODE_USAGE, "say `member list`; see --help.");
	code = command_load_config(options[0].value, options[1].value, &config);
	if (code == EXIT_CODE_DONE)
		code = command_open_issuer(&config, NULL, BUSY_MS, &issuer);
	if (code != EXIT_CODE_DONE)
		return code;
	printf(MEMBER_ROW "\n", "SERIAL", "NAME", "IPV4", "IPV6", "JOINED", "EXPIRES");
	code = list_result(issuer_member_list(issuer, print_member_row, NULL));
	issuer_close(issuer);
	return code;
}
