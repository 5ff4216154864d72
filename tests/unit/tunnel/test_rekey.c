#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/tunnel/rekey.h"

#define BORN	(1000 * US_PER_S)
#define AT(s)	(BORN + (uint64_t)(s)*US_PER_S)
#define FRESH	TUNNEL_REKEY_FRESH
#define DUE	TUNNEL_REKEY_DUE
#define EXPIRED TUNNEL_REKEY_EXPIRED

struct row {
	const char *name;
	bool initiator;
	uint64_t used_us, packets; /* what is told last */
	uint64_t now_us;
	enum tunnel_rekey_state expected;
	uint64_t next_us;
};

static const struct row rows[] = {
	{"new", true, 0, 0, AT(0), FRESH, DEADLINE_NONE},
	{"used young", true, AT(119), 1, AT(119), FRESH, DEADLINE_NONE},
	{"used just before", true, AT(120) - 1, 1, AT(150), FRESH, DEADLINE_NONE},
	{"used at the age", true, AT(120), 1, AT(120), DUE, AT(180)},
	{"grace", true, AT(120), 1, AT(180) - 1, DUE, AT(180)},
	{"expired", true, AT(120), 1, AT(180), EXPIRED, DEADLINE_NONE},
	{"long expired", true, AT(120), 1, AT(9999), EXPIRED, DEADLINE_NONE},
	{"idle for hours", true, AT(1), 1, AT(9999), FRESH, DEADLINE_NONE},
	{"used after hours", true, AT(9999), 1, AT(9999), DUE, AT(9999 + 60)},
	{"used after hours, grace over", true, AT(9999), 1, AT(9999 + 60), EXPIRED, DEADLINE_NONE},
	{"responder waits", false, AT(120), 1, AT(120), FRESH, AT(135)},
	{"responder's turn", false, AT(120), 1, AT(135), DUE, AT(180)},
	{"responder, expired", false, AT(120), 1, AT(180), EXPIRED, DEADLINE_NONE},
	{"many packets", true, AT(5), TUNNEL_REKEY_AFTER_PACKETS, AT(5), DUE, AT(65)},
	{"one packet less", true, AT(5), TUNNEL_REKEY_AFTER_PACKETS - 1, AT(5), FRESH,
	 DEADLINE_NONE},
	{"used before it was born", true, AT(0) - 1, TUNNEL_REKEY_AFTER_PACKETS, AT(200), FRESH,
	 DEADLINE_NONE},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct tunnel_rekey r;

		tunnel_rekey_init(&r, BORN, row->initiator);
		tunnel_rekey_on_use(&r, row->used_us, row->packets);
		if (tunnel_rekey_get_state(&r, row->now_us) != row->expected)
			fail_msg("%s: state", row->name);
		if (tunnel_rekey_next_deadline(&r, row->now_us) != row->next_us)
			fail_msg("%s: deadline", row->name);
	}
}

/* Use that goes on, or is told again, does not put the end off. */
static void test_due_is_kept(void **state)
{
	struct tunnel_rekey r;

	(void)state;
	tunnel_rekey_init(&r, BORN, true);
	for (unsigned int s = 0; s < 180; s++) {
		tunnel_rekey_on_use(&r, AT(s), s);
		tunnel_rekey_on_use(&r, AT(s), s);
		assert_int_equal(tunnel_rekey_get_state(&r, AT(s)), s < 120 ? FRESH : DUE);
	}
	assert_int_equal(tunnel_rekey_get_state(&r, AT(180)), EXPIRED);
}

/* Following the deadlines passes through all states and comes to an end. */
static void test_deadlines_end(void **state)
{
	struct tunnel_rekey r;
	uint64_t now = AT(121);
	int steps = 0;

	(void)state;
	tunnel_rekey_init(&r, BORN, false);
	tunnel_rekey_on_use(&r, now, 1);
	for (uint64_t next; (next = tunnel_rekey_next_deadline(&r, now)) != DEADLINE_NONE;) {
		enum tunnel_rekey_state before = tunnel_rekey_get_state(&r, now);

		assert_true(next > now);
		assert_int_equal(tunnel_rekey_get_state(&r, next - 1), before);
		assert_int_not_equal(tunnel_rekey_get_state(&r, next), before);
		now = next;
		steps++;
	}
	assert_int_equal(steps, 2);
	assert_int_equal(tunnel_rekey_get_state(&r, now), EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_due_is_kept),
		cmocka_unit_test(test_deadlines_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
