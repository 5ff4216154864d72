/*
 * ICE candidates: addresses at which one end may be reached (RFC 8445 s. 4, 5.1).
 *
 * Types: a host candidate is the address of a socket; a server-reflexive one (srflx) is what a STUN
 * server saw of that socket; a peer-reflexive one (prflx) is what the peer saw of it; a relayed one
 * lives on a TURN server. The *base* is the local address from which packets really leave.
 *
 * Priorities and foundations are computed here, as pure functions, so that both ends agree on them.
 */
#ifndef ICETUN_ICE_CANDIDATE_H
#define ICETUN_ICE_CANDIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define ICE_FOUNDATION_MAX_BYTES      32
#define ICE_EXTENSION_NAME_MAX_BYTES  32
#define ICE_EXTENSION_VALUE_MAX_BYTES 64
#define ICE_MAX_CANDIDATE_EXTENSIONS  4

/* What we generate; anything above is clamped when it arrives, or a pair priority would
 * overflow. */
#define ICE_PRIORITY_MAX 0x7fffffffu

enum ice_candidate_type {
	ICE_CANDIDATE_HOST = 0,
	ICE_CANDIDATE_SRFLX = 1,
	ICE_CANDIDATE_PRFLX = 2,
	ICE_CANDIDATE_RELAY = 3,
};
#define ICE_CANDIDATE_TYPE_COUNT 4

/* The numbers stand on the wire. Only UDP is used; candidates of other transports are passed
 * over. */
enum ice_transport {
	ICE_TRANSPORT_UDP = 0,
	ICE_TRANSPORT_TCP_ACTIVE = 1,
	ICE_TRANSPORT_TCP_PASSIVE = 2,
	ICE_TRANSPORT_TCP_SO = 3,
};

/* A name and a value that we do not interpret; NUL-terminated, visible ASCII. */
struct ice_extension {
	char name[ICE_EXTENSION_NAME_MAX_BYTES + 1];
	char value[ICE_EXTENSION_VALUE_MAX_BYTES + 1];
};

struct ice_candidate {
	enum ice_candidate_type type;
	uint8_t transport; /* enum ice_transport */
	uint16_t socket;   /* the socket that owns the base; local candidates only */
	uint16_t relay;	   /* of a relayed local candidate: the number of its allocation; else 0 */
	uint32_t priority; /* 1..ICE_PRIORITY_MAX */
	char foundation[ICE_FOUNDATION_MAX_BYTES + 1];
	struct netaddr addr;
	struct netaddr base;	/* local candidates only */
	struct netaddr related; /* NETADDR_NONE when absent or hidden */
	struct ice_extension extensions[ICE_MAX_CANDIDATE_EXTENSIONS];
	size_t extension_count;
};

/* RFC 8445 s. 5.1.2.1 with the type preferences 126, 110, 100, 0 and component 1.
 * @local_preference: 0..65535, one for each socket; the caller interleaves families (RFC 8421 s.
 * 4). */
uint32_t ice_priority(enum ice_candidate_type type, uint16_t local_preference);

/* RFC 8445 s. 6.1.2.3. Both arguments are clamped to ICE_PRIORITY_MAX. */
uint64_t ice_pair_priority(uint32_t controlling_priority, uint32_t controlled_priority);

/* Return: "host", "srflx", "prflx" or "relay". */
const char *ice_candidate_type_name(enum ice_candidate_type type);

/* False for what nobody may make us send to: no family, port 0, unspecified, loopback, multicast,
 * broadcast, IPv4-compatible or site-local addresses (RFC 8445 s. 5.1.1.1). */
bool ice_is_usable_address(const struct netaddr *a);

/* May a packet go from @base to @remote: one family, and link-local IPv6 only to link-local
 * (RFC 8445 s. 6.1.2.2). */
bool ice_can_pair(const struct netaddr *base, const struct netaddr *remote);

/* Same address and port whatever the scope: what comes from signalling has none. */
bool ice_same_address(const struct netaddr *a, const struct netaddr *b);

/*
 * Foundations (RFC 8445 s. 5.1.1.3): equal for candidates of one type, base address, transport and
 * server. They are small numbers given out in order, so they tell nothing about the addresses. The
 * table remembers the newest ICE_FOUNDATIONS keys.
 */
#define ICE_FOUNDATIONS 64

struct ice_foundations {
	struct ice_foundation_key {
		enum ice_candidate_type type;
		uint32_t number; /* 0: free */
		bool stream;
		struct netaddr base, server;
	} keys[ICE_FOUNDATIONS];
	uint32_t last_number;
};

/* Writes the foundation; ports of bases are not looked at. @server: NULL for host candidates; of
 * relayed ones the port counts and whether it is reached over a @stream, since over UDP the same
 * server may not be reached at all. */
void ice_foundation(struct ice_foundations *f, enum ice_candidate_type type,
		    const struct netaddr *base, const struct netaddr *server, bool stream,
		    char ret[static ICE_FOUNDATION_MAX_BYTES + 1]);

#endif
