#include "daemon/core/ice/candidate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const uint8_t type_preference[ICE_CANDIDATE_TYPE_COUNT] = {
	[ICE_CANDIDATE_HOST] = 126,
	[ICE_CANDIDATE_SRFLX] = 100,
	[ICE_CANDIDATE_PRFLX] = 110,
	[ICE_CANDIDATE_RELAY] = 0,
};

uint32_t ice_priority(enum ice_candidate_type type, uint16_t local_preference)
{
	uint32_t component = 1;

	return (uint32_t)type_preference[type] << 24 | (uint32_t)local_preference << 8 |
	       (256 - component);
}

uint64_t ice_pair_priority(uint32_t controlling_priority, uint32_t controlled_priority)
{
	uint64_t g =
		controlling_priority > ICE_PRIORITY_MAX ? ICE_PRIORITY_MAX : controlling_priority;
	uint64_t d =
		controlled_priority > ICE_PRIORITY_MAX ? ICE_PRIORITY_MAX : controlled_priority;

	return ((g < d ? g : d) << 32) + 2 * (g > d ? g : d) + (g > d);
}

const char *ice_candidate_type_name(enum ice_candidate_type type)
{
	switch (type) {
	case ICE_CANDIDATE_HOST:
		return "host";
	case ICE_CANDIDATE_SRFLX:
		return "srflx";
	case ICE_CANDIDATE_PRFLX:
		return "prflx";
	case ICE_CANDIDATE_RELAY:
		return "relay";
	}
	return "unknown";
}

bool ice_is_usable_address(const struct netaddr *a)
{
	return (a->family == NETADDR_IP4 || a->family == NETADDR_IP6) && a->port != 0 &&
	       !netaddr_is_unspecified(a) && !netaddr_is_loopback(a) && !netaddr_is_multicast(a) &&
	       !netaddr_is_deprecated_ip6(a);
}

bool ice_can_pair(const struct netaddr *base, const struct netaddr *remote)
{
	if (base->family != remote->family)
		return false;
	return base->family != NETADDR_IP6 ||
	       netaddr_is_link_local(base) == netaddr_is_link_local(remote);
}

bool ice_same_address(const struct netaddr *a, const struct netaddr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

void ice_foundation(struct ice_foundations *f, enum ice_candidate_type type,
		    const struct netaddr *base, const struct netaddr *server, bool stream,
		    char ret[static ICE_FOUNDATION_MAX_BYTES + 1])
{
	static const struct netaddr none;
	struct ice_foundation_key *oldest = &f->keys[0];

	if (!server)
		server = &none;
	for (size_t i = 0; i < ICE_FOUNDATIONS; i++) {
		struct ice_foundation_key *k = &f->keys[i];

		if (k->number && k->type == type && k->stream == stream &&
		    netaddr_ip_equal(&k->base, base) && netaddr_ip_equal(&k->server, server) &&
		    (type != ICE_CANDIDATE_RELAY || k->server.port == server->port)) {
			snprintf(ret, ICE_FOUNDATION_MAX_BYTES + 1, "%" PRIu32, k->number);
			return;
		}
		if (k->number < oldest->number)
			oldest = k;
	}
	*oldest = (struct ice_foundation_key){.type = type,
					      .number = ++f->last_number,
					      .stream = stream,
					      .base = *base,
					      .server = *server};
	snprintf(ret, ICE_FOUNDATION_MAX_BYTES + 1, "%" PRIu32, oldest->number);
}
