#include "daemon/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/value.h"
#include "daemon/core/crypto/secret.h"

/* A typing error in a key is at most this many letters away from what was meant. */
#define SUGGEST_DISTANCE 2
#define KEY_BYTES	 50 /* inih's own limit */

struct key {
	const char *section;
	const char *name;
	const char *preset;  /* as text, through the same parser */
	const char *allowed; /* for people: what the value must be */
	bool (*parse)(struct config *config, const struct key *key, const char *value);
	size_t offset;	   /* in struct config, of what parse() fills in */
	size_t cap;	   /* bytes there, for text */
	uint32_t min, max; /* for numbers */
};

static void *field(struct config *config, const struct key *key)
{
	return (char *)config + key->offset;
}

static bool parse_path(struct config *config, const struct key *key, const char *value)
{
	return value_path(value, field(config, key), key->cap);
}

static bool parse_account(struct config *config, const struct key *key, const char *value)
{
	return value_account(value, field(config, key), key->cap);
}

/* "" is a value of its own: stay. */
static bool parse_user(struct config *config, const struct key *key, const char *value)
{
	config->user[0] = '\0';
	return !*value || parse_account(config, key, value);
}

static bool parse_interface(struct config *config, const struct key *key, const char *value)
{
	return value_interface(value, field(config, key), key->cap);
}

static bool parse_u32(struct config *config, const struct key *key, const char *value)
{
	return value_number(value, key->min, key->max, field(config, key));
}

static bool parse_u16(struct config *config, const struct key *key, const char *value)
{
	uint16_t *at = field(config, key);
	uint32_t v;

	if (!value_number(value, key->min, key->max, &v))
		return false;
	*at = (uint16_t)v;
	return true;
}

static bool parse_log_level(struct config *config, const struct key *key, const char *value)
{
	(void)key;
	return log_level_parse(value, &config->log_level);
}

static bool parse_patterns(struct config *config, const struct key *key, const char *value)
{
	struct config_patterns *list = field(config, key);
	char item[CONFIG_PATTERN_BYTES];
	int more;

	list->count = 0;
	while ((more = value_next_item(&value, item, sizeof(item))) == 1) {
		if (list->count == CONFIG_MAX_PATTERNS ||
		    !value_pattern(item, list->text[list->count], CONFIG_PATTERN_BYTES))
			return false;
		list->count++;
	}
	return more == 0;
}

static const struct {
	const char *name;
	size_t at;
} offload_names[] = {
	{"tun-tcp", offsetof(struct config_offloads, tun_tcp)},
	{"tun-udp", offsetof(struct config_offloads, tun_udp)},
	{"udp-segment", offsetof(struct config_offloads, udp_segment)},
	{"udp-gro", offsetof(struct config_offloads, udp_gro)},
	{"partial-checksums", offsetof(struct config_offloads, partial_checksums)},
	{"tun-queues", offsetof(struct config_offloads, tun_queues)},
};

static bool set_offload(struct config_offloads *o, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(offload_names); i++) {
		if (strcmp(offload_names[i].name, name) == 0) {
			*(bool *)((char *)o + offload_names[i].at) = true;
			return true;
		}
	}
	return false;
}

static bool parse_offloads(struct config *config, const struct key *key, const char *value)
{
	char item[CONFIG_INTERFACE_BYTES * 2];
	int more;

	(void)key;
	memset(&config->offloads, 0, sizeof(config->offloads));
	if (strcmp(value, "none") == 0)
		return true;
	while ((more = value_next_item(&value, item, sizeof(item))) == 1) {
		if (!set_offload(&config->offloads, item))
			return false;
	}
	return more == 0;
}

static bool parse_stun_servers(struct config *config, const struct key *key, const char *value)
{
	char item[CONFIG_ENDPOINT_BYTES];
	int more;

	(void)key;
	config->stun_server_count = 0;
	while ((more = value_next_item(&value, item, sizeof(item))) == 1) {
		if (config->stun_server_count == CONFIG_MAX_SERVERS ||
		    !value_stun_server(item, config->stun_servers[config->stun_server_count],
				       CONFIG_ENDPOINT_BYTES))
			return false;
		config->stun_server_count++;
	}
	return more == 0;
}

