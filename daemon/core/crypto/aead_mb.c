#include "daemon/core/crypto/aead_mb.h"

#include <intel-ipsec-mb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

union aead_mb {
	struct gcm_key_data gcm;     /* AES-256-GCM */
	uint8_t key[AEAD_KEY_BYTES]; /* ChaChaPoly */
};

/* A table of functions that fit the processor; nobody changes it after aead_mb_start(). */
static IMB_MGR *manager;
static bool is_started, is_off, serves_gcm, serves_chacha;

static void seal_gcm(const union aead_mb *a, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
		     const uint8_t *in, size_t len, uint8_t *out)
{
	struct gcm_context_data ctx;

	IMB_AES256_GCM_ENC(manager, &a->gcm, &ctx, out, in, len, nonce, ad, ad_len, out + len,
			   AEAD_TAG_BYTES);
}

static void seal_chacha(const union aead_mb *a, const uint8_t *nonce, const uint8_t *ad,
			size_t ad_len, const uint8_t *in, size_t len, uint8_t *out)
{
	struct chacha20_poly1305_context_data ctx;

	IMB_CHACHA20_POLY1305_INIT(manager, a->key, &ctx, nonce, ad, ad_len);
	IMB_CHACHA20_POLY1305_ENC_UPDATE(manager, a->key, &ctx, out, in, len);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager, &ctx, out + len, AEAD_TAG_BYTES);
	sodium_memzero(&ctx, sizeof(ctx));
}

void aead_mb_seal(const union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad, size_t ad_len,
		  const uint8_t *in, size_t len, uint8_t *out)
{
	if (cipher == AEAD_AES_256_GCM)
		seal_gcm(a, nonce, ad, ad_len, in, len, out);
	else
		seal_chacha(a, nonce, ad, ad_len, in, len, out);
}

/* In constant time: no branch before all is compared. sodium_memcmp() goes byte by byte through
 * volatile memory, which was 4 % of what a receiving daemon did. */
static bool is_same_tag(const uint8_t a[static AEAD_TAG_BYTES],
			const uint8_t b[static AEAD_TAG_BYTES])
{
	uint64_t x[2], y[2];

	_Static_assert(sizeof(x) == AEAD_TAG_BYTES, "two words");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

bool aead_mb_open(const union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad, size_t ad_len,
		  const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t theirs[AEAD_TAG_BYTES], ours[AEAD_TAG_BYTES] = {0};

	memcpy(theirs, in + len, sizeof(theirs));
	if (cipher == AEAD_AES_256_GCM) {
		struct gcm_context_data ctx;

		IMB_AES256_GCM_DEC(manager, &a->gcm, &ctx, out, in, len, nonce, ad, ad_len, ours,
				   AEAD_TAG_BYTES);
	} else {
		struct chacha20_poly1305_context_data ctx;

		IMB_CHACHA20_POLY1305_INIT(manager, a->key, &ctx, nonce, ad, ad_len);
		IMB_CHACHA20_POLY1305_DEC_UPDATE(manager, a->key, &ctx, out, in, len);
		IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager, &ctx, ours, AEAD_TAG_BYTES);
		sodium_memzero(&ctx, sizeof(ctx));
	}
	return is_same_tag(theirs, ours);
}

_Static_assert(_Alignof(union aead_mb) <= AEAD_MB_ALIGN, "it wants no more");

size_t aead_mb_bytes(enum aead_cipher cipher)
{
	return cipher == AEAD_AES_256_GCM ? sizeof(struct gcm_key_data) : AEAD_KEY_BYTES;
}

void aead_mb_init(union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t key[static AEAD_KEY_BYTES])
{
	if (cipher == AEAD_AES_256_GCM)
		IMB_AES256_GCM_PRE(manager, key, &a->gcm);
	else
		memcpy(a->key, key, sizeof(a->key));
}

/* Lengths around every block and every step of the vector code. */
static bool agrees_on(struct aead *reference, const union aead_mb *a, enum aead_cipher cipher,
		      size_t len)
{
	uint8_t text[1500], out[sizeof(text) + AEAD_TAG_BYTES], expected[sizeof(out)], ad[16];
	uint8_t nonce[AEAD_NONCE_BYTES] = {0};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31 + len);
	memcpy(ad, text, sizeof(ad));
	nonce[cipher == AEAD_AES_256_GCM ? 11 : 4] = (uint8_t)len;
	if (aead_seal(reference, (uint8_t)len, ad, sizeof(ad), text, len, expected) != OK)
		return false;
	aead_mb_seal(a, cipher, nonce, ad, sizeof(ad), text, len, out);
	if (memcmp(out, expected, len + AEAD_TAG_BYTES) != 0)
		return false;
	if (!aead_mb_open(a, cipher, nonce, ad, sizeof(ad), out, len, out) ||
	    memcmp(out, text, len) != 0)
		return false;
	expected[len + len % AEAD_TAG_BYTES] ^= 1;
	return !aead_mb_open(a, cipher, nonce, ad, sizeof(ad), expected, len, out);
}

static bool agrees(enum aead_cipher cipher)
{
	static const uint8_t key[AEAD_KEY_BYTES] = {7, 1, 0xff, 4};
	struct aead *reference = NULL;
	union aead_mb *a = aligned_alloc(AEAD_MB_ALIGN, (sizeof(*a) + AEAD_MB_ALIGN - 1) /
								AEAD_MB_ALIGN * AEAD_MB_ALIGN);
	/* Not served yet, so this is libcrypto's. */
	bool ok = a && aead_create(&reference, cipher, key) == OK;

	if (ok)
		aead_mb_init(a, cipher, key);
	for (size_t len = 0; ok && len <= 1500; len += len < 300 ? 1 : 37)
		ok = agrees_on(reference, a, cipher, len);
	aead_destroy(reference);
	free(a);
	return ok;
}

void aead_mb_start(void)
{
	if (is_started)
		return;
	is_started = true;
	manager = alloc_mb_mgr(0);
	if (!manager)
		return;
	init_mb_mgr_auto(manager, NULL);
	/* Without AES instructions it would compute AES with tables, whose timing tells keys. */
	if (imb_get_errno(manager) != 0 || !(manager->features & IMB_FEATURE_AESNI))
		return;
	serves_gcm = agrees(AEAD_AES_256_GCM);
	/* Below AVX-512 libcrypto's is the faster one. */
	serves_chacha = (manager->features & IMB_FEATURE_AVX512_SKX) == IMB_FEATURE_AVX512_SKX &&
			agrees(AEAD_CHACHA20_POLY1305);
}

void aead_mb_enable(bool on)
{
	is_off = !on;
}

bool aead_mb_serves(enum aead_cipher cipher)
{
	if (is_off)
		return false;
	return cipher == AEAD_AES_256_GCM ? serves_gcm
					  : cipher == AEAD_CHACHA20_POLY1305 && serves_chacha;
}
