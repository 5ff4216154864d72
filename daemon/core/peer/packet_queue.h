/*
 * Packets that wait for a path: one pool of slots for all peers, a list for each.
 *
 * The pool is allocated once. A peer holds at most OVERLAY_QUEUE_PACKETS slots; when the pool or
 * the peer's share is full, the newest packet is refused (and counted by the caller), since the
 * oldest of a flow - its SYN, its first request - is worth most.
 */
#ifndef ICETUN_PEER_PACKET_QUEUE_H
#define ICETUN_PEER_PACKET_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

struct packet_pool;

/* The list of one peer. All zeros is an empty list. */
struct packet_list {
	uint32_t head; /* slot number + 1, 0 = none */
	uint32_t tail;
	uint32_t count;
};

/* @slots packets of at most @slot_bytes each. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err packet_pool_create(struct packet_pool **ret, uint32_t slots, size_t slot_bytes);
void packet_pool_destroy(struct packet_pool *p);

/* Copies @packet to the end of @list. Return: OK, DROP_QUEUE_FULL, DROP_TOO_LONG. */
MUST_USE enum err packet_push(struct packet_pool *p, struct packet_list *list,
			      const uint8_t *packet, size_t len);
/* Return: the first packet of @list, valid until packet_pop(), or NULL. */
const uint8_t *packet_peek(const struct packet_pool *p, const struct packet_list *list,
			   size_t *ret_len);
/* Drops the first packet of a list that is not empty. */
void packet_pop(struct packet_pool *p, struct packet_list *list);
/* Appends @from to @to, as far as its share goes; the rest stays. */
void packet_move(struct packet_pool *p, struct packet_list *to, struct packet_list *from);
/* Drops all; returns how many. */
uint32_t packet_clear(struct packet_pool *p, struct packet_list *list);

#endif
