/*
 * What people read. Text from the daemon may stem from other hosts: text_clean() takes out what a
 * terminal would obey. Colour only on a terminal, and not when NO_COLOR is set.
 */
#ifndef ICETUN_CTL_OUTPUT_H
#define ICETUN_CTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/problem.h"

#define TEXT_BYTES 256

struct text {
	char s[TEXT_BYTES];
};

/* Prints the sentences of @problem on standard error. Return: @problem. */
enum problem fail(enum problem problem);
/* The same, with what it is about between them. */
enum problem fail_detail(enum problem problem, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same with other sentences, for problems that only a newer daemon knows. */
enum problem fail_sentences(enum problem problem, const char *text, const char *advice,
			    const char *detail);

/* Fragments. All are total: any value gives some text. */
struct text text_format(const char *format, ...) PRINTF_LIKE(1, 2);
struct text text_clean(const char *s);
/* "0.3 s", "12 s", "4 min 5 s", "1 h 2 min", "3 d 4 h" */
struct text text_duration(uint64_t ms);
/* "12.3 ms" */
struct text text_milliseconds(uint64_t us);
/* "512 B", "1.5 KiB" */
struct text text_bytes(uint64_t bytes);

/* Members of a JSON object; "" and @preset when they are missing or of another type. */
struct text json_text(const json_t *object, const char *key);
uint64_t json_number(const json_t *object, const char *key, uint64_t preset);
bool json_flag(const json_t *object, const char *key);
/* The strings of an array, with ", " between. */
struct text json_list(const json_t *array);

enum colour { COLOUR_PLAIN, COLOUR_GOOD, COLOUR_BUSY, COLOUR_BAD };

/* Prints @s in @colour when standard output is a terminal. */
void print_coloured(enum colour colour, const char *s);

/* Writes a JSON document to standard output. Return: PROBLEM_NONE or PROBLEM_INTERNAL. */
enum problem print_json(const json_t *json, bool one_line);

/* A table: columns as wide as their widest cell, two spaces between, no blanks at line ends. */
#define TABLE_COLUMNS 9

struct table_row {
	struct text cell[TABLE_COLUMNS];
	enum colour colour[TABLE_COLUMNS];
};

struct table {
	size_t columns;
	struct table_row *rows;
	size_t count;
};

/* Return: a new empty row at the end, or NULL without memory. */
struct table_row *table_add(struct table *t);
void table_print(const struct table *t);
void table_free(struct table *t);

#endif
