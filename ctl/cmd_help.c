#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/options.h"

#define EXIT_CODES "exit-codes"

void command_print_help(const struct command *command)
{
	printf("Usage: ictl %s%s%s\n\n%s.\n%s%s", command->name, *command->arguments ? " " : "",
	       command->arguments, command->summary, *command->help ? "\n" : "", command->help);
}

static void print_commands(void)
{
	printf("Usage: ictl [--socket PATH] COMMAND [ARGUMENTS]\n\n"
	       "Controls icetund, the daemon that joins this host to an overlay network.\n\n");
	for (unsigned int i = 0; command_at(i); i++)
		printf("  %-13s%s\n", command_at(i)->name, command_at(i)->summary);
	printf("\n"
	       "  --socket PATH  the daemon's socket, instead of $ICETUN_SOCKET\n"
	       "                 or " DEFAULT_SOCKET "\n"
	       "  --version      the version of ictl\n"
	       "\n"
	       "`ictl help COMMAND` explains a command, `ictl help " EXIT_CODES
	       "` the exit codes.\n");
}

static void print_exit_codes(void)
{
	printf("Exit codes of ictl, with and without --json:\n\n");
	for (unsigned int i = 0; i < PROBLEM_COUNT; i++)
		printf("  %2d  %-18s  %s\n", problem_exit((enum problem)i),
		       problem_name((enum problem)i), problem_text((enum problem)i));
}

static enum problem run(struct context *context, int argc, char **argv)
{
	const struct command *command;
	char *topic;
	enum problem p;

	if (!options_parse(context, &command_help, argc, argv, NULL, &topic, 1, &p))
		return p;
	if (!topic) {
		print_commands();
		return PROBLEM_NONE;
	}
	if (strcmp(topic, EXIT_CODES) == 0) {
		print_exit_codes();
		return PROBLEM_NONE;
	}
	command = command_find(topic);
	if (!command)
		return fail_detail(PROBLEM_USAGE, "there is no command %s", topic);
	command_print_help(command);
	return PROBLEM_NONE;
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND | " EXIT_CODES "]",
	.summary = "Explains ictl, a command, or the exit codes",
	.help = "",
	.run = run,
};
