/* A handshake payload is decoded; what decodes is written anew and must come back the same. */
#include <string.h>

#include "daemon/core/signal/handshake.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[SIGNAL_HANDSHAKE_MAX_BYTES];
	static struct signal_handshake h, i;
	size_t len;
	enum err e = signal_handshake_decode(data, size, &h);

	fuzz_check(e == OK || err_is_drop(e));
	if (e != OK)
		return 0;
	fuzz_check(ice_description_check(&h.ice) == OK);
	e = signal_handshake_encode(&h, buf, sizeof(buf), &len);
	fuzz_check(e == OK && len <= size);
	fuzz_check(signal_handshake_decode(buf, len, &i) == OK);
	fuzz_check(memcmp(&h.ice, &i.ice, sizeof(h.ice)) == 0);
	fuzz_check(h.certificate_len == i.certificate_len &&
		   memcmp(h.certificate, i.certificate, h.certificate_len) == 0);
	fuzz_check(h.cipher_count == i.cipher_count &&
		   memcmp(h.ciphers, i.ciphers, sizeof(h.ciphers)) == 0);
	fuzz_check(h.timestamp_us == i.timestamp_us && h.receiver_index == i.receiver_index &&
		   h.lanes == i.lanes && h.mtu_bytes == i.mtu_bytes && h.features == i.features &&
		   h.seen_us == i.seen_us);
	return 0;
}
