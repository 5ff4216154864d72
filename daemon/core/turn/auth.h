/*
 * Long-term credentials (RFC 8489 s. 9.2): what a server has challenged us with, and the key that
 * follows from it. Private to this room; lives in secret memory.
 */
#ifndef ICETUN_TURN_AUTH_H
#define ICETUN_TURN_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/crypto/hash.h"
#include "daemon/core/stun/writer.h"
#include "daemon/core/turn/allocation.h"

#define TURN_TEXT_MAX_BYTES	  763
#define TURN_ALGORITHMS_MAX_BYTES 128

/* As in PASSWORD-ALGORITHM (RFC 8489 s. 18.5). */
enum turn_algorithm {
	TURN_ALGORITHM_MD5 = 1,
	TURN_ALGORITHM_SHA256 = 2,
};

struct turn_text {
	uint16_t len;
	uint8_t bytes[TURN_TEXT_MAX_BYTES];
};

struct turn_auth {
	char username[TURN_USERNAME_MAX_BYTES + 1];
	char password[TURN_PASSWORD_MAX_BYTES + 1];
	bool challenged; /* the rest is there */
	struct turn_text realm, nonce;
	bool anonymous; /* the server wants USERHASH in the place of USERNAME */
	uint8_t userhash[SHA256_BYTES];
	/* The server offers algorithms: the list is told back, integrity is SHA-256. */
	bool has_algorithms;
	enum turn_algorithm algorithm;
	uint8_t algorithms[TURN_ALGORITHMS_MAX_BYTES];
	uint16_t algorithms_len;
	uint8_t key[SHA256_BYTES];
	size_t key_len;
};

/* Return: OK; ERR_INVALID: empty or too long; ERR_CRYPTO. */
MUST_USE enum err turn_auth_set(struct turn_auth *a, const char *username, const char *password);
/* Forgets what the server has said. */
void turn_auth_forget(struct turn_auth *a);
/* Takes a challenge, 401 or 438. @answered: it answers a request that had our integrity.
 * Return: NONE: try again; else why not. */
enum turn_problem turn_auth_on_challenge(struct turn_auth *a, const struct stun_message *m,
					 bool answered);
/* The attributes of a request before its integrity. Writes nothing while not challenged. */
void turn_auth_write(const struct turn_auth *a, struct stun_writer *w);
/* An upper bound of what turn_auth_write() and turn_auth_finish() add. */
size_t turn_auth_bytes(const struct turn_auth *a);
/* Ends a message, with integrity when challenged. Return: as stun_write_finish(). */
MUST_USE enum err turn_auth_finish(const struct turn_auth *a, struct stun_writer *w,
				   size_t *ret_len);
/* Return: OK, DROP_INTEGRITY, ERR_CRYPTO. */
MUST_USE enum err turn_auth_verify(const struct turn_auth *a, const struct stun_message *m);

#endif
