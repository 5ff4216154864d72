/*
 * Cutting and joining packets. The first byte chooses: a superpacket with hints of any kind, cut
 * and compared with the plain model; a batch of packets, as flows make them and with single bytes
 * changed, joined and held to the model; or a packet of any bytes, which is also fragmented and
 * answered.
 */
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/tunnel/fragment.h"
#include "daemon/core/tunnel/inner.h"
#include "daemon/core/tunnel/packet.h"
#include "daemon/core/tunnel/segment.h"
#include "daemon/core/tunnel/too_big.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/coalesce_model.h"

static uint8_t packet[70000], original[70000], expected[70000];

static struct model_flow read_flow(struct rd *r)
{
	uint8_t a = rd_u8(r), b = rd_u8(r);

	return (struct model_flow){
		.ip6 = a & 1,
		.protocol = a & 2 ? 6 : 17,
		.dont_fragment = a & 4,
		.ip_options = a & 8 ? 4 : 0,
		.tcp_options = (a >> 4) % 11 * 4u,
		.host = b & 1,
		.port = b >> 1 & 1,
		.tos = b >> 2 & 1,
		.ttl = (uint8_t)(63 + (b >> 3 & 1)),
	};
}

static struct model_tcp read_tcp(struct rd *r)
{
	return (struct model_tcp){.sequence = rd_u32be(r),
				  .acknowledgment = rd_u8(r),
				  .flags = rd_u8(r),
				  .window = rd_u8(r)};
}

static void fill(uint8_t *buf, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed + i * 11 + i / 256);
}

/* What the kernel hands out: the segmenter has to do what the model does. */
static void cut_genuine(struct rd *r)
{
	static uint8_t payload[64000];
	struct model_flow f = read_flow(r);
	struct model_tcp tcp = read_tcp(r);
	size_t payload_len = rd_u16be(r) % sizeof(payload), chunk = rd_u16be(r);
	size_t max = rd_u16be(r), len, headers, out_len, count = 0;
	bool may_be_partial = rd_u8(r) & 1;
	struct segment_hints h;
	struct segmenter s;
	uint8_t *out;

	fill(payload, payload_len, rd_u8(r));
	len = model_packet(packet, &f, &tcp, rd_u16be(r), payload, payload_len, true);
	memcpy(original, packet, len);
	headers = model_header_bytes(packet);
	h = (struct segment_hints){.is_partial = true,
				   .csum_start = (uint16_t)model_ip_bytes(packet),
				   .csum_offset = f.protocol == 6 ? 16 : 6,
				   .segment_bytes = (uint16_t)chunk,
				   .protocol = f.protocol};
	if (chunk == 0 || segment_begin(&s, packet, len, &h, max, may_be_partial) != OK)
		return;
	fuzz_check(s.type == (may_be_partial ? TUNNEL_TYPE_PARTIAL : TUNNEL_TYPE_DATA));
	if (max < headers + chunk)
		chunk = max - headers;
	while (segment_next(&s, &out, &out_len)) {
		fuzz_check(out >= packet && out + out_len <= packet + len && out_len <= max);
		fuzz_check(model_cut(expected, original, len, chunk, count++) == out_len);
		fuzz_check(!may_be_partial || model_complete(out, out_len));
		fuzz_check(memcmp(out, expected, out_len) == 0);
		memset(out, 0, out_len);
		/* Thousands of pieces show nothing that hundreds do not. */
		if (count > 300)
			return;
	}
	fuzz_check(count == s.count);
}

