/*
 * The STUN and TURN servers that members are told of at registration.
 *
 * For each turn: and turns: URI a member gets a user name and password of its own that work for a
 * day (or what TurnLifetime= says), and new ones when half of that is over: coturn's scheme of a
 * shared secret (use-auth-secret): the user name is "UNIXTIME:NAME", the time at which it ends, and
 * the password is base64(HMAC-SHA1(secret, user name)).
 */
#ifndef ICETUN_RENDEZVOUS_SERVERS_H
#define ICETUN_RENDEZVOUS_SERVERS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/signal/message.h"

#define SERVERS_CREDENTIAL_S	 86400 /* the default */
#define SERVERS_CREDENTIAL_MIN_S 20
#define SERVERS_CREDENTIAL_MAX_S (30 * 86400)

struct servers {
	char uri[SIGNAL_MAX_SERVERS][SIGNAL_URI_BYTES];
	size_t count;
	const char *turn_secret; /* "" = none: TURN servers are handed out without credentials */
	uint32_t lifetime_s;	 /* of credentials; 0 = SERVERS_CREDENTIAL_S */
};

/* How long credentials are good, or 0 when none are given. */
uint32_t servers_lifetime_s(const struct servers *s);
/* Fills @ret for the member called @name. Return: how many. */
size_t servers_fill(const struct servers *s, const char *name, int64_t unix_s,
		    struct signal_server ret[static SIGNAL_MAX_SERVERS]);

#endif
