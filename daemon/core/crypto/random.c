#include "daemon/core/crypto/random.h"

#include <sodium.h>
#include <string.h>

static void fill_system(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	randombytes_buf(buf, len);
}

struct random_source random_system(void)
{
	return (struct random_source){.fill = fill_system};
}

void random_seeded_init(struct random_seeded *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < 8; i++)
		s->key[i] = (uint8_t)(seed >> (8 * i));
}

static void fill_seeded(void *ctx, void *buf, size_t len)
{
	struct random_seeded *s = ctx;
	uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)(s->blocks >> (8 * i));
	s->blocks++;
	crypto_stream_chacha20(buf, len, nonce, s->key);
}

struct random_source random_seeded_source(struct random_seeded *s)
{
	return (struct random_source){.fill = fill_seeded, .ctx = s};
}
