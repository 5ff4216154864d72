/*
 * ICE as one host runs it (RFC 8445, 8489, 7675, 8421).
 *
 * Theory of operation
 *
 * There is one `struct ice_engine` in a process. It knows the local UDP sockets by number (the
 * shell owns the descriptors), learns once for each of them what STUN servers see of it, and
 * carries any number of agents, one `struct ice_agent` for each peer session. All agents share the
 * sockets, the local candidates and the pacer.
 *
 *   Gathering. ice_engine_add_socket() makes a host candidate at once and asks every STUN server of
 *   the same family. Answers become server-reflexive candidates, which are kept warm by asking
 *   again. An agent needs no gathering of its own: ice_agent_get_description() has what is known.
 *   It makes sense to wait for ice_engine_is_gathered() (ICE_EVENT_GATHERED) first; that takes no
 *   longer than ICE_GATHER_PATIENCE_US even if no server answers.
 *
 *   Connecting. Each end opens an agent, tells its description to the other through signalling, and
 *   hands the other's to ice_agent_set_remote(). Checks begin at once. The first valid pair is a
 *   path (CONNECTED): data may flow. The controlling end nominates one pair (COMPLETED) and from
 *   then on only that is used. Checks that arrive before the remote description are answered and
 *   remembered.
 *
 *   Living. On the path consent is asked for every 5 s (RFC 7675); 30 s without an authenticated
 *   answer and without authenticated data (ice_agent_on_authenticated()) end it (DISCONNECTED).
 *   That data counts is our addition: a lost check never ends a tunnel that works. It keeps the
 *   session, not the path: if nothing has come back on the path for 12 s and the peer's checks
 *   arrive from elsewhere, as after a restart of its NAT, the path moves there.
 *
 *   Standing by. While a nominated pair carries data, the best pair of another socket and one
 *   over a relay are kept valid: when the path is lost, the best of them is the path in the same
 *   call. If the peer has told in its own way that it has moved so, ice_agent_on_peer_moved()
 *   follows.
 *
 * The engine is driven from outside: after each call that takes `now_us`, pull
 * ice_engine_pop_transmit() and ice_engine_pop_event() until they are empty, and call
 * ice_engine_on_deadline() when ice_engine_next_deadline() has come. Calling it early or late is
 * harmless. Events say what is true when they are pulled: several changes between two pulls are one
 * event. The same calls with the same random source give the same bytes.
 *
 * Pacing (RFC 8445 s. 14): over gathering and the checks of all agents two new transactions are
 * never closer than ICE_PACER_FLOOR_US, those of one agent never closer than its Ta, and STUN
 * servers are asked at most once per ICE_GATHER_INTERVAL_US. Triggered checks go first, then
 * gathering, then agents with worth, then checks to where a session's data went before its restart,
 * then the rest, and last what is to stand by. Retransmissions, responses and consent are not
 * paced.
 *
 * What strangers can do: a datagram allocates nothing. Only messages that carry the integrity of
 * one of our agents' passwords change anything. Unauthenticated requests get an error response that
 * is never longer than three times the request, and not more than ICE_STRANGER_REPLIES_PER_S of
 * them.
 *
 * Of this room only candidate.h, description.h and this header are for others.
 */
#ifndef ICETUN_ICE_ENGINE_H
#define ICETUN_ICE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"
#include "daemon/core/ice/candidate.h"
#include "daemon/core/ice/description.h"

#define ICE_TA_DEFAULT_MS	   10
#define ICE_RC_DEFAULT		   7
#define ICE_MAX_PAIRS_DEFAULT	   100
#define ICE_MAX_STUN_SERVERS	   8
#define ICE_MAX_EARLY_CANDIDATES   8
#define ICE_MAX_RELAYS		   8
#define ICE_MAX_BLOCKED		   16
#define ICE_PACER_FLOOR_US	   (5 * US_PER_MS)
#define ICE_GATHER_INTERVAL_US	   (50 * US_PER_MS)
#define ICE_GATHER_PATIENCE_US	   (1500 * US_PER_MS)
#define ICE_KEEP_WARM_US	   (15 * US_PER_S)
#define ICE_STRANGER_REPLIES_PER_S 20
/* Before this time after the last remote candidate no agent is FAILED: a full transaction (RFC
 * 8863). */
