/* A URI that is accepted is written so that it means the same. */
#include <string.h>

#include "daemon/core/turn/uri.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[TURN_URI_TEXT_BYTES];
	struct turn_uri u, v;

	fuzz_check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (turn_uri_parse(text, &u) == OK) {
		fuzz_check(turn_uri_parse(turn_uri_format(&u, again), &v) == OK);
		fuzz_check(memcmp(&u, &v, sizeof(u)) == 0);
	}
	free(text);
	return 0;
}
