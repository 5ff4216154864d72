#include "daemon/core/tunnel/keys.h"

#include <stdlib.h>

#include "daemon/core/tunnel/window.h"

_Static_assert(TUNNEL_TAG_BYTES == AEAD_TAG_BYTES, "the tag ends the packet");
_Static_assert(TUNNEL_LANE_MAX_PACKETS < 1ULL << TUNNEL_LANE_SHIFT, "numbers stay in their lane");
_Static_assert(TUNNEL_LANE_MAX_PACKETS <= TUNNEL_WINDOW_NUMBERS, "a window knows all numbers");

/* --- parts ----------------------------------------------------------------------------------- */

struct lane_window {
	struct tunnel_window_first first;
	struct tunnel_window *_Atomic later; /* NULL: nothing seen of it */
};

struct tunnel_windows {
	uint8_t lanes;
	struct lane_window windows[];
};

enum err tunnel_lane_seal(struct tunnel_lane *l, struct aead *key, uint8_t type, const uint8_t *in,
			  size_t len, uint8_t *out, size_t cap, size_t *ret_len)
{
	uint64_t counter;
	enum err e;

	if (cap < TUNNEL_OVERHEAD_BYTES || len > cap - TUNNEL_OVERHEAD_BYTES)
		return ERR_NO_SPACE;
	if (l->next >= TUNNEL_LANE_MAX_PACKETS)
		return ERR_EXHAUSTED;
	counter = tunnel_header_write(out, type, l->receiver_index, l->lane, l->next++);
	e = aead_seal(key, counter, out, TUNNEL_HEADER_BYTES, in, len, out + TUNNEL_HEADER_BYTES);
	if (e != OK)
		return e;
	*ret_len = len + TUNNEL_OVERHEAD_BYTES;
	return OK;
}

enum err tunnel_windows_create(struct tunnel_windows **ret, uint8_t lanes)
{
	struct tunnel_windows *w;

	if (lanes == 0 || lanes > TUNNEL_LANES_MAX)
		return ERR_INVALID;
	w = calloc(1, sizeof(*w) + lanes * sizeof(w->windows[0]));
	if (!w)
		return ERR_NO_MEMORY;
	w->lanes = lanes;
	*ret = w;
	return OK;
}

void tunnel_windows_destroy(struct tunnel_windows *w)
{
	for (uint8_t i = 0; w && i < w->lanes; i++)
		free(atomic_load(&w->windows[i].later));
	free(w);
}

void tunnel_windows_prefetch(const struct tunnel_windows *w, const struct tunnel_header *header)
{
	__builtin_prefetch(w);
	__builtin_prefetch(&w->windows[header->lane % TUNNEL_LANES_MAX].later);
	__builtin_prefetch(&w->windows[header->lane % TUNNEL_LANES_MAX].first);
}

static enum err window_check(const struct lane_window *w, uint64_t number)
{
	const struct tunnel_window *later;

	if (number < TUNNEL_WINDOW_FIRST)
		return tunnel_window_first_check(&w->first, number);
	later = atomic_load_explicit(&w->later, memory_order_acquire);
	return later ? tunnel_window_check(later, number) : OK;
}

/* Whoever comes first makes it. Return: NULL without memory. */
static struct tunnel_window *window_make(struct lane_window *w)
{
	struct tunnel_window *made = calloc(1, sizeof(*made)), *present = NULL;

	if (!made)
		return NULL;
	if (atomic_compare_exchange_strong(&w->later, &present, made))
		return made;
	free(made);
	return present;
}

static enum err window_commit(struct lane_window *w, uint64_t number)
{
	struct tunnel_window *later;

	if (number < TUNNEL_WINDOW_FIRST)
		return tunnel_window_first_commit(&w->first, number);
	later = atomic_load_explicit(&w->later, memory_order_acquire);
	if (!later)
		later = window_make(w);
	return later ? tunnel_window_commit(later, number) : DROP_LIMIT;
}

