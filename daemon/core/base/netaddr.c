#include "daemon/core/base/netaddr.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct netaddr netaddr_from_ip4(const uint8_t ip[static 4], uint16_t port)
{
	struct netaddr a = {.family = NETADDR_IP4, .port = port};

	memcpy(a.ip, ip, 4);
	return a;
}

struct netaddr netaddr_from_ip6(const uint8_t ip[static 16], uint16_t port)
{
	struct netaddr a = {.family = NETADDR_IP6, .port = port};

	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return netaddr_from_ip4(ip + 12, port);
	memcpy(a.ip, ip, 16);
	return a;
}

size_t netaddr_ip_bytes(const struct netaddr *a)
{
	return a->family == NETADDR_IP4 ? 4 : a->family == NETADDR_IP6 ? 16 : 0;
}

bool netaddr_ip_equal(const struct netaddr *a, const struct netaddr *b)
{
	return a->family == b->family && a->scope_id == b->scope_id &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool netaddr_equal(const struct netaddr *a, const struct netaddr *b)
{
	return a->port == b->port && netaddr_ip_equal(a, b);
}

/* FNV-1a: not keyed. Tables that strangers can fill bound their chains by a cap instead. */
uint32_t netaddr_hash(const struct netaddr *a)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < netaddr_ip_bytes(a); i++)
		h = (h ^ a->ip[i]) * 16777619u;
	h = (h ^ (uint32_t)(a->port >> 8)) * 16777619u;
	return (h ^ (uint32_t)(a->port & 0xff)) * 16777619u;
}

bool netaddr_is_unspecified(const struct netaddr *a)
{
	static const uint8_t zero[16];

	return a->family == NETADDR_NONE || memcmp(a->ip, zero, netaddr_ip_bytes(a)) == 0;
}

bool netaddr_is_loopback(const struct netaddr *a)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	if (a->family == NETADDR_IP4)
		return a->ip[0] == 127;
	return a->family == NETADDR_IP6 && memcmp(a->ip, loopback6, 16) == 0;
}

bool netaddr_is_link_local(const struct netaddr *a)
{
	if (a->family == NETADDR_IP4)
		return a->ip[0] == 169 && a->ip[1] == 254;
	return a->family == NETADDR_IP6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool netaddr_is_multicast(const struct netaddr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (a->family == NETADDR_IP4)
		return (a->ip[0] & 0xf0) == 0xe0 || memcmp(a->ip, broadcast, 4) == 0;
	return a->family == NETADDR_IP6 && a->ip[0] == 0xff;
}

bool netaddr_is_deprecated_ip6(const struct netaddr *a)
{
	static const uint8_t zero[12];

	if (a->family != NETADDR_IP6 || netaddr_is_loopback(a) || netaddr_is_unspecified(a))
		return false;
	return memcmp(a->ip, zero, 12) == 0 || (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0xc0);
}

bool netaddr_is_private(const struct netaddr *a)
{
	if (a->family == NETADDR_IP6)
		return (a->ip[0] & 0xfe) == 0xfc;
	if (a->family != NETADDR_IP4)
		return false;
	return a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) ||
	       (a->ip[0] == 192 && a->ip[1] == 168) || (a->ip[0] == 100 && (a->ip[1] & 0xc0) == 64);
}

enum err netaddr_parse_ip(const char *text, uint16_t port, struct netaddr *ret)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip) == 1) {
		*ret = netaddr_from_ip4(ip, port);
		return OK;
	}
	if (inet_pton(AF_INET6, text, ip) == 1) {
		*ret = netaddr_from_ip6(ip, port);
		return OK;
	}
	return ERR_INVALID;
}

