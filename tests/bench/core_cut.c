/* Superpackets cut into packets, and packets joined to superpackets (core/tunnel). */
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/tunnel/coalesce.h"
#include "daemon/core/tunnel/l4.h"
#include "daemon/core/tunnel/segment.h"
#include "tests/bench/core.h"
#include "tests/support/packet_model.h"

#define SUPERS	    200
#define SUPER_BYTES 64000
#define MAX_PACKETS 64
#define SLOT_BYTES  2048

static uint8_t original[SUPER_BYTES + 128], super[SUPER_BYTES + 128];
static uint8_t slots[MAX_PACKETS][SLOT_BYTES];
static size_t lens[MAX_PACKETS];

struct cost {
	double cut_ns;
	double join_ns;
};

static size_t make_super(const struct model_flow *f, struct segment_hints *hints, size_t payload)
{
	static uint8_t zeros[SUPER_BYTES];
	struct model_tcp tcp = {.sequence = 1, .flags = 0x10, .window = 100};
	size_t ip = f->ip6 ? 40 : 20;
	size_t len = model_packet(original, f, &tcp, 1, zeros,
				  SUPER_BYTES / payload * payload - payload, true);

	*hints = (struct segment_hints){.is_partial = true,
					.csum_start = (uint16_t)ip,
					.csum_offset = (uint16_t)l4_checksum_offset(f->protocol),
					.segment_bytes = (uint16_t)payload,
					.protocol = f->protocol};
	return len;
}

/* Return: the packets. Their bytes are copied out of the time that counts. */
static size_t cut(size_t len, const struct segment_hints *hints, bool is_partial, double *ret_ns)
{
	struct segmenter s;
	size_t count = 0, copied = 0;
	uint8_t *packets[MAX_PACKETS];
	double start;

	memcpy(super, original, len);
	start = bench_now_ns();
	bench_need(segment_begin(&s, super, len, hints, SLOT_BYTES, is_partial));
	/* The next one's headers are written over the end of the last one. */
	while (segment_next(&s, &packets[count], &lens[count]))
		count++;
	*ret_ns += bench_now_ns() - start;
	memcpy(super, original, len);
	bench_need(segment_begin(&s, super, len, hints, SLOT_BYTES, is_partial));
	while (segment_next(&s, &packets[copied], &lens[copied])) {
		memcpy(slots[copied], packets[copied], lens[copied]);
		copied++;
	}
	return count;
}

static void join(struct coalescer *c, size_t count, bool is_partial, double *ret_ns)
{
	struct coalesced group;
	double start = bench_now_ns();

	coalesce_reset(c);
	for (size_t i = 0; i < count; i++) {
		if (!coalesce_join(c, c, slots[i], lens[i], is_partial))
			bench_need(coalesce_start(c, c, slots[i], lens[i], is_partial));
	}
	while (coalesce_next(c, &group))
		;
	*ret_ns += bench_now_ns() - start;
}

static void run(const char *what, const struct model_flow *f, size_t payload, bool is_partial)
{
	struct coalesce_params params = {.max_packets = MAX_PACKETS, .tcp = true, .udp = true};
	struct segment_hints hints;
	size_t len = make_super(f, &hints, payload);
	struct cost best = {1e12, 1e12};
	struct coalescer *c;

	bench_need(coalesce_create(&c, &params));
	for (int round = 0; round < BENCH_ROUNDS; round++) {
		struct cost cost = {0};
		size_t packets = 0;

		for (int i = 0; i < SUPERS; i++) {
			size_t count = cut(len, &hints, is_partial, &cost.cut_ns);

			join(c, count, is_partial, &cost.join_ns);
			packets += count;
		}
		cost.cut_ns /= (double)packets;
		cost.join_ns /= (double)packets;
		best.cut_ns = cost.cut_ns < best.cut_ns ? cost.cut_ns : best.cut_ns;
		best.join_ns = cost.join_ns < best.join_ns ? cost.join_ns : best.join_ns;
	}
	printf("%-18s %5zu %10.0f %10.0f\n", what, payload, best.cut_ns, best.join_ns);
	coalesce_destroy(c);
}

void bench_cut(void)
{
	static const struct model_flow tcp4 = {.protocol = L4_TCP, .ttl = 64, .tcp_options = 12};
	static const struct model_flow tcp6 = {
		.ip6 = true, .protocol = L4_TCP, .ttl = 64, .tcp_options = 12};
	static const struct model_flow udp4 = {.protocol = L4_UDP, .ttl = 64};

	printf("\n%-18s %5s %10s %10s\n", "packets", "bytes", "cut ns", "join ns");
	run("TCP, partial", &tcp4, 1348, true);
	run("TCP", &tcp4, 1348, false);
	run("TCP over IPv6", &tcp6, 1328, true);
	run("UDP", &udp4, 1200, true);
}
