#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/output.h"

static const struct command *const commands[] = {
	&command_join, &command_up,	&command_status,      &command_peers,
	&command_ping, &command_events, &command_restart_ice, &command_offload,
	&command_down, &command_leave,	&command_help,
};

const struct command *command_at(unsigned int index)
{
	return index < ARRAY_SIZE(commands) ? commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

/* The options that may stand before the command. Return: how many of @argv they are, or -1 when the
 * program ends with *ret. */
static int global_options(struct context *context, int argc, char **argv, enum problem *ret)
{
	int i = 0;

	for (; i < argc && argv[i][0] == '-'; i++) {
		*ret = PROBLEM_NONE;
		if (strcmp(argv[i], "--version") == 0) {
			puts("ictl " ICETUN_VERSION);
			return -1;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*ret = command_help.run(context, 0, NULL);
			return -1;
		}
		if (strncmp(argv[i], "--socket=", 9) == 0) {
			context->socket = argv[i] + 9;
		} else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
			context->socket = argv[++i];
		} else {
			*ret = fail_detail(PROBLEM_USAGE, "%s is not for here", argv[i]);
			return -1;
		}
	}
	return i;
}

static enum problem run(int argc, char **argv)
{
	struct context context = {.socket = getenv("ICETUN_SOCKET")};
	const struct command *command;
	enum problem p = PROBLEM_NONE;
	int skip;

	if (!context.socket || !*context.socket)
		context.socket = DEFAULT_SOCKET;
	skip = global_options(&context, argc, argv, &p);
	if (skip < 0)
		return p;
	if (skip == argc)
		return fail_detail(PROBLEM_USAGE, "a command is missing");
	command = command_find(argv[skip]);
	if (!command)
		return fail_detail(PROBLEM_USAGE, "there is no command %s", argv[skip]);
	return command->run(&context, argc - skip - 1, argv + skip + 1);
}

int main(int argc, char **argv)
{
	enum problem p = argc > 0 ? run(argc - 1, argv + 1) : PROBLEM_USAGE;

	/* What was promised on standard output has to have got there. */
	if (fflush(stdout) != 0 && p == PROBLEM_NONE)
		p = fail_detail(PROBLEM_INTERNAL, "the output cannot be written");
	return problem_exit(p);
}