/* Decimal digits only, at most @max. */
static bool parse_number(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned long)(*text - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

enum err netaddr_parse(const char *text, struct netaddr *ret)
{
	char ip[NETADDR_TEXT_BYTES];
	bool bracket = text[0] == '[';
	const char *colon = strrchr(text, ':');
	const char *from = bracket ? text + 1 : text;
	const char *to = bracket ? strchr(text, ']') : colon;
	unsigned long port;

	if (!colon || !to || (bracket && to + 1 != colon) || (size_t)(to - from) >= sizeof(ip))
		return ERR_INVALID;
	memcpy(ip, from, (size_t)(to - from));
	ip[to - from] = '\0';
	if (!parse_number(colon + 1, UINT16_MAX, &port) || (strchr(ip, ':') != NULL) != bracket)
		return ERR_INVALID;
	return netaddr_parse_ip(ip, (uint16_t)port, ret);
}

const char *netaddr_format_ip(const struct netaddr *a, char buf[static NETADDR_TEXT_BYTES])
{
	char scope[16];

	if (a->family == NETADDR_NONE) {
		memcpy(buf, "-", 2);
		return buf;
	}
	inet_ntop(a->family == NETADDR_IP4 ? AF_INET : AF_INET6, a->ip, buf, NETADDR_TEXT_BYTES);
	if (a->scope_id) {
		snprintf(scope, sizeof(scope), "%%%" PRIu32, a->scope_id);
		strncat(buf, scope, NETADDR_TEXT_BYTES - strlen(buf) - 1);
	}
	return buf;
}

const char *netaddr_format(const struct netaddr *a, char buf[static NETADDR_TEXT_BYTES])
{
	char ip[NETADDR_TEXT_BYTES];

	netaddr_format_ip(a, ip);
	if (a->family == NETADDR_IP6)
		snprintf(buf, NETADDR_TEXT_BYTES, "[%.54s]:%u", ip, a->port);
	else
		snprintf(buf, NETADDR_TEXT_BYTES, "%.54s:%u", ip, a->port);
	return buf;
}

static uint8_t family_bits(uint8_t family)
{
	return family == NETADDR_IP4 ? 32 : family == NETADDR_IP6 ? 128 : 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, uint8_t bits)
{
	uint8_t rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

struct netprefix netprefix_of(const struct netaddr *a, uint8_t length_bits)
{
	struct netprefix p = {.family = a->family, .length_bits = length_bits};
	uint8_t max = family_bits(a->family);

	if (p.length_bits > max)
		p.length_bits = max;
	memcpy(p.ip, a->ip, p.length_bits / 8);
	if (p.length_bits % 8)
		p.ip[p.length_bits / 8] =
			(uint8_t)(a->ip[p.length_bits / 8] & (0xff00 >> (p.length_bits % 8)));
	return p;
}

bool netprefix_contains(const struct netprefix *p, const struct netaddr *a)
{
	return p->family != NETADDR_NONE && p->family == a->family &&
	       same_bits(p->ip, a->ip, p->length_bits);
}

bool netprefix_overlaps(const struct netprefix *a, const struct netprefix *b)
{
	uint8_t bits = a->length_bits < b->length_bits ? a->length_bits : b->length_bits;

	return a->family != NETADDR_NONE && a->family == b->family && same_bits(a->ip, b->ip, bits);
}

bool netprefix_equal(const struct netprefix *a, const struct netprefix *b)
{
	return a->family == b->family && a->length_bits == b->length_bits &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

enum err netprefix_parse(const char *text, struct netprefix *ret)
{
	char ip[NETADDR_TEXT_BYTES];
	const char *slash = strchr(text, '/');
	struct netaddr a;
	struct netprefix p;
	unsigned long bits;

	if (!slash || (size_t)(slash - text) >= sizeof(ip))
		return ERR_INVALID;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (netaddr_parse_ip(ip, 0, &a) != OK || !parse_number(slash + 1, 128, &bits) ||
	    bits > family_bits(a.family))
		return ERR_INVALID;
	p = netprefix_of(&a, (uint8_t)bits);
	if (memcmp(p.ip, a.ip, sizeof(p.ip)) != 0)
		return ERR_INVALID;
	*ret = p;
	return OK;
}

const char *netprefix_format(const struct netprefix *p, char buf[static NETPREFIX_TEXT_BYTES])
{
	struct netaddr a = {.family = p->family};
	char ip[NETADDR_TEXT_BYTES];

	memcpy(a.ip, p->ip, sizeof(a.ip));
	netaddr_format_ip(&a, ip);
	snprintf(buf, NETPREFIX_TEXT_BYTES, "%.54s/%u", ip, p->length_bits);
	return buf;
}
