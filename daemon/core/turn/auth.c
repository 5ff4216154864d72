#include "daemon/core/turn/auth.h"

#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"

/* RFC 8489 s. 9.2: a nonce that begins with the cookie tells the server's security features in the
 * 24 bits that follow, base64-encoded: 0 password algorithms, 1 username anonymity (s. 18.1). Bit 0
 * is the highest one as printed, the lowest one by the verified erratum 6290 and the sample of s.
 * B.1. There are servers of both kinds; nothing else has the other's bits, so both are
 * understood. */
static const char nonce_cookie[] = "obMatJos2";
#define NONCE_COOKIE_BYTES (sizeof(nonce_cookie) - 1)
#define FEATURE_ALGORITHMS 0x800001u
#define FEATURE_ANONYMITY  0x400002u
#define FEATURE_DIGITS	   4
#define BASE64_BITS	   6

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static uint32_t nonce_features(const struct stun_bytes *nonce)
{
	uint32_t features = 0;

	if (nonce->len < NONCE_COOKIE_BYTES + FEATURE_DIGITS ||
	    memcmp(nonce->p, nonce_cookie, NONCE_COOKIE_BYTES) != 0)
		return 0;
	for (size_t i = 0; i < FEATURE_DIGITS; i++) {
		int value = base64_value(nonce->p[NONCE_COOKIE_BYTES + i]);

		if (value < 0)
			return 0;
		features = features << BASE64_BITS | (uint32_t)value;
	}
	return features;
}

static void text_set(struct turn_text *t, const struct stun_bytes *b)
{
	t->len = b->len;
	memcpy(t->bytes, b->p, b->len);
}

static bool text_equal(const struct turn_text *t, const struct stun_bytes *b)
{
	return t->len == b->len && memcmp(t->bytes, b->p, b->len) == 0;
}

/* s. 9.2.2: the hash of "user:realm:password"; s. 14.4: that of "user:realm". */
static enum err make_key(struct turn_auth *a)
{
	uint8_t text[TURN_USERNAME_MAX_BYTES + TURN_TEXT_MAX_BYTES + TURN_PASSWORD_MAX_BYTES + 2];
	struct wr w = wr_init(text, sizeof(text));
	enum err e;

	wr_bytes(&w, a->username, strlen(a->username));
	wr_u8(&w, ':');
	wr_bytes(&w, a->realm.bytes, a->realm.len);
	e = hash_sha256(text, wr_len(&w), a->userhash);
	if (e != OK)
		return e;
	wr_u8(&w, ':');
	wr_bytes(&w, a->password, strlen(a->password));
	if (a->has_algorithms && a->algorithm == TURN_ALGORITHM_SHA256) {
		e = hash_sha256(text, wr_len(&w), a->key);
		a->key_len = SHA256_BYTES;
	} else {
		e = hash_md5(text, wr_len(&w), a->key);
		a->key_len = MD5_BYTES;
	}
	secret_wipe(text, sizeof(text));
	return e;
}

enum err turn_auth_set(struct turn_auth *a, const char *username, const char *password)
{
	size_t username_len = username ? strlen(username) : 0;
	size_t password_len = password ? strlen(password) : 0;

	if (username_len == 0 || username_len > TURN_USERNAME_MAX_BYTES || password_len == 0 ||
	    password_len > TURN_PASSWORD_MAX_BYTES)
		return ERR_INVALID;
	secret_wipe(a->password, sizeof(a->password));
	memcpy(a->username, username, username_len + 1);
	memcpy(a->password, password, password_len + 1);
	return a->challenged ? make_key(a) : OK;
}

void turn_auth_forget(struct turn_auth *a)
{
	a->challenged = false;
	a->has_algorithms = false;
	secret_wipe(a->key, sizeof(a->key));
}

/* The first algorithm of the server's list that we have (s. 9.2.5). Return: false for none. */
static bool choose_algorithm(const struct stun_bytes *list, enum turn_algorithm *ret)
{
	struct rd r = rd_init(list->p, list->len);

	while (rd_left(&r) >= 4) {
		uint16_t number = rd_u16be(&r);
		uint16_t parameters = rd_u16be(&r);

		rd_skip(&r, (size_t)parameters + (4u - parameters % 4u) % 4u);
		if (!rd_ok(&r))
			return false;
		if (parameters == 0 &&
		    (number == TURN_ALGORITHM_MD5 || number == TURN_ALGORITHM_SHA256)) {
			*ret = (enum turn_algorithm)number;
			return true;
		}
	}
	return false;
}

