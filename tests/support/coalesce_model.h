/*
 * One batch through a coalescer, held to the plain truth: every packet is given back once, in the
 * order of its flow; and what a network card would cut each group into are the packets that went
 * in.
 */
#ifndef ICETUN_TEST_COALESCE_MODEL_H
#define ICETUN_TEST_COALESCE_MODEL_H

#include "daemon/core/tunnel/coalesce.h"
#include "tests/support/packet_model.h"

#define BATCH_PACKETS	   64
#define BATCH_PACKET_BYTES 2048

struct batch {
	size_t count;
	struct batch_packet {
		uint8_t bytes[BATCH_PACKET_BYTES];
		uint8_t original[BATCH_PACKET_BYTES];
		size_t len;
		bool is_partial;
		uintptr_t owner;
		bool is_back;
	} packets[BATCH_PACKETS];
	size_t groups; /* result */
	size_t largest;
};

static inline void batch_add(struct batch *b, const uint8_t *packet, size_t len, bool is_partial,
			     uintptr_t owner)
{
	struct batch_packet *p = &b->packets[b->count++];

	memcpy(p->bytes, packet, len);
	memcpy(p->original, packet, len);
	p->len = len;
	p->is_partial = is_partial;
	p->owner = owner;
	p->is_back = false;
}

static inline bool batch_same_flow(const struct batch_packet *a, const struct batch_packet *b)
{
	size_t ip = model_ip_bytes(a->original);
	struct l4 l4;

	/* Fragments and the like belong to no flow. */
	if (!l4_read(a->original, a->len, &l4) || !l4_read(b->original, b->len, &l4))
		return false;
	if (a->owner != b->owner || a->original[0] != b->original[0] || a->len < ip + 4 ||
	    b->len < ip + 4 || model_protocol(a->original) != model_protocol(b->original))
		return false;
	return a->original[0] >> 4 == 4
		       ? memcmp(a->original + 12, b->original + 12, ip + 4 - 12) == 0
		       : memcmp(a->original + 8, b->original + 8, 36) == 0;
}

/* Only bare ACKs, which have no place in the stream, may be overtaken. */
static inline bool batch_may_be_overtaken(const struct batch_packet *p)
{
	size_t ip = model_ip_bytes(p->original);

	return model_protocol(p->original) == 6 && p->original[ip + 13] == 0x10 &&
	       p->len == model_header_bytes(p->original);
}

/* Packet @index is given back: none of its flow before it may still be missing. */
static inline bool batch_take(struct batch *b, size_t index)
{
	if (index >= b->count || b->packets[index].is_back)
		return false;
	b->packets[index].is_back = true;
	for (size_t i = 0; i < index; i++) {
		if (!b->packets[i].is_back && !batch_may_be_overtaken(&b->packets[i]) &&
		    batch_same_flow(&b->packets[i], &b->packets[index]))
			return false;
	}
	return true;
}

static inline size_t batch_index(const struct batch *b, const uint8_t *at)
{
	for (size_t i = 0; i < b->count; i++) {
		if (at >= b->packets[i].bytes && at < b->packets[i].bytes + BATCH_PACKET_BYTES)
			return i;
	}
	return b->count;
}

/* What the application must see: @cut, made by the model, and packet @index are the same but for
 * what has no meaning, the identification of IPv4 packets that are never fragmented. */
static inline bool batch_is_same(const struct batch *b, size_t index, uint8_t *cut, size_t len)
{
	uint8_t expected[BATCH_PACKET_BYTES];
	const struct batch_packet *p = &b->packets[index];

	if (len != p->len)
		return false;
	memcpy(expected, p->original, len);
	if (p->is_partial)
		model_finish(expected, len, false);
	if (expected[0] >> 4 == 4 && expected[6] & 0x40) {
		memcpy(cut + 4, expected + 4, 2);
		memcpy(cut + 10, expected + 10, 2);
	}
	return memcmp(cut, expected, len) == 0;
}

static inline bool batch_check_group(struct batch *b, struct coalescer *c, struct coalesced *g)
{
	static uint8_t flat[COALESCE_MAX_BYTES];
	size_t indexes[BATCH_PACKETS], len = 0;
	uint8_t cut[BATCH_PACKET_BYTES];

	for (size_t i = 0; i < g->count; i++) {
		if (len + g->parts[i].len > sizeof(flat))
			return false;
		memcpy(flat + len, g->parts[i].base, g->parts[i].len);
		len += g->parts[i].len;
		indexes[i] = batch_index(b, g->parts[i].base);
		if (!batch_take(b, indexes[i]))
			return false;
	}
	if (len != g->bytes || (g->count > 1) != (g->segment_bytes != 0))
		return false;
	if (g->segment_bytes == 0) {
		const struct batch_packet *p = &b->packets[indexes[0]];

		return len == p->len && memcmp(flat, p->original, len) == 0 &&
		       g->is_partial == p->is_partial &&
		       (!g->is_partial || (g->csum_start == model_ip_bytes(flat) &&
					   g->csum_offset == (model_protocol(flat) == 6 ? 16 : 6)));
	}
	if (!g->is_partial || g->header_bytes != model_header_bytes(flat) ||
	    g->protocol != model_protocol(flat) || g->csum_start != model_ip_bytes(flat) ||
	    g->csum_offset != (g->protocol == 6 ? 16 : 6) ||
	    model_get16(model_checksum_field(flat)) != model_pseudo(flat, len) ||
	    (flat[0] >> 4 == 4 && model_sum(0, flat, model_ip_bytes(flat)) != 0xffff))
		return false;
	for (size_t i = 0; i < g->count; i++) {
		size_t cut_len = model_cut(cut, flat, len, g->segment_bytes, i);

		if (!batch_is_same(b, indexes[i], cut, cut_len))
			return false;
	}
	if (model_cut(cut, flat, len, g->segment_bytes, g->count) != 0)
		return false;
	coalesce_split(c, g);
	for (size_t i = 0; i < g->count; i++) {
		const struct batch_packet *p = &b->packets[indexes[i]];

		if (g->parts[i].len != p->len ||
		    memcmp(g->parts[i].base, p->original, p->len) != 0 ||
		    g->is_partial != p->is_partial)
			return false;
	}
	return true;
}

/* Return: whether all is as it must be. A packet that the coalescer refuses counts as given
 * back. */
static inline bool batch_run(struct batch *b, struct coalescer *c)
{
	struct coalesced g;

	coalesce_reset(c);
	b->groups = b->largest = 0;
	for (size_t i = 0; i < b->count; i++) {
		struct batch_packet *p = &b->packets[i];
		const void *owner = (const void *)p->owner;

		if (!coalesce_join(c, owner, p->bytes, p->len, p->is_partial) &&
		    coalesce_start(c, owner, p->bytes, p->len, p->is_partial) != OK)
			p->is_back = true;
	}
	while (coalesce_next(c, &g)) {
		if (!batch_check_group(b, c, &g))
			return false;
		b->groups++;
		b->largest = g.count > b->largest ? g.count : b->largest;
	}
	for (size_t i = 0; i < b->count; i++) {
		if (!b->packets[i].is_back)
			return false;
	}
	return true;
}

#endif