#define ICE_PATIENCE_US (39500 * US_PER_MS)
/* The number of no socket: of a relay that is reached over a stream. */
#define ICE_NO_SOCKET UINT16_MAX
/* What we offer: the best of each type (more pairs cost time and connect nothing more). */
#define ICE_MAX_HOST_CANDIDATES	 8
#define ICE_MAX_SRFLX_CANDIDATES 4
#define ICE_MAX_RELAY_CANDIDATES 2
/* A generation that was replaced is still answered for this long. */
#define ICE_OLD_GENERATION_US (3 * US_PER_S)
/* A buffer of this size holds every datagram that the engine sends. */
#define ICE_TRANSMIT_MAX_BYTES 548

struct ice_engine;
struct ice_agent;

/* Which local candidates there are. Related addresses (RFC 8839 s. 5.1) are told with ALL only. */
enum ice_policy {
	ICE_POLICY_ALL,
	/* None of type host: peers learn no address of a local interface. */
	ICE_POLICY_NO_HOST,
	/* Of type relayed alone: peers learn no address of this host. No STUN server is asked, and
	 * what comes to a socket is ignored. */
	ICE_POLICY_RELAY,
};

struct ice_engine_params {
	struct random_source random;
	enum ice_policy policy;
	size_t max_agents;  /* > 0 */
	size_t max_sockets; /* 1..ICE_MAX_CANDIDATES; 0 = 16 */
	uint16_t ta_ms;	    /* what we propose, >= 5; 0 = ICE_TA_DEFAULT_MS */
	uint8_t rc;	    /* sends of one request, 1..16; 0 = ICE_RC_DEFAULT */
	size_t max_pairs;   /* of one checklist, <= 1000; 0 = ICE_MAX_PAIRS_DEFAULT */
	/* Remote candidates may have a port below 1024; else none but 443 and 80 of public
	 * addresses. */
	bool allow_low_ports;
};

enum ice_agent_state {
	/* Entered at open. Our credentials are valid: checks are answered and remembered. Leaves by
	 * ice_agent_set_remote(). No path. */
	ICE_AGENT_NEW = 0,
	/* Checks run. No pair is valid yet. Leaves to CONNECTED by the first success, to FAILED. */
	ICE_AGENT_CHECKING,
	/* At least one valid pair: the best is the path. Checks go on, the path may move to a
	 * better pair. Leaves to COMPLETED by nomination, to DISCONNECTED. */
	ICE_AGENT_CONNECTED,
	/* One pair was nominated and is the path until it is lost. Leaves to DISCONNECTED. */
	ICE_AGENT_COMPLETED,
	/* There was a path, and its consent ran out, was revoked, or its socket went. No path.
	 * Leaves to CONNECTED or COMPLETED if the peer itself revives it; else a new session is
	 * needed. */
	ICE_AGENT_DISCONNECTED,
	/* Every pair failed and ICE_PATIENCE_US are over. Checks are still answered; if one of the
	 * peer's gets through after all, leaves to CONNECTED. */
	ICE_AGENT_FAILED,
};

/* Return: "new", "checking", "connected", "completed", "disconnected" or "failed". */
const char *ice_agent_state_name(enum ice_agent_state state);

/* Where packets of a session go. */
struct ice_path {
	uint64_t rtt_us;       /* 0 = not known */
	struct netaddr local;  /* as the peer sees us: the mapped address of the check */
	struct netaddr remote; /* destination of packets */
	enum ice_candidate_type local_type;
	enum ice_candidate_type remote_type;
	uint32_t lost;	     /* paths of this generation that were lost before it */
	uint32_t generation; /* counts restarts of the session at this end, from 0 */
	uint16_t socket;     /* of a relay: what its server is reached over, or ICE_NO_SOCKET */
	uint16_t relay;	     /* 0 = none; else packets for `remote` go through this allocation */
	bool nominated;
	bool consented; /* false: it lapsed while idle; data has to wait until it is there again */
};

