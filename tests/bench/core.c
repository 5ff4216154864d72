/*
 * What one packet costs in the core: nanoseconds to seal and to open it, for both ciphers; to cut
 * it from a superpacket and to join it to one (core_cut.c); to answer a check (core_check.c).
 *
 * Packets go through in place, in batches that stay in the cache, as the data plane does it. The
 * best of several rounds is printed, so that what else the machine does counts little. Build with
 * -DICETUN_BENCH=ON -DCMAKE_BUILD_TYPE=Release and run `bench_core`, alone.
 */
#include "tests/bench/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/tunnel/keys.h"

#define BATCH_PACKETS 64
#define BATCHES	      500
#define SLOT_BYTES    2048

struct cost {
	double seal_ns;
	double open_ns;
};

static uint8_t slots[BATCH_PACKETS][SLOT_BYTES];

double bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void bench_need(enum err e)
{
	if (e == OK)
		return;
	fprintf(stderr, "bench_core: %s\n", err_text(e));
	exit(1);
}

static struct cost run_round(struct tunnel_tx *tx, struct tunnel_rx *rx, size_t bytes)
{
	struct cost cost = {0};
	size_t len;

	for (int batch = 0; batch < BATCHES; batch++) {
		double start = bench_now_ns(), sealed;

		for (size_t i = 0; i < BATCH_PACKETS; i++)
			bench_need(tunnel_seal(tx, slots[i] + TUNNEL_HEADER_BYTES, bytes, slots[i],
					       SLOT_BYTES, &len));
		sealed = bench_now_ns();
		for (size_t i = 0; i < BATCH_PACKETS; i++)
			bench_need(tunnel_open(rx, slots[i], bytes + TUNNEL_OVERHEAD_BYTES,
					       slots[i] + TUNNEL_HEADER_BYTES, bytes, &len));
		cost.seal_ns += sealed - start;
		cost.open_ns += bench_now_ns() - sealed;
	}
	cost.seal_ns /= BATCHES * BATCH_PACKETS;
	cost.open_ns /= BATCHES * BATCH_PACKETS;
	return cost;
}

static void run(enum aead_cipher cipher, size_t bytes)
{
	static const uint8_t key[TUNNEL_KEY_BYTES] = {1};
	struct cost best = {1e12, 1e12};
	struct tunnel_tx *tx;
	struct tunnel_rx *rx;

	bench_need(tunnel_tx_create(&tx, cipher, key, 1, 0));
	bench_need(tunnel_rx_create(&rx, cipher, key, 1));
	for (int round = 0; round < BENCH_ROUNDS; round++) {
		struct cost cost = run_round(tx, rx, bytes);

		best.seal_ns = cost.seal_ns < best.seal_ns ? cost.seal_ns : best.seal_ns;
		best.open_ns = cost.open_ns < best.open_ns ? cost.open_ns : best.open_ns;
	}
	printf("%-18s %5zu %10.0f %10.0f %12.1f\n", aead_cipher_name(cipher), bytes, best.seal_ns,
	       best.open_ns, (double)bytes * 8 / best.seal_ns);
	tunnel_tx_destroy(tx);
	tunnel_rx_destroy(rx);
}

int main(void)
{
	static const enum aead_cipher ciphers[] = {AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305};
	static const size_t sizes[] = {64, 1200, 1400};

	bench_need(crypto_start());
	aead_start();
	printf("%-18s %5s %10s %10s %12s\n", "cipher", "bytes", "seal ns", "open ns",
	       "seal Gbit/s");
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++)
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
			run(ciphers[c], sizes[s]);
	bench_cut();
	bench_check();
	return 0;
}
