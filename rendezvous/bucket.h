/*
 * Token bucket as one number: the time at which the bucket would be full again (GCRA). A zeroed
 * bucket is full.
 */
#ifndef ICETUN_RENDEZVOUS_BUCKET_H
#define ICETUN_RENDEZVOUS_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t full_at_us;
};

struct bucket_rate {
	uint64_t interval_us; /* one token comes back in this time */
	uint32_t burst;	      /* tokens in a full bucket, at least 1 */
};

/* Return: how long to wait until a token is there, 0 when one is. */
static inline uint64_t bucket_wait_us(const struct bucket *b, uint64_t now_us,
				      const struct bucket_rate *rate)
{
	uint64_t used_us = b->full_at_us > now_us ? b->full_at_us - now_us : 0;
	uint64_t room_us = rate->interval_us * (rate->burst - 1);

	return used_us > room_us ? used_us - room_us : 0;
}

/* Takes one token. Return: false when there is none; then nothing is taken. */
static inline bool bucket_take(struct bucket *b, uint64_t now_us, const struct bucket_rate *rate)
{
	if (bucket_wait_us(b, now_us, rate))
		return false;
	b->full_at_us = (b->full_at_us > now_us ? b->full_at_us : now_us) + rate->interval_us;
	return true;
}

#endif
