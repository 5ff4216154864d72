#include "daemon/core/tunnel/packet.h"

#include "daemon/core/base/cursor.h"

#define NUMBER_MASK ((1ULL << TUNNEL_LANE_SHIFT) - 1)

static uint64_t counter_of(uint8_t lane, uint64_t number)
{
	return (uint64_t)lane << TUNNEL_LANE_SHIFT | (number & NUMBER_MASK);
}

enum err tunnel_header_read(const uint8_t *buf, size_t len, struct tunnel_header *ret)
{
	struct rd r = rd_init(buf, len);
	uint32_t first = rd_u32be(&r);
	uint32_t receiver_index = rd_u32be(&r);
	uint64_t counter = rd_u64be(&r);

	if (len > 0 && buf[0] != TUNNEL_TYPE_DATA && buf[0] != TUNNEL_TYPE_PARTIAL)
		return DROP_UNKNOWN_TYPE;
	if (len < TUNNEL_OVERHEAD_BYTES)
		return DROP_TRUNCATED;
	if (first != (uint32_t)buf[0] << 24)
		return DROP_MALFORMED;
	ret->type = buf[0];
	ret->receiver_index = receiver_index;
	ret->lane = (uint8_t)(counter >> TUNNEL_LANE_SHIFT);
	ret->number = counter & NUMBER_MASK;
	ret->counter = counter;
	return OK;
}

uint64_t tunnel_header_write(uint8_t ret[static TUNNEL_HEADER_BYTES], uint8_t type,
			     uint32_t receiver_index, uint8_t lane, uint64_t number)
{
	struct wr w = wr_init(ret, TUNNEL_HEADER_BYTES);
	uint64_t counter = counter_of(lane, number);

	wr_u32be(&w, (uint32_t)type << 24);
	wr_u32be(&w, receiver_index);
	wr_u64be(&w, counter);
	return counter;
}
