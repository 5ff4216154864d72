/*
 * SRV records (RFC 2782), asked of the system's resolver by a thread of libuv's pool: the loop
 * never waits for a name server. Which records to ask for, and what to make of them, is
 * core/turn/srv.h's.
 *
 *	net_srv_begin(&q, &params);	on_done() comes once, from the loop
 *	net_srv_cancel(q);		on_done() does not come; not after it has
 *
 * A service costs at most two questions to each name server, a second apart; when one service
 * cannot be found out about, the others are not asked for. Some routers drop questions for anything
 * but addresses.
 */
#ifndef ICETUN_NET_SRV_H
#define ICETUN_NET_SRV_H

#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/turn/srv.h"

struct net_srv;

struct net_srv_params {
	uv_loop_t *loop;
	const struct turn_srv_service *services; /* copied */
	size_t count;				 /* at most TURN_SRV_SERVICES_MAX */
	void *ctx;
	/* @services: as given, with the answers; to be changed at will, valid during the call. */
	void (*on_done)(void *ctx, struct turn_srv_service *services, size_t count);
};

/* Return: OK; ERR_INVALID: too many; ERR_NO_MEMORY. */
MUST_USE enum err net_srv_begin(struct net_srv **ret, const struct net_srv_params *params);
/* The memory goes when the thread is done. */
void net_srv_cancel(struct net_srv *q);

/* Takes the SRV records of a DNS message, at most TURN_SRV_RECORDS_MAX; whatever else is in it is
 * passed over. Return: OK; DROP_MALFORMED, then there are no records. For tests. */
MUST_USE enum err net_srv_parse(const uint8_t *buf, size_t len, struct turn_srv_service *ret);

#endif
