/*
 * The replay window as one would write it without thinking of speed: a set of all numbers seen.
 *
 * Used by the unit test and the fuzz target, which hold the real window to it. Numbers are below
 * WINDOW_MODEL_NUMBERS; tests that want others add an offset that is a multiple of the ring.
 */
#ifndef ICETUN_TESTS_WINDOW_MODEL_H
#define ICETUN_TESTS_WINDOW_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/tunnel/window.h"

#define WINDOW_MODEL_NUMBERS (1u << 17)

struct window_model {
	bool any;
	uint32_t highest;
	bool seen[WINDOW_MODEL_NUMBERS];
};

/* Return: whether the packet is to be taken; then it counts as seen. */
static inline bool window_model_take(struct window_model *m, uint32_t number)
{
	if (m->seen[number] || (m->any && m->highest >= number + TUNNEL_WINDOW_PACKETS))
		return false;
	m->seen[number] = true;
	m->highest = m->any && m->highest > number ? m->highest : number;
	m->any = true;
	return true;
}

#endif
