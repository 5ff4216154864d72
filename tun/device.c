#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tun/device.h"
#include "tun/device_internal.h"
#include "tun/why.h"

#define TUN_PATH "/dev/net/tun"

/* Linux 6.2; headers may be older than the kernel. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tun_device {
	char name[IFNAMSIZ];
	int ifindex;
	struct tun_device_offloads offloads;
	unsigned int queues; /* descriptors that are open */
	int fds[TUN_DEVICE_QUEUES_MAX];
};

/* The kernel's rules for a name, and at most one "%d" as its only '%'. */
static bool name_is_valid(const char *name)
{
	const char *percent;
	size_t len;

	if (!name)
		return false;
	len = strnlen(name, IFNAMSIZ);
	if (!len || len == IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (const char *c = name; *c; c++)
		if (*c == '/' || *c == ':' || isspace((unsigned char)*c))
			return false;
	percent = strchr(name, '%');
	return !percent || (percent[1] == 'd' && !strchr(percent + 1, '%'));
}

static int explain_open(const char *path, int err, char *why, size_t why_cap)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return tun_why(why, why_cap, -ENODEV,
			       "there is no %s; load the module with 'modprobe tun', or in a "
			       "container pass the device in",
			       path);
	case ENODEV:
	case ENXIO:
		return tun_why(why, why_cap, -ENODEV,
			       "%s is there but the kernel has no driver for it; load the module "
			       "with 'modprobe tun'",
			       path);
	case EACCES:
	case EPERM:
		return tun_why(why, why_cap, -EPERM,
			       "no permission to open %s; run as root, or let this user read and "
			       "write it",
			       path);
	default:
		return tun_why(why, why_cap, -err, "cannot open %s: %s", path,
			       tun_why_kernel(-err));
	}
}

static int explain_attach(const char *path, const char *name, int err, char *why, size_t why_cap)
{
	switch (err) {
	case EBUSY:
		return tun_why(
			why, why_cap, -EBUSY,
			"the interface %s exists already; is icetund running? Stop what made "
			"it, or choose another name",
			name);
	case EACCES:
	case EPERM:
		return tun_why(why, why_cap, -EPERM,
			       "no permission to make the interface %s; run as root or give the "
			       "program CAP_NET_ADMIN",
			       name);
	case ENOTTY:
		return tun_why(why, why_cap, -ENODEV,
			       "%s is not the TUN driver; make it anew with 'mknod %s c 10 200'",
			       path, path);
	case EINVAL:
		return tun_why(why, why_cap, -EINVAL,
			       "the kernel refuses the interface %s; choose another name or fewer "
			       "queues",
			       name);
	default:
		return tun_why(why, why_cap, -err, "cannot make the interface %s: %s", name,
			       tun_why_kernel(-err));
	}
}

/* Opens one more queue. The first makes the interface and learns its name. */
static int add_queue(struct tun_device *dev, const char *path, bool multi_queue, char *why,
		     size_t why_cap)
{
	struct ifreq ifr = {0};
	unsigned int flags = IFF_TUN | IFF_NO_PI;
	int fd, err;

	if (dev->offloads.vnet_hdr)
		flags |= IFF_VNET_HDR;
	if (multi_queue)
		flags |= IFF_MULTI_QUEUE;
	/* Without EXCL the kernel would attach us to a device that somebody else made. */
	if (!dev->queues)
		flags |= IFF_TUN_EXCL;
	memcpy(ifr.ifr_name, dev->name, sizeof(ifr.ifr_name));
	ifr.ifr_flags = (short)flags;

	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return explain_open(path, errno, why, why_cap);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = explain_attach(path, dev->name, errno, why, why_cap);
		close(fd);
		return err;
	}
	memcpy(dev->name, ifr.ifr_name, sizeof(dev->name));
	dev->name[sizeof(dev->name) - 1] = '\0';
	dev->fds[dev->queues++] = fd;
	return 0;
}

static int open_queues(struct tun_device *dev, const char *path, unsigned int queues, char *why,
		       size_t why_cap)
{
	unsigned int ifindex;
	int err;

	while (dev->queues < queues) {
		err = add_queue(dev, path, queues > 1, why, why_cap);
		if (err)
			return err;
	}
	ifindex = if_nametoindex(dev->name);
	if (!ifindex) {
		err = -errno;
		return tun_why(why, why_cap, err, "the interface %s was made but is not found: %s",
			       dev->name, tun_why_kernel(err));
	}
	dev->ifindex = (int)ifindex;
	return 0;
}

static bool set_mask(const struct tun_device *dev, unsigned int mask)
{
	for (unsigned int i = 0; i < dev->queues; i++)
		if (ioctl(dev->fds[i], TUNSETOFFLOAD, mask) < 0)
			return false;
	return true;
}

/* A kernel refuses a mask with a bit that it does not know. */
void tun_device_set_offloads(struct tun_device *dev, bool want_tso, bool want_uso)
{
	const unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	if (!dev->offloads.vnet_hdr)
		return;
	dev->offloads.uso = want_tso && want_uso && set_mask(dev, tso | TUN_F_USO4 | TUN_F_USO6);
	dev->offloads.tso = dev->offloads.uso || (want_tso && set_mask(dev, tso));
	if (!dev->offloads.tso)
		(void)set_mask(dev, 0);
}

int tun_device_open_at(const char *path, const struct tun_device_params *params,
		       struct tun_device **ret_dev, char *why, size_t why_cap)
{
	struct tun_device *dev;
	int err;

	if (!name_is_valid(params->name))
		return tun_why(why, why_cap, -EINVAL,
			       "'%.32s' cannot name an interface; use 1 to 15 characters without "
			       "blanks, '/' and ':', with at most one %%d",
			       params->name ? params->name : "");
	if (params->queues < 1 || params->queues > TUN_DEVICE_QUEUES_MAX)
		return tun_why(why, why_cap, -EINVAL, "%u queues are not possible; use 1 to %d",
			       params->queues, TUN_DEVICE_QUEUES_MAX);

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return tun_why(why, why_cap, -ENOMEM, "out of memory");
	memcpy(dev->name, params->name, strlen(params->name));
	dev->offloads.vnet_hdr = params->want_vnet_hdr;
	err = open_queues(dev, path, params->queues, why, why_cap);
	if (!err && params->want_tso)
		tun_device_set_offloads(dev, true, params->want_uso);
	if (err) {
		tun_device_close(dev);
		return err;
	}
	*ret_dev = dev;
	return 0;
}

int tun_device_open(const struct tun_device_params *params, struct tun_device **ret_dev, char *why,
		    size_t why_cap)
{
	return tun_device_open_at(TUN_PATH, params, ret_dev, why, why_cap);
}

void tun_device_close(struct tun_device *dev)
{
	if (!dev)
		return;
	while (dev->queues)
		close(dev->fds[--dev->queues]);
	free(dev);
}

int tun_device_fd(const struct tun_device *dev, unsigned int queue)
{
	return dev->fds[queue];
}

unsigned int tun_device_queues(const struct tun_device *dev)
{
	return dev->queues;
}

struct tun_device_offloads tun_device_offloads(const struct tun_device *dev)
{
	return dev->offloads;
}

const char *tun_device_name(const struct tun_device *dev)
{
	return dev->name;
}

int tun_device_ifindex(const struct tun_device *dev)
{
	return dev->ifindex;
}
