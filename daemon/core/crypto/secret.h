/*
 * Memory for secrets, and comparing without telling where bytes differ.
 *
 * `crypto_start()` must have succeeded once, before any thread is made. Secrets live in memory from
 * `secret_alloc()`: locked, surrounded by guard pages, wiped when freed.
 */
#ifndef ICETUN_CRYPTO_SECRET_H
#define ICETUN_CRYPTO_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/base/err.h"

/* Initialises libsodium; may be called again. Who prepares keys for packets calls aead_start() as well.
 * Return: OK, ERR_CRYPTO. */
MUST_USE enum err crypto_start(void);

/* Return: @len zeroed bytes, or NULL. */
void *secret_alloc(size_t len);
/* Wipes and frees; NULL is fine. */
void secret_free(void *secret);
/* Overwrites @len bytes in a way the compiler does not drop. */
void secret_wipe(void *buf, size_t len);
/* In constant time. */
bool secret_equal(const void *a, const void *b, size_t len);

#endif
