/*
 * The server's directory: which files there are, and how keys are written and read.
 *
 *	authority.key    Ed25519 seed of the network authority, 32 bytes in hexadecimal, 0600
 *	authority.pub    its public key: what hosts trust
 *	server.key       CURVE (X25519) secret of the server, 0600; its public key is computed
 *	issuer.sqlite    tokens and members
 *	rendezvous.conf  the configuration
 *
 * With a key in the wrong hands the network is lost (authority) or the server can be impersonated
 * (server), so files that others could read are refused.
 */
#ifndef ICETUN_RENDEZVOUS_STORE_H
#define ICETUN_RENDEZVOUS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define STORE_AUTHORITY_KEY    "authority.key"
#define STORE_AUTHORITY_PUBLIC "authority.pub"
#define STORE_SERVER_KEY       "server.key"
#define STORE_DATABASE	       "issuer.sqlite"
#define STORE_KEY_BYTES	       32

/* @directory + "/" + @name. Return: OK, ERR_NO_SPACE. */
MUST_USE enum err store_path(const char *directory, const char *name, char *ret, size_t cap);
/* Makes @directory and its parents, itself 0700. One that exists must be the caller's own or
 * root's.
 * Return: OK, ERR_PERMISSION, ERR_IO. */
MUST_USE enum err store_make_directory(const char *directory);
/* Writes a new file of mode @mode and syncs it. Return: OK, ERR_EXISTS, ERR_PERMISSION, ERR_IO. */
MUST_USE enum err store_write(const char *directory, const char *name, unsigned mode,
			      const void *data, size_t len);
/* The same for a key, in hexadecimal. */
MUST_USE enum err store_write_key(const char *directory, const char *name, unsigned mode,
				  const uint8_t key[static STORE_KEY_BYTES]);
/* Reads a key. @is_secret: refuse a file that group or others may read.
 * Return: OK, ERR_NOT_FOUND, ERR_PERMISSION (not readable), ERR_KEY (damaged, or others may read
 * it), ERR_IO. */
MUST_USE enum err store_read_key(const char *directory, const char *name, bool is_secret,
				 uint8_t ret[static STORE_KEY_BYTES]);

#endif
