#include <stdio.h>

#include "ctl/client.h"
#include "ctl/options.h"

static enum problem run(struct context *context, int argc, char **argv)
{
	enum problem p;

	if (!options_parse(context, &command_down, argc, argv, NULL, NULL, 0, &p))
		return p;
	p = client_ask(context, "Down", NULL, CLIENT_TIMEOUT_MS, NULL);
	if (p == PROBLEM_NONE)
		puts("down");
	return p;
}

const struct command command_down = {
	.name = "down",
	.arguments = "",
	.summary = "Takes the overlay down on this host",
	.help = "The membership stays; `ictl up` brings the overlay back. Until then it also stays "
		"down\n"
		"when the daemon starts again.\n",
	.run = run,
};
