#include "daemon/core/signal/message.h"

#include <assert.h>

#include "daemon/core/cbor/address.h"

enum kind {
	KIND_UINT8,
	KIND_UINT32,
	KIND_UINT64,
	KIND_BOOL,
	KIND_FIXED, /* a byte string of exactly `max` bytes */
	KIND_BYTES, /* a byte string of 1..max bytes, referred to in the buffer */
	KIND_NAME,  /* an identifier */
	KIND_TEXT,  /* at most max - 1 characters, copied */
	KIND_ADDRESS,
	KIND_CODE, /* enum signal_error */
	KIND_SERVERS,
};

/* X(field, key on the wire, kind, limit). The keys are never reused; the order is that of the
 * wire. */
#define FIELD_TABLE(X)                                                                             \
	X(xid, 2, KIND_FIXED, SIGNAL_XID_BYTES)                                                    \
	X(to, 3, KIND_NAME, 0)                                                                     \
	X(from, 4, KIND_NAME, 0)                                                                   \
	X(kind, 5, KIND_UINT8, 0)                                                                  \
	X(body, 6, KIND_BYTES, SIGNAL_BODY_MAX_BYTES)                                              \
	X(certificate, 7, KIND_BYTES, CERT_MAX_BYTES)                                              \
	X(nonce, 8, KIND_FIXED, SIGNAL_NONCE_BYTES)                                                \
	X(server_time_s, 9, KIND_UINT64, 0)                                                        \
	X(epoch, 10, KIND_UINT64, 0)                                                               \
	X(lease_ms, 11, KIND_UINT32, 0)                                                            \
	X(ping_ms, 12, KIND_UINT32, 0)                                                             \
	X(servers, 13, KIND_SERVERS, SIGNAL_MAX_SERVERS)                                           \
	X(revocation, 14, KIND_BYTES, REVOCATION_MAX_BYTES)                                        \
	X(seq, 15, KIND_UINT64, 0)                                                                 \
	X(name, 16, KIND_NAME, 0)                                                                  \
	X(address, 17, KIND_ADDRESS, 0)                                                            \
	X(online, 18, KIND_BOOL, 0)                                                                \
	X(code, 19, KIND_CODE, 0)                                                                  \
	X(retry_ms, 20, KIND_UINT32, 0)                                                            \
	X(detail, 21, KIND_TEXT, SIGNAL_ERROR_DETAIL_BYTES)                                        \
	X(secret, 22, KIND_FIXED, TOKEN_SECRET_BYTES)                                              \
	X(noise_public, 23, KIND_FIXED, DH_BYTES)                                                  \
	X(curve_public, 24, KIND_FIXED, DH_BYTES)

/* Bit f_xid stands for the field xid, and so on. */
enum field_bit {
#define X(field, key, kind, limit) f_##field = 1 << (key - 2),
	FIELD_TABLE(X)
#undef X
};

struct field {
	uint8_t key;
	enum kind kind;
	uint32_t bit;
	size_t offset;
	size_t max;
};

static const struct field fields[] = {
#define X(field_, key_, kind_, limit_)                                                             \
	{.key = key_,                                                                              \
	 .kind = kind_,                                                                            \
	 .bit = f_##field_,                                                                        \
	 .offset = offsetof(struct signal_message, field_),                                        \
	 .max = limit_},
	FIELD_TABLE(X)
#undef X
};

/* Which fields a message of each type has, and may have. */
static const struct {
	uint32_t required;
	uint32_t optional;
} types[SIGNAL_TYPE_COUNT] = {
	[SIGNAL_CHALLENGE] = {f_nonce | f_server_time_s, 0},
	[SIGNAL_REGISTER] = {f_nonce | f_epoch | f_certificate, f_lease_ms},
	[SIGNAL_REGISTERED] = {f_lease_ms | f_ping_ms, f_servers | f_revocation},
	[SIGNAL_PING] = {f_seq, 0},
	[SIGNAL_PONG] = {f_seq, 0},
	[SIGNAL_LOOKUP] = {f_xid, f_name | f_address},
	[SIGNAL_FOUND] = {f_xid | f_certificate | f_online, 0},
	[SIGNAL_FORWARD] = {f_xid | f_to | f_kind | f_body, 0},
	[SIGNAL_DELIVER] = {f_xid | f_from | f_kind | f_body, 0},
	[SIGNAL_ACK] = {f_xid, 0},
	[SIGNAL_ERROR] = {f_code, f_xid | f_retry_ms | f_detail},
	[SIGNAL_WATCH] = {0, f_name},
	[SIGNAL_PRESENCE] = {f_name | f_online, f_certificate},
	[SIGNAL_JOIN] = {f_xid | f_secret | f_name | f_noise_public | f_curve_public, 0},
	[SIGNAL_JOINED] = {f_xid | f_certificate, 0},
	[SIGNAL_BYE] = {0, 0},
};

