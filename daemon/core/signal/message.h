/*
 * The messages between a host and the rendezvous server.
 *
 * A message is one frame: a CBOR map with integer keys in deterministic encoding, at most
 * SIGNAL_MESSAGE_MAX_BYTES. Key 0 is the version (1), key 1 the type; every further field has one
 * key and one meaning in all types, so one flat structure holds any message. Which fields a type
 * has to have and may have stands in a table in message.c, as the comment of each type says it
 * here.
 *
 * A field that a message does not have is zero, empty or NULL in the structure, and the other way
 * round: an optional field that is zero, empty or NULL is not written. So begin with
 *
 *	struct signal_message m = {.type = SIGNAL_FORWARD};
 *
 * Fields that a type does not list, and keys that this version does not know, are passed over when
 * they arrive. Names are identifiers (cert/identifier.h) or the message does not decode; text is
 * printable ASCII. Bodies are never looked into: they are sealed between the two hosts.
 *
 * The server speaks first: CHALLENGE on every connection, and again whenever it gets something but
 * JOIN from a connection that it does not know. An exchange (LOOKUP, FORWARD, JOIN) carries a
 * random `xid`; its answer carries the same. Sending it again with the same xid is always harmless.
 */
#ifndef ICETUN_SIGNAL_MESSAGE_H
#define ICETUN_SIGNAL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/revocation.h"
#include "daemon/core/cert/token.h"

#define SIGNAL_VERSION		 1
#define SIGNAL_MESSAGE_MAX_BYTES 12288
#define SIGNAL_BODY_MAX_BYTES	 8192
#define SIGNAL_XID_BYTES	 16
#define SIGNAL_NONCE_BYTES	 16
#define SIGNAL_MAX_SERVERS	 8
/* An epoch is the number of the program's start, and in so many bits below it that of its
 * REGISTER. */
#define SIGNAL_EPOCH_COUNTER_BITS 16
/* Each with its NUL. */
#define SIGNAL_URI_BYTES	  128
#define SIGNAL_USERNAME_BYTES	  128
#define SIGNAL_CREDENTIAL_BYTES	  128
#define SIGNAL_ERROR_DETAIL_BYTES 128

/* X(code, number on the wire, name). h: from host to server, s: from server to host; fields in
 * brackets are optional. */
#define SIGNAL_TYPE_TABLE(X)                                                                       \
	/* s: nonce, server_time_s. Register, or register again. */                                \
	X(CHALLENGE, 1, "challenge")                                                               \
	/* h: nonce (the challenge's), epoch, certificate, [lease_ms] */                           \
	X(REGISTER, 2, "register")                                                                 \
	/* s: lease_ms, ping_ms, [servers], [revocation] */                                        \
	X(REGISTERED, 3, "registered")                                                             \
	/* h: seq. Keeps the lease; also: "is the server there?" */                                \
	X(PING, 4, "ping")                                                                         \
	/* s: seq (the ping's) */                                                                  \
	X(PONG, 5, "pong")                                                                         \
	/* h: xid, and either name or address (an overlay address, port 0) */                      \
	X(LOOKUP, 6, "lookup")                                                                     \
	/* s: xid, certificate, online */                                                          \
	X(FOUND, 7, "found")                                                                       \
	/* h: xid, to, kind, body */                                                               \
	X(FORWARD, 8, "forward")                                                                   \
	/* s: xid, from, kind, body. The answer to it is a FORWARD with the same xid. */           \
	X(DELIVER, 9, "deliver")                                                                   \
	/* s: xid. The FORWARD was handed to its target's connection. */                           \
	X(ACK, 10, "ack")                                                                          \
	/* s: code, [xid], [retry_ms], [detail]. Without xid it is about the registration. */      \
	X(ERROR, 11, "error")                                                                      \
	/* h: [name]. Tell me who comes and goes: this host, or without name everyone. */          \
	X(WATCH, 12, "watch")                                                                      \
	/* s: name, online, [certificate] */                                                       \
	X(PRESENCE, 13, "presence")                                                                \
	/* h: xid, secret (the token's), name, noise_public, curve_public */                       \
	X(JOIN, 14, "join")                                                                        \
	/* s: xid, certificate */                                                                  \
	X(JOINED, 15, "joined")                                                                    \
	/* h: Good-bye; the registration ends. */                                                  \
	X(BYE, 16, "bye")

enum signal_type {
	SIGNAL_NONE = 0,
#define X(code, number, name) SIGNAL_##code = number,
	SIGNAL_TYPE_TABLE(X)
#undef X
		SIGNAL_TYPE_COUNT
};

