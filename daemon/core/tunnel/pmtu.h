/*
 * How long a packet may be on one path: Datagram Packetization Layer Path MTU Discovery (RFC 8899)
 * of the path to one peer, as a value: no clock, no socket, no packet in it.
 *
 * All sizes are those of the plaintext of a tunnel packet, which is an inner IP packet; headers
 * around it are the same for all. What the path carries is found by sending: a probe is a control
 * packet padded to the size in question, and the peer acknowledges it. No ICMP message is needed or
 * believed.
 *
 * A probe that is lost says something about the size only if the path works. So each is followed by
 * a witness, a probe of PMTU_WITNESS_BYTES with the same number: a try counts as lost when the
 * witness was acknowledged and the probe was not, PMTU_LOST_US (or the witness's round trip) after
 * that. RFC 8899 s. 5.1.1 wants a timer of a second and more, because it has nothing but the timer;
 * here that is for tries of which nothing comes back. These say nothing, the timer doubles, and
 * after PMTU_SILENT_TRIES of them the prober rests until the path is used: a path that is dead is
 * ICE's business. PMTU_MAX_PROBES lost tries are a size that does not fit. What the system refuses
 * to send (EMSGSIZE) does not fit at once.
 *
 *	              pmtu_disable()
 *	  DISABLED <------------------- any
 *	     | pmtu_start()
 *	     v   ceiling fits                        PMTU_RAISE_US over, and used
 *	   BASE -----------------> SEARCH_COMPLETE -------------------+
 *	   | |  ^                     ^      |                        |
 *	   | |  | a black hole        |      |                        |
 *	   | |  +---------------------|------+                        |
 *	   | | base fits              | found                         |
 *	   | +-----------------> SEARCHING <--------------------------+
 *	   | base does not fit        ^
 *	   +-------> ERROR -----------+ the minimum fits
 *
 *	DISABLED	the peer answers no probes: a size that nearly every path carries
 *	BASE		a new path: nothing is known. The ceiling, which is what the TUN devices of
 *			both ends take, is probed first, for it nearly always fits; then
 *			PMTU_BASE_BYTES
 *	SEARCHING	a size is known to fit, larger ones may: the interval is halved until it is
 *			PMTU_STEP_BYTES; but PMTU_USUAL_BYTES are looked at first
 *	SEARCH_COMPLETE	the size is found. Each PMTU_CONFIRM_US in which the path is used, or at
 *			once when it is doubted, it is probed again: if it is lost, that is a black
 *			hole, and all begins anew from a size below
 *	ERROR		not even the base fits: PMTU_MIN_BYTES, which is probed again and again,
 *			then a search upwards
 *
 * Nothing is sent to a peer that nobody uses: raising and confirming wait for pmtu_on_use().
 *
 *	pmtu_start(&m, now, ceiling);
 *	...after each call:
 *	while (pmtu_pop_probe(&m, now, &size, &number))
 *		send a PROBE of this size; if the system refuses it: pmtu_on_refused()
 *	...and m.size, m.is_found may have changed
 */
#ifndef ICETUN_TUNNEL_PMTU_H
#define ICETUN_TUNNEL_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/time.h"

/* With tunnel, UDP and IPv6 headers in front these are 1,280 bytes: what IPv6 promises (RFC 8200 s.
 * 5). */
#define PMTU_BASE_BYTES 1200
/* The size of a path that was not probed: the default of the TUN device. */
#define PMTU_DEFAULT_BYTES 1280
#define PMTU_MIN_BYTES	   512
/* What Ethernet's 1,500 bytes leave over IPv4. */
#define PMTU_USUAL_BYTES 1440
/* Larger ones are not looked for: jumbo frames end at 9,216. */
#define PMTU_MAX_BYTES	   9216
#define PMTU_STEP_BYTES	   8
#define PMTU_WITNESS_BYTES 16

#define PMTU_MAX_PROBES	  3
#define PMTU_SILENT_TRIES 5
#define PMTU_LOST_US	  (100 * US_PER_MS)
#define PMTU_TIMER_US	  (1 * US_PER_S) /* RFC 8899 s. 5.1.1: PROBE_TIMER; doubles */
#define PMTU_TIMER_MAX_US (15 * US_PER_S)
#define PMTU_CONFIRM_US	  (5 * US_PER_S)
#define PMTU_RAISE_US	  (600 * US_PER_S) /* RFC 8899 s. 5.1.1: PMTU_RAISE_TIMER */
#define PMTU_ERROR_US	  (30 * US_PER_S)

enum pmtu_state {
	PMTU_DISABLED,
	PMTU_BASE,
	PMTU_SEARCHING,
	PMTU_SEARCH_COMPLETE,
	PMTU_ERROR,
};

struct pmtu {
	/* To be read. */
	enum pmtu_state state;
	uint16_t size; /* what packets may have now */
	/* It is the result of a search. While it is not, `size` is only what is tried with: nobody
	 * should be told that larger packets do not fit. */
	bool is_found;
	/* private */
	uint16_t ceiling;
	uint16_t low;	/* fits; 0: nothing is known to */
	uint16_t high;	/* does not fit; above the ceiling: nothing is known not to */
	uint16_t probe; /* the size under way, 0 = none */
	uint32_t number;
	uint8_t lost, silent; /* tries of this probe */
	bool is_witnessed;    /* the present try */
	uint8_t unsent;	      /* 2: probe and witness are to be pulled; 1: the witness */
	uint64_t sent_us, due_us;
	uint64_t next_us; /* SEARCH_COMPLETE: when to confirm; ERROR: when to try again; by use */
	uint64_t raise_us;
};

/* No probes. @ceiling: the largest inner packet that makes sense, > 0. */
void pmtu_disable(struct pmtu *m, uint16_t ceiling);
/* A new path. @ceiling as above. */
void pmtu_start(struct pmtu *m, uint64_t now_us, uint16_t ceiling);
/* Return: true with the size and the number of the next probe to be sent now. */
bool pmtu_pop_probe(struct pmtu *m, uint64_t now_us, uint16_t *ret_size, uint32_t *ret_number);
/* The peer has received the probe @number of @size bytes. */
void pmtu_on_ack(struct pmtu *m, uint64_t now_us, uint32_t number, uint16_t size);
/* The system has refused to send a probe of @size bytes because it is too long. */
void pmtu_on_refused(struct pmtu *m, uint64_t now_us, uint16_t size);
/* Packets have been sent on the path. */
void pmtu_on_use(struct pmtu *m, uint64_t now_us);
/* Packets of the present size may not arrive: the system has refused one, or nothing comes back. */
void pmtu_on_doubt(struct pmtu *m, uint64_t now_us);
/* Probes cannot be sent now: the one under way is forgotten, and sent again with the next use. */
void pmtu_rest(struct pmtu *m);
/* Return: when to call pmtu_on_deadline(), or DEADLINE_NONE. */
uint64_t pmtu_next_deadline(const struct pmtu *m);
void pmtu_on_deadline(struct pmtu *m, uint64_t now_us);

#endif
