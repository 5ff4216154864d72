/*
 * The replay window as one would write it without thinking of speed: a set of all numbers seen, and
 * the highest block at each place.
 *
 * Used by the unit test and the fuzz target, which hold the real window to it. Numbers are below
 * WINDOW_MODEL_NUMBERS; tests that want others add an offset that is a multiple of the ring.
 */
#ifndef ICETUN_TESTS_WINDOW_MODEL_H
#define ICETUN_TESTS_WINDOW_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/tunnel/window.h"

#define WINDOW_MODEL_NUMBERS (1u << 17)

struct window_model {
	uint32_t highest_block[TUNNEL_WINDOW_BLOCKS]; /* that came by this place */
	bool seen[WINDOW_MODEL_NUMBERS];
};

static inline void window_model_init(struct window_model *m)
{
	memset(m, 0, sizeof(*m));
}

/* Return: whether the packet is to be taken; then it counts as seen. */
static inline bool window_model_take(struct window_model *m, uint32_t number)
{
	uint32_t block = number / TUNNEL_WINDOW_BLOCK_BITS;
	uint32_t *highest = &m->highest_block[block % TUNNEL_WINDOW_BLOCKS];

	if (m->seen[number] || *highest > block)
		return false;
	m->seen[number] = true;
	*highest = block;
	return true;
}

#endif
