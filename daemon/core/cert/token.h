/*
 * Join tokens: all that a new host needs to become a member, in one line of text.
 *
 *	icetun1.o2FmZ2FyYWdl...
 *
 * "icetun", the version, a point, then base64url without padding of a CBOR map (docs/icetun.cddl)
 * and the first 4 bytes of its BLAKE2b-512. The checksum tells a token that was cut or mistyped
 * from one that the server does not know; it protects against nothing else.
 *
 * Whoever holds a token can join once (or as often as its issuer allows) until it expires, so it is
 * a secret: keep it out of command lines and logs, and wipe struct token and its text after use.
 */
#ifndef ICETUN_CERT_TOKEN_H
#define ICETUN_CERT_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/cert/identifier.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/sign.h"

#define TOKEN_MAX_ENDPOINTS  4
#define TOKEN_ENDPOINT_BYTES 128 /* with the NUL */
#define TOKEN_SECRET_BYTES   16
/* Room for the longest token and its NUL. */
#define TOKEN_TEXT_BYTES 1024

struct token {
	char network[IDENTIFIER_BYTES]; /* the network's name, an identifier */
	char endpoints[TOKEN_MAX_ENDPOINTS][TOKEN_ENDPOINT_BYTES]; /* "tcp://host:port" */
	size_t endpoint_count;					   /* 1.. */
	uint8_t server_key[DH_BYTES];				   /* CURVE key of the server */
	uint8_t authority_key[SIGN_PUBLIC_BYTES];
	uint8_t secret[TOKEN_SECRET_BYTES]; /* what the issuer knows it by */
};

/* What is wrong with a text that should be a token. */
enum token_problem {
	TOKEN_OK,
	/* It does not begin like a token. */
	TOKEN_NOT_A_TOKEN,
	/* Characters are missing, added or changed. */
	TOKEN_DAMAGED,
	/* A token of a version of icetun that this one does not know. */
	TOKEN_UNKNOWN_VERSION,
	TOKEN_PROBLEM_COUNT
};

/* Writes @t as text with a NUL. @cap: TOKEN_TEXT_BYTES is always enough.
 * Return: OK; ERR_INVALID when the network's name or an endpoint is not allowed; ERR_NO_SPACE. */
MUST_USE enum err token_format(const struct token *t, char *out, size_t cap);

/* Reads @text, NUL-terminated; white space around it does not matter. *ret is untouched unless
 * TOKEN_OK. */
MUST_USE enum token_problem token_parse(const char *text, struct token *ret);

#endif
