/*
 * Randomness is handed to each core object at its creation, so that a test can replay a run.
 * The real source is `random_system()` in core/crypto; the replayable one is
 * `random_seeded_init()`.
 */
#ifndef ICETUN_BASE_RANDOM_H
#define ICETUN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
	/* Fills @buf with @len unpredictable bytes. Cannot fail. */
	void (*fill)(void *ctx, void *buf, size_t len);
	void *ctx;
};

static inline void random_bytes(const struct random_source *r, void *buf, size_t len)
{
	r->fill(r->ctx, buf, len);
}

static inline uint32_t random_u32(const struct random_source *r)
{
	uint32_t v;

	random_bytes(r, &v, sizeof(v));
	return v;
}

static inline uint64_t random_u64(const struct random_source *r)
{
	uint64_t v;

	random_bytes(r, &v, sizeof(v));
	return v;
}

/* A number in [0, @bound), @bound > 0. The bias is below bound / 2^64. */
static inline uint32_t random_below(const struct random_source *r, uint32_t bound)
{
	return (uint32_t)(random_u64(r) % bound);
}

#endif
