/*
 * STUN messages and ChannelData out of a byte stream (RFC 8656 s. 3.1, 12.5).
 *
 * On TCP and TLS both follow each other without a separator: each says its length in its first
 * bytes, and ChannelData is padded to a multiple of four bytes. The framer is a bounded buffer that
 * the stream's reader fills in place:
 *
 *	buf = turn_framer_reserve(f, &room);            // read() at most `room` bytes to `buf`
 *	turn_framer_commit(f, n);
 *	while ((e = turn_framer_next(f, &frame, &len)) != ERR_EMPTY)
 *		...
 *
 * A frame longer than the buffer is skipped without being stored. Bytes that begin neither a STUN
 * message nor ChannelData mean that the stream is out of step: it has to be closed.
 */
#ifndef ICETUN_TURN_FRAME_H
#define ICETUN_TURN_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

/* The largest ChannelData with its padding. */
#define TURN_FRAME_MAX_BYTES (4 + 65535 + 1)

struct turn_framer;

/* @max_bytes: of a frame, 64..TURN_FRAME_MAX_BYTES. Return: OK, ERR_INVALID, ERR_NO_MEMORY. */
MUST_USE enum err turn_framer_create(struct turn_framer **ret, size_t max_bytes);
void turn_framer_destroy(struct turn_framer *f);
/* For a new stream. */
void turn_framer_reset(struct turn_framer *f);

/* Return: where to put the next *ret_room bytes; at least one, when turn_framer_next() has said
 * ERR_EMPTY before. Ends the life of frames returned before. */
uint8_t *turn_framer_reserve(struct turn_framer *f, size_t *ret_room);
/* @len bytes, at most the room, were put there. */
void turn_framer_commit(struct turn_framer *f, size_t len);

/* Return: OK, *ret_frame with *ret_len bytes, without the padding of ChannelData, until the next
 * reserve; ERR_EMPTY: more bytes are needed; DROP_TOO_LONG: a frame was skipped, go on;
 * DROP_MALFORMED: close the stream, also from now on. */
MUST_USE enum err turn_framer_next(struct turn_framer *f, const uint8_t **ret_frame,
				   size_t *ret_len);

#endif
