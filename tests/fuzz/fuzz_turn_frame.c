/*
 * A stream, cut into pieces as the input says: the first byte chooses the size of the buffer and
 * the pieces. The same bytes cut otherwise must give the same frames.
 */
#include <string.h>

#include "daemon/core/crypto/hash.h"
#include "daemon/core/turn/frame.h"
#include "tests/fuzz/fuzz.h"

/* Return: a hash over all results in their order, "more is needed" left out. */
static void run(const uint8_t *data, size_t size, size_t max_bytes, size_t piece,
		uint8_t ret[static BLAKE2B_BYTES])
{
	struct turn_framer *f;

	memset(ret, 0, BLAKE2B_BYTES);
	fuzz_check(turn_framer_create(&f, max_bytes) == OK);
	while (size > 0) {
		const uint8_t *frame;
		size_t room, len, n;
		uint8_t *at = turn_framer_reserve(f, &room);
		enum err e;

		fuzz_check(room > 0);
		n = piece < room ? piece : room;
		n = n < size ? n : size;
		memcpy(at, data, n);
		turn_framer_commit(f, n);
		data += n;
		size -= n;
		while ((e = turn_framer_next(f, &frame, &len)) != ERR_EMPTY) {
			if (e == DROP_MALFORMED)
				break;
			if (e == OK)
				hash_blake2b(ret, BLAKE2B_BYTES, frame, len, ret);
			else
				fuzz_check(e == DROP_TOO_LONG);
		}
		if (e == DROP_MALFORMED)
			break;
	}
	turn_framer_destroy(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t a[BLAKE2B_BYTES], b[BLAKE2B_BYTES];
	size_t max_bytes, piece;

	if (size < 2)
		return 0;
	max_bytes = 64 + 4 * (size_t)data[0];
	piece = 1 + (size_t)data[1];
	run(data + 2, size - 2, max_bytes, piece, a);
	run(data + 2, size - 2, max_bytes, size, b);
	fuzz_check(memcmp(a, b, sizeof(a)) == 0);
	return 0;
}
