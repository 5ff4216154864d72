#include "daemon/core/tunnel/inner.h"

#include "daemon/core/base/cursor.h"

/* RFC 791 s. 3.1 */
static enum err read_ip4(struct rd r, size_t len, struct tunnel_inner *ret)
{
	size_t header_len = (rd_u8(&r) & 0x0fu) * 4u;
	size_t total_len;
	const uint8_t *source, *destination;

	rd_skip(&r, 1);
	total_len = rd_u16be(&r);
	rd_skip(&r, 8);
	source = rd_bytes(&r, 4);
	destination = rd_bytes(&r, 4);
	if (!rd_ok(&r))
		return DROP_TRUNCATED;
	if (header_len < TUNNEL_INNER_IP4_MIN_BYTES || total_len < header_len)
		return DROP_MALFORMED;
	if (total_len > len)
		return DROP_TRUNCATED;
	*ret = (struct tunnel_inner){
		.kind = TUNNEL_INNER_IP4,
		.source = netaddr_from_ip4(source, 0),
		.destination = netaddr_from_ip4(destination, 0),
		.len = total_len,
	};
	return OK;
}

/* RFC 8200 s. 3. A payload length of 0 in front of a jumbogram (RFC 2675) is not understood: no
 * link of ours carries one. */
static enum err read_ip6(struct rd r, size_t len, struct tunnel_inner *ret)
{
	size_t total_len;
	const uint8_t *source, *destination;
	struct tunnel_inner inner = {.kind = TUNNEL_INNER_IP6};

	rd_skip(&r, 4);
	total_len = TUNNEL_INNER_IP6_MIN_BYTES + (size_t)rd_u16be(&r);
	rd_skip(&r, 2);
	source = rd_bytes(&r, 16);
	destination = rd_bytes(&r, 16);
	if (!rd_ok(&r) || total_len > len)
		return DROP_TRUNCATED;
	inner.source = netaddr_from_ip6(source, 0);
	inner.destination = netaddr_from_ip6(destination, 0);
	inner.len = total_len;
	if (inner.source.family != NETADDR_IP6 || inner.destination.family != NETADDR_IP6)
		return DROP_MALFORMED;
	*ret = inner;
	return OK;
}

enum err tunnel_inner_read(const uint8_t *buf, size_t len, struct tunnel_inner *ret)
{
	if (len == 0)
		return DROP_TRUNCATED;
	switch (buf[0] >> 4) {
	case 0:
		*ret = (struct tunnel_inner){.kind = TUNNEL_INNER_CONTROL, .len = len};
		return OK;
	case 4:
		return read_ip4(rd_init(buf, len), len, ret);
	case 6:
		return read_ip6(rd_init(buf, len), len, ret);
	}
	return DROP_UNKNOWN_TYPE;
}
