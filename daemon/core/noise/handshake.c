#include "daemon/core/noise/handshake.h"

#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/noise/symmetric.h"

#define SEALED_KEY_BYTES (NOISE_KEY_BYTES + AEAD_TAG_BYTES)

_Static_assert(NOISE_MESSAGE1_OVERHEAD == DH_BYTES + SEALED_KEY_BYTES + AEAD_TAG_BYTES,
	       "e, s, tag of the payload");
_Static_assert(NOISE_MESSAGE2_OVERHEAD == DH_BYTES + AEAD_TAG_BYTES, "e, tag of the payload");
_Static_assert(NOISE_KEY_BYTES == DH_BYTES && NOISE_KEY_BYTES == AEAD_KEY_BYTES, "one key size");
_Static_assert(NOISE_HASH_BYTES == BLAKE2B_BYTES, "the handshake hash is whole");

enum noise_state {
	NOISE_WRITE1, /* initiator, new */
	NOISE_READ2,  /* initiator, message 1 written */
	NOISE_READ1,  /* responder, new */
	NOISE_WRITE2, /* responder, message 1 read */
	NOISE_DONE,   /* both messages passed; may be split */
	NOISE_SPENT,  /* split: nothing is left */
};

/* Named as in the specification: s, e are ours, rs, re the other's. */
struct noise {
	enum noise_state state;
	bool initiator;
	bool use_psk;
	struct random_source random;
	struct symmetric sym;
	uint8_t s[NOISE_KEY_BYTES];
	uint8_t s_public[NOISE_KEY_BYTES];
	uint8_t rs[NOISE_KEY_BYTES];
	uint8_t psk[NOISE_KEY_BYTES];
	struct dh_keypair e;
	uint8_t re[NOISE_KEY_BYTES];
};

static void set_state(struct noise *n, enum noise_state state)
{
	n->state = state;
}

static enum err create(struct noise **ret, const struct noise_params *p, bool initiator)
{
	struct noise *n;

	if (!p->static_secret || !p->static_public || !p->random.fill || (p->psk && !p->use_psk) ||
	    (!p->prologue && p->prologue_len) || initiator != (p->remote_static != NULL))
		return ERR_INVALID;
	n = secret_alloc(sizeof(*n));
	if (!n)
		return ERR_NO_MEMORY;
	n->initiator = initiator;
	n->use_psk = p->use_psk;
	n->random = p->random;
	memcpy(n->s, p->static_secret, sizeof(n->s));
	memcpy(n->s_public, p->static_public, sizeof(n->s_public));
	if (p->remote_static)
		memcpy(n->rs, p->remote_static, sizeof(n->rs));
	if (p->psk)
		memcpy(n->psk, p->psk, sizeof(n->psk));

	symmetric_init(&n->sym, p->use_psk ? "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"
					   : "Noise_IK_25519_ChaChaPoly_BLAKE2b");
	symmetric_mix_hash(&n->sym, p->prologue, p->prologue_len);
	/* <- s */
	symmetric_mix_hash(&n->sym, initiator ? n->rs : n->s_public, NOISE_KEY_BYTES);
	set_state(n, initiator ? NOISE_WRITE1 : NOISE_READ1);
	*ret = n;
	return OK;
}

enum err noise_create_initiator(struct noise **ret, const struct noise_params *params)
{
	uint8_t shared[DH_BYTES];
	enum err e;

	if (!params->static_secret || !params->remote_static)
		return ERR_INVALID;
	e = dh(params->static_secret, params->remote_static, shared);
	secret_wipe(shared, sizeof(shared));
	return e == OK ? create(ret, params, true) : e;
}

enum err noise_create_responder(struct noise **ret, const struct noise_params *params)
{
	return create(ret, params, false);
}

void noise_destroy(struct noise *n)
{
	secret_free(n);
}

static void write_e(struct noise *n, struct wr *w)
{
	dh_generate(&n->e, &n->random);
	wr_bytes(w, n->e.public, sizeof(n->e.public));
	symmetric_mix_hash(&n->sym, n->e.public, sizeof(n->e.public));
	/* With a psk, e is mixed into the key as well (Noise s. 9.2). */
	if (n->use_psk)
		symmetric_mix_key(&n->sym, n->e.public, sizeof(n->e.public));
}

static void read_e(struct noise *n, struct rd *r)
{
	rd_copy(r, n->re, sizeof(n->re));
	symmetric_mix_hash(&n->sym, n->re, sizeof(n->re));
	if (n->use_psk)
		symmetric_mix_key(&n->sym, n->re, sizeof(n->re));
}

/* Each of the four works on a copy of the object; the caller has checked all lengths and takes the
 * copy over when the result is OK. */

static enum err write_message1(struct noise *n, const void *payload, size_t len, struct wr *w)
{
	enum err e;

	/* e */
	write_e(n, w);
	/* es */
	e = symmetric_mix_dh(&n->sym, n->e.secret, n->rs);
	if (e != OK)
		return e;
	/* s */
	symmetric_seal(&n->sym, n->s_public, sizeof(n->s_public), wr_reserve(w, SEALED_KEY_BYTES));
	/* ss */
	e = symmetric_mix_dh(&n->sym, n->s, n->rs);
	if (e != OK)
		return e;
	symmetric_seal(&n->sym, payload, len, wr_reserve(w, len + AEAD_TAG_BYTES));
	set_state(n, NOISE_READ2);
	return OK;
}

