/* What relays are made of: servers (relay_server.c), slots (relay_slot.c), the paths over them
 * (relay_path.c), inputs and outputs (relay.c). */
#ifndef ICETUN_PEER_RELAY_PRIVATE_H
#define ICETUN_PEER_RELAY_PRIVATE_H

#include "daemon/core/base/fifo.h"
#include "daemon/core/peer/relay.h"
#include "daemon/core/turn/frame.h"

#define RELAYS_MAX_SOCKETS 32
#define RELAYS_NO_SLOT	   SIZE_MAX
#define RELAYS_NO_SERVER   SIZE_MAX

/* What a slot has to tell. */
enum {
	SLOT_NEWS_STREAM_OPEN = 1 << 0,
	SLOT_NEWS_SERVER_ADD = 1 << 1,
	SLOT_NEWS_UP = 1 << 2,
	SLOT_NEWS_UP_OTHER = 1 << 3, /* the second family */
	SLOT_NEWS_RETIRED = 1 << 4,
	SLOT_NEWS_RETIRED_OTHER = 1 << 5,
	SLOT_NEWS_DOWN = 1 << 6,
	SLOT_NEWS_DOWN_OTHER = 1 << 7,
	SLOT_NEWS_SERVER_REMOVE = 1 << 8,
	SLOT_NEWS_STREAM_CLOSE = 1 << 9,
	SLOT_NEWS_CHANNEL = 1 << 10,
	SLOT_NEWS_OFFERED = 1 << 11,
	SLOT_NEWS_OFFERED_OTHER = 1 << 12,
};

enum slot_state {
	SLOT_FREE = 0,
	/* The shell opens the stream. Left to ASKING, or to ENDED. */
	SLOT_CONNECTING,
	/* The first request is out. Left by the server's challenge, to ALLOCATING if no other slot
	 * of the server was first; or to ENDED. */
	SLOT_ASKING,
	/* Allocates with credentials. Left to STANDING, or to ENDED. */
	SLOT_ALLOCATING,
	/* Has an allocation, which is offered. Left to RETIRED, RELEASING, or ENDED. */
	SLOT_STANDING,
	/* Relays for the paths that it has. Left to RELEASING when there are none, or to ENDED. */
	SLOT_RETIRED,
	/* Is being given back. Left to ENDED. */
	SLOT_RELEASING,
	/* Has nothing but its last events. Left to FREE when they are pulled. */
	SLOT_ENDED,
};

/* A permission (port 0) or a channel. */
struct relay_peer {
	struct netaddr addr;
	uint64_t used_us, heard_us; /* when something went to it and came from it */
	bool is_refused, is_marked, has_news;
};

struct relay_slot {
	enum slot_state state;
	uint16_t news, told; /* SLOT_NEWS_* */
	size_t server;	     /* RELAYS_NO_SERVER when it is not in the list any more */
	uint32_t server_id;
	struct turn_allocation *turn;
	struct overlay_relay_target target;
	uint16_t socket;
	uint32_t stream;	   /* 0 = UDP */
	uint32_t old_stream;	   /* that is to be closed */
	struct netaddr old_server; /* that is to be removed */
	char name[TURN_URI_HOST_BYTES];
	uint8_t redirects;
	uint16_t relay; /* of IPv4; of IPv6 one more */
	struct netaddr relayed[2], mapped;
	uint32_t credentials;	     /* which of the server's */
	uint64_t credentials_end_us; /* when to be replaced because of them */
	uint64_t asked_us, stands_us, retired_us, rtt_us;
	uint64_t give_up_us; /* of a stream that has no allocation yet */
	/* Refresh was asked for out of turn since verify_since_us; verify_us: again, or not
	 * before. */
	bool is_verifying;
	bool in_doubt;	     /* not answered for a while: not offered */
	bool is_lost;	     /* it ended without our doing */
	uint64_t doubted_us; /* when somebody wanted to ask the last time */
	uint64_t verify_us, verify_since_us, verify_delay_us, verify_expires_us;
	size_t path_count; /* that were marked */
	bool is_silent;	   /* nothing comes over one of them */
	struct relay_peer *peers;
	size_t peer_count;
	struct turn_framer *framer;
	struct fifo out;
};

struct relay_failure {
	enum turn_problem problem;
	uint16_t code;
	bool is_stream;	   /* the stream failed; `problem` says nothing */
	uint64_t retry_us; /* how long the server wants to be left alone; 0: it did not say */
};

struct relay_secret {
	char username[TURN_USERNAME_MAX_BYTES + 1];
	char password[TURN_PASSWORD_MAX_BYTES + 1];
};

/* How telling a problem is: of a round the most telling one is kept. */
enum relay_severity {
	RELAY_SEVERITY_NONE,
	RELAY_SEVERITY_SILENT,
	RELAY_SEVERITY_STREAM,
	RELAY_SEVERITY_ANSWER,
};

