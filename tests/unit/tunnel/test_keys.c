#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

/* The file itself, so that a test can put a lane near its end. */
#include "daemon/core/tunnel/keys.c"

#include "daemon/core/crypto/secret.h"

#define INNER_MAX 1500
#define CAP	  (INNER_MAX + TUNNEL_OVERHEAD_BYTES)
#define INDEX	  0xa1b2c3d4u
#define LANES	  3

static const enum aead_cipher ciphers[] = {AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305};
static const uint8_t key[TUNNEL_KEY_BYTES] = {1, 2, 3};

struct packet {
	uint8_t bytes[CAP];
	size_t len;
};

struct link {
	struct tunnel_tx *tx[LANES];
	struct tunnel_rx *rx;
};

static void link_init(struct link *l, enum aead_cipher cipher)
{
	for (uint8_t lane = 0; lane < LANES; lane++)
		assert_int_equal(tunnel_tx_create(&l->tx[lane], cipher, key, INDEX, lane), OK);
	assert_int_equal(tunnel_rx_create(&l->rx, cipher, key, LANES), OK);
}

static void link_fini(struct link *l)
{
	for (size_t lane = 0; lane < LANES; lane++)
		tunnel_tx_destroy(l->tx[lane]);
	tunnel_rx_destroy(l->rx);
}

static struct packet seal(struct tunnel_tx *tx, const char *text)
{
	struct packet p;

	assert_int_equal(tunnel_seal(tx, (const uint8_t *)text, strlen(text), p.bytes,
				     sizeof(p.bytes), &p.len),
			 OK);
	return p;
}

static enum err open_packet(struct tunnel_rx *rx, const struct packet *p)
{
	uint8_t out[CAP];
	size_t len;

	return tunnel_open(rx, p->bytes, p->len, out, sizeof(out), &len);
}

static void test_every_length(void **state)
{
	uint8_t inner[INNER_MAX], out[INNER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(inner); i++)
		inner[i] = (uint8_t)(i * 7);
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct link l;

		link_init(&l, ciphers[c]);
		for (size_t len = 0; len <= INNER_MAX; len++) {
			struct packet p;
			size_t got;

			assert_int_equal(tunnel_seal(l.tx[1], len ? inner : NULL, len, p.bytes,
						     len + TUNNEL_OVERHEAD_BYTES, &p.len),
					 OK);
			assert_int_equal(p.len, len + TUNNEL_OVERHEAD_BYTES);
			assert_int_equal(tunnel_open(l.rx, p.bytes, p.len, out, len, &got), OK);
			assert_int_equal(got, len);
			assert_memory_equal(out, inner, len);
		}
		link_fini(&l);
	}
	tunnel_tx_destroy(NULL);
	tunnel_rx_destroy(NULL);
}

static void test_in_place(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct packet apart, p;
		struct link l, again;
		size_t len;

		link_init(&l, ciphers[c]);
		link_init(&again, ciphers[c]);
		apart = seal(again.tx[0], "an inner packet of some length");
		memcpy(p.bytes + TUNNEL_HEADER_BYTES, "an inner packet of some length", 30);
		assert_int_equal(tunnel_seal(l.tx[0], p.bytes + TUNNEL_HEADER_BYTES, 30, p.bytes,
					     sizeof(p.bytes), &p.len),
				 OK);
		assert_int_equal(p.len, apart.len);
		assert_memory_equal(p.bytes, apart.bytes, p.len);
		assert_int_equal(
			tunnel_open(l.rx, p.bytes, p.len, p.bytes + TUNNEL_HEADER_BYTES, 30, &len),
			OK);
		assert_int_equal(len, 30);
		assert_memory_equal(p.bytes + TUNNEL_HEADER_BYTES, "an inner packet of some length",
				    30);
		link_fini(&l);
		link_fini(&again);
	}
}

/* (key, counter) never repeats: not over lanes, not after a call that failed. */
static void test_counters_never_repeat(void **state)
{
	uint64_t last[LANES];
	bool any[LANES] = {false};
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	for (size_t i = 0; i < 3000; i++) {
		uint8_t lane = (uint8_t)(i % LANES);
		struct tunnel_header h;
		struct packet p;

		if (i % 5 == 0) {
			assert_int_equal(tunnel_seal(l.tx[lane], (const uint8_t *)"abc", 3, p.bytes,
						     TUNNEL_OVERHEAD_BYTES + 2, &p.len),
					 ERR_NO_SPACE);
			continue;
		}
		p = seal(l.tx[lane], "x");
		assert_int_equal(tunnel_header_read(p.bytes, p.len, &h), OK);
		assert_int_equal(h.lane, lane);
		assert_int_equal(h.receiver_index, INDEX);
		assert_true(!any[lane] || h.number > last[lane]);
		last[lane] = h.number;
		any[lane] = true;
		assert_true(tunnel_tx_packets(l.tx[lane]) == h.number + 1);
	}
	link_fini(&l);
}

