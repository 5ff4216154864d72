/*
 * The handshake: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b (Noise specification revision 34).
 *
 * Two messages make two hosts sure of each other and give both the same pair of transport keys:
 *
 *	IKpsk2:  <- s                        the initiator knows the responder's static key
 *	         -> e, es, s, ss             message 1, travels in the offer
 *	         <- e, ee, se, psk           message 2, travels in the answer
 *
 * Each message carries a payload (core/signal: ICE description, certificate, ciphers, stamp) that
 * only the other host can read. Message 1 can be replayed and its payload is not forward secret
 * (Noise s. 7.7): the caller refuses stamps that do not rise. Message 2 proves that the responder
 * is there now. What both must agree on beforehand (network, identifiers) goes into the prologue.
 *
 *	initiator                                       responder
 *	noise_create_initiator(&n, params)              noise_create_responder(&n, params)
 *	noise_write(n, offer)            -- message 1 ->  noise_read(n, offer)
 *	                                                noise_remote_static(n, key): is it a member?
 *	noise_read(n, answer)           <- message 2 --   noise_write(n, answer)
 *	noise_split(n, send, recv, hash)                noise_split(n, send, recv, hash)
 *	noise_destroy(n)                                noise_destroy(n)
 *
 * An object goes through its steps once and in this order only: nothing can be read, written or
 * split twice, so the same transport keys cannot come into being twice. A message that does not
 * authenticate changes nothing: the object still waits for the real one. The object lives in secret
 * memory (core/crypto/secret.h) and is wiped when it is split and when it is destroyed.
 */
#ifndef ICETUN_NOISE_HANDSHAKE_H
#define ICETUN_NOISE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"

#define NOISE_KEY_BYTES		32
#define NOISE_HASH_BYTES	64
#define NOISE_MESSAGE_MAX_BYTES 65535
#define NOISE_MESSAGE1_OVERHEAD 96 /* e, encrypted s with tag, tag of the payload */
#define NOISE_MESSAGE2_OVERHEAD 48 /* e, tag of the payload */

struct noise;

/* Everything is copied or used up in the call; @random's context must outlive the object. */
struct noise_params {
	const uint8_t *static_secret; /* NOISE_KEY_BYTES, X25519 */
	const uint8_t *static_public; /* NOISE_KEY_BYTES, of static_secret */
	const uint8_t *remote_static; /* NOISE_KEY_BYTES; initiator only, NULL for a responder */
	const uint8_t *psk;	      /* NOISE_KEY_BYTES, NULL = all zeros */
	const void *prologue;	      /* NULL when prologue_len is 0 */
	size_t prologue_len;
	struct random_source random; /* gives the ephemeral secret, 32 bytes, in noise_write() */
	bool use_psk; /* true: IKpsk2, what icetun speaks; false: plain IK, then psk must be NULL */
};

/* Return: OK; ERR_INVALID when a parameter is missing or one too many; ERR_KEY when remote_static
 * is a low-order point; ERR_NO_MEMORY. */
MUST_USE enum err noise_create_initiator(struct noise **ret, const struct noise_params *params);
MUST_USE enum err noise_create_responder(struct noise **ret, const struct noise_params *params);
/* Wipes and frees; NULL is fine. */
void noise_destroy(struct noise *n);

/*
 * Writes message 1 (initiator) or message 2 (responder, after it has read message 1).
 * @payload: @len bytes, NULL when @len is 0; does not overlap @out.
 * @out: @cap writable bytes, takes @len + NOISE_MESSAGE1_OVERHEAD or NOISE_MESSAGE2_OVERHEAD.
 * Return: OK; ERR_WRONG_STATE when it is not our turn; ERR_NO_SPACE when @cap is too small;
 * ERR_LIMIT when the message would be longer than NOISE_MESSAGE_MAX_BYTES; ERR_KEY when a DH result
 * is all zero. On an error the object, *ret_len and the state of the handshake are unchanged.
 */
MUST_USE enum err noise_write(struct noise *n, const void *payload, size_t len, uint8_t *out,
			      size_t cap, size_t *ret_len);

/*
 * Reads message 1 (responder) or message 2 (initiator, after it has written message 1).
 * @msg: @len bytes from the other host, not overlapping @payload.
 * @payload: @cap writable bytes, takes @len less the overhead; on DROP_HANDSHAKE it is wiped.
 * Return: OK; DROP_STATE when no message is expected (also: the same one again); DROP_TRUNCATED
 * when shorter than the overhead; DROP_TOO_LONG above NOISE_MESSAGE_MAX_BYTES; DROP_HANDSHAKE when
 * it does not authenticate or holds a low-order point; ERR_NO_SPACE when @cap is too small.
 * Whatever is not OK leaves the object and *ret_len as they were.
 */
MUST_USE enum err noise_read(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload,
			     size_t cap, size_t *ret_len);

/* The other host's static key: known to an initiator from the start, to a responder after message
 * 1.
 * Return: OK, ERR_WRONG_STATE. */
MUST_USE enum err noise_remote_static(const struct noise *n, uint8_t ret[static NOISE_KEY_BYTES]);

/*
 * Ends the handshake, once, after both messages: the keys that we seal and open with and the
 * handshake hash, which names this session and is the same at both ends (Noise s. 5.2, 11.2).
 * The caller wipes @ret_send and @ret_recv. The object's own secrets are wiped.
 * Return: OK, ERR_WRONG_STATE.
 */
MUST_USE enum err noise_split(struct noise *n, uint8_t ret_send[static NOISE_KEY_BYTES],
			      uint8_t ret_recv[static NOISE_KEY_BYTES],
			      uint8_t ret_hash[static NOISE_HASH_BYTES]);

#endif
