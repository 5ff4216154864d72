#include "daemon/core/tunnel/window.h"

_Static_assert((TUNNEL_WINDOW_BLOCKS & (TUNNEL_WINDOW_BLOCKS - 1)) == 0, "a ring");

enum err tunnel_window_first_check(const struct tunnel_window_first *w, uint64_t number)
{
	uint64_t word = atomic_load_explicit(&w->words[number / 64], memory_order_relaxed);

	return word >> number % 64 & 1 ? DROP_REPLAY : OK;
}

enum err tunnel_window_first_commit(struct tunnel_window_first *w, uint64_t number)
{
	uint64_t bit = 1ULL << number % 64;

	return atomic_fetch_or_explicit(&w->words[number / 64], bit, memory_order_relaxed) & bit
		       ? DROP_REPLAY
		       : OK;
}

static uint64_t block_of(uint64_t number)
{
	return number / TUNNEL_WINDOW_BLOCK_BITS;
}

static uint64_t bit_of(uint64_t number)
{
	return 1ULL << (number % TUNNEL_WINDOW_BLOCK_BITS);
}

/* Return: whether a place that holds @word has no room for @number. */
static bool is_seen(uint64_t word, uint64_t number)
{
	uint64_t held = word >> TUNNEL_WINDOW_BLOCK_BITS;

	return held > block_of(number) || (held == block_of(number) && (word & bit_of(number)));
}

enum err tunnel_window_check(const struct tunnel_window *w, uint64_t number)
{
	const _Atomic uint64_t *place = &w->blocks[block_of(number) % TUNNEL_WINDOW_BLOCKS];

	if (number >= TUNNEL_WINDOW_NUMBERS)
		return DROP_REPLAY;
	return is_seen(atomic_load_explicit(place, memory_order_relaxed), number) ? DROP_REPLAY
										  : OK;
}

enum err tunnel_window_commit(struct tunnel_window *w, uint64_t number)
{
	_Atomic uint64_t *place = &w->blocks[block_of(number) % TUNNEL_WINDOW_BLOCKS];
	uint64_t word = atomic_load_explicit(place, memory_order_relaxed), next;

	if (number >= TUNNEL_WINDOW_NUMBERS)
		return DROP_REPLAY;
	do {
		if (is_seen(word, number))
			return DROP_REPLAY;
		next = word;
		if (word >> TUNNEL_WINDOW_BLOCK_BITS != block_of(number))
			next = block_of(number) << TUNNEL_WINDOW_BLOCK_BITS;
		next |= bit_of(number);
		/* Nothing else is published by this word, so no order is needed. */
	} while (!atomic_compare_exchange_weak_explicit(place, &word, next, memory_order_relaxed,
							memory_order_relaxed));
	return OK;
}
