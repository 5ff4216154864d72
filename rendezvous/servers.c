#include "rendezvous/servers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/crypto/hash.h"

/* Base64 of RFC 4648 s. 4, with padding. @ret: 4 characters for each 3 bytes or part of them. */
static void encode_base64(const uint8_t *in, size_t len, char *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (i + 1 < len)
			v |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < len)
			v |= in[i + 2];
		*ret++ = digits[v >> 18];
		*ret++ = digits[v >> 12 & 63];
		*ret++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*ret++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*ret = '\0';
}

static bool add_credential(const struct servers *s, const char *name, int64_t unix_s,
			   struct signal_server *server)
{
	uint8_t mac[SHA1_BYTES];

	snprintf(server->username, sizeof(server->username), "%" PRId64 ":%s",
		 unix_s + SERVERS_CREDENTIAL_S, name);
	if (hmac_sha1(s->turn_secret, strlen(s->turn_secret), server->username,
		      strlen(server->username), NULL, 0, mac) != OK)
		return false;
	encode_base64(mac, sizeof(mac), server->credential);
	server->lifetime_s = SERVERS_CREDENTIAL_S;
	return true;
}

size_t servers_fill(const struct servers *s, const char *name, int64_t unix_s,
		    struct signal_server ret[static SIGNAL_MAX_SERVERS])
{
	size_t count = 0;

	for (size_t i = 0; i < s->count && i < SIGNAL_MAX_SERVERS; i++) {
		struct signal_server *server = &ret[count];

		memset(server, 0, sizeof(*server));
		snprintf(server->uri, sizeof(server->uri), "%s", s->uri[i]);
		if (!strncmp(server->uri, "turn", 4) && s->turn_secret[0] &&
		    !add_credential(s, name, unix_s, server))
			continue;
		count++;
	}
	return count;
}