static void test_exhausted(void **state)
{
	struct packet p = {.len = 77};
	struct link l;

	(void)state;
	link_init(&l, AEAD_CHACHA20_POLY1305);
	l.tx[0]->lane.next = TUNNEL_LANE_MAX_PACKETS - 1;
	p = seal(l.tx[0], "the last");
	assert_int_equal(open_packet(l.rx, &p), OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tunnel_seal(l.tx[0], (const uint8_t *)"", 0, p.bytes,
					     sizeof(p.bytes), &p.len),
				 ERR_EXHAUSTED);
	assert_true(tunnel_tx_packets(l.tx[0]) == TUNNEL_LANE_MAX_PACKETS);
	/* A sender that goes on all the same is not listened to. */
	tunnel_header_write(p.bytes, TUNNEL_TYPE_DATA, INDEX, 0, TUNNEL_LANE_MAX_PACKETS);
	assert_int_equal(open_packet(l.rx, &p), DROP_MALFORMED);
	link_fini(&l);
}

static void test_replay(void **state)
{
	struct packet early, late;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	early = seal(l.tx[0], "early");
	late = seal(l.tx[0], "late");
	assert_int_equal(open_packet(l.rx, &late), OK);
	assert_int_equal(open_packet(l.rx, &late), DROP_REPLAY);
	assert_int_equal(open_packet(l.rx, &early), OK);
	assert_int_equal(open_packet(l.rx, &early), DROP_REPLAY);
	/* The same numbers of another lane are other packets. */
	early = seal(l.tx[2], "early");
	assert_int_equal(open_packet(l.rx, &early), OK);
	assert_int_equal(open_packet(l.rx, &early), DROP_REPLAY);
	link_fini(&l);
}

/* Where one window ends and the other begins. */
static void test_replay_of_many(void **state)
{
	static struct packet packets[600];
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		packets[i] = seal(l.tx[0], "one of many");
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
			const struct packet *p = &packets[i * 7 % ARRAY_SIZE(packets)];

			/* 7 is prime to their number. */
			assert_int_equal(open_packet(l.rx, p), round == 0 ? OK : DROP_REPLAY);
		}
	}
	link_fini(&l);
}

/* Whatever is changed, the packet is refused, and the real one is still taken afterwards. */
static void test_forged(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		struct packet real;
		struct link l;

		link_init(&l, ciphers[c]);
		real = seal(l.tx[0], "a packet");
		for (size_t bit = 0; bit < real.len * 8; bit++) {
			struct packet p = real;
			enum err e;

			p.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			e = open_packet(l.rx, &p);
			if (bit < 8)
				assert_int_equal(e, DROP_UNKNOWN_TYPE);
			else if (bit < 32)
				assert_int_equal(e, DROP_MALFORMED);
			else
				assert_true(e == DROP_DECRYPT || e == DROP_MALFORMED);
		}
		for (size_t len = 0; len < real.len; len++) {
			struct packet p = real;

			p.len = len;
			assert_int_equal(open_packet(l.rx, &p), len < TUNNEL_OVERHEAD_BYTES
									? DROP_TRUNCATED
									: DROP_DECRYPT);
		}
		assert_int_equal(open_packet(l.rx, &real), OK);
		link_fini(&l);
	}
}

/* A forged number from the far future must not push the window past what is still to come. */
static void test_forged_number_does_not_move_window(void **state)
{
	struct packet p, forged;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	p = seal(l.tx[0], "real");
	forged = p;
	tunnel_header_write(forged.bytes, TUNNEL_TYPE_DATA, INDEX, 0, TUNNEL_LANE_MAX_PACKETS - 1);
	assert_int_equal(open_packet(l.rx, &forged), DROP_DECRYPT);
	assert_int_equal(open_packet(l.rx, &p), OK);
	link_fini(&l);
}

