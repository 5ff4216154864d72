#include "daemon/core/stun/transaction.h"

#include <string.h>

void stun_transaction_start(struct stun_transaction *t, const uint8_t txid[static STUN_TXID_BYTES],
			    uint64_t now_us, uint64_t rto_us, uint8_t rc, uint8_t rm)
{
	*t = (struct stun_transaction){
		.rc = rc,
		.rm = rm,
		.sent = 1,
		.rto_us = rto_us,
		.wait_us = rc > 1 ? rto_us : rm * rto_us,
		.started_us = now_us,
	};
	t->deadline_us = now_us + t->wait_us;
	memcpy(t->txid, txid, sizeof(t->txid));
}

void stun_transaction_stop(struct stun_transaction *t)
{
	t->sent = 0;
}

void stun_transaction_stop_retransmits(struct stun_transaction *t)
{
	while (t->sent != 0 && t->sent < t->rc) {
		t->sent++;
		t->wait_us = t->sent < t->rc ? 2 * t->wait_us : t->rm * t->rto_us;
		t->deadline_us += t->wait_us;
	}
}

bool stun_transaction_is_active(const struct stun_transaction *t)
{
	return t->sent != 0;
}

uint64_t stun_transaction_deadline(const struct stun_transaction *t)
{
	return t->sent != 0 ? t->deadline_us : DEADLINE_NONE;
}

enum stun_transaction_step stun_transaction_on_deadline(struct stun_transaction *t, uint64_t now_us)
{
	if (now_us < stun_transaction_deadline(t) || t->sent == 0)
		return STUN_TRANSACTION_NOTHING;
	if (t->sent >= t->rc) {
		t->sent = 0;
		return STUN_TRANSACTION_TIMED_OUT;
	}
	t->sent++;
	t->wait_us = t->sent < t->rc ? 2 * t->wait_us : t->rm * t->rto_us;
	t->deadline_us = now_us + t->wait_us;
	return STUN_TRANSACTION_RETRANSMIT;
}

bool stun_transaction_matches(const struct stun_transaction *t,
			      const uint8_t txid[static STUN_TXID_BYTES])
{
	return t->sent != 0 && memcmp(t->txid, txid, sizeof(t->txid)) == 0;
}

bool stun_transaction_rtt(const struct stun_transaction *t, uint64_t now_us, uint64_t *ret_rtt_us)
{
	if (t->sent != 1 || now_us < t->started_us)
		return false;
	*ret_rtt_us = now_us - t->started_us;
	return true;
}
