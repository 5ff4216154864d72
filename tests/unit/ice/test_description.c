#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/core/ice/description.h"

static struct ice_description good;

static int set_up(void **state)
{
	(void)state;
	memset(&good, 0, sizeof(good));
	strcpy(good.ufrag, "abcd");
	strcpy(good.pwd, "0123456789+/ABCDEFabcd");
	strcpy(good.options[0], "ice2");
	strcpy(good.options[1], "x-unknown");
	good.option_count = 2;
	good.candidates[0].priority = 1;
	strcpy(good.candidates[0].foundation, "1");
	assert_int_equal(netaddr_parse("192.0.2.1:9", &good.candidates[0].addr), OK);
	good.candidate_count = 1;
	strcpy(good.extensions[0].name, "session");
	good.extension_count = 1;
	return 0;
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct ice_description d = good;                                                   \
		change;                                                                            \
		assert_int_equal(ice_description_check(&d), ERR_INVALID);                          \
	} while (0)

static void a_good_one_passes(void **state)
{
	struct ice_description d;

	(void)state;
	assert_int_equal(ice_description_check(&good), OK);
	d = good;
	memset(d.ufrag, 'u', 256);
	memset(d.pwd, 'p', 256);
	memset(d.candidates[0].foundation, 'f', 32);
	d.candidates[0].priority = UINT32_MAX;
	d.candidates[0].transport = 200; /* passed over, not refused */
	for (size_t i = 1; i < ICE_MAX_CANDIDATES; i++)
		d.candidates[i] = d.candidates[0];
	d.candidate_count = ICE_MAX_CANDIDATES;
	assert_int_equal(ice_description_check(&d), OK);
	d.candidate_count = 0;
	assert_int_equal(ice_description_check(&d), OK);
}

static void credentials(void **state)
{
	(void)state;
	REFUSED(d.ufrag[3] = 0);
	REFUSED(memset(d.ufrag, 'u', 257));
	REFUSED(d.ufrag[0] = ':');
	REFUSED(d.ufrag[1] = '-');
	REFUSED(d.pwd[21] = 0);
	REFUSED(memset(d.pwd, 'p', 257));
	REFUSED(d.pwd[5] = ' ');
	REFUSED(d.pwd[5] = (char)0xe4);
}

static void counts(void **state)
{
	(void)state;
	REFUSED(d.candidate_count = ICE_MAX_CANDIDATES + 1);
	REFUSED(d.option_count = ICE_MAX_OPTIONS + 1);
	REFUSED(d.extension_count = ICE_MAX_EXTENSIONS + 1);
	REFUSED(d.candidates[0].extension_count = ICE_MAX_CANDIDATE_EXTENSIONS + 1);
	REFUSED(d.option_count = 3); /* an empty one */
	REFUSED(d.extension_count = 2);
	REFUSED(d.candidate_count = 2);
}

static void candidates(void **state)
{
	(void)state;
	REFUSED(d.candidates[0].type = (enum ice_candidate_type)4);
	REFUSED(d.candidates[0].priority = 0);
	REFUSED(d.candidates[0].foundation[0] = 0);
	REFUSED(memset(d.candidates[0].foundation, 'f', 33));
	REFUSED(d.candidates[0].foundation[0] = '.');
	REFUSED(d.candidates[0].addr.port = 0);
	REFUSED(d.candidates[0].addr.family = 0);
	REFUSED(d.candidates[0].addr.family = 5);
}

static void text_ends_inside_its_array(void **state)
{
	(void)state;
	REFUSED(memset(d.options[0], 'x', 33));
	REFUSED(d.options[0][0] = '\n');
	REFUSED(memset(d.extensions[0].name, 'x', 33));
	REFUSED(memset(d.extensions[0].value, 'x', 65));
	REFUSED(d.extensions[0].value[0] = ' ');
}

static void options(void **state)
{
	(void)state;
	assert_true(ice_description_has_option(&good, "ice2"));
	assert_false(ice_description_has_option(&good, "ice"));
	assert_false(ice_description_has_option(&good, "trickle"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_one_passes),
		cmocka_unit_test(credentials),
		cmocka_unit_test(counts),
		cmocka_unit_test(candidates),
		cmocka_unit_test(text_ends_inside_its_array),
		cmocka_unit_test(options),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
