#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "daemon/core/cert/identifier.h"
#include "daemon/core/cert/token.h"
#include "daemon/core/crypto/secret.h"

#define TIMEOUT_MS     30000
#define MAX_TIMEOUT_MS 3600000

/* Takes the white space at both ends away. */
static void trim(char *text)
{
	size_t start = strspn(text, " \t\r\n"), len;

	memmove(text, text + start, strlen(text + start) + 1);
	for (len = strlen(text); len && strchr(" \t\r\n", text[len - 1]); len--)
		text[len - 1] = '\0';
}

static enum problem read_stream(FILE *f, const char *name, char token[static TOKEN_TEXT_BYTES])
{
	size_t len = fread(token, 1, TOKEN_TEXT_BYTES, f);

	if (ferror(f))
		return fail_detail(PROBLEM_TOKEN_BAD, "%s: %s", name, strerror(errno));
	if (len == TOKEN_TEXT_BYTES || memchr(token, '\0', len)) {
		token[0] = '\0';
		return fail_detail(PROBLEM_TOKEN_BAD, "%s holds something else", name);
	}
	token[len] = '\0';
	return PROBLEM_NONE;
}

static enum problem read_file(const char *path, char token[static TOKEN_TEXT_BYTES])
{
	FILE *f = fopen(path, "re");
	enum problem p;

	if (!f)
		return fail_detail(PROBLEM_TOKEN_BAD, "%s: %s", path, strerror(errno));
	p = read_stream(f, path, token);
	fclose(f);
	return p;
}

/* @argument: TOKEN, "-" or "@FILE"; wiped when it is the token itself, so that it stands in the
 * list of processes as briefly as can be. */
static enum problem read_token(char *argument, const char *file,
			       char token[static TOKEN_TEXT_BYTES])
{
	size_t len;

	if (!argument == !file)
		return fail_detail(PROBLEM_USAGE, "%s",
				   file ? "either TOKEN or --token-file" : "the token is missing");
	if (file)
		return read_file(file, token);
	if (argument[0] == '@')
		return read_file(argument + 1, token);
	if (strcmp(argument, "-") == 0)
		return read_stream(stdin, "standard input", token);
	len = strlen(argument);
	if (len >= TOKEN_TEXT_BYTES)
		return fail_detail(PROBLEM_TOKEN_BAD, "it is too long");
	memcpy(token, argument, len + 1);
	secret_wipe(argument, len);
	return PROBLEM_NONE;
}

static enum problem check_token(const char *text)
{
	struct token token;
	enum token_problem t;

	if (crypto_start() != OK)
		return fail(PROBLEM_INTERNAL);
	t = token_parse(text, &token);
	secret_wipe(&token, sizeof(token));
	switch (t) {
	case TOKEN_OK:
		return PROBLEM_NONE;
	case TOKEN_DAMAGED:
		return fail(PROBLEM_TOKEN_DAMAGED);
	case TOKEN_UNKNOWN_VERSION:
		return fail(PROBLEM_TOKEN_VERSION);
	case TOKEN_NOT_A_TOKEN:
	case TOKEN_PROBLEM_COUNT:
		break;
	}
	return fail(PROBLEM_TOKEN_BAD);
}

/* @name: as given, or NULL: the first label of the host name, in lower case. */
static enum problem choose_name(const char *name, char ret[static IDENTIFIER_BYTES])
{
	char host[256] = "";

	if (!name) {
		if (gethostname(host, sizeof(host) - 1) != 0)
			host[0] = '\0';
		host[strcspn(host, ".")] = '\0';
		for (char *p = host; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		name = host;
		if (!identifier_is_valid(name))
			return fail_sentences(
				PROBLEM_NAME_INVALID,
				"this host's own name cannot be its name in the network",
				"Choose one: ictl join TOKEN --name NAME", name);
	}
	if (!identifier_is_valid(name))
		return fail_detail(PROBLEM_NAME_INVALID, "%s", name);
	memcpy(ret, name, strlen(name) + 1);
	return PROBLEM_NONE;
}

static enum problem join(const struct context *context, const char *token, const char *name,
			 uint64_t timeout_ms)
{
	json_t *reply = NULL;
	enum problem p =
		client_ask(context, "Join", json_pack("{s:s, s:s}", "token", token, "name", name),
			   timeout_ms, &reply);

	if (p != PROBLEM_NONE)
		return p;
	printf("joined %s as %s: %s\n"
	       "Bring it up: ictl up\n",
	       json_text(reply, "network").s, json_text(reply, "name").s,
	       json_list(json_object_get(reply, "addresses")).s);
	json_decref(reply);
	return PROBLEM_NONE;
}

static enum problem run(struct context *context, int argc, char **argv)
{
	char token[TOKEN_TEXT_BYTES], name[IDENTIFIER_BYTES];
	char *argument, *file = NULL, *wanted = NULL, *timeout = NULL;
	const struct option_spec specs[] = {{.name = "name", .letter = 'n', .ret_value = &wanted},
					    {.name = "token-file", .ret_value = &file},
					    {.name = "timeout", .ret_value = &timeout},
					    {0}};
	uint64_t timeout_ms = TIMEOUT_MS;
	enum problem p;

	if (!options_parse(context, &command_join, argc, argv, specs, &argument, 1, &p))
		return p;
	if (!options_seconds("timeout", timeout, 1, MAX_TIMEOUT_MS, &timeout_ms))
		return PROBLEM_USAGE;
	p = choose_name(wanted, name);
	if (p == PROBLEM_NONE)
		p = read_token(argument, file, token);
	if (p == PROBLEM_NONE) {
		trim(token);
		p = check_token(token);
		if (p == PROBLEM_NONE)
			p = join(context, token, name, timeout_ms);
		secret_wipe(token, sizeof(token));
	}
	return p;
}

const struct command command_join = {
	.name = "join",
	.arguments = "TOKEN [--name NAME] [--timeout SECONDS]",
	.summary = "Joins this host to a network",
	.help = "TOKEN comes from whoever runs the network (icetun-rendezvous token create). "
		"Whoever has\n"
		"it can join, so better not on the command line:\n\n"
		"  ictl join -            reads it from standard input\n"
		"  ictl join @FILE        reads it from a file; also: --token-file FILE\n\n"
		"  -n, --name NAME        this host's name in the network, 1 to 63 of a-z, 0-9, "
		"'-',\n"
		"                         '_' and '.'; default: the first part of the host name\n"
		"      --timeout SECONDS  how long to wait for the server (30)\n",
	.run = run,
};
