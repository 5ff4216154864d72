/* Options of a command: "--name VALUE", "--name=VALUE", "-n VALUE", "-nVALUE", "--flag", and "--",
 * behind which nothing is an option. "-" alone is an argument. */
#ifndef ICETUN_CTL_OPTIONS_H
#define ICETUN_CTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/command.h"

struct option_spec {
	const char *name; /* without the dashes; NULL ends a list */
	char letter;	  /* or 0 */
	bool *ret_flag;	  /* set for an option without a value */
	char **ret_value; /* set to the value of one with */
};

/*
 * Parses @argc of @argv by @specs, with --socket and --help beside them. Up to @max arguments that
 * are no options go to @ret_arguments, the rest of which is set to NULL.
 * Return: true; false when the command is to end with *ret, because the help was printed or because
 * something is wrong, which then has been said.
 */
bool options_parse(struct context *context, const struct command *command, int argc, char **argv,
		   const struct option_spec *specs, char **ret_arguments, unsigned int max,
		   enum problem *ret);

/* A number of seconds, "5" or "0.2", from @min_ms to @max_ms; NULL leaves *ret_ms as it is.
 * Return: false, and says so, when @text is something else. */
bool options_seconds(const char *name, const char *text, uint64_t min_ms, uint64_t max_ms,
		     uint64_t *ret_ms);
/* A whole number. As above. */
bool options_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

#endif
