/*
 * Transport packets. The first byte chooses: the readers of headers and inner packets on the input
 * as it is; a replay window next to its naive model; or a link on which packets are sealed,
 * delivered in any order and number, and changed on the way.
 */
#include <stdbool.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/tunnel/inner.h"
/* The file itself, to pass over many numbers at once. */
#include "daemon/core/tunnel/keys.c"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/tunnel/window_model.h"

#define LANES	       2
#define STORED_PACKETS 16
#define INNER_MAX      255

struct stored {
	uint8_t bytes[INNER_MAX + TUNNEL_OVERHEAD_BYTES];
	uint8_t inner[INNER_MAX];
	size_t len, inner_len; /* len 0: nothing there */
	uint8_t lane;
	uint32_t number;
};

struct link {
	struct tunnel_tx *tx[LANES];
	struct tunnel_rx *rx;
	struct stored stored[STORED_PACKETS];
	uint32_t sealed[LANES];
};

static struct window_model models[LANES];

static void read_raw(const uint8_t *data, size_t size)
{
	struct tunnel_header header;
	struct tunnel_inner inner;
	uint8_t again[TUNNEL_HEADER_BYTES];

	if (tunnel_header_read(data, size, &header) == OK) {
		fuzz_check(size >= TUNNEL_OVERHEAD_BYTES);
		tunnel_header_write(again, header.type, header.receiver_index, header.lane,
				    header.number);
		fuzz_check(memcmp(again, data, sizeof(again)) == 0);
	}
	if (tunnel_inner_read(data, size, &inner) == OK) {
		fuzz_check(inner.len > 0 && inner.len <= size);
		switch (inner.kind) {
		case TUNNEL_INNER_CONTROL:
			fuzz_check(data[0] < 0x10 && inner.source.family == NETADDR_NONE);
			break;
		case TUNNEL_INNER_IP4:
			fuzz_check(data[0] >> 4 == 4 && inner.len >= TUNNEL_INNER_IP4_MIN_BYTES);
			fuzz_check(inner.source.family == NETADDR_IP4 &&
				   inner.destination.family == NETADDR_IP4);
			break;
		case TUNNEL_INNER_IP6:
			fuzz_check(data[0] >> 4 == 6 && inner.len >= TUNNEL_INNER_IP6_MIN_BYTES);
			fuzz_check(inner.source.family == NETADDR_IP6 &&
				   inner.destination.family == NETADDR_IP6);
			break;
		}
	}
}

/* Each three bytes: how to come from the number before to the next. Rounds of the ring are a choice
 * of their own, since what is left over from the round before is where a window goes wrong. */
static uint32_t next_number(struct rd *r, uint32_t number)
{
	uint8_t how = rd_u8(r);
	uint16_t value = rd_u16be(r);
	uint32_t next = 0;

	switch (how % 4) {
	case 0:
		next = number + value - UINT16_MAX / 2;
		break;
	case 1:
		next = value * 2u;
		break;
	case 2:
		next = number + value % 128 - 64;
		break;
	case 3:
		next = number + TUNNEL_WINDOW_BITS + value % 256 - 128;
		break;
	}
	return next % WINDOW_MODEL_NUMBERS;
}

static void compare_windows(struct rd *r)
{
	struct tunnel_window w = {0};
	uint32_t number = 0;

	while (rd_left(r) >= 3) {
		enum err e;

		number = next_number(r, number);
		e = tunnel_window_check(&w, number);
		fuzz_check(e == OK || e == DROP_REPLAY);
		fuzz_check((e == OK) == window_model_take(&models[0], number));
		if (e == OK)
			fuzz_check(tunnel_window_commit(&w, number) == OK);
	}
}

static enum err deliver(struct link *l, const uint8_t *packet, size_t len, const struct stored *s)
{
	size_t cap = len > TUNNEL_OVERHEAD_BYTES ? len - TUNNEL_OVERHEAD_BYTES : 0;
	size_t got = SIZE_MAX;
	uint8_t *out = malloc(cap ? cap : 1);
	enum err e;

