#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/peers.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/identifier.h"

#define MAX_COUNT	1000000
#define MIN_INTERVAL_MS 10
#define MAX_INTERVAL_MS 3600000
/* Beside the interval: the first request may have to wait for a path. */
#define GRACE_MS 60000

struct statistics {
	uint64_t sent, replies;
	uint64_t min_us, max_us, sum_us;
};

static void count(struct statistics *s, const json_t *pong)
{
	uint64_t rtt_us = json_number(pong, "rtt_us", 0);

	s->sent++;
	if (json_flag(pong, "lost"))
		return;
	s->min_us = s->replies == 0 || rtt_us < s->min_us ? rtt_us : s->min_us;
	s->max_us = rtt_us > s->max_us ? rtt_us : s->max_us;
	s->sum_us += rtt_us;
	s->replies++;
}

static struct text exact(uint64_t us)
{
	return text_format("%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
}

static void print_pong(const json_t *pong)
{
	struct text name = json_text(pong, "name"), address = json_text(pong, "address");
	uint64_t seq = json_number(pong, "seq", 0);

	printf("%s from %s%s%s%s", json_flag(pong, "lost") ? "no reply" : "reply", name.s,
	       *address.s ? " (" : "", address.s, *address.s ? ")" : "");
	if (json_flag(pong, "lost"))
		printf(": seq=%" PRIu64 "\n", seq);
	else
		printf(" via %s: seq=%" PRIu64 " time=%s ms\n",
		       peers_path(json_object_get(pong, "path")).s, seq,
		       exact(json_number(pong, "rtt_us", 0)).s);
	fflush(stdout);
}

static void print_statistics(const struct statistics *s)
{
	uint64_t lost = s->sent - s->replies;

	if (!s->sent)
		return;
	printf("\n%" PRIu64 " sent, %" PRIu64 " replies, %" PRIu64 " %% lost", s->sent, s->replies,
	       lost * 100 / s->sent);
	if (s->replies)
		printf("; time min/avg/max %s/%s/%s ms", exact(s->min_us).s,
		       exact(s->sum_us / s->replies).s, exact(s->max_us).s);
	putchar('\n');
}

static enum problem follow(struct client *c, uint64_t timeout_ms, bool json, struct statistics *s)
{
	bool more = true;

	while (more) {
		json_t *pong = NULL;
		enum problem p = client_receive(c, timeout_ms, &pong, &more);

		if (p != PROBLEM_NONE)
			return p;
		count(s, pong);
		if (json)
			p = print_json(pong, true);
		else
			print_pong(pong);
		json_decref(pong);
		if (p != PROBLEM_NONE)
			return p;
	}
	return PROBLEM_NONE;
}

static enum problem ping(const struct context *context, json_t *parameters, uint64_t interval_ms,
			 bool json)
{
	struct statistics s = {0};
	struct client *c = NULL;
	int interrupt_fd = client_catch_interrupt();
	enum problem p = client_open(&c, context);

	if (p != PROBLEM_NONE) {
		json_decref(parameters);
	} else {
		client_set_interrupt(c, interrupt_fd);
		p = client_call(c, "Ping", parameters, true);
		if (p == PROBLEM_NONE)
			p = follow(c, interval_ms + GRACE_MS, json, &s);
	}
	client_close(c);
	if (interrupt_fd >= 0)
		close(interrupt_fd);
	if (!json)
		print_statistics(&s);
	if (p == PROBLEM_CANCELLED)
		p = PROBLEM_NONE;
	if (p == PROBLEM_NONE && s.replies == 0)
		p = fail(PROBLEM_NO_REPLY);
	return p;
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool json = false;
	char *peer, *count_text = NULL, *interval_text = NULL;
	const struct option_spec specs[] = {
		{.name = "count", .letter = 'c', .ret_value = &count_text},
		{.name = "interval", .letter = 'i', .ret_value = &interval_text},
		{.name = "json", .ret_flag = &json},
		{0}};
	uint64_t requests = 4, interval_ms = 1000;
	struct netaddr address;
	enum problem p;

	if (!options_parse(context, &command_ping, argc, argv, specs, &peer, 1, &p))
		return p;
	if (!options_number("count", count_text, 1, MAX_COUNT, &requests) ||
	    !options_seconds("interval", interval_text, MIN_INTERVAL_MS, MAX_INTERVAL_MS,
			     &interval_ms))
		return PROBLEM_USAGE;
	if (!peer)
		return fail_detail(PROBLEM_USAGE, "the name of a peer is missing");
	if (!identifier_is_valid(peer) && netaddr_parse_ip(peer, 0, &address) != OK)
		return fail_detail(PROBLEM_PEER_UNKNOWN, "%s", peer);
	return ping(context,
		    json_pack("{s:s, s:I, s:I}", "peer", peer, "count", (json_int_t)requests,
			      "interval_ms", (json_int_t)interval_ms),
		    interval_ms, json);
}

const struct command command_ping = {
	.name = "ping",
	.arguments = "PEER [-c COUNT] [-i SECONDS] [--json]",
	.summary = "Asks another host for signs of life, through the tunnel",
	.help = "PEER is a name or an overlay address. Shows over which path each reply came. The "
		"exit\n"
		"code is 0 when there was any reply.\n\n"
		"  -c, --count COUNT       how many requests (4)\n"
		"  -i, --interval SECONDS  between two of them, from 0.01 (1)\n"
		"      --json              one line of JSON for each reply\n",
	.run = run,
};
