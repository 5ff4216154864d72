/*
 * From the tunnel to the TUN device: packets of one flow that follow each other become one
 * superpacket, which costs the kernel about as much as a single packet. The reverse of segment.h.
 *
 * A coalescer takes the packets of one batch and gives them back as groups; nothing is kept from
 * one batch to the next, so no packet ever waits for another. A group is one packet, or several
 * that a network card would have cut from one superpacket:
 *
 *	TCP	same addresses, ports, acknowledgment, window, options, TOS, TTL; sequence numbers
 *		that join; payloads of one size, but a shorter last one; no flag but ACK, ECE
 *		and, which ends the group, PSH. Anything else of the flow (SYN, FIN, RST, URG, CWR,
 *		a gap) ends its group, too; a bare ACK does not
 *	UDP	same addresses, ports, TOS, TTL; datagrams of one size, but a shorter last one; with
 *		a checksum. So each datagram is given to the application as it was sent
 *	both	IPv4: without options, DF the same, identifications in order if DF is not set; IPv6:
 *		without extension headers, flow label the same
 *
 * Within a flow the order stays as it was; over flows it is that of the first packets. Packets of
 * different owners (sessions) are never joined: what was checked of one does not hold for another.
 *
 * The checksum of an IPv4 header must be right. That of TCP and UDP is either partial
 * (TUNNEL_TYPE_PARTIAL) or complete. Partial ones are joined without being looked at: the tunnel
 * has protected them. Complete ones are verified before they are joined, because the group's new
 * checksum would hide a wrong one. The checksum of a group is partial.
 *
 * Packets stay where they are, are written into when a group is given back, and must live until
 * then.
 *
 *	coalesce_reset(c);
 *	for each packet:
 *		if (!coalesce_join(c, owner, packet, len, is_partial)) {
 *			... check it: it is the first of its group ...
 *			coalesce_start(c, owner, packet, len, is_partial);
 *		}
 *	while (coalesce_next(c, &group))
 *		... write the parts; coalesce_split() if that fails ...
 */
#ifndef ICETUN_TUNNEL_COALESCE_H
#define ICETUN_TUNNEL_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/tunnel/l4.h"

/* The longest group, with its headers. */
#define COALESCE_MAX_BYTES 65535
/* Packets in a group: no kernel refuses that, and its parts fit one writev(). */
#define COALESCE_MAX_TCP 512
#define COALESCE_MAX_UDP 64

struct coalescer;

struct coalesce_params {
	size_t max_packets; /* in one batch, 1..4096 */
	bool tcp, udp;	    /* which protocols are joined */
};

struct coalesce_part {
	uint8_t *base;
	size_t len;
};

/* The parts one after the other are what to write. */
struct coalesced {
	const struct coalesce_part *parts; /* until the next call */
	size_t count;			   /* of parts, and of packets */
	size_t bytes;
	bool is_partial;	/* the checksum; then: */
	uint16_t csum_start;	/* what it covers begins here */
	uint16_t csum_offset;	/* where it stands, from there */
	uint16_t segment_bytes; /* payload of each packet; 0: a single packet */
	uint16_t header_bytes;	/* of both headers; with segment_bytes */
	uint8_t protocol;	/* L4_TCP or L4_UDP; with segment_bytes */
};

/* Return: OK, ERR_INVALID, ERR_NO_MEMORY. */
MUST_USE enum err coalesce_create(struct coalescer **ret, const struct coalesce_params *params);
/* NULL is fine. */
void coalesce_destroy(struct coalescer *c);
/* From now on. */
void coalesce_set(struct coalescer *c, bool tcp, bool udp);

/* Forgets all. */
void coalesce_reset(struct coalescer *c);
/* Packets since then. */
size_t coalesce_count(const struct coalescer *c);

/* Return: whether the packet of exactly @len bytes has joined a group. If not, nothing has changed
 * for it, but its flow may have been ended. */
bool coalesce_join(struct coalescer *c, const void *owner, uint8_t *packet, size_t len,
		   bool is_partial);
/* The packet, of exactly the length that its header says, begins a group. Return: OK; DROP_LIMIT
 * when there are max_packets; DROP_MALFORMED when the checksum of what is no whole TCP or UDP
 * packet shall be partial. */
MUST_USE enum err coalesce_start(struct coalescer *c, const void *owner, uint8_t *packet,
				 size_t len, bool is_partial);

/* Return: true with the next group, whose header is patched; false after the last one. */
bool coalesce_next(struct coalescer *c, struct coalesced *ret);
/* The last group's single packets, as they came: its parts are whole packets now, each to be
 * written by itself. */
void coalesce_split(struct coalescer *c, struct coalesced *group);

#endif
