/*
 * The replay window of one lane: which packet numbers were seen (RFC 6479).
 *
 * A ring of bits around the highest number so far. Moving the window clears whole words and shifts
 * nothing, at the price of one word: of TUNNEL_WINDOW_BITS bits, TUNNEL_WINDOW_PACKETS numbers are
 * remembered. A number above the highest is new; one of the last TUNNEL_WINDOW_PACKETS is new when
 * its bit is clear; anything older is refused, for it cannot be told from a replay.
 *
 * Asking and telling are apart, because a packet is asked about before it is authenticated and only
 * an authentic one may move the window:
 *
 *	if (tunnel_window_check(w, number) != OK) return DROP_REPLAY;
 *	if (packet does not open) return DROP_DECRYPT;
 *	tunnel_window_commit(w, number);
 *
 * A window of zeros has seen nothing.
 */
#ifndef ICETUN_TUNNEL_WINDOW_H
#define ICETUN_TUNNEL_WINDOW_H

#include <stdint.h>

#include "daemon/core/base/err.h"

#define TUNNEL_WINDOW_BITS    8192
#define TUNNEL_WINDOW_PACKETS (TUNNEL_WINDOW_BITS - 64)

struct tunnel_window {
	uint64_t next; /* highest number seen, plus one; 0 = none */
	uint64_t words[TUNNEL_WINDOW_BITS / 64];
};

/* Return: OK when @number (below UINT64_MAX) was not seen and is not too old; DROP_REPLAY. */
MUST_USE enum err tunnel_window_check(const struct tunnel_window *w, uint64_t number);
/* Marks @number, for which tunnel_window_check() has just returned OK. */
void tunnel_window_commit(struct tunnel_window *w, uint64_t number);

#endif
