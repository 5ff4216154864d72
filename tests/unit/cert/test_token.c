#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "tests/support/samples.h"

static char text[TOKEN_TEXT_BYTES];

static void make(bool full)
{
	struct token t = sample_token(full);

	assert_int_equal(token_format(&t, text, sizeof(text)), OK);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct token t = sample_token(full != 0), u;

		make(full != 0);
		assert_null(strpbrk(text, " \t\r\n"));
		assert_int_equal(token_parse(text, &u), TOKEN_OK);
		assert_memory_equal(&t, &u, sizeof(t));
		for (size_t cap = 0; cap <= strlen(text); cap++)
			assert_int_equal(token_format(&t, text, cap), ERR_NO_SPACE);
		make(full != 0);
	}
}

/* Tokens that were given out stay good: this text must never stop to parse. */
static void test_text_is_stable(void **state)
{
	static const char issued[] =
		"icetun1.pQFkaG9tZQKBdnRjcDovLzIwMy4wLjExMy4xOjcxMTcDWCAzMzMzMzMzMzMzMzMz"
		"MzMzMzMzMzMzMzMzMzMzMzMzMwRYIERERERERERERERERERERERERERERERERERERERERERE"
		"BVBVVVVVVVVVVVVVVVVVVVVVlYtXzg";

	(void)state;
	make(false);
	assert_string_equal(text, issued);
}

static void test_white_space(void **state)
{
	char spaced[TOKEN_TEXT_BYTES + 16];
	struct token t;

	(void)state;
	make(false);
	snprintf(spaced, sizeof(spaced), " \t\r\n%s\r\n \n", text);
	assert_int_equal(token_parse(spaced, &t), TOKEN_OK);
	snprintf(spaced, sizeof(spaced), "%.40s\n%s", text, text + 40);
	assert_int_equal(token_parse(spaced, &t), TOKEN_DAMAGED);
}

static void test_not_a_token(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"hello",
		"icetun",
		"icetun1",
		"icetun.",
		"icetunx.abc",
		"Icetun1.abc",
		"ICETUN1.",
		"xicetun1.abc",
		"icetun1x.abc",
		"https://icetun1.example/",
	};
	struct token t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(token_parse(texts[i], &t), TOKEN_NOT_A_TOKEN);
}

static void test_unknown_version(void **state)
{
	static const char *const texts[] = {"icetun2.abc", "icetun10.", "icetun0.x",
					    " icetun11.x "};
	struct token t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(token_parse(texts[i], &t), TOKEN_UNKNOWN_VERSION);
}

/* Each character changed, and each length: never a token, and nothing is written. */
static void test_damaged(void **state)
{
	struct token t, before;
	size_t len;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	t = before;
	make(false);
	len = strlen(text);
	for (size_t i = strlen("icetun1."); i < len; i++) {
		char kept = text[i];

		for (size_t k = 0; k < 3; k++) {
			text[i] = "A_\xff"[k];
			if (text[i] != kept)
				assert_int_equal(token_parse(text, &t), TOKEN_DAMAGED);
		}
		text[i] = '\0';
		assert_int_equal(token_parse(text, &t), TOKEN_DAMAGED);
		text[i] = kept;
	}
	memcpy(text + len, "A", 2);
	assert_int_equal(token_parse(text, &t), TOKEN_DAMAGED);
	assert_memory_equal(&t, &before, sizeof(t));
}

/* Longer than any token: refused, not read into a buffer that is too small. */
static void test_endless(void **state)
{
	char endless[2 * TOKEN_TEXT_BYTES];
	struct token t;

	(void)state;
	memset(endless, 'A', sizeof(endless));
	memcpy(endless, "icetun1.", 8);
	endless[sizeof(endless) - 1] = '\0';
	assert_int_equal(token_parse(endless, &t), TOKEN_DAMAGED);
}

static void assert_no_token(const struct token *t)
{
	assert_int_equal(token_format(t, text, sizeof(text)), ERR_INVALID);
}

static void test_format_refuses(void **state)
{
	static const char *const endpoints[] = {"", "tcp://", "udp://x:1", "tcp://a b:1",
						"tcp://a:1\n"};
	struct token t = sample_token(false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
		t = sample_token(false);
		strcpy(t.endpoints[0], endpoints[i]);
		assert_no_token(&t);
	}
	t = sample_token(false);
	memset(t.endpoints[0], 'x', sizeof(t.endpoints[0]));
	memcpy(t.endpoints[0], "tcp://", 6);
	assert_no_token(&t);
	t = sample_token(false);
	t.endpoint_count = 0;
	assert_no_token(&t);
	t.endpoint_count = TOKEN_MAX_ENDPOINTS + 1;
	assert_no_token(&t);
	t = sample_token(false);
	strcpy(t.network, "No Name");
	assert_no_token(&t);
}

static int start(void **state)
{
	(void)state;
	return crypto_start() == OK ? 0 : -1;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	cmocka_unit_test(test_text_is_stable),
		cmocka_unit_test(test_white_space),	cmocka_unit_test(test_not_a_token),
		cmocka_unit_test(test_unknown_version), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_endless),		cmocka_unit_test(test_format_refuses),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
