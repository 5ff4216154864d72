/*
 * The TUN device: where IP packets of this host enter and leave the overlay.
 *
 * Theory of operation
 *
 * A TUN device is a network interface whose wire is a file descriptor: one read() takes one IP
 * packet that the host wants to send, one write() makes the host receive one. There is no link
 * layer and no packet information header (IFF_TUN | IFF_NO_PI); the first byte of each buffer is
 * the first byte of the IP header, unless the virtio-net header was asked for (see below).
 *
 * `tun_device_open()` always makes a new interface. It never joins one that exists, even where the
 * kernel would allow it (a persistent device without a reader, another queue of somebody's
 * multi-queue device), because two programs that read one TUN steal each other's packets. The
 * interface is not persistent: when the last descriptor is closed, by `tun_device_close()` or
 * because the process died, the kernel removes it with every address and route on it. So a crash
 * leaves nothing behind and a restart finds the name free.
 *
 * The interface belongs to the network namespace that the calling thread is in when it opens it.
 * It starts down, without addresses, with the kernel's MTU of 1500 bytes; `tun/netcfg.h` sets it
 * up. A read gives EAGAIN when no packet waits; a write gives EIO while the link is down.
 *
 * Each queue is one descriptor, non-blocking and close-on-exec. The kernel spreads flows over the
 * queues; each is meant for one thread. The object itself does not change after it was opened, but
 * for tun_device_set_offloads(): its getters may be called from any thread, the closer must be the
 * last user.
 *
 * With want_vnet_hdr each packet has a header of TUN_VNET_BYTES (tun/vnet.h) in front, in both
 * directions. It cannot be switched on later. No offload is switched on by that alone: the kernel
 * still hands out complete single packets, and a header of zeros is right for each write. With
 * want_tso it may hand out TCP superpackets, and any packet with a partial checksum; with want_uso
 * UDP superpackets, too (Linux 6.2). What the kernel does not know is left out and no error:
 * tun_device_offloads() says what it does. A kernel that hands out superpackets of a kind also
 * takes them.
 *
 *	struct tun_device_params params = {.name = "icetun%d", .queues = 1};
 *	struct tun_device *dev;
 *	char why[TUN_WHY_CAP];
 *
 *	if (tun_device_open(&params, &dev, why, sizeof(why)) < 0)
 *		... say why, give up ...
 *	n = read(tun_device_fd(dev, 0), packet, sizeof(packet));
 *	tun_device_close(dev);
 */
#ifndef ICETUN_TUN_DEVICE_H
#define ICETUN_TUN_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "tun/attr.h"

/* Upper limit of `queues`. The kernel allows 256; nobody here has more workers than this. */
#define TUN_DEVICE_QUEUES_MAX 64

struct tun_device;

struct tun_device_params {
	/* Name of the interface, 1 to 15 bytes without blanks, '/' and ':'. One "%d" becomes the
	 * first number that is free. */
	const char *name;
	unsigned int queues; /* 1 to TUN_DEVICE_QUEUES_MAX */
	bool want_vnet_hdr;
	bool want_tso; /* needs want_vnet_hdr */
	bool want_uso; /* needs want_tso */
};

/* What was asked for and the kernel does. */
struct tun_device_offloads {
	bool vnet_hdr;
	bool tso;
	bool uso;
};

/*
 * Makes the interface and opens its queues.
 * @params: read during the call only.
 * @ret_dev: gets the device, which the caller owns and ends with `tun_device_close()`; untouched on
 * failure.
 * @why: @why_cap writable bytes, gets a sentence for a person on failure; untouched on success. May
 * be NULL when @why_cap is 0.
 *
 * Return: 0, or
 *   -EINVAL  the name or the number of queues is not allowed
 *   -ENODEV  this system has no /dev/net/tun, or no driver behind it
 *   -EPERM   no permission to open /dev/net/tun or to make an interface
 *   -EBUSY   an interface of that name exists
 *   -ENOMEM  out of memory
 *   -EMFILE, -ENFILE  too many open files
 *   or another negative errno that the kernel gave.
 */
TUN_MUST_USE int tun_device_open(const struct tun_device_params *params,
				 struct tun_device **ret_dev, char *why, size_t why_cap);

/* Closes all queues: the interface is gone, with its addresses and routes, when this returns. No
 * thread may use a descriptor of @dev any more. NULL is allowed. */
void tun_device_close(struct tun_device *dev);

/* The descriptor of a queue, owned by @dev. @queue: below `tun_device_queues()`. */
int tun_device_fd(const struct tun_device *dev, unsigned int queue);

unsigned int tun_device_queues(const struct tun_device *dev);

struct tun_device_offloads tun_device_offloads(const struct tun_device *dev);

/* Switches superpackets on or off, of a device with the virtio-net header; of another one nothing
 * changes. As at the opening, what the kernel does not know is left out. While others read and
 * write, packets that wait in a queue may still be superpackets. Not at the same time as
 * tun_device_offloads(). */
void tun_device_set_offloads(struct tun_device *dev, bool want_tso, bool want_uso);

/* The name that the interface got when it was made, owned by @dev. An administrator may rename an
 * interface: for anything but display use the index. */
const char *tun_device_name(const struct tun_device *dev);

/* The index of the interface in its network namespace, > 0. Stays the same when it is renamed. */
int tun_device_ifindex(const struct tun_device *dev);

#endif
