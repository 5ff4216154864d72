/*
 * What goes to TURN servers and comes from them, unwrapped for roam_rules: a datagram in a Send or
 * Data indication or in ChannelData counts as sent to the peer, or received from it, over the
 * relay.
 */
#ifndef ICETUN_SIM_ROAM_RELAYS_H
#define ICETUN_SIM_ROAM_RELAYS_H

#include "tests/support/mesh.h"

/* What a datagram is for: `via` is a socket, or an allocation of that socket at one of the
 * servers. */
struct roam_datagram {
	uint16_t via;
	struct netaddr peer;
	const uint8_t *buf;
	size_t len; /* 0: it was for the server itself */
};

void roam_relays_begin(struct mesh *m);
struct roam_datagram roam_relays_on_sent(const struct mesh_host *h, uint16_t socket,
					 const struct netaddr *to, const uint8_t *buf, size_t len);
struct roam_datagram roam_relays_on_received(const struct mesh_host *h, uint16_t socket,
					     const struct netaddr *from, const uint8_t *buf,
					     size_t len);
/* The `via` of the path of @v. The test numbers its relay servers from 1. */
uint16_t roam_relays_via(const struct overlay_event *v);
/* The socket that @via needs. */
uint16_t roam_relays_socket(uint16_t via);

#endif
