#include "tests/lab/tools/link.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fifo.h"
#include "daemon/core/crypto/random.h"

/* What stands before the bytes of a frame. */
struct head {
	uint64_t due_us;
	uint64_t number;
};

struct frame {
	bool present;
	uint32_t awaits; /* a held one: how many more are to leave before it */
	struct head head;
	size_t len;
	uint8_t bytes[LINK_FRAME_BYTES];
};

struct link {
	struct link_settings settings;
	struct random_seeded seeded;
	struct random_source random;
	struct fifo fifo;   /* in the order in which they leave */
	struct frame first; /* the head of the fifo, taken out to know its time */
	struct frame held[LINK_HELD_MAX];
	uint64_t last_number;
	uint64_t last_due_us;
	uint64_t free_ns; /* when the wire has sent everything that waits */
	bool losing;
	uint64_t counts[LINK_FATES];
};

/* The choices for one frame. */
struct luck {
	uint32_t loss, duplicate, reorder, jitter;
};

enum err link_create(struct link **ret, uint64_t seed)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l || fifo_init(&l->fifo, LINK_MEMORY_BYTES) != OK) {
		free(l);
		return ERR_NO_MEMORY;
	}
	random_seeded_init(&l->seeded, seed);
	l->random = random_seeded_source(&l->seeded);
	*ret = l;
	return OK;
}

void link_destroy(struct link *l)
{
	if (!l)
		return;
	fifo_fini(&l->fifo);
	free(l);
}

void link_set(struct link *l, const struct link_settings *settings)
{
	l->settings = *settings;
}

const struct link_settings *link_settings(const struct link *l)
{
	return &l->settings;
}

static bool chance(uint32_t luck, uint64_t ppm)
{
	return luck % LINK_ALL_PPM < ppm;
}

static bool is_lost(struct link *l, uint32_t luck)
{
	uint64_t loss = l->settings.loss_ppm, run = l->settings.loss_run;

	if (run <= 1 || loss == 0 || loss >= LINK_ALL_PPM)
		return chance(luck, loss);
	/* The share of time in the losing state is to be `loss`, its mean length `run`. */
	if (l->losing)
		l->losing = !chance(luck, LINK_ALL_PPM / run);
	else
		l->losing = chance(luck, loss * LINK_ALL_PPM / (run * (LINK_ALL_PPM - loss)));
	return l->losing;
}

/* Puts @len bytes on the wire. Return: false when they would wait in vain, else when they are
 * sent. */
static bool wait_for_wire(struct link *l, uint64_t now_us, size_t len, uint64_t *ret_us)
{
	uint64_t rate = l->settings.rate_bps, now_ns = now_us * 1000, waiting_bytes;
	uint32_t limit = l->settings.queue_bytes ? l->settings.queue_bytes : LINK_QUEUE_BYTES;

	*ret_us = now_us;
	if (rate == 0)
		return true;
	if (l->free_ns < now_ns)
		l->free_ns = now_ns;
	waiting_bytes = (uint64_t)((double)(l->free_ns - now_ns) * (double)rate / 8e9);
	if (waiting_bytes + len > limit)
		return false;
	l->free_ns += len * 8 * 1000000000 / rate;
	*ret_us = l->free_ns / 1000;
	return true;
}

static struct frame *free_place(struct link *l)
{
	for (size_t i = 0; i < LINK_HELD_MAX; i++) {
		if (!l->held[i].present)
			return &l->held[i];
	}
	return NULL;
}

/* Keeps the head of the fifo in `first`. */
static void refill(struct link *l)
{
	struct frame *f = &l->first;

	if (!f->present)
		f->present = fifo_pop(&l->fifo, &f->head, sizeof(f->head), f->bytes,
				      sizeof(f->bytes), &f->len);
}

static enum link_fate enter(struct link *l, uint64_t now_us, const uint8_t *frame, size_t len)
{
	const struct link_settings *s = &l->settings;
	struct frame *place;
	struct luck luck;
	struct head head;
	bool twice;

