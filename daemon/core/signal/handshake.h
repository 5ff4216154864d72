/*
 * What the two handshake messages carry inside: the payload of Noise message 1 (the offer) and of
 * Noise message 2 (the answer), both of the same form (docs/icetun.cddl: handshake).
 *
 * With them each host has the other's certificate, ICE description, and what the tunnel needs. The
 * offer lists the ciphers that its sender accepts, best first; the answer lists the one that both
 * will use. Keys and extensions that this version does not know are passed over.
 */
#ifndef ICETUN_SIGNAL_HANDSHAKE_H
#define ICETUN_SIGNAL_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/cert/cert.h"
#include "daemon/core/ice/description.h"
#include "daemon/core/signal/message.h"

/* With the 96 bytes of Noise message 1 it fits into a body. */
#define SIGNAL_HANDSHAKE_MAX_BYTES (SIGNAL_BODY_MAX_BYTES - 128)
#define SIGNAL_MAX_CIPHERS	   4
#define SIGNAL_MAX_LANES	   16
#define SIGNAL_MTU_MIN_BYTES	   1280
#define SIGNAL_MTU_MAX_BYTES	   65535

/* What the sender of a handshake can do; bits that are not known mean nothing. */
#define SIGNAL_FEATURE_PARTIAL 1u /* opens TUNNEL_TYPE_PARTIAL (tunnel/packet.h) */
#define SIGNAL_FEATURE_PROBE   2u /* answers CONTROL_PROBE (peer/control.h) */

struct signal_handshake {
	struct ice_description ice;
	const uint8_t *certificate;	     /* inside the decoded buffer */
	size_t certificate_len;		     /* 1..CERT_MAX_BYTES; 0 in a restart */
	uint8_t ciphers[SIGNAL_MAX_CIPHERS]; /* enum aead_cipher, or numbers of later versions */
	size_t cipher_count;		     /* 1..; when decoding, what is above is cut */
	/* Unix time, higher in each message of its sender: an offer whose stamp is not above the
	 * last one seen from the same key is a replay, or was overtaken by what its sender has said
	 * since. */
	uint64_t timestamp_us;
	/* Of an offer: the highest stamp of the reader that its sender knows. It tells whether the
	 * sender knew an offer of the reader's when it made this one. 0 = none. */
	uint64_t seen_us;
	uint32_t receiver_index; /* what the other side has to write into its packets; not 0 */
	uint8_t lanes;	    /* counters that the sender of this will use, 1..SIGNAL_MAX_LANES */
	uint16_t mtu_bytes; /* of the sender's TUN device; 0 = not said */
	uint32_t features;  /* SIGNAL_FEATURE_*; 0 = not said */
	/* Of a restart: the receiver index, at the one who reads this, of the session that goes on
	 * with the new description and keys; both know each other's certificate. 0 = a new
	 * session. */
	uint32_t restarts;
};

/* Return: OK; ERR_INVALID when a field is beyond its limits; ERR_NO_SPACE, also when it would be
 * longer than SIGNAL_HANDSHAKE_MAX_BYTES (leave out candidates then). */
MUST_USE enum err signal_handshake_encode(const struct signal_handshake *h, uint8_t *out,
					  size_t cap, size_t *ret_len);

/* Pointers in *ret point into @buf. The certificate is not verified here.
 * Return: OK, DROP_TOO_LONG, DROP_VERSION, DROP_MALFORMED. *ret is untouched unless OK. */
MUST_USE enum err signal_handshake_decode(const uint8_t *buf, size_t len,
					  struct signal_handshake *ret);

#endif
