/*
 * Who is online: identifier -> connection, with a lease. Soft state only; after a restart of the
 * server the hosts register again.
 *
 * Each member has one entry, found by name, by connection and by overlay address in O(1). It is
 * ONLINE from its registration until its lease runs out, its connection turns out to be gone, or it
 * says BYE. Then it is GONE for a minute: watchers learn of it from the entry, and a lookup still
 * finds the certificate. All leases have one length, so a list in the order of renewal is in the
 * order of expiry, and the next deadline is its head.
 *
 * For watchers each change of an entry gets a number, and entries are also listed in the order of
 * that number: what a watcher has not seen is the tail of the list (presence.c).
 */
#ifndef ICETUN_RENDEZVOUS_REGISTRY_H
#define ICETUN_RENDEZVOUS_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/cert.h"
#include "rendezvous/bucket.h"
#include "rendezvous/hash.h"

#define REGISTRY_KEY_BYTES 32

enum member_state {
	/* Registered on `connection`. In every index. Leaves by registry_set_gone(). */
	MEMBER_ONLINE,
	/* Known to have been there. Found by name only. Comes back by registry_set_online(), and is
	 * freed when its deadline comes. */
	MEMBER_GONE,
};

struct watch;

/* One address in the index; part of its member. */
struct member_address {
	struct netaddr addr;
	struct member *member;
	UT_hash_handle by_address;
};

/* Fields are read by everyone, and written by registry.c where not said otherwise. */
struct member {
	char name[IDENTIFIER_BYTES];
	enum member_state state;
	uint32_t connection;
	uint8_t key[REGISTRY_KEY_BYTES]; /* CURVE public */
	uint64_t epoch;
	uint64_t serial;
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
	struct member_address addresses[CERT_MAX_ADDRESSES];
	size_t address_count;
	uint64_t deadline_us; /* end of the lease, or of the memory of it */
	uint64_t change;      /* number of its last change */

	/* The service's. */
	struct bucket offers;
	struct bucket takeovers;
	uint64_t frozen_until_us;
	uint64_t told_us; /* when it was told the servers */
	bool is_watching_all;
	uint64_t seen;	       /* the last change that was told to it */
	struct watch *watches; /* what it watches by name: presence.c */
	size_t watch_count;

	struct member *lease_prev, *lease_next;
	struct member *change_prev, *change_next;
	UT_hash_handle by_name;
	UT_hash_handle by_connection;
};

struct registry {
	struct member *by_name;
	struct member *by_connection;
	struct member_address *by_address;
	/* Heads of lists; lease: online and gone apart, each in the order of deadlines. */
	struct member *online;
	struct member *gone;
	struct member *changes;
	uint64_t last_change;
	size_t online_count;
	size_t count;
	size_t max_members;
	uint64_t lease_us;
};

/* How long a member that went is remembered. */
#define REGISTRY_GONE_US (60 * 1000000ULL)

void registry_init(struct registry *r, size_t max_members, uint64_t lease_us);
/* Frees all entries. */
void registry_fini(struct registry *r);

/* Return: the entry in any state, or NULL. */
struct member *registry_find(struct registry *r, const char *name);
/* Return: the ONLINE entry, or NULL. */
struct member *registry_find_connection(struct registry *r, uint32_t connection);
struct member *registry_find_address(struct registry *r, const struct netaddr *addr);

/* Makes the holder of @cert, a verified certificate with the encoding @encoded, ONLINE on
 * @connection: a new entry, one that was GONE, or one that was on another connection. Its other
 * fields stay. Of an address that another entry has, that one keeps the index.
 * Return: OK and the entry; ERR_LIMIT when the table is full; ERR_NO_MEMORY. */
MUST_USE enum err registry_set_online(struct registry *r, uint64_t now_us, uint32_t connection,
				      uint64_t epoch, const struct cert *cert,
				      const uint8_t *encoded, size_t encoded_len,
				      struct member **ret);
/* Renews the lease. */
void registry_renew(struct registry *r, uint64_t now_us, struct member *m);
/* ONLINE -> GONE. */
void registry_set_gone(struct registry *r, uint64_t now_us, struct member *m);

uint64_t registry_next_deadline(const struct registry *r);
/* Return: the ONLINE entry whose lease is over at @now_us, or NULL. The caller sets it GONE. */
struct member *registry_expired(struct registry *r, uint64_t now_us);
/* Frees the entries that were GONE for long enough. */
void registry_forget(struct registry *r, uint64_t now_us);

#endif