static bool parse_tcp_endpoint(struct config *config, const struct key *key, const char *value)
{
	char *at = field(config, key);

	at[0] = '\0';
	return !*value || value_tcp_endpoint(value, at, key->cap);
}

static bool parse_candidates(struct config *config, const struct key *key, const char *value)
{
	static const char *const names[] = {
		[CONFIG_CANDIDATES_ALL] = "all",
		[CONFIG_CANDIDATES_NO_HOST] = "no-host",
		[CONFIG_CANDIDATES_RELAY] = "relay",
	};

	(void)key;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			config->candidates = (enum config_candidates)i;
			return true;
		}
	}
	return false;
}

static bool parse_ca_file(struct config *config, const struct key *key, const char *value)
{
	config->ca_file[0] = '\0';
	return !*value || parse_path(config, key, value);
}

/* The server that the keys of this [Server] are about; its first key made it. */
static struct config_server *last_server(struct config *config)
{
	return config->server_count ? &config->servers[config->server_count - 1] : NULL;
}

static bool parse_uri(struct config *config, const struct key *key, const char *value)
{
	(void)key;
	if (!*value)
		return true;
	if (config->server_count == CONFIG_MAX_SERVERS ||
	    turn_uri_parse(value, &config->servers[config->server_count].uri) != OK)
		return false;
	config->server_count++;
	return true;
}

static bool parse_secret(struct config *config, const struct key *key, const char *value)
{
	struct config_server *server = last_server(config);
	size_t len = strlen(value);

	if (!len)
		return true;
	if (!server || len >= key->cap)
		return false;
	memcpy((char *)server + key->offset, value, len + 1);
	return true;
}

#define PLACE(type, field) offsetof(struct type, field), sizeof(((struct type *)NULL)->field)
/* The tail of a row. */
#define TEXT(field)		PLACE(config, field), 0, 0
#define NUMBER(field, min, max) offsetof(struct config, field), 0, min, max
#define OTHER(field)		offsetof(struct config, field), 0, 0, 0
#define SERVER(field)		PLACE(config_server, field), 0, 0

#define PATTERNS                                                                                   \
	"at most 16 device names or patterns (with *, ?, and whole sets like [0-9] or [!a-c]) of " \
	"at most 31 characters, separated by spaces"

/* In the order of packaging/examples/icetund.conf. */
static const struct key keys[] = {
	{"Daemon", "StateDirectory", "/var/lib/icetun", "an absolute path", parse_path,
	 TEXT(state_directory)},
	{"Daemon", "ControlSocket", CONFIG_DEFAULT_SOCKET,
	 "an absolute path of at most 107 characters", parse_path, TEXT(control_socket)},
	{"Daemon", "ControlGroup", "icetun", "the name of a group", parse_account,
	 TEXT(control_group)},
	{"Daemon", "User", "", "the name of a user, or empty", parse_user, TEXT(user)},
	{"Daemon", "LogLevel", "info", "one of error, warning, info, debug", parse_log_level,
	 OTHER(log_level)},
	{"Daemon", "SignalHelper", ICETUN_SIGNAL_HELPER, "an absolute path", parse_path,
	 TEXT(signal_helper)},
	{"Interface", "Name", "icetun0",
	 "a device name of at most 15 letters, digits, '.', '_' and '-'", parse_interface,
	 TEXT(interface_name)},
	{"Interface", "MTU", "1280", "a whole number from 576 to 65535 (below 1280 without IPv6)",
	 parse_u32, NUMBER(mtu_bytes, 576, 65535)},
	{"Data", "Workers", "0", "a whole number from 1 to 8, or 0 for one for each processor",
	 parse_u32, NUMBER(workers, 0, 8)},
	{"Data", "Offloads", "tun-tcp tun-udp udp-segment udp-gro partial-checksums tun-queues",
	 "a list of tun-tcp, tun-udp, udp-segment, udp-gro, partial-checksums, tun-queues, or none",
	 parse_offloads, OTHER(offloads)},
	{"Ice", "Port", "0", "a port from 1 to 65535, or 0 for a random one that is kept",
	 parse_u16, NUMBER(port, 0, 65535)},
	{"Ice", "AllowInterfaces", "", PATTERNS, parse_patterns, OTHER(allow)},
	{"Ice", "DenyInterfaces", "", PATTERNS, parse_patterns, OTHER(deny)},
	{"Ice", "StunServers", "", "at most 8 of host or host:port, separated by spaces",
	 parse_stun_servers, OTHER(stun_servers)},
	{"Ice", "Ta", "10", "a whole number of milliseconds from 5 to 500", parse_u16,
	 NUMBER(ta_ms, 5, 500)},
	{"Ice", "Candidates", "all", "one of all, no-host, relay", parse_candidates,
	 OTHER(candidates)},
	{"Ice", "CaFile", "", "an absolute path, or empty for the system's certificates",
	 parse_ca_file, TEXT(ca_file)},
	{"Server", "Uri", "", "stun:host, turn:host or turns:host, of at most 8 servers", parse_uri,
	 OTHER(servers)},
	{"Server", "User", "", "at most 128 characters, after Uri", parse_secret, SERVER(user)},
	{"Server", "Password", "", "at most 128 characters, after Uri", parse_secret,
	 SERVER(password)},
	{"Rendezvous", "Endpoint", "", "tcp://host:port, or empty for the one in the join token",
	 parse_tcp_endpoint, TEXT(rendezvous_endpoint)},
};

