/*
 * The configuration of the server: one file in the form of systemd and wg-quick, written by `init`.
 *
 *	[Network]
 *	Name=example                          what the network is called; stands in tokens
 *	Prefix=100.96.0.0/16                  overlay addresses are given out from here
 *	Prefix=fd12:3456:789a::/64            and IPv6 ones from here; no such line, no IPv6
 *
 *	[Rendezvous]
 *	Listen=tcp://0.0.0.0:4510             TCP address for hosts; * = all, IPv4 and IPv6
 *	Endpoint=tcp://rv.example.org:4510    how hosts reach it; stands in tokens; up to four times
 *	StunListen=*:3478                     UDP address of the STUN responder; "off" for none
 *	Directory=/var/lib/icetun-rendezvous  keys and database; default: where this file is
 *
 *	[Servers]
 *	Uri=turn:turn.example.org:3478        STUN and TURN servers for hosts; up to seven times
 *	TurnSecret=...                        coturn's static-auth-secret, for all turn: and turns:
 *
 * A line of Prefix for IPv6 may be added to a network that has none: hosts that join from then on
 * have both addresses, those before keep what they have.
 *
 * A key that is not known, stands in the wrong section or has a bad value is an error with file and
 * line. The default prefix lies in 100.64.0.0/10 (RFC 6598), which home and office networks do not
 * use;
 * 100.96.0.0/16 keeps clear of the ranges that well-known overlay products prefer.
 */
#ifndef ICETUN_RENDEZVOUS_CONFIG_H
#define ICETUN_RENDEZVOUS_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/token.h"

#define CONFIG_DEFAULT_DIRECTORY "/var/lib/icetun-rendezvous"
#define CONFIG_FILE_NAME	 "rendezvous.conf"
#define CONFIG_DEFAULT_PREFIX	 "100.96.0.0/16"
#define CONFIG_DEFAULT_PORT	 "4510"
#define CONFIG_DEFAULT_STUN_PORT 3478

#define CONFIG_NAME_BYTES     IDENTIFIER_BYTES
#define CONFIG_ENDPOINT_BYTES TOKEN_ENDPOINT_BYTES
#define CONFIG_MAX_ENDPOINTS  TOKEN_MAX_ENDPOINTS
#define CONFIG_URI_BYTES      128
#define CONFIG_MAX_URIS	      7
#define CONFIG_SECRET_BYTES   128
#define CONFIG_ERROR_BYTES    512

struct config {
	char network[CONFIG_NAME_BYTES];
	struct netprefix prefix;
	struct netprefix prefix6; /* family NETADDR_NONE = none */
	char listen[CONFIG_ENDPOINT_BYTES];
	char endpoint[CONFIG_MAX_ENDPOINTS][CONFIG_ENDPOINT_BYTES];
	size_t endpoint_count; /* 0: tokens cannot be made */
	bool is_stun_on;
	struct netaddr stun_listen; /* NETADDR_NONE with a port: all addresses */
	char directory[PATH_MAX];
	char uri[CONFIG_MAX_URIS][CONFIG_URI_BYTES];
	size_t uri_count;
	char turn_secret[CONFIG_SECRET_BYTES]; /* "" = none */
	uint32_t turn_lifetime_s;
};

/* The defaults; the name of the network stays empty. */
void config_init(struct config *ret);

/* The values of single keys, as the command line of `init` takes them too.
 * Return: OK, or ERR_INVALID and *ret is untouched. */
MUST_USE enum err config_parse_name(const char *text, char ret[static CONFIG_NAME_BYTES]);
MUST_USE enum err config_parse_prefix(const char *text, struct netprefix *ret);
MUST_USE enum err config_parse_prefix6(const char *text, struct netprefix *ret);
/* "tcp://HOST:PORT". @is_listen: "*" may stand for the host, and "*" or 0 for any free port. */
MUST_USE enum err config_parse_endpoint(const char *text, bool is_listen,
					char ret[static CONFIG_ENDPOINT_BYTES]);
/* The host of an endpoint that was parsed, in brackets as it stands there. */
void config_endpoint_host(const char *endpoint, char ret[static CONFIG_ENDPOINT_BYTES]);

/* Reads @file. Return: OK; ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO or ERR_INVALID, each with a
 * sentence in @error that says what is wrong and what to do; then @ret is unspecified. */
MUST_USE enum err config_load(const char *file, struct config *ret,
			      char error[static CONFIG_ERROR_BYTES]);

#endif
