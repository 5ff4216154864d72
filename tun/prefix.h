/*
 * IP prefixes as this room knows them: values with pure functions, no system call.
 *
 * The same type is an interface address ("10.7.0.1/16": host bits set, they are the address) and a
 * destination ("10.7.0.0/16": host bits clear). Each function says which it expects. The fields are
 * those of the core's `struct netprefix`, which this room may not include; a caller copies them.
 */
#ifndef ICETUN_TUN_PREFIX_H
#define ICETUN_TUN_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128" and a NUL. */
#define TUN_PREFIX_TEXT_CAP 52

struct tun_prefix {
	uint8_t family;	     /* 4 or 6 */
	uint8_t length_bits; /* 0..32 or 0..128 */
	uint8_t ip[16]; /* network byte order; IPv4 uses the first 4 bytes, the rest is ignored */
};

/* The length of an address of @p's family: 32 or 128 bits, 0 if the family is unknown. */
unsigned int tun_prefix_max_bits(const struct tun_prefix *p);

/* Whether the family is 4 or 6 and the length fits it. Host bits may be set. */
bool tun_prefix_is_valid(const struct tun_prefix *p);

/* @p, which has to be valid, with all host bits (and bytes that the family does not use) zero. */
struct tun_prefix tun_prefix_network(const struct tun_prefix *p);

/*
 * Whether any address is in both: one contains the other, or they are equal. Prefixes of different
 * families never overlap. Both have to be valid; host bits are ignored.
 */
bool tun_prefix_overlaps(const struct tun_prefix *a, const struct tun_prefix *b);

/*
 * Writes "10.7.0.0/16" or "fd00:7::/64"; "invalid" for a prefix that is not valid.
 *
 * Return: @text, NUL-terminated.
 */
char *tun_prefix_format(const struct tun_prefix *p, char text[static TUN_PREFIX_TEXT_CAP]);

#endif
