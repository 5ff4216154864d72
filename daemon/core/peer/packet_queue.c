#include "daemon/core/peer/packet_queue.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/peer/overlay.h"

struct slot {
	uint32_t next; /* slot number + 1, 0 = none */
	uint32_t len;
};

struct packet_pool {
	struct slot *slots;
	uint8_t *bytes;
	size_t slot_bytes;
	uint32_t free;
};

enum err packet_pool_create(struct packet_pool **ret, uint32_t slots, size_t slot_bytes)
{
	struct packet_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return ERR_NO_MEMORY;
	p->slots = calloc(slots ? slots : 1, sizeof(*p->slots));
	p->bytes = calloc(slots ? slots : 1, slot_bytes);
	if (!p->slots || !p->bytes) {
		packet_pool_destroy(p);
		return ERR_NO_MEMORY;
	}
	p->slot_bytes = slot_bytes;
	for (uint32_t i = slots; i > 0; i--) {
		p->slots[i - 1].next = p->free;
		p->free = i;
	}
	*ret = p;
	return OK;
}

void packet_pool_destroy(struct packet_pool *p)
{
	if (!p)
		return;
	free(p->slots);
	free(p->bytes);
	free(p);
}

static void append(struct packet_pool *p, struct packet_list *list, uint32_t n)
{
	p->slots[n - 1].next = 0;
	if (list->tail)
		p->slots[list->tail - 1].next = n;
	else
		list->head = n;
	list->tail = n;
	list->count++;
}

/* Return: the first slot of a list that is not empty. */
static uint32_t take(const struct packet_pool *p, struct packet_list *list)
{
	uint32_t n = list->head;

	list->head = p->slots[n - 1].next;
	if (!list->head)
		list->tail = 0;
	list->count--;
	return n;
}

enum err packet_push(struct packet_pool *p, struct packet_list *list, const uint8_t *packet,
		     size_t len)
{
	uint32_t n = p->free;

	if (len > p->slot_bytes)
		return DROP_TOO_LONG;
	if (n == 0 || list->count >= OVERLAY_QUEUE_PACKETS)
		return DROP_QUEUE_FULL;
	p->free = p->slots[n - 1].next;
	p->slots[n - 1] = (struct slot){.len = (uint32_t)len};
	memcpy(p->bytes + (n - 1) * p->slot_bytes, packet, len);
	append(p, list, n);
	return OK;
}

void packet_move(struct packet_pool *p, struct packet_list *to, struct packet_list *from)
{
	while (from->head && to->count < OVERLAY_QUEUE_PACKETS)
		append(p, to, take(p, from));
}

const uint8_t *packet_peek(const struct packet_pool *p, const struct packet_list *list,
			   size_t *ret_len)
{
	if (!list->head)
		return NULL;
	*ret_len = p->slots[list->head - 1].len;
	return p->bytes + (list->head - 1) * p->slot_bytes;
}

void packet_pop(struct packet_pool *p, struct packet_list *list)
{
	uint32_t n;

	if (!list->head)
		return;
	n = take(p, list);
	p->slots[n - 1].next = p->free;
	p->free = n;
}

uint32_t packet_clear(struct packet_pool *p, struct packet_list *list)
{
	uint32_t n = list->count;

	while (list->head)
		packet_pop(p, list);
	return n;
}