/* The type is part of what is authenticated. */
static void test_type(void **state)
{
	struct tunnel_header h;
	struct packet p;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	assert_int_equal(tunnel_lane_seal(&l.tx[0]->lane, l.tx[0]->aead, TUNNEL_TYPE_PARTIAL,
					  (const uint8_t *)"x", 1, p.bytes, sizeof(p.bytes),
					  &p.len),
			 OK);
	assert_int_equal(tunnel_header_read(p.bytes, p.len, &h), OK);
	assert_int_equal(h.type, TUNNEL_TYPE_PARTIAL);
	p.bytes[0] = TUNNEL_TYPE_DATA;
	assert_int_equal(open_packet(l.rx, &p), DROP_DECRYPT);
	p.bytes[0] = TUNNEL_TYPE_PARTIAL;
	assert_int_equal(open_packet(l.rx, &p), OK);
	link_fini(&l);
}

static void test_lanes(void **state)
{
	struct tunnel_tx *tx = NULL;
	struct tunnel_rx *rx = NULL;
	struct packet p;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	assert_int_equal(tunnel_tx_create(&tx, AEAD_AES_256_GCM, key, INDEX, LANES), OK);
	p = seal(tx, "from a lane that was not announced");
	assert_int_equal(open_packet(l.rx, &p), DROP_MALFORMED);
	tunnel_tx_destroy(tx);
	link_fini(&l);

	tx = NULL;
	assert_int_equal(tunnel_tx_create(&tx, AEAD_AES_256_GCM, key, INDEX, TUNNEL_LANES_MAX),
			 ERR_INVALID);
	assert_int_equal(tunnel_tx_create(&tx, (enum aead_cipher)9, key, INDEX, 0), ERR_INVALID);
	assert_int_equal(tunnel_rx_create(&rx, AEAD_AES_256_GCM, key, 0), ERR_INVALID);
	assert_int_equal(tunnel_rx_create(&rx, AEAD_AES_256_GCM, key, TUNNEL_LANES_MAX + 1),
			 ERR_INVALID);
	assert_int_equal(tunnel_rx_create(&rx, (enum aead_cipher)0, key, 1), ERR_INVALID);
	assert_null(tx);
	assert_null(rx);
	assert_int_equal(tunnel_rx_create(&rx, AEAD_AES_256_GCM, key, TUNNEL_LANES_MAX), OK);
	assert_int_equal(tunnel_tx_create(&tx, AEAD_AES_256_GCM, key, INDEX, TUNNEL_LANES_MAX - 1),
			 OK);
	p = seal(tx, "from the last lane");
	assert_int_equal(open_packet(rx, &p), OK);
	tunnel_tx_destroy(tx);
	tunnel_rx_destroy(rx);
}

static void test_no_space(void **state)
{
	uint8_t out[CAP];
	size_t len = 77;
	struct packet p;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	for (size_t cap = 0; cap < TUNNEL_OVERHEAD_BYTES + 4; cap++)
		assert_int_equal(tunnel_seal(l.tx[0], (const uint8_t *)"four", 4, out, cap, &len),
				 ERR_NO_SPACE);
	assert_int_equal(tunnel_seal(l.tx[0], out, SIZE_MAX, out, sizeof(out), &len), ERR_NO_SPACE);
	assert_int_equal(len, 77);
	p = seal(l.tx[0], "four");
	assert_int_equal(tunnel_open(l.rx, p.bytes, p.len, out, 3, &len), ERR_NO_SPACE);
	assert_int_equal(len, 77);
	assert_int_equal(tunnel_open(l.rx, p.bytes, p.len, out, 4, &len), OK);
	assert_int_equal(len, 4);
	link_fini(&l);
}

static void test_other_key_or_cipher(void **state)
{
	static const uint8_t other_key[TUNNEL_KEY_BYTES] = {9};
	struct tunnel_rx *rx;
	struct packet p;
	struct link l;

	(void)state;
	link_init(&l, AEAD_AES_256_GCM);
	p = seal(l.tx[0], "hello");
	assert_int_equal(tunnel_rx_create(&rx, AEAD_AES_256_GCM, other_key, LANES), OK);
	assert_int_equal(open_packet(rx, &p), DROP_DECRYPT);
	tunnel_rx_destroy(rx);
	assert_int_equal(tunnel_rx_create(&rx, AEAD_CHACHA20_POLY1305, key, LANES), OK);
	assert_int_equal(open_packet(rx, &p), DROP_DECRYPT);
	tunnel_rx_destroy(rx);
	link_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_counters_never_repeat),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_replay_of_many),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_forged_number_does_not_move_window),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_other_key_or_cipher),
	};

	if (crypto_start() != OK)
		return 1;
	aead_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
