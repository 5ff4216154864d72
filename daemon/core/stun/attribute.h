/*
 * The registry of STUN attributes: one row for each that icetun understands.
 *
 * A row holds the registered type, the name, the shortest and the longest legal value in bytes, how
 * the value is coded, and the field of `struct stun_message` that receives it. The decoder and the
 * writer are driven by these rows; to teach icetun an attribute, add a row and a field.
 *
 * Types below 0x8000 are comprehension-required: a request that carries an unknown one is answered
 * with error 420 (RFC 8489 s. 6.3.1). Types from 0x8000 are ignored when unknown.
 */
#ifndef ICETUN_STUN_ATTRIBUTE_H
#define ICETUN_STUN_ATTRIBUTE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"

/* How a value is coded, and the C type of its field. */
enum stun_codec {
	STUN_CODEC_BYTES, /* as it is: struct stun_bytes */
	STUN_CODEC_FLAG,  /* empty, presence is the value: no field */
	STUN_CODEC_U8,	  /* the number first, reserved zero bytes behind it up to the length */
	STUN_CODEC_U16,
	STUN_CODEC_U32,
	STUN_CODEC_U64,
	STUN_CODEC_ADDRESS,	/* RFC 8489 s. 14.1: struct netaddr */
	STUN_CODEC_XOR_ADDRESS, /* s. 14.2: struct netaddr */
	STUN_CODEC_ERROR,	/* s. 14.8, and RFC 8656 s. 18.12: struct stun_error */
	STUN_CODEC_TYPES,	/* s. 14.13: struct stun_types */
	STUN_CODEC_POSITION,	/* checked over the raw bytes: uint32_t offset */
};

/* X(identifier, type, name, min_bytes, max_bytes, codec, field). Lengths of text are the RFC's
 * limits in bytes. FLAG has no field: `present` stands there to have one. */
#define STUN_ATTRIBUTE_TABLE(X)                                                                    \
	/* RFC 8489 */                                                                             \
	X(MAPPED_ADDRESS, 0x0001, "MAPPED-ADDRESS", 8, 20, ADDRESS, mapped_address)                \
	X(USERNAME, 0x0006, "USERNAME", 1, 513, BYTES, username)                                   \
	X(MESSAGE_INTEGRITY, 0x0008, "MESSAGE-INTEGRITY", 20, 20, POSITION, integrity_offset)      \
	X(ERROR_CODE, 0x0009, "ERROR-CODE", 4, 767, ERROR, error)                                  \
	X(UNKNOWN_ATTRIBUTES, 0x000a, "UNKNOWN-ATTRIBUTES", 0, 64, TYPES, unknown_attributes)      \
	X(REALM, 0x0014, "REALM", 1, 763, BYTES, realm)                                            \
	X(NONCE, 0x0015, "NONCE", 1, 763, BYTES, nonce)                                            \
	X(MESSAGE_INTEGRITY_SHA256, 0x001c, "MESSAGE-INTEGRITY-SHA256", 16, 32, POSITION,          \
	  integrity_sha256_offset)                                                                 \
	X(PASSWORD_ALGORITHM, 0x001d, "PASSWORD-ALGORITHM", 4, 64, BYTES, password_algorithm)      \
	X(USERHASH, 0x001e, "USERHASH", 32, 32, BYTES, userhash)                                   \
	X(XOR_MAPPED_ADDRESS, 0x0020, "XOR-MAPPED-ADDRESS", 8, 20, XOR_ADDRESS,                    \
	  xor_mapped_address)                                                                      \
	X(PASSWORD_ALGORITHMS, 0x8002, "PASSWORD-ALGORITHMS", 4, 128, BYTES, password_algorithms)  \
	X(ALTERNATE_DOMAIN, 0x8003, "ALTERNATE-DOMAIN", 1, 255, BYTES, alternate_domain)           \
	X(SOFTWARE, 0x8022, "SOFTWARE", 0, 763, BYTES, software)                                   \
	X(ALTERNATE_SERVER, 0x8023, "ALTERNATE-SERVER", 8, 20, ADDRESS, alternate_server)          \
	X(FINGERPRINT, 0x8028, "FINGERPRINT", 4, 4, POSITION, fingerprint_offset)                  \
	/* RFC 8445 */                                                                             \
	X(PRIORITY, 0x0024, "PRIORITY", 4, 4, U32, priority)                                       \
	X(USE_CANDIDATE, 0x0025, "USE-CANDIDATE", 0, 0, FLAG, present)                             \
	X(ICE_CONTROLLED, 0x8029, "ICE-CONTROLLED", 8, 8, U64, ice_controlled)                     \
	X(ICE_CONTROLLING, 0x802a, "ICE-CONTROLLING", 8, 8, U64, ice_controlling)                  \
	/* RFC 8656 */                                                                             \
	X(CHANNEL_NUMBER, 0x000c, "CHANNEL-NUMBER", 4, 4, U16, channel_number)                     \
	X(LIFETIME, 0x000d, "LIFETIME", 4, 4, U32, lifetime_s)                                     \
	X(XOR_PEER_ADDRESS, 0x0012, "XOR-PEER-ADDRESS", 8, 20, XOR_ADDRESS, xor_peer_address)      \
	X(DATA, 0x0013, "DATA", 0, 65535, BYTES, data)                                             \
	X(XOR_RELAYED_ADDRESS, 0x0016, "XOR-RELAYED-ADDRESS", 8, 20, XOR_ADDRESS,                  \
	  xor_relayed_address)                                                                     \
	X(REQUESTED_ADDRESS_FAMILY, 0x0017, "REQUESTED-ADDRESS-FAMILY", 4, 4, U8,                  \
	  requested_address_family)                                                                \
	X(EVEN_PORT, 0x0018, "EVEN-PORT", 1, 1, U8, even_port)                                     \
	X(REQUESTED_TRANSPORT, 0x0019, "REQUESTED-TRANSPORT", 4, 4, U8, requested_transport)       \
	X(DONT_FRAGMENT, 0x001a, "DONT-FRAGMENT", 0, 0, FLAG, present)                             \
	X(RESERVATION_TOKEN, 0x0022, "RESERVATION-TOKEN", 8, 8, BYTES, reservation_token)          \
	X(ADDITIONAL_ADDRESS_FAMILY, 0x8000, "ADDITIONAL-ADDRESS-FAMILY", 4, 4, U8,                \
	  additional_address_family)                                                               \
	X(ADDRESS_ERROR_CODE, 0x8001, "ADDRESS-ERROR-CODE", 4, 767, ERROR, address_error)          \
	X(ICMP, 0x8004, "ICMP", 8, 8, BYTES, icmp)

/* Numbers the rows; these are not the types on the wire. */
enum stun_attribute {
#define X(id, type, name, min, max, codec, field) STUN_##id,
	STUN_ATTRIBUTE_TABLE(X)
#undef X
		STUN_ATTRIBUTE_COUNT
};

struct stun_attribute_row {
	uint16_t type;
	uint16_t min_bytes;
	uint16_t max_bytes;
	enum stun_codec codec;
	uint16_t field_offset; /* in struct stun_message */
	const char *name;
};

/* Return: the row of @attribute, which must be below STUN_ATTRIBUTE_COUNT. */
const struct stun_attribute_row *stun_attribute_row(enum stun_attribute attribute);
/* Return: the attribute with @type on the wire, or STUN_ATTRIBUTE_COUNT when it is not known. */
enum stun_attribute stun_attribute_find(uint16_t type);

#endif
