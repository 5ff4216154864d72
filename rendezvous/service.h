/*
 * The rendezvous service: what it does with each message. Pure: no socket, no clock, no database.
 *
 * A message comes in with the number of its connection and the CURVE key that the connection has
 * proven to hold; answers leave through the transport that was handed in, which tells at once
 * whether a connection still exists. So "absent" is known when it happens, and nothing is queued
 * for anybody.
 *
 * A connection in steps:
 *   1. Anything but JOIN and REGISTER, an empty message too, that comes from a connection without
 *      registration: CHALLENGE with a nonce. So a host whose registration was lost, because the
 *      server restarted, finds out and registers again.
 *   2. REGISTER with that nonce, or with zeros where there was no challenge, an epoch and the
 *      certificate: the certificate has to be the network's and name the key of this very
 *      connection, which CURVE has proven: the nonce only tells which challenge is answered. Then
 *      REGISTERED with the servers. The lease is renewed by every message.
 *        same key, other connection, higher epoch   takes over; the old one gets ERROR(REPLACED)
 *        same key, other connection, not higher     ERROR(REPLACED) to the newcomer
 *        other key, same identifier                 ERROR(NAME_TAKEN); the first one keeps working
 *        more than five takeovers a minute          ERROR(RATE) to the newcomer for a minute: two
 *                                                   machines run with one key
 *      A takeover from a connection that is closed already does not count as one, nor does one by
 *      the same run of the program, as the epoch shows: the host has moved.
 *   3. FORWARD: DELIVER to the target and ACK to the sender, or ERROR(ABSENT), or ERROR(BUSY) when
 *      the target does not keep up. LOOKUP: FOUND with the certificate, of absent members too.
 *      WATCH: PRESENCE now and at each change. PING: PONG. BYE: gone.
 *   JOIN, on any connection whose key is the one that it asks for: the issuer decides.
 *
 * Bad input is counted and not answered. Limits for each connection: 50 messages a second (200 at
 * once), 2 REGISTER a second (4), 2 CHALLENGE a second (4), 5 refused JOIN in all; for each member
 * 10 FORWARD a second (30 at once), SERVICE_MAX_WATCHES hosts watched by name; whole-network
 * watching only while at most `watch_members_max` members are online; 10 JOIN a second (20) in all.
 */
#ifndef ICETUN_RENDEZVOUS_SERVICE_H
#define ICETUN_RENDEZVOUS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"
#include "daemon/core/signal/message.h"
#include "rendezvous/issuer.h"
#include "rendezvous/servers.h"
#include "rendezvous/transport.h"

#define SERVICE_MAX_WATCHES 16

/* What the service asks the issuer; issuer.h explains both. */
struct service_issuer {
	enum issuer_result (*join)(void *ctx, int64_t now_s, const struct issuer_request *request,
				   uint8_t *ret, size_t *ret_len);
	enum err (*find)(void *ctx, const char *name, const struct netaddr *address, uint8_t *ret,
			 size_t *ret_len);
	void *ctx;
};

/* Told to the owner, for its log. */
enum service_event {
	SERVICE_EVENT_REGISTERED,
	SERVICE_EVENT_GONE,
	SERVICE_EVENT_TAKEN_OVER,
	SERVICE_EVENT_FROZEN,	     /* two machines seem to run with one key */
	SERVICE_EVENT_NAME_CONFLICT, /* another key came with the name of a member */
	SERVICE_EVENT_JOINED,
	SERVICE_EVENT_JOIN_REFUSED,
	SERVICE_EVENT_COUNT
};

struct service_params {
	struct random_source random;
	uint8_t authority_public[SIGN_PUBLIC_BYTES];
	struct servers servers; /* copied; the secret inside is borrowed */
	struct service_issuer issuer;
	struct transport transport;
	uint32_t lease_ms;
	uint32_t ping_ms; /* less when credentials are good for less than four times that */
	size_t max_members;
	size_t max_connections; /* of which something is remembered; the oldest is forgotten */
	size_t watch_members_max;
	/* May be NULL. @name: a valid identifier or "". */
	void (*on_event)(void *ctx, enum service_event event, const char *name);
	void *event_ctx;
};

/* Lease, ping and limits as the program uses them; the rest is zero. */
struct service_params service_default_params(void);

struct service_counters {
	uint64_t registered;
	uint64_t forwarded;
	uint64_t absent;
	uint64_t busy;
	uint64_t refused_registers;
	uint64_t joined;
	uint64_t refused_joins;
	uint64_t challenges;
	struct drop_counters drops;
};

struct service;

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err service_create(struct service **ret, const struct service_params *params);
void service_destroy(struct service *s);

/* One message, in @buf of @len bytes, 0 for the opening of a connection. @unix_s: for certificates.
 * Answers are sent before it returns. Return: OK; DROP_* when it was ignored (and counted). */
MUST_USE enum err service_input(struct service *s, uint64_t now_us, int64_t unix_s,
				uint32_t connection, const uint8_t key[static DH_BYTES],
				const uint8_t *buf, size_t len);

uint64_t service_next_deadline(const struct service *s);
void service_on_deadline(struct service *s, uint64_t now_us);

size_t service_online_count(const struct service *s);
const struct service_counters *service_counters(const struct service *s);

#endif
