/*
 * One deadline of a loop, to the microsecond.
 *
 * Deadlines of the core are in microseconds; timers of libuv count milliseconds from a clock that
 * is read once a turn of the loop, and may be two of them late. ICE's pacing would pay that for
 * each check.
 */
#ifndef ICETUN_NET_ALARM_H
#define ICETUN_NET_ALARM_H

#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/time.h"

struct net_alarm;

/* @on_alarm is called from the loop. Return: OK; ERR_NO_MEMORY; as net_error() of
 *           timerfd_create(). */
MUST_USE enum err net_alarm_open(struct net_alarm **ret, uv_loop_t *loop,
				 void (*on_alarm)(void *ctx), void *ctx);
/* No call any more; the memory goes in the next turns of the loop. NULL is fine. */
void net_alarm_close(struct net_alarm *a);
/* The alarm comes once, at @due_us of CLOCK_MONOTONIC, at once if that is over; it takes the place
 * of the one before. DEADLINE_NONE: it does not come. Cheap when nothing changes. */
void net_alarm_set(struct net_alarm *a, uint64_t due_us);

#endif