enum {
	KEY_VERSION = 0,
	KEY_TYPE = 1,
};

enum server_key {
	SERVER_URI = 1,
	SERVER_USERNAME = 2,
	SERVER_CREDENTIAL = 3,
	SERVER_LIFETIME = 4,
};

/* A byte string with its length, as body, certificate and revocation stand in the structure. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

#define HAS_BYTES_LAYOUT(field)                                                                    \
	(offsetof(struct signal_message, field##_len) ==                                           \
	 offsetof(struct signal_message, field) + offsetof(struct bytes, len))

static_assert(HAS_BYTES_LAYOUT(body) && HAS_BYTES_LAYOUT(certificate) &&
		      HAS_BYTES_LAYOUT(revocation),
	      "each byte string is followed by its length");

static const void *field_at(const struct signal_message *m, const struct field *f)
{
	return (const uint8_t *)m + f->offset;
}

static void *field_of(struct signal_message *m, const struct field *f)
{
	return (uint8_t *)m + f->offset;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static bool is_text(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);

	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return len < cap;
}

/* The field is zero, empty or NULL. */
static bool is_absent(const struct signal_message *m, const struct field *f)
{
	const void *at = field_at(m, f);

	switch (f->kind) {
	case KIND_UINT8:
		return *(const uint8_t *)at == 0;
	case KIND_UINT32:
		return *(const uint32_t *)at == 0;
	case KIND_UINT64:
		return *(const uint64_t *)at == 0;
	case KIND_BOOL:
		return !*(const bool *)at;
	case KIND_FIXED:
		return is_zero(at, f->max);
	case KIND_BYTES:
		return ((const struct bytes *)at)->len == 0;
	case KIND_NAME:
	case KIND_TEXT:
		return *(const char *)at == '\0';
	case KIND_ADDRESS:
		return m->address.family == NETADDR_NONE;
	case KIND_CODE:
		return m->code == SIGNAL_ERROR_OTHER;
	case KIND_SERVERS:
		return m->server_count == 0;
	}
	return true;
}

static bool is_server(const struct signal_server *s)
{
	return s->uri[0] && is_text(s->uri, sizeof(s->uri)) &&
	       is_text(s->username, sizeof(s->username)) &&
	       is_text(s->credential, sizeof(s->credential));
}

/* The field holds something that may be written. */
static bool is_writable(const struct signal_message *m, const struct field *f)
{
	const struct bytes *bytes = field_at(m, f);

	switch (f->kind) {
	case KIND_UINT8: /* the kind of a body, from 1 */
		return !is_absent(m, f);
	case KIND_UINT32:
	case KIND_UINT64:
	case KIND_BOOL:
	case KIND_FIXED:
		return true;
	case KIND_BYTES:
		return bytes->data && bytes->len >= 1 && bytes->len <= f->max;
	case KIND_NAME:
		return identifier_is_valid(field_at(m, f));
	case KIND_TEXT:
		return is_text(field_at(m, f), f->max);
	case KIND_ADDRESS:
		return netaddr_ip_bytes(&m->address) > 0;
	case KIND_CODE:
		return m->code > SIGNAL_ERROR_OTHER && m->code < SIGNAL_ERROR_COUNT;
	case KIND_SERVERS:
		if (m->server_count > f->max)
			return false;
		for (size_t i = 0; i < m->server_count; i++) {
			if (!is_server(&m->servers[i]))
				return false;
		}
		return true;
	}
	return false;
}

static void write_server(struct wr *w, const struct signal_server *s)
{
	item_wr_map(w, (size_t)1 + (s->username[0] != '\0') + (s->credential[0] != '\0') +
			       (s->lifetime_s != 0));
	item_wr_uint(w, SERVER_URI);
	item_wr_text(w, s->uri);
	if (s->username[0]) {
		item_wr_uint(w, SERVER_USERNAME);
		item_wr_text(w, s->username);
	}
	if (s->credential[0]) {
		item_wr_uint(w, SERVER_CREDENTIAL);
		item_wr_text(w, s->credential);
	}
	if (s->lifetime_s) {
		item_wr_uint(w, SERVER_LIFETIME);
		item_wr_uint(w, s->lifetime_s);
	}
}

