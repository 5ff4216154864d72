#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tun/why.h"

int tun_why(char *why, size_t why_cap, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (why_cap)
		vsnprintf(why, why_cap, fmt, args);
	va_end(args);
	return err;
}

const char *tun_why_kernel(int err)
{
	const char *text;

	switch (-err) {
	case EPERM:
		return "not permitted; run as root or give the program CAP_NET_ADMIN";
	case ENODEV:
		return "the device is gone";
	case EEXIST:
		return "it is there already";
	case ENOENT:
		return "it is not there";
	case ENETDOWN:
		return "the device is down; bring it up first";
	case ETIMEDOUT:
		return "the kernel did not answer in time";
	default:
		text = strerrordesc_np(-err);
		return text ? text : "unknown error";
	}
}
