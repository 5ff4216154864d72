/*
 * Sealing and opening: the two directions of one session.
 *
 * `struct tunnel_tx` is one lane of the key we send with; `struct tunnel_rx` is the key we receive
 * with and the replay windows of all the sender's lanes. Each is used by one thread at a time, needs
 * no lock and allocates nothing per packet. A host that sends from three threads makes three
 * tunnel_tx with the same key and three different lanes. THE CALLER MUST NEVER make two tunnel_tx
 * with the same key and lane: that would use nonces twice. Within one tunnel_tx a number is used
 * once, whatever happens: it is taken before sealing and not given back.
 *
 * In place: a sender puts the inner packet at out + TUNNEL_HEADER_BYTES and seals there; a receiver
 * opens to packet + TUNNEL_HEADER_BYTES. Any other overlap of input and output is not allowed.
 */
#ifndef ICETUN_TUNNEL_KEYS_H
#define ICETUN_TUNNEL_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/tunnel/packet.h"

#define TUNNEL_KEY_BYTES AEAD_KEY_BYTES

/*
 * Packets that one lane of one key may seal. The rekey policy (rekey.h) renews keys long before.
 * The number on the wire would allow 2^56; AES-GCM wants less: 2^37 packets of 90 blocks leave an
 * attacker an advantage of about 2^-42 (draft-irtf-cfrg-aead-limits s. 5.1.1).
 */
#define TUNNEL_LANE_MAX_PACKETS (1ULL << 37)

struct tunnel_tx;
struct tunnel_rx;

/*
 * @key: copied. @receiver_index: what the other host announced. @lane: below the number of lanes that
 * we announced. Return: OK; ERR_INVALID for an unknown cipher or a lane not below TUNNEL_LANES_MAX;
 * ERR_NO_MEMORY; ERR_CRYPTO.
 */
MUST_USE enum err tunnel_tx_create(struct tunnel_tx **ret, enum aead_cipher cipher,
				   const uint8_t key[static TUNNEL_KEY_BYTES],
				   uint32_t receiver_index, uint8_t lane);
/* Wipes and frees; NULL is fine. */
void tunnel_tx_destroy(struct tunnel_tx *tx);
/* Packets sealed so far, also the number of the next one. */
uint64_t tunnel_tx_packets(const struct tunnel_tx *tx);

/*
 * Makes a whole packet of @len bytes of inner packet.
 * @in: @len bytes, NULL when @len is 0; out + TUNNEL_HEADER_BYTES, or not overlapping @out.
 * @out: @cap writable bytes, takes @len + TUNNEL_OVERHEAD_BYTES.
 * Return: OK; ERR_NO_SPACE when @cap is too small; ERR_EXHAUSTED when the lane has sealed
 * TUNNEL_LANE_MAX_PACKETS; ERR_CRYPTO. *ret_len only with OK.
 */
MUST_USE enum err tunnel_seal(struct tunnel_tx *tx, const uint8_t *in, size_t len, uint8_t *out,
			      size_t cap, size_t *ret_len);

/*
 * @key: copied. @lanes: how many the other host announced, 1..TUNNEL_LANES_MAX; a window for each is
 * allocated here (about 1 KiB). Return: OK; ERR_INVALID; ERR_NO_MEMORY; ERR_CRYPTO.
 */
MUST_USE enum err tunnel_rx_create(struct tunnel_rx **ret, enum aead_cipher cipher,
				   const uint8_t key[static TUNNEL_KEY_BYTES], uint8_t lanes);
/* Wipes and frees; NULL is fine. */
void tunnel_rx_destroy(struct tunnel_rx *rx);

/*
 * Opens a whole packet, whose receiver index the caller has used to find @rx. The window is asked
 * before the packet is opened and told only after it has authenticated.
 * @packet: @len bytes. @out: @cap writable bytes, takes @len - TUNNEL_OVERHEAD_BYTES; it is
 * packet + TUNNEL_HEADER_BYTES, or does not overlap @packet.
 * Return: OK; what tunnel_header_read() says; DROP_MALFORMED for a lane that was not announced or a
 * number that no sender may use; DROP_REPLAY; DROP_DECRYPT, then @out holds nothing that may be used;
 * ERR_NO_SPACE when @cap is too small. *ret_len only with OK.
 */
MUST_USE enum err tunnel_open(struct tunnel_rx *rx, const uint8_t *packet, size_t len, uint8_t *out,
			      size_t cap, size_t *ret_len);

#endif
