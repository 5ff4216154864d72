#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/tunnel/checksum.h"
#include "tests/support/packet_model.h"

/* RFC 1071 s. 3 */
static void test_example(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(checksum_fold(checksum_sum(bytes, sizeof(bytes))), 0xddf2);
}

static void test_against_model(void **state)
{
	static uint8_t bytes[66000];
	struct random_seeded seeded;
	struct random_source random = random_seeded_source(&seeded);

	(void)state;
	random_seeded_init(&seeded, 1);
	random_bytes(&random, bytes, sizeof(bytes));
	for (size_t len = 0; len < 300; len++)
		for (size_t at = 0; at < 9; at++)
			assert_int_equal(checksum_sum(bytes + at, len),
					 model_sum(0, bytes + at, len));
	for (size_t len = 1000; len < sizeof(bytes); len += 997)
		assert_int_equal(checksum_sum(bytes + 1, len - 1),
				 model_sum(0, bytes + 1, len - 1));
	/* What overflows most. */
	memset(bytes, 0xff, sizeof(bytes));
	for (size_t len = 0; len < sizeof(bytes); len += 499)
		assert_int_equal(checksum_sum(bytes, len), model_sum(0, bytes, len));
}

static void test_pseudo(void **state)
{
	struct model_flow f = {.protocol = 17, .host = 7, .ttl = 64};
	uint8_t packet[2000], payload[1500] = {1, 2, 3};

	(void)state;
	for (size_t len = 0; len < 1500; len += 100) {
		f.ip6 = !f.ip6;
		model_packet(packet, &f, NULL, 1, payload, len, false);
		assert_int_equal(checksum_fold(checksum_pseudo(packet, 17, len + 8)),
				 model_pseudo(packet, model_ip_bytes(packet) + 8 + len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_pseudo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