static void write_field(struct wr *w, const struct signal_message *m, const struct field *f)
{
	const void *at = field_at(m, f);
	const struct bytes *bytes = at;

	item_wr_uint(w, f->key);
	switch (f->kind) {
	case KIND_UINT8:
		item_wr_uint(w, *(const uint8_t *)at);
		break;
	case KIND_UINT32:
		item_wr_uint(w, *(const uint32_t *)at);
		break;
	case KIND_UINT64:
		item_wr_uint(w, *(const uint64_t *)at);
		break;
	case KIND_BOOL:
		item_wr_bool(w, *(const bool *)at);
		break;
	case KIND_FIXED:
		item_wr_bytes(w, at, f->max);
		break;
	case KIND_BYTES:
		item_wr_bytes(w, bytes->data, bytes->len);
		break;
	case KIND_NAME:
	case KIND_TEXT:
		item_wr_text(w, at);
		break;
	case KIND_ADDRESS:
		item_wr_ip(w, &m->address);
		break;
	case KIND_CODE:
		item_wr_uint(w, m->code);
		break;
	case KIND_SERVERS:
		item_wr_array(w, m->server_count);
		for (size_t i = 0; i < m->server_count; i++)
			write_server(w, &m->servers[i]);
		break;
	}
}

static bool is_type(uint64_t number)
{
	return number > SIGNAL_NONE && number < SIGNAL_TYPE_COUNT;
}

/* LOOKUP is the one type with a choice: by name or by address. */
static bool has_choice(const struct signal_message *m)
{
	return m->type != SIGNAL_LOOKUP ||
	       (m->name[0] != '\0') != (m->address.family != NETADDR_NONE);
}

enum err signal_message_encode(const struct signal_message *m, uint8_t *out, size_t cap,
			       size_t *ret_len)
{
	struct wr w = wr_init(out, cap < SIGNAL_MESSAGE_MAX_BYTES ? cap : SIGNAL_MESSAGE_MAX_BYTES);
	uint32_t present = 0;
	size_t count = 2;

	if (!is_type(m->type) || !has_choice(m))
		return ERR_INVALID;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (!(types[m->type].required & f->bit) &&
		    (!(types[m->type].optional & f->bit) || is_absent(m, f)))
			continue;
		if (!is_writable(m, f))
			return ERR_INVALID;
		present |= f->bit;
		count++;
	}
	item_wr_map(&w, count);
	item_wr_uint(&w, KEY_VERSION);
	item_wr_uint(&w, SIGNAL_VERSION);
	item_wr_uint(&w, KEY_TYPE);
	item_wr_uint(&w, m->type);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (present & fields[i].bit)
			write_field(&w, m, &fields[i]);
	}
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

static void read_name(struct item_rd *r, char *ret)
{
	item_rd_text_copy(r, ret, IDENTIFIER_BYTES, 1);
	if (!identifier_is_valid(ret))
		item_rd_fail(r);
}

static void read_bytes(struct item_rd *r, struct bytes *ret, size_t max)
{
	ret->data = item_rd_bytes(r, &ret->len);
	if (!ret->data || ret->len == 0 || ret->len > max) {
		item_rd_fail(r);
		*ret = (struct bytes){.data = NULL};
	}
}

static void read_server(struct item_rd *r, struct signal_server *ret)
{
	struct item_map map;
	uint64_t key;

	item_rd_map(r, &map);
	while (item_map_next(r, &map, &key)) {
		switch (key) {
		case SERVER_URI:
			item_rd_text_copy(r, ret->uri, sizeof(ret->uri), 1);
			break;
		case SERVER_USERNAME:
			item_rd_text_copy(r, ret->username, sizeof(ret->username), 0);
			break;
		case SERVER_CREDENTIAL:
			item_rd_text_copy(r, ret->credential, sizeof(ret->credential), 0);
			break;
		case SERVER_LIFETIME:
			ret->lifetime_s = (uint32_t)item_rd_uint_max(r, UINT32_MAX);
			break;
		default:
			item_rd_skip(r);
		}
	}
	if (!ret->uri[0])
		item_rd_fail(r);
}

static enum signal_error read_code(struct item_rd *r)
{
	uint64_t number = item_rd_uint(r);

	return number < SIGNAL_ERROR_COUNT ? (enum signal_error)number : SIGNAL_ERROR_OTHER;
}

