/*
 * The input is taken as text that should be a token, and again as what is inside one, with a right
 * checksum. What is accepted is written anew and must come back the same.
 */
#include <string.h>

#include "daemon/core/cert/token.h"
#include "daemon/core/crypto/base64.h"
#include "daemon/core/crypto/hash.h"
#include "daemon/core/crypto/secret.h"
#include "tests/fuzz/fuzz.h"

#define CHECKSUM_BYTES 4

static void parse(const char *text)
{
	char again[TOKEN_TEXT_BYTES];
	struct token t, u;

	memset(&t, 0, sizeof(t));
	switch (token_parse(text, &t)) {
	case TOKEN_OK:
		fuzz_check(token_format(&t, again, sizeof(again)) == OK);
		fuzz_check(token_parse(again, &u) == TOKEN_OK);
		fuzz_check(memcmp(&t, &u, sizeof(t)) == 0);
		break;
	case TOKEN_NOT_A_TOKEN:
	case TOKEN_DAMAGED:
	case TOKEN_UNKNOWN_VERSION:
		fuzz_check(t.endpoint_count == 0);
		break;
	case TOKEN_PROBLEM_COUNT:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char prefix[] = "icetun1.";
	size_t cap = sizeof(prefix) + BASE64_CHARS(size + CHECKSUM_BYTES);
	uint8_t hash[BLAKE2B_BYTES];
	uint8_t *sealed;
	char *text;

	fuzz_check(crypto_start() == OK);
	text = malloc(size + 1);
	fuzz_check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	parse(text);
	free(text);

	sealed = malloc(size + CHECKSUM_BYTES);
	text = malloc(cap);
	fuzz_check(sealed && text);
	memcpy(sealed, data, size);
	hash_blake2b(data, size, NULL, 0, hash);
	memcpy(sealed + size, hash, CHECKSUM_BYTES);
	memcpy(text, prefix, sizeof(prefix));
	fuzz_check(base64_encode(sealed, size + CHECKSUM_BYTES, text + strlen(prefix),
				 cap - strlen(prefix)) == OK);
	parse(text);
	free(text);
	free(sealed);
	return 0;
}
