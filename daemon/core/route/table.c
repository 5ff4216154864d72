#include "daemon/core/route/table.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES_LIMIT ((size_t)1 << 24)
#define FIRST_SLOTS	  16
#define LENGTHS		  129

/* An address cut to a prefix's length, as two numbers: what is hashed and compared. */
struct key {
	uint64_t high, low;
	uint8_t family; /* NETADDR_NONE: the slot is free */
	uint8_t length_bits;
};

struct entry {
	struct key key;
	uint32_t target;
};

/* Which prefix lengths of one family occur, longest first, and how often. */
struct lengths {
	uint32_t uses[LENGTHS];
	uint8_t list[LENGTHS];
	size_t count;
};

struct route_table {
	struct entry *slots; /* open addressing, linear probing, at most half full */
	size_t slot_count;   /* a power of two */
	size_t count;
	size_t max_entries;
	struct lengths ip4, ip6;
};

static uint64_t load_u64be(const uint8_t *b)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

/* The first @bits bits of 64; @bits may be above 64 or below 0. */
static uint64_t mask_of(int bits)
{
	return bits <= 0 ? 0 : bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits);
}

static struct key key_cut(const struct key *whole, uint8_t length_bits)
{
	return (struct key){
		.high = whole->high & mask_of(length_bits),
		.low = whole->low & mask_of(length_bits - 64),
		.family = whole->family,
		.length_bits = length_bits,
	};
}

static struct key key_of(uint8_t family, const uint8_t ip[static 16], uint8_t length_bits)
{
	return (struct key){
		.high = load_u64be(ip),
		.low = load_u64be(ip + 8),
		.family = family,
		.length_bits = length_bits,
	};
}

static bool key_equal(const struct key *a, const struct key *b)
{
	return a->high == b->high && a->low == b->low && a->family == b->family &&
	       a->length_bits == b->length_bits;
}

static size_t key_hash(const struct key *k)
{
	uint64_t h = k->high * 0x9e3779b97f4a7c15u;

	h = (h ^ (h >> 32) ^ k->low) * 0xd6e8feb86659fd93u;
	h = (h ^ (h >> 32) ^ k->length_bits ^ (uint64_t)k->family << 8) * 0xd6e8feb86659fd93u;
	return (size_t)(h ^ (h >> 32));
}

static uint8_t max_length(uint8_t family)
{
	return family == NETADDR_IP4 ? 32 : 128;
}

static struct lengths *lengths_of(struct route_table *t, uint8_t family)
{
	return family == NETADDR_IP4 ? &t->ip4 : &t->ip6;
}

static void lengths_add(struct lengths *l, uint8_t length_bits)
{
	size_t at = 0;

	if (l->uses[length_bits]++)
		return;
	while (at < l->count && l->list[at] > length_bits)
		at++;
	memmove(&l->list[at + 1], &l->list[at], l->count - at);
	l->list[at] = length_bits;
	l->count++;
}

static void lengths_remove(struct lengths *l, uint8_t length_bits)
{
	size_t at = 0;

	if (--l->uses[length_bits])
		return;
	while (l->list[at] != length_bits)
		at++;
	l->count--;
	memmove(&l->list[at], &l->list[at + 1], l->count - at);
}

/* The slot of @k, or the free one where it belongs. */
static struct entry *slot_find(const struct route_table *t, const struct key *k)
{
	size_t mask = t->slot_count - 1;
	size_t at = key_hash(k) & mask;

	while (t->slots[at].key.family != NETADDR_NONE && !key_equal(&t->slots[at].key, k))
		at = (at + 1) & mask;
	return &t->slots[at];
}

static enum err table_grow(struct route_table *t)
{
	struct route_table bigger = {.slot_count = t->slot_count * 2};

	bigger.slots = calloc(bigger.slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < t->slot_count; i++) {
		if (t->slots[i].key.family != NETADDR_NONE)
			*slot_find(&bigger, &t->slots[i].key) = t->slots[i];
	}
	free(t->slots);
	t->slots = bigger.slots;
	t->slot_count = bigger.slot_count;
	return OK;
}

enum err route_table_create(struct route_table **ret, size_t max_entries)
{
	struct route_table *t;

	if (max_entries == 0 || max_entries > MAX_ENTRIES_LIMIT)
		return ERR_INVALID;
	t = calloc(1, sizeof(*t));
	if (!t)
		return ERR_NO_MEMORY;
	t->slot_count = FIRST_SLOTS;
	t->max_entries = max_entries;
	t->slots = calloc(t->slot_count, sizeof(*t->slots));
	if (!t->slots) {
		free(t);
		return ERR_NO_MEMORY;
	}
	*ret = t;
	return OK;
}