/* What the data plane does with a packet that is longer than @max, on a copy. */
static void refuse_anything(const uint8_t *bytes, size_t len, size_t max)
{
	uint8_t message[TOO_BIG_MAX_BYTES], *copy = malloc(len), *out;
	size_t out_len = too_big_write(bytes, len, max, message), joined = 0;
	size_t header = model_ip_bytes(bytes);
	struct fragmenter f;

	fuzz_check(copy && out_len <= sizeof(message));
	fuzz_check(out_len == 0 || model_ip_bytes(message) + 8 < out_len);
	memcpy(copy, bytes, len);
	segment_clamp_mss(copy, len, max, false);
	if (fragment_is_allowed(copy) && fragment_begin(&f, copy, len, max) == OK) {
		while (fragment_next(&f, &out, &out_len)) {
			fuzz_check(out >= copy && out + out_len <= copy + len && out_len <= max);
			joined += out_len - header;
			memset(out, 0, out_len);
		}
		fuzz_check(joined == len - header);
	}
	free(copy);
}

static void cut_anything(struct rd *r)
{
	struct segment_hints h = {.is_partial = rd_u8(r) & 1,
				  .csum_start = rd_u16be(r),
				  .csum_offset = rd_u16be(r),
				  .segment_bytes = rd_u16be(r),
				  .protocol = rd_u8(r)};
	size_t max = rd_u16be(r), len = rd_left(r), out_len, count = 0;
	bool may_be_partial = rd_u8(r) & 1;
	struct tunnel_inner inner;
	struct segmenter s;
	uint8_t *bytes, *out;

	len = rd_left(r);
	bytes = malloc(len ? len : 1);
	fuzz_check(bytes);
	rd_copy(r, bytes, len);
	if (tunnel_inner_read(bytes, len, &inner) == OK && inner.kind != TUNNEL_INNER_CONTROL)
		refuse_anything(bytes, inner.len, max);
	if (tunnel_inner_read(bytes, len, &inner) == OK &&
	    segment_begin(&s, bytes, inner.len, &h, max, may_be_partial) == OK) {
		while (segment_next(&s, &out, &out_len)) {
			fuzz_check(out >= bytes && out + out_len <= bytes + inner.len);
			fuzz_check(out_len <= max);
			memset(out, 0, out_len);
			count++;
		}
		fuzz_check(count == s.count && count > 0);
	}
	free(bytes);
}

static void add_packet(struct batch *b, struct rd *r, const struct model_flow *flows, size_t count,
		       struct model_tcp *tcp, uint16_t *id)
{
	uint8_t payload[1400], how = rd_u8(r), choice = rd_u8(r);
	struct model_flow f = flows[choice % count];
	struct model_tcp *t = &tcp[choice % count];
	bool is_partial = !(how & 1);
	size_t len = how & 2 ? rd_u8(r) : 100;
	struct tunnel_inner inner;

	if (how & 4)
		t->flags = rd_u8(r);
	fill(payload, len, how);
	len = model_packet(packet, &f, t, id[choice % count]++, payload, len, is_partial);
	t->sequence += how & 2 ? rd_u8(r) : 100;
	if (how & 8)
		packet[rd_u8(r) % len] ^= rd_u8(r);
	/* What comes to the coalescer has passed this. */
	if (tunnel_inner_read(packet, len, &inner) == OK && inner.kind != TUNNEL_INNER_CONTROL)
		batch_add(b, packet, inner.len, is_partial, choice >> 7);
}

static void join(struct rd *r)
{
	static struct batch b;
	struct coalesce_params params = {.max_packets = BATCH_PACKETS, .tcp = true, .udp = true};
	struct model_flow flows[3];
	struct model_tcp tcp[3];
	uint16_t id[3] = {0};
	struct coalescer *c;

	fuzz_check(coalesce_create(&c, &params) == OK);
	for (size_t i = 0; i < 3; i++) {
		flows[i] = read_flow(r);
		tcp[i] = read_tcp(r);
	}
	b.count = 0;
	while (rd_left(r) > 1 && b.count < BATCH_PACKETS)
		add_packet(&b, r, flows, 3, tcp, id);
	fuzz_check(batch_run(&b, c));
	coalesce_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	uint8_t choice = rd_u8(&r);

	if (size == 0)
		return 0;
	switch (choice % 3) {
	case 0:
		cut_genuine(&r);
		break;
	case 1:
		join(&r);
		break;
	case 2:
		cut_anything(&r);
		break;
	}
	return 0;
}
