/* base64url without padding (RFC 4648 s. 5): one text for one value, bad characters are refused. */
#ifndef ICETUN_CRYPTO_BASE64_H
#define ICETUN_CRYPTO_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"

/* Characters for @n bytes, without a NUL. */
#define BASE64_CHARS(n) (((n)*4 + 2) / 3)

/* Writes BASE64_CHARS(@len) characters and a NUL to @out. Return: OK, ERR_NO_SPACE. */
MUST_USE enum err base64_encode(const void *data, size_t len, char *out, size_t cap);
/* Reads all @text_len characters of @text. Return: OK; DROP_MALFORMED for anything that
 * base64_encode() does not write; ERR_NO_SPACE. */
MUST_USE enum err base64_decode(const char *text, size_t text_len, uint8_t *out, size_t cap,
				size_t *ret_len);

#endif
