#include "daemon/core/stun/message.h"

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/stun/fingerprint.h"
#include "daemon/core/stun/integrity.h"

#define FAMILY_IP4 1
#define FAMILY_IP6 2

bool stun_is_message(const uint8_t *buf, size_t len)
{
	struct rd r = rd_init(buf, len);
	uint16_t type = rd_u16be(&r);
	uint16_t length = rd_u16be(&r);
	uint32_t cookie = rd_u32be(&r);

	return len >= STUN_HEADER_BYTES && (type & 0xc000) == 0 && cookie == STUN_COOKIE &&
	       length % 4 == 0 && length == len - STUN_HEADER_BYTES;
}

static bool read_address(struct rd *r, const struct stun_message *m, bool xored,
			 struct netaddr *ret)
{
	const uint8_t *cookie = m->buf + 4; /* the transaction id stands behind it */
	uint8_t ip[16];
	uint8_t family;
	uint16_t port;
	size_t ip_len;

	rd_skip(r, 1);
	family = rd_u8(r);
	port = rd_u16be(r);
	ip_len = family == FAMILY_IP4 ? 4 : family == FAMILY_IP6 ? 16 : 0;
	if (ip_len == 0 || !rd_copy(r, ip, ip_len) || !rd_at_end(r))
		return false;
	if (xored) {
		port ^= STUN_COOKIE >> 16;
		for (size_t i = 0; i < ip_len; i++)
			ip[i] ^= cookie[i];
	}
	*ret = family == FAMILY_IP4 ? netaddr_from_ip4(ip, port) : netaddr_from_ip6(ip, port);
	return true;
}

static struct stun_bytes read_rest(struct rd *r)
{
	uint16_t len = (uint16_t)rd_left(r);

	return (struct stun_bytes){.p = rd_bytes(r, len), .len = len};
}

static bool read_error(struct rd *r, struct stun_error *ret)
{
	struct stun_error e = {0};
	uint8_t class, number;

	e.family = rd_u8(r);
	rd_skip(r, 1);
	class = rd_u8(r) & 7;
	number = rd_u8(r);
	e.code = (uint16_t)(class * 100 + number);
	e.reason = read_rest(r);
	if (!rd_ok(r) || class < 3 || class > 6 || number > 99)
		return false;
	*ret = e;
	return true;
}

static void types_add(struct stun_types *types, uint16_t type)
{
	if (types->count < ARRAY_SIZE(types->type))
		types->type[types->count++] = type;
}

static bool read_types(struct rd *r, struct stun_types *ret)
{
	if (rd_left(r) % 2 != 0)
		return false;
	while (rd_left(r) > 0)
		types_add(ret, rd_u16be(r));
	return rd_ok(r);
}

/* Reads the value @r of an attribute whose length is within its row's bounds into its field. */
static bool read_value(struct stun_message *m, const struct stun_attribute_row *row, struct rd *r)
{
	void *field = (uint8_t *)m + row->field_offset;

	switch (row->codec) {
	case STUN_CODEC_BYTES:
		*(struct stun_bytes *)field = read_rest(r);
		return rd_ok(r);
	case STUN_CODEC_FLAG:
		return true;
	case STUN_CODEC_U8:
		*(uint8_t *)field = rd_u8(r);
		return rd_ok(r);
	case STUN_CODEC_U16:
		*(uint16_t *)field = rd_u16be(r);
		return rd_ok(r);
	case STUN_CODEC_U32:
		*(uint32_t *)field = rd_u32be(r);
		return rd_ok(r);
	case STUN_CODEC_U64:
		*(uint64_t *)field = rd_u64be(r);
		return rd_ok(r);
	case STUN_CODEC_ADDRESS:
		return read_address(r, m, false, field);
	case STUN_CODEC_XOR_ADDRESS:
		return read_address(r, m, true, field);
	case STUN_CODEC_ERROR:
		return read_error(r, field);
	case STUN_CODEC_TYPES:
		return read_types(r, field);
	case STUN_CODEC_POSITION:
		*(uint32_t *)field = (uint32_t)(r->p - m->buf - 4);
		return rd_left(r) % 4 == 0;
	}
	return false;
}

/* Attributes behind an integrity attribute that anyone on the path could have appended. */
static bool is_unprotected(const struct stun_message *m, enum stun_attribute attribute)
{
	if (attribute == STUN_FINGERPRINT)
		return false;
	if (stun_has(m, STUN_MESSAGE_INTEGRITY_SHA256))
		return true;
	return stun_has(m, STUN_MESSAGE_INTEGRITY) && attribute != STUN_MESSAGE_INTEGRITY_SHA256;
}

static enum err read_attribute(struct stun_message *m, struct rd *r)
{
	uint16_t type = rd_u16be(r);
	uint16_t len = rd_u16be(r);
	struct rd value = rd_sub(r, len);
	enum stun_attribute attribute = stun_attribute_find(type);
	const struct stun_attribute_row *row;

	rd_skip(r, (4u - len % 4u) % 4u);
	if (!rd_ok(r))
		return DROP_TRUNCATED;
	if (is_unprotected(m, attribute))
		return OK;
	if (attribute == STUN_ATTRIBUTE_COUNT) {
		if (type < 0x8000)
			types_add(&m->unknown, type);
		return OK;
	}
	if (stun_has(m, attribute))
		return OK;
	row = stun_attribute_row(attribute);
	if (len < row->min_bytes || len > row->max_bytes || !read_value(m, row, &value))
		return DROP_MALFORMED;
	m->present |= 1ULL << attribute;
	return OK;
}

static enum err check_fingerprint(const struct stun_message *m)
{
	struct rd r = rd_init(m->buf, m->len);