/* Return: false when the list is missing or useless though the nonce promises one: somebody between
 * us and the server may want weaker algorithms (s. 9.2.1). */
static bool take_algorithms(struct turn_auth *a, const struct stun_message *m)
{
	const struct stun_bytes *list = &m->password_algorithms;

	a->has_algorithms = false;
	if (!(nonce_features(&m->nonce) & FEATURE_ALGORITHMS))
		return true;
	if (!stun_has(m, STUN_PASSWORD_ALGORITHMS) || list->len > sizeof(a->algorithms) ||
	    !choose_algorithm(list, &a->algorithm))
		return false;
	memcpy(a->algorithms, list->p, list->len);
	a->algorithms_len = list->len;
	a->has_algorithms = true;
	return true;
}

enum turn_problem turn_auth_on_challenge(struct turn_auth *a, const struct stun_message *m,
					 bool answered)
{
	bool stale = m->error.code == STUN_ERROR_STALE_NONCE;

	/* Servers may leave out what 438 does not change. */
	if (!stun_has(m, STUN_NONCE) || (!stun_has(m, STUN_REALM) && !(stale && a->challenged)))
		return TURN_PROBLEM_PROTOCOL;
	if (answered && stun_has(m, STUN_REALM) && !text_equal(&a->realm, &m->realm))
		return TURN_PROBLEM_REALM;
	if (answered && !stale && text_equal(&a->nonce, &m->nonce))
		return TURN_PROBLEM_CREDENTIALS;
	if (!take_algorithms(a, m))
		return TURN_PROBLEM_DOWNGRADE;
	if (stun_has(m, STUN_REALM))
		text_set(&a->realm, &m->realm);
	text_set(&a->nonce, &m->nonce);
	a->anonymous = (nonce_features(&m->nonce) & FEATURE_ANONYMITY) != 0;
	a->challenged = true;
	return make_key(a) == OK ? TURN_PROBLEM_NONE : TURN_PROBLEM_INTERNAL;
}

void turn_auth_write(const struct turn_auth *a, struct stun_writer *w)
{
	uint8_t algorithm[4] = {0, (uint8_t)a->algorithm, 0, 0};

	if (!a->challenged)
		return;
	if (a->anonymous)
		stun_write_bytes(w, STUN_USERHASH, a->userhash, sizeof(a->userhash));
	else
		stun_write_bytes(w, STUN_USERNAME, a->username, strlen(a->username));
	stun_write_bytes(w, STUN_REALM, a->realm.bytes, a->realm.len);
	stun_write_bytes(w, STUN_NONCE, a->nonce.bytes, a->nonce.len);
	if (!a->has_algorithms)
		return;
	stun_write_bytes(w, STUN_PASSWORD_ALGORITHMS, a->algorithms, a->algorithms_len);
	stun_write_bytes(w, STUN_PASSWORD_ALGORITHM, algorithm, sizeof(algorithm));
}

size_t turn_auth_bytes(const struct turn_auth *a)
{
	const size_t attribute = 4 + 3; /* header and padding */
	const size_t endings = 4 + SHA256_BYTES + 8;

	if (!a->challenged)
		return endings;
	return endings + 3 * attribute + a->realm.len + a->nonce.len +
	       (a->anonymous ? sizeof(a->userhash) : strlen(a->username)) +
	       (a->has_algorithms ? 2 * attribute + a->algorithms_len + 4u : 0);
}

enum err turn_auth_finish(const struct turn_auth *a, struct stun_writer *w, size_t *ret_len)
{
	if (!a->challenged)
		return stun_write_finish(w, NULL, 0, true, ret_len);
	if (a->has_algorithms)
		return stun_write_finish_sha256(w, a->key, a->key_len, true, ret_len);
	return stun_write_finish(w, a->key, a->key_len, true, ret_len);
}

enum err turn_auth_verify(const struct turn_auth *a, const struct stun_message *m)
{
	return a->has_algorithms ? stun_check_integrity_sha256(m, a->key, a->key_len)
				 : stun_check_integrity(m, a->key, a->key_len);
}