struct relay_server {
	uint32_t id;
	char name[TURN_URI_HOST_BYTES];
	struct overlay_relay_target targets[OVERLAY_MAX_RELAY_TARGETS];
	size_t target_count;
	struct relay_secret *secret; /* of relays.secrets */
	uint32_t credentials;	     /* counts them */
	uint64_t expires_us;
	enum overlay_relay_state state;
	uint64_t since_us;
	size_t main; /* the slot that is offered, or RELAYS_NO_SLOT */
	/* The round, if one is run. */
	bool has_round;
	size_t next, end;
	uint64_t next_us;
	enum relay_severity severity;
	uint64_t said_us; /* the longest retry_us of its failures */
	unsigned int mismatches;
	uint64_t give_up_us; /* a stream has failed: UDP is not waited for much longer */
	bool was_stream;     /* the last allocation went over a stream */
	/* When the next may begin: without an allocation, and for a replacement. */
	uint64_t retry_us, retry_delay_us;
	/* When its allocation was lost the last time, 0 = never; the next wait for its return. */
	uint64_t lost_us, return_delay_us;
	uint64_t replace_us, replace_delay_us;
	uint64_t upgrade_us;
	bool wants_spare; /* a second socket was asked for and has not come */
	/* This socket has an allocation at this server of which we know nothing (437). */
	uint16_t blocked_socket;
	uint64_t blocked_until_us;
	struct overlay_relay_target last_target;
	uint64_t rtt_us;
	uint64_t problem_us;
	enum turn_problem problem;
	uint16_t code;
	bool is_stream_problem;
};

struct relay_socket {
	uint16_t number;
	struct netaddr base;
	uint16_t preference;
	bool is_spare;
	bool wants_spare, asked_spare; /* an event is due; was told */
};

struct relays {
	struct random_source random;
	uint64_t now_us; /* of the last input */
	struct relay_server servers[OVERLAY_MAX_RELAY_SERVERS];
	size_t server_count;
	struct relay_secret *secrets; /* secret memory, one for each server */
	struct relay_slot *slots;     /* RELAYS_MAX_SLOTS */
	struct relay_socket sockets[RELAYS_MAX_SOCKETS];
	size_t socket_count;
	uint64_t pace_us; /* no first request before */
	uint64_t pending_until_us, sweep_us;
	uint32_t next_stream, next_credentials;
	uint16_t next_relay;
	bool is_closing;
};

/* relay.c */
/* After each input: carries out what follows from it. */
void relays_settle(struct relays *r, uint64_t now_us);
/* Queues what the allocation wants to write to its stream. */
void slot_pump_stream(struct relay_slot *s);

/* relay_path.c */
/* Are our allocations at this address still there? NULL: all. */
void relays_verify_server(struct relays *r, uint64_t now_us, const struct netaddr *server);
void slot_on_verify_deadline(struct relay_slot *s, uint64_t now_us);

/* relay_slot.c */
/* Begins with @target of @s, over @socket or over a new stream. Return: OK, ERR_LIMIT, ERR_*. */
MUST_USE enum err slot_start(struct relays *r, size_t server, const struct overlay_relay_target *t,
			     uint16_t socket, uint64_t now_us);
/* As if it had never been. */
void slot_free(struct relay_slot *s);
/* Tells the server nothing. */
void slot_end(struct relays *r, struct relay_slot *s);
/* Gives the allocation back if there is one. */
void slot_release(struct relays *r, struct relay_slot *s, uint64_t now_us);
void slot_retire(struct relay_slot *s, uint64_t now_us);
/* One in doubt is not offered, and counts as none. */
void slot_set_doubt(struct relay_slot *s, bool in_doubt);
/* Carries out what the allocation has to tell. */
void slot_drain(struct relays *r, struct relay_slot *s, uint64_t now_us);
void slot_on_stream_open(struct relays *r, struct relay_slot *s, uint64_t now_us);
/* What came over it is neither STUN nor ChannelData. */
void slot_on_stream_broken(struct relays *r, struct relay_slot *s, uint64_t now_us);
/* When a stream has taken too long for an allocation; DEADLINE_NONE. */
uint64_t slot_stream_deadline(const struct relay_slot *s);
void slot_on_stream_deadline(struct relays *r, struct relay_slot *s, uint64_t now_us);
void slot_on_stream_closed(struct relays *r, struct relay_slot *s, uint64_t now_us);
struct relay_slot *slot_of_relay(const struct relays *r, uint16_t relay);
struct relay_slot *slot_of_stream(const struct relays *r, uint32_t stream);
/* Return: the permission (port 0) or channel, which is asked for if it is new; NULL when there is
 * no room or it cannot be. */
struct relay_peer *slot_want_peer(struct relay_slot *s, uint64_t now_us,
				  const struct netaddr *addr);
/* Asks for all that @from has. */
void slot_copy_peers(struct relay_slot *to, const struct relay_slot *from, uint64_t now_us);
void slot_sweep(struct relays *r, struct relay_slot *s, uint64_t now_us);
bool slot_pop_event(struct relays *r, struct relay_slot *s, struct relays_event *ret);
static inline bool slot_is_attempt(const struct relay_slot *s)
{
	return s->state == SLOT_CONNECTING || s->state == SLOT_ASKING ||
	       s->state == SLOT_ALLOCATING;
}

/* relay_server.c */
/* A slot of @server was challenged. Return: false when another was first. */
bool server_on_challenge(struct relays *r, struct relay_slot *s, uint64_t now_us);
/* Return: false when it is not needed: then it is to be given back. */
bool server_on_allocated(struct relays *r, struct relay_slot *s, uint64_t now_us);
void server_on_failed(struct relays *r, const struct relay_slot *s, uint64_t now_us,
		      const struct relay_failure *why);
void server_on_expiring(struct relays *r, const struct relay_slot *s, uint64_t now_us,
			const struct relay_failure *why);
/* An allocation is gone. */
void server_on_lost(struct relays *r, const struct relay_slot *s, uint64_t now_us,
		    const struct relay_failure *why);
void server_update(struct relays *r, size_t server, uint64_t now_us);
uint64_t server_next_deadline(const struct relays *r, size_t server);
/* There is a socket more: what waited for one may go on. */
void server_on_socket(struct relay_server *s, uint64_t now_us, bool is_spare);
void server_set_state(struct relay_server *s, uint64_t now_us, enum overlay_relay_state state);

#endif
