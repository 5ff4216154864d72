/*
 * Time in the core is an argument: microseconds of a monotonic clock whose zero means nothing.
 * Deadlines are absolute times of the same clock; DEADLINE_NONE means that nothing is scheduled.
 * Wall-clock time appears only where certificates and stamps need it, as `unix_s` or `unix_us`.
 */
#ifndef ICETUN_BASE_TIME_H
#define ICETUN_BASE_TIME_H

#include <stdint.h>

#define DEADLINE_NONE UINT64_MAX
#define US_PER_MS     1000ULL
#define US_PER_S      1000000ULL

static inline uint64_t deadline_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
