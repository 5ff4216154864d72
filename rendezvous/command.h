/* The commands of icetun-rendezvous: one function each, and what they share. */
#ifndef ICETUN_RENDEZVOUS_COMMAND_H
#define ICETUN_RENDEZVOUS_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"
#include "rendezvous/config.h"
#include "rendezvous/exit.h"
#include "rendezvous/issuer.h"

/* Each takes the arguments behind its name. */
enum exit_code command_init(int argc, char **argv);
enum exit_code command_token(int argc, char **argv);
enum exit_code command_member(int argc, char **argv);
enum exit_code command_run(int argc, char **argv);

/* Prints "icetun-rendezvous: " and one sentence to stderr; returns @code. */
enum exit_code command_fail(enum exit_code code, const char *format, ...) PRINTF_LIKE(2, 3);

/* An option that takes a value: "--name VALUE" or "--name=VALUE". */
struct command_option {
	const char *name;  /* without the dashes */
	const char *value; /* NULL until given; filled in */
};

/* Takes the options out of @argv. What is no option goes to @rest, @rest_max at most, in order.
 * Return: EXIT_CODE_DONE and the number of words in *ret_rest, or EXIT_CODE_USAGE after a
 * sentence. */
enum exit_code command_parse(int argc, char **argv, struct command_option *options,
			     size_t option_count, const char **rest, size_t rest_max,
			     size_t *ret_rest);

/* Loads the configuration that --dir or --config names; both may be NULL. */
enum exit_code command_load_config(const char *dir, const char *file, struct config *ret);
/* Opens the database of @config, without the authority's key if @authority_secret is NULL. */
enum exit_code command_open_issuer(const struct config *config, const uint8_t *authority_secret,
				   uint32_t busy_ms, struct issuer **ret);
/* Reads a key of @config's directory. */
enum exit_code command_read_key(const struct config *config, const char *name, bool is_secret,
				uint8_t ret[static 32]);

#endif