void route_table_destroy(struct route_table *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t);
}

enum err route_table_clone(struct route_table **ret, const struct route_table *t)
{
	struct route_table *copy = malloc(sizeof(*copy));

	if (!copy)
		return ERR_NO_MEMORY;
	*copy = *t;
	copy->slots = malloc(t->slot_count * sizeof(*t->slots));
	if (!copy->slots) {
		free(copy);
		return ERR_NO_MEMORY;
	}
	memcpy(copy->slots, t->slots, t->slot_count * sizeof(*t->slots));
	*ret = copy;
	return OK;
}

/* Return: false when @prefix is not well formed. */
static bool key_from_prefix(const struct netprefix *prefix, struct key *ret)
{
	struct key whole = key_of(prefix->family, prefix->ip, prefix->length_bits);
	struct key cut;

	if (prefix->family != NETADDR_IP4 && prefix->family != NETADDR_IP6)
		return false;
	if (prefix->length_bits > max_length(prefix->family))
		return false;
	cut = key_cut(&whole, prefix->length_bits);
	if (!key_equal(&cut, &whole))
		return false;
	*ret = cut;
	return true;
}

enum err route_table_add(struct route_table *t, const struct netprefix *prefix, uint32_t target)
{
	struct key key;
	struct entry *slot;

	if (!key_from_prefix(prefix, &key))
		return ERR_INVALID;
	if (target > ROUTE_MAX_PEER && target != ROUTE_SELF && target != ROUTE_UNRESOLVED)
		return ERR_INVALID;
	slot = slot_find(t, &key);
	if (slot->key.family != NETADDR_NONE)
		return slot->target == target ? OK : ERR_EXISTS;
	if (t->count == t->max_entries)
		return ERR_LIMIT;
	if ((t->count + 1) * 2 > t->slot_count) {
		enum err e = table_grow(t);

		if (e)
			return e;
		slot = slot_find(t, &key);
	}
	*slot = (struct entry){.key = key, .target = target};
	t->count++;
	lengths_add(lengths_of(t, key.family), key.length_bits);
	return OK;
}

/* Frees @slot and moves later entries of its run up, so that no probe ends too early. */
static void slot_remove(struct route_table *t, struct entry *slot)
{
	size_t mask = t->slot_count - 1;
	size_t hole = (size_t)(slot - t->slots);

	t->count--;
	lengths_remove(lengths_of(t, slot->key.family), slot->key.length_bits);
	for (size_t at = (hole + 1) & mask; t->slots[at].key.family != NETADDR_NONE;
	     at = (at + 1) & mask) {
		size_t home = key_hash(&t->slots[at].key) & mask;

		/* An entry may move to the hole when its home is not between the two. */
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			t->slots[hole] = t->slots[at];
			hole = at;
		}
	}
	memset(&t->slots[hole], 0, sizeof(t->slots[hole]));
}

enum err route_table_remove(struct route_table *t, const struct netprefix *prefix)
{
	struct key key;
	struct entry *slot;

	if (!key_from_prefix(prefix, &key))
		return ERR_NOT_FOUND;
	slot = slot_find(t, &key);
	if (slot->key.family == NETADDR_NONE)
		return ERR_NOT_FOUND;
	slot_remove(t, slot);
	return OK;
}

void route_table_remove_target(struct route_table *t, uint32_t target)
{
	size_t at = 0;

	/* A removal moves entries of the same run into this slot and later ones, or, those that
	 * wrapped around and were looked at already, anywhere. So none is missed when this slot is
	 * looked at again. */
	while (at < t->slot_count) {
		if (t->slots[at].key.family == NETADDR_NONE || t->slots[at].target != target) {
			at++;
			continue;
		}
		slot_remove(t, &t->slots[at]);
	}
}

uint32_t route_table_lookup(const struct route_table *t, const struct netaddr *addr)
{
	const struct lengths *l = addr->family == NETADDR_IP4 ? &t->ip4 : &t->ip6;
	struct key whole;

	if (addr->family != NETADDR_IP4 && addr->family != NETADDR_IP6)
		return ROUTE_NONE;
	whole = key_of(addr->family, addr->ip, max_length(addr->family));
	for (size_t i = 0; i < l->count; i++) {
		struct key key = key_cut(&whole, l->list[i]);
		const struct entry *slot = slot_find(t, &key);

		if (slot->key.family != NETADDR_NONE)
			return slot->target;
	}
	return ROUTE_NONE;
}

size_t route_table_count(const struct route_table *t)
{
	return t->count;
}