static void read_field(struct item_rd *r, const struct field *f, struct signal_message *ret)
{
	void *at = field_of(ret, f);

	switch (f->kind) {
	case KIND_UINT8:
		*(uint8_t *)at = (uint8_t)item_rd_uint_max(r, UINT8_MAX);
		if (is_absent(ret, f))
			item_rd_fail(r);
		break;
	case KIND_UINT32:
		*(uint32_t *)at = (uint32_t)item_rd_uint_max(r, UINT32_MAX);
		break;
	case KIND_UINT64:
		*(uint64_t *)at = item_rd_uint(r);
		break;
	case KIND_BOOL:
		*(bool *)at = item_rd_bool(r);
		break;
	case KIND_FIXED:
		item_rd_bytes_exact(r, at, f->max);
		break;
	case KIND_BYTES:
		read_bytes(r, at, f->max);
		break;
	case KIND_NAME:
		read_name(r, at);
		break;
	case KIND_TEXT:
		item_rd_text_copy(r, at, f->max, 0);
		break;
	case KIND_ADDRESS:
		item_rd_ip(r, 0, &ret->address);
		break;
	case KIND_CODE:
		ret->code = read_code(r);
		break;
	case KIND_SERVERS:
		ret->server_count = item_rd_array(r, f->max);
		for (size_t i = 0; i < ret->server_count; i++)
			read_server(r, &ret->servers[i]);
		break;
	}
}

/* Reads the rest of the map. Return: the fields that it had, as bits. */
static uint32_t read_fields(struct item_rd *r, struct item_map *map, struct signal_message *ret)
{
	uint32_t known = types[ret->type].required | types[ret->type].optional;
	uint32_t seen = 0;
	uint64_t key;

	while (item_map_next(r, map, &key)) {
		const struct field *f = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(fields) && !f; i++) {
			if (fields[i].key == key && (known & fields[i].bit))
				f = &fields[i];
		}
		if (f) {
			read_field(r, f, ret);
			seen |= f->bit;
		} else {
			item_rd_skip(r);
		}
	}
	return seen;
}

enum err signal_message_decode(const uint8_t *buf, size_t len, struct signal_message *ret)
{
	struct item_rd r = item_rd_init(buf, len);
	struct signal_message m = {.type = SIGNAL_NONE};
	uint64_t key, version, type;
	struct item_map map;
	uint32_t required;

	if (len > SIGNAL_MESSAGE_MAX_BYTES)
		return DROP_TOO_LONG;
	item_rd_map(&r, &map);
	if (!item_map_next(&r, &map, &key) || key != KEY_VERSION)
		return DROP_MALFORMED;
	version = item_rd_uint(&r);
	if (item_rd_ok(&r) && version != SIGNAL_VERSION)
		return DROP_VERSION;
	if (!item_map_next(&r, &map, &key) || key != KEY_TYPE)
		return DROP_MALFORMED;
	type = item_rd_uint(&r);
	if (!item_rd_ok(&r))
		return DROP_MALFORMED;
	if (!is_type(type))
		return DROP_UNKNOWN_TYPE;
	m.type = (enum signal_type)type;
	required = types[m.type].required;
	if ((read_fields(&r, &map, &m) & required) != required || !item_rd_at_end(&r) ||
	    !has_choice(&m))
		return DROP_MALFORMED;
	*ret = m;
	return OK;
}

const char *signal_type_name(enum signal_type type)
{
	static const char *const names[SIGNAL_TYPE_COUNT] = {[SIGNAL_NONE] = "none",
#define X(code, number, name) [number] = name,
							     SIGNAL_TYPE_TABLE(X)
#undef X
	};

	return names[is_type(type) ? type : SIGNAL_NONE];
}

struct error_row {
	const char *name;
	const char *text;
};

static const struct error_row *error_row(enum signal_error code)
{
	static const struct error_row rows[SIGNAL_ERROR_COUNT] = {
		[SIGNAL_ERROR_OTHER] = {"other", "for a reason that this version does not know"},
#define X(code_, number_, name_, text_) [number_] = {name_, text_},
		SIGNAL_ERROR_TABLE(X)
#undef X
	};

	return &rows[code < SIGNAL_ERROR_COUNT ? code : SIGNAL_ERROR_OTHER];
}

const char *signal_error_name(enum signal_error code)
{
	return error_row(code)->name;
}

const char *signal_error_text(enum signal_error code)
{
	return error_row(code)->text;
}
