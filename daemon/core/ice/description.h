/*
 * An ICE description: what one end tells the other so that checks can begin (RFC 8445 s. 5.3, and
 * the table of parameters in docs/PROTOCOL.md). It is a plain value; the signal room writes it to
 * the wire.
 *
 * Decoding is lenient, checking is not: unknown options and extensions are carried and ignored, but
 * a description that does not pass ice_description_check() is not given to an agent.
 */
#ifndef ICETUN_ICE_DESCRIPTION_H
#define ICETUN_ICE_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/ice/candidate.h"

#define ICE_UFRAG_MIN_BYTES 4
#define ICE_UFRAG_MAX_BYTES 256
#define ICE_PWD_MIN_BYTES   22
#define ICE_PWD_MAX_BYTES   256

#define ICE_MAX_CANDIDATES   32
#define ICE_MAX_OPTIONS	     8
#define ICE_OPTION_MAX_BYTES 32
#define ICE_MAX_EXTENSIONS   8

/* Ta when a description proposes none (RFC 8445 s. 14.2). */
#define ICE_TA_ABSENT_MS 50

struct ice_description {
	char ufrag[ICE_UFRAG_MAX_BYTES + 1];
	char pwd[ICE_PWD_MAX_BYTES + 1];
	uint16_t ta_ms; /* proposed interval between checks; 0 = absent */
	bool lite;
	bool end_of_candidates; /* no candidate will follow in a later message */
	char options[ICE_MAX_OPTIONS][ICE_OPTION_MAX_BYTES + 1];
	size_t option_count;
	struct ice_candidate candidates[ICE_MAX_CANDIDATES];
	size_t candidate_count;
	size_t surplus_count; /* candidates that were read of a text and found no room (sdp.h) */
	struct ice_extension extensions[ICE_MAX_EXTENSIONS];
	size_t extension_count;
};

/* Checks one candidate: type known, priority not 0, foundation of 1..32 ice-chars, an address
 * with a port, text that ends inside its array. Return: OK, ERR_INVALID. */
MUST_USE enum err ice_candidate_check(const struct ice_candidate *c);

/* Checks every field and count: lengths and character sets of ufrag and pwd (RFC 8839 s. 5.4,
 * ice-char), of options and extensions (visible ASCII), and each candidate. Whether we would
 * send to a candidate is not asked here. Return: OK, ERR_INVALID. */
MUST_USE enum err ice_description_check(const struct ice_description *d);

/* True when @d carries the option @name ("ice2", "trickle"). */
bool ice_description_has_option(const struct ice_description *d, const char *name);

/* True for a non-empty string of at most @max ice-chars: letters, digits, + and /. */
bool ice_is_ice_chars(const char *text, size_t min, size_t max);

#endif
