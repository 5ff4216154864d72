#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/log/log.h"

struct memory_sink {
	char line[LOG_LINE_BYTES];
	enum log_level level;
	unsigned int count;
	uint64_t now_us;
};

static void memory_write(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct memory_sink *m = ctx;

	assert_true(len < sizeof(m->line));
	memcpy(m->line, line, len);
	m->line[len] = '\0';
	assert_int_equal(strlen(m->line), len);
	m->level = level;
	m->count++;
}

static uint64_t memory_now(void *ctx)
{
	return ((struct memory_sink *)ctx)->now_us;
}

static void begin(struct memory_sink *m, enum log_level level)
{
	struct log_sink sink = {.write = memory_write, .now_us = memory_now, .ctx = m};

	memset(m, 0, sizeof(*m));
	log_start(level, &sink);
}

static void test_line(void **state)
{
	struct memory_sink m;

	(void)state;
	begin(&m, LOG_LEVEL_INFO);
	log_warning("peer.lost", "peer=%s age_ms=%d", "bob", 12);
	assert_string_equal(m.line, "peer.lost peer=bob age_ms=12");
	assert_int_equal(m.level, LOG_LEVEL_WARNING);
	log_debug("peer.detail", "x=%d", 1);
	assert_int_equal(m.count, 1);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("peer.detail", "x=%d", 1);
	assert_int_equal(m.count, 2);
}

static void test_line_stays_one_line(void **state)
{
	struct memory_sink m;

	(void)state;
	begin(&m, LOG_LEVEL_INFO);
	log_info("x.y", "v=%s", "a\nerror forged=1\x1b[31m\x7f");
	assert_string_equal(m.line, "x.y v=a\\x0aerror forged=1\\x1b[31m\\x7f");
}

static void test_long_line_is_cut(void **state)
{
	struct memory_sink m;
	char big[3 * LOG_LINE_BYTES];

	(void)state;
	begin(&m, LOG_LEVEL_INFO);
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("x.y", "v=%s", big);
	assert_true(strlen(m.line) <= LOG_LINE_BYTES - 1);
	assert_true(strlen(m.line) > LOG_LINE_BYTES - 16);
	assert_string_equal(m.line + strlen(m.line) - 3, "...");
}

static void test_rate_limit_of_a_site(void **state)
{
	struct memory_sink m;
	unsigned int i;

	(void)state;
	begin(&m, LOG_LEVEL_INFO);
	for (i = 0; i < 2 * LOG_BURST + 5; i++) {
		if (i == 2 * LOG_BURST)
			m.now_us += LOG_WINDOW_US;
		log_info("x.y", "i=%u", i);
		assert_int_equal(m.count, i < LOG_BURST	      ? i + 1
					  : i < 2 * LOG_BURST ? LOG_BURST
							      : i - LOG_BURST + 1);
		if (i == 2 * LOG_BURST)
			assert_string_equal(m.line, "x.y i=20 suppressed=10");
	}
	assert_string_equal(m.line, "x.y i=24");
	log_info("other.site", "i=%u", 1u);
	assert_string_equal(m.line, "other.site i=1");
}

static void test_quote(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"bob", "bob"},
		{"tcp://[2001:db8::1]:7000", "tcp://[2001:db8::1]:7000"},
		{"", "\"\""},
		{NULL, "\"\""},
		{"a b", "\"a b\""},
		{"x peer=eve", "\"x peer=eve\""},
		{"x=1", "\"x=1\""},
		{"say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""},
		{"\x01\xff", "\"\\x01\\xff\""},
	};
	char big[2 * LOG_VALUE_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(log_quote(rows[i].in).text, rows[i].out);
	memset(big, '"', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(strlen(log_quote(big).text), LOG_VALUE_BYTES - 2);
	memset(big, 'a', sizeof(big) - 1);
	assert_int_equal(strlen(log_quote(big).text), LOG_VALUE_BYTES - 1);
}

static void test_level_names(void **state)
{
	enum log_level level = LOG_LEVEL_COUNT;

	(void)state;
	for (unsigned int i = 0; i < LOG_LEVEL_COUNT; i++) {
		assert_true(log_level_parse(log_level_name((enum log_level)i), &level));
		assert_int_equal(level, i);
	}
	assert_false(log_level_parse("INFO", &level));
	assert_false(log_level_parse("", &level));
}

/* Runs one log line with standard error in a file; the variable names that file or another one. */
static void log_to_file(const char *journal_stream, bool right_inode, char *ret, size_t cap)
{
	char path[] = "/tmp/icetun-log-XXXXXX", value[64];
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	struct stat st;
	ssize_t n;

	assert_true(fd >= 0 && saved >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	dup2(fd, STDERR_FILENO);
	snprintf(value, sizeof(value), "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino + (right_inode ? 0 : 1));
	if (journal_stream)
		setenv("JOURNAL_STREAM", *journal_stream ? journal_stream : value, 1);
	else
		unsetenv("JOURNAL_STREAM");
	log_start(LOG_LEVEL_INFO, NULL);
	log_error("x.y", "k=%d", 1);
	dup2(saved, STDERR_FILENO);
	n = pread(fd, ret, cap - 1, 0);
	assert_true(n >= 0);
	ret[n] = '\0';
	close(saved);
	close(fd);
	unlink(path);
	unsetenv("JOURNAL_STREAM");
}

static void test_journal_priorities(void **state)
{
	char text[256];

	(void)state;
	log_to_file(NULL, true, text, sizeof(text));
	assert_string_equal(text, "error x.y k=1\n");
	log_to_file("", true, text, sizeof(text));
	assert_string_equal(text, "<3>x.y k=1\n");
	log_to_file("", false, text, sizeof(text));
	assert_string_equal(text, "error x.y k=1\n");
	log_to_file("nonsense", true, text, sizeof(text));
	assert_string_equal(text, "error x.y k=1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_line_stays_one_line),
		cmocka_unit_test(test_long_line_is_cut),
		cmocka_unit_test(test_rate_limit_of_a_site),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_journal_priorities),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
