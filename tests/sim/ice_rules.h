/*
 * What must hold for every datagram that leaves an ICE engine and for every path it tells of,
 * whatever the network does:
 *
 *   - a datagram is STUN with FINGERPRINT, at most 548 bytes (RFC 8489 s. 6.1);
 *   - it goes to a STUN server, to a signalled candidate, or to where a datagram came from;
 *   - two new transactions are 5 ms apart, those of one agent its Ta, those to STUN servers 50 ms,
 *     consent aside (RFC 8445 s. 14, RFC 7675);
 *   - a request is repeated after 500 ms at the earliest, and sent seven times at the most
 *     (RFC 8445 s. 14.3, RFC 8489 s. 6.2.1);
 *   - a request has username, integrity and exactly one role (RFC 8445 s. 7.2);
 *   - what an unauthenticated request gets is at most three times as long;
 *   - a generation nominates one pair, once (RFC 8445 s. 8.1.1): another one only when the check
 *     that nominated has failed, or the pair was the path and was lost, has been silent for 12 s,
 *     or has lost its base;
 *   - a path goes over a pair of its generation that has been checked with success;
 *   - a path that lives is not given up: see ice_rules_on_path();
 *   - no agent fails before a full transaction had its time (RFC 8863: 39.5 s).
 *
 * One object for each engine. All that goes in and out of the engine is told to it.
 */
#ifndef ICETUN_SIM_ICE_RULES_H
#define ICETUN_SIM_ICE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/ice/engine.h"

struct ice_rules;

struct ice_rules *ice_rules_create(void);
void ice_rules_destroy(struct ice_rules *r);

/* The engine may send to @a from now on. */
void ice_rules_allow(struct ice_rules *r, const struct netaddr *a);
void ice_rules_allow_server(struct ice_rules *r, const struct netaddr *a);
bool ice_rules_is_allowed(const struct ice_rules *r, const struct netaddr *a);
/* What both ends have proposed. */
void ice_rules_set_ta(struct ice_rules *r, uint64_t ta_us);
/* Generation @number of the engine's agent has this username fragment. */
void ice_rules_set_generation(struct ice_rules *r, uint32_t number, const char *ufrag);
/* The socket or relay is gone. */
void ice_rules_drop_base(struct ice_rules *r, uint16_t socket, uint16_t relay);

/* The other end has this password: what has its integrity counts as an answer. */
void ice_rules_add_password(struct ice_rules *r, const char *pwd);
/* A datagram is put into the engine. */
void ice_rules_on_input(struct ice_rules *r, uint64_t now_us, uint16_t socket, uint16_t relay,
			const struct netaddr *from, const uint8_t *buf, size_t len);
/* The agent's first generation has the other end's description. */
void ice_rules_on_description(struct ice_rules *r, uint64_t now_us);
/* The agent is FAILED. Return: NULL, or the rule that was broken. */
const char *ice_rules_on_failed(const struct ice_rules *r, uint64_t now_us);
/* Authenticated data has come. */
void ice_rules_on_data(struct ice_rules *r, uint64_t now_us);
/* The agent was told to be idle, or not to be so any more. */
void ice_rules_on_idle(struct ice_rules *r, uint64_t now_us);

/* A datagram has left the engine. @path, @next: the agent's paths, or NULL. Return: NULL, or the
 * rule that was broken. */
const char *ice_rules_check(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
			    const uint8_t *buf, const struct ice_path *path,
			    const struct ice_path *next);
/* The agent's path is another one, or there is none (NULL). It may only leave a path
 *   - over a base that is gone;
 *   - by a switch to the next generation;
 *   - to a better pair, before nomination;
 *   - to another pair, after 12 s without an answer, or when the other end has nominated that;
 *   - to nothing, 30 s after the last answer and the last data (10 s after it was idle).
 * Return: NULL, or the rule that was broken. */
const char *ice_rules_on_path(struct ice_rules *r, uint64_t now_us, const struct ice_path *path);
/* The next generation, numbered @generation, has a path, or has lost it (NULL). */
const char *ice_rules_on_next_path(struct ice_rules *r, const struct ice_path *path,
				   uint32_t generation);

/* Pairs that got USE-CANDIDATE, over all generations. */
size_t ice_rules_nominations(const struct ice_rules *r);

#endif
