/*
 * What is kept of another host's certificate for as long as the host is known.
 *
 * A `struct cert` has room for all that a certificate may say, 800 bytes, and a host may know
 * thousands of others. This is one block with what is asked of it later and no more: 60 bytes for a
 * host with one address. The certificate was verified before.
 */
#ifndef ICETUN_CERT_MEMBER_H
#define ICETUN_CERT_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/cert.h"

struct member {
	uint64_t serial;
	uint8_t noise_public[DH_BYTES];
	uint8_t address_count; /* 1.. */
	uint8_t prefix_count;
	struct netprefix prefixes[]; /* the addresses, as blocks of one, and then the routes */
};

/* Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err member_create(struct member **ret, const struct cert *c);
/* NULL is fine. */
void member_destroy(struct member *m);
/* Address @i of address_count, with port 0. */
struct netaddr member_address(const struct member *m, size_t i);
/* Same addresses and routes, in the same order. */
bool member_is_same_place(const struct member *a, const struct member *b);

#endif
