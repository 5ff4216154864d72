/*
 * What an answer of a TURN server means (RFC 8656 s. 7.4, 8.3, 10.3, 12.3; RFC 8489 s. 9.2.5), as
 * one table: the request and the error code choose the action, what a person is told, and how long
 * to wait before the same is tried again. Private to this room.
 */
#ifndef ICETUN_TURN_RULES_H
#define ICETUN_TURN_RULES_H

#include <stdint.h>

#include "daemon/core/turn/allocation.h"

enum turn_request_kind {
	TURN_REQUEST_ALLOCATE,
	TURN_REQUEST_REFRESH,
	TURN_REQUEST_RELEASE, /* Refresh with lifetime 0, for good */
	TURN_REQUEST_PURGE,   /* the same, to allocate anew */
	TURN_REQUEST_PERMISSION,
	TURN_REQUEST_BIND,
	TURN_REQUEST_KEEPALIVE,
	TURN_REQUEST_KIND_COUNT
};

enum turn_action {
	TURN_ACTION_CHALLENGE,	/* answer it */
	TURN_ACTION_ALTERNATE,	/* go to the server that is named */
	TURN_ACTION_ONE_FAMILY, /* if both families were asked for: ask for IPv4 alone; else fail */
	TURN_ACTION_PURGE,	/* remove what is there, once; else fail */
	TURN_ACTION_FAIL,	/* there is no allocation */
	TURN_ACTION_EXPIRE,	/* it is there, but cannot be renewed now */
	TURN_ACTION_LOSE,	/* the server has no allocation any more */
	TURN_ACTION_PEER,	/* the server refuses this peer */
	TURN_ACTION_LATER,	/* nothing is said about the peer: ask again later */
	TURN_ACTION_DONE,	/* whatever it means, what we wanted is so */
};

/* No answer came. */
#define TURN_CODE_SILENCE 0

struct turn_rule {
	unsigned int requests; /* bits of enum turn_request_kind */
	uint16_t code, last_code;
	enum turn_action action;
	enum turn_problem problem;
	uint32_t retry_s; /* 0: not before something has changed */
};

/* Return: the row of the table; there is one for each request and code. */
const struct turn_rule *turn_rule_find(enum turn_request_kind request, uint16_t code);

#endif
