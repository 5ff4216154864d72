/*
 * The command line of icetun-sdp-agent, see there. What is wrong ends the program with a sentence
 * on standard error and code 2.
 */
#ifndef ICETUN_TESTS_INTEROP_SDP_OPTIONS_H
#define ICETUN_TESTS_INTEROP_SDP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/netaddr.h"

#define SDP_MAX_SOCKETS 16
#define SDP_MAX_SERVERS 4

enum sdp_policy {
	SDP_POLICY_ALL,
	SDP_POLICY_RELAY,
	SDP_POLICY_HOST,
};

struct sdp_turn_option {
	const char *uri, *user, *password;
};

struct sdp_options {
	bool controlling, has_role, lite_peer, restart_on_signal;
	enum sdp_policy policy;
	uint16_t ta_ms;
	const char *stun[SDP_MAX_SERVERS];
	size_t stun_count;
	struct sdp_turn_option turn[SDP_MAX_SERVERS];
	size_t turn_count;
	struct netaddr bind[SDP_MAX_SOCKETS];
	size_t bind_count;
};

/* Texts stay in @argv. */
void sdp_options_parse(struct sdp_options *o, int argc, char **argv);
/* Without --bind: every address that can be a host candidate. */
void sdp_options_find_addresses(struct sdp_options *o);
/* The first address of HOST:PORT. */
struct netaddr sdp_resolve(const char *host_port);
/* Ends the program. */
void __attribute__((noreturn)) sdp_die(const char *what, const char *why);

#endif
