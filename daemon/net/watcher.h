/*
 * Word of what changes in the networks of this host.
 *
 * The watcher listens to netlink's messages about links, addresses, default routes and rules. They
 * only say that it may be worth while to look: then it takes a snapshot (interfaces.h), compares it
 * with the one before, and calls back when they differ. So lifetimes that are refreshed, foreign
 * tables, and containers that come and go cause a look at most, never a call.
 *
 *   - Messages are collected until they settle: NET_WATCH_SETTLE_MS without another one, and
 *     NET_WATCH_MAX_MS at the latest.
 *   - When an address of the snapshot, or the device under it, goes, it looks at once.
 *   - While the host has no way out, and for a while after an address was lost, waiting would be
 *     felt: then NET_WATCH_HASTE_MS are enough.
 *   - Messages about routes other than default routes are dropped inside the kernel (a socket
 *     filter): a host that learns a million of them costs nothing here.
 *   - When the kernel could not hand over all (ENOBUFS) it looks, too.
 *   - While CLOCK_MONOTONIC stands still and CLOCK_BOOTTIME goes on, the host sleeps. Told within a
 *     second after it woke up.
 *
 * It looks at most once in NET_WATCH_PAUSE_MS. With no network at all it waits in silence.
 */
#ifndef ICETUN_NET_WATCHER_H
#define ICETUN_NET_WATCHER_H

#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/net/interfaces.h"

#define NET_WATCH_SETTLE_MS	 500
#define NET_WATCH_MAX_MS	 3000
#define NET_WATCH_HASTE_MS	 20
#define NET_WATCH_HASTE_FOR_MS	 10000
#define NET_WATCH_PAUSE_MS	 10
#define NET_WATCH_ASKED_PAUSE_MS 250
#define NET_WATCH_SLEEP_TICK_MS	 1000

enum net_change {
	NET_CHANGE_ADDRS = 1 << 0,  /* addresses, their order, or the default routes over them */
	NET_CHANGE_WAYS = 1 << 1,   /* where connections from no address in particular leave */
	NET_CHANGE_RESUMED = 1 << 2 /* the host has slept: mappings and connections are stale */
};

struct net_watcher;

struct net_watcher_params {
	uv_loop_t *loop;
	const struct net_interface_filter *filter; /* outlives the watcher */
	/* @now: the new snapshot, until the next call; @changes: of enum net_change. */
	void (*on_change)(void *ctx, const struct net_snapshot *now, unsigned int changes);
	/* Something has happened to a default route, a moment ago: packets may leave another way
	 * until the next on_change(). It must not destroy the watcher. NULL is fine. */
	void (*on_default)(void *ctx);
	void *ctx;
	/* How long the host has slept since it started; NULL: as the system's clocks say. */
	uint64_t (*asleep_ms)(void *ctx);
};

struct net_watcher_stats {
	uint64_t messages, overruns, looks, changes;
};

/* Takes the first snapshot. Return: OK, ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err net_watcher_create(struct net_watcher **ret,
				     const struct net_watcher_params *params);
/* No call comes afterwards; the memory goes in the next turns of the loop. NULL is fine. */
void net_watcher_destroy(struct net_watcher *w);

/* The last one that was told, or the first. */
const struct net_snapshot *net_watcher_snapshot(const struct net_watcher *w);
/* Looks in the next turn of the loop, or NET_WATCH_ASKED_PAUSE_MS after the last look: the owner
 * has a reason to think that something has gone. Errors may repeat as fast as packets. */
void net_watcher_look(struct net_watcher *w);
struct net_watcher_stats net_watcher_stats(const struct net_watcher *w);

#endif