enum ice_event_type {
	/* ice_engine_is_gathered() became true. */
	ICE_EVENT_GATHERED,
	/* `candidate` is new: for peers that have our description already (trickle). */
	ICE_EVENT_LOCAL_CANDIDATE,
	/* A server sees a socket at another address than before, `candidate`: sessions over it may
	 * have to restart. */
	ICE_EVENT_MAPPING_CHANGED,
	/* `agent` is in `state`. */
	ICE_EVENT_STATE,
	/* The path of `agent` is `path`, or there is none. */
	ICE_EVENT_PATH,
	/* `agent` is going to check `remote` over `relay`, whose server needs a permission for that
	 * address. Comes before the first such check can be pulled if events are pulled first. */
	ICE_EVENT_PERMIT,
	/* The next generation of `agent`, under way since a restart, has the path `path`, or has
	 * lost it. The owner sends authenticated data over it, and when such data has come over
	 * it, calls ice_agent_switch(). */
	ICE_EVENT_NEXT_PATH,
	/* The restart of `agent` came to nothing; the generation before goes on. */
	ICE_EVENT_NEXT_FAILED,
	/* The path of `agent` is relayed; it is time to try for a direct one by a restart. */
	ICE_EVENT_UPGRADE_ADVISED,
};

struct ice_event {
	enum ice_event_type type;
	/* All that carry an agent; `has_path` and `path` are those of its current generation, of
	 * the next one in NEXT_PATH. */
	struct ice_agent *agent;
	void *cookie; /* the agent's */
	enum ice_agent_state state;
	bool has_path;
	struct ice_path path;
	uint32_t generation; /* the one that the event is about */
	/* PERMIT. */
	uint16_t relay;
	struct netaddr remote;
	/* LOCAL_CANDIDATE and MAPPING_CHANGED. */
	struct ice_candidate candidate;
};

/* One datagram to send from @socket to @to; with @relay, to wrap for the peer @to and to send to
 * the server of that allocation. */
struct ice_transmit {
	uint16_t socket;
	uint16_t relay;
	struct netaddr to;
	size_t len;
};

/* Allocates all tables. Return: OK, ERR_INVALID for a parameter out of its range, ERR_NO_MEMORY. */
MUST_USE enum err ice_engine_create(struct ice_engine **ret,
				    const struct ice_engine_params *params);
/* Closes all agents, too. NULL is fine. */
void ice_engine_destroy(struct ice_engine *e);

/* A socket was opened. @socket: a number that the caller chooses and that later calls name;
 * @base: its address as bound, never unspecified; @local_preference: unique among the sockets,
 * larger is better, families interleaved (RFC 8421 s. 4). Agents whose checks run use it as
 * well. Return: OK; ERR_EXISTS for a number in use; ERR_LIMIT; ERR_INVALID for an address that
 * cannot be a candidate, DROP_BLOCKED for one in a blocked prefix. */
MUST_USE enum err ice_engine_add_socket(struct ice_engine *e, uint64_t now_us, uint16_t socket,
					const struct netaddr *base, uint16_t local_preference);
/* The socket is gone; pairs over it are dead at once. An unknown number is ignored. */
void ice_engine_remove_socket(struct ice_engine *e, uint64_t now_us, uint16_t socket);

/* Routes have changed: candidates over the socket are worth more or less from now on. Pairs that
 * are there keep their priority; the next generation has the new one. An unknown number is
 * ignored. */
void ice_engine_set_socket_preference(struct ice_engine *e, uint16_t socket,
				      uint16_t local_preference);
/* Return: false for a number that is not in use. */
bool ice_engine_socket_preference(const struct ice_engine *e, uint16_t socket,
				  uint16_t *ret_local_preference);

/* What servers have told about @socket (ICE_NO_SOCKET: about any) may be stale: they are asked
 * anew. */
void ice_engine_gather_again(struct ice_engine *e, uint64_t now_us, uint16_t socket);

/* A TURN server has allocated an address for us. @relay: a number that the caller chooses, not 0;
 * @socket: what its server is reached over, or ICE_NO_SOCKET for a stream; @relayed: the allocated
 * address, the candidate and its base (RFC 8445 s. 5.1.1.2); @mapped: what the server saw of us,
 * told to peers as the related address; @local_preference: unique among the relays. Agents whose
 * checks run use it as well. Removing the socket does not remove the relay. Return: OK; ERR_EXISTS
 * for a number in use; ERR_LIMIT above ICE_MAX_RELAYS; ERR_INVALID for an address that cannot be a
 * candidate; DROP_BLOCKED for one in a blocked prefix. */
