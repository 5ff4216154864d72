#include "daemon/config/value.h"

#include <stdio.h>
#include <string.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define DIGITS	"0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define HOST_BYTES 254 /* RFC 1035: 253 characters */
#define SEPARATORS " \t,"
#define DEVICE	   LETTERS DIGITS "_-."

static bool is_of(const char *text, const char *set)
{
	return *text && text[strspn(text, set)] == '\0';
}

static bool copy(const char *text, char *ret, size_t cap)
{
	size_t len = strlen(text);

	if (len >= cap)
		return false;
	memcpy(ret, text, len + 1);
	return true;
}

bool value_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v = 0;

	if (!is_of(text, DIGITS))
		return false;
	for (; *text; text++) {
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return false;
	}
	if (v < min)
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool value_path(const char *text, char *ret, size_t cap)
{
	return text[0] == '/' && copy(text, ret, cap);
}

bool value_account(const char *text, char *ret, size_t cap)
{
	return is_of(text, LETTERS DIGITS "_-.") && text[0] != '-' && copy(text, ret, cap);
}

bool value_interface(const char *text, char *ret, size_t cap)
{
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	return is_of(text, DEVICE) && copy(text, ret, cap);
}

/* Return: what stands behind the set that begins at @text, or NULL when it is none. */
static const char *skip_set(const char *text)
{
	size_t len;

	text++;
	if (*text == '!' || *text == '^')
		text++;
	len = strspn(text, DEVICE);
	if (len == 0 || text[len] != ']')
		return NULL;
	for (size_t i = 1; i + 1 < len; i++) {
		if (text[i] == '-' && text[i - 1] > text[i + 1])
			return NULL;
	}
	return text + len + 1;
}

bool value_pattern(const char *text, char *ret, size_t cap)
{
	const char *at = text;

	while (at && *at) {
		at += strspn(at, DEVICE "*?");
		if (*at == '[')
			at = skip_set(at);
		else if (*at)
			return false;
	}
	return at && *text && copy(text, ret, cap);
}

/* Splits "host[:port]" or "[ipv6][:port]". *ret_port is 0 when there is none. */
static bool host_and_port(const char *text, char host[static HOST_BYTES], uint32_t *ret_port)
{
	const char *end, *port;
	struct netaddr a;

	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
		port = end ? end + 1 : NULL;
	} else {
		end = text + strcspn(text, ":");
		port = end;
	}
	if (!end || end == text || (size_t)(end - text) >= HOST_BYTES)
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	if (*end == ']' ? netaddr_parse_ip(host, 0, &a) != OK || a.family != NETADDR_IP6
			: !is_of(host, LETTERS DIGITS "-."))
		return false;
	*ret_port = 0;
	if (*port == '\0')
		return true;
	return *port == ':' && value_number(port + 1, 1, UINT16_MAX, ret_port);
}

static bool endpoint(const char *scheme, const char *text, bool needs_port, char *ret, size_t cap)
{
	char host[HOST_BYTES], out[HOST_BYTES + 32], tail[sizeof(":65535")] = "";
	uint32_t port;

	if (!host_and_port(text, host, &port) || (needs_port && port == 0))
		return false;
	if (port)
		snprintf(tail, sizeof(tail), ":%u", port);
	if (strchr(host, ':'))
		snprintf(out, sizeof(out), "%s[%s]%s", scheme, host, tail);
	else
		snprintf(out, sizeof(out), "%s%s%s", scheme, host, tail);
	return copy(out, ret, cap);
}

bool value_stun_server(const char *text, char *ret, size_t cap)
{
	static const char scheme[] = "stun:";

	if (strncmp(text, scheme, strlen(scheme)) == 0)
		text += strlen(scheme);
	return endpoint("", text, false, ret, cap);
}

bool value_tcp_endpoint(const char *text, char *ret, size_t cap)
{
	static const char scheme[] = "tcp://";

	return strncmp(text, scheme, strlen(scheme)) == 0 &&
	       endpoint(scheme, text + strlen(scheme), true, ret, cap);
}

int value_next_item(const char **at, char *item, size_t cap)
{
	const char *start = *at + strspn(*at, SEPARATORS);
	size_t len = strcspn(start, SEPARATORS);

	if (len == 0)
		return 0;
	if (len >= cap)
		return -1;
	memcpy(item, start, len);
	item[len] = '\0';
	*at = start + len;
	return 1;
}
