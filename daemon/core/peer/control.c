#include "daemon/core/peer/control.h"

#include "daemon/core/base/cursor.h"

bool control_shows_use(const struct control_message *m)
{
	return m->type != CONTROL_CANDIDATES &&
	       (m->type != CONTROL_PING || m->id != CONTROL_PATH_PING);
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
	if (m.type < CONTROL_PING || m.type > CONTROL_PROBED)
		return DROP_UNKNOWN_TYPE;
	if (!rd_at_end(&r))
		return DROP_MALFORMED;
	*ret = m;
	return OK;
}
