#include "daemon/core/tunnel/rekey.h"

#include "daemon/core/tunnel/keys.h"

#define GRACE_US (TUNNEL_REJECT_AFTER_US - TUNNEL_REKEY_AFTER_US)

_Static_assert(TUNNEL_REKEY_BACKUP_US < GRACE_US, "the responder's turn comes before the end");
_Static_assert(TUNNEL_REKEY_AFTER_PACKETS < TUNNEL_LANE_MAX_PACKETS, "due before exhausted");

void tunnel_rekey_init(struct tunnel_rekey *r, uint64_t now_us, bool initiator)
{
	*r = (struct tunnel_rekey){
		.born_us = now_us, .due_us = DEADLINE_NONE, .initiator = initiator};
}

void tunnel_rekey_on_use(struct tunnel_rekey *r, uint64_t used_us, uint64_t packets)
{
	if (r->due_us != DEADLINE_NONE || used_us < r->born_us)
		return;
	if (used_us - r->born_us >= TUNNEL_REKEY_AFTER_US || packets >= TUNNEL_REKEY_AFTER_PACKETS)
		r->due_us = used_us;
}

/* When it is our turn to begin. */
static uint64_t turn_us(const struct tunnel_rekey *r)
{
	return r->due_us + (r->initiator ? 0 : TUNNEL_REKEY_BACKUP_US);
}

enum tunnel_rekey_state tunnel_rekey_get_state(const struct tunnel_rekey *r, uint64_t now_us)
{
	if (r->due_us == DEADLINE_NONE || now_us < turn_us(r))
		return TUNNEL_REKEY_FRESH;
	return now_us < r->due_us + GRACE_US ? TUNNEL_REKEY_DUE : TUNNEL_REKEY_EXPIRED;
}

uint64_t tunnel_rekey_next_deadline(const struct tunnel_rekey *r, uint64_t now_us)
{
	if (r->due_us == DEADLINE_NONE)
		return DEADLINE_NONE;
	if (now_us < turn_us(r))
		return turn_us(r);
	if (now_us < r->due_us + GRACE_US)
		return r->due_us + GRACE_US;
	return DEADLINE_NONE;
}
