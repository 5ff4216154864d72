#include "daemon/core/tunnel/fragment.h"

#include <string.h>

#include "daemon/core/tunnel/checksum.h"
#include "daemon/core/tunnel/l4.h"

#define MIN_BYTES	 20
#define UNIT_BYTES	 8 /* of fragment offsets */
#define MORE_FRAGMENTS	 0x2000
#define OFFSET_MASK	 0x1fff
#define OPTION_END	 0
#define OPTION_NOP	 1
#define OPTION_IS_COPIED 0x80

/* Options without the flag "copied" stay with the first fragment: others have nothing there. */
static void drop_options(uint8_t *header, size_t len)
{
	size_t at = MIN_BYTES, option;

	while (at < len && header[at] != OPTION_END) {
		if (header[at] == OPTION_NOP) {
			at++;
			continue;
		}
		option = at + 1 < len ? header[at + 1] : 0;
		if (option < 2 || option > len - at)
			option = len - at; /* nothing behind it can be read */
		if (!(header[at] & OPTION_IS_COPIED))
			memset(header + at, OPTION_NOP, option);
		at += option;
	}
}

enum err fragment_begin(struct fragmenter *f, uint8_t *packet, size_t len, size_t max_bytes)
{
	size_t header = (packet[0] & 0x0fu) * 4u;

	if (max_bytes < header + UNIT_BYTES)
		return DROP_TOO_LONG;
	f->packet = packet;
	f->len = len;
	f->next_bytes = 0;
	f->header_bytes = header;
	f->chunk_bytes = (max_bytes - header) / UNIT_BYTES * UNIT_BYTES;
	f->flags = l4_get16(packet + 6);
	memcpy(f->header, packet, header);
	return OK;
}

bool fragment_next(struct fragmenter *f, uint8_t **ret_packet, size_t *ret_len)
{
	size_t left = f->len - f->header_bytes - f->next_bytes, take = left;
	uint16_t flags = (uint16_t)(f->flags & ~OFFSET_MASK);
	uint8_t *h;

	if (left == 0)
		return false;
	if (take > f->chunk_bytes) {
		take = f->chunk_bytes;
		flags |= MORE_FRAGMENTS;
	}
	flags |= (uint16_t)(((f->flags & OFFSET_MASK) + f->next_bytes / UNIT_BYTES) & OFFSET_MASK);
	h = f->packet + f->next_bytes;
	if (f->next_bytes > 0)
		drop_options(f->header, f->header_bytes);
	memcpy(h, f->header, f->header_bytes);
	l4_put16(h + 2, (uint16_t)(f->header_bytes + take));
	l4_put16(h + 6, flags);
	l4_put16(h + 10, 0);
	l4_put16(h + 10, (uint16_t)~checksum_sum(h, f->header_bytes));
	f->next_bytes += take;
	*ret_packet = h;
	*ret_len = f->header_bytes + take;
	return true;
}
