#include "daemon/core/stun/writer.h"

#include "daemon/core/stun/fingerprint.h"
#include "daemon/core/stun/integrity.h"

void stun_write_begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class class,
		      uint16_t method, const uint8_t txid[static STUN_TXID_BYTES])
{
	unsigned int type = (method & 0x000fu) | (method & 0x0070u) << 1 | (method & 0x0f80u) << 2 |
			    ((unsigned int)class & 1) << 4 | ((unsigned int)class & 2) << 7;

	w->wr = wr_init(buf, cap < UINT16_MAX ? cap : UINT16_MAX);
	w->invalid = method > 0x0fff;
	memcpy(w->txid, txid, sizeof(w->txid));
	wr_u16be(&w->wr, (uint16_t)type);
	wr_u16be(&w->wr, 0);
	wr_u32be(&w->wr, STUN_COOKIE);
	wr_bytes(&w->wr, txid, STUN_TXID_BYTES);
}

static bool fail(struct stun_writer *w)
{
	w->invalid = true;
	w->wr.failed = true;
	return false;
}

/* Writes type and length. Return: false when the value has no place in this message. */
static bool begin(struct stun_writer *w, enum stun_attribute attribute, size_t len)
{
	const struct stun_attribute_row *row = stun_attribute_row(attribute);

	if (len < row->min_bytes || len > row->max_bytes)
		return fail(w);
	wr_u16be(&w->wr, row->type);
	wr_u16be(&w->wr, (uint16_t)len);
	return wr_ok(&w->wr);
}

/* Pads to the next multiple of four: the header is 20 bytes, so offsets count from the start. */
static void pad(struct stun_writer *w)
{
	wr_zero(&w->wr, (4 - wr_len(&w->wr) % 4) % 4);
}

static size_t number_bytes(enum stun_codec codec)
{
	switch (codec) {
	case STUN_CODEC_U8:
		return 1;
	case STUN_CODEC_U16:
		return 2;
	case STUN_CODEC_U32:
		return 4;
	case STUN_CODEC_U64:
		return 8;
	case STUN_CODEC_BYTES:
	case STUN_CODEC_FLAG:
	case STUN_CODEC_ADDRESS:
	case STUN_CODEC_XOR_ADDRESS:
	case STUN_CODEC_ERROR:
	case STUN_CODEC_TYPES:
	case STUN_CODEC_POSITION:
		break;
	}
	return 0;
}

void stun_write_number(struct stun_writer *w, enum stun_attribute attribute, uint64_t value)
{
	const struct stun_attribute_row *row = stun_attribute_row(attribute);
	size_t n = number_bytes(row->codec);

	if (n == 0 || (n < 8 && value >> (8 * n) != 0)) {
		fail(w);
		return;
	}
	if (!begin(w, attribute, row->max_bytes))
		return;
	for (size_t i = n; i-- > 0;)
		wr_u8(&w->wr, (uint8_t)(value >> (8 * i)));
	wr_zero(&w->wr, row->max_bytes - n);
	pad(w);
}

void stun_write_flag(struct stun_writer *w, enum stun_attribute attribute)
{
	if (stun_attribute_row(attribute)->codec != STUN_CODEC_FLAG)
		fail(w);
	else
		begin(w, attribute, 0);
}

void stun_write_bytes(struct stun_writer *w, enum stun_attribute attribute, const void *p,
		      size_t len)
{
	if (stun_attribute_row(attribute)->codec != STUN_CODEC_BYTES) {
		fail(w);
		return;
	}
	if (!begin(w, attribute, len))
		return;
	wr_bytes(&w->wr, p, len);
	pad(w);
}

