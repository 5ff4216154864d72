/* UDP to TUN: datagrams from the network. Private to the room. */
#ifndef ICETUN_DATA_RX_H
#define ICETUN_DATA_RX_H

#include "daemon/data/state.h"

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err rx_create(struct rx **ret, const struct worker *w);
/* NULL is fine. */
void rx_destroy(struct rx *r);

/* Nothing is under way and nothing was for a while: gives memory back. */
void rx_rest(struct rx *r);

/* Asks the system to join datagrams of @fd, or to join them no more. Return: whether it does
 * that. */
bool rx_set_gro(int fd, bool on);
/* Receives from the socket at @slot until it is empty or the budget is used up. */
void rx_turn(struct worker *w, uint32_t slot);
/* Takes what control has injected. */
void rx_injected_turn(struct worker *w);

#endif
