#include "daemon/core/crypto/secret.h"

#include <sodium.h>
#include <stdint.h>
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

#define PAGE_BYTES 4096
/* libsodium's canary, at the end of the last page. */
#define CANARY_BYTES 16
/* Of one block: twice as many each time, for libsodium adds a page of its own to each. */
#define MAX_PAGES 16

struct list_node {
	struct list_node *next;
};

static void push(void **list, void *node)
{
	((struct list_node *)node)->next = *list;
	*list = node;
}

static void *pop(void **list)
{
	struct list_node *node = *list;

	if (node) {
		*list = node->next;
		node->next = NULL;
	}
	return node;
}

void secret_pool_init(struct secret_pool *p, size_t slot_bytes)
{
	*p = (struct secret_pool){.slot_bytes = (slot_bytes + 7) & ~(size_t)7, .pages = 1};
}

void secret_pool_fini(struct secret_pool *p)
{
	void *block;

	while ((block = pop(&p->blocks)) != NULL)
		secret_free(block);
	p->free = NULL;
}

void *secret_pool_get(struct secret_pool *p)
{
	size_t bytes = p->pages * PAGE_BYTES - CANARY_BYTES;
	uint8_t *block;

	if (p->free)
		return pop(&p->free);
	block = secret_alloc(bytes);
	if (!block)
		return NULL;
	if (p->pages < MAX_PAGES)
		p->pages *= 2;
	push(&p->blocks, block);
	for (size_t at = sizeof(struct list_node); at + p->slot_bytes <= bytes; at += p->slot_bytes)
		push(&p->free, block + at);
	return pop(&p->free);
}

void secret_pool_put(struct secret_pool *p, void *slot)
{
	if (!slot)
		return;
	sodium_memzero(slot, p->slot_bytes);
	push(&p->free, slot);
}

void secret_wipe(void *buf, size_t len)
{
	sodium_memzero(buf, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
