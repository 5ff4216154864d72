/*
 * An allocation, as the parts of this room see it.
 *
 *	allocation.c  life, states, deadlines, events
 *	response.c    what each answer changes, and silence
 *	request.c     the requests under way: ids, bytes, retransmission
 *	peers.c	      permissions and channels: what is wanted, and how long it lasts
 *	asking.c      how the server is asked for them, and what its answers change
 *	data.c	      packets to and from peers
 *	auth.c	      credentials; rules.c what an error code means; text.c names
 */
#ifndef ICETUN_TURN_PRIVATE_H
#define ICETUN_TURN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"
#include "daemon/core/stun/transaction.h"
#include "daemon/core/turn/allocation.h"
#include "daemon/core/turn/auth.h"
#include "daemon/core/turn/rules.h"

#define TURN_LIFETIME_MAX_US	(3600 * US_PER_S)
#define TURN_REFRESH_RETRY_US	(30 * US_PER_S)
#define TURN_PERMISSION_LIFE_US (300 * US_PER_S)
#define TURN_CHANNEL_LIFE_US	(600 * US_PER_S)
#define TURN_CHANNEL_REST_US	(300 * US_PER_S)
#define TURN_RENEW_US		(240 * US_PER_S)
#define TURN_KEEPALIVE_US	(15 * US_PER_S)
#define TURN_KEEPALIVE_MISSES	3
#define TURN_LATE_US		(30 * US_PER_S)
#define TURN_MAX_CHALLENGES	3
#define TURN_MAX_REDIRECTS	3
/* With the allocation's own request and a keepalive: below ten at a time (RFC 8489 s. 6.2.1). */
#define TURN_PERMIT_REQUESTS 3
#define TURN_BIND_REQUESTS   4
enum {
	TURN_MAIN,    /* ALLOCATE, REFRESH, RELEASE, PURGE */
	TURN_PERMITS, /* the first of them */
	TURN_KEEPALIVE = TURN_PERMITS + TURN_PERMIT_REQUESTS,
	TURN_BINDS, /* the first of them */
	TURN_REQUESTS = TURN_BINDS + TURN_BIND_REQUESTS,
};
#define TURN_EVENT_SLOTS 8

struct turn_request {
	struct stun_transaction txn;
	enum turn_request_kind kind;
	uint16_t slot;	    /* BIND: which channel */
	uint8_t challenges; /* answered so far */
	bool to_send;
	bool authenticated;	/* it carries our integrity */
	uint16_t reported_code; /* of an error that did not carry the server's */
};

enum turn_peer_state {
	/* A free row. Leaves to WANTED. */
	TURN_PEER_FREE = 0,
	/* To be asked for from due_us on. Leaves to ASKED. */
	TURN_PEER_WANTED,
	/* A request that contains it is under way. Leaves to GRANTED, REFUSED, or back to
	 * WANTED. */
	TURN_PEER_ASKED,
	/* The server has it until expires_us; asked for again at due_us (ASKED keeps `granted`). */
	TURN_PEER_GRANTED,
	/* The server refuses it. Leaves to WANTED when somebody wants it anew. */
	TURN_PEER_REFUSED,
	/* A channel that nobody wants and that the server may still have: its number rests until
	 * due_us. Leaves to WANTED for the same peer, then to FREE. */
	TURN_PEER_RESTING,
};

struct turn_permission {
	enum turn_peer_state state;
	struct netaddr ip; /* port 0 */
	uint32_t wants;	   /* counted */
	uint8_t request;   /* ASKED: which of the requests contains it */
	bool alone;	   /* asked for by itself: a request with others was refused */
	bool tell;	   /* an event is due */
	enum turn_problem problem;
	uint16_t code;
	uint64_t due_us, expires_us;
};

/* Row i has the number TURN_CHANNEL_MIN + i. */
struct turn_channel {
	enum turn_peer_state state;
	struct netaddr peer;
	bool wanted;
	bool tell;
	enum turn_problem problem;
	uint16_t code;
	uint64_t due_us, expires_us;
};

struct turn_allocation {
	struct random_source random;
	struct netaddr server;
	bool stream, hold;
	uint8_t family;
	void *cookie;
	struct turn_auth *auth; /* secret memory */
	enum turn_state state;
	bool one_family; /* the server has not got both */
	bool purged;	 /* 437 was answered once */
	bool refresh_now;
	uint8_t redirects;
	struct netaddr relayed, relayed_other, mapped;
	uint64_t expires_us, refresh_us;
	uint64_t sent_us;      /* the last message */
	uint64_t keepalive_us; /* the next one */
	uint8_t misses;
	bool answers_keepalives;
	struct turn_request requests[TURN_REQUESTS];
	struct turn_permission *permissions;
	struct turn_channel *channels;
	uint16_t max_permissions, max_channels;
	uint16_t permission_top, channel_top; /* rows above were never used */
	struct turn_event events[TURN_EVENT_SLOTS];
	size_t event_head, event_count;
	bool peers_tell; /* a row may have `tell` */
	uint64_t deadline_us;
};

