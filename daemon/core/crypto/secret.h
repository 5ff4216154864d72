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

/* Initialises libsodium; may be called again. Who prepares keys for packets calls aead_start() as
 * well.
 * Return: OK, ERR_CRYPTO. */
MUST_USE enum err crypto_start(void);

/* Return: @len zeroed bytes, or NULL. */
void *secret_alloc(size_t len);
/* Wipes and frees; NULL is fine. */
void secret_free(void *secret);
/*
 * Many small secrets of one size. A block of secret_alloc() takes two pages more than its own and
 * four mappings, of which a process has 65,530; here one block holds many secrets: a page full of
 * them at first, later up to 16 pages. Blocks are kept until the pool ends.
 */
struct secret_pool {
	size_t slot_bytes;
	size_t pages;	     /* of the next block */
	void *blocks, *free; /* lists */
};

/* @slot_bytes: 8 to 2,048; it is rounded up to a multiple of 8. */
void secret_pool_init(struct secret_pool *p, size_t slot_bytes);
/* Also of a pool of zeros. Every slot must have been given back. */
void secret_pool_fini(struct secret_pool *p);
/* Return: a slot of zeros, or NULL. */
void *secret_pool_get(struct secret_pool *p);
/* Wipes; NULL is fine. */
void secret_pool_put(struct secret_pool *p, void *slot);

/* Overwrites @len bytes in a way the compiler does not drop. */
void secret_wipe(void *buf, size_t len);
/* In constant time. */
bool secret_equal(const void *a, const void *b, size_t len);

#endif
