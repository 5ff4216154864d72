#include "daemon/core/peer/control.h"

#include <string.h>

#include "daemon/core/base/cursor.h"

bool control_shows_use(const struct control_message *m)
{
	return m->type != CONTROL_CANDIDATES &&
	       (m->type != CONTROL_PING || m->id != CONTROL_PATH_PING);
}

static size_t ip_bytes(uint8_t family)
{
	return family == NETADDR_IP4 ? 4 : 16;
}

static void write_address(struct wr *w, const struct netaddr *a)
{
	wr_u8(w, a->family == NETADDR_IP4 ? 4 : 6);
	wr_u16be(w, a->port);
	wr_bytes(w, a->ip, ip_bytes(a->family));
}

/* Return: false for a family that there is not. */
static bool read_address(struct rd *r, struct netaddr *ret)
{
	uint8_t version = rd_u8(r);
	const uint8_t *ip;

	if (rd_ok(r) && version != 4 && version != 6)
		return false;
	ret->family = version == 4 ? NETADDR_IP4 : NETADDR_IP6;
	ret->port = rd_u16be(r);
	ip = rd_bytes(r, ip_bytes(ret->family));
	if (ip)
		memcpy(ret->ip, ip, ip_bytes(ret->family));
	return true;
}

enum err control_encode(const struct control_message *m, uint8_t *out, size_t cap, size_t *ret_len)
{
	struct wr w = wr_init(out, cap);

	wr_u8(&w, (uint8_t)m->type);
	switch (m->type) {
	case CONTROL_PING:
	case CONTROL_PONG:
		wr_u64be(&w, m->id);
		break;
	case CONTROL_PROBE:
		wr_u32be(&w, m->number);
		if (m->size > CONTROL_PROBE_MIN_BYTES)
			wr_zero(&w, (size_t)m->size - CONTROL_PROBE_MIN_BYTES);
		break;
	case CONTROL_PROBED:
		wr_u32be(&w, m->number);
		wr_u16be(&w, m->size);
		break;
	case CONTROL_MOVED:
		wr_u32be(&w, m->number);
		write_address(&w, &m->sender);
		write_address(&w, &m->reader);
		break;
	case CONTROL_HELLO:
	case CONTROL_CLOSE:
		break;
	case CONTROL_OFFER:
	case CONTROL_ANSWER:
	case CONTROL_CANDIDATES:
	case CONTROL_RESTART_OFFER:
	case CONTROL_RESTART_ANSWER:
		wr_bytes(&w, m->body, m->body_len);
		break;
	}
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

enum err control_decode(const uint8_t *buf, size_t len, struct control_message *ret)
{
	struct rd r = rd_init(buf, len);
	struct control_message m = {.type = (enum control_type)rd_u8(&r)};

	switch (m.type) {
	case CONTROL_PING:
	case CONTROL_PONG:
		m.id = rd_u64be(&r);
		break;
	case CONTROL_PROBE:
		m.number = rd_u32be(&r);
		m.size = (uint16_t)(len < UINT16_MAX ? len : UINT16_MAX);
		(void)rd_bytes(&r, rd_left(&r));
		break;
	case CONTROL_PROBED:
		m.number = rd_u32be(&r);
		m.size = rd_u16be(&r);
		break;
	case CONTROL_MOVED:
		m.number = rd_u32be(&r);
		if (!read_address(&r, &m.sender) || !read_address(&r, &m.reader))
			return DROP_MALFORMED;
		break;
	case CONTROL_HELLO:
	case CONTROL_CLOSE:
		break;
	case CONTROL_OFFER:
	case CONTROL_ANSWER:
	case CONTROL_CANDIDATES:
	case CONTROL_RESTART_OFFER:
	case CONTROL_RESTART_ANSWER:
		m.body_len = rd_left(&r);
		m.body = rd_bytes(&r, m.body_len);
		break;
	}
	if (!rd_ok(&r))
		return DROP_TRUNCATED;
	if (m.type < CONTROL_PING || m.type > CONTROL_MOVED)
		return DROP_UNKNOWN_TYPE;
	if (!rd_at_end(&r))
		return DROP_MALFORMED;
	*ret = m;
	return OK;
}
