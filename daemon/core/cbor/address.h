/*
 * IP addresses and prefixes as CBOR: an address is a byte string of 4 or 16 bytes, a prefix an
 * array of that and its length in bits. Each has one form only: an IPv4 address inside IPv6 and a
 * prefix with host bits fail the reader.
 */
#ifndef ICETUN_CBOR_ADDRESS_H
#define ICETUN_CBOR_ADDRESS_H

#include "daemon/core/base/netaddr.h"
#include "daemon/core/cbor/item.h"

/* Reads an address; *ret gets @port. After a failure *ret is all zero. */
void item_rd_ip(struct item_rd *r, uint16_t port, struct netaddr *ret);
void item_rd_prefix(struct item_rd *r, struct netprefix *ret);
/* @a: of a family; its port is not written. */
void item_wr_ip(struct wr *w, const struct netaddr *a);
void item_wr_prefix(struct wr *w, const struct netprefix *p);

#endif
