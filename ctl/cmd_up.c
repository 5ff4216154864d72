#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/output.h"

#define TIMEOUT_MS     60000
#define MAX_TIMEOUT_MS 86400000

#define LINE_BYTES 1024

/* Prints each step, and one that repeats itself once. Return: as client_receive(), for the last
 * one. */
static enum problem follow(struct client *c, uint64_t timeout_ms, bool wait)
{
	uint64_t end_ms = client_now_ms() + timeout_ms;
	char line[LINE_BYTES], before[LINE_BYTES] = "";

	for (;;) {
		uint64_t now_ms = client_now_ms();
		json_t *step = NULL;
		bool more = false;
		enum problem p =
			client_receive(c, end_ms > now_ms ? end_ms - now_ms : 0, &step, &more);

		if (p != PROBLEM_NONE)
			return p;
		snprintf(line, sizeof(line), "%s: %s", json_text(step, "state").s,
			 json_text(step, "text").s);
		json_decref(step);
		if (strcmp(line, before) != 0)
			puts(line);
		fflush(stdout);
		memcpy(before, line, sizeof(before));
		if (!more)
			return PROBLEM_NONE;
		if (!wait) {
			puts("`ictl status` shows how far it is");
			return PROBLEM_NONE;
		}
	}
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool no_wait = false;
	char *timeout = NULL;
	const struct option_spec specs[] = {{.name = "no-wait", .ret_flag = &no_wait},
					    {.name = "timeout", .ret_value = &timeout},
					    {0}};
	uint64_t timeout_ms = TIMEOUT_MS;
	struct client *c = NULL;
	enum problem p;

	if (!options_parse(context, &command_up, argc, argv, specs, NULL, 0, &p))
		return p;
	if (!options_seconds("timeout", timeout, 1, MAX_TIMEOUT_MS, &timeout_ms))
		return PROBLEM_USAGE;
	p = client_open(&c, context);
	if (p != PROBLEM_NONE)
		return p;
	p = client_call(c, "Up", NULL, true);
	if (p == PROBLEM_NONE)
		p = follow(c, timeout_ms, !no_wait);
	client_close(c);
	return p;
}

const struct command command_up = {
	.name = "up",
	.arguments = "[--no-wait] [--timeout SECONDS]",
	.summary = "Brings the overlay up on this host",
	.help = "Shows each step and waits until this host is registered. From then on the overlay "
		"also\n"
		"comes up by itself when the daemon starts. When the time is over, or ictl is "
		"stopped,\n"
		"the daemon goes on by itself.\n\n"
		"      --no-wait          return when the daemon has begun\n"
		"      --timeout SECONDS  how long to wait (60)\n",
	.run = run,
};
