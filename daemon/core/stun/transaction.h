/*
 * When to send a request again (RFC 8489 s. 6.2.1), as a value that knows no socket and no clock.
 *
 * A request is sent when the transaction starts and again after RTO, 2 RTO, 4 RTO, ... until it
 * was sent Rc times; then an answer is waited for during Rm x RTO. With RTO 500 ms, Rc 7 and Rm 16
 * it is sent at 0, 500, 1500, 3500, 7500, 15500 and 31500 ms and fails at 39500 ms.
 *
 * The owner keeps the bytes of the request, or builds them again with the same transaction id.
 * A deadline that is served late moves the following ones: there is no burst after a suspend.
 */
#ifndef ICETUN_STUN_TRANSACTION_H
#define ICETUN_STUN_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/time.h"
#include "daemon/core/stun/message.h"

#define STUN_RTO_US (500 * US_PER_MS)
#define STUN_RC	    7
#define STUN_RM	    16

/* Read through the functions below. */
struct stun_transaction {
	uint8_t txid[STUN_TXID_BYTES];
	uint8_t rc;
	uint8_t rm;
	uint8_t sent; /* how often the request was sent, 0 = not started or done */
	uint64_t rto_us;
	uint64_t wait_us; /* the present interval */
	uint64_t started_us;
	uint64_t deadline_us;
};

enum stun_transaction_step {
	STUN_TRANSACTION_NOTHING,    /* the deadline is not there yet */
	STUN_TRANSACTION_RETRANSMIT, /* send the same request again, now */
	STUN_TRANSACTION_TIMED_OUT,  /* no answer came; the transaction is over */
};

/* Starts: the caller sends the request at @now_us. @rc: 1..16, and @rto_us > 0. */
void stun_transaction_start(struct stun_transaction *t, const uint8_t txid[static STUN_TXID_BYTES],
			    uint64_t now_us, uint64_t rto_us, uint8_t rc, uint8_t rm);
/* Ends it: an answer came, or nobody waits for one. The id stays readable. */
void stun_transaction_stop(struct stun_transaction *t);
/* Sends no more, but still waits for an answer as long as it would have: RFC 8445 s. 7.3.1.4. */
void stun_transaction_stop_retransmits(struct stun_transaction *t);

bool stun_transaction_is_active(const struct stun_transaction *t);
/* Return: when to call stun_transaction_on_deadline(), DEADLINE_NONE when not active. */
uint64_t stun_transaction_deadline(const struct stun_transaction *t);
/* Calling early is harmless. */
enum stun_transaction_step stun_transaction_on_deadline(struct stun_transaction *t,
							uint64_t now_us);
/* True when @txid is the id of this active transaction. */
bool stun_transaction_matches(const struct stun_transaction *t,
			      const uint8_t txid[static STUN_TXID_BYTES]);
/* The round trip, when an answer arrived at @now_us. Return: false when the request was sent more
 * than once, since then it is not known which of them was answered (Karn). */
bool stun_transaction_rtt(const struct stun_transaction *t, uint64_t now_us, uint64_t *ret_rtt_us);

#endif
