/* RFC 4648 s. 10 without padding, and that each value has one text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/crypto/base64.h"

static const struct {
	const char *data;
	const char *text;
} vectors[] = {
	{"", ""},	    {"f", "Zg"},	  {"fo", "Zm8"},	  {"foo", "Zm9v"},
	{"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t n = strlen(vectors[i].data), len;
		uint8_t data[16];
		char text[16];

		assert_int_equal(base64_encode(vectors[i].data, n, text, BASE64_CHARS(n) + 1), OK);
		assert_string_equal(text, vectors[i].text);
		assert_int_equal(base64_decode(text, strlen(text), data, n, &len), OK);
		assert_int_equal(len, n);
		assert_memory_equal(data, vectors[i].data, n);
	}
}

static void test_no_space(void **state)
{
	char text[4];
	uint8_t data[2];
	size_t len;

	(void)state;
	assert_int_equal(base64_encode("foo", 3, text, 4), ERR_NO_SPACE);
	assert_int_equal(base64_decode("Zm9v", 4, data, sizeof(data), &len), ERR_NO_SPACE);
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"Z",	 "Zg==",   "Zh",    "Zm9",   "Zm+v",	 "Zm/v",
		"Zm 9v", "Zm9v\n", "Zm9v=", "Zm9vZ", "\xc3\xa4",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		uint8_t data[8];
		size_t len;

		assert_int_equal(
			base64_decode(texts[i], strlen(texts[i]), data, sizeof(data), &len),
			DROP_MALFORMED);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