	fuzz_check(out);
	e = tunnel_open(l->rx, packet, len, out, cap, &got);
	if (e == OK)
		fuzz_check(s && got == s->inner_len && memcmp(out, s->inner, got) == 0);
	else
		fuzz_check(got == SIZE_MAX && err_is_drop(e));
	free(out);
	return e;
}

static void seal_one(struct link *l, struct stored *s, struct rd *r)
{
	size_t len;

	s->lane = rd_u8(r) % LANES;
	len = rd_u8(r);
	s->inner_len = len < rd_left(r) ? len : rd_left(r);
	rd_copy(r, s->inner, s->inner_len);
	/* in place, as the data plane does */
	memcpy(s->bytes + TUNNEL_HEADER_BYTES, s->inner, s->inner_len);
	fuzz_check(tunnel_seal(l->tx[s->lane], s->bytes + TUNNEL_HEADER_BYTES, s->inner_len,
			       s->bytes, sizeof(s->bytes), &s->len) == OK);
	s->number = l->sealed[s->lane]++;
}

/* Packets that get lost: the number goes on. */
static void skip_many(struct link *l, uint8_t lane, uint32_t count)
{
	if (l->sealed[lane] + count >= WINDOW_MODEL_NUMBERS / 2)
		return;
	l->tx[lane]->lane.next += count;
	l->sealed[lane] += count;
}

static void change_and_deliver(struct link *l, const struct stored *s, struct rd *r)
{
	struct stored changed = *s;
	size_t at = rd_u16be(r) % changed.len;
	uint8_t bits = rd_u8(r);

	if (bits == 0)
		changed.len = at;
	else
		changed.bytes[at] ^= bits;
	fuzz_check(deliver(l, changed.bytes, changed.len, NULL) != OK);
}

static void run_link(struct rd *r, enum aead_cipher cipher)
{
	static const uint8_t key[TUNNEL_KEY_BYTES] = {1};
	struct link l = {.rx = NULL};

	for (uint8_t lane = 0; lane < LANES; lane++)
		fuzz_check(tunnel_tx_create(&l.tx[lane], cipher, key, 7, lane) == OK);
	fuzz_check(tunnel_rx_create(&l.rx, cipher, key, LANES) == OK);
	while (rd_left(r) > 0) {
		uint8_t op = rd_u8(r);
		struct stored *s = &l.stored[op / 8 % STORED_PACKETS];
		const uint8_t *raw;
		size_t len;

		switch (op % 8) {
		case 0:
		case 1:
			seal_one(&l, s, r);
			break;
		case 2:
		case 3:
		case 4:
			if (s->len)
				fuzz_check((deliver(&l, s->bytes, s->len, s) == OK) ==
					   window_model_take(&models[s->lane], s->number));
			break;
		case 5:
			if (s->len)
				change_and_deliver(&l, s, r);
			break;
		case 6:
			skip_many(&l, op / 8 % LANES, rd_u8(r) * 40u);
			break;
		case 7:
			len = rd_u8(r);
			len = len < rd_left(r) ? len : rd_left(r);
			raw = rd_bytes(r, len);
			fuzz_check(deliver(&l, raw, len, NULL) != OK);
			break;
		}
	}
	for (size_t lane = 0; lane < LANES; lane++)
		tunnel_tx_destroy(l.tx[lane]);
	tunnel_rx_destroy(l.rx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	uint8_t choice = rd_u8(&r);

	if (size == 0)
		return 0;
	fuzz_check(crypto_start() == OK);
	aead_start();
	memset(models, 0, sizeof(models));
	switch (choice % 4) {
	case 0:
		read_raw(data + 1, size - 1);
		break;
	case 1:
		compare_windows(&r);
		break;
	case 2:
		run_link(&r, AEAD_AES_256_GCM);
		break;
	case 3:
		run_link(&r, AEAD_CHACHA20_POLY1305);
		break;
	}
	return 0;
}
