/*
 * STUN servers and a TURN server on the virtual network, and the streams to the latter.
 *
 * The network knows datagrams only. A stream is reliable and in order, takes STREAM_DELAY_US one
 * way, and passes every NAT; for the server it is a client with an address of its own.
 */
#ifndef ICETUN_SIM_ICE_SERVERS_H
#define ICETUN_SIM_ICE_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/ice_scenario.h"

/* Of every user. */
#define ICE_SERVERS_PASSWORD "password"

struct ice_servers;

enum ice_stream_news_kind {
	ICE_STREAM_OPEN,
	ICE_STREAM_CLOSED,
	ICE_STREAM_BYTES,
};

struct ice_stream_news {
	enum ice_stream_news_kind kind;
	size_t end;
	uint32_t stream;
	const uint8_t *bytes; /* until the next call */
	size_t len;
};

struct ice_servers *ice_servers_create(struct simnet *net, const struct ice_scenario *s,
				       uint64_t now_us);
void ice_servers_destroy(struct ice_servers *s);
/* From now on each server is good. */
void ice_servers_heal(struct ice_servers *s);
/* The TURN server forgets its allocations and closes its streams. */
void ice_servers_restart_turn(struct ice_servers *s, uint64_t now_us);

/* The addresses of the STUN servers. Return: how many. */
size_t ice_servers_stun(const struct ice_servers *s, const struct netaddr **ret);
/* The address of the TURN server, over UDP or streams. */
struct netaddr ice_servers_turn(bool ip6);

/* Return: false when it is for no host of ours. */
bool ice_servers_input(struct ice_servers *s, uint64_t now_us, const struct simnet_delivery *d,
		       const uint8_t *buf);
uint64_t ice_servers_next_deadline(const struct ice_servers *s);
/* Sends what is due; call it before ice_servers_pop_stream(). */
void ice_servers_on_deadline(struct ice_servers *s, uint64_t now_us);

/* @ip6: over IPv6. @reachable: packets to the server get there at all. */
void ice_servers_open_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream,
			     bool ip6, bool reachable);
void ice_servers_close_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream);
void ice_servers_write_stream(struct ice_servers *s, uint64_t now_us, size_t end, uint32_t stream,
			      const uint8_t *buf, size_t len);
/* Return: false when nothing more has come. */
bool ice_servers_pop_stream(struct ice_servers *s, uint64_t now_us, struct ice_stream_news *ret);

#endif
