/*
 * How an ICE description and its candidates stand on the wire (docs/icetun.cddl: ice, candidate).
 *
 * Each parameter that draft-rosenberg-mmusic-ice-nonsip and RFC 8839 name has its own key or text,
 * so a gateway can map a description to SDP attributes one to one and back. Candidates that this
 * version cannot use (another transport, type or component, an address that is a name) are passed
 * over and not errors, so that later versions can offer them; extensions beyond what the structures
 * hold are passed over too. Priorities above ICE_PRIORITY_MAX are clamped.
 */
#ifndef ICETUN_SIGNAL_DESCRIPTION_H
#define ICETUN_SIGNAL_DESCRIPTION_H

#include "daemon/core/cbor/item.h"
#include "daemon/core/ice/description.h"

/* Appends @d, which passed ice_description_check(). Its local parts (socket, base) are not
 * written. */
void signal_description_write(struct wr *w, const struct ice_description *d);

/* Reads one description to *ret, which is only meaningful when the reader has not failed. It fails
 * on what is malformed, above a limit, or does not pass ice_description_check(). */
void signal_description_read(struct item_rd *r, struct ice_description *ret);

/* The same for one candidate alone. Return of the reader: true when it is one that we can use;
 * false when it was passed over or the reader failed, then *ret is not to be used. */
void signal_candidate_write(struct wr *w, const struct ice_candidate *c);
bool signal_candidate_read(struct item_rd *r, struct ice_candidate *ret);

/* The candidates of a host that has told a description already (trickle, RFC 8838; CDDL:
 * candidates). */
struct signal_candidates {
	bool end;					 /* no candidate will follow */
	const struct ice_candidate *local;		 /* to encode */
	struct ice_candidate remote[ICE_MAX_CANDIDATES]; /* decoded */
	size_t count;
};

/* Writes local[0..count). Return: OK, ERR_NO_SPACE. */
MUST_USE enum err signal_candidates_encode(const struct signal_candidates *c, uint8_t *out,
					   size_t cap, size_t *ret_len);
/* Reads to remote, without those that this version cannot use. Return: OK, DROP_MALFORMED; *ret is
 * only meaningful when OK. */
MUST_USE enum err signal_candidates_decode(const uint8_t *buf, size_t len,
					   struct signal_candidates *ret);

#endif
