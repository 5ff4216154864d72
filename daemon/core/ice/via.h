/* What a datagram goes over: a local socket, or an allocation on a TURN server. */
#ifndef ICETUN_ICE_VIA_H
#define ICETUN_ICE_VIA_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/ice/engine.h"

struct ice_via {
	uint16_t socket; /* of a relay: what its server is reached over, or ICE_NO_SOCKET */
	uint16_t relay;	 /* 0 = none */
};

static inline struct ice_via ice_via_socket(uint16_t socket)
{
	return (struct ice_via){.socket = socket};
}

static inline struct ice_via ice_via_none(void)
{
	return ice_via_socket(ICE_NO_SOCKET);
}

static inline bool ice_via_equal(struct ice_via a, struct ice_via b)
{
	return a.socket == b.socket && a.relay == b.relay;
}

static inline bool ice_via_is_none(struct ice_via v)
{
	return v.socket == ICE_NO_SOCKET && v.relay == 0;
}

#endif
