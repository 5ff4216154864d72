#include "daemon/core/cert/token.h"

#include <string.h>

#include "daemon/core/cbor/item.h"
#include "daemon/core/crypto/base64.h"
#include "daemon/core/crypto/hash.h"
#include "daemon/core/crypto/secret.h"

#define PREFIX		"icetun1."
#define PREFIX_CHARS	8
#define CHECKSUM_BYTES	4
#define ENDPOINT_SCHEME "tcp://"
/* Of the binary form: what fits as text into TOKEN_TEXT_BYTES. */
#define TOKEN_MAX_BYTES ((TOKEN_TEXT_BYTES - PREFIX_CHARS - 1) * 3 / 4)

enum key {
	KEY_NETWORK = 1,
	KEY_ENDPOINTS = 2,
	KEY_SERVER_KEY = 3,
	KEY_AUTHORITY_KEY = 4,
	KEY_SECRET = 5,
};

static bool is_endpoint(const char *text)
{
	size_t len = strnlen(text, TOKEN_ENDPOINT_BYTES);

	if (len == TOKEN_ENDPOINT_BYTES || len <= strlen(ENDPOINT_SCHEME) ||
	    strncmp(text, ENDPOINT_SCHEME, strlen(ENDPOINT_SCHEME)) != 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	return true;
}

static bool is_consistent(const struct token *t)
{
	if (!identifier_is_valid(t->network) || t->endpoint_count == 0 ||
	    t->endpoint_count > TOKEN_MAX_ENDPOINTS)
		return false;
	for (size_t i = 0; i < t->endpoint_count; i++) {
		if (!is_endpoint(t->endpoints[i]))
			return false;
	}
	return true;
}

static void checksum(const uint8_t *buf, size_t len, uint8_t ret[static CHECKSUM_BYTES])
{
	uint8_t hash[BLAKE2B_BYTES];

	hash_blake2b(buf, len, NULL, 0, hash);
	memcpy(ret, hash, CHECKSUM_BYTES);
}

static void write_token(struct wr *w, const struct token *t)
{
	item_wr_map(w, 5);
	item_wr_uint(w, KEY_NETWORK);
	item_wr_text(w, t->network);
	item_wr_uint(w, KEY_ENDPOINTS);
	item_wr_array(w, t->endpoint_count);
	for (size_t i = 0; i < t->endpoint_count; i++)
		item_wr_text(w, t->endpoints[i]);
	item_wr_uint(w, KEY_SERVER_KEY);
	item_wr_bytes(w, t->server_key, sizeof(t->server_key));
	item_wr_uint(w, KEY_AUTHORITY_KEY);
	item_wr_bytes(w, t->authority_key, sizeof(t->authority_key));
	item_wr_uint(w, KEY_SECRET);
	item_wr_bytes(w, t->secret, sizeof(t->secret));
}

enum err token_format(const struct token *t, char *out, size_t cap)
{
	uint8_t buf[TOKEN_MAX_BYTES];
	uint8_t sum[CHECKSUM_BYTES];
	struct wr w = wr_init(buf, sizeof(buf));
	enum err err = ERR_NO_SPACE;

	if (!is_consistent(t))
		return ERR_INVALID;
	write_token(&w, t);
	checksum(buf, wr_len(&w), sum);
	wr_bytes(&w, sum, sizeof(sum));
	if (wr_ok(&w) && cap > PREFIX_CHARS) {
		err = base64_encode(buf, wr_len(&w), out + PREFIX_CHARS, cap - PREFIX_CHARS);
		if (err == OK)
			memcpy(out, PREFIX, PREFIX_CHARS);
	}
	secret_wipe(buf, sizeof(buf));
	return err;
}

static void read_endpoints(struct item_rd *r, struct token *ret)
{
	ret->endpoint_count = item_rd_array(r, TOKEN_MAX_ENDPOINTS);
	for (size_t i = 0; i < ret->endpoint_count; i++)
		item_rd_text_copy(r, ret->endpoints[i], TOKEN_ENDPOINT_BYTES, 1);
}

/* Return: true when @buf is a whole and allowed token. */
static bool read_token(const uint8_t *buf, size_t len, struct token *ret)
{
	struct item_rd r = item_rd_init(buf, len);
	uint64_t key, known = 0;
	struct item_map map;

	item_rd_map(&r, &map);
	while (item_map_next(&r, &map, &key)) {
		known += key >= KEY_NETWORK && key <= KEY_SECRET;
		switch (key) {
		case KEY_NETWORK:
			item_rd_text_copy(&r, ret->network, sizeof(ret->network), 1);
			break;
		case KEY_ENDPOINTS:
			read_endpoints(&r, ret);
			break;
		case KEY_SERVER_KEY:
			item_rd_bytes_exact(&r, ret->server_key, sizeof(ret->server_key));
			break;
		case KEY_AUTHORITY_KEY:
			item_rd_bytes_exact(&r, ret->authority_key, sizeof(ret->authority_key));
			break;
		case KEY_SECRET:
			item_rd_bytes_exact(&r, ret->secret, sizeof(ret->secret));
			break;
		default:
			item_rd_skip(&r);
		}
	}
	return item_rd_at_end(&r) && known == KEY_SECRET && is_consistent(ret);
}

/* Cuts white space from both ends. Return: what is left begins there and has *ret_len
 * characters. */
static const char *trim(const char *text, size_t *ret_len)
{
	static const char white[] = " \t\r\n\f\v";
	size_t len;

	text += strspn(text, white);
	len = strlen(text);
	while (len && strchr(white, text[len - 1]))
		len--;
	*ret_len = len;
	return text;
}

/* What the text claims to be by its first characters. */
static enum token_problem check_prefix(const char *text, size_t len)
{
	size_t name = strlen("icetun");
	size_t digits = 0;

	if (len >= PREFIX_CHARS && memcmp(text, PREFIX, PREFIX_CHARS) == 0)
		return TOKEN_OK;
	if (len <= name || memcmp(text, "icetun", name) != 0)
		return TOKEN_NOT_A_TOKEN;
	while (name + digits < len && text[name + digits] >= '0' && text[name + digits] <= '9')
		digits++;
	return digits > 0 && name + digits < len && text[name + digits] == '.'
		       ? TOKEN_UNKNOWN_VERSION
		       : TOKEN_NOT_A_TOKEN;
}

enum token_problem token_parse(const char *text, struct token *ret)
{
	uint8_t buf[TOKEN_MAX_BYTES];
	uint8_t sum[CHECKSUM_BYTES];
	struct token t = {.endpoint_count = 0};
	enum token_problem problem;
	size_t chars, len;

	text = trim(text, &chars);
	problem = check_prefix(text, chars);
	if (problem != TOKEN_OK)
		return problem;
	problem = TOKEN_DAMAGED;
	if (base64_decode(text + PREFIX_CHARS, chars - PREFIX_CHARS, buf, sizeof(buf), &len) ==
		    OK &&
	    len > CHECKSUM_BYTES) {
		len -= CHECKSUM_BYTES;
		checksum(buf, len, sum);
		if (memcmp(sum, buf + len, sizeof(sum)) == 0 && read_token(buf, len, &t)) {
			*ret = t;
			problem = TOKEN_OK;
		}
	}
	secret_wipe(buf, sizeof(buf));
	secret_wipe(&t, sizeof(t));
	return problem;
}
