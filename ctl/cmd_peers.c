#include <inttypes.h>
#include "ctl/peers.h"

#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/options.h"

struct text peers_path(const json_t *path)
{
	struct text relay = json_text(path, "relay");

	if (!path)
		return text_format("-");
	return text_format("%.32s %.80s%s%.120s", json_text(path, "kind").s,
			   json_text(path, "remote").s, *relay.s ? " over " : "", relay.s);
}

static enum colour colour_of(const char *state)
{
	static const struct {
		const char *state;
		enum colour colour;
	} rows[] = {
		{"connected", COLOUR_GOOD},  {"looking_up", COLOUR_BUSY},
		{"exchanging", COLOUR_BUSY}, {"checking", COLOUR_BUSY},
		{"roaming", COLOUR_BUSY},    {"lost", COLOUR_BAD},
		{"failed", COLOUR_BAD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].state, state) == 0)
			return rows[i].colour;
	}
	return COLOUR_PLAIN;
}

static struct text age_of(const json_t *object, const char *key)
{
	uint64_t ms = json_number(object, key, UINT64_MAX);

	return ms == UINT64_MAX ? text_format("-") : text_duration(ms);
}

static void fill_row(struct table_row *row, const json_t *peer)
{
	const json_t *path = json_object_get(peer, "path");
	uint64_t rtt_us = json_number(path, "rtt_us", 0);
	uint64_t mtu_bytes = json_number(path, "mtu_bytes", 0);

	row->cell[0] = json_text(peer, "name");
	row->cell[1] = json_list(json_object_get(peer, "addresses"));
	row->cell[2] = json_text(peer, "state");
	row->colour[2] = colour_of(row->cell[2].s);
	row->cell[3] = peers_path(path);
	row->cell[4] = rtt_us ? text_milliseconds(rtt_us) : text_format("-");
	row->cell[5] = mtu_bytes ? text_format("%" PRIu64, mtu_bytes) : text_format("-");
	row->cell[6] = age_of(peer, "last_received_ms");
	row->cell[7] = text_bytes(json_number(json_object_get(peer, "sent"), "bytes", 0));
	row->cell[8] = text_bytes(json_number(json_object_get(peer, "received"), "bytes", 0));
}

/* What went wrong with each of them, below the table. */
static void print_errors(const json_t *peers)
{
	for (size_t i = 0; i < json_array_size(peers); i++) {
		const json_t *peer = json_array_get(peers, i);
		struct text error = json_text(peer, "last_error");

		if (*error.s)
			printf("%s: %s (%s ago)\n", json_text(peer, "name").s, error.s,
			       age_of(peer, "last_error_ms").s);
	}
}

/* What the last restart was for, where there was one. */
static void print_restarts(const json_t *peers)
{
	for (size_t i = 0; i < json_array_size(peers); i++) {
		const json_t *peer = json_array_get(peers, i);
		const json_t *restarts = json_object_get(peer, "restarts");
		struct text cause = json_text(restarts, "last_cause");
		uint64_t begun = json_number(restarts, "begun", 0);

		if (*cause.s)
			printf("%s: %" PRIu64 " restart%s, %" PRIu64 " switched, %" PRIu64
			       " failed; the last %s ago: %s\n",
			       json_text(peer, "name").s, begun, begun == 1 ? "" : "s",
			       json_number(restarts, "switched", 0),
			       json_number(restarts, "failed", 0), age_of(restarts, "last_ms").s,
			       cause.s);
	}
}

bool peers_print(const json_t *peers)
{
	static const char *const heads[TABLE_COLUMNS] = {
		"PEER", "ADDRESS", "STATE", "PATH", "RTT", "MTU", "LAST HEARD", "SENT", "RECEIVED"};
	struct table t = {.columns = TABLE_COLUMNS};
	struct table_row *row = table_add(&t);

	for (size_t i = 0; row && i < TABLE_COLUMNS; i++)
		row->cell[i] = text_format("%s", heads[i]);
	for (size_t i = 0; row && i < json_array_size(peers); i++) {
		row = table_add(&t);
		if (row)
			fill_row(row, json_array_get(peers, i));
	}
	if (row) {
		table_print(&t);
		print_restarts(peers);
		print_errors(peers);
	}
	table_free(&t);
	return row;
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = {{.name = "json", .ret_flag = &json}, {0}};
	json_t *reply = NULL;
	const json_t *peers;
	enum problem p;

	if (!options_parse(context, &command_peers, argc, argv, specs, NULL, 0, &p))
		return p;
	p = client_ask(context, "Peers", NULL, CLIENT_TIMEOUT_MS, &reply);
	if (p != PROBLEM_NONE)
		return p;
	peers = json_object_get(reply, "peers");
	if (json)
		p = print_json(reply, false);
	else if (json_array_size(peers) == 0)
		puts("No other hosts are known here.");
	else if (!peers_print(peers))
		p = fail(PROBLEM_INTERNAL);
	json_decref(reply);
	return p;
}

const struct command command_peers = {
	.name = "peers",
	.arguments = "[--json]",
	.summary = "Lists the other hosts and the paths to them",
	.help = "STATE       idle, looking_up, exchanging, checking, connected, roaming, lost, "
		"absent "
		"or failed\n"
		"PATH        direct or relayed, where packets go, and over which TURN server of "
		"this host\n"
		"MTU         the longest packet of the overlay that the path carries\n"
		"LAST HEARD  since the last packet that authenticated\n\n"
		"      --json  everything, as docs/icetun.varlink defines it\n",
	.run = run,
};