void stun_write_address(struct stun_writer *w, enum stun_attribute attribute,
			const struct netaddr *address)
{
	enum stun_codec codec = stun_attribute_row(attribute)->codec;
	bool xored = codec == STUN_CODEC_XOR_ADDRESS;
	size_t ip_len = netaddr_ip_bytes(address);
	uint8_t mask[16] = {0};

	if ((!xored && codec != STUN_CODEC_ADDRESS) || ip_len == 0) {
		fail(w);
		return;
	}
	if (xored) {
		struct wr cookie = wr_init(mask, sizeof(mask));

		wr_u32be(&cookie, STUN_COOKIE);
		wr_bytes(&cookie, w->txid, sizeof(w->txid));
	}
	if (!begin(w, attribute, 4 + ip_len))
		return;
	wr_u8(&w->wr, 0);
	wr_u8(&w->wr, ip_len == 4 ? 1 : 2);
	wr_u8(&w->wr, (uint8_t)(address->port >> 8 ^ mask[0]));
	wr_u8(&w->wr, (uint8_t)(address->port ^ mask[1]));
	for (size_t i = 0; i < ip_len; i++)
		wr_u8(&w->wr, address->ip[i] ^ mask[i]);
}

void stun_write_username(struct stun_writer *w, const char *first, const char *second)
{
	size_t first_len = strlen(first);
	size_t second_len = strlen(second);

	if (!begin(w, STUN_USERNAME, first_len + 1 + second_len))
		return;
	wr_bytes(&w->wr, first, first_len);
	wr_u8(&w->wr, ':');
	wr_bytes(&w->wr, second, second_len);
	pad(w);
}

void stun_write_error(struct stun_writer *w, uint16_t code)
{
	const char *reason = stun_error_reason(code);
	size_t reason_len = strlen(reason);

	if (code < 300 || code > 699) {
		fail(w);
		return;
	}
	if (!begin(w, STUN_ERROR_CODE, 4 + reason_len))
		return;
	wr_u16be(&w->wr, 0);
	wr_u8(&w->wr, (uint8_t)(code / 100));
	wr_u8(&w->wr, (uint8_t)(code % 100));
	wr_bytes(&w->wr, reason, reason_len);
	pad(w);
}

void stun_write_unknown(struct stun_writer *w, const struct stun_types *types)
{
	if (!begin(w, STUN_UNKNOWN_ATTRIBUTES, 2 * types->count))
		return;
	for (size_t i = 0; i < types->count; i++)
		wr_u16be(&w->wr, types->type[i]);
	pad(w);
}

/* Sets the length field as if @more bytes followed what is written. */
static void set_length(struct stun_writer *w, size_t more)
{
	size_t length = wr_len(&w->wr) + more - STUN_HEADER_BYTES;

	if (length > UINT16_MAX)
		w->wr.failed = true;
	wr_patch_u16be(&w->wr, 2, (uint16_t)length);
}

static enum err finish(struct stun_writer *w, enum stun_integrity kind, const void *key,
		       size_t key_len, bool fingerprint, size_t *ret_len)
{
	bool sha1 = kind == STUN_INTEGRITY_SHA1;
	size_t code_len = sha1 ? SHA1_BYTES : SHA256_BYTES;
	uint8_t code[STUN_INTEGRITY_MAX_BYTES];
	enum err e;

	if (key && wr_ok(&w->wr)) {
		e = stun_integrity(kind, w->wr.start, wr_len(&w->wr), code_len, key, key_len, code);
		if (e != OK)
			return e;
		begin(w, sha1 ? STUN_MESSAGE_INTEGRITY : STUN_MESSAGE_INTEGRITY_SHA256, code_len);
		wr_bytes(&w->wr, code, code_len);
	}
	if (wr_ok(&w->wr))
		set_length(w, fingerprint ? STUN_FINGERPRINT_BYTES : 0);
	if (fingerprint && wr_ok(&w->wr)) {
		uint32_t crc = stun_fingerprint(w->wr.start, wr_len(&w->wr));

		begin(w, STUN_FINGERPRINT, sizeof(crc));
		wr_u32be(&w->wr, crc);
	}
	if (w->invalid)
		return ERR_INVALID;
	if (!wr_ok(&w->wr))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w->wr);
	return OK;
}

enum err stun_write_finish(struct stun_writer *w, const void *key, size_t key_len, bool fingerprint,
			   size_t *ret_len)
{
	return finish(w, STUN_INTEGRITY_SHA1, key, key_len, fingerprint, ret_len);
}

enum err stun_write_finish_sha256(struct stun_writer *w, const void *key, size_t key_len,
				  bool fingerprint, size_t *ret_len)
{
	return finish(w, STUN_INTEGRITY_SHA256, key, key_len, fingerprint, ret_len);
}
