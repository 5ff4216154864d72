#include "tun/vnet.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

/* Linux 6.2; headers may be older than the kernel. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

_Static_assert(sizeof(struct virtio_net_hdr) == TUN_VNET_BYTES, "the first form of the header");

int tun_vnet_read(const uint8_t buf[static TUN_VNET_BYTES], struct tun_vnet *ret)
{
	struct virtio_net_hdr h;
	struct tun_vnet v = {.gso = TUN_GSO_NONE};

	memcpy(&h, buf, sizeof(h));
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		v.is_partial = true;
		v.csum_start = h.csum_start;
		v.csum_offset = h.csum_offset;
	}
	switch (h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		v.gso = TUN_GSO_TCP4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		v.gso = TUN_GSO_TCP6;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		v.gso = TUN_GSO_UDP;
		break;
	default:
		return -EPROTO;
	}
	if (v.gso != TUN_GSO_NONE) {
		if (h.gso_size == 0)
			return -EPROTO;
		v.gso_size = h.gso_size;
	}
	*ret = v;
	return 0;
}

void tun_vnet_write(uint8_t ret[static TUN_VNET_BYTES], const struct tun_vnet *v)
{
	struct virtio_net_hdr h = {.flags = 0};

	if (v->is_partial) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = v->csum_start;
		h.csum_offset = v->csum_offset;
	}
	switch (v->gso) {
	case TUN_GSO_NONE:
		break;
	case TUN_GSO_TCP4:
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		break;
	case TUN_GSO_TCP6:
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
		break;
	case TUN_GSO_UDP:
		h.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		break;
	}
	if (v->gso != TUN_GSO_NONE) {
		h.gso_size = v->gso_size;
		/* With zero the kernel would put all of it into one piece of memory. */
		h.hdr_len = v->header_bytes;
	}
	memcpy(ret, &h, sizeof(h));
}
