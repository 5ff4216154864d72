/*
 * When keys are renewed, as a value: no clock, no timer, no key in it.
 *
 * A key is renewed after TUNNEL_REKEY_AFTER_US *of use*: the first packet sealed or opened at that
 * age makes a rekey due. From then the old key goes on for TUNNEL_REJECT_AFTER_US -
 * TUNNEL_REKEY_AFTER_US while the new handshake runs, inside the tunnel; then it is expired and the
 * caller removes it. In steady traffic that is 120 and 180 seconds after birth, as in WireGuard. An
 * idle key does not expire: the first packet after a pause still flows, and the handshake that it
 * makes due has a tunnel to run in, whether or not the rendezvous can be reached. The same happens
 * when a lane has sealed TUNNEL_REKEY_AFTER_PACKETS.
 *
 * Both ends see the same traffic. So that they do not both begin, the responder of the handshake
 * that made this key waits TUNNEL_REKEY_BACKUP_US longer.
 *
 *	tunnel_rekey_init(&r, now, we_initiated);
 *	...whenever the traffic counters are looked at:
 *	tunnel_rekey_on_use(&r, time of the last packet, tunnel_tx_packets of the busiest lane);
 *	...then, and at tunnel_rekey_next_deadline(&r, now):
 *	switch (tunnel_rekey_get_state(&r, now)) {...}
 */
#ifndef ICETUN_TUNNEL_REKEY_H
#define ICETUN_TUNNEL_REKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/time.h"

#define TUNNEL_REKEY_AFTER_US	   (120 * US_PER_S) /* WireGuard: REKEY_AFTER_TIME */
#define TUNNEL_REJECT_AFTER_US	   (180 * US_PER_S) /* WireGuard: REJECT_AFTER_TIME */
#define TUNNEL_REKEY_BACKUP_US	   (15 * US_PER_S)
#define TUNNEL_REKEY_AFTER_PACKETS (1ULL << 36) /* half of TUNNEL_LANE_MAX_PACKETS */

enum tunnel_rekey_state {
	TUNNEL_REKEY_FRESH,   /* nothing to do */
	TUNNEL_REKEY_DUE,     /* begin a handshake, go on with this key */
	TUNNEL_REKEY_EXPIRED, /* seal and open nothing more */
};

struct tunnel_rekey {
	uint64_t born_us;
	uint64_t due_us; /* when use made it due; DEADLINE_NONE before */
	bool initiator;
};

/* @now_us: when the key came into being. @initiator: whether we wrote message 1. */
void tunnel_rekey_init(struct tunnel_rekey *r, uint64_t now_us, bool initiator);
/* The key was last used, in either direction, at @used_us (0: never); the busiest lane has sealed
 * @packets. Repeating what was told before changes nothing. */
void tunnel_rekey_on_use(struct tunnel_rekey *r, uint64_t used_us, uint64_t packets);
enum tunnel_rekey_state tunnel_rekey_get_state(const struct tunnel_rekey *r, uint64_t now_us);
/* When the state changes next without further use, after @now_us; DEADLINE_NONE when it does
 * not. */
uint64_t tunnel_rekey_next_deadline(const struct tunnel_rekey *r, uint64_t now_us);

#endif
