/*
 * STUN messages as they arrive (RFC 8489).
 *
 * `stun_is_message()` tells STUN from everything else on a socket by framing alone. `stun_decode()`
 * then reads the whole datagram into one `struct stun_message`: numbers in host order, addresses
 * as `struct netaddr` (un-XORed, IPv4-mapped ones as IPv4), strings as pointers into the datagram,
 * which must outlive the message. It allocates nothing and trusts nothing:
 *
 *   - framing, lengths and padding are checked for the whole datagram, ignored attributes included;
 *   - each known attribute is checked against its row in attribute.h; a bad value spoils it all;
 *   - of an attribute that occurs twice, the first counts (RFC 8489 s. 14);
 *   - what stands behind MESSAGE-INTEGRITY is not authenticated and is ignored, except
 *     MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, or behind the former only FINGERPRINT;
 *   - FINGERPRINT, when there, must be the last attribute and right. Whether it had to be there is
 *     the caller's business: ask `stun_has(m, STUN_FINGERPRINT)`.
 *
 * Decoding authenticates nothing. Nothing may be acted on before `stun_check_integrity()` said OK.
 */
#ifndef ICETUN_STUN_MESSAGE_H
#define ICETUN_STUN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/stun/attribute.h"

#define STUN_HEADER_BYTES 20
#define STUN_TXID_BYTES	  12
#define STUN_COOKIE	  0x2112a442u
/* Most attributes in one message, known and unknown; a message with more is malformed. */
#define STUN_MAX_ATTRIBUTES 32
/* Most unknown comprehension-required types that are remembered; further ones are not. */
#define STUN_MAX_UNKNOWN 8

enum stun_class {
	STUN_CLASS_REQUEST = 0,
	STUN_CLASS_INDICATION = 1,
	STUN_CLASS_SUCCESS = 2,
	STUN_CLASS_ERROR = 3,
};

/* Methods are plain numbers below 0x1000: a message of an unknown method is still decoded. */
#define STUN_METHOD_BINDING	      0x001
#define STUN_METHOD_ALLOCATE	      0x003
#define STUN_METHOD_REFRESH	      0x004
#define STUN_METHOD_SEND	      0x006
#define STUN_METHOD_DATA	      0x007
#define STUN_METHOD_CREATE_PERMISSION 0x008
#define STUN_METHOD_CHANNEL_BIND      0x009

/* Error codes of RFC 8489 s. 14.8, RFC 8445 s. 7.3.1.1 and RFC 8656 s. 19. */
enum stun_error_code {
	STUN_ERROR_TRY_ALTERNATE = 300,
	STUN_ERROR_BAD_REQUEST = 400,
	STUN_ERROR_UNAUTHENTICATED = 401,
	STUN_ERROR_FORBIDDEN = 403,
	STUN_ERROR_UNKNOWN_ATTRIBUTE = 420,
	STUN_ERROR_ALLOCATION_MISMATCH = 437,
	STUN_ERROR_STALE_NONCE = 438,
	STUN_ERROR_FAMILY_NOT_SUPPORTED = 440,
	STUN_ERROR_WRONG_CREDENTIALS = 441,
	STUN_ERROR_TRANSPORT_NOT_SUPPORTED = 442,
	STUN_ERROR_PEER_FAMILY_MISMATCH = 443,
	STUN_ERROR_QUOTA_REACHED = 486,
	STUN_ERROR_ROLE_CONFLICT = 487,
	STUN_ERROR_SERVER_ERROR = 500,
	STUN_ERROR_INSUFFICIENT_CAPACITY = 508,
};

/* Bytes inside the datagram. Not terminated, not checked to be printable. */
struct stun_bytes {
	const uint8_t *p;
	uint16_t len;
};

struct stun_error {
	uint16_t code;	/* 300..699 */
	uint8_t family; /* ADDRESS-ERROR-CODE only: 1 = IPv4, 2 = IPv6 */
	struct stun_bytes reason;
};

/* UNKNOWN-ATTRIBUTES: the first STUN_MAX_UNKNOWN types that the peer did not know. */
struct stun_types {
	uint16_t type[STUN_MAX_UNKNOWN];
	size_t count;
};

