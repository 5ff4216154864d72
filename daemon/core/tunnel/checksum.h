/*
 * The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
 * words.
 *
 * Sums are numbers in host order. They may be added to each other and to 16-bit values as long as
 * the 32 bits last; checksum_fold() brings them back to 16 bits. The sum of a range that begins at
 * an even offset may be added to that of another one.
 */
#ifndef ICETUN_TUNNEL_CHECKSUM_H
#define ICETUN_TUNNEL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The folded sum of @len bytes; an odd last byte counts as if a zero followed. */
uint32_t checksum_sum(const uint8_t *bytes, size_t len);

static inline uint16_t checksum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The sum of a TCP or UDP packet's pseudo-header (RFC 9293 s. 3.1, RFC 8200 s. 8.1). @ip: the IPv4
 * or IPv6 header, complete; IPv6 without a routing header. @l4_len: the transport header and
 * payload. */
uint32_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, size_t l4_len);

#endif
