/*
 * ictl: controls icetund over its control socket, and does nothing else.
 *
 * Each command is one file, cmd_<name>.c, with one `struct command` in it; main.c has the list of
 * them. A command parses its options (options.h), asks the daemon (client.h), and prints
 * (output.h). What goes wrong is a problem of daemon/core/base/problem.h: fail() prints its
 * sentences on standard error, and its exit code is the result of the program, for text and JSON
 * alike.
 */
#ifndef ICETUN_CTL_COMMAND_H
#define ICETUN_CTL_COMMAND_H

#include "daemon/core/base/problem.h"

#define DEFAULT_SOCKET "/run/icetun/control.sock"

struct context {
	const char *socket;
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line; "" for none */
	const char *summary;   /* one line for the list of commands */
	const char *help;      /* the rest of `ictl help NAME`, whole lines */
	/* @argv: behind the name, @argc of them. Return: what the exit code comes from. */
	enum problem (*run)(struct context *context, int argc, char **argv);
};

extern const struct command command_down;
extern const struct command command_events;
extern const struct command command_help;
extern const struct command command_join;
extern const struct command command_leave;
extern const struct command command_offload;
extern const struct command command_peers;
extern const struct command command_ping;
extern const struct command command_restart_ice;
extern const struct command command_status;
extern const struct command command_up;

/* In the order in which they are listed, NULL behind the last. */
const struct command *command_at(unsigned int index);
/* Return: the command called @name, or NULL. */
const struct command *command_find(const char *name);
void command_print_help(const struct command *command);

#endif
