/*
 * The issuer: join tokens, overlay addresses and membership certificates, in one SQLite database.
 *
 * The running server and the `token` command use the database at the same time (WAL). Each change
 * is one transaction, synced to disk before anybody hears of it: an address or serial that was
 * given out is never given out again.
 *
 * A token is a bearer secret of 16 random bytes; the database has its hash only. `uses` hosts may
 * join with it before it expires. Joining is idempotent: a host that asks again with the same name
 * and keys, because the answer got lost, gets the same certificate, and no use is counted.
 *
 * Addresses are given out in rising order; when the end of the prefix is reached, gaps are filled.
 * The IPv6 address has the number of the IPv4 one in its own prefix: 100.96.0.7 and fd12::7. Should
 * another member have that, since the IPv4 prefix was changed, it is the one above the highest.
 * Certificates are not made anew when an IPv6 prefix is added: who had joined before has IPv4 only.
 */
#ifndef ICETUN_RENDEZVOUS_ISSUER_H
#define ICETUN_RENDEZVOUS_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"
#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/token.h"

#define ISSUER_CERTIFICATE_S (365 * 86400)
/* Certificates begin so long before they are made, for hosts whose clock is behind. */
#define ISSUER_CLOCK_SKEW_S 600
#define ISSUER_MAX_USES	    1000000

struct issuer;

struct issuer_params {
	const char *path;	  /* of the database */
	struct netprefix prefix;  /* IPv4, /8 to /30 */
	struct netprefix prefix6; /* IPv6, /104 at most; family NETADDR_NONE = none */
	/* Ed25519 secret, SIGN_SECRET_BYTES in memory that outlives the issuer. NULL: nobody can
	 * join, all else works. */
	const uint8_t *authority_secret;
	uint32_t busy_ms; /* how long to wait for another process */
};

/* A host's wish to join. */
struct issuer_request {
	const uint8_t *token; /* TOKEN_SECRET_BYTES */
	const char *name;
	const uint8_t *noise_public; /* DH_BYTES each */
	const uint8_t *curve_public;
};

enum issuer_result {
	ISSUER_OK,
	ISSUER_TOKEN_UNKNOWN, /* also: revoked */
	ISSUER_TOKEN_EXPIRED,
	ISSUER_TOKEN_USED,
	ISSUER_NAME_INVALID,
	ISSUER_NAME_TAKEN, /* or these keys joined under another name */
	ISSUER_NO_ADDRESS,
	ISSUER_FAILED, /* the database; try again */
};

struct issuer_token {
	int64_t id;
	int64_t uses;
	int64_t used;
	int64_t created_s; /* Unix time */
	int64_t expires_s;
	bool is_revoked;
};

struct issuer_member {
	int64_t serial;
	const char *name;
	char address[NETADDR_TEXT_BYTES];
	char address6[NETADDR_TEXT_BYTES]; /* "" = none */
	int64_t joined_s;
	int64_t expires_s;
};

/* Makes the database. Return: OK, ERR_EXISTS, ERR_IO. */
MUST_USE enum err issuer_create_database(const char *path);
/* Return: OK; ERR_NOT_FOUND there is none; ERR_PERMISSION; ERR_INVALID it is none of ours or of
 * another version; ERR_IO; ERR_NO_MEMORY. */
MUST_USE enum err issuer_open(struct issuer **ret, const struct issuer_params *params);
void issuer_close(struct issuer *i);

/* Return: OK with the secret that goes into the token; ERR_INVALID uses or time out of range;
 * ERR_IO. */
MUST_USE enum err issuer_token_create(struct issuer *i, const struct random_source *random,
				      int64_t now_s, int64_t uses, int64_t expires_s,
				      uint8_t ret_secret[static TOKEN_SECRET_BYTES]);
/* Return: OK, ERR_NOT_FOUND, ERR_IO. Members who joined with it stay. */
MUST_USE enum err issuer_token_revoke(struct issuer *i, int64_t now_s, int64_t id);
MUST_USE enum err issuer_token_list(struct issuer *i,
				    void (*each)(void *ctx, const struct issuer_token *t),
				    void *ctx);
MUST_USE enum err issuer_member_list(struct issuer *i,
				     void (*each)(void *ctx, const struct issuer_member *m),
				     void *ctx);

/* Lets a host join. On ISSUER_OK *ret_len bytes of certificate are at @ret. */
enum issuer_result issuer_join(struct issuer *i, int64_t now_s,
			       const struct issuer_request *request,
			       uint8_t ret[static CERT_MAX_BYTES], size_t *ret_len);
/* The certificate of a member by name, or when @name is NULL by overlay address.
 * Return: OK, ERR_NOT_FOUND, ERR_IO. */
MUST_USE enum err issuer_find(struct issuer *i, const char *name, const struct netaddr *address,
			      uint8_t ret[static CERT_MAX_BYTES], size_t *ret_len);

#endif