/* allocation.c */
/* Return: the relayed address of @family, or NULL. */
const struct netaddr *turn_relayed_of(const struct turn_allocation *a, uint8_t family);
/* Computes the deadline anew: after a request was begun. */
void turn_allocation_schedule(struct turn_allocation *a);

/* The one place that changes the state. */
void turn_allocation_set_state(struct turn_allocation *a, enum turn_state state);
struct turn_event *turn_allocation_push_event(struct turn_allocation *a, enum turn_event_type type);
/* It is over: no request goes on. Return: the event of @type. */
struct turn_event *turn_allocation_end(struct turn_allocation *a, enum turn_state state,
				       enum turn_event_type type, enum turn_problem problem,
				       uint16_t code, uint64_t retry_us);
void turn_allocation_fail(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			  uint64_t retry_us);
void turn_allocation_lose(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			  uint64_t retry_us);
/* It could not be renewed: it is tried again while it lives. */
void turn_allocation_expire(struct turn_allocation *a, enum turn_problem problem, uint16_t code,
			    uint64_t now_us);
void turn_allocation_set_released(struct turn_allocation *a);
/* Asks for it to be renewed, unless that is under way. */
void turn_allocation_refresh(struct turn_allocation *a, uint64_t now_us);
/* 15 s +-20 % after the last message (RFC 8445 s. 11). */
void turn_allocation_schedule_keepalive(struct turn_allocation *a);

/* response.c */
MUST_USE enum err turn_response_take(struct turn_allocation *a, const struct stun_message *m,
				     uint64_t now_us);
/* Nobody answers @r. */
void turn_response_on_silence(struct turn_allocation *a, struct turn_request *r, uint64_t now_us);

/* request.c */
/* Begins with a new id; to be sent by pop_transmit. `challenges` is kept. */
void turn_request_start(struct turn_allocation *a, struct turn_request *r,
			enum turn_request_kind kind, uint64_t now_us);
void turn_request_stop(struct turn_request *r);
static inline bool turn_request_is_active(const struct turn_request *r)
{
	return stun_transaction_is_active(&r->txn);
}
/* Return: which of the requests waits for an answer with this id, or TURN_REQUESTS. */
size_t turn_request_find(const struct turn_allocation *a,
			 const uint8_t txid[static STUN_TXID_BYTES]);
/* Return: false when there is nothing to send, or it cannot be built. */
bool turn_request_write(struct turn_allocation *a, struct turn_request *r, uint8_t *buf, size_t cap,
			size_t *ret_len);

/* peers.c */
MUST_USE enum err turn_peers_init(struct turn_allocation *a, const struct turn_params *p);
void turn_peers_fini(struct turn_allocation *a);
/* Serves what runs out without a request. */
void turn_peers_expire(struct turn_allocation *a, uint64_t now_us);
uint64_t turn_peers_deadline(const struct turn_allocation *a);
/* The server knows nothing of them (any more). */
void turn_peers_reset(struct turn_allocation *a);
bool turn_peers_pop_event(struct turn_allocation *a, struct turn_event *ret);
const struct turn_permission *turn_permission_find(const struct turn_allocation *a,
						   const struct netaddr *ip);
const struct turn_channel *turn_channel_find(const struct turn_allocation *a,
					     const struct netaddr *peer);
/* Return: the channel with @number, or NULL when the server cannot have it. */
const struct turn_channel *turn_channel_of(const struct turn_allocation *a, uint16_t number);
/* Return: the permission of @ip in any state but FREE, or NULL. */
struct turn_permission *turn_peers_permission(const struct turn_allocation *a,
					      const struct netaddr *ip);
/* A channel carries the permission of its address, as long as it is asked for. */
bool turn_peers_has_channel(const struct turn_allocation *a, const struct netaddr *ip);

/* asking.c */
/* The allocation stands: asks for what is wanted and due. */
void turn_peers_ask(struct turn_allocation *a, uint64_t now_us);
void turn_peers_on_success(struct turn_allocation *a, struct turn_request *r, uint64_t now_us);
/* LATER and PEER of the table, and for other actions: to be asked again as soon as possible. */
void turn_peers_on_failure(struct turn_allocation *a, struct turn_request *r,
			   const struct turn_rule *rule, uint16_t code, uint64_t now_us);
/* Writes the peers of the request. */
void turn_peers_write(const struct turn_allocation *a, const struct turn_request *r,
		      struct stun_writer *w);

/* data.c */
MUST_USE enum err turn_data_on_channel(const struct turn_allocation *a, const uint8_t *buf,
				       size_t len, struct turn_data *ret);
MUST_USE enum err turn_data_on_indication(const struct turn_allocation *a,
					  const struct stun_message *m, struct turn_data *ret);

#endif