MUST_USE enum err ice_engine_add_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay,
				       uint16_t socket, const struct netaddr *relayed,
				       const struct netaddr *mapped, const struct netaddr *server,
				       uint16_t local_preference);
/* The allocation is gone; pairs over it are dead at once. An unknown number is ignored. */
void ice_engine_remove_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay);

/* With @offered false the address is no candidate any more and makes no new pairs, while pairs that
 * there are go on: the allocation is going to be given up, or it is doubted. An unknown number is
 * ignored. */
void ice_engine_offer_relay(struct ice_engine *e, uint64_t now_us, uint16_t relay, bool offered);

/* While the owner waits for allocations: the engine is not gathered, so no description says that no
 * candidate will follow. The owner ends the wait, after ICE_GATHER_PATIENCE_US at the
 * latest. */
void ice_engine_set_relays_pending(struct ice_engine *e, bool pending);

/* Replaces the list of STUN servers; what was learned from servers that stay is kept. @servers:
 * @count addresses, at most ICE_MAX_STUN_SERVERS. Return: OK, ERR_LIMIT, ERR_INVALID (then nothing
 * was changed). */
MUST_USE enum err ice_engine_set_stun_servers(struct ice_engine *e, uint64_t now_us,
					      const struct netaddr *servers, size_t count);
enum ice_stun_server_state {
	/* No socket of its family. */
	ICE_STUN_SERVER_UNUSED = 0,
	/* Asked, and not yet out of our patience. */
	ICE_STUN_SERVER_ASKING,
	/* It answered the last request. */
	ICE_STUN_SERVER_ANSWERED,
	/* It answers with an error, or with an address that nobody could use. */
	ICE_STUN_SERVER_REFUSED,
	/* Nothing has come from it since `since_us`. */
	ICE_STUN_SERVER_SILENT,
};

/* One STUN server over all sockets: the best of what each of them knows. */
struct ice_stun_server_info {
	struct netaddr addr;
	enum ice_stun_server_state state;
	uint64_t since_us;	 /* of the state; SILENT: when the first request went unanswered */
	uint64_t last_answer_us; /* 0 = never */
	uint64_t rtt_us;	 /* of the last answer; 0 = not known */
	uint16_t error;		 /* REFUSED: the STUN error code, or 0 */
	struct netaddr mapped;	 /* what it has seen last, or NETADDR_NONE */
};

/* Return: "unused", "asking", "answered", "refused" or "silent". */
const char *ice_stun_server_state_name(enum ice_stun_server_state state);
/* Server @i of the list. Return: false when there are fewer. */
bool ice_engine_stun_server_info(const struct ice_engine *e, size_t i,
				 struct ice_stun_server_info *ret);

/* Address blocks that are never a local, remote, peer-reflexive or mapped candidate: the
 * overlay's own. Set before sockets are added. Return: OK, ERR_LIMIT above ICE_MAX_BLOCKED. */
MUST_USE enum err ice_engine_set_blocked(struct ice_engine *e, const struct netprefix *prefixes,
					 size_t count);
/* Mappings are kept alive every ICE_KEEP_WARM_US (the default) or not at all. */
void ice_engine_set_keep_warm(struct ice_engine *e, uint64_t now_us, bool wanted);

/* True when each server has answered for each socket of its family or has used up our patience. */
bool ice_engine_is_gathered(const struct ice_engine *e);
/* The local candidates, best first, at most ICE_MAX_CANDIDATES. Valid until the next call that
 * takes `now_us`. */
const struct ice_candidate *ice_engine_local_candidates(const struct ice_engine *e,
							size_t *ret_count);

/* One datagram arrived at @socket from @from whose first byte is 0..3. Return: OK, or a DROP_* that
 * the engine has counted already. */
MUST_USE enum err ice_engine_input(struct ice_engine *e, uint64_t now_us, uint16_t socket,
				   const struct netaddr *from, const uint8_t *buf, size_t len);
/* The same for a datagram of the peer @from that came through a relay. */
MUST_USE enum err ice_engine_input_relayed(struct ice_engine *e, uint64_t now_us, uint16_t relay,
					   const struct netaddr *from, const uint8_t *buf,
					   size_t len);