enum err tunnel_windows_open(struct tunnel_windows *w, struct aead *key,
			     const struct tunnel_header *header, const uint8_t *packet, size_t len,
			     uint8_t *out, size_t cap, size_t *ret_len)
{
	struct lane_window *window;
	enum err e;

	if (header->lane >= w->lanes || header->number >= TUNNEL_LANE_MAX_PACKETS)
		return DROP_MALFORMED;
	if (cap < len - TUNNEL_OVERHEAD_BYTES)
		return ERR_NO_SPACE;
	window = &w->windows[header->lane];
	e = window_check(window, header->number);
	if (e != OK)
		return e;
	e = aead_open(key, header->counter, packet, TUNNEL_HEADER_BYTES,
		      packet + TUNNEL_HEADER_BYTES, len - TUNNEL_HEADER_BYTES, out);
	if (e != OK)
		return e;
	e = window_commit(window, header->number);
	if (e != OK)
		return e;
	*ret_len = len - TUNNEL_OVERHEAD_BYTES;
	return OK;
}

/* --- for one thread -------------------------------------------------------------------------- */

struct tunnel_tx {
	struct aead *aead;
	struct tunnel_lane lane;
};

struct tunnel_rx {
	struct aead *aead;
	struct tunnel_windows *windows;
};

enum err tunnel_tx_create(struct tunnel_tx **ret, enum aead_cipher cipher,
			  const uint8_t key[static TUNNEL_KEY_BYTES], uint32_t receiver_index,
			  uint8_t lane)
{
	struct tunnel_tx *tx;
	enum err e;

	if (lane >= TUNNEL_LANES_MAX)
		return ERR_INVALID;
	tx = calloc(1, sizeof(*tx));
	if (!tx)
		return ERR_NO_MEMORY;
	e = aead_create(&tx->aead, cipher, key);
	if (e != OK) {
		free(tx);
		return e;
	}
	tx->lane.receiver_index = receiver_index;
	tx->lane.lane = lane;
	*ret = tx;
	return OK;
}

void tunnel_tx_destroy(struct tunnel_tx *tx)
{
	if (!tx)
		return;
	aead_destroy(tx->aead);
	free(tx);
}

uint64_t tunnel_tx_packets(const struct tunnel_tx *tx)
{
	return tx->lane.next;
}

enum err tunnel_seal(struct tunnel_tx *tx, const uint8_t *in, size_t len, uint8_t *out, size_t cap,
		     size_t *ret_len)
{
	return tunnel_lane_seal(&tx->lane, tx->aead, TUNNEL_TYPE_DATA, in, len, out, cap, ret_len);
}

enum err tunnel_rx_create(struct tunnel_rx **ret, enum aead_cipher cipher,
			  const uint8_t key[static TUNNEL_KEY_BYTES], uint8_t lanes)
{
	struct tunnel_rx *rx = calloc(1, sizeof(*rx));
	enum err e;

	if (!rx)
		return ERR_NO_MEMORY;
	e = tunnel_windows_create(&rx->windows, lanes);
	if (e == OK)
		e = aead_create(&rx->aead, cipher, key);
	if (e != OK) {
		tunnel_rx_destroy(rx);
		return e;
	}
	*ret = rx;
	return OK;
}

void tunnel_rx_destroy(struct tunnel_rx *rx)
{
	if (!rx)
		return;
	aead_destroy(rx->aead);
	tunnel_windows_destroy(rx->windows);
	free(rx);
}

enum err tunnel_open(struct tunnel_rx *rx, const uint8_t *packet, size_t len, uint8_t *out,
		     size_t cap, size_t *ret_len)
{
	struct tunnel_header header;
	enum err e = tunnel_header_read(packet, len, &header);

	if (e != OK)
		return e;
	return tunnel_windows_open(rx->windows, rx->aead, &header, packet, len, out, cap, ret_len);
}
