#include <stdio.h>

#include "ctl/client.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/cert/identifier.h"

static enum problem run(struct context *context, int argc, char **argv)
{
	const struct option_spec specs[] = {{0}};
	struct netaddr address;
	enum problem p;
	char *peer;

	if (!options_parse(context, &command_restart_ice, argc, argv, specs, &peer, 1, &p))
		return p;
	if (!peer)
		return fail_detail(PROBLEM_USAGE, "the name of a peer is missing");
	if (!identifier_is_valid(peer) && netaddr_parse_ip(peer, 0, &address) != OK)
		return fail_detail(PROBLEM_PEER_UNKNOWN, "%s", peer);
	p = client_ask(context, "RestartIce", json_pack("{s:s}", "peer", peer), CLIENT_TIMEOUT_MS,
		       NULL);
	if (p == PROBLEM_NONE)
		printf("looking for another path to %s\n", peer);
	return p;
}

const struct command command_restart_ice = {
	.name = "restart-ice",
	.arguments = "PEER",
	.summary = "Looks for another path to a host, while the present one goes on",
	.help = "PEER is a name or an overlay address. `ictl events` shows what comes of it.\n",
	.run = run,
};
