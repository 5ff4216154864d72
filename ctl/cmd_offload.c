#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/output.h"

static void show(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		bool on = json_is_true(json_object_get(one, "on"));
		bool used = json_is_true(json_object_get(one, "used"));

		printf("%-18s %s%s\n", json_text(one, "name").s, on ? "on" : "off",
		       on && !used   ? ", not in use"
		       : !on && used ? ", in use until the network goes down"
				     : "");
	}
}

static bool is_name(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_text(json_array_get(list, i), "name").s, name) == 0)
			return true;
	}
	return false;
}

/* Turns a switch. *reply: the list, which is fetched again. */
static enum problem turn(const struct context *context, const char *name, bool on, json_t **reply)
{
	enum problem p;

	if (!is_name(json_object_get(*reply, "offloads"), name))
		return fail_detail(PROBLEM_USAGE, "there is no offload %s", name);
	p = client_ask(context, "SetOffload", json_pack("{s:s, s:b}", "name", name, "on", on),
		       CLIENT_TIMEOUT_MS, NULL);
	if (p != PROBLEM_NONE)
		return p;
	json_decref(*reply);
	*reply = NULL;
	return client_ask(context, "Offloads", NULL, CLIENT_TIMEOUT_MS, reply);
}

static enum problem run(struct context *context, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = {{.name = "json", .ret_flag = &json}, {0}};
	char *arguments[2];
	json_t *reply = NULL;
	enum problem p;
	bool on;

	if (!options_parse(context, &command_offload, argc, argv, specs, arguments, 2, &p))
		return p;
	on = arguments[1] && strcmp(arguments[1], "on") == 0;
	if (arguments[0] && !on && (!arguments[1] || strcmp(arguments[1], "off") != 0))
		return fail_detail(PROBLEM_USAGE, "say whether it is to be on or off");
	p = client_ask(context, "Offloads", NULL, CLIENT_TIMEOUT_MS, &reply);
	if (p == PROBLEM_NONE && arguments[0])
		p = turn(context, arguments[0], on, &reply);
	if (p == PROBLEM_NONE && json)
		p = print_json(reply, false);
	else if (p == PROBLEM_NONE)
		show(json_object_get(reply, "offloads"));
	json_decref(reply);
	return p;
}

const struct command command_offload = {
	.name = "offload",
	.arguments = "[NAME on|off] [--json]",
	.summary = "Shows or turns the switches of the kernel's help for packets",
	.help = "tun-tcp, tun-udp    superpackets from and to the network device\n"
		"udp-segment         trains to the network\n"
		"udp-gro             trains from the network\n"
		"partial-checksums   checksums inside the tunnel that nobody computes\n"
		"tun-queues          a queue of the network device for each thread\n"
		"\n"
		"A switch that is on is \"not in use\" when the kernel refuses; everything works "
		"without.\n"
		"tun-queues takes effect with the next ictl up, for the device is made with its "
		"queues;\nit is not in use when there is one thread.\n"
		"A switch stays until icetund ends; Offloads= in its configuration has the first "
		"position.\n"
		"\n      --json  everything, as docs/icetun.varlink defines it\n",
	.run = run,
};
