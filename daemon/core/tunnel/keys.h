/*
 * Sealing and opening: the two directions of one session.
 *
 * What a direction is made of, for who has several threads:
 *
 *	struct tunnel_lane	the numbers of one sending thread
 *	struct tunnel_windows	the replay windows of all lanes of the sender, for any thread
 *	struct aead		the prepared key, one for each thread
 *
 * and put together, for one thread: `struct tunnel_tx` is a lane and the key we send with, `struct
 * tunnel_rx` the windows and the key we receive with. None of them needs a lock, and nothing is
 * allocated for a packet; windows allocate 2 KiB once a lane has sent some hundred packets. A host
 * that sends from three threads has three lanes of the same key. THE CALLER MUST NEVER use a key
 * with two lanes of the same number: that would use nonces twice. Within a lane a number is used
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

/* --- parts ----------------------------------------------------------------------------------- */

struct tunnel_lane {
	uint64_t next;		 /* number of the next packet: packets sealed so far */
	uint32_t receiver_index; /* what the other host announced */
	uint8_t lane;		 /* below the number of lanes that we announced */
};

/*
 * Makes a whole packet of @len bytes of inner packet with the next number of @l.
 * @type: TUNNEL_TYPE_DATA, or TUNNEL_TYPE_PARTIAL if the other host takes it.
 * @in: @len bytes, NULL when @len is 0; out + TUNNEL_HEADER_BYTES, or not overlapping @out.
 * @out: @cap writable bytes, takes @len + TUNNEL_OVERHEAD_BYTES.
 * Return: OK; ERR_NO_SPACE when @cap is too small; ERR_EXHAUSTED when the lane has sealed
 * TUNNEL_LANE_MAX_PACKETS; ERR_CRYPTO. *ret_len only with OK.
 */
MUST_USE enum err tunnel_lane_seal(struct tunnel_lane *l, struct aead *key, uint8_t type,
				   const uint8_t *in, size_t len, uint8_t *out, size_t cap,
				   size_t *ret_len);

struct tunnel_windows;

/* @lanes: how many the other host announced, 1..TUNNEL_LANES_MAX. Return: OK; ERR_INVALID;
 * ERR_NO_MEMORY. */
MUST_USE enum err tunnel_windows_create(struct tunnel_windows **ret, uint8_t lanes);
/* NULL is fine. */
void tunnel_windows_destroy(struct tunnel_windows *w);

/* The window will be asked about a packet with this header in a moment: see aead_prefetch(). */
void tunnel_windows_prefetch(const struct tunnel_windows *w, const struct tunnel_header *header);

/*
 * Opens a whole packet. The window is asked before the packet is opened and told only after it has
 * authenticated. Any number of threads may be in here with the same @w, each with a @key of its
 * own: a packet that comes twice is opened by one.
 * @header: what tunnel_header_read() has made of @packet.
 * @packet: @len bytes. @out: @cap writable bytes, takes @len - TUNNEL_OVERHEAD_BYTES; it is
 * packet + TUNNEL_HEADER_BYTES, or does not overlap @packet.
 * Return: OK; DROP_MALFORMED for a lane that was not announced or a number that no sender may use;
 * DROP_REPLAY and DROP_DECRYPT, then @out holds nothing that may be used; ERR_NO_SPACE when @cap is
 * too small; DROP_LIMIT when there is no memory for the window of a lane. *ret_len only with OK.
 */
MUST_USE enum err tunnel_windows_open(struct tunnel_windows *w, struct aead *key,
				      const struct tunnel_header *header, const uint8_t *packet,
				      size_t len, uint8_t *out, size_t cap, size_t *ret_len);

/* --- for one thread -------------------------------------------------------------------------- */

struct tunnel_tx;
struct tunnel_rx;

/*
 * @key: copied. @receiver_index, @lane: see struct tunnel_lane. Return: OK; ERR_INVALID for an
 * unknown cipher or a lane not below TUNNEL_LANES_MAX; ERR_NO_MEMORY; ERR_CRYPTO.
 */
MUST_USE enum err tunnel_tx_create(struct tunnel_tx **ret, enum aead_cipher cipher,
				   const uint8_t key[static TUNNEL_KEY_BYTES],
				   uint32_t receiver_index, uint8_t lane);
/* Wipes and frees; NULL is fine. */
void tunnel_tx_destroy(struct tunnel_tx *tx);
/* Packets sealed so far, also the number of the next one. */
uint64_t tunnel_tx_packets(const struct tunnel_tx *tx);
/* tunnel_lane_seal() with TUNNEL_TYPE_DATA. */
MUST_USE enum err tunnel_seal(struct tunnel_tx *tx, const uint8_t *in, size_t len, uint8_t *out,
			      size_t cap, size_t *ret_len);

/* @key: copied. @lanes: see tunnel_windows_create(). Return: OK; ERR_INVALID; ERR_NO_MEMORY;
 * ERR_CRYPTO. */
MUST_USE enum err tunnel_rx_create(struct tunnel_rx **ret, enum aead_cipher cipher,
				   const uint8_t key[static TUNNEL_KEY_BYTES], uint8_t lanes);
/* Wipes and frees; NULL is fine. */
void tunnel_rx_destroy(struct tunnel_rx *rx);
/* tunnel_windows_open() of a packet whose receiver index the caller has used to find @rx. Return:
 * what tunnel_header_read() says, too. */
MUST_USE enum err tunnel_open(struct tunnel_rx *rx, const uint8_t *packet, size_t len, uint8_t *out,
			      size_t cap, size_t *ret_len);

#endif
