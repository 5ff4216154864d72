/*
 * ICE descriptions as SDP attribute lines (RFC 8839), one to one, for gateways and for agents that
 * are signalled by SDP.
 *
 *	a=ice-ufrag:8hhY				ufrag
 *	a=ice-pwd:asd88fgpdd777uzjYhagZg		pwd
 *	a=ice-options:ice2 trickle			options
 *	a=ice-pacing:10					ta_ms
 *	a=ice-lite					lite
 *	a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host
 *	a=end-of-candidates				end_of_candidates
 *
 * Reading is strict where the grammar speaks and silent where it wants things ignored: a line that
 * is none of these, a candidate of another component, transport or type, or whose address is a
 * name, is passed over; one that breaks its grammar is an error. Names of transports and types are
 * taken in any case; option tags may be separated by commas as well, as some agents write them.
 * Unknown name-value pairs of a candidate, and unknown attributes whose name begins with "ice-",
 * are kept as extensions as far as there is room. Of the candidates the first ICE_MAX_CANDIDATES
 * are taken; those behind them are held to the grammar, counted, and left out (RFC 8838 sets no
 * limit, and RFC 8445 s. 6.1.2.5 wants one). A related address of zeros means that it is hidden:
 * NETADDR_NONE.
 *
 * Writing gives what reading accepts: what was written from a description that passes
 * ice_description_check() is read as the same description, but for options that are no ice-chars,
 * empty values and session extensions with other names, which SDP has no place for.
 */
#ifndef ICETUN_ICE_SDP_H
#define ICETUN_ICE_SDP_H

#include <stddef.h>

#include "daemon/core/base/err.h"
#include "daemon/core/ice/description.h"

/* Holds every line that ice_sdp_write() makes, with its CRLF and a NUL. */
#define ICE_SDP_LINE_BYTES 768
/* Holds every description. */
#define ICE_SDP_BYTES ((size_t)ICE_SDP_LINE_BYTES * (ICE_MAX_CANDIDATES + ICE_MAX_EXTENSIONS + 8))

/* Reads one line of @len bytes, with or without its line end, into *d, which is zeroed before the
 * first line. A candidate is appended. Return: OK, also for what is passed over; ERR_INVALID when
 * it breaks its grammar or says again what was said; *d is as before. */
MUST_USE enum err ice_sdp_read_line(struct ice_description *d, const char *line, size_t len);
/* Reads all lines of @text; lines end with CRLF or LF. A block of candidates alone is fine: ufrag
 * and pwd are "" then. Return: OK; ERR_INVALID, and *d is not to be used: a line is wrong, or there
 * is one of ufrag and pwd without the other. */
MUST_USE enum err ice_sdp_read(struct ice_description *d, const char *text, size_t len);

/* Writes "candidate:..." without "a=" and line end, as RFC 8838 s. 9 wants it for trickled ones.
 * Return: @buf. */
const char *ice_sdp_write_candidate(const struct ice_candidate *c,
				    char buf[static ICE_SDP_LINE_BYTES]);
/* Writes all lines with CRLF. Return: OK with *ret_len bytes and a NUL behind them;
 * ERR_NO_SPACE. */
MUST_USE enum err ice_sdp_write(const struct ice_description *d, char *buf, size_t cap,
				size_t *ret_len);

#endif