	if (!stun_has(m, STUN_FINGERPRINT))
		return OK;
	if (m->fingerprint_offset != m->len - STUN_FINGERPRINT_BYTES)
		return DROP_MALFORMED;
	rd_skip(&r, m->fingerprint_offset + 4);
	return rd_u32be(&r) == stun_fingerprint(m->buf, m->fingerprint_offset) ? OK
									       : DROP_FINGERPRINT;
}

static enum err decode(struct stun_message *m)
{
	struct rd r = rd_init(m->buf, m->len);
	uint16_t type = rd_u16be(&r);

	m->class = (enum stun_class)((type >> 7 & 2) | (type >> 4 & 1));
	m->method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
	rd_skip(&r, 6);
	rd_copy(&r, m->txid, sizeof(m->txid));
	for (size_t count = 0; rd_left(&r) > 0; count++) {
		enum err e = count < STUN_MAX_ATTRIBUTES ? read_attribute(m, &r) : DROP_MALFORMED;

		if (e != OK)
			return e;
	}
	return check_fingerprint(m);
}

enum err stun_decode(struct stun_message *ret, const uint8_t *buf, size_t len)
{
	struct stun_message m = {.buf = buf, .len = len};
	enum err e;

	*ret = (struct stun_message){0};
	if (len < STUN_HEADER_BYTES)
		return DROP_TRUNCATED;
	if (!stun_is_message(buf, len))
		return DROP_MALFORMED;
	e = decode(&m);
	if (e == OK)
		*ret = m;
	return e;
}

bool stun_find_address(const struct stun_message *m, enum stun_attribute attribute, size_t n,
		       struct netaddr *ret)
{
	const struct stun_attribute_row *row = stun_attribute_row(attribute);
	bool xored = row->codec == STUN_CODEC_XOR_ADDRESS;
	size_t end = stun_has(m, STUN_MESSAGE_INTEGRITY)	  ? m->integrity_offset
		     : stun_has(m, STUN_MESSAGE_INTEGRITY_SHA256) ? m->integrity_sha256_offset
								  : m->len;
	struct rd r = rd_init(m->buf, end);

	if (!xored && row->codec != STUN_CODEC_ADDRESS)
		return false;
	rd_skip(&r, STUN_HEADER_BYTES);
	while (rd_left(&r) > 0) {
		uint16_t type = rd_u16be(&r);
		uint16_t len = rd_u16be(&r);
		struct rd value = rd_sub(&r, len);

		rd_skip(&r, (4u - len % 4u) % 4u);
		if (!rd_ok(&r))
			return false;
		if (type == row->type && n-- == 0)
			return read_address(&value, m, xored, ret);
	}
	return false;
}

/* @offset: where the integrity attribute of @kind stands. */
static enum err check(const struct stun_message *m, size_t offset, enum stun_integrity kind,
		      const void *key, size_t key_len)
{
	struct rd r = rd_init(m->buf, m->len);
	uint8_t code[STUN_INTEGRITY_MAX_BYTES];
	const uint8_t *value;
	uint16_t value_len;
	enum err e;

	rd_skip(&r, offset + 2);
	value_len = rd_u16be(&r);
	value = rd_bytes(&r, value_len);
	e = stun_integrity(kind, m->buf, offset, value_len, key, key_len, code);
	if (e != OK)
		return e;
	return value && secret_equal(value, code, value_len) ? OK : DROP_INTEGRITY;
}

enum err stun_check_integrity_sha256(const struct stun_message *m, const void *key, size_t key_len)
{
	if (!stun_has(m, STUN_MESSAGE_INTEGRITY_SHA256))
		return DROP_INTEGRITY;
	return check(m, m->integrity_sha256_offset, STUN_INTEGRITY_SHA256, key, key_len);
}

enum err stun_check_integrity(const struct stun_message *m, const void *key, size_t key_len)
{
	enum err e;

	if (!stun_has(m, STUN_MESSAGE_INTEGRITY))
		return DROP_INTEGRITY;
	e = check(m, m->integrity_offset, STUN_INTEGRITY_SHA1, key, key_len);
	if (e == OK && stun_has(m, STUN_MESSAGE_INTEGRITY_SHA256))
		e = stun_check_integrity_sha256(m, key, key_len);
	return e;
}

const char *stun_error_reason(uint16_t code)
{
	static const struct {
		uint16_t code;
		const char *reason;
	} reasons[] = {
		{STUN_ERROR_TRY_ALTERNATE, "Try Alternate"},
		{STUN_ERROR_BAD_REQUEST, "Bad Request"},
		{STUN_ERROR_UNAUTHENTICATED, "Unauthenticated"},
		{STUN_ERROR_FORBIDDEN, "Forbidden"},
		{STUN_ERROR_UNKNOWN_ATTRIBUTE, "Unknown Attribute"},
		{STUN_ERROR_ALLOCATION_MISMATCH, "Allocation Mismatch"},
		{STUN_ERROR_STALE_NONCE, "Stale Nonce"},
		{STUN_ERROR_FAMILY_NOT_SUPPORTED, "Address Family not Supported"},
		{STUN_ERROR_WRONG_CREDENTIALS, "Wrong Credentials"},
		{STUN_ERROR_TRANSPORT_NOT_SUPPORTED, "Unsupported Transport Protocol"},
		{STUN_ERROR_PEER_FAMILY_MISMATCH, "Peer Address Family Mismatch"},
		{STUN_ERROR_QUOTA_REACHED, "Allocation Quota Reached"},
		{STUN_ERROR_ROLE_CONFLICT, "Role Conflict"},
		{STUN_ERROR_SERVER_ERROR, "Server Error"},
		{STUN_ERROR_INSUFFICIENT_CAPACITY, "Insufficient Capacity"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].code == code)
			return reasons[i].reason;
	return "Error";
}
