#include "rendezvous/servers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/crypto/base64.h"
#include "daemon/core/crypto/hash.h"

/* Base64 with the digits and the padding that coturn uses (RFC 4648 s. 4). */
static bool encode_mac(const uint8_t mac[static SHA1_BYTES], char *ret, size_t cap)
{
	const size_t len = BASE64_CHARS(SHA1_BYTES);

	if (base64_encode(mac, SHA1_BYTES, ret, cap) != OK || cap < len + 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (ret[i] == '-')
			ret[i] = '+';
		else if (ret[i] == '_')
			ret[i] = '/';
	}
	memcpy(ret + len, "=", 2);
	return true;
}

uint32_t servers_lifetime_s(const struct servers *s)
{
	bool any = false;

	for (size_t i = 0; i < s->count && i < SIGNAL_MAX_SERVERS; i++)
		any |= strncmp(s->uri[i], "turn", 4) == 0;
	if (!any || !s->turn_secret[0])
		return 0;
	return s->lifetime_s ? s->lifetime_s : SERVERS_CREDENTIAL_S;
}

static bool add_credential(const struct servers *s, const char *name, int64_t unix_s,
			   struct signal_server *server)
{
	uint8_t mac[SHA1_BYTES];

	snprintf(server->username, sizeof(server->username), "%" PRId64 ":%s",
		 unix_s + servers_lifetime_s(s), name);
	if (hmac_sha1(s->turn_secret, strlen(s->turn_secret), server->username,
		      strlen(server->username), NULL, 0, mac) != OK)
		return false;
	server->lifetime_s = servers_lifetime_s(s);
	return encode_mac(mac, server->credential, sizeof(server->credential));
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
