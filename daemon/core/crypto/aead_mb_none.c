/* In place of aead_mb.c where the library is not there. */
#include "daemon/core/crypto/aead_mb.h"

void aead_mb_start(void)
{
}

void aead_mb_enable(bool on)
{
	(void)on;
}

bool aead_mb_serves(enum aead_cipher cipher)
{
	(void)cipher;
	return false;
}

size_t aead_mb_bytes(enum aead_cipher cipher)
{
	(void)cipher;
	return 0;
}

void aead_mb_init(union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t key[static AEAD_KEY_BYTES])
{
	(void)a;
	(void)cipher;
	(void)key;
}

void aead_mb_seal(const union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad, size_t ad_len,
		  const uint8_t *in, size_t len, uint8_t *out)
{
	(void)a;
	(void)cipher;
	(void)nonce;
	(void)ad;
	(void)ad_len;
	(void)in;
	(void)len;
	(void)out;
}

bool aead_mb_open(const union aead_mb *a, enum aead_cipher cipher,
		  const uint8_t nonce[static AEAD_NONCE_BYTES], const uint8_t *ad, size_t ad_len,
		  const uint8_t *in, size_t len, uint8_t *out)
{
	(void)a;
	(void)cipher;
	(void)nonce;
	(void)ad;
	(void)ad_len;
	(void)in;
	(void)len;
	(void)out;
	return false;
}
