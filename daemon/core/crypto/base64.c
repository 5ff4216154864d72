#include "daemon/core/crypto/base64.h"

#include <sodium.h>

#define VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

enum err base64_encode(const void *data, size_t len, char *out, size_t cap)
{
	if (len > SIZE_MAX / 8 || cap < BASE64_CHARS(len) + 1)
		return ERR_NO_SPACE;
	sodium_bin2base64(out, cap, data, len, VARIANT);
	return OK;
}

enum err base64_decode(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *ret_len)
{
	const char *end;

	if (text_len > SIZE_MAX / 8 || cap < text_len * 3 / 4)
		return ERR_NO_SPACE;
	if (sodium_base642bin(out, cap, text, text_len, NULL, ret_len, &end, VARIANT) != 0 ||
	    end != text + text_len)
		return DROP_MALFORMED;
	return OK;
}
