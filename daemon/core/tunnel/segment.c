#include "daemon/core/tunnel/segment.h"

#include <string.h>

#include "daemon/core/tunnel/checksum.h"
#include "daemon/core/tunnel/packet.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

static bool is_ip4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

/* RFC 768: a UDP checksum that comes out as zero is sent as all ones. */
static void put_checksum(uint8_t *packet, size_t len, const struct l4 *l4, uint32_t pseudo)
{
	uint8_t *field = packet + l4->offset + l4_checksum_offset(l4->protocol);
	uint16_t sum;

	l4_put16(field, 0);
	sum = (uint16_t)~checksum_fold(pseudo +
				       checksum_sum(packet + l4->offset, len - l4->offset));
	l4_put16(field, sum == 0 && l4->protocol == L4_UDP ? 0xffff : sum);
}

/* Any checksum that the kernel has left partial, of whatever protocol. */
static enum err complete_checksum(uint8_t *packet, size_t len, const struct segment_hints *hints)
{
	size_t at = (size_t)hints->csum_start + hints->csum_offset;
	uint16_t sum;

	if (hints->csum_start > len || len - hints->csum_start < 2 || at > len - 2)
		return DROP_MALFORMED;
	/* The field holds the sum of the pseudo-header, which belongs to the sum. */
	sum = (uint16_t)~checksum_sum(packet + hints->csum_start, len - hints->csum_start);
	l4_put16(packet + at, sum == 0 && hints->csum_offset == L4_UDP_CHECKSUM ? 0xffff : sum);
	return OK;
}

/* --- MSS ------------------------------------------------------------------------------------- */

