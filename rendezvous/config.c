#include "rendezvous/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rendezvous/servers.h"

void config_init(struct config *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (config_parse_prefix(CONFIG_DEFAULT_PREFIX, &ret->prefix) != OK)
		abort();
	snprintf(ret->listen, sizeof(ret->listen), "tcp://*:%s", CONFIG_DEFAULT_PORT);
	ret->is_stun_on = true;
	ret->stun_listen.port = CONFIG_DEFAULT_STUN_PORT;
	ret->turn_lifetime_s = SERVERS_CREDENTIAL_S;
}

/* Copies text of 1..cap-1 printable characters without spaces. */
static enum err copy_word(const char *text, char *dst, size_t cap)
{
	size_t len = strlen(text);

	if (len == 0 || len >= cap)
		return ERR_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			return ERR_INVALID;
	}
	memcpy(dst, text, len + 1);
	return OK;
}

enum err config_parse_name(const char *text, char ret[static CONFIG_NAME_BYTES])
{
	if (!identifier_is_valid(text))
		return ERR_INVALID;
	return copy_word(text, ret, CONFIG_NAME_BYTES);
}

/* An IPv4 block with room for hosts, and small enough to be counted through. */
enum err config_parse_prefix(const char *text, struct netprefix *ret)
{
	struct netprefix prefix;

	if (netprefix_parse(text, &prefix) != OK || prefix.family != NETADDR_IP4 ||
	    prefix.length_bits < 8 || prefix.length_bits > 30)
		return ERR_INVALID;
	*ret = prefix;
	return OK;
}

/* A block of unicast addresses, of this network or from the Internet, in which each host number of
 * the longest IPv4 block, 24 bits, has room. */
enum err config_parse_prefix6(const char *text, struct netprefix *ret)
{
	struct netprefix prefix;

	if (netprefix_parse(text, &prefix) != OK || prefix.family != NETADDR_IP6 ||
	    prefix.length_bits < 16 || prefix.length_bits > 104)
		return ERR_INVALID;
	/* 2000::/3, fc00::/7 */
	if (prefix.ip[0] >> 5 != 1 && prefix.ip[0] >> 1 != 0xfc >> 1)
		return ERR_INVALID;
	*ret = prefix;
	return OK;
}

/* A port number 1..65535, to the end of @text; 0 for anything else. */
static uint16_t parse_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	long value = 0;

	if (len == 0 || len > 5 || text[len])
		return 0;
	value = strtol(text, NULL, 10);
	return value <= 65535 ? (uint16_t)value : 0;
}

enum err config_parse_endpoint(const char *text, bool is_listen,
			       char ret[static CONFIG_ENDPOINT_BYTES])
{
	const char *host = text + strlen("tcp://");
	const char *colon = strrchr(text, ':');
	size_t len;

	if (strncmp(text, "tcp://", strlen("tcp://")) || colon <= host)
		return ERR_INVALID;
	len = (size_t)(colon - host);
	if (memchr(host, ':', len) && (host[0] != '[' || colon[-1] != ']'))
		return ERR_INVALID;
	if (memchr(host, '/', len) || memchr(host, ';', len))
		return ERR_INVALID;
	if (is_listen ? !parse_port(colon + 1) && strcmp(colon + 1, "*") && strcmp(colon + 1, "0")
		      : !parse_port(colon + 1))
		return ERR_INVALID;
	if (memchr(host, '*', len) && (!is_listen || len != 1))
		return ERR_INVALID;
	return copy_word(text, ret, CONFIG_ENDPOINT_BYTES);
}

void config_endpoint_host(const char *endpoint, char ret[static CONFIG_ENDPOINT_BYTES])
{
	const char *host = endpoint + strlen("tcp://");

	snprintf(ret, CONFIG_ENDPOINT_BYTES, "%.*s", (int)(strrchr(host, ':') - host), host);
}

static enum err parse_stun_listen(const char *text, struct config *c)
{
	struct netaddr addr = {0};

	if (!strcmp(text, "off")) {
		c->is_stun_on = false;
		return OK;
	}
	if (!strncmp(text, "*:", 2)) {
		addr.port = parse_port(text + 2);
		if (!addr.port && strcmp(text + 2, "0"))
			return ERR_INVALID;
	} else if (netaddr_parse(text, &addr) != OK) {
		return ERR_INVALID;
	}
	c->stun_listen = addr;
	c->is_stun_on = true;
	return OK;
}

static enum err parse_uri(const char *text, struct config *c)
{
	static const char *const schemes[] = {"stun:", "stuns:", "turn:", "turns:"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (strncmp(text, schemes[i], len) || !text[len])
			continue;
		if (c->uri_count == CONFIG_MAX_URIS ||
		    copy_word(text, c->uri[c->uri_count], CONFIG_URI_BYTES) != OK)
			return ERR_INVALID;
		c->uri_count++;
		return OK;
	}
	return ERR_INVALID;
}

static enum err parse_key_name(const char *text, struct config *c)
{
	return config_parse_name(text, c->network);
}

static enum err parse_key_prefix(const char *text, struct config *c)
{
	return strchr(text, ':') ? config_parse_prefix6(text, &c->prefix6)
				 : config_parse_prefix(text, &c->prefix);
}

static enum err parse_key_listen(const char *text, struct config *c)
{
	return config_parse_endpoint(text, true, c->listen);
}

static enum err parse_key_endpoint(const char *text, struct config *c)
{
	if (c->endpoint_count == CONFIG_MAX_ENDPOINTS ||
	    config_parse_endpoint(text, false, c->endpoint[c->endpoint_count]) != OK)
		return ERR_INVALID;
	c->endpoint_count++;
	return OK;
}

