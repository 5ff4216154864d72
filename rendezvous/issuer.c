#include "rendezvous/issuer.h"

#include <stdio.h>
#include <string.h>

#include "daemon/core/cert/identifier.h"
#include "daemon/core/crypto/hash.h"
#include "rendezvous/issuer_database.h"

#define IP6_BYTES 16

static bool begin(struct issuer *i)
{
	/* IMMEDIATE: the write lock first, so that what is read stays true until the commit. */
	return sqlite3_exec(i->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
}

/* Ends the transaction. Return: true when it is on disk. */
static bool end(struct issuer *i, bool is_good)
{
	if (is_good && sqlite3_exec(i->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return true;
	sqlite3_exec(i->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

static sqlite3_stmt *prepare(struct issuer *i, const char *sql)
{
	sqlite3_stmt *st = NULL;

	/* NULL on failure; every call on it then fails too. */
	(void)sqlite3_prepare_v2(i->db, sql, -1, &st, NULL);
	return st;
}

static void bind_blob(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	sqlite3_bind_blob(st, at, data, (int)len, SQLITE_TRANSIENT);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

/* Runs a statement that gives no rows. */
static bool run(sqlite3_stmt *st)
{
	int result = st ? sqlite3_step(st) : SQLITE_ERROR;

	sqlite3_finalize(st);
	return result == SQLITE_DONE;
}

static bool hash_secret(const uint8_t *secret, uint8_t ret[static SHA256_BYTES])
{
	uint8_t buf[14 + TOKEN_SECRET_BYTES] = "icetun-token-1";

	memcpy(buf + 14, secret, TOKEN_SECRET_BYTES);
	return hash_sha256(buf, sizeof(buf), ret) == OK;
}

enum err issuer_token_create(struct issuer *i, const struct random_source *random, int64_t now_s,
			     int64_t uses, int64_t expires_s,
			     uint8_t ret_secret[static TOKEN_SECRET_BYTES])
{
	uint8_t hash[SHA256_BYTES];
	sqlite3_stmt *st;

	if (uses < 1 || uses > ISSUER_MAX_USES || expires_s <= now_s)
		return ERR_INVALID;
	random_bytes(random, ret_secret, TOKEN_SECRET_BYTES);
	if (!hash_secret(ret_secret, hash))
		return ERR_CRYPTO;
	st = prepare(i, "INSERT INTO token (hash, uses, created_s, expires_s) VALUES (?, ?, ?, ?)");
	bind_blob(st, 1, hash, sizeof(hash));
	sqlite3_bind_int64(st, 2, uses);
	sqlite3_bind_int64(st, 3, now_s);
	sqlite3_bind_int64(st, 4, expires_s);
	return run(st) ? OK : ERR_IO;
}

enum err issuer_token_revoke(struct issuer *i, int64_t now_s, int64_t id)
{
	sqlite3_stmt *st =
		prepare(i, "UPDATE token SET revoked_s = coalesce(revoked_s, ?) WHERE id = ?");

	sqlite3_bind_int64(st, 1, now_s);
	sqlite3_bind_int64(st, 2, id);
	if (!run(st))
		return ERR_IO;
	return sqlite3_changes(i->db) ? OK : ERR_NOT_FOUND;
}

enum err issuer_token_list(struct issuer *i, void (*each)(void *ctx, const struct issuer_token *t),
			   void *ctx)
{
	sqlite3_stmt *st =
		prepare(i, "SELECT id, uses, used, created_s, expires_s, revoked_s IS NOT NULL"
			   " FROM token ORDER BY id");
	int result = SQLITE_ERROR;

	while (st && (result = sqlite3_step(st)) == SQLITE_ROW) {
		const struct issuer_token t = {
			.id = sqlite3_column_int64(st, 0),
			.uses = sqlite3_column_int64(st, 1),
			.used = sqlite3_column_int64(st, 2),
			.created_s = sqlite3_column_int64(st, 3),
			.expires_s = sqlite3_column_int64(st, 4),
			.is_revoked = sqlite3_column_int(st, 5) != 0,
		};

		each(ctx, &t);
	}
	sqlite3_finalize(st);
	return issuer_from_sqlite(result);
}

static struct netaddr address_of(int64_t number)
{
	const uint32_t v = (uint32_t)number;
	const uint8_t ip[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
			       (uint8_t)v};

	return netaddr_from_ip4(ip, 0);
}

static int64_t number_of(const uint8_t ip[static 4])
{
	return (int64_t)ip[0] << 24 | (int64_t)ip[1] << 16 | (int64_t)ip[2] << 8 | ip[3];
}

static bool read_address6(sqlite3_stmt *st, int at, struct netaddr *ret)
{
	const void *blob = sqlite3_column_blob(st, at);

	if (!blob || sqlite3_column_bytes(st, at) != IP6_BYTES)
		return false;
	*ret = netaddr_from_ip6(blob, 0);
	return true;
}

enum err issuer_member_list(struct issuer *i,
			    void (*each)(void *ctx, const struct issuer_member *m), void *ctx)
{
	sqlite3_stmt *st = prepare(i, "SELECT serial, name, address, joined_s, expires_s, address6"
				      " FROM member ORDER BY name");
	int result = SQLITE_ERROR;

	while (st && (result = sqlite3_step(st)) == SQLITE_ROW) {
		struct netaddr address = address_of(sqlite3_column_int64(st, 2));
		struct issuer_member m = {
			.serial = sqlite3_column_int64(st, 0),
			.name = (const char *)sqlite3_column_text(st, 1),
			.joined_s = sqlite3_column_int64(st, 3),
			.expires_s = sqlite3_column_int64(st, 4),
		};

		netaddr_format_ip(&address, m.address);
		if (read_address6(st, 5, &address))
			netaddr_format_ip(&address, m.address6);
		if (m.name)
			each(ctx, &m);
	}
	sqlite3_finalize(st);
	return issuer_from_sqlite(result);
}

/* What a join needs to know of its token. */
struct token_row {
	int64_t id;
	bool is_expired;
	bool is_used_up;
};

static enum issuer_result find_token(struct issuer *i, int64_t now_s, const uint8_t *secret,
				     struct token_row *ret)
{
	enum issuer_result result = ISSUER_TOKEN_UNKNOWN;
	uint8_t hash[SHA256_BYTES];
	sqlite3_stmt *st;
	int step;

	if (!hash_secret(secret, hash))
		return ISSUER_FAILED;
	st = prepare(i, "SELECT id, expires_s <= ?, used >= uses FROM token"
			" WHERE hash = ? AND revoked_s IS NULL");
	sqlite3_bind_int64(st, 1, now_s);
	bind_blob(st, 2, hash, sizeof(hash));
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW) {
		ret->id = sqlite3_column_int64(st, 0);
		ret->is_expired = sqlite3_column_int(st, 1) != 0;
		ret->is_used_up = sqlite3_column_int(st, 2) != 0;
		result = ISSUER_OK;
	} else if (step != SQLITE_DONE) {
		result = ISSUER_FAILED;
	}
	sqlite3_finalize(st);
	return result;
}

static bool column_equals(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	const void *blob = sqlite3_column_blob(st, at);

	return blob && (size_t)sqlite3_column_bytes(st, at) == len && !memcmp(blob, data, len);
}

/* Copies a certificate column. */
static bool copy_certificate(sqlite3_stmt *st, int at, uint8_t *ret, size_t *ret_len)
{
	const void *blob = sqlite3_column_blob(st, at);
	size_t len = (size_t)sqlite3_column_bytes(st, at);

	if (!blob || len == 0 || len > CERT_MAX_BYTES)
		return false;
	memcpy(ret, blob, len);
	*ret_len = len;
	return true;
}

/* Is this name, or one of these keys, a member already?
 * Return: ISSUER_OK with *ret_len = 0 no; ISSUER_OK with its certificate it is this very host,
 * which joined with this very token; ISSUER_NAME_TAKEN; ISSUER_FAILED. */
static enum issuer_result find_same(struct issuer *i, const struct issuer_request *q, int64_t token,
				    uint8_t *ret, size_t *ret_len)
{
	sqlite3_stmt *st = prepare(i, "SELECT name, noise_public, curve_public, token, certificate"
				      " FROM member"
				      " WHERE name = ?1 OR noise_public = ?2 OR curve_public = ?3");
	enum issuer_result result = ISSUER_FAILED;
	int step;

	*ret_len = 0;
	bind_text(st, 1, q->name);
	bind_blob(st, 2, q->noise_public, DH_BYTES);
	bind_blob(st, 3, q->curve_public, DH_BYTES);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_DONE) {
		result = ISSUER_OK;
	} else if (step == SQLITE_ROW) {
		bool is_same = column_equals(st, 0, q->name, strlen(q->name)) &&
			       column_equals(st, 1, q->noise_public, DH_BYTES) &&
			       column_equals(st, 2, q->curve_public, DH_BYTES) &&
			       sqlite3_column_int64(st, 3) == token;

		if (!is_same)
			result = ISSUER_NAME_TAKEN;
		else if (copy_certificate(st, 4, ret, ret_len))
			result = ISSUER_OK;
	}
	sqlite3_finalize(st);
	return result;
}

/* Return: the address to give out, 0 when there is none left, -1 when the database fails. */
static int64_t choose_address(struct issuer *i)
{
	int64_t first = number_of(i->params.prefix.ip) + 1;
	int64_t last = first - 1 + (1LL << (32 - i->params.prefix.length_bits)) - 2;
	sqlite3_stmt *st;
	int64_t ret = -1;

	st = prepare(i, "SELECT coalesce(max(address) + 1, ?1) FROM member"
			" WHERE address BETWEEN ?1 AND ?2");
	sqlite3_bind_int64(st, 1, first);
	sqlite3_bind_int64(st, 2, last);
	if (st && sqlite3_step(st) == SQLITE_ROW)
		ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	if (ret <= last)
		return ret;
	/* The lowest address whose predecessor is taken (or is the network itself) and that is
	 * free. */
	st = prepare(i, "SELECT min(a) FROM (SELECT ?1 AS a UNION ALL"
			" SELECT address + 1 FROM member WHERE address >= ?1 AND address < ?2)"
			" WHERE a NOT IN (SELECT address FROM member)");
	sqlite3_bind_int64(st, 1, first);
	sqlite3_bind_int64(st, 2, last);
	ret = -1;
	if (st && sqlite3_step(st) == SQLITE_ROW)
		ret = sqlite3_column_int64(st, 0); /* NULL reads as 0 */
	sqlite3_finalize(st);
	return ret;
}

/* Return: OK; ERR_NOT_FOUND nobody has it; ERR_IO. */
static enum err find_address6(struct issuer *i, const struct netaddr *a)
{
	sqlite3_stmt *st = prepare(i, "SELECT 1 FROM member WHERE address6 = ?");
	int step;

	bind_blob(st, 1, a->ip, IP6_BYTES);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	sqlite3_finalize(st);
	return step == SQLITE_ROW ? OK : step == SQLITE_DONE ? ERR_NOT_FOUND : ERR_IO;
}

/* The address above the highest in the prefix, of which there is one. */
static enum issuer_result above_highest(struct issuer *i, struct netaddr *ret)
{
	const struct netprefix *p = &i->params.prefix6;
	struct netaddr a = {.family = NETADDR_NONE};
	sqlite3_stmt *st =
		prepare(i, "SELECT max(address6) FROM member WHERE address6 BETWEEN ? AND ?");
	uint8_t last[IP6_BYTES];
	bool is_read;

	for (size_t k = 0; k < IP6_BYTES; k++) {
		size_t bits = p->length_bits > 8 * k ? p->length_bits - 8 * k : 0;

		last[k] = (uint8_t)(p->ip[k] | (bits < 8 ? 0xff >> bits : 0));
	}
	bind_blob(st, 1, p->ip, IP6_BYTES);
	bind_blob(st, 2, last, IP6_BYTES);
	is_read = st && sqlite3_step(st) == SQLITE_ROW && read_address6(st, 0, &a);
	sqlite3_finalize(st);
	if (!is_read)
		return ISSUER_FAILED;
	for (size_t k = IP6_BYTES; k-- > 0 && ++a.ip[k] == 0;)
		;
	if (!netprefix_contains(p, &a))
		return ISSUER_NO_ADDRESS;
	*ret = a;
	return ISSUER_OK;
}

/* @number: the IPv4 address. Without an IPv6 prefix the result is of no family. */
static enum issuer_result choose_address6(struct issuer *i, int64_t number, struct netaddr *ret)
{
	const struct netprefix *p = &i->params.prefix6;
	const int64_t host = number - number_of(i->params.prefix.ip);
	struct netaddr a = {.family = p->family};

	*ret = a;
	if (p->family == NETADDR_NONE)
		return ISSUER_OK;
	/* The host bits of the prefix, 24 at least, are zero, and the number has no more. */
	memcpy(a.ip, p->ip, IP6_BYTES);
	a.ip[13] = (uint8_t)(host >> 16);
	a.ip[14] = (uint8_t)(host >> 8);
	a.ip[15] = (uint8_t)host;
	switch ((int)find_address6(i, &a)) {
	case OK:
		return above_highest(i, ret);
	case ERR_NOT_FOUND:
		*ret = a;
		return ISSUER_OK;
	default:
		return ISSUER_FAILED;
	}
}

/* @addresses: IPv4, IPv6 or none. */
static bool make_certificate(struct issuer *i, int64_t now_s, const struct issuer_request *q,
			     int64_t serial, const struct netaddr addresses[static 2], uint8_t *ret,
			     size_t *ret_len)
{
	struct cert cert = {
		.serial = (uint64_t)serial,
		.address_count = 1,
		.network_count = 1,
		.issued_s = now_s,
		.not_before_s = now_s - ISSUER_CLOCK_SKEW_S,
		.not_after_s = now_s + ISSUER_CERTIFICATE_S,
	};

	snprintf(cert.name, sizeof(cert.name), "%s", q->name);
	memcpy(cert.noise_public, q->noise_public, sizeof(cert.noise_public));
	memcpy(cert.curve_public, q->curve_public, sizeof(cert.curve_public));
	cert.addresses[0] = addresses[0];
	cert.networks[0] = i->params.prefix;
	if (addresses[1].family != NETADDR_NONE) {
		cert.addresses[cert.address_count++] = addresses[1];
		cert.networks[cert.network_count++] = i->params.prefix6;
	}
	return cert_sign(&cert, i->params.authority_secret, ret, CERT_MAX_BYTES, ret_len) == OK;
}

/* Inserts the member first, since the database gives the serial. */
static bool insert_member(struct issuer *i, int64_t now_s, const struct issuer_request *q,
			  int64_t token, const struct netaddr addresses[static 2], uint8_t *ret,
			  size_t *ret_len)
{
	sqlite3_stmt *st = prepare(
		i, "INSERT INTO member (name, noise_public, curve_public, address, token,"
		   " joined_s, expires_s, address6, certificate) VALUES (?, ?, ?, ?, ?, ?, ?, ?,"
		   " x'')");
	int64_t serial;

	bind_text(st, 1, q->name);
	bind_blob(st, 2, q->noise_public, DH_BYTES);
	bind_blob(st, 3, q->curve_public, DH_BYTES);
	sqlite3_bind_int64(st, 4, number_of(addresses[0].ip));
	sqlite3_bind_int64(st, 5, token);
	sqlite3_bind_int64(st, 6, now_s);
	sqlite3_bind_int64(st, 7, now_s + ISSUER_CERTIFICATE_S);
	if (addresses[1].family != NETADDR_NONE) /* else it stays NULL */
		bind_blob(st, 8, addresses[1].ip, IP6_BYTES);
	if (!run(st))
		return false;
	serial = sqlite3_last_insert_rowid(i->db);
	if (!make_certificate(i, now_s, q, serial, addresses, ret, ret_len))
		return false;
	st = prepare(i, "UPDATE member SET certificate = ? WHERE serial = ?");
	bind_blob(st, 1, ret, *ret_len);
	sqlite3_bind_int64(st, 2, serial);
	if (!run(st))
		return false;
	st = prepare(i, "UPDATE token SET used = used + 1 WHERE id = ?");
	sqlite3_bind_int64(st, 1, token);
	return run(st);
}

/* Inside of a transaction. */
static enum issuer_result join(struct issuer *i, int64_t now_s, const struct issuer_request *q,
			       uint8_t *ret, size_t *ret_len)
{
	struct netaddr addresses[2];
	struct token_row token;
	int64_t number;
	enum issuer_result result = find_token(i, now_s, q->token, &token);

	if (result != ISSUER_OK)
		return result;
	/* Before the token's uses and time: the answer to the first try may have been lost. */
	result = find_same(i, q, token.id, ret, ret_len);
	if (result == ISSUER_OK && *ret_len)
		return ISSUER_OK;
	if (token.is_expired)
		return ISSUER_TOKEN_EXPIRED;
	if (token.is_used_up)
		return ISSUER_TOKEN_USED;
	if (result != ISSUER_OK)
		return result;
	number = choose_address(i);
	if (number == 0)
		return ISSUER_NO_ADDRESS;
	if (number < 0)
		return ISSUER_FAILED;
	addresses[0] = address_of(number);
	result = choose_address6(i, number, &addresses[1]);
	if (result == ISSUER_OK && !insert_member(i, now_s, q, token.id, addresses, ret, ret_len))
		result = ISSUER_FAILED;
	return result;
}

enum issuer_result issuer_join(struct issuer *i, int64_t now_s,
			       const struct issuer_request *request,
			       uint8_t ret[static CERT_MAX_BYTES], size_t *ret_len)
{
	enum issuer_result result;

	if (!identifier_is_valid(request->name))
		return ISSUER_NAME_INVALID;
	if (!i->params.authority_secret || !begin(i))
		return ISSUER_FAILED;
	result = join(i, now_s, request, ret, ret_len);
	if (!end(i, result == ISSUER_OK) && result == ISSUER_OK)
		result = ISSUER_FAILED;
	return result;
}

enum err issuer_find(struct issuer *i, const char *name, const struct netaddr *address,
		     uint8_t ret[static CERT_MAX_BYTES], size_t *ret_len)
{
	sqlite3_stmt *st;
	enum err err = ERR_NOT_FOUND;
	int step;

	if (!name && address->family == NETADDR_NONE)
		return ERR_NOT_FOUND;
	st = prepare(i, name ? "SELECT certificate FROM member WHERE name = ?"
			: address->family == NETADDR_IP4
				? "SELECT certificate FROM member WHERE address = ?"
				: "SELECT certificate FROM member WHERE address6 = ?");
	if (name)
		bind_text(st, 1, name);
	else if (address->family == NETADDR_IP4)
		sqlite3_bind_int64(st, 1, number_of(address->ip));
	else
		bind_blob(st, 1, address->ip, IP6_BYTES);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		err = copy_certificate(st, 0, ret, ret_len) ? OK : ERR_IO;
	else if (step != SQLITE_DONE)
		err = ERR_IO;
	sqlite3_finalize(st);
	return err;
}
