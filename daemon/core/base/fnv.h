/* FNV-1a, for tables of names that strangers do not choose, and for comparing names by one
 * number. */
#ifndef ICETUN_BASE_FNV_H
#define ICETUN_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_SEED 14695981039346656037ULL

/* Continues from @h, which is FNV_SEED at first. */
static inline uint64_t fnv_hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 1099511628211ULL;
	return h;
}

#endif
