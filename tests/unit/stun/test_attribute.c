#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/stun/attribute.h"
#include "daemon/core/stun/message.h"

static void types_and_rows_agree(void **state)
{
	(void)state;
	for (enum stun_attribute a = 0; a < STUN_ATTRIBUTE_COUNT; a++) {
		const struct stun_attribute_row *row = stun_attribute_row(a);

		/* Also shows that no type stands twice. */
		assert_int_equal(stun_attribute_find(row->type), a);
		assert_true(row->min_bytes <= row->max_bytes);
		assert_true(row->field_offset < sizeof(struct stun_message));
		assert_non_null(row->name);
	}
	assert_int_equal(stun_attribute_find(0x7fff), STUN_ATTRIBUTE_COUNT);
	assert_int_equal(stun_attribute_find(0), STUN_ATTRIBUTE_COUNT);
}

static void presence_fits_one_word(void **state)
{
	(void)state;
	assert_true(STUN_ATTRIBUTE_COUNT <= 64);
}

/* Two attributes must not share a field. */
static void fields_are_distinct(void **state)
{
	(void)state;
	for (enum stun_attribute a = 0; a < STUN_ATTRIBUTE_COUNT; a++)
		for (enum stun_attribute b = 0; b < a; b++)
			if (stun_attribute_row(a)->codec != STUN_CODEC_FLAG)
				assert_int_not_equal(stun_attribute_row(a)->field_offset,
						     stun_attribute_row(b)->field_offset);
}

static void types_are_the_registered_ones(void **state)
{
	static const struct {
		uint16_t type;
		const char *name;
	} expected[] = {
		{0x0006, "USERNAME"},		{0x0008, "MESSAGE-INTEGRITY"},
		{0x0009, "ERROR-CODE"},		{0x000a, "UNKNOWN-ATTRIBUTES"},
		{0x0020, "XOR-MAPPED-ADDRESS"}, {0x0024, "PRIORITY"},
		{0x0025, "USE-CANDIDATE"},	{0x8028, "FINGERPRINT"},
		{0x8029, "ICE-CONTROLLED"},	{0x802a, "ICE-CONTROLLING"},
		{0x000c, "CHANNEL-NUMBER"},	{0x0016, "XOR-RELAYED-ADDRESS"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		enum stun_attribute a = stun_attribute_find(expected[i].type);

		assert_int_not_equal(a, STUN_ATTRIBUTE_COUNT);
		assert_string_equal(stun_attribute_row(a)->name, expected[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_rows_agree),
		cmocka_unit_test(presence_fits_one_word),
		cmocka_unit_test(fields_are_distinct),
		cmocka_unit_test(types_are_the_registered_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