/* The system refused to send from @socket to @to (host or net unreachable, not permitted). It is
 * noted for the pairs concerned, which nomination does not wait for any more; nothing else ends. */
void ice_engine_on_send_error(struct ice_engine *e, uint64_t now_us, uint16_t socket,
			      const struct netaddr *to);

/* Return: DEADLINE_NONE when nothing is scheduled. */
uint64_t ice_engine_next_deadline(const struct ice_engine *e);
void ice_engine_on_deadline(struct ice_engine *e, uint64_t now_us);

/* Takes the next datagram to send; @buf should hold ICE_TRANSMIT_MAX_BYTES, a datagram that does
 * not fit is lost. Return: false when there is none. */
bool ice_engine_pop_transmit(struct ice_engine *e, struct ice_transmit *ret, uint8_t *buf,
			     size_t cap);
/* Return: false when there is none. */
bool ice_engine_pop_event(struct ice_engine *e, struct ice_event *ret);

/* Datagrams ignored, by reason; also DROP_QUEUE_FULL for what was not sent, and DROP_BLOCKED for
 * remote candidates that were passed over. */
const struct drop_counters *ice_engine_drops(const struct ice_engine *e);

struct ice_agent_params {
	void *cookie;	  /* comes back in events */
	bool controlling; /* the offerer */
	uint32_t worth; /* hint for the pacer: larger goes first; 0 = nobody waits for this peer */
};

/* Opens an agent with fresh credentials. It belongs to the engine; close it with ice_agent_close().
 * Return: OK, ERR_LIMIT when max_agents are open, ERR_NO_MEMORY. */
MUST_USE enum err ice_agent_open(struct ice_agent **ret, struct ice_engine *e, uint64_t now_us,
				 const struct ice_agent_params *params);
/* Frees the agent at once; no event of it is delivered afterwards. NULL is fine. */
void ice_agent_close(struct ice_agent *a, uint64_t now_us);

/* Credentials of the newest generation, Ta, options and the local candidates known now.
 * `end_of_candidates` is true when the engine is gathered. */
void ice_agent_get_description(const struct ice_agent *a, struct ice_description *ret);
/* Before ice_agent_set_remote(): this end answers after all (glare). Return: OK,
 * ERR_WRONG_STATE. */
MUST_USE enum err ice_agent_set_controlling(struct ice_agent *a, bool controlling);
/* The peer's description; starts checks. Candidates that we would never send to are passed over
 * and counted. A lite peer makes us controlling (RFC 8445 s. 6.1.1).
 *
 * Credentials that are new to an agent that has a remote description already mean a restart of the
 * peer's: they belong to the next generation. If that waits for its remote description (we called
 * ice_agent_restart() and this is the answer), it gets it; else a next generation is made for it,
 * in the place of any other, and ice_agent_get_description() has the answer.
 *
 * Return: OK; ERR_INVALID when it does not pass ice_description_check() or only one of ufrag and
 * pwd is new (RFC 8445 s. 9); ERR_EXISTS when the agent has this one already; ERR_NO_MEMORY. */
MUST_USE enum err ice_agent_set_remote(struct ice_agent *a, uint64_t now_us,
				       const struct ice_description *d);
/* One candidate more (trickle, RFC 8838). @ufrag: the peer's, of the generation that it belongs to;
 * NULL for the newest. One for a generation that is not known yet waits for it, at most
 * ICE_MAX_EARLY_CANDIDATES of them; after the nomination its pairs may stand by. Return: OK;
 * ERR_INVALID; ERR_WRONG_STATE after the end of candidates, or when the nominated pair was lost;
 * DROP_STALE for an old generation; ERR_LIMIT above ICE_MAX_CANDIDATES, or when too many wait;
 * DROP_BLOCKED for an address that we would never send to. */
MUST_USE enum err ice_agent_add_remote_candidate(struct ice_agent *a, uint64_t now_us,
						 const char *ufrag, const struct ice_candidate *c);
/* The peer has no more candidates for that generation. */
void ice_agent_end_remote(struct ice_agent *a, uint64_t now_us, const char *ufrag);

