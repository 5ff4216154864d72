#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tun/prefix.h"

unsigned int tun_prefix_max_bits(const struct tun_prefix *p)
{
	switch (p->family) {
	case 4:
		return 32;
	case 6:
		return 128;
	default:
		return 0;
	}
}

bool tun_prefix_is_valid(const struct tun_prefix *p)
{
	unsigned int max_bits = tun_prefix_max_bits(p);

	return max_bits && p->length_bits <= max_bits;
}

struct tun_prefix tun_prefix_network(const struct tun_prefix *p)
{
	struct tun_prefix net = {.family = p->family, .length_bits = p->length_bits};
	size_t whole = p->length_bits / 8;
	unsigned int rest = p->length_bits % 8;

	memcpy(net.ip, p->ip, whole);
	if (rest)
		net.ip[whole] = (uint8_t)(p->ip[whole] & (0xff00U >> rest));
	return net;
}

bool tun_prefix_overlaps(const struct tun_prefix *a, const struct tun_prefix *b)
{
	struct tun_prefix wide_a = *a;
	struct tun_prefix wide_b = *b;

	if (a->family != b->family)
		return false;
	if (a->length_bits < b->length_bits)
		wide_b.length_bits = a->length_bits;
	else
		wide_a.length_bits = b->length_bits;
	wide_a = tun_prefix_network(&wide_a);
	wide_b = tun_prefix_network(&wide_b);
	return !memcmp(wide_a.ip, wide_b.ip, sizeof(wide_a.ip));
}

char *tun_prefix_format(const struct tun_prefix *p, char text[static TUN_PREFIX_TEXT_CAP])
{
	char ip[INET6_ADDRSTRLEN];

	if (!tun_prefix_is_valid(p) ||
	    !inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->ip, ip, sizeof(ip)))
		snprintf(text, TUN_PREFIX_TEXT_CAP, "invalid");
	else
		snprintf(text, TUN_PREFIX_TEXT_CAP, "%s/%u", ip, p->length_bits);
	return text;
}
