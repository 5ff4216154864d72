/* Packets to and from peers (RFC 8656 s. 11, 12). */
#include "daemon/core/base/cursor.h"
#include "daemon/core/turn/private.h"

enum err turn_data_on_channel(const struct turn_allocation *a, const uint8_t *buf, size_t len,
			      struct turn_data *ret)
{
	struct rd r = rd_init(buf, len);
	uint16_t number = rd_u16be(&r);
	uint16_t data_len = rd_u16be(&r);
	const struct turn_channel *c;

	/* Behind the data only padding to four bytes (s. 12.5). */
	if (!rd_ok(&r) || data_len > rd_left(&r))
		return DROP_TRUNCATED;
	if (rd_left(&r) - data_len > 3)
		return DROP_MALFORMED;
	c = turn_channel_of(a, number);
	if (!c || !turn_allocation_is_usable(a))
		return DROP_STATE;
	*ret = (struct turn_data){
		.kind = TURN_DATA_BYTES,
		.peer = c->peer,
		.bytes = rd_bytes(&r, data_len),
		.len = data_len,
	};
	return OK;
}

static void read_icmp(const struct stun_message *m, struct turn_data *ret)
{
	struct rd r = rd_init(m->icmp.p, m->icmp.len);

	ret->kind = TURN_DATA_ICMP;
	rd_skip(&r, 2);
	ret->icmp_type = rd_u8(&r);
	ret->icmp_code = rd_u8(&r);
	ret->icmp_data = rd_u32be(&r);
}

enum err turn_data_on_indication(const struct turn_allocation *a, const struct stun_message *m,
				 struct turn_data *ret)
{
	if (m->method != STUN_METHOD_DATA)
		return DROP_UNKNOWN_TYPE;
	if (!stun_has(m, STUN_XOR_PEER_ADDRESS) ||
	    (!stun_has(m, STUN_DATA) && !stun_has(m, STUN_ICMP)) || m->unknown.count)
		return DROP_MALFORMED;
	if (!turn_allocation_is_usable(a) || !turn_permission_find(a, &m->xor_peer_address))
		return DROP_STATE;
	ret->peer = m->xor_peer_address;
	if (!stun_has(m, STUN_DATA)) {
		read_icmp(m, ret);
		return OK;
	}
	ret->kind = TURN_DATA_BYTES;
	ret->bytes = m->data.p;
	ret->len = m->data.len;
	return OK;
}

static enum err wrap_channel(const struct turn_allocation *a, uint16_t number, const uint8_t *in,
			     size_t len, uint8_t *out, size_t cap, size_t *ret_len)
{
	size_t padding = a->stream ? (4 - len % 4) % 4 : 0;
	struct wr w;

	if (len > UINT16_MAX || cap < TURN_CHANNEL_HEADER_BYTES ||
	    len + padding > cap - TURN_CHANNEL_HEADER_BYTES)
		return ERR_NO_SPACE;
	w = wr_init(out, cap);
	wr_u16be(&w, number);
	wr_u16be(&w, (uint16_t)len);
	if (in != out + TURN_CHANNEL_HEADER_BYTES)
		wr_bytes(&w, in, len);
	else
		(void)wr_reserve(&w, len);
	wr_zero(&w, padding);
	*ret_len = wr_len(&w);
	return OK;
}

enum err turn_allocation_wrap(struct turn_allocation *a, uint64_t now_us,
			      const struct netaddr *peer, const uint8_t *in, size_t len,
			      uint8_t *out, size_t cap, size_t *ret_len)
{
	uint8_t txid[STUN_TXID_BYTES];
	struct stun_writer w;
	uint16_t number;

	if (!turn_allocation_is_usable(a))
		return ERR_WRONG_STATE;
	number = turn_allocation_channel(a, now_us, peer);
	if (number != TURN_NO_CHANNEL)
		return wrap_channel(a, number, in, len, out, cap, ret_len);
	if (!turn_permission_find(a, peer))
		return ERR_NOT_FOUND;
	random_bytes(&a->random, txid, sizeof(txid));
	stun_write_begin(&w, out, cap, STUN_CLASS_INDICATION, STUN_METHOD_SEND, txid);
	stun_write_address(&w, STUN_XOR_PEER_ADDRESS, peer);
	stun_write_bytes(&w, STUN_DATA, in, len);
	return stun_write_finish(&w, NULL, 0, false, ret_len) == OK ? OK : ERR_NO_SPACE;
}

bool turn_allocation_wants(const struct turn_allocation *a, const uint8_t *buf, size_t len)
{
	struct stun_message m;

	if (len > 0 && buf[0] >= TURN_CHANNEL_MIN >> 8 && buf[0] <= TURN_CHANNEL_MAX >> 8)
		return true;
	if (!stun_is_message(buf, len))
		return false;
	/* What cannot be read is nobody's, so it may be ours. */
	return stun_decode(&m, buf, len) != OK || turn_allocation_expects(a, m.txid) ||
	       (m.class == STUN_CLASS_INDICATION && m.method == STUN_METHOD_DATA);
}
