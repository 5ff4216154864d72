#include "tests/interop/sdp_options.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/net/interfaces.h"
#include "daemon/net/sockaddr.h"

void sdp_die(const char *what, const char *why)
{
	fprintf(stderr, "icetun-sdp-agent: %s: %s\n", what, why);
	exit(2);
}

struct netaddr sdp_resolve(const char *host_port)
{
	char host[256];
	const char *colon = strrchr(host_port, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	union net_sockaddr sa = {0};
	struct netaddr a;
	int n;

	if (netaddr_parse(host_port, &a) == OK)
		return a;
	if (!colon || (size_t)(colon - host_port) >= sizeof(host))
		sdp_die(host_port, "not HOST:PORT");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - host_port), host_port);
	n = getaddrinfo(host, colon + 1, &hints, &list);
	if (n != 0)
		sdp_die(host_port, gai_strerror(n));
	memcpy(&sa, list->ai_addr, list->ai_addrlen);
	if (!net_sockaddr_to(&sa, list->ai_addrlen, &a))
		sdp_die(host_port, "not an address");
	freeaddrinfo(list);
	return a;
}

static const char *value_of(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc)
		sdp_die(argv[*i], "a value is missing");
	return argv[++*i];
}

static void parse_role(struct sdp_options *o, const char *value)
{
	if (strcmp(value, "controlling") != 0 && strcmp(value, "controlled") != 0)
		sdp_die("--role", "controlling or controlled");
	o->controlling = strcmp(value, "controlling") == 0;
	o->has_role = true;
}

static void parse_policy(struct sdp_options *o, const char *value)
{
	if (strcmp(value, "all") == 0)
		o->policy = SDP_POLICY_ALL;
	else if (strcmp(value, "relay") == 0)
		o->policy = SDP_POLICY_RELAY;
	else if (strcmp(value, "host") == 0)
		o->policy = SDP_POLICY_HOST;
	else
		sdp_die("--policy", "all, relay or host");
}

static void parse_option(struct sdp_options *o, int argc, char **argv, int *i)
{
	const char *name = argv[*i];
	struct sdp_turn_option *turn = o->turn_count ? &o->turn[o->turn_count - 1] : NULL;

	if (strcmp(name, "--lite-peer") == 0) {
		o->lite_peer = true;
	} else if (strcmp(name, "--role") == 0) {
		parse_role(o, value_of(argc, argv, i));
	} else if (strcmp(name, "--policy") == 0) {
		parse_policy(o, value_of(argc, argv, i));
	} else if (strcmp(name, "--stun") == 0 && o->stun_count < SDP_MAX_SERVERS) {
		o->stun[o->stun_count++] = value_of(argc, argv, i);
	} else if (strcmp(name, "--turn") == 0 && o->turn_count < SDP_MAX_SERVERS) {
		o->turn[o->turn_count++].uri = value_of(argc, argv, i);
	} else if (strcmp(name, "--user") == 0 && turn) {
		turn->user = value_of(argc, argv, i);
	} else if (strcmp(name, "--password") == 0 && turn) {
		turn->password = value_of(argc, argv, i);
	} else if (strcmp(name, "--ta") == 0) {
		o->ta_ms = (uint16_t)strtoul(value_of(argc, argv, i), NULL, 10);
	} else if (strcmp(name, "--bind") == 0 && o->bind_count < SDP_MAX_SOCKETS) {
		if (netaddr_parse_ip(value_of(argc, argv, i), 0, &o->bind[o->bind_count++]) != OK)
			sdp_die(argv[*i], "not an address");
	} else if (strcmp(name, "--restart-on") == 0) {
		if (strcmp(value_of(argc, argv, i), "SIGUSR1") != 0)
			sdp_die("--restart-on", "only SIGUSR1");
		o->restart_on_signal = true;
	} else {
		sdp_die(name, "unknown option, or too many of it");
	}
}

void sdp_options_parse(struct sdp_options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		parse_option(o, argc, argv, &i);
	if (!o->has_role)
		sdp_die("--role", "is needed: controlling or controlled");
}

void sdp_options_find_addresses(struct sdp_options *o)
{
	const struct net_interface_filter filter = {0};
	struct net_snapshot now;

	if (o->bind_count > 0)
		return;
	if (net_interfaces_snapshot(&filter, &now) != OK)
		sdp_die("addresses", "cannot be read");
	for (; o->bind_count < now.count; o->bind_count++)
		o->bind[o->bind_count] = now.addrs[o->bind_count].addr;
}
