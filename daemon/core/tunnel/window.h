/*
 * The replay window of one lane: which packet numbers were seen. Any number of threads may use one
 * window at a time, without a lock.
 *
 * A ring of blocks. One block is one 64-bit word: which 32 numbers it stands for (number / 32, in
 * the upper half), and a bit for each of them that was seen. A number's block has one place in the
 * ring, which holds the highest block that came by there. So a number is
 *
 *	refused when its block is lower than the one in its place: too old to be told from a replay;
 *	refused when the block is its own and its bit is set: a replay;
 *	taken otherwise; then one compare-and-swap of the word moves the place on and sets the bit.
 *
 * Each word only ever grows, first by block, then by bits, so a number is taken once, whatever
 * threads do at the same time: of two that bring the same packet, one swaps first, and the other
 * one finds the bit. Nothing is shared but the word, and there is no "highest number" to be kept.
 *
 * All of the last TUNNEL_WINDOW_PACKETS numbers are remembered. Older ones are as long as nothing
 * has come by their place.
 *
 * Asking and telling are apart, because a packet is asked about before it is authenticated and only
 * an authentic one may move the window:
 *
 *	if (tunnel_window_check(w, number) != OK) return DROP_REPLAY;
 *	if (packet does not open) return DROP_DECRYPT;
 *	return tunnel_window_commit(w, number);
 *
 * A window of zeros has seen nothing.
 *
 * The first TUNNEL_WINDOW_FIRST numbers of a lane have a bit each in a `struct
 * tunnel_window_first`, which is the whole window of the many lanes that never send more: no ring
 * is needed for them. Such a number is never too old.
 */
#ifndef ICETUN_TUNNEL_WINDOW_H
#define ICETUN_TUNNEL_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

#define TUNNEL_WINDOW_BLOCK_BITS 32
#define TUNNEL_WINDOW_BLOCKS	 256
#define TUNNEL_WINDOW_BITS	 (TUNNEL_WINDOW_BLOCKS * TUNNEL_WINDOW_BLOCK_BITS)
#define TUNNEL_WINDOW_PACKETS	 (TUNNEL_WINDOW_BITS - TUNNEL_WINDOW_BLOCK_BITS + 1)
/* Numbers are below this: a block's number has 32 bits. */
#define TUNNEL_WINDOW_NUMBERS (1ULL << 37)

struct tunnel_window {
	_Atomic uint64_t blocks[TUNNEL_WINDOW_BLOCKS];
};

/* Numbers below this are in the first window alone. */
#define TUNNEL_WINDOW_FIRST 512

struct tunnel_window_first {
	_Atomic uint64_t words[TUNNEL_WINDOW_FIRST / 64];
};

/* As the two below, for numbers below TUNNEL_WINDOW_FIRST. */
MUST_USE enum err tunnel_window_first_check(const struct tunnel_window_first *w, uint64_t number);
MUST_USE enum err tunnel_window_first_commit(struct tunnel_window_first *w, uint64_t number);

/* Return: OK when @number was not seen and is not too old; DROP_REPLAY. */
MUST_USE enum err tunnel_window_check(const struct tunnel_window *w, uint64_t number);
/* Takes @number. Return: OK; DROP_REPLAY when it was taken, or has become too old, since it was
 * asked about. */
MUST_USE enum err tunnel_window_commit(struct tunnel_window *w, uint64_t number);

#endif
