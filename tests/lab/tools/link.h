/*
 * One direction of a network link, in virtual time: what happens to each frame between its entry
 * and its exit. The program lab_link puts two of them between two devices.
 *
 * A frame goes through these, in this order:
 *
 *	loss       lost with some probability, alone or in runs (Gilbert's two states: with a mean
 *	           run of b frames, a loss is followed by another with probability 1 - 1/b)
 *	queue      waits for the frames before it, each of which takes len * 8 / rate; dropped when
 *	           more than queue_bytes would wait
 *	delay      delay, and at random up to jitter more; the order is kept
 *	duplicate  a copy follows at once
 *	reorder    held back until reorder_by later frames have left, LINK_HOLD_US at most
 *
 * The frames of one direction and its seed decide everything: each frame takes the same amount of
 * randomness whatever the settings are, so changing one of them moves no other.
 *
 * Time and frames go in, frames and a deadline come out, as with the objects of daemon/core. Memory
 * is bounded at creation.
 */
#ifndef ICETUN_LAB_LINK_H
#define ICETUN_LAB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/time.h"

#define LINK_FRAME_BYTES  2048
#define LINK_MEMORY_BYTES (32u << 20)
#define LINK_HOLD_US	  (50 * US_PER_MS)
#define LINK_HELD_MAX	  32
#define LINK_ALL_PPM	  1000000u

/* Probabilities in parts of a million. Zeroes throughout: a perfect cable. */
struct link_settings {
	uint32_t delay_us;
	uint32_t jitter_us;
	uint32_t loss_ppm;
	uint32_t loss_run; /* mean number of frames lost in a row; 0 and 1: each for itself */
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm;
	uint32_t reorder_by;  /* frames; 0 counts as 1 */
	uint64_t rate_bps;    /* 0: unlimited, and queue_bytes does not count */
	uint32_t queue_bytes; /* 0: LINK_QUEUE_BYTES */
};
#define LINK_QUEUE_BYTES 262144u

enum link_fate {
	LINK_PASSED,
	LINK_DUPLICATED,
	LINK_REORDERED,
	LINK_LOST,
	LINK_QUEUE_FULL,
	LINK_TOO_LONG,
	LINK_FATES
};

struct link;

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err link_create(struct link **ret, uint64_t seed);
void link_destroy(struct link *l);

/* Frames already under way keep their time; later ones do not overtake them. */
void link_set(struct link *l, const struct link_settings *settings);
const struct link_settings *link_settings(const struct link *l);

/* A frame enters at @now_us, which never goes back. Return: what becomes of it, counted. */
enum link_fate link_input(struct link *l, uint64_t now_us, const uint8_t *frame, size_t len);

/* When the next frame leaves; DEADLINE_NONE when none is under way. */
uint64_t link_next_deadline(const struct link *l);

/* Takes out the next frame that is due at @now_us. @buf: LINK_FRAME_BYTES. Return: false when there
 * is none. */
bool link_pop(struct link *l, uint64_t now_us, uint8_t *buf, size_t *ret_len);

/* Frames that entered, by fate. */
uint64_t link_count(const struct link *l, enum link_fate fate);
const char *link_fate_name(enum link_fate fate);

#endif
