/*
 * What must hold at every moment while two hosts of a mesh (tests/support/mesh.h) roam, seen from
 * the network and the data plane, without a look into the overlay:
 *
 *	pair	what is sealed goes only over a pair that is validated: a Binding request of this
 *		end from that socket, or over that relay, to that address was answered from there.
 *		After a restart: one with a user name that was not there before the restart
 *	make	a session takes over from another that has a path only after something authenticated
 *		has come with the new keys
 *	break	a direct path that lives, by the network's own knowledge, is not taken away, nor are
 *		its keys
 *	standby	when the address of the path goes while a pair over another one stands by, there is
 *		a path at once
 *	deliver	what the network delivers of sealed datagrams opens, the first time. So no packet is
 *		lost but by the network
 *	once	no packet of the TUN arrives twice
 *	nonce	no key is given out twice; under a key no counter stands for two different texts
 */
#ifndef ICETUN_SIM_ROAM_RULES_H
#define ICETUN_SIM_ROAM_RULES_H

#include "tests/sim/roam_relays.h"

/* Watches @m, which has two hosts, from now on; one mesh at a time. */
void roam_rules_begin(struct mesh *m);
/* To be called between events, at least each 10 ms: looks which paths live. */
void roam_rules_look(void);
/* The address of a socket of host @i goes: mesh_remove_socket(). */
void roam_rules_remove_socket(size_t i, uint16_t number);
/* Traffic of the TUN, sent since the last call, keeps both ends awake. */
void roam_rules_on_use(void);
/* Return: NULL, or the first rule that was broken, with its time in *ret_us. */
const char *roam_rules_fault(uint64_t *ret_us);
/* How often each rule was asked: for a test that it is not idle. */
struct roam_rules_counts {
	uint64_t sealed, relayed, switches, clears, opened, packets, keys, stood_by;
};
struct roam_rules_counts roam_rules_counts(void);
/* Whether the packet of @to that has this number arrived. */
bool roam_rules_has_arrived(size_t to, uint64_t sequence);

#endif