/* Return: where the MSS is in the TCP options, or 0. RFC 9293 s. 3.2. */
static size_t find_mss(const uint8_t *packet, const struct l4 *l4)
{
	size_t at = l4->offset + (size_t)L4_TCP_MIN_BYTES, end = l4->header_bytes;

	while (at < end && packet[at] != TCP_OPTION_END) {
		if (packet[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || packet[at + 1] < 2 || packet[at + 1] > end - at)
			return 0;
		if (packet[at] == TCP_OPTION_MSS)
			return packet[at + 1] == 4 ? at + 2 : 0;
		at += packet[at + 1];
	}
	return 0;
}

bool segment_is_syn(const uint8_t *packet, size_t len)
{
	struct l4 l4;

	return l4_read(packet, len, &l4) && l4.protocol == L4_TCP &&
	       (packet[l4.offset + 13] & L4_TCP_SYN);
}

void segment_clamp_mss(uint8_t *packet, size_t len, size_t max_bytes, bool is_partial)
{
	size_t at, headers;
	uint16_t mss, old;
	uint8_t *field;
	struct l4 l4;

	if (!segment_is_syn(packet, len) || !l4_read(packet, len, &l4))
		return;
	at = find_mss(packet, &l4);
	headers = l4.offset + (size_t)L4_TCP_MIN_BYTES;
	if (!at || max_bytes <= headers || max_bytes - headers > UINT16_MAX)
		return;
	field = packet + l4.offset + L4_TCP_CHECKSUM;
	mss = (uint16_t)(max_bytes - headers);
	old = l4_get16(packet + at);
	if (old <= mss)
		return;
	l4_put16(packet + at, mss);
	if (is_partial)
		return;
	/* RFC 1624, equation 3. Options need not stand at even offsets. */
	if (at % 2) {
		old = (uint16_t)(old << 8 | old >> 8);
		mss = (uint16_t)(mss << 8 | mss >> 8);
	}
	l4_put16(field, (uint16_t)~checksum_fold((uint32_t)(uint16_t)~l4_get16(field) +
						 (uint16_t)~old + mss));
}

/* --- single packets -------------------------------------------------------------------------- */

static enum err begin_single(struct segmenter *s, const struct segment_hints *hints, bool has_l4,
			     bool may_be_partial)
{
	s->count = 1;
	s->type = TUNNEL_TYPE_DATA;
	if (!hints->is_partial)
		return OK;
	if (!may_be_partial || !has_l4 || hints->csum_start != s->l4.offset ||
	    hints->csum_offset != l4_checksum_offset(s->l4.protocol))
		return complete_checksum(s->packet, s->len, hints);
	s->type = TUNNEL_TYPE_PARTIAL;
	return OK;
}

/* --- superpackets ---------------------------------------------------------------------------- */

/* A TCP packet that came whole, and is longer than the path takes. */
static enum err may_be_cut(const struct segmenter *s, bool is_partial)
{
	const uint8_t *l4 = s->packet + s->l4.offset;
	size_t l4_len = s->len - s->l4.offset;

	if (s->l4.protocol != L4_TCP || l4[13] & (L4_TCP_SYN | L4_TCP_RST | L4_TCP_URG) ||
	    s->len == s->l4.header_bytes)
		return DROP_TOO_LONG;
	/* The pieces get checksums of their own, which must not hide that this one is wrong. */
	if (!is_partial && checksum_fold(checksum_pseudo(s->packet, L4_TCP, l4_len) +
					 checksum_sum(l4, l4_len)) != 0xffff)
		return DROP_MALFORMED;
	return OK;
}

static void prepare_header(struct segmenter *s)
{
	uint8_t *h = s->header;
	uint8_t *l4 = h + s->l4.offset;

	memcpy(h, s->packet, s->l4.header_bytes);
	if (is_ip4(h)) {
		uint16_t id = l4_get16(h + 4);

		l4_put16(h + 2, 0);
		l4_put16(h + 4, 0);
		l4_put16(h + 10, 0);
		s->ip_sum = checksum_sum(h, s->l4.offset);
		l4_put16(h + 4, id);
	}
	s->csum = checksum_pseudo(h, s->l4.protocol, 0);
	l4_put16(l4 + l4_checksum_offset(s->l4.protocol), 0);
}

static enum err begin_cut(struct segmenter *s, size_t chunk_bytes, size_t max_bytes,
			  bool may_be_partial)
{
	size_t payload = s->len - s->l4.header_bytes;

	if (max_bytes <= s->l4.header_bytes)
		return DROP_TOO_LONG;
	if (chunk_bytes > max_bytes - s->l4.header_bytes) {
		/* The last one may fit where the others do not: UDP has no other sizes. */
		if (s->l4.protocol == L4_UDP && payload > max_bytes - s->l4.header_bytes)
			return DROP_TOO_LONG;
		chunk_bytes = max_bytes - s->l4.header_bytes;
	}
	s->chunk_bytes = chunk_bytes;
	s->count = payload ? (payload + chunk_bytes - 1) / chunk_bytes : 1;
	s->type = may_be_partial ? TUNNEL_TYPE_PARTIAL : TUNNEL_TYPE_DATA;
	prepare_header(s);
	return OK;
}

enum err segment_begin(struct segmenter *s, uint8_t *packet, size_t len,
		       const struct segment_hints *hints, size_t max_bytes, bool may_be_partial)
{
	bool has_l4;
	enum err e;

	s->packet = packet;
	s->len = len;
	s->next = 0;
	s->chunk_bytes = 0;
	/* A UDP superpacket's length field covers all of it: l4_read() holds. */
	has_l4 = l4_read(packet, len, &s->l4);
	if (hints->segment_bytes == 0 && len <= max_bytes)
		return begin_single(s, hints, has_l4, may_be_partial);
	if (!has_l4)
		return hints->segment_bytes ? DROP_MALFORMED : DROP_TOO_LONG;
	if (hints->segment_bytes) {
		if (hints->protocol != s->l4.protocol || !hints->is_partial ||
		    hints->csum_start != s->l4.offset ||
		    hints->csum_offset != l4_checksum_offset(s->l4.protocol))
			return DROP_MALFORMED;
		return begin_cut(s, hints->segment_bytes, max_bytes, may_be_partial);
	}
	e = may_be_cut(s, hints->is_partial);
	if (e)
		return e;
	return begin_cut(s, len, max_bytes, may_be_partial);
}

static void patch_ip(const struct segmenter *s, uint8_t *h, size_t len)
{
	uint16_t id;

	if (!is_ip4(h)) {
		l4_put16(h + 4, (uint16_t)(len - s->l4.offset));
		return;
	}
	id = (uint16_t)(l4_get16(h + 4) + s->next);
	l4_put16(h + 2, (uint16_t)len);
	l4_put16(h + 4, id);
	l4_put16(h + 10, (uint16_t)~checksum_fold(s->ip_sum + (uint32_t)len + id));
}

static void patch_l4(const struct segmenter *s, uint8_t *h, size_t len)
{
	uint8_t *l4 = h + s->l4.offset;
	uint32_t pseudo = s->csum + (uint32_t)(len - s->l4.offset);

	if (s->l4.protocol == L4_TCP) {
		l4_put32(l4 + 4, l4_get32(l4 + 4) + (uint32_t)(s->next * s->chunk_bytes));
		if (s->next > 0)
			l4[13] &= (uint8_t)~L4_TCP_CWR;
		if (s->next + 1 < s->count)
			l4[13] &= (uint8_t) ~(L4_TCP_FIN | L4_TCP_PSH);
	} else {
		l4_put16(l4 + 4, (uint16_t)(len - s->l4.offset));
	}
	if (s->type == TUNNEL_TYPE_PARTIAL)
		l4_put16(l4 + l4_checksum_offset(s->l4.protocol), checksum_fold(pseudo));
	else
		put_checksum(h, len, &s->l4, pseudo);
}

bool segment_next(struct segmenter *s, uint8_t **ret_packet, size_t *ret_len)
{
	size_t start, payload;

	if (s->next == s->count)
		return false;
	if (s->chunk_bytes == 0) {
		*ret_packet = s->packet;
		*ret_len = s->len;
		s->next++;
		return true;
	}
	start = s->next * s->chunk_bytes;
	payload = s->len - s->l4.header_bytes - start;
	if (payload > s->chunk_bytes)
		payload = s->chunk_bytes;
	*ret_packet = s->packet + start;
	*ret_len = s->l4.header_bytes + payload;
	memcpy(*ret_packet, s->header, s->l4.header_bytes);
	patch_ip(s, *ret_packet, *ret_len);
	patch_l4(s, *ret_packet, *ret_len);
	s->next++;
	return true;
}