/* Restart (RFC 8445 s. 9): makes a next generation with fresh credentials beside the current one,
 * whose path stays in use; a next generation that is there already is given up for it. Roles are
 * kept. ice_agent_get_description() has what to tell the peer, ice_agent_set_remote() takes its
 * answer. When the next generation has a path, ICE_EVENT_NEXT_PATH tells; after ICE_PATIENCE_US
 * without a switch it is given up, ICE_EVENT_NEXT_FAILED. Return: OK; ERR_WRONG_STATE when there
 * was no remote description yet; ERR_NO_MEMORY. */
MUST_USE enum err ice_agent_restart(struct ice_agent *a, uint64_t now_us);
/* The next generation, numbered @generation, carries the traffic from now on. The one before is
 * answered for ICE_OLD_GENERATION_US more. Return: OK; ERR_WRONG_STATE when it is not the next
 * one or has no path. */
MUST_USE enum err ice_agent_switch(struct ice_agent *a, uint64_t now_us, uint32_t generation);
/* Gives up the next generation, if any. */
void ice_agent_abandon_restart(struct ice_agent *a, uint64_t now_us);
/* The path of the next generation. Return: false when there is none. */
bool ice_agent_get_next_path(const struct ice_agent *a, struct ice_path *ret);

/* Pairs that would carry the data at once if the path were lost. Return: how many. */
#define ICE_MAX_STANDBY 2
size_t ice_agent_get_standby(const struct ice_agent *a, struct ice_path ret[ICE_MAX_STANDBY]);
/* The peer has said, in authenticated data of the session, that the path is gone at its end and
 * which of the current generation's pairs it uses instead: @theirs and @ours are the addresses of
 * the two ends as each sees the other's. If that pair is valid here, it is the path from now on,
 * and the controlling end nominates it; else it is checked, and the peer should say it again.
 * Return: OK when it is the path; DROP_STATE. */
MUST_USE enum err ice_agent_on_peer_moved(struct ice_agent *a, uint64_t now_us,
					  const struct netaddr *theirs, const struct netaddr *ours);

/* An idle agent has no traffic: it does not ask for consent, which may lapse (RFC 7675 s. 5.1), and
 * keeps its path open by an indication every 15 s. Leaving this mode asks for consent at once. */
void ice_agent_set_idle(struct ice_agent *a, uint64_t now_us, bool idle);

void ice_agent_set_worth(struct ice_agent *a, uint32_t worth);
enum ice_agent_state ice_agent_get_state(const struct ice_agent *a);
bool ice_agent_is_controlling(const struct ice_agent *a);

/* The best valid pair; after nomination the nominated one. Return: false when there is none. */
bool ice_agent_get_path(const struct ice_agent *a, struct ice_path *ret);
/* Authenticated data of the session arrived from the peer. A lost check never ends such a session.
 * Cheap enough to be called for every packet. */
void ice_agent_on_authenticated(struct ice_agent *a, uint64_t now_us);

enum ice_pair_state {
	/* Not to be checked before another pair of its foundation has succeeded. */
	ICE_PAIR_FROZEN = 0,
	/* To be checked in its turn. */
	ICE_PAIR_WAITING,
	/* A check was sent and is being waited for. */
	ICE_PAIR_IN_PROGRESS,
	/* A check succeeded. */
	ICE_PAIR_SUCCEEDED,
	/* A check failed; one of the peer's can bring it back to WAITING. */
	ICE_PAIR_FAILED,
};

/* One row of the checklist, for status displays. */
struct ice_pair_info {
	uint16_t socket;
	uint16_t relay;	      /* 0 = none */
	struct netaddr local; /* base, or the mapped address once valid */
	struct netaddr remote;
	enum ice_candidate_type local_type;
	enum ice_candidate_type remote_type;
	enum ice_pair_state state;
	uint64_t priority;
	uint64_t rtt_us; /* 0 = not known */
	bool valid;
	bool nominated;
	bool unreachable; /* the system refused to send */
};

/* Return: "frozen", "waiting", "in-progress", "succeeded" or "failed". */
const char *ice_pair_state_name(enum ice_pair_state state);
/* Writes at most @cap rows, best first. Return: how many there are. */
size_t ice_agent_get_pairs(const struct ice_agent *a, struct ice_pair_info *ret, size_t cap);

#endif
