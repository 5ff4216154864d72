/* What service.c, register.c and presence.c share; nobody else includes it. */
#ifndef ICETUN_RENDEZVOUS_SERVICE_INTERNAL_H
#define ICETUN_RENDEZVOUS_SERVICE_INTERNAL_H

#include "rendezvous/registry.h"
#include "rendezvous/service.h"

/* What is remembered of a connection, registered or not. It may be forgotten at any time: then the
 * nonce is challenged anew and the limits begin afresh; a registration does not depend on it. */
struct link {
	uint32_t connection;
	uint8_t key[DH_BYTES];
	uint8_t nonce[SIGNAL_NONCE_BYTES];
	bool has_nonce; /* challenged with it, not yet used */
	uint8_t joins_left;
	struct bucket messages;
	struct bucket challenges;
	struct bucket registers;
	uint64_t used_us;
	struct link *prev, *next; /* in the order of use */
	UT_hash_handle hh;
};

/* All that watch one name; presence.c. */
struct watched;

struct service {
	struct service_params params;
	struct registry registry;
	struct link *links;	 /* hash */
	struct link *links_used; /* list, the least recently used first */
	size_t link_count;
	struct bucket joins;
	struct watched *watched;
	uint64_t presence_at_us; /* when watchers that are behind get more */
	struct service_counters counters;
	uint8_t out[SIGNAL_MESSAGE_MAX_BYTES];
};

/* Encodes and sends. */
enum transport_result service_send(struct service *s, uint32_t connection,
				   const struct signal_message *m);
void service_event(struct service *s, enum service_event event, const char *name);
/* Asks the connection to register, unless it was asked too often. */
enum err service_challenge(struct service *s, uint64_t now_us, int64_t unix_s, struct link *l);
/* The only way from ONLINE to GONE: tells watchers and the log. */
void service_set_gone(struct service *s, uint64_t now_us, struct member *m);

/* register.c */
/* REGISTERED, with the servers and fresh credentials. */
void service_confirm(struct service *s, uint64_t now_us, int64_t unix_s, struct member *member);
enum err service_on_register(struct service *s, uint64_t now_us, int64_t unix_s, struct link *l,
			     const struct signal_message *m);

/* presence.c */
enum err presence_on_watch(struct service *s, uint64_t now_us, struct member *m, const char *name);
/* @m has come, gone or changed. */
void presence_on_change(struct service *s, uint64_t now_us, struct member *m);
/* Ends what @m watches. */
void presence_stop(struct service *s, struct member *m);
/* Sends to watchers of the whole network what they have not seen, in portions. */
void presence_pump(struct service *s, uint64_t now_us);

#endif