#define KEY_COUNT ARRAY_SIZE(keys)

const char *config_key_at(size_t index, const char **ret_section)
{
	if (index >= KEY_COUNT)
		return NULL;
	*ret_section = keys[index].section;
	return keys[index].name;
}

void config_init(struct config *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < KEY_COUNT; i++)
		(void)keys[i].parse(ret, &keys[i], keys[i].preset);
}

/* --- One file ------------------------------------------------------------------------------- */

struct parser {
	const char *file;
	const char *at, *end; /* what is left of the text */
	int line;	      /* the last one that was handed to inih, from 1 */
	int error_line;	      /* of the first error, or 0 */
	struct config config;
	bool seen[KEY_COUNT];
	char *error;
};

/* Keeps the first error. */
static void fail(struct parser *p, const char *format, ...) PRINTF_LIKE(2, 3);

static void fail(struct parser *p, const char *format, ...)
{
	va_list args;
	int n;

	if (p->error_line)
		return;
	p->error_line = p->line;
	n = snprintf(p->error, CONFIG_ERROR_BYTES, "%s:%d: ", p->file, p->line);
	if (n < 0 || n >= CONFIG_ERROR_BYTES)
		return;
	va_start(args, format);
	vsnprintf(p->error + n, CONFIG_ERROR_BYTES - (size_t)n, format, args);
	va_end(args);
}

/* Levenshtein distance without regard to case; both at most KEY_BYTES long. */
static size_t distance(const char *a, const char *b)
{
	size_t row[KEY_BYTES + 1];
	size_t b_len = strnlen(b, KEY_BYTES);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; a[i] && i < KEY_BYTES; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++) {
			size_t cost = diagonal + (strncasecmp(a + i, b + j, 1) != 0);

			diagonal = row[j + 1];
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			row[j + 1] = diagonal + 1 < cost ? diagonal + 1 : cost;
		}
	}
	return row[b_len];
}

static bool is_server_key(const struct key *key)
{
	return strcmp(key->section, "Server") == 0;
}

/* Each Uri begins a server of its own, whose keys may stand once again. */
static void begin_server(struct parser *p)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		p->seen[i] &= !is_server_key(&keys[i]);
}

/* Says what was wrong with a key that is not in its section. */
static void fail_unknown(struct parser *p, const char *section, const char *name)
{
	size_t best = SUGGEST_DISTANCE + 1;
	const struct key *near = NULL;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t d = distance(name, keys[i].name);

		if (d == 0 && strcmp(name, keys[i].name) == 0) {
			fail(p, "%s: this key belongs into section [%s]", name, keys[i].section);
			return;
		}
		if (d < best) {
			best = d;
			near = &keys[i];
		}
	}
	if (near)
		fail(p, "%s: there is no such key in [%s]; did you mean %s in [%s]?", name, section,
		     near->name, near->section);
	else
		fail(p, "%s: there is no such key in [%s]", name, section);
}