	random_bytes(&l->random, &luck, sizeof(luck));
	if (len > LINK_FRAME_BYTES)
		return LINK_TOO_LONG;
	if (is_lost(l, luck.loss))
		return LINK_LOST;
	if (!wait_for_wire(l, now_us, len, &head.due_us))
		return LINK_QUEUE_FULL;
	head.due_us += s->delay_us + (uint64_t)luck.jitter * s->jitter_us / UINT32_MAX;
	if (head.due_us < l->last_due_us)
		head.due_us = l->last_due_us;
	head.number = ++l->last_number;

	place = chance(luck.reorder, s->reorder_ppm) ? free_place(l) : NULL;
	if (place) {
		place->present = true;
		place->awaits = s->reorder_by ? s->reorder_by : 1;
		place->head.due_us = head.due_us + LINK_HOLD_US;
		place->head.number = head.number;
		place->len = len;
		memcpy(place->bytes, frame, len);
		return LINK_REORDERED;
	}
	if (fifo_push(&l->fifo, &head, sizeof(head), frame, len) != OK)
		return LINK_QUEUE_FULL;
	l->last_due_us = head.due_us;
	twice = chance(luck.duplicate, s->duplicate_ppm) &&
		fifo_push(&l->fifo, &head, sizeof(head), frame, len) == OK;
	refill(l);
	return twice ? LINK_DUPLICATED : LINK_PASSED;
}

enum link_fate link_input(struct link *l, uint64_t now_us, const uint8_t *frame, size_t len)
{
	enum link_fate fate = enter(l, now_us, frame, len);

	l->counts[fate]++;
	return fate;
}

/* What has been overtaken enough leaves now, the oldest first; else whose time comes first. */
static const struct frame *next_frame(const struct link *l, uint64_t *ret_us)
{
	const struct frame *best = l->first.present ? &l->first : NULL;

	*ret_us = best ? best->head.due_us : DEADLINE_NONE;
	for (size_t i = 0; i < LINK_HELD_MAX; i++) {
		const struct frame *f = &l->held[i];
		uint64_t due_us = f->awaits ? f->head.due_us : 0;

		if (!f->present || due_us > *ret_us ||
		    (due_us == *ret_us && f->head.number > best->head.number))
			continue;
		best = f;
		*ret_us = due_us;
	}
	return best;
}

/* The first of the fifo has left. */
static void overtake(struct link *l)
{
	uint64_t number = l->first.head.number;

	l->first.present = false;
	refill(l);
	if (l->first.present && l->first.head.number == number)
		return; /* its copy is still to come */
	for (size_t i = 0; i < LINK_HELD_MAX; i++) {
		struct frame *f = &l->held[i];

		if (f->present && f->awaits && f->head.number < number)
			f->awaits--;
	}
}

uint64_t link_next_deadline(const struct link *l)
{
	uint64_t due_us;

	next_frame(l, &due_us);
	return due_us;
}

bool link_pop(struct link *l, uint64_t now_us, uint8_t *buf, size_t *ret_len)
{
	uint64_t due_us;
	const struct frame *next = next_frame(l, &due_us);

	if (!next || due_us > now_us)
		return false;
	memcpy(buf, next->bytes, next->len);
	*ret_len = next->len;
	if (next == &l->first)
		overtake(l);
	else
		l->held[next - l->held].present = false;
	return true;
}

uint64_t link_count(const struct link *l, enum link_fate fate)
{
	return l->counts[fate];
}

const char *link_fate_name(enum link_fate fate)
{
	static const char *const names[LINK_FATES] = {
		[LINK_PASSED] = "passed",	  [LINK_DUPLICATED] = "duplicated",
		[LINK_REORDERED] = "reordered",	  [LINK_LOST] = "lost",
		[LINK_QUEUE_FULL] = "queue_full", [LINK_TOO_LONG] = "too_long",
	};

	return names[fate];
}
