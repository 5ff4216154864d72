/*
 * Fetching what the next packets need.
 *
 * With thousands of sessions, what one packet touches (its session, a window, a prepared key of a
 * kilobyte) is in no near cache, and waiting for it takes longer than sealing 1,400 bytes. A batch
 * knows the sessions of its packets before the first of them is worked on. So their memory is asked
 * for early, in steps, since each tells where the next one is:
 *
 *	ahead_open(d, worker, headers, sessions, count);	sessions and windows of all of them
 *	for (i = 0, next = 0; i < count; i++) {
 *		if (i == next && (next = ahead_next(sessions, i, count)) < count)
 *			ahead_key(&sessions[next]->workers[worker].rx_key);
 *		...open packet i, while the key of the next session arrives
 *	}
 *
 * Nothing but speed depends on any of it.
 */
#ifndef ICETUN_DATA_AHEAD_H
#define ICETUN_DATA_AHEAD_H

#include <stddef.h>

#include "daemon/core/tunnel/packet.h"
#include "daemon/data/state.h"

#define AHEAD_SEALS 16

/*
 * Worker @worker is about to open @count packets with these headers; one of receiver index 0, which
 * no session has, is passed over.
 * @ret: takes the sessions, NULL for those that there are not. They are good for this turn.
 */
void ahead_open(const struct data_plane *d, unsigned int worker,
		const struct tunnel_header *headers, struct session **ret, size_t count);

/* The same for @count packets to these overlay addresses, at most AHEAD_SEALS: it is about to seal
 * those to peers that have a path. @to: NETADDR_NONE is passed over. */
void ahead_seal(const struct data_plane *d, unsigned int worker, const struct netaddr *to,
		struct session **ret, size_t count);

/* Return: the first after @i that is a session, and another one; @count when there is none. */
static inline size_t ahead_next(struct session *const *sessions, size_t i, size_t count)
{
	size_t next = i + 1;

	while (next < count && (!sessions[next] || sessions[next] == sessions[i]))
		next++;
	return next;
}

/* The key in @place is next, if it is prepared. */
static inline void ahead_key(struct aead *_Atomic *place)
{
	const struct aead *key = atomic_load_explicit(place, memory_order_relaxed);

	if (key)
		aead_prefetch(key);
}

#endif
