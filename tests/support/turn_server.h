/*
 * A TURN server for tests (RFC 8656), without a socket and with the caller's time.
 *
 *	turn_server_init(&s, &address, now_us, seed);
 *	turn_server_input(&s, now_us, &from, buf, len); // at `address`, or a relayed one
 *	while (turn_server_pop(&s, &out)) ...		 // what it sends, and from where
 *
 * It is strict where a client may be wrong: credentials, lifetimes of allocations, permissions and
 * channels, the quarantine of channel numbers, one allocation a 5-tuple. What it found wrong it
 * counts in `violations`. How it behaves is in the fields of `config`, which a test may change at
 * any time.
 */
#ifndef ICETUN_TESTS_TURN_SERVER_H
#define ICETUN_TESTS_TURN_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/time.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/stun/message.h"

#define TURN_SERVER_ALLOCATIONS 32
#define TURN_SERVER_PEERS	256
#define TURN_SERVER_QUEUE	64
#define TURN_SERVER_BYTES	2560

enum turn_server_algorithms {
	TURN_SERVER_MD5_SHA1,	/* as RFC 5389 servers: no list */
	TURN_SERVER_SHA256,	/* the list offers SHA-256, then MD5 */
	TURN_SERVER_MD5,	/* the list offers MD5 alone */
	TURN_SERVER_UNKNOWN,	/* the list offers what nobody has */
	TURN_SERVER_DOWNGRADED, /* the nonce promises a list that is not there */
};

struct turn_server_config {
	const char *realm, *password;
	const char *username; /* NULL: any, that of the allocation from then on (441) */
	bool open;	      /* asks for no credentials */
	enum turn_server_algorithms algorithms;
	bool anonymous;	     /* USERHASH in the place of USERNAME; needs a username */
	bool lowest_first;   /* the features in the nonce as erratum 6290 says */
	bool wrong_family;   /* allocates what was not asked for */
	bool silent;	     /* answers nothing */
	bool no_keepalive;   /* does not answer Binding */
	bool ip4, ip6;	     /* families that it relays */
	uint32_t lifetime_s; /* that it grants */
	uint64_t nonce_life_us;
	/* Requests of this method, once authenticated, get this error; 0 = none. */
	uint16_t error_method, error_code;
	unsigned int error_times; /* so often */
	bool error_bare;	  /* without integrity */
	struct netaddr alternate; /* for error 300 */
	struct netaddr refused;	  /* a peer that gets 403 */
};

struct turn_server_peer {
	struct netaddr addr; /* NETADDR_NONE: free. Of a permission the port is 0 */
	uint16_t channel;
	uint64_t expires_us;
};

struct turn_server_allocation {
	struct netaddr client; /* NETADDR_NONE: free */
	char username[64];
	struct netaddr relayed[2];
	uint64_t expires_us;
	struct turn_server_peer permissions[TURN_SERVER_PEERS], channels[TURN_SERVER_PEERS];
};

struct turn_server_datagram {
	struct netaddr from, to;
	size_t len;
	uint8_t bytes[TURN_SERVER_BYTES];
};

struct turn_server {
	struct turn_server_config config;
	struct netaddr address;
	struct random_seeded seed;
	struct random_source random;
	uint16_t next_port;
	char nonce[64];
	uint64_t nonce_us;
	struct turn_server_allocation allocations[TURN_SERVER_ALLOCATIONS];
	struct turn_server_datagram queue[TURN_SERVER_QUEUE];
	size_t queue_head, queue_count;
	/* What tests ask about. */
	unsigned int requests[16]; /* by method, authentic ones */
	unsigned int challenges, releases, sha256_requests;
	unsigned int violations;
	uint16_t largest_request;
};

void turn_server_init(struct turn_server *s, const struct netaddr *address, uint64_t now_us,
		      uint64_t seed);
/* Forgets all allocations, as a server that was restarted. */
void turn_server_restart(struct turn_server *s, uint64_t now_us);
/* One datagram that arrived at @to: the server's address, or a relayed one. */
void turn_server_input(struct turn_server *s, uint64_t now_us, const struct netaddr *to,
		       const struct netaddr *from, const uint8_t *buf, size_t len);
bool turn_server_pop(struct turn_server *s, struct turn_server_datagram *ret);
/* Return: the allocation of @client, or NULL. */
struct turn_server_allocation *turn_server_find(struct turn_server *s,
						const struct netaddr *client);
/* Return: how many allocations there are. */
size_t turn_server_count(const struct turn_server *s);
/* @to is the server or one of its relayed addresses. */
bool turn_server_owns(const struct turn_server *s, const struct netaddr *to);

#endif
