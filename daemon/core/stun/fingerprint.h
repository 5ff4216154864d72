/* FINGERPRINT (RFC 8489 s. 14.7). Private to this room. */
#ifndef ICETUN_STUN_FINGERPRINT_H
#define ICETUN_STUN_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

/* Type, length, CRC. */
#define STUN_FINGERPRINT_BYTES 8

/* Return: the attribute's value for a message whose bytes before FINGERPRINT are @buf, with a
 * length field that already counts it: CRC-32 of ITU-T V.42, XOR 0x5354554e. */
uint32_t stun_fingerprint(const uint8_t *buf, size_t len);

#endif
