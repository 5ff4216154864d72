/*
 * TCP and UDP inside an inner packet: where the headers are, for those who cut packets and join
 * them.
 *
 * Only packets that can be cut and joined are recognised: whole (no fragment), TCP or UDP directly
 * behind the IPv4 header, or behind the fixed IPv6 header. For all others a reader says no, and
 * they are passed on as they are.
 */
#ifndef ICETUN_TUNNEL_L4_H
#define ICETUN_TUNNEL_L4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define L4_TCP		     6
#define L4_UDP		     17
#define L4_TCP_MIN_BYTES     20
#define L4_UDP_BYTES	     8
#define L4_TCP_CHECKSUM	     16 /* where the checksum stands in its header */
#define L4_UDP_CHECKSUM	     6
#define L4_HEADERS_MAX_BYTES 120 /* 60 of IPv4, 60 of TCP */
#define L4_IP4_DONT_FRAGMENT 0x4000
#define L4_IP4_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */

#define L4_TCP_FIN 0x01
#define L4_TCP_SYN 0x02
#define L4_TCP_RST 0x04
#define L4_TCP_PSH 0x08
#define L4_TCP_ACK 0x10
#define L4_TCP_URG 0x20
#define L4_TCP_ECE 0x40
#define L4_TCP_CWR 0x80

struct l4 {
	uint8_t protocol;     /* L4_TCP or L4_UDP */
	uint8_t offset;	      /* of its header: the length of the IP header */
	uint8_t header_bytes; /* of both headers */
};

static inline uint16_t l4_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t l4_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void l4_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void l4_put32(uint8_t *p, uint32_t v)
{
	l4_put16(p, (uint16_t)(v >> 16));
	l4_put16(p + 2, (uint16_t)v);
}

static inline uint8_t l4_checksum_offset(uint8_t protocol)
{
	return protocol == L4_TCP ? L4_TCP_CHECKSUM : L4_UDP_CHECKSUM;
}

/* @packet: @len bytes, exactly the length that the IP header says (as tunnel_inner_read() gives
 *          it).
 * Return: whether it is such a packet, with its transport header complete and, for UDP, its length
 * right; only then *ret. */
static inline bool l4_read(const uint8_t *packet, size_t len, struct l4 *ret)
{
	size_t offset, header;
	uint8_t protocol;

	if (len >= 20 && packet[0] >> 4 == 4) {
		offset = (packet[0] & 0x0fu) * 4u;
		protocol = packet[9];
		if (offset < 20 || l4_get16(packet + 6) & L4_IP4_FRAGMENT_MASK ||
		    l4_get16(packet + 2) != len)
			return false;
	} else if (len >= 40 && packet[0] >> 4 == 6) {
		offset = 40;
		protocol = packet[6];
		if (l4_get16(packet + 4) != len - 40)
			return false;
	} else {
		return false;
	}
	if (protocol == L4_TCP && offset + L4_TCP_MIN_BYTES <= len) {
		header = (packet[offset + 12] >> 4) * 4u;
		if (header < L4_TCP_MIN_BYTES || offset + header > len)
			return false;
	} else if (protocol == L4_UDP && offset + L4_UDP_BYTES <= len) {
		header = L4_UDP_BYTES;
		if (l4_get16(packet + offset + 4) != len - offset)
			return false;
	} else {
		return false;
	}
	*ret = (struct l4){.protocol = protocol,
			   .offset = (uint8_t)offset,
			   .header_bytes = (uint8_t)(offset + header)};
	return true;
}

/* @l4: of a TCP packet. Whether it has no flag but ACK. */
static inline bool l4_is_bare_ack(const uint8_t *packet, const struct l4 *l4)
{
	return packet[l4->offset + 13] == L4_TCP_ACK;
}

#endif
