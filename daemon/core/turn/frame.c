#include "daemon/core/turn/frame.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/turn/allocation.h"

#define MIN_BYTES 64
/* Of both kinds: what is needed to know the length. */
#define HEAD_BYTES 4

struct turn_framer {
	size_t cap;
	size_t begin, end; /* what is in the buffer */
	size_t skip;	   /* bytes of a frame that was too long, still to come */
	bool broken;
	uint8_t buf[];
};

enum err turn_framer_create(struct turn_framer **ret, size_t max_bytes)
{
	struct turn_framer *f;

	if (max_bytes < MIN_BYTES || max_bytes > TURN_FRAME_MAX_BYTES)
		return ERR_INVALID;
	f = calloc(1, sizeof(*f) + max_bytes);
	if (!f)
		return ERR_NO_MEMORY;
	f->cap = max_bytes;
	*ret = f;
	return OK;
}

void turn_framer_destroy(struct turn_framer *f)
{
	free(f);
}

void turn_framer_reset(struct turn_framer *f)
{
	f->begin = f->end = f->skip = 0;
	f->broken = false;
}

uint8_t *turn_framer_reserve(struct turn_framer *f, size_t *ret_room)
{
	memmove(f->buf, f->buf + f->begin, f->end - f->begin);
	f->end -= f->begin;
	f->begin = 0;
	*ret_room = f->cap - f->end;
	return f->buf + f->end;
}

void turn_framer_commit(struct turn_framer *f, size_t len)
{
	f->end += len;
}

/* Passes over what is left of a frame that was too long. */
static void skip(struct turn_framer *f)
{
	size_t n = f->end - f->begin;

	if (n > f->skip)
		n = f->skip;
	f->begin += n;
	f->skip -= n;
}

/* Return: false when the bytes begin nothing that we know. @ret_len: without padding. */
static bool measure(const uint8_t *head, size_t *ret_len, size_t *ret_padded)
{
	struct rd r = rd_init(head, HEAD_BYTES);
	uint16_t type = rd_u16be(&r);
	size_t len = rd_u16be(&r);

	if (type >= TURN_CHANNEL_MIN && type <= TURN_CHANNEL_MAX) {
		*ret_len = TURN_CHANNEL_HEADER_BYTES + len;
		*ret_padded = *ret_len + (4 - len % 4) % 4;
		return true;
	}
	*ret_len = *ret_padded = STUN_HEADER_BYTES + len;
	return type >> 14 == 0 && len % 4 == 0;
}

enum err turn_framer_next(struct turn_framer *f, const uint8_t **ret_frame, size_t *ret_len)
{
	size_t len, padded;

	skip(f);
	if (f->broken)
		return DROP_MALFORMED;
	if (f->end - f->begin < HEAD_BYTES)
		return ERR_EMPTY;
	if (!measure(f->buf + f->begin, &len, &padded)) {
		f->broken = true;
		return DROP_MALFORMED;
	}
	if (padded > f->cap) {
		f->skip = padded;
		skip(f);
		return DROP_TOO_LONG;
	}
	if (padded > f->end - f->begin)
		return ERR_EMPTY;
	*ret_frame = f->buf + f->begin;
	*ret_len = len;
	f->begin += padded;
	return OK;
}
