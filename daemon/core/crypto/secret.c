#include "daemon/core/crypto/secret.h"

#include <sodium.h>
#include <string.h>

enum err crypto_start(void)
{
	return sodium_init() < 0 ? ERR_CRYPTO : OK;
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
