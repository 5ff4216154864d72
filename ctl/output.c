#include "ctl/output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "ictl"

enum problem fail_sentences(enum problem problem, const char *text, const char *advice,
			    const char *detail)
{
	fflush(stdout);
	fprintf(stderr, PROGRAM ": %s%s%s\n", text_clean(text).s, *detail ? ": " : "",
		text_clean(detail).s);
	if (*advice)
		fprintf(stderr, "      %s\n", text_clean(advice).s);
	return problem;
}

enum problem fail(enum problem problem)
{
	return fail_sentences(problem, problem_text(problem), problem_advice(problem), "");
}

enum problem fail_detail(enum problem problem, const char *format, ...)
{
	char detail[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	return fail_sentences(problem, problem_text(problem), problem_advice(problem), detail);
}

struct text text_format(const char *format, ...)
{
	struct text t;
	va_list args;

	va_start(args, format);
	vsnprintf(t.s, sizeof(t.s), format, args);
	va_end(args);
	return t;
}

struct text text_clean(const char *s)
{
	struct text t = text_format("%s", s);

	for (unsigned char *p = (unsigned char *)t.s; *p; p++) {
		/* C0 and DEL; and C1 (U+0080..U+009F), which UTF-8 writes as c2 80..9f. */
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
	return t;
}

struct text text_duration(uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (ms < 10000)
		return text_format("%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
	if (s < 60)
		return text_format("%" PRIu64 " s", s);
	if (s < 3600)
		return text_format("%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	if (s < 86400)
		return text_format("%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
	return text_format("%" PRIu64 " d %" PRIu64 " h", s / 86400, s % 86400 / 3600);
}

struct text text_milliseconds(uint64_t us)
{
	return text_format("%" PRIu64 ".%" PRIu64 " ms", us / 1000, us % 1000 / 100);
}

struct text text_bytes(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024)
		return text_format("%" PRIu64 " B", bytes);
	for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		v /= 1024;
	return text_format("%.1f %s", v, units[i]);
}

struct text json_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return text_clean(s ? s : "");
}

uint64_t json_number(const json_t *object, const char *key, uint64_t preset)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v)
								: preset;
}

bool json_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

struct text json_list(const json_t *array)
{
	struct text t = {""};
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *s = json_string_value(json_array_get(array, i));
		int n = snprintf(t.s + at, sizeof(t.s) - at, "%s%s", i ? ", " : "", s ? s : "");

		if (n < 0 || (size_t)n >= sizeof(t.s) - at)
			break;
		at += (size_t)n;
	}
	return text_clean(t.s);
}

void print_coloured(enum colour colour, const char *s)
{
	static const char *const codes[] = {
		[COLOUR_PLAIN] = "",
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_BUSY] = "\033[33m",
		[COLOUR_BAD] = "\033[31m",
	};
	const char *off = getenv("NO_COLOR");

	if (colour == COLOUR_PLAIN || (off && *off) || !isatty(STDOUT_FILENO))
		fputs(s, stdout);
	else
		printf("%s%s\033[0m", codes[colour], s);
}

enum problem print_json(const json_t *json, bool one_line)
{
	size_t flags = JSON_PRESERVE_ORDER | (one_line ? JSON_COMPACT : JSON_INDENT(2));

	if (json_dumpf(json, stdout, flags) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		return fail_detail(PROBLEM_INTERNAL, "the output cannot be written");
	return PROBLEM_NONE;
}

struct table_row *table_add(struct table *t)
{
	struct table_row *rows = realloc(t->rows, (t->count + 1) * sizeof(*rows));

	if (!rows)
		return NULL;
	t->rows = rows;
	memset(&rows[t->count], 0, sizeof(*rows));
	return &rows[t->count++];
}

/* Characters, not bytes: names of other scripts are UTF-8. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void table_print(const struct table *t)
{
	size_t widths[TABLE_COLUMNS] = {0};

	for (size_t i = 0; i < t->count; i++) {
		for (size_t j = 0; j < t->columns; j++) {
			size_t n = width_of(t->rows[i].cell[j].s);

			widths[j] = n > widths[j] ? n : widths[j];
		}
	}
	for (size_t i = 0; i < t->count; i++) {
		const struct table_row *row = &t->rows[i];
		size_t blanks = 0;

		for (size_t j = 0; j < t->columns; j++) {
			const char *s = row->cell[j].s;

			if (*s) {
				printf("%*s", (int)blanks, "");
				print_coloured(row->colour[j], s);
				blanks = 0;
			}
			blanks += widths[j] - width_of(s) + 2;
		}
		putchar('\n');
	}
}

void table_free(struct table *t)
{
	free(t->rows);
	t->rows = NULL;
	t->count = 0;
}
