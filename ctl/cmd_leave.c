#include <stdio.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/output.h"

static bool confirmed(void)
{
	char answer[16];

	fputs("Leave the network? The keys of this host are destroyed; to come back it needs a "
	      "new\n"
	      "join token. [y/N] ",
	      stdout);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool yes = false;
	const struct option_spec specs[] = {{.name = "yes", .letter = 'y', .ret_flag = &yes}, {0}};
	enum problem p;

	if (!options_parse(context, &command_leave, argc, argv, specs, NULL, 0, &p))
		return p;
	if (!yes && isatty(STDIN_FILENO) && !confirmed())
		return fail(PROBLEM_CANCELLED);
	p = client_ask(context, "Leave", NULL, CLIENT_TIMEOUT_MS, NULL);
	if (p == PROBLEM_NONE)
		puts("left the network");
	return p;
}

const struct command command_leave = {
	.name = "leave",
	.arguments = "[--yes]",
	.summary = "Leaves the network for good",
	.help = "Takes the overlay down and destroys this host's keys and certificate. To come "
		"back\n"
		"it needs a new join token.\n\n"
		"  -y, --yes  do not ask, on a terminal\n",
	.run = run,
};
