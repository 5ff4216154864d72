#include "daemon/core/turn/uri.h"

#include <stdio.h>
#include <string.h>

#define QUERY	  "?transport="
#define PORT_MAX  65535u
#define LABEL_MAX 63

static const char *const schemes[] = {
	[TURN_SCHEME_STUN] = "stun",
	[TURN_SCHEME_STUNS] = "stuns",
	[TURN_SCHEME_TURN] = "turn",
	[TURN_SCHEME_TURNS] = "turns",
};

static bool is_secure(enum turn_scheme scheme)
{
	return scheme == TURN_SCHEME_STUNS || scheme == TURN_SCHEME_TURNS;
}

static bool parse_scheme(const char **text, enum turn_scheme *ret)
{
	const char *colon = strchr(*text, ':');

	for (size_t i = 0; colon && i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if ((size_t)(colon - *text) == len && strncasecmp(*text, schemes[i], len) == 0) {
			*ret = (enum turn_scheme)i;
			*text = colon + 1;
			return true;
		}
	}
	return false;
}

/* @query: what stands behind the host and port, "" or "?transport=...". */
static bool parse_transport(const char *query, struct turn_uri *u)
{
	bool secure = is_secure(u->scheme);

	u->transport = secure ? TURN_TRANSPORT_TLS : TURN_TRANSPORT_UDP;
	if (query[0] == '\0')
		return true;
	/* RFC 7064 has no transport. */
	if (u->scheme == TURN_SCHEME_STUN || u->scheme == TURN_SCHEME_STUNS ||
	    strncasecmp(query, QUERY, strlen(QUERY)) != 0)
		return false;
	query += strlen(QUERY);
	u->has_transport = true;
	if (strcasecmp(query, "udp") == 0)
		u->transport = secure ? TURN_TRANSPORT_DTLS : TURN_TRANSPORT_UDP;
	else if (strcasecmp(query, "tcp") == 0)
		u->transport = secure ? TURN_TRANSPORT_TLS : TURN_TRANSPORT_TCP;
	else
		return false;
	return true;
}

static bool parse_port(const char *text, size_t len, struct turn_uri *u)
{
	unsigned int port = 0;

	if (len == 0 || len > 5 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = 10 * port + (unsigned int)(text[i] - '0');
	}
	if (port > PORT_MAX)
		return false;
	u->port = (uint16_t)port;
	u->has_port = true;
	return true;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 characters; one dot may end the name. */
static bool is_name(const char *host)
{
	size_t label = 0;

	for (; *host; host++) {
		if (*host == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!is_name_char(*host) || ++label > LABEL_MAX) {
			return false;
		}
	}
	return label > 0 || (host[-1] == '.');
}

/* Nothing but digits and dots is meant to be an IPv4 address. */
static bool looks_like_ip4(const char *host)
{
	return strspn(host, "0123456789.") == strlen(host);
}

static bool parse_host(const char *text, size_t len, bool bracketed, struct turn_uri *u)
{
	struct netaddr a = {0};

	if (len == 0 || len >= sizeof(u->host))
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		u->host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	u->host[len] = '\0';
	if (strlen(u->host) != len)
		return false;
	if (bracketed) {
		/* Brackets are for IPv6; a mapped IPv4 address is nobody's server. */
		if (strchr(u->host, '%') || netaddr_parse_ip(u->host, 0, &a) != OK ||
		    a.family != NETADDR_IP6)
			return false;
		u->address = a;
		return true;
	}
	if (netaddr_parse_ip(u->host, 0, &a) == OK && a.family == NETADDR_IP4) {
		u->address = a;
		return true;
	}
	return !looks_like_ip4(u->host) && is_name(u->host);
}

static bool parse_authority(const char *text, size_t len, struct turn_uri *u)
{
	const char *end = text + len;
	const char *host = text, *host_end, *rest;
	bool bracketed = len > 0 && text[0] == '[';

	if (bracketed) {
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return false;
		rest = host_end + 1;
	} else {
		host_end = memchr(host, ':', len);
		if (!host_end)
			host_end = end;
		rest = host_end;
	}
	if (!parse_host(host, (size_t)(host_end - host), bracketed, u))
		return false;
	u->port = is_secure(u->scheme) ? TURN_URI_TLS_PORT : TURN_URI_PORT;
	if (rest != end && (*rest != ':' || !parse_port(rest + 1, (size_t)(end - rest - 1), u)))
		return false;
	if (u->address.family != NETADDR_NONE)
		u->address.port = u->port;
	return true;
}

enum err turn_uri_parse(const char *text, struct turn_uri *ret)
{
	struct turn_uri u = {0};
	const char *query;

	if (!parse_scheme(&text, &u.scheme))
		return ERR_INVALID;
	query = text + strcspn(text, "?");
	if (!parse_authority(text, (size_t)(query - text), &u) || !parse_transport(query, &u))
		return ERR_INVALID;
	*ret = u;
	return OK;
}

const char *turn_uri_format(const struct turn_uri *uri, char buf[static TURN_URI_TEXT_BYTES])
{
	bool bracketed = uri->address.family == NETADDR_IP6;
	char port[sizeof(":65535")] = "";
	const char *query = "";

	if (uri->has_port)
		snprintf(port, sizeof(port), ":%u", (unsigned int)uri->port);
	if (uri->has_transport)
		query = uri->transport == TURN_TRANSPORT_UDP ||
					uri->transport == TURN_TRANSPORT_DTLS
				? QUERY "udp"
				: QUERY "tcp";
	snprintf(buf, TURN_URI_TEXT_BYTES, "%s:%s%.253s%s%s%s", schemes[uri->scheme],
		 bracketed ? "[" : "", uri->host, bracketed ? "]" : "", port, query);
	return buf;
}

const char *turn_transport_name(enum turn_transport transport)
{
	switch (transport) {
	case TURN_TRANSPORT_UDP:
		return "udp";
	case TURN_TRANSPORT_TCP:
		return "tcp";
	case TURN_TRANSPORT_TLS:
		return "tls";
	case TURN_TRANSPORT_DTLS:
		return "dtls";
	}
	return "unknown";
}