static int on_pair(void *ctx, const char *section, const char *name, const char *value)
{
	struct parser *p = ctx;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *key = &keys[i];

		if (strcmp(key->section, section) != 0 || strcmp(key->name, name) != 0)
			continue;
		if (key->parse == parse_uri)
			begin_server(p);
		if (p->seen[i])
			fail(p, "%s: stands twice", name);
		else if (!key->parse(&p->config, key, *value ? value : key->preset))
			fail(p, "%s=%s: must be %s", name,
			     strcmp(name, "Password") == 0 ? "..." : value, key->allowed);
		p->seen[i] = true;
		return p->error_line == 0;
	}
	fail_unknown(p, section, name);
	return 0;
}

/* fgets() over the text. A line that inih would cut is an error instead; so is a NUL. Indentation
 * is taken away, since inih takes an indented line for a continuation. */
static char *next_line(char *line, int cap, void *ctx)
{
	struct parser *p = ctx;
	const char *newline;
	size_t len;

	if (p->at == p->end || p->error_line)
		return NULL;
	p->line++;
	newline = memchr(p->at, '\n', (size_t)(p->end - p->at));
	len = (size_t)((newline ? newline : p->end) - p->at);
	if (memchr(p->at, '\0', len)) {
		fail(p, "there is a NUL in this line; is it a text file?");
		return NULL;
	}
	if (len + 2 > (size_t)cap) {
		fail(p, "this line is too long, the limit is %d characters", cap - 2);
		return NULL;
	}
	memcpy(line, p->at, len);
	line[len] = '\0';
	p->at = newline ? newline + 1 : p->end;
	memmove(line, line + strspn(line, " \t"), strlen(line + strspn(line, " \t")) + 1);
	return line;
}

enum err config_parse(const char *file, const char *text, size_t len, struct config *ret,
		      char error[static CONFIG_ERROR_BYTES])
{
	struct parser p = {
		.file = file, .at = text, .end = len ? text + len : text, .error = error};
	int bad_line;

	config_init(&p.config);
	bad_line = ini_parse_stream(next_line, &p, on_pair, &p);
	if (bad_line > 0 && (p.error_line == 0 || bad_line < p.error_line)) {
		p.line = bad_line;
		p.error_line = 0;
		fail(&p, "this is neither [Section] nor Key=value");
	}
	if (!p.error_line && bad_line >= 0)
		*ret = p.config;
	secret_wipe(&p.config, sizeof(p.config));
	return p.error_line || bad_line < 0 ? ERR_INVALID : OK;
}

/* Reads up to @cap bytes. Return: how many, or -1. */
static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t at = 0;
	ssize_t n;

	do {
		n = read(fd, buf + at, cap - at);
		if (n > 0)
			at += (size_t)n;
	} while ((n > 0 && at < cap) || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : (ssize_t)at;
}

static enum err fail_file(const char *file, enum err e, const char *why,
			  char error[static CONFIG_ERROR_BYTES])
{
	snprintf(error, CONFIG_ERROR_BYTES, "%s: %s", file, why);
	return e;
}

static enum err open_failed(const char *file, char error[static CONFIG_ERROR_BYTES])
{
	int why = errno;

	return fail_file(file,
			 why == ENOENT	 ? ERR_NOT_FOUND
			 : why == EACCES ? ERR_PERMISSION
					 : ERR_IO,
			 strerror(why), error);
}

enum err config_load(const char *file, struct config *ret, char error[static CONFIG_ERROR_BYTES])
{
	const char *name = file ? file : CONFIG_DEFAULT_FILE;
	char *text;
	ssize_t len;
	enum err e;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && !file && errno == ENOENT) {
		config_init(ret);
		return OK;
	}
	if (fd < 0)
		return open_failed(name, error);
	text = malloc(CONFIG_FILE_MAX_BYTES + 1);
	if (!text) {
		close(fd);
		return fail_file(name, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY), error);
	}
	len = read_all(fd, text, CONFIG_FILE_MAX_BYTES + 1);
	if (len < 0)
		e = fail_file(name, ERR_IO, strerror(errno), error);
	else if (len > CONFIG_FILE_MAX_BYTES)
		e = fail_file(name, ERR_LIMIT, "the file is larger than 64 KiB", error);
	else
		e = config_parse(name, text, (size_t)len, ret, error);
	secret_wipe(text, CONFIG_FILE_MAX_BYTES + 1);
	free(text);
	close(fd);
	return e;
}
