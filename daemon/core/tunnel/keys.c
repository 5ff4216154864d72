#include "daemon/core/tunnel/keys.h"

#include <stdlib.h>

#include "daemon/core/tunnel/window.h"

_Static_assert(TUNNEL_TAG_BYTES == AEAD_TAG_BYTES, "the tag ends the packet");
_Static_assert(TUNNEL_LANE_MAX_PACKETS < 1ULL << TUNNEL_LANE_SHIFT, "numbers stay in their lane");

struct tunnel_tx {
	struct aead *aead;
	uint64_t next; /* number of the next packet */
	uint32_t receiver_index;
	uint8_t lane;
};

struct tunnel_rx {
	struct aead *aead;
	uint8_t lanes;
	struct tunnel_window windows[]; /* one a lane */
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
	tx->receiver_index = receiver_index;
	tx->lane = lane;
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
	return tx->next;
}

enum err tunnel_seal(struct tunnel_tx *tx, const uint8_t *in, size_t len, uint8_t *out, size_t cap,
		     size_t *ret_len)
{
	uint64_t counter;
	enum err e;

	if (cap < TUNNEL_OVERHEAD_BYTES || len > cap - TUNNEL_OVERHEAD_BYTES)
		return ERR_NO_SPACE;
	if (tx->next >= TUNNEL_LANE_MAX_PACKETS)
		return ERR_EXHAUSTED;
	counter = tunnel_header_write(out, tx->receiver_index, tx->lane, tx->next++);
	e = aead_seal(tx->aead, counter, out, TUNNEL_HEADER_BYTES, in, len,
		      out + TUNNEL_HEADER_BYTES);
	if (e != OK)
		return e;
	*ret_len = len + TUNNEL_OVERHEAD_BYTES;
	return OK;
}

enum err tunnel_rx_create(struct tunnel_rx **ret, enum aead_cipher cipher,
			  const uint8_t key[static TUNNEL_KEY_BYTES], uint8_t lanes)
{
	struct tunnel_rx *rx;
	enum err e;

	if (lanes == 0 || lanes > TUNNEL_LANES_MAX)
		return ERR_INVALID;
	rx = calloc(1, sizeof(*rx) + lanes * sizeof(rx->windows[0]));
	if (!rx)
		return ERR_NO_MEMORY;
	e = aead_create(&rx->aead, cipher, key);
	if (e != OK) {
		free(rx);
		return e;
	}
	rx->lanes = lanes;
	*ret = rx;
	return OK;
}

void tunnel_rx_destroy(struct tunnel_rx *rx)
{
	if (!rx)
		return;
	aead_destroy(rx->aead);
	free(rx);
}

enum err tunnel_open(struct tunnel_rx *rx, const uint8_t *packet, size_t len, uint8_t *out,
		     size_t cap, size_t *ret_len)
{
	struct tunnel_header header;
	enum err e = tunnel_header_read(packet, len, &header);

	if (e != OK)
		return e;
	if (header.lane >= rx->lanes || header.number >= TUNNEL_LANE_MAX_PACKETS)
		return DROP_MALFORMED;
	if (cap < len - TUNNEL_OVERHEAD_BYTES)
		return ERR_NO_SPACE;
	e = tunnel_window_check(&rx->windows[header.lane], header.number);
	if (e != OK)
		return e;
	e = aead_open(rx->aead, header.counter, packet, TUNNEL_HEADER_BYTES,
		      packet + TUNNEL_HEADER_BYTES, len - TUNNEL_HEADER_BYTES, out);
	if (e != OK)
		return e;
	tunnel_window_commit(&rx->windows[header.lane], header.number);
	*ret_len = len - TUNNEL_OVERHEAD_BYTES;
	return OK;
}
