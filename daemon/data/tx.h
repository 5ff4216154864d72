/* TUN to UDP: packets of this host. Private to the room. */
#ifndef ICETUN_DATA_TX_H
#define ICETUN_DATA_TX_H

#include "daemon/data/state.h"

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err tx_create(struct tx **ret);
/* NULL is fine. */
void tx_destroy(struct tx *t);

/* As rx_rest(). */
void tx_rest(struct tx *t);

/* Reads from the TUN until it is empty or the budget is used up, and sends. @is_broken: the
 * descriptor was reported as such. */
void tx_turn(struct worker *w, bool is_broken);

#endif
