/*
 * The header in front of each packet of a TUN device that was opened with want_vnet_hdr: what is
 * left to do to the packet. It is the kernel's struct virtio_net_hdr in its first form, 10 bytes in
 * the machine's byte order.
 *
 * In what is read, the kernel says what a network card would have to do: complete a checksum, cut a
 * superpacket. In what is written, we say what the kernel may take as done: a checksum that is
 * partial is not verified, and a superpacket goes up its stack in one piece.
 */
#ifndef ICETUN_TUN_VNET_H
#define ICETUN_TUN_VNET_H

#include <stdbool.h>
#include <stdint.h>

#include "tun/attr.h"

#define TUN_VNET_BYTES 10

enum tun_gso {
	TUN_GSO_NONE, /* one packet */
	TUN_GSO_TCP4,
	TUN_GSO_TCP6,
	TUN_GSO_UDP, /* datagrams of one size, over IPv4 or IPv6 */
};

struct tun_vnet {
	bool is_partial;      /* the checksum: the field has the sum of the pseudo-header */
	uint16_t csum_start;  /* what it covers begins here; if is_partial */
	uint16_t csum_offset; /* where it stands, from there; if is_partial */
	enum tun_gso gso;
	uint16_t gso_size;     /* payload of each packet; with gso */
	uint16_t header_bytes; /* IP and transport header; with gso. Written only: what the kernel
				* says there is something else, and not handed on. */
};

/* Return: 0, or -EPROTO for a kind of superpacket that nobody asked for. */
TUN_MUST_USE int tun_vnet_read(const uint8_t buf[static TUN_VNET_BYTES], struct tun_vnet *ret);
/* A @v of zeros is a single, complete packet. */
void tun_vnet_write(uint8_t ret[static TUN_VNET_BYTES], const struct tun_vnet *v);

#endif
