/*
 * The one table of results.
 *
 * Each function of the core that can go wrong returns `enum err`. There are three classes:
 *
 *   OK      done.
 *   DROP_*  an input from outside was ignored and no state changed. The caller counts it by reason
 *           (`struct drop_counters`) and goes on; nothing is answered unless the protocol says so.
 *   ERR_*   an operation that we wanted has failed; the object is as it was before the call.
 *
 * Codes of libraries and of the kernel (errno, uv, zmq, sqlite) are converted once, in the shell.
 * Each code has a name for logs and counters, and a sentence for people.
 */
#ifndef ICETUN_BASE_ERR_H
#define ICETUN_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"

#define ERR_TABLE(X)                                                                               \
	X(OK, "ok", "done")                                                                        \
	/* Datagrams and packets */                                                                \
	X(DROP_TRUNCATED, "truncated", "the message ends too early")                               \
	X(DROP_MALFORMED, "malformed", "the message is not well formed")                           \
	X(DROP_TOO_LONG, "too_long", "the message is longer than allowed")                         \
	X(DROP_UNKNOWN_TYPE, "unknown_type", "the kind of message is not known")                   \
	X(DROP_VERSION, "version", "the message is of another version of the protocol")            \
	X(DROP_FINGERPRINT, "fingerprint", "the STUN fingerprint is wrong or missing")             \
	X(DROP_INTEGRITY, "integrity", "the STUN message integrity is wrong or missing")           \
	X(DROP_UNKNOWN_USER, "unknown_user", "no ICE session has this username")                   \
	X(DROP_NO_TRANSACTION, "no_transaction", "a response to no outstanding request")           \
	X(DROP_ASYMMETRIC, "asymmetric", "a response from another address than was asked")         \
	X(DROP_LIMIT, "limit", "a limit is reached, the input was ignored")                        \
	X(DROP_UNKNOWN_INDEX, "unknown_index", "no session has this receiver index")               \
	X(DROP_DECRYPT, "decrypt", "the packet does not authenticate")                             \
	X(DROP_REPLAY, "replay", "the packet was seen before or is too old")                       \
	X(DROP_SOURCE, "source", "the inner source address is not this peer's")                    \
	X(DROP_NO_ROUTE, "no_route", "no peer has this overlay address")                           \
	X(DROP_QUEUE_FULL, "queue_full", "a bounded queue is full")                                \
	X(DROP_STATE, "state", "the message does not fit the present state")                       \
	X(DROP_STALE, "stale", "the message belongs to something older")                           \
	X(DROP_LINK, "link", "multicast or link-local, which leads to no peer")                    \
	X(DROP_BLOCKED, "blocked", "the address is not allowed as a destination")                  \
	X(DROP_SEND, "send", "the system did not take the datagram")                               \
	/* Handshake and certificates */                                                           \
	X(DROP_HANDSHAKE, "handshake", "the handshake message does not authenticate")              \
	X(DROP_SIGNATURE, "signature", "the signature is wrong")                                   \
	X(DROP_NETWORK, "network", "the certificate belongs to another network")                   \
	X(DROP_EXPIRED, "expired", "the certificate is not valid now")                             \
	X(DROP_REVOKED, "revoked", "the certificate was revoked")                                  \
	X(DROP_IDENTITY, "identity", "the certificate names another identifier or key")            \
	/* Operations */                                                                           \
	X(ERR_NO_MEMORY, "no_memory", "out of memory")                                             \
	X(ERR_NO_SPACE, "no_space", "the buffer is too small")                                     \
	X(ERR_INVALID, "invalid", "an argument is not valid")                                      \
	X(ERR_LIMIT, "limit_reached", "a configured limit is reached")                             \
	X(ERR_WRONG_STATE, "wrong_state", "not possible in the present state")                     \
	X(ERR_NOT_FOUND, "not_found", "there is no such thing")                                    \
	X(ERR_EXISTS, "exists", "it exists already")                                               \
	X(ERR_CRYPTO, "crypto", "a cryptographic operation failed")                                \
	X(ERR_KEY, "key", "a public key is not usable")                                            \
	X(ERR_EXHAUSTED, "exhausted", "the key has sealed as many packets as it may")              \
	X(ERR_EMPTY, "empty", "nothing is waiting")                                                \
	X(ERR_TIMEOUT, "timeout", "no answer came in time")                                        \
	X(ERR_NETWORK, "network_error", "the network refused")                                     \
	X(ERR_NO_ADDRESS, "no_address", "the local address is gone")                               \
	X(ERR_PERMISSION, "permission", "the system refused for lack of a privilege")              \
	X(ERR_IO, "io", "reading or writing failed")                                               \
	X(ERR_SYSTEM, "system", "a system call failed")

enum err {
#define X(code, name, text) code,
	ERR_TABLE(X)
#undef X
		ERR_COUNT
};

/* Return: the short name of @e ("replay"), for logs, counters and JSON. */
const char *err_name(enum err e);
/* Return: a sentence fragment for people, without capital and full stop. */
const char *err_text(enum err e);

static inline bool err_is_drop(enum err e)
{
	return e >= DROP_TRUNCATED && e <= DROP_IDENTITY;
}

/* How many inputs were ignored, by reason. */
struct drop_counters {
	uint64_t count[ERR_COUNT];
};

/* Counts @e when it is a DROP_*; returns @e, so that it can stand in a return statement. */
static inline enum err drop_count(struct drop_counters *c, enum err e)
{
	if (err_is_drop(e))
		c->count[e]++;
	return e;
}

#endif
