#include "daemon/core/tunnel/too_big.h"

#include <stdbool.h>
#include <string.h>

#include "daemon/core/tunnel/checksum.h"
#include "daemon/core/tunnel/l4.h"

#define IP4_BYTES	     20
#define IP6_BYTES	     40
#define IP6_MIN_MTU	     1280
#define ICMP_BYTES	     8
#define PROTOCOL_ICMP	     1
#define PROTOCOL_ICMP6	     58
#define TTL		     64
#define IP4_TOS_CONTROL	     0xc0 /* RFC 1812 s. 4.3.2.5 */
#define ICMP_UNREACHABLE     3
#define ICMP_CODE_TOO_BIG    4
#define ICMP6_TOO_BIG	     2
#define ICMP6_FIRST_NO_ERROR 128
#define IP4_OFFSET_MASK	     0x1fff

static bool is_icmp_error(uint8_t type)
{
	static const uint8_t errors[] = {3, 4, 5, 11, 12};

	return memchr(errors, type, sizeof(errors)) != NULL;
}

static bool is_one_ip4_host(const uint8_t *address)
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

static bool may_answer_ip4(const uint8_t *packet, size_t len)
{
	size_t header = (packet[0] & 0x0fu) * 4u;

	if (!is_one_ip4_host(packet + 12) || !is_one_ip4_host(packet + 16) ||
	    l4_get16(packet + 6) & IP4_OFFSET_MASK)
		return false;
	return packet[9] != PROTOCOL_ICMP || (len > header && !is_icmp_error(packet[header]));
}

static bool may_answer_ip6(const uint8_t *packet, size_t len)
{
	static const uint8_t unspecified[16];

	if (packet[8] == 0xff || packet[24] == 0xff ||
	    memcmp(packet + 8, unspecified, sizeof(unspecified)) == 0)
		return false;
	return packet[6] != PROTOCOL_ICMP6 ||
	       (len > IP6_BYTES && packet[IP6_BYTES] >= ICMP6_FIRST_NO_ERROR);
}

static size_t write_ip4(const uint8_t *packet, size_t len, size_t max_bytes, uint8_t *ret)
{
	const size_t headers = IP4_BYTES + ICMP_BYTES;
	size_t quoted = len < TOO_BIG_IP4_BYTES - headers ? len : TOO_BIG_IP4_BYTES - headers;
	uint8_t *icmp = ret + IP4_BYTES;

	memset(ret, 0, headers);
	ret[0] = 0x45;
	ret[1] = IP4_TOS_CONTROL;
	l4_put16(ret + 2, (uint16_t)(headers + quoted));
	l4_put16(ret + 6, L4_IP4_DONT_FRAGMENT);
	ret[8] = TTL;
	ret[9] = PROTOCOL_ICMP;
	memcpy(ret + 12, packet + 16, 4);
	memcpy(ret + 16, packet + 12, 4);
	l4_put16(ret + 10, (uint16_t)~checksum_sum(ret, IP4_BYTES));
	icmp[0] = ICMP_UNREACHABLE;
	icmp[1] = ICMP_CODE_TOO_BIG;
	l4_put16(icmp + 6, (uint16_t)max_bytes);
	memcpy(icmp + ICMP_BYTES, packet, quoted);
	l4_put16(icmp + 2, (uint16_t)~checksum_sum(icmp, ICMP_BYTES + quoted));
	return headers + quoted;
}

static size_t write_ip6(const uint8_t *packet, size_t len, size_t max_bytes, uint8_t *ret)
{
	const size_t headers = IP6_BYTES + ICMP_BYTES;
	size_t quoted = len < TOO_BIG_IP6_BYTES - headers ? len : TOO_BIG_IP6_BYTES - headers;
	uint8_t *icmp = ret + IP6_BYTES;

	memset(ret, 0, headers);
	ret[0] = 0x60;
	l4_put16(ret + 4, (uint16_t)(ICMP_BYTES + quoted));
	ret[6] = PROTOCOL_ICMP6;
	ret[7] = TTL;
	memcpy(ret + 8, packet + 24, 16);
	memcpy(ret + 24, packet + 8, 16);
	icmp[0] = ICMP6_TOO_BIG;
	l4_put32(icmp + 4, (uint32_t)(max_bytes > IP6_MIN_MTU ? max_bytes : IP6_MIN_MTU));
	memcpy(icmp + ICMP_BYTES, packet, quoted);
	l4_put16(icmp + 2, (uint16_t)~checksum_fold(
				   checksum_pseudo(ret, PROTOCOL_ICMP6, ICMP_BYTES + quoted) +
				   checksum_sum(icmp, ICMP_BYTES + quoted)));
	return headers + quoted;
}

size_t too_big_write(const uint8_t *packet, size_t len, size_t max_bytes,
		     uint8_t ret[static TOO_BIG_MAX_BYTES])
{
	if (packet[0] >> 4 == 4)
		return may_answer_ip4(packet, len) ? write_ip4(packet, len, max_bytes, ret) : 0;
	return may_answer_ip6(packet, len) ? write_ip6(packet, len, max_bytes, ret) : 0;
}
