#include "daemon/core/tunnel/window.h"

#include <stddef.h>
#include <string.h>

#define WORD_BITS  64
#define WORD_COUNT (TUNNEL_WINDOW_BITS / WORD_BITS)

_Static_assert((WORD_COUNT & (WORD_COUNT - 1)) == 0, "the ring has a power of two of words");
_Static_assert(TUNNEL_WINDOW_PACKETS == TUNNEL_WINDOW_BITS - WORD_BITS, "one word is the margin");

static size_t word_of(uint64_t number)
{
	return (size_t)(number / WORD_BITS % WORD_COUNT);
}

static uint64_t bit_of(uint64_t number)
{
	return 1ULL << (number % WORD_BITS);
}

enum err tunnel_window_check(const struct tunnel_window *w, uint64_t number)
{
	if (number >= w->next)
		return OK;
	if (w->next - number > TUNNEL_WINDOW_PACKETS)
		return DROP_REPLAY;
	return w->words[word_of(number)] & bit_of(number) ? DROP_REPLAY : OK;
}

void tunnel_window_commit(struct tunnel_window *w, uint64_t number)
{
	if (number >= w->next) {
		uint64_t to = number / WORD_BITS;
		/* The word of the highest number so far is in use; of an empty window, none is. */
		uint64_t from = w->next ? (w->next - 1) / WORD_BITS + 1 : 0;

		if (to >= from && to - from >= WORD_COUNT)
			memset(w->words, 0, sizeof(w->words));
		else
			for (uint64_t word = from; word <= to; word++)
				w->words[word % WORD_COUNT] = 0;
		w->next = number + 1;
	}
	w->words[word_of(number)] |= bit_of(number);
}
