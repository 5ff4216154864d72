/*
 * URIs of STUN and TURN servers (RFC 7064, RFC 7065): "turns:relay.example.org:443?transport=tcp".
 *
 * Strict: no "//", no user, no path or fragment, no percent-encoding, no empty part, no leading
 * zero in a port, no unknown transport. Schemes and transports in any case. A host is a name of
 * letters, digits, '-', '_' and '.', an IPv4 address, or an IPv6 address in brackets without zone.
 */
#ifndef ICETUN_TURN_URI_H
#define ICETUN_TURN_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define TURN_URI_PORT	  3478 /* stun, turn */
#define TURN_URI_TLS_PORT 5349 /* stuns, turns */
/* A domain name has at most 253 characters. */
#define TURN_URI_HOST_BYTES 254
/* "turns:" host ":65535?transport=tcp" and the NUL. */
#define TURN_URI_TEXT_BYTES 288

enum turn_scheme {
	TURN_SCHEME_STUN,
	TURN_SCHEME_STUNS,
	TURN_SCHEME_TURN,
	TURN_SCHEME_TURNS,
};

/* What to speak with the server. */
enum turn_transport {
	TURN_TRANSPORT_UDP,
	TURN_TRANSPORT_TCP,
	TURN_TRANSPORT_TLS,
	TURN_TRANSPORT_DTLS, /* turns with transport=udp: not offered by icetun */
};

struct turn_uri {
	enum turn_scheme scheme;
	char host[TURN_URI_HOST_BYTES]; /* in lower case, IPv6 without brackets */
	struct netaddr address;		/* with the port, if the host is one; else NETADDR_NONE */
	uint16_t port;			/* the scheme's own when has_port is false */
	enum turn_transport transport;	/* by scheme and "?transport=" */
	/* RFC 5928 s. 3: without a port a name may be looked up as SRV; without a transport all
	 * that the scheme allows may be tried. */
	bool has_port, has_transport;
};

/* Return: OK; ERR_INVALID, then *ret is untouched. */
MUST_USE enum err turn_uri_parse(const char *text, struct turn_uri *ret);
/* Writes the shortest text that parses to the same: port and transport only if they were there.
 * Return: @buf. */
const char *turn_uri_format(const struct turn_uri *uri, char buf[static TURN_URI_TEXT_BYTES]);
/* "udp", "tcp", "tls", "dtls" */
const char *turn_transport_name(enum turn_transport transport);

#endif
