#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/stun/fingerprint.h"
#include "tests/unit/stun/vectors.h"

#define XOR 0x5354554eu

static void crc_check_value(void **state)
{
	(void)state;
	/* The check value that catalogues of CRCs give for CRC-32. */
	assert_int_equal(stun_fingerprint((const uint8_t *)"123456789", 9) ^ XOR, 0xcbf43926);
	assert_int_equal(stun_fingerprint(NULL, 0) ^ XOR, 0);
}

static void rfc5769(void **state)
{
	(void)state;
	assert_int_equal(stun_fingerprint(vector_request, sizeof(vector_request) - 8), 0xe57a3bcf);
	assert_int_equal(stun_fingerprint(vector_response_ip4, sizeof(vector_response_ip4) - 8),
			 0xc07d4c96);
	assert_int_equal(stun_fingerprint(vector_response_ip6, sizeof(vector_response_ip6) - 8),
			 0xc8fb0b4c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_check_value),
		cmocka_unit_test(rfc5769),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
