#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/peers.h"

static struct text clock_of(const json_t *event)
{
	double time = json_number_value(json_object_get(event, "time"));
	time_t seconds = (time_t)time;
	char text[16] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		(void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
	return text_format("%s.%03d", text, (int)((time - (double)seconds) * 1000));
}

static void print_event(const json_t *event)
{
	const json_t *path = json_object_get(event, "path");
	struct text peer = json_text(event, "peer");

	printf("%s  %-10s  %s%s%s%s%s\n", clock_of(event).s, json_text(event, "kind").s, peer.s,
	       *peer.s ? ": " : "", json_text(event, "text").s, path ? ", " : "",
	       path ? peers_path(path).s : "");
	fflush(stdout);
}

static enum problem follow(struct client *c, bool json)
{
	enum problem p = PROBLEM_NONE;
	bool more = true;

	while (more && p == PROBLEM_NONE) {
		json_t *reply = NULL;

		p = client_receive(c, CLIENT_FOREVER, &reply, &more);
		if (p != PROBLEM_NONE)
			break;
		if (json)
			p = print_json(json_object_get(reply, "event"), true);
		else
			print_event(json_object_get(reply, "event"));
		json_decref(reply);
	}
	return p == PROBLEM_CANCELLED ? PROBLEM_NONE : p;
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = {{.name = "json", .ret_flag = &json}, {0}};
	struct client *c = NULL;
	int interrupt_fd;
	enum problem p;

	if (!options_parse(context, &command_events, argc, argv, specs, NULL, 0, &p))
		return p;
	interrupt_fd = client_catch_interrupt();
	p = client_open(&c, context);
	if (p == PROBLEM_NONE) {
		client_set_interrupt(c, interrupt_fd);
		p = client_call(c, "Events", NULL, true);
	}
	if (p == PROBLEM_NONE)
		p = follow(c, json);
	client_close(c);
	if (interrupt_fd >= 0)
		close(interrupt_fd);
	return p;
}

const struct command command_events = {
	.name = "events",
	.arguments = "[--json]",
	.summary = "Shows what happens as it happens, until it is interrupted",
	.help = "States of peers, paths and restarts, the rendezvous server, local addresses.\n\n"
		"      --json  one line of JSON for each event, as docs/icetun.varlink defines "
		"it\n",
	.run = run,
};
