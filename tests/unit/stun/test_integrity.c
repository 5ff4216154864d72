#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/stun/integrity.h"
#include "daemon/core/stun/message.h"
#include "tests/unit/stun/vectors.h"

static void rfc5769_codes(void **state)
{
	static const struct {
		const uint8_t *buf;
		size_t len;
	} vectors[] = {
		{vector_request, sizeof(vector_request)},
		{vector_response_ip4, sizeof(vector_response_ip4)},
		{vector_response_ip6, sizeof(vector_response_ip6)},
	};
	uint8_t code[STUN_INTEGRITY_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t offset = vectors[i].len - 8 - 24; /* before FINGERPRINT and itself */

		assert_int_equal(stun_integrity(STUN_INTEGRITY_SHA1, vectors[i].buf, offset, 20,
						VECTOR_PASSWORD, strlen(VECTOR_PASSWORD), code),
				 OK);
		assert_memory_equal(code, vectors[i].buf + offset + 4, SHA1_BYTES);
	}
}

static void sha256_is_hmac_over_the_patched_header(void **state)
{
	uint8_t expected[SHA256_BYTES], code[STUN_INTEGRITY_MAX_BYTES];
	uint8_t buf[STUN_HEADER_BYTES];

	(void)state;
	memcpy(buf, vector_request, sizeof(buf));
	buf[2] = 0;
	buf[3] = 4 + 16;
	assert_int_equal(hmac_sha256("k", 1, buf, sizeof(buf), NULL, 0, expected), OK);
	/* Its own length field is not looked at. */
	assert_int_equal(stun_integrity(STUN_INTEGRITY_SHA256, vector_request, STUN_HEADER_BYTES,
					16, "k", 1, code),
			 OK);
	assert_memory_equal(code, expected, sizeof(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc5769_codes),
		cmocka_unit_test(sha256_is_hmac_over_the_patched_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
