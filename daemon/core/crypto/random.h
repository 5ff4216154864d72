/* The two sources of randomness (see base/random.h for how they are used). */
#ifndef ICETUN_CRYPTO_RANDOM_H
#define ICETUN_CRYPTO_RANDOM_H

#include "daemon/core/base/random.h"

/* The operating system's generator. */
struct random_source random_system(void);

/* A stream that depends on the seed only: ChaCha20 keyed by it. For tests and the simulator. */
struct random_seeded {
	uint8_t key[32];
	uint64_t blocks;
};

void random_seeded_init(struct random_seeded *s, uint64_t seed);
/* @s must outlive the source. */
struct random_source random_seeded_source(struct random_seeded *s);

#endif
