/*
 * Inner packets as one would make, cut and check them without thinking of speed: what segmenter and
 * coalescer are held to, in unit tests and fuzz targets. Model functions return false where a
 * packet is not as it must be.
 */
#ifndef ICETUN_TEST_PACKET_MODEL_H
#define ICETUN_TEST_PACKET_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct model_flow {
	bool ip6;
	uint8_t protocol; /* 6 TCP, 17 UDP */
	uint8_t host;	  /* last byte of the source address */
	uint16_t port;	  /* source */
	uint8_t tos, ttl;
	bool dont_fragment;
	size_t ip_options;  /* bytes, a multiple of 4 */
	size_t tcp_options; /* bytes, a multiple of 4 */
};

struct model_tcp {
	uint32_t sequence, acknowledgment;
	uint8_t flags;
	uint16_t window;
};

static inline void model_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline size_t model_get16(const uint8_t *p)
{
	return (size_t)p[0] * 256 + p[1];
}

static inline void model_put32(uint8_t *p, uint32_t v)
{
	model_put16(p, v >> 16);
	model_put16(p + 2, v & 0xffff);
}

static inline uint32_t model_get32(const uint8_t *p)
{
	return (uint32_t)(model_get16(p) << 16 | model_get16(p + 2));
}

/* RFC 1071, word by word. */
static inline uint16_t model_sum(uint32_t start, const uint8_t *p, size_t len)
{
	uint64_t sum = start;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint64_t)p[i] * 256 + (i + 1 < len ? p[i + 1] : 0);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline size_t model_ip_bytes(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4u : 40;
}

static inline uint8_t model_protocol(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[9] : packet[6];
}

static inline size_t model_header_bytes(const uint8_t *packet)
{
	size_t ip = model_ip_bytes(packet);

	return ip + (model_protocol(packet) == 6 ? (packet[ip + 12] >> 4) * 4u : 8);
}

static inline uint8_t *model_checksum_field(uint8_t *packet)
{
	return packet + model_ip_bytes(packet) + (model_protocol(packet) == 6 ? 16 : 6);
}

static inline uint16_t model_pseudo(const uint8_t *packet, size_t len)
{
	size_t l4_len = len - model_ip_bytes(packet);
	uint32_t start = (uint32_t)(model_protocol(packet) + l4_len);

	return packet[0] >> 4 == 4 ? model_sum(start, packet + 12, 8)
				   : model_sum(start, packet + 8, 32);
}

/* Sets lengths and the IPv4 header's checksum, and the transport checksum, partial or complete. */
static inline void model_finish(uint8_t *packet, size_t len, bool is_partial)
{
	size_t ip = model_ip_bytes(packet);
	uint8_t *field = model_checksum_field(packet);
	uint16_t sum;

	if (packet[0] >> 4 == 4) {
		model_put16(packet + 2, len);
		model_put16(packet + 10, 0);
		model_put16(packet + 10, (uint16_t)~model_sum(0, packet, ip));
	} else {
		model_put16(packet + 4, len - 40);
	}
	if (model_protocol(packet) == 17)
		model_put16(packet + ip + 4, len - ip);
	model_put16(field, 0);
	if (is_partial) {
		model_put16(field, model_pseudo(packet, len));
		return;
	}
	sum = (uint16_t)~model_sum(model_pseudo(packet, len), packet + ip, len - ip);
	model_put16(field, sum == 0 && model_protocol(packet) == 17 ? 0xffff : sum);
}

/* Completes a partial checksum as a network card does. Return: whether it was right so far. */
static inline bool model_complete(uint8_t *packet, size_t len)
{
	if (model_get16(model_checksum_field(packet)) != model_pseudo(packet, len))
		return false;
	model_finish(packet, len, false);
	return true;
}

/* Writes headers and @payload. @tcp: NULL for UDP. Return: the length. */
static inline size_t model_packet(uint8_t *ret, const struct model_flow *f,
				  const struct model_tcp *tcp, uint16_t id, const uint8_t *payload,
				  size_t payload_len, bool is_partial)
{
	size_t ip = f->ip6 ? 40 : 20 + f->ip_options, headers;
	uint8_t *l4 = ret + ip;

	headers = ip + (f->protocol == 6 ? 20 + f->tcp_options : 8);
	memset(ret, 0, headers);
	if (f->ip6) {
		ret[0] = (uint8_t)(0x60 | f->tos >> 4);
		ret[1] = (uint8_t)(f->tos << 4);
		ret[6] = f->protocol;
		ret[7] = f->ttl;
		ret[8] = ret[24] = 0xfd;
		ret[23] = f->host;
		ret[39] = 99;
	} else {
		ret[0] = (uint8_t)(0x40 | ip / 4);
		ret[1] = f->tos;
		model_put16(ret + 4, id);
		ret[6] = f->dont_fragment ? 0x40 : 0;
		ret[8] = f->ttl;
		ret[9] = f->protocol;
		memcpy(ret + 12, "\x0a\0\0", 3);
		ret[15] = f->host;
		memcpy(ret + 16, "\x0a\0\0\x63", 4);
		memset(ret + 20, 1, f->ip_options);
	}
	model_put16(l4, f->port);
	model_put16(l4 + 2, 5001);
	if (f->protocol == 6) {
		model_put32(l4 + 4, tcp->sequence);
		model_put32(l4 + 8, tcp->acknowledgment);
		l4[12] = (uint8_t)((20 + f->tcp_options) / 4 << 4);
		l4[13] = tcp->flags;
		model_put16(l4 + 14, tcp->window);
		memset(l4 + 20, 1, f->tcp_options);
	}
	if (payload_len)
		memcpy(ret + headers, payload, payload_len);
	model_finish(ret, headers + payload_len, is_partial);
	return headers + payload_len;
}

/*
 * The @index-th packet that a network card would make of a superpacket with @chunk bytes of payload
 * in each, with a complete checksum. @ret: room for headers and @chunk. Return: its length, 0 when
 * there is none.
 */
static inline size_t model_cut(uint8_t *ret, const uint8_t *super, size_t len, size_t chunk,
			       size_t index)
{
	size_t ip = model_ip_bytes(super), headers = model_header_bytes(super);
	size_t payload = len - headers, start = index * chunk, take;
	bool last;

	if (start >= payload && index > 0)
		return 0;
	take = payload - start < chunk ? payload - start : chunk;
	last = start + take == payload;
	memcpy(ret, super, headers);
	memcpy(ret + headers, super + headers + start, take);
	if (super[0] >> 4 == 4)
		model_put16(ret + 4, (model_get16(super + 4) + index) & 0xffff);
	if (model_protocol(super) == 6) {
		model_put32(ret + ip + 4, model_get32(super + ip + 4) + (uint32_t)start);
		if (index > 0)
			ret[ip + 13] &= 0x7f; /* CWR */
		if (!last)
			ret[ip + 13] &= 0xf6; /* PSH, FIN */
	}
	model_finish(ret, headers + take, false);
	return headers + take;
}

#endif