static enum err read_message1(struct noise *n, struct rd *r, uint8_t *payload)
{
	size_t sealed_len;

	/* e */
	read_e(n, r);
	/* es */
	if (symmetric_mix_dh(&n->sym, n->s, n->re) != OK)
		return DROP_HANDSHAKE;
	/* s */
	if (symmetric_open(&n->sym, rd_bytes(r, SEALED_KEY_BYTES), SEALED_KEY_BYTES, n->rs) != OK)
		return DROP_HANDSHAKE;
	/* ss */
	if (symmetric_mix_dh(&n->sym, n->s, n->rs) != OK)
		return DROP_HANDSHAKE;
	sealed_len = rd_left(r);
	if (symmetric_open(&n->sym, rd_bytes(r, sealed_len), sealed_len, payload) != OK)
		return DROP_HANDSHAKE;
	set_state(n, NOISE_WRITE2);
	return OK;
}

static enum err write_message2(struct noise *n, const void *payload, size_t len, struct wr *w)
{
	enum err e;

	/* e */
	write_e(n, w);
	/* ee */
	e = symmetric_mix_dh(&n->sym, n->e.secret, n->re);
	if (e != OK)
		return e;
	/* se */
	e = symmetric_mix_dh(&n->sym, n->e.secret, n->rs);
	if (e != OK)
		return e;
	/* psk */
	if (n->use_psk)
		symmetric_mix_key_and_hash(&n->sym, n->psk, sizeof(n->psk));
	symmetric_seal(&n->sym, payload, len, wr_reserve(w, len + AEAD_TAG_BYTES));
	set_state(n, NOISE_DONE);
	return OK;
}

static enum err read_message2(struct noise *n, struct rd *r, uint8_t *payload)
{
	size_t sealed_len;

	/* e */
	read_e(n, r);
	/* ee */
	if (symmetric_mix_dh(&n->sym, n->e.secret, n->re) != OK)
		return DROP_HANDSHAKE;
	/* se */
	if (symmetric_mix_dh(&n->sym, n->s, n->re) != OK)
		return DROP_HANDSHAKE;
	/* psk */
	if (n->use_psk)
		symmetric_mix_key_and_hash(&n->sym, n->psk, sizeof(n->psk));
	sealed_len = rd_left(r);
	if (symmetric_open(&n->sym, rd_bytes(r, sealed_len), sealed_len, payload) != OK)
		return DROP_HANDSHAKE;
	set_state(n, NOISE_DONE);
	return OK;
}

enum err noise_write(struct noise *n, const void *payload, size_t len, uint8_t *out, size_t cap,
		     size_t *ret_len)
{
	size_t overhead = n->initiator ? NOISE_MESSAGE1_OVERHEAD : NOISE_MESSAGE2_OVERHEAD;
	struct noise next;
	struct wr w;
	enum err e;

	if (n->state != NOISE_WRITE1 && n->state != NOISE_WRITE2)
		return ERR_WRONG_STATE;
	if (len > NOISE_MESSAGE_MAX_BYTES - overhead)
		return ERR_LIMIT;
	if (cap < len + overhead)
		return ERR_NO_SPACE;

	next = *n;
	w = wr_init(out, len + overhead);
	if (n->initiator)
		e = write_message1(&next, payload, len, &w);
	else
		e = write_message2(&next, payload, len, &w);
	if (e == OK) {
		*n = next;
		*ret_len = wr_len(&w);
	}
	secret_wipe(&next, sizeof(next));
	return e;
}

enum err noise_read(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload, size_t cap,
		    size_t *ret_len)
{
	size_t overhead = n->initiator ? NOISE_MESSAGE2_OVERHEAD : NOISE_MESSAGE1_OVERHEAD;
	struct noise next;
	struct rd r;
	enum err e;

	if (n->state != NOISE_READ1 && n->state != NOISE_READ2)
		return DROP_STATE;
	if (len < overhead)
		return DROP_TRUNCATED;
	if (len > NOISE_MESSAGE_MAX_BYTES)
		return DROP_TOO_LONG;
	if (cap < len - overhead)
		return ERR_NO_SPACE;

	next = *n;
	r = rd_init(msg, len);
	if (n->initiator)
		e = read_message2(&next, &r, payload);
	else
		e = read_message1(&next, &r, payload);
	if (e == OK) {
		*n = next;
		*ret_len = len - overhead;
	} else if (len > overhead) {
		secret_wipe(payload, len - overhead);
	}
	secret_wipe(&next, sizeof(next));
	return e;
}

enum err noise_remote_static(const struct noise *n, uint8_t ret[static NOISE_KEY_BYTES])
{
	if (n->state == NOISE_READ1 || n->state == NOISE_SPENT)
		return ERR_WRONG_STATE;
	memcpy(ret, n->rs, NOISE_KEY_BYTES);
	return OK;
}

enum err noise_split(struct noise *n, uint8_t ret_send[static NOISE_KEY_BYTES],
		     uint8_t ret_recv[static NOISE_KEY_BYTES],
		     uint8_t ret_hash[static NOISE_HASH_BYTES])
{
	if (n->state != NOISE_DONE)
		return ERR_WRONG_STATE;
	if (n->initiator)
		symmetric_split(&n->sym, ret_send, ret_recv);
	else
		symmetric_split(&n->sym, ret_recv, ret_send);
	memcpy(ret_hash, n->sym.h, NOISE_HASH_BYTES);
	secret_wipe(n, sizeof(*n));
	set_state(n, NOISE_SPENT);
	return OK;
}
