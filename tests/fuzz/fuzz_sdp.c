/* A block that is read is a description in bounds, and what is written of it reads as the same. */
#include <string.h>

#include "daemon/core/ice/sdp.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[ICE_SDP_BYTES], second[ICE_SDP_BYTES];
	static struct ice_description d;
	size_t first_len, second_len;

	if (ice_sdp_read(&d, (const char *)data, size) != OK)
		return 0;
	fuzz_check(d.ufrag[0] == '\0' || ice_description_check(&d) == OK);
	fuzz_check(ice_sdp_write(&d, first, sizeof(first), &first_len) == OK);
	fuzz_check(ice_sdp_read(&d, first, first_len) == OK);
	fuzz_check(ice_sdp_write(&d, second, sizeof(second), &second_len) == OK);
	fuzz_check(first_len == second_len && memcmp(first, second, first_len) == 0);
	return 0;
}
