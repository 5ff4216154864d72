/* One worker: the thread that moves packets. Private to the room. */
#ifndef ICETUN_DATA_WORKER_H
#define ICETUN_DATA_WORKER_H

#include "daemon/data/state.h"

/* Makes the worker's descriptors, rings and buffers; worker_fini() is due even when it fails.
 * Return: OK, ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum err worker_init(struct worker *w, struct data_plane *d, unsigned int number,
			      const struct data_params *params);
/* Return: OK, ERR_SYSTEM. */
MUST_USE enum err worker_start(struct worker *w);
/* Ends the thread if it runs, waits for it, and frees. */
void worker_fini(struct worker *w);

/* By control, while the worker runs: polls @fd, which is one of data_plane.sockets[@slot].
 * Return: OK, ERR_SYSTEM. */
MUST_USE enum err worker_poll_socket(struct worker *w, int fd, uint32_t slot);
void worker_unpoll_socket(struct worker *w, int fd);
/* By control, while the worker runs: see data_plane_inject(), whose checks are done.
 * Return: OK, DROP_QUEUE_FULL. */
MUST_USE enum err worker_inject(struct worker *w, const uint8_t *packet, size_t len,
				uint16_t socket, const struct netaddr *from);

/* By the worker: gives control an input. @passed: counts what was handed over, before: whoever has
 * the input sees it counted. Or NULL. Return: false when the ring is full. */
bool worker_hand_over(struct worker *w, enum ring_kind kind, struct data_input *input,
		      const uint8_t *bytes, size_t len, counter *passed);

#endif
