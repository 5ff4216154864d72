/* Bytes of a test vector from the hexadecimal text in which it was published. */
#ifndef ICETUN_TEST_HEX_H
#define ICETUN_TEST_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Writes the bytes of @text, lower case, to @ret, which has room for them; returns their number.
 * Ends the program on anything else, since then the test itself is wrong. */
static inline size_t hex(const char *text, uint8_t *ret)
{
	size_t n = 0;

	for (; *text; text += 2, n++) {
		int hi = hex_digit(text[0]);
		int lo = hi < 0 ? -1 : hex_digit(text[1]);

		if (lo < 0)
			abort();
		ret[n] = (uint8_t)(hi << 4 | lo);
	}
	return n;
}

#endif
