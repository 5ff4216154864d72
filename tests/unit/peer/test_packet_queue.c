#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/peer/overlay.h"
#include "daemon/core/peer/packet_queue.h"

static void keeps_order(void **state)
{
	struct packet_list a = {0}, b = {0};
	struct packet_pool *p;
	size_t len;

	(void)state;
	assert_int_equal(packet_pool_create(&p, 10, 16), OK);
	for (uint8_t i = 0; i < 5; i++) {
		uint8_t other = (uint8_t)(100 + i);

		assert_int_equal(packet_push(p, &a, &i, 1), OK);
		assert_int_equal(packet_push(p, &b, &other, 1), OK);
	}
	assert_int_equal(packet_push(p, &a, (const uint8_t *)"x", 1), DROP_QUEUE_FULL);
	for (uint8_t i = 0; i < 5; i++) {
		const uint8_t *at = packet_peek(p, &a, &len);

		assert_non_null(at);
		assert_int_equal(len, 1);
		assert_int_equal(*at, i);
		packet_pop(p, &a);
	}
	assert_null(packet_peek(p, &a, &len));
	packet_pop(p, &a);
	assert_int_equal(packet_clear(p, &b), 5);
	/* All slots are free again, and whole packets fit. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(packet_push(p, &a, (const uint8_t *)"0123456789abcdef", 16), OK);
	assert_int_equal(packet_push(p, &b, (const uint8_t *)"0123456789abcdefg", 17),
			 DROP_TOO_LONG);
	packet_pool_destroy(p);
}

static void moves(void **state)
{
	struct packet_list a = {0}, b = {0};
	struct packet_pool *p;
	size_t len;

	(void)state;
	assert_int_equal(packet_pool_create(&p, 2 * OVERLAY_QUEUE_PACKETS, 1), OK);
	for (uint8_t i = 0; i < OVERLAY_QUEUE_PACKETS; i++) {
		if (i > 1)
			assert_int_equal(packet_push(p, &a, &i, 1), OK);
		assert_int_equal(packet_push(p, &b, &i, 1), OK);
	}
	packet_move(p, &a, &b);
	assert_int_equal(a.count, OVERLAY_QUEUE_PACKETS);
	assert_int_equal(b.count, OVERLAY_QUEUE_PACKETS - 2);
	assert_int_equal(*packet_peek(p, &b, &len), 2);
	for (uint8_t i = 2; i < OVERLAY_QUEUE_PACKETS; i++)
		packet_pop(p, &a);
	for (uint8_t i = 0; i < 2; i++) {
		assert_int_equal(*packet_peek(p, &a, &len), i);
		packet_pop(p, &a);
	}
	assert_null(packet_peek(p, &a, &len));
	packet_move(p, &a, &b);
	assert_null(packet_peek(p, &b, &len));
	assert_int_equal(packet_clear(p, &a), OVERLAY_QUEUE_PACKETS - 2);
	packet_pool_destroy(p);
}

static void share_of_one_peer(void **state)
{
	struct packet_list a = {0}, b = {0};
	struct packet_pool *p;

	(void)state;
	assert_int_equal(packet_pool_create(&p, 2 * OVERLAY_QUEUE_PACKETS, 4), OK);
	for (int i = 0; i < OVERLAY_QUEUE_PACKETS; i++)
		assert_int_equal(packet_push(p, &a, (const uint8_t *)"a", 1), OK);
	assert_int_equal(packet_push(p, &a, (const uint8_t *)"a", 1), DROP_QUEUE_FULL);
	assert_int_equal(packet_push(p, &b, (const uint8_t *)"b", 1), OK);
	packet_pool_destroy(p);
	packet_pool_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order),
		cmocka_unit_test(moves),
		cmocka_unit_test(share_of_one_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
