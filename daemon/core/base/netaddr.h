/*
 * Network addresses as the core knows them: no socket header, always canonical.
 *
 * An IPv4 address that arrives inside IPv6 (::ffff:a.b.c.d) becomes IPv4 at the door
 * (`netaddr_from_ip6()`), so that no filter can be dodged by writing an address in another way.
 */
#ifndef ICETUN_BASE_NETADDR_H
#define ICETUN_BASE_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/err.h"

enum netaddr_family {
	NETADDR_NONE = 0,
	NETADDR_IP4 = 4,
	NETADDR_IP6 = 6,
};

/* An address with a port (0 where a port has no meaning). Unused bytes are zero, so values of this
 * type may be hashed and compared whole. */
struct netaddr {
	uint8_t family; /* enum netaddr_family */
	uint8_t reserved;
	uint16_t port;
	uint32_t scope_id; /* interface index, only for IPv6 link-local addresses */
	uint8_t ip[16];	   /* 4 bytes used for IPv4 */
};

/* A block of addresses. Host bits are zero. */
struct netprefix {
	uint8_t family;
	uint8_t length_bits;
	uint8_t ip[16];
};

/* "[2001:db8::1%65535]:65535" and a NUL. */
#define NETADDR_TEXT_BYTES   64
#define NETPREFIX_TEXT_BYTES 64

struct netaddr netaddr_from_ip4(const uint8_t ip[static 4], uint16_t port);
/* IPv4-mapped addresses become IPv4. */
struct netaddr netaddr_from_ip6(const uint8_t ip[static 16], uint16_t port);

/* Bytes of the address itself: 4, 16, or 0 for NETADDR_NONE. */
size_t netaddr_ip_bytes(const struct netaddr *a);

/* Same family, address, scope and port. */
bool netaddr_equal(const struct netaddr *a, const struct netaddr *b);
/* Same family, address and scope; ports are not looked at. */
bool netaddr_ip_equal(const struct netaddr *a, const struct netaddr *b);
uint32_t netaddr_hash(const struct netaddr *a);

bool netaddr_is_unspecified(const struct netaddr *a);
bool netaddr_is_loopback(const struct netaddr *a);
/* 169.254.0.0/16, fe80::/10 */
bool netaddr_is_link_local(const struct netaddr *a);
/* Also the limited broadcast 255.255.255.255. */
bool netaddr_is_multicast(const struct netaddr *a);
/* RFC 8445 s. 5.1.1.1: IPv4-compatible and site-local IPv6 are no candidates. */
bool netaddr_is_deprecated_ip6(const struct netaddr *a);
/* RFC 1918, RFC 6598 and fc00::/7. */
bool netaddr_is_private(const struct netaddr *a);

/* Parses "192.0.2.1", "2001:db8::1", with the port from the argument.
 * Return: OK or ERR_INVALID, then *ret is untouched. */
MUST_USE enum err netaddr_parse_ip(const char *text, uint16_t port, struct netaddr *ret);
/* Parses "192.0.2.1:3478" and "[2001:db8::1]:3478". */
MUST_USE enum err netaddr_parse(const char *text, struct netaddr *ret);
/* Writes "192.0.2.1:3478" or "[2001:db8::1]:3478"; returns @buf. */
const char *netaddr_format(const struct netaddr *a, char buf[static NETADDR_TEXT_BYTES]);
/* Writes the address without its port; returns @buf. */
const char *netaddr_format_ip(const struct netaddr *a, char buf[static NETADDR_TEXT_BYTES]);

/* The block that @a lies in. @length_bits above the family's maximum is cut. */
struct netprefix netprefix_of(const struct netaddr *a, uint8_t length_bits);
bool netprefix_contains(const struct netprefix *p, const struct netaddr *a);
/* One of the two contains the other. */
bool netprefix_overlaps(const struct netprefix *a, const struct netprefix *b);
bool netprefix_equal(const struct netprefix *a, const struct netprefix *b);
/* Parses "10.0.0.0/8"; host bits must be zero. Return: OK or ERR_INVALID. */
MUST_USE enum err netprefix_parse(const char *text, struct netprefix *ret);
const char *netprefix_format(const struct netprefix *p, char buf[static NETPREFIX_TEXT_BYTES]);

#endif