struct stun_message {
	enum stun_class class;
	uint16_t method;
	uint8_t txid[STUN_TXID_BYTES];
	/* The datagram, borrowed. */
	const uint8_t *buf;
	size_t len;
	/* Comprehension-required types that we do not know: a request with any gets error 420, a
	 * response with any is not used (RFC 8489 s. 6.3). */
	struct stun_types unknown;
	/* Bit n: the attribute n of enum stun_attribute is there; use stun_has(). A field below
	 * means something only if its attribute is present; otherwise it is zero. */
	uint64_t present;

	struct netaddr mapped_address;
	struct netaddr xor_mapped_address;
	struct netaddr alternate_server;
	struct stun_bytes username;
	struct stun_bytes realm;
	struct stun_bytes nonce;
	struct stun_bytes software;
	struct stun_bytes userhash;
	struct stun_bytes password_algorithm;
	struct stun_bytes password_algorithms;
	struct stun_bytes alternate_domain;
	struct stun_error error;
	struct stun_types unknown_attributes;
	/* Where the attribute begins, from the start of the datagram. */
	uint32_t integrity_offset;
	uint32_t integrity_sha256_offset;
	uint32_t fingerprint_offset;

	uint32_t priority;
	uint64_t ice_controlled; /* tie-breakers */
	uint64_t ice_controlling;

	struct netaddr xor_peer_address;
	struct netaddr xor_relayed_address;
	struct stun_bytes data;
	struct stun_bytes reservation_token;
	struct stun_bytes icmp;
	struct stun_error address_error;
	uint32_t lifetime_s;
	uint16_t channel_number;
	uint8_t requested_address_family; /* 1 = IPv4, 2 = IPv6 */
	uint8_t additional_address_family;
	uint8_t requested_transport; /* 17 = UDP */
	uint8_t even_port;	     /* 0x80: the next port is to be reserved */
};

static inline bool stun_has(const struct stun_message *m, enum stun_attribute attribute)
{
	return (m->present >> attribute & 1) != 0;
}

/* True when the @len bytes at @buf are framed as STUN: two zero bits first, the magic cookie, and a
 * length field that is @len - 20 and divisible by four (RFC 8489 s. 5, RFC 7983). */
bool stun_is_message(const uint8_t *buf, size_t len);

/* Decodes one datagram. @ret borrows @buf. On failure *ret is zeroed.
 * Return: OK; DROP_TRUNCATED when @len is below a header or an attribute runs over the end;
 * DROP_MALFORMED when it is not framed as STUN, an attribute is out of its bounds, there are more
 * than STUN_MAX_ATTRIBUTES or FINGERPRINT is not the last; DROP_FINGERPRINT when it is wrong. */
MUST_USE enum err stun_decode(struct stun_message *ret, const uint8_t *buf, size_t len);

/* Of an attribute with an address that may be there more than once (XOR-RELAYED-ADDRESS, RFC 8656
 * s. 7.3), the one that @n others go before, among what integrity protects. Return: false when
 * there are fewer. */
bool stun_find_address(const struct stun_message *m, enum stun_attribute attribute, size_t n,
		       struct netaddr *ret);

/* Checks MESSAGE-INTEGRITY (HMAC-SHA1, RFC 8489 s. 14.5), and MESSAGE-INTEGRITY-SHA256 as well if
 * it is there. The key is the password (short-term) or MD5(user:realm:password) (long-term).
 * Compares in constant time.
 * Return: OK; DROP_INTEGRITY when MESSAGE-INTEGRITY is missing or either is wrong; ERR_CRYPTO. */
MUST_USE enum err stun_check_integrity(const struct stun_message *m, const void *key,
				       size_t key_len);
/* Checks MESSAGE-INTEGRITY-SHA256 (RFC 8489 s. 14.6), which must be there; 16 to 32 bytes of it.
 * Return: as above. */
MUST_USE enum err stun_check_integrity_sha256(const struct stun_message *m, const void *key,
					      size_t key_len);

/* Return: the RFC's default reason phrase for @code, "Error" for one that is not in the enum. */
const char *stun_error_reason(uint16_t code);

#endif
