/*
 * A network that exists only in memory and in virtual time: hosts, links and NAT boxes.
 *
 * The network is a tree. Its root is SIMNET_INTERNET. A router hangs below the root or below
 * another router (carrier-grade NAT), and has an inside network of its own; hosts are attached to
 * the root or to the inside of a router. Each host and each router has one link, towards the
 * network it is attached to, that delays, loses, repeats and reorders what crosses it in either
 * direction.
 *
 * A packet goes hop by hop, each hop an event of its own time, so that a NAT box sees packets in
 * the order in which they reach it. In a network a packet goes to the host there that has the
 * destination address, or into the router there that has it outside, or (where nothing is
 * translated) into the router behind which a host has it; otherwise up through the network's own
 * router; and at the root it is lost. A private address that exists in two networks therefore means
 * two hosts, as in life.
 *
 * IPv4 is translated by a router that has an outside IPv4 address; everything else passes the
 * router's stateful filter untranslated.
 *
 * The same calls with the same seed give the same deliveries. Errors of use end the program: it is
 * a test. Nodes are named by the numbers that simnet_add_*() returns; they live as long as the
 * network.
 *
 *	net = simnet_create(seed);
 *	router = simnet_add_router(net, SIMNET_INTERNET, &link, &nat);
 *	host = simnet_add_host(net, router, &link);
 *	simnet_add_address(net, host, &addr);
 *	simnet_send(net, now_us, host, &from, &to, buf, len);
 *	now_us = simnet_next_deadline(net);
 *	while (simnet_pop_delivery(net, now_us, &delivery, buf, sizeof(buf))) ...
 */
#ifndef ICETUN_SIM_NETWORK_H
#define ICETUN_SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/base/netaddr.h"
#include "tests/sim/nat.h"

#define SIMNET_INTERNET		  0
#define SIMNET_ADDRESSES_PER_HOST 8
#define SIMNET_MTU_BYTES	  1500

struct simnet;

/* Both directions. Probabilities in thousandths, asked for each packet that crosses. */
struct simnet_link {
	uint32_t delay_us;
	uint32_t jitter_us; /* up to this much more; already reorders when larger than gaps */
	uint16_t loss_permille;
	uint16_t duplicate_permille;
	uint16_t reorder_permille; /* held back by another delay_us + 10 ms */
	uint16_t corrupt_permille; /* one bit is another */
};

struct simnet_delivery {
	size_t host;
	struct netaddr from, to; /* `to`: the address of the host */
	size_t len;
	uint64_t at_us;
	bool is_genuine; /* neither corrupted on the way nor injected */
};

/* Packets by their fate; duplicates count for themselves. */
struct simnet_counters {
	uint64_t sent;
	uint64_t delivered;
	uint64_t lost;	     /* by a link */
	uint64_t filtered;   /* by a router: no mapping, not allowed, or blocked */
	uint64_t unroutable; /* nobody has the address */
};

struct simnet *simnet_create(uint64_t seed);
void simnet_destroy(struct simnet *net);

/* The network's own random stream, for choices that belong to the scenario. */
struct random_source simnet_random(struct simnet *net);

/* A router whose outside is in the network of @above, a router or SIMNET_INTERNET. @nat is
 * copied; its `random` is set by the network. */
size_t simnet_add_router(struct simnet *net, size_t above, const struct simnet_link *link,
			 const struct nat_params *nat);
size_t simnet_add_host(struct simnet *net, size_t above, const struct simnet_link *link);

/* The address of a host, port not looked at. */
void simnet_add_address(struct simnet *net, size_t host, const struct netaddr *addr);
void simnet_remove_address(struct simnet *net, size_t host, const struct netaddr *addr);
void simnet_set_link(struct simnet *net, size_t node, const struct simnet_link *link);
/* Moves a host to another network: its addresses are removed. */
void simnet_move_host(struct simnet *net, size_t host, size_t above);
/* The router forgets all mappings. */
void simnet_reboot(struct simnet *net, size_t router);
/* Nothing passes the router, in either direction. */
void simnet_set_blocked(struct simnet *net, size_t router, bool blocked);

/* Sends one datagram of at most SIMNET_MTU_BYTES. Return: false, and nothing is sent, when the host
 * does not have the address @from, as a kernel would refuse it (ENETUNREACH). */
bool simnet_send(struct simnet *net, uint64_t now_us, size_t host, const struct netaddr *from,
		 const struct netaddr *to, const void *buf, size_t len);
/* Somebody on the Internet sends a datagram in the name of @from. */
void simnet_inject(struct simnet *net, uint64_t now_us, const struct netaddr *from,
		   const struct netaddr *to, const void *buf, size_t len);
/* Return: the time of the next hop of any packet; DEADLINE_NONE when nothing is under way. */
uint64_t simnet_next_deadline(const struct simnet *net);
/* Moves packets up to @now_us, and returns the first datagram that reached a host, if any. A
 * datagram longer than @cap is cut. */
bool simnet_pop_delivery(struct simnet *net, uint64_t now_us, struct simnet_delivery *ret,
			 uint8_t *buf, size_t cap);

const struct simnet_counters *simnet_counters(const struct simnet *net);
/* Each hop as a line of text; NULL turns it off. */
void simnet_set_trace(struct simnet *net, FILE *trace);

#endif
