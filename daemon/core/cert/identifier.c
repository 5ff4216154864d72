#include "daemon/core/cert/identifier.h"

#include <string.h>

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool identifier_is_valid(const char *text)
{
	size_t len = strnlen(text, IDENTIFIER_BYTES);

	if (len == 0 || len == IDENTIFIER_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!is_alphanumeric(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return is_alphanumeric(text[0]) && is_alphanumeric(text[len - 1]);
}

int identifier_compare(const char *a, const char *b)
{
	return strcmp(a, b);
}
