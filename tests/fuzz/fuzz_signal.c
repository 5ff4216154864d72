/* A message is decoded; what decodes is written anew and must come back the same. */
#include <string.h>

#include "daemon/core/signal/message.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[SIGNAL_MESSAGE_MAX_BYTES], second[SIGNAL_MESSAGE_MAX_BYTES];
	static struct signal_message m, n, before;
	size_t first_len, second_len;
	enum err e;

	memset(&before, 0x5a, sizeof(before));
	m = before;
	e = signal_message_decode(data, size, &m);
	fuzz_check(e == OK || err_is_drop(e));
	if (e != OK) {
		fuzz_check(memcmp(&m, &before, sizeof(m)) == 0);
		return 0;
	}
	fuzz_check(m.body_len <= size && m.certificate_len <= size && m.revocation_len <= size);
	e = signal_message_encode(&m, first, sizeof(first), &first_len);
	/* A code of a later version is known only to be another one. */
	if (m.type == SIGNAL_ERROR && m.code == SIGNAL_ERROR_OTHER) {
		fuzz_check(e == ERR_INVALID);
		return 0;
	}
	fuzz_check(e == OK && first_len <= size);
	fuzz_check(signal_message_decode(first, first_len, &n) == OK);
	fuzz_check(signal_message_encode(&n, second, sizeof(second), &second_len) == OK);
	fuzz_check(first_len == second_len && memcmp(first, second, first_len) == 0);
	return 0;
}
