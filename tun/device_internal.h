/* What the tests of the device need beyond device.h. */
#ifndef ICETUN_TUN_DEVICE_INTERNAL_H
#define ICETUN_TUN_DEVICE_INTERNAL_H

#include "tun/device.h"

/* As `tun_device_open()`, with @path, read during the call, instead of /dev/net/tun. */
TUN_MUST_USE int tun_device_open_at(const char *path, const struct tun_device_params *params,
				    struct tun_device **ret_dev, char *why, size_t why_cap);

#endif
