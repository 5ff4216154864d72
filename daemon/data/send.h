/*
 * Trains: sealed packets on their way to the network. Private to the room; one for each worker.
 *
 * A packet is sealed straight into the slab, behind the one before. Packets of one path and one
 * size, and one shorter packet at their end, are a train: one message with UDP_SEGMENT, which the
 * kernel carries through its stack in one piece and cuts at the end, or the network card does.
 * Trains never wait for packets: whoever has no more flushes.
 */
#ifndef ICETUN_DATA_SEND_H
#define ICETUN_DATA_SEND_H

#include "daemon/data/state.h"

/* Asks the system, with a socket of its own. */
bool send_knows_segment(void);

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err sender_create(struct sender **ret);
/* NULL is fine. */
void sender_destroy(struct sender *s);

/* As rx_rest(); after send_flush(). */
void sender_rest(struct sender *s);

/* Seals @len bytes at @inner for the peer behind @p; may flush before. What cannot be sealed is
 * counted as dropped. */
void send_packet(struct worker *w, struct path *p, uint8_t type, const uint8_t *inner, size_t len);
/* The same of a packet that is longer than the path carries, and has to arrive all the same: the
 * datagram may be fragmented on its way. */
void send_packet_in_pieces(struct worker *w, struct path *p, uint8_t type, const uint8_t *inner,
			   size_t len);
/* Bytes that wait for send_flush(). */
size_t send_pending(const struct worker *w);
/* Hands all to the kernel and counts what becomes of it. */
void send_flush(struct worker *w);

#endif