/* X(code, number on the wire, name, what it means) */
#define SIGNAL_ERROR_TABLE(X)                                                                      \
	X(UNKNOWN, 1, "unknown", "the network has no such host")                                   \
	X(ABSENT, 2, "absent", "that host is not registered at the moment")                        \
	X(BUSY, 3, "busy", "the server or the other host takes no more at the moment")             \
	X(RATE, 4, "rate", "too many requests")                                                    \
	X(REPLACED, 5, "replaced", "another host has registered with the same key")                \
	X(REVOKED, 6, "revoked", "the certificate was revoked")                                    \
	X(BAD, 7, "bad", "the request does not make sense to the server")                          \
	X(NAME_TAKEN, 8, "name_taken", "another host has this name")                               \
	X(TOKEN_INVALID, 9, "token_invalid", "the server does not know this token")                \
	X(TOKEN_EXPIRED, 10, "token_expired", "the token has expired")                             \
	X(TOKEN_USED, 11, "token_used", "the token has been used already")                         \
	X(NAME_INVALID, 12, "name_invalid", "this is no valid name for a host")                    \
	X(NO_ADDRESS, 13, "no_address", "the network has no free address left")                    \
	X(VERSION, 14, "version", "the server speaks another version")                             \
	X(EXPIRED, 15, "expired", "the certificate is not valid now")                              \
	X(CERTIFICATE, 16, "certificate",                                                          \
	  "the certificate is not of this network, or not of this connection's key")

enum signal_error {
	/* Decoded from a number that this version does not know; it cannot be encoded. */
	SIGNAL_ERROR_OTHER = 0,
#define X(code, number, name, text) SIGNAL_ERROR_##code = number,
	SIGNAL_ERROR_TABLE(X)
#undef X
		SIGNAL_ERROR_COUNT
};

/* What a body is; the server only passes the number on. */
enum signal_body {
	SIGNAL_BODY_OFFER = 1,	/* Noise message 1 with a handshake.h payload */
	SIGNAL_BODY_ANSWER = 2, /* Noise message 2 with a handshake.h payload */
	SIGNAL_BODY_SEALED = 3, /* anything later in the session, sealed by its keys */
};

/* A server for candidates, with credentials for this host. */
struct signal_server {
	char uri[SIGNAL_URI_BYTES];	      /* RFC 7064, RFC 7065: "stun:192.0.2.1:3478" */
	char username[SIGNAL_USERNAME_BYTES]; /* "" for STUN */
	char credential[SIGNAL_CREDENTIAL_BYTES];
	uint32_t lifetime_s; /* how long the credential is good from now; 0 = for ever */
};

struct signal_message {
	enum signal_type type;
	uint8_t xid[SIGNAL_XID_BYTES];
	char to[IDENTIFIER_BYTES];
	char from[IDENTIFIER_BYTES];
	char name[IDENTIFIER_BYTES];
	struct netaddr address;
	uint8_t kind;	     /* enum signal_body, but any number from 1 is passed on */
	const uint8_t *body; /* this and the next two: inside the decoded buffer */
	size_t body_len;     /* 1..SIGNAL_BODY_MAX_BYTES */
	const uint8_t *certificate;
	size_t certificate_len; /* 1..CERT_MAX_BYTES */
	const uint8_t *revocation;
	size_t revocation_len; /* 1..REVOCATION_MAX_BYTES */
	uint8_t nonce[SIGNAL_NONCE_BYTES];
	uint64_t server_time_s; /* Unix time */
	uint64_t epoch;		/* each REGISTER of one key has a higher one: start, then counter */
	uint32_t lease_ms;
	uint32_t ping_ms;
	struct signal_server servers[SIGNAL_MAX_SERVERS];
	size_t server_count;
	uint64_t seq;
	bool online;
	enum signal_error code;
	uint32_t retry_ms;
	char detail[SIGNAL_ERROR_DETAIL_BYTES]; /* for people and logs */
	uint8_t secret[TOKEN_SECRET_BYTES];
	uint8_t noise_public[DH_BYTES];
	uint8_t curve_public[DH_BYTES];
};

/*
 * Writes @m to @out; SIGNAL_MESSAGE_MAX_BYTES is always enough for what decodes.
 * Return: OK; ERR_INVALID when the type is none, a required field is missing or a field is beyond
 * its limits; ERR_NO_SPACE.
 */
MUST_USE enum err signal_message_encode(const struct signal_message *m, uint8_t *out, size_t cap,
					size_t *ret_len);

/*
 * Reads one message. Pointers in *ret point into @buf, which must outlive them.
 * Return: OK; DROP_TOO_LONG; DROP_VERSION (answer it with ERROR{VERSION}); DROP_UNKNOWN_TYPE;
 * DROP_MALFORMED. *ret is untouched unless OK.
 */
MUST_USE enum err signal_message_decode(const uint8_t *buf, size_t len, struct signal_message *ret);

/* Return: the type's name ("forward"), "none" for anything else. */
const char *signal_type_name(enum signal_type type);
/* Return: the code's name ("token_used"), "other" for anything else. */
const char *signal_error_name(enum signal_error code);
/* Return: a sentence fragment for people, without capital and full stop. */
const char *signal_error_text(enum signal_error code);

#endif
