#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/peers.h"

/* One line; without @label it continues the one before. Nothing for an empty @value. */
static void line(const char *label, struct text value)
{
	if (*value.s)
		printf("%-12s%s\n", label, value.s);
}

static void print_state(const json_t *status)
{
	struct text state = json_text(status, "state"), reason = json_text(status, "reason");
	enum colour colour = strcmp(state.s, "up") == 0		? COLOUR_GOOD
			     : strcmp(state.s, "failed") == 0	? COLOUR_BAD
			     : strcmp(state.s, "offline") == 0	? COLOUR_BUSY
			     : strcmp(state.s, "starting") == 0 ? COLOUR_BUSY
								: COLOUR_PLAIN;

	printf("%-12s", "State");
	print_coloured(colour, state.s);
	printf(" for %s%s%s\n", text_duration(json_number(status, "since_ms", 0)).s,
	       *reason.s ? ": " : "", reason.s);
	if (strcmp(state.s, "unjoined") == 0)
		line("", text_format("Join a network: ictl join TOKEN"));
	else if (strcmp(state.s, "down") == 0)
		line("", text_format("Bring it up: ictl up"));
}

static void print_server(const char *label, const json_t *server)
{
	struct text endpoint = json_text(server, "endpoint"), reason = json_text(server, "reason");
	struct text error = json_text(server, "last_error");
	struct text transport = json_text(server, "transport");
	uint64_t rtt_us = json_number(server, "rtt_us", 0);
	uint64_t retry_ms = json_number(server, "retry_ms", UINT64_MAX);
	uint64_t error_ms = json_number(server, "last_error_ms", UINT64_MAX);

	if (!*endpoint.s)
		return;
	printf("%-12s%s%s%s %s for %s", label, endpoint.s, *transport.s ? " over " : "",
	       transport.s, json_text(server, "state").s,
	       text_duration(json_number(server, "since_ms", 0)).s);
	if (rtt_us)
		printf(", %s", text_milliseconds(rtt_us).s);
	printf("%s%s", *reason.s ? ": " : "", reason.s);
	if (retry_ms != UINT64_MAX)
		printf("; next attempt in %s", text_duration(retry_ms).s);
	putchar('\n');
	if (*error.s && error_ms != UINT64_MAX && strcmp(error.s, reason.s) != 0)
		line("", text_format("last error: %.160s (%s ago)", error.s,
				     text_duration(error_ms).s));
}

static void print_interface(const json_t *status)
{
	struct text name = json_text(status, "interface");
	uint64_t mtu = json_number(status, "mtu_bytes", 0);

	if (*name.s)
		line("Interface", text_format("%.32s, MTU %" PRIu64, name.s, mtu));
}

static void print_data(const json_t *status)
{
	const json_t *data = json_object_get(status, "data");
	struct text offloads = json_list(json_object_get(data, "offloads"));
	uint64_t workers = json_number(data, "workers", 0);

	if (workers)
		line("Workers", text_format("%" PRIu64 ", with %.120s", workers,
					    *offloads.s ? offloads.s : "no offload"));
}

static void print_membership(const json_t *status)
{
	uint64_t left_s = json_number(status, "certificate_left_s", UINT64_MAX);

	if (left_s == 0)
		line("Membership", text_format("has ended"));
	else if (left_s != UINT64_MAX)
		line("Membership", text_format("valid for %s", text_duration(left_s * 1000).s));
}

static void print_candidates(const json_t *status)
{
	const json_t *list = json_object_get(status, "candidates");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);

		line(i ? "" : "Candidates", text_format("%-5.16s %.80s", json_text(c, "type").s,
							json_text(c, "address").s));
	}
}

static void print_drops(const json_t *status)
{
	const json_t *list = json_object_get(status, "drops");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);

		line(i ? "" : "Ignored",
		     text_format("%" PRIu64 " %.80s", json_number(d, "count", 0),
				 json_text(d, "reason").s));
	}
}

/* Only worth a word when something is odd. */
static void print_helper(const json_t *status)
{
	const json_t *helper = json_object_get(status, "helper");
	uint64_t restarts = json_number(helper, "restarts", 0);

	if (restarts)
		line("Helper",
		     text_format("%.32s, restarted %" PRIu64 " time%s",
				 json_text(helper, "state").s, restarts, restarts == 1 ? "" : "s"));
}

static void print_servers(const char *label, const json_t *servers)
{
	for (size_t i = 0; i < json_array_size(servers); i++)
		print_server(i ? "" : label, json_array_get(servers, i));
}

static bool print_status(const json_t *status)
{
	const json_t *peers = json_object_get(status, "peers");

	line("Network", json_text(status, "network"));
	line("Name", json_text(status, "name"));
	print_state(status);
	line("Addresses", json_list(json_object_get(status, "addresses")));
	print_interface(status);
	print_data(status);
	print_membership(status);
	print_server("Rendezvous", json_object_get(status, "rendezvous"));
	print_servers("STUN", json_object_get(status, "stun"));
	print_servers("TURN", json_object_get(status, "turn"));
	print_candidates(status);
	print_helper(status);
	print_drops(status);
	if (json_array_size(peers) == 0)
		return true;
	putchar('\n');
	return peers_print(peers);
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = {{.name = "json", .ret_flag = &json}, {0}};
	json_t *reply = NULL;
	const json_t *status;
	enum problem p;

	if (!options_parse(context, &command_status, argc, argv, specs, NULL, 0, &p))
		return p;
	p = client_ask(context, "Status", NULL, CLIENT_TIMEOUT_MS, &reply);
	if (p != PROBLEM_NONE)
		return p;
	status = json_object_get(reply, "status");
	if (json)
		p = print_json(status, false);
	else if (!print_status(status))
		p = fail(PROBLEM_INTERNAL);
	json_decref(reply);
	return p;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--json]",
	.summary = "Shows this host's state, its servers and its peers",
	.help = "Answered at once from what the daemon knows; nothing is probed. The exit code is "
		"0\n"
		"whenever the daemon has answered, whatever the state is.\n\n"
		"      --json  one document, as docs/icetun.varlink defines it (type Snapshot)\n",
	.run = run,
};
