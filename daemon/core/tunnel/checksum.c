#include "daemon/core/tunnel/checksum.h"

#include <string.h>

/* Four sums at a time: the compiler makes vectors of them. */
#define LANES 4

static uint16_t fold64(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return checksum_fold((uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16));
}

/* In the order of the machine: the sum of swapped words is the swapped sum (RFC 1071 s. 2 B). */
static uint64_t sum_words(const uint8_t *bytes, size_t len)
{
	uint64_t sums[LANES] = {0}, sum = 0;

	while (len >= sizeof(uint32_t) * LANES) {
		uint32_t words[LANES];

		memcpy(words, bytes, sizeof(words));
		for (size_t i = 0; i < LANES; i++)
			sums[i] += words[i];
		bytes += sizeof(words);
		len -= sizeof(words);
	}
	for (size_t i = 0; i < LANES; i++)
		sum += sums[i];
	while (len >= sizeof(uint16_t)) {
		uint16_t word;

		memcpy(&word, bytes, sizeof(word));
		sum += word;
		bytes += sizeof(word);
		len -= sizeof(word);
	}
	if (len) {
		uint16_t word = 0;

		memcpy(&word, bytes, 1);
		sum += word;
	}
	return sum;
}

uint32_t checksum_sum(const uint8_t *bytes, size_t len)
{
	uint16_t folded = fold64(sum_words(bytes, len));

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	folded = (uint16_t)(folded << 8 | folded >> 8);
#endif
	return folded;
}

uint32_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, size_t l4_len)
{
	uint32_t sum = ip[0] >> 4 == 4 ? checksum_sum(ip + 12, 8) : checksum_sum(ip + 8, 32);

	return sum + protocol + (uint32_t)(l4_len & 0xffff) + (uint32_t)(l4_len >> 16);
}
