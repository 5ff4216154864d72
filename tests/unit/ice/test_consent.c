#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/ice/consent.h"

#define S US_PER_S

static struct random_seeded seed;

static struct random_source source(void)
{
	random_seeded_init(&seed, 7);
	return random_seeded_source(&seed);
}

static void asks_every_five_seconds_jittered(void **state)
{
	struct random_source r = source();
	struct ice_consent c = {0};
	uint64_t last = 100 * S, shortest = UINT64_MAX, longest = 0;

	(void)state;
	assert_int_equal(ice_consent_deadline(&c), DEADLINE_NONE);
	ice_consent_start(&c, &r, last, last);
	for (int i = 0; i < 1000; i++) {
		uint64_t at = ice_consent_deadline(&c);

		assert_int_equal(ice_consent_on_deadline(&c, &r, at - 1), ICE_CONSENT_NOTHING);
		assert_int_equal(ice_consent_on_deadline(&c, &r, at), ICE_CONSENT_ASK);
		ice_consent_on_proof(&c, at);
		shortest = deadline_min(shortest, at - last);
		longest = at - last > longest ? at - last : longest;
		last = at;
	}
	assert_in_range(shortest, 4 * S, 4 * S + S / 10);
	assert_in_range(longest, 6 * S - S / 10, 6 * S);
}

static void expires_thirty_seconds_after_the_last_proof(void **state)
{
	struct random_source r = source();
	struct ice_consent c = {0};
	enum ice_consent_step step;
	int asked = 0;

	(void)state;
	ice_consent_start(&c, &r, 100 * S, 100 * S);
	ice_consent_on_proof(&c, 103 * S);
	while ((step = ice_consent_on_deadline(&c, &r, ice_consent_deadline(&c))) ==
	       ICE_CONSENT_ASK)
		asked++;
	assert_int_equal(step, ICE_CONSENT_EXPIRED);
	assert_int_equal(c.expires_us, 133 * S);
	assert_in_range(asked, 5, 8);
	assert_false(c.active);
	assert_int_equal(ice_consent_deadline(&c), DEADLINE_NONE);
	assert_int_equal(ice_consent_on_deadline(&c, &r, 999 * S), ICE_CONSENT_NOTHING);
}

static void a_proof_of_old_does_not_shorten(void **state)
{
	struct random_source r = source();
	struct ice_consent c = {0};

	(void)state;
	ice_consent_start(&c, &r, 100 * S, 100 * S);
	ice_consent_on_proof(&c, 90 * S);
	assert_int_equal(c.expires_us, 130 * S);
}

static void an_old_proof_is_renewed_at_once(void **state)
{
	struct random_source r = source();
	struct ice_consent c = {0};

	(void)state;
	ice_consent_start(&c, &r, 100 * S, 90 * S);
	assert_int_equal(c.ask_us, 100 * S);
	assert_int_equal(c.expires_us, 120 * S);
	assert_int_equal(ice_consent_on_deadline(&c, &r, 100 * S), ICE_CONSENT_ASK);
	assert_true(c.ask_us > 100 * S);
}

static void a_stalled_process_asks_before_it_gives_up(void **state)
{
	struct random_source r = source();
	struct ice_consent c = {0};

	(void)state;
	ice_consent_start(&c, &r, 100 * S, 100 * S);
	/* Nobody called for a minute: the answers may be in the socket's queue. */
	assert_int_equal(ice_consent_on_deadline(&c, &r, 160 * S), ICE_CONSENT_ASK);
	assert_int_equal(c.expires_us, 165 * S);
	assert_int_equal(ice_consent_on_deadline(&c, &r, 165 * S), ICE_CONSENT_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_every_five_seconds_jittered),
		cmocka_unit_test(expires_thirty_seconds_after_the_last_proof),
		cmocka_unit_test(a_proof_of_old_does_not_shorten),
		cmocka_unit_test(an_old_proof_is_renewed_at_once),
		cmocka_unit_test(a_stalled_process_asks_before_it_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