static enum err parse_key_directory(const char *text, struct config *c)
{
	if (text[0] != '/' || strlen(text) >= sizeof(c->directory))
		return ERR_INVALID;
	snprintf(c->directory, sizeof(c->directory), "%s", text);
	return OK;
}

static enum err parse_key_turn_secret(const char *text, struct config *c)
{
	return copy_word(text, c->turn_secret, sizeof(c->turn_secret));
}

static enum err parse_key_turn_lifetime(const char *text, struct config *c)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || v < SERVERS_CREDENTIAL_MIN_S ||
	    v > SERVERS_CREDENTIAL_MAX_S)
		return ERR_INVALID;
	c->turn_lifetime_s = (uint32_t)v;
	return OK;
}

static const struct key {
	const char *section;
	const char *name;
	enum err (*parse)(const char *text, struct config *c);
	const char *allowed;
} keys[] = {
	{"Network", "Name", parse_key_name,
	 "1 to 63 of a-z, 0-9, '-', '_', '.', first and last a letter or digit"},
	{"Network", "Prefix", parse_key_prefix,
	 "an IPv4 block such as " CONFIG_DEFAULT_PREFIX
	 ", and an IPv6 block such as fd12:3456:789a::/64 in a second line"},
	{"Rendezvous", "Listen", parse_key_listen, "tcp://ADDRESS:PORT or tcp://*:PORT"},
	{"Rendezvous", "Endpoint", parse_key_endpoint, "tcp://HOST:PORT, at most four times"},
	{"Rendezvous", "StunListen", parse_stun_listen, "ADDRESS:PORT, *:PORT or off"},
	{"Rendezvous", "Directory", parse_key_directory, "an absolute path"},
	{"Servers", "Uri", parse_uri, "stun:, stuns:, turn: or turns: URIs, at most seven"},
	{"Servers", "TurnSecret", parse_key_turn_secret, "up to 127 characters without spaces"},
	{"Servers", "TurnLifetime", parse_key_turn_lifetime, "seconds from 20 to 2592000"},
};

struct load {
	const char *file;
	struct config *config;
	char *error;
};

/* The message names all keys there are. */
static void unknown_key(const struct load *load, const char *section, const char *name)
{
	size_t at = 0;
	int n = snprintf(load->error, CONFIG_ERROR_BYTES,
			 "there is no key %.48s in [%.48s]; there are", name, section);

	for (size_t i = 0; n > 0 && at + (size_t)n < CONFIG_ERROR_BYTES - 1; i++) {
		const char *last = i ? keys[i - 1].section : "";

		at += (size_t)n;
		if (i == ARRAY_SIZE(keys)) {
			memcpy(load->error + at, ".", 2);
			return;
		}
		n = snprintf(load->error + at, CONFIG_ERROR_BYTES - at, "%s %s%s%s%s", i ? "," : "",
			     strcmp(last, keys[i].section) ? "[" : "",
			     strcmp(last, keys[i].section) ? keys[i].section : "",
			     strcmp(last, keys[i].section) ? "] " : "", keys[i].name);
	}
}

/* inih's handler. Return: 0 stops, with a message in load->error. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct load *load = user;

	if (load->error[0])
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].section, section) || strcmp(keys[i].name, name))
			continue;
		if (keys[i].parse(value, load->config) == OK)
			return 1;
		/* Without the value: it may be a secret. */
		snprintf(load->error, CONFIG_ERROR_BYTES,
			 "%s in [%s] has a bad value; allowed: %s.", name, section,
			 keys[i].allowed);
		return 0;
	}
	unknown_key(load, section, name);
	return 0;
}

static enum err fail(const struct load *load, enum err err, int line)
{
	char text[CONFIG_ERROR_BYTES];

	snprintf(text, sizeof(text), "%s", load->error);
	snprintf(load->error, CONFIG_ERROR_BYTES, "%.200s:%d: %.280s", load->file, line, text);
	return err;
}

static enum err open_failed(const struct load *load, int error)
{
	if (error == EACCES || error == EPERM) {
		snprintf(load->error, CONFIG_ERROR_BYTES,
			 "No permission to read %.300s; run as root or as the user that made it.",
			 load->file);
		return ERR_PERMISSION;
	}
	snprintf(load->error, CONFIG_ERROR_BYTES,
		 "Cannot read %.300s (%s); `icetun-rendezvous init` makes one.", load->file,
		 strerror(error));
	return error == ENOENT || error == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
}

/* Where the file is, unless the file says otherwise. */
static enum err default_directory(const struct load *load)
{
	char real[PATH_MAX];
	char *slash;

	if (load->config->directory[0])
		return OK;
	if (!realpath(load->file, real))
		return open_failed(load, errno);
	slash = strrchr(real, '/');
	*(slash == real ? slash + 1 : slash) = '\0';
	memcpy(load->config->directory, real, sizeof(real));
	return OK;
}

enum err config_load(const char *file, struct config *ret, char error[static CONFIG_ERROR_BYTES])
{
	struct load load = {.file = file, .config = ret, .error = error};
	FILE *in = fopen(file, "re");
	int line;

	error[0] = '\0';
	config_init(ret);
	if (!in)
		return open_failed(&load, errno);
	line = ini_parse_file(in, on_key, &load);
	fclose(in);
	if (line < 0) {
		snprintf(error, CONFIG_ERROR_BYTES, "cannot be read.");
		return fail(&load, ERR_IO, 0);
	}
	if (line > 0) {
		if (!error[0])
			snprintf(error, CONFIG_ERROR_BYTES, "neither [Section] nor Key=value.");
		return fail(&load, ERR_INVALID, line);
	}
	if (!ret->network[0]) {
		snprintf(error, CONFIG_ERROR_BYTES, "Name in [Network] is missing.");
		return fail(&load, ERR_INVALID, 1);
	}
	return default_directory(&load);
}
