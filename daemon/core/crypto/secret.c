#include "daemon/core/crypto/secret.h"

#include <sodium.h>
#include <string.h>

#include "daemon/core/crypto/aead_mb.h"

enum err crypto_start(void)
{
	if (sodium_init() < 0)
		return ERR_CRYPTO;
	aead_mb_start();
	return OK;
}

void *secret_alloc(size_t len)
{
	void *p = sodium_malloc(len);

	if (p)
		memset(p, 0, len);
	return p;
}

void secret_free(void *secret)
{
	sodium_free(secret);
}

void secret_wipe(void *buf, size_t len)
{
	sodium_memzero(buf, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
