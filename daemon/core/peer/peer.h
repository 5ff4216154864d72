/*
 * Private to the room: what an overlay, a peer and a session are made of, and who may change what.
 *
 *	overlay.c    creation, inputs and outputs, events, deadlines
 *	rendezvous.c messages from and to the rendezvous
 *	view.c	     what the shell may look at
 *	directory.c  which peers exist: certificates, presence, lookups, routes
 *	peer.c       the states of one peer; the only place that sets them
 *	exchange.c   the offer and the answer
 *	session.c    keys, the control lane, paths; which of two sessions carries the data
 *	relaying.c   paths over relays, what comes through them; the relays are relay.h
 *	restart.c    the same session over a new ICE generation and new keys
 *	moved.c	     the path was lost and another pair stood by: the peer is told
 *	idle.c	     no consent for a peer without traffic, and its return
 *	trickle.c    candidates that come later
 *	rekey.c      renewal of the keys inside the tunnel
 *	mtu.c	     how long packets to a peer may be
 *
 * A session is an ICE agent and keys. Of a peer, `current` carries its data and `next` is being
 * made. A `next` without an agent of its own is new keys for the agent of `current`: for its path
 * (rekey.c), or for its next generation (restart.c). Sessions are allocated when an offer is made
 * or answered, never for a packet. At every moment:
 *
 *	- A session sends only what the peer can open: nothing before it is known that the peer has
 *	  the keys too (`shared`). The answer shows it to the host that has offered; anything sealed
 *	  with the keys shows it to the other one.
 *	- It sends over a pair that ICE has validated, and only while that is so.
 *	- `next` takes over when something has come that the peer sealed with its keys (`heard`), so
 *	  the new path works in both directions. Without a path there is nothing to lose, and it
 *	  takes over as soon as it may send.
 *	- What has keys is not forgotten when it is given up or replaced, but *retired*: it opens
 *	  what the peer may still send with it. The peer has left it for good when it is heard to
 *	  send with a later one, other than to ask (CONTROL_PATH_PING); what is in flight then has
 *	  LINGER_US to arrive.
 *	- A message counts once. Offers and answers have rising stamps, and one that is not above
 *	  all that came from its sender has been overtaken or replayed. An offer says which stamp of
 *	  ours its sender has seen: when that includes our own open offer, the sender has given that
 *	  up.
 */
#ifndef ICETUN_PEER_PEER_H
#define ICETUN_PEER_PEER_H

#include "daemon/core/base/fifo.h"
#include "daemon/core/base/heap.h"
#include "daemon/core/base/table.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/noise/handshake.h"
#include "daemon/core/peer/control.h"
#include "daemon/core/peer/overlay.h"
#include "daemon/core/peer/packet_queue.h"
#include "daemon/core/peer/relay.h"
#include "daemon/core/signal/handshake.h"
#include "daemon/core/signal/registrar.h"
#include "daemon/core/tunnel/keys.h"
#include "daemon/core/tunnel/packet.h"
#include "daemon/core/tunnel/pmtu.h"
#include "daemon/core/tunnel/rekey.h"

/* An offer is sent again after 1, 2 and 4 s, and given up 10 s after it was first sent. */
#define OFFER_TRIES	 4
#define OFFER_GIVE_UP_US (10 * US_PER_S)
#define LOOKUP_TRIES	 4
/* Pause after a failed attempt: doubles from the first to the second value. */
#define BACKOFF_MIN_US (1 * US_PER_S)
#define BACKOFF_MAX_US (60 * US_PER_S)
/* How long something may be in flight. */
#define SESSION_LINGER_US (5 * US_PER_S)
/* A retired session opens for so long at most: keys are not older than that when they are in
 * use. */
#define SESSION_RETIRED_US TUNNEL_REJECT_AFTER_US
#define SESSION_MAX_OLD	   4
/* One more answer of the same peer is not computed within this time. */
#define OFFER_SPACING_US (100 * US_PER_MS)
#define EVENT_SLOTS	 1024
/* Left free for what one input can cause. */
#define EVENT_RESERVE 32

/* Secret memory of one session or one exchange. */
struct session_secret {
	uint8_t send_key[AEAD_KEY_BYTES];
	uint8_t receive_key[AEAD_KEY_BYTES];
};

struct session {
	uint32_t peer;
	uint32_t local_index;
	struct table_node by_index;
	uint32_t remote_index;
	enum aead_cipher cipher;
	uint8_t xid[SIGNAL_XID_BYTES];
	struct noise *noise; /* initiator, until the answer is there */
	struct ice_agent *agent;
	struct session_secret *secret; /* NULL until there are keys; of overlay.secrets */
	struct tunnel_lane lane;       /* the control lane */
	struct aead *key;	       /* prepared for it; made anew if need be */
	char *remote_ufrag; /* of the ICE generation that it belongs to; NULL: not known */
	struct ice_path path;
	uint64_t moved_us;   /* when the peer is told again that we have moved, DEADLINE_NONE */
	uint32_t moved_told; /* how often */
	uint32_t moved_seen; /* the number of the last MOVED that counted */
	uint64_t heard_us;   /* the last time, or when its path began */
	uint64_t ask_us;     /* when the peer is asked whether it hears us, DEADLINE_NONE */
	uint64_t sent_us;    /* the last packet that the data plane could not send; 0: none */
	uint64_t until_us;   /* retired: when it is forgotten */
	uint64_t stamp_us;   /* of our offer or answer */
	struct tunnel_rekey rekey;
	uint64_t tell_us; /* when our candidates are told again, DEADLINE_NONE */
	uint8_t *message; /* our offer or answer, to send it again */
	size_t message_len;
	uint32_t features;	     /* of the peer: SIGNAL_FEATURE_* */
	uint32_t asked;		     /* how often it was asked whether it hears us */
	uint32_t generation;	     /* of a restart that has a path */
	uint32_t order;		     /* later keys have a higher one */
	uint32_t candidates_version; /* of our candidates that the peer was told */
	uint32_t told;		     /* how often they were told */
	uint16_t mtu_bytes;	     /* of the peer's TUN device; 0: not known */
	uint8_t lanes;		     /* that the peer uses */
	bool initiator;
	bool rests;  /* the key is not kept */
	bool shared; /* the peer is known to have the keys */
	bool has_path;
	bool heard;   /* authenticated data came over it */
	bool used;    /* the peer sends with it, and with none before it */
	bool restart; /* it is for the next generation of the current session's agent */
};

/* What a peer's restarts need to remember; restart.c. */
struct peer_restart {
	enum overlay_restart_cause wanted; /* NONE: nothing is wanted */
	enum overlay_restart_cause last;
	uint64_t due_us;     /* when to begin, DEADLINE_NONE */
	uint64_t pause_us;   /* after the last failure */
	uint64_t fresh_us;   /* roaming without an answer: when to make a new session instead */
	uint64_t give_up_us; /* roaming: when it is over */
	uint64_t again_us;   /* after what time without success another one begins, 0 = the first */
	uint64_t hold_us, hold_until_us; /* no upgrades: the last ones did not last */
	uint64_t upgraded_us;		 /* when the path became direct by an upgrade */
	uint64_t last_us;
	uint32_t begun, switched, failed;
};

/* The size of a peer's packets, and which path it is for; mtu.c. */
struct peer_mtu {
	bool is_known; /* there is one */
	bool by_overlay;
	uint16_t socket, relay, channel;
	struct netaddr remote;
	uint16_t told_bytes; /* to the shell */
	bool told_is_found;
	struct pmtu pmtu;
};

struct peer {
	bool in_use;
	bool present;
	bool wants_connection; /* something waits for this peer */
	bool idle;	       /* as ICE was told */
	bool asleep;   /* consent has lapsed: nothing may be sent before it is there again */
	uint8_t tries; /* of the present lookup or offer */
	uint32_t number;
	uint32_t next_free;	  /* not in use: the number after it of the free ones + 1, or 0 */
	struct table_node known;  /* by name, or by address while there is no name */
	struct table_node looked; /* in LOOKUP: by lookup_xid */
	char name[sizeof(((struct cert *)NULL)->name)]; /* "" while only the address is known */
	struct netaddr address; /* what the lookup asks for while there is no name */
	struct member *member;	/* NULL: its certificate is not known */
	enum overlay_peer_state state;
	enum overlay_reason reason;
	uint32_t last_order;
	uint32_t activity; /* packets that our busiest lane sealed between the last two looks */
	uint64_t since_us;
	struct session *current, *next;
	struct session *old[SESSION_MAX_OLD]; /* retired */
	uint64_t told;			      /* a hash of the path that was told last; 0: none */
	struct packet_list queue;
	struct heap_node timer;
	uint8_t lookup_xid[SIGNAL_XID_BYTES];
	uint64_t retry_us; /* DEADLINE_NONE: nothing to do again */
	uint64_t give_up_us;
	uint64_t rekey_us; /* when the keys of `current` want attention */
	uint64_t pause_until_us;
	uint64_t pause_us;
	uint64_t last_offer_us; /* when the last offer was looked at */
	uint64_t move_us;	/* not before is its path moved to another relay again */
	uint64_t sealed_packets;
	uint64_t unanswered_us; /* since when packets go out and nothing comes back; 0 = not so */
	struct peer_restart restart;
	uint64_t tx_packets, tx_bytes; /* that we have sent ourselves */
	uint64_t used_us;	       /* when data last went or came */
	struct peer_mtu mtu;
};

struct overlay {
	struct random_source random;
	struct overlay_params params;
	struct dh_keypair *noise;   /* secret memory */
	struct secret_pool secrets; /* of sessions */
	uint8_t authority_public[SIGN_PUBLIC_BYTES];
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
	struct cert own;
	int64_t unix_offset_us; /* wall clock minus monotonic clock */
	uint64_t last_stamp_us;
	struct stamp_table stamps; /* of other hosts' offers */
	bool link_up;
	bool has_hurried; /* what waited for the link, see hurry() */
	struct registrar *registrar;
	struct ice_engine *ice;
	struct relays *relays;
	bool relays_pending; /* as ICE was told */
	bool is_closing;     /* relays are given back when nothing is left to go over them */
	uint64_t closing_us;
	struct peer *peers;
	uint32_t peer_limit; /* numbers in use are below it */
	uint32_t free_peer;  /* the first free number below it + 1, or 0 */
	/* All have their room from the start; a chain longer than one or two entries costs time
	 * alone, and nobody can make it longer than there are peers. */
	struct table known, lookups, sessions;
	struct heap timers;
	struct route_table *routes;
	struct packet_pool *pool;
	uint32_t candidates_version; /* counts changes of our candidates */
	struct fifo inject;    /* struct netaddr, then a sealed packet that came another way */
	struct fifo frames;    /* for the rendezvous */
	struct fifo datagrams; /* sealed control packets: struct ice_transmit, then the bytes */
	struct overlay_event events[EVENT_SLOTS];
	size_t event_head, event_count;
	struct drop_counters drops;
	uint8_t scratch[SIGNAL_MESSAGE_MAX_BYTES]; /* a frame or packet while it is built */
	uint8_t plain[SIGNAL_MESSAGE_MAX_BYTES];   /* a handshake payload; wiped after use */
};

/* overlay.c */
struct overlay_event *event_push(struct overlay *o, enum overlay_event_type type, uint32_t peer);
bool event_has_room(const struct overlay *o);
uint64_t overlay_unix_us(const struct overlay *o, uint64_t now_us);
/* Carries out what ICE has to tell: after each input that ICE or an agent may have seen. */
void overlay_drain_ice(struct overlay *o, uint64_t now_us);

/* rendezvous.c */
void rendezvous_drain(struct overlay *o, uint64_t now_us);
/* Connected, not registered yet. Messages wait: to one that comes before REGISTER the server
 * answers with another challenge, and between two registrations are 500 ms. */
bool rendezvous_is_waited_for(const struct overlay *o);
/* Queues @m for the rendezvous; when it cannot go, it is counted: every message is repeated. */
void frame_send(struct overlay *o, const struct signal_message *m);

/* directory.c */
struct peer *directory_get(struct overlay *o, uint32_t number);
struct peer *directory_find_name(const struct overlay *o, const char *name);
/* The peer that @address is routed to, or NULL. */
struct peer *directory_find_address(struct overlay *o, const struct netaddr *address);
/* Makes a peer of which nothing but this is known: in a free slot, or in that of an idle peer that
 * nobody needs; NULL when all are busy. @name: not known yet, ends with a NUL. */
struct peer *directory_add_name(struct overlay *o, uint64_t now_us, const char *name);
struct peer *directory_add_address(struct overlay *o, uint64_t now_us,
				   const struct netaddr *address);
/* @p enters LOOKUP with a new exchange id, or leaves it. */
void directory_begin_lookup(struct overlay *o, struct peer *p);
void directory_end_lookup(struct overlay *o, struct peer *p);
/* Return: the peer in LOOKUP with this exchange id, or NULL. */
struct peer *directory_find_lookup(const struct overlay *o,
				   const uint8_t xid[static SIGNAL_XID_BYTES]);
/* Verifies @buf and learns it for @p, or for the peer it names where @p is NULL.
 * Return: OK with *ret, DROP_*. */
MUST_USE enum err directory_learn(struct overlay *o, uint64_t now_us, const uint8_t *buf,
				  size_t len, struct peer *p, struct peer **ret);
void directory_send_lookup(struct overlay *o, struct peer *p);
enum err directory_on_found(struct overlay *o, uint64_t now_us, const struct signal_message *m);
enum err directory_on_presence(struct overlay *o, uint64_t now_us, const struct signal_message *m);
/* Our overlay networks contain @address, and it is not our own. */
bool directory_is_overlay_address(const struct overlay *o, const struct netaddr *address);

/* peer.c */
void peer_init(struct peer *p, uint32_t number, uint64_t now_us);
void peer_set_state(struct overlay *o, struct peer *p, uint64_t now_us,
		    enum overlay_peer_state state, enum overlay_reason reason);
void peer_connect(struct overlay *o, struct peer *p, uint64_t now_us);
void peer_fail(struct overlay *o, struct peer *p, uint64_t now_us, enum overlay_reason reason);
/* Gives the sessions up and offers a new one at once; packets go on waiting. */
void peer_begin_anew(struct overlay *o, struct peer *p, uint64_t now_us);
void peer_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
void peer_on_error(struct overlay *o, struct peer *p, uint64_t now_us, enum signal_error error);
void peer_on_ice(struct overlay *o, uint64_t now_us, const struct ice_event *e);
void peer_update_timer(struct overlay *o, struct peer *p);
/* Gives all sessions up. The second one retires none. */
void peer_retire_sessions(struct overlay *o, struct peer *p, uint64_t now_us);
void peer_drop_sessions(struct overlay *o, struct peer *p, uint64_t now_us);

/* exchange.c */
#define EXCHANGE_LABEL_OFFER "icetun offer answer 1"
#define EXCHANGE_LABEL_REKEY "icetun rekey 1"
/* The handshake of @s, bound to @label, the network, both hosts and s->xid. Return: OK, ERR_*. */
MUST_USE enum err exchange_make_noise(struct overlay *o, const struct peer *p,
				      const struct session *s, const char *label,
				      struct noise **ret);
/* A stamp above all before. */
uint64_t exchange_next_stamp(struct overlay *o, uint64_t now_us);
/* Whether @stamp_us of an authentic message of @p is news; and from now on it is not. */
bool exchange_stamp_is_new(const struct overlay *o, const struct peer *p, uint64_t stamp_us);
void exchange_accept_stamp(struct overlay *o, const struct peer *p, uint64_t stamp_us);
/* Makes p->next with an offer and sends it. Return: OK, ERR_*. */
MUST_USE enum err exchange_offer(struct overlay *o, struct peer *p, uint64_t now_us);
/* The same for the next generation of the current session's agent. Return: OK, ERR_*. */
MUST_USE enum err exchange_offer_restart(struct overlay *o, struct peer *p, uint64_t now_us);
void exchange_resend(struct overlay *o, const struct peer *p, const struct session *s);
enum err exchange_on_deliver(struct overlay *o, uint64_t now_us, const struct signal_message *m);
/* An offer of @p or an answer, however it came. */
enum err exchange_on_offer(struct overlay *o, struct peer *p, uint64_t now_us,
			   const uint8_t xid[static SIGNAL_XID_BYTES], const uint8_t *body,
			   size_t len);
enum err exchange_on_answer(struct overlay *o, struct peer *p, uint64_t now_us,
			    const uint8_t xid[static SIGNAL_XID_BYTES], const uint8_t *body,
			    size_t len);

/* restart.c */
/* Wants a restart of @p, if there is a session to restart. */
void restart_want(struct overlay *o, struct peer *p, uint64_t now_us,
		  enum overlay_restart_cause cause);
void restart_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
uint64_t restart_deadline(const struct peer *p);
/* Return: true when a restart was under way, and its message or question went out again. */
bool restart_retry(struct overlay *o, struct peer *p, uint64_t now_us);
/* The path of the current session is lost. */
void restart_on_lost(struct overlay *o, struct peer *p, uint64_t now_us,
		     enum overlay_restart_cause cause);
/* NEXT_PATH, NEXT_FAILED and UPGRADE_ADVISED of the current session's agent. */
void restart_on_ice(struct overlay *o, struct peer *p, uint64_t now_us, const struct ice_event *e);
/* p->next is the offer or the answer of a restart. */
void restart_on_begun(struct overlay *o, struct peer *p, uint64_t now_us,
		      enum overlay_restart_cause cause);
/* p->next has become p->current by a restart. @before: the path that worked until now, or NULL. */
void restart_on_switched(struct overlay *o, struct peer *p, uint64_t now_us,
			 const struct ice_path *before);
/* The path of the current session is another one. */
void restart_on_moved(struct peer *p, uint64_t now_us, const struct ice_path *path);
/* A control packet with an offer or an answer: its exchange id first. */
enum err restart_on_control(struct overlay *o, struct peer *p, uint64_t now_us,
			    const struct control_message *m);
/* The allocation of @relay was lost; ICE does not know it yet. */
void restart_on_relay_lost(struct overlay *o, uint64_t now_us, uint16_t relay);
/* See overlay_on_unanswered(). */
void restart_on_unanswered(struct overlay *o, struct peer *p, uint64_t now_us);
/* A packet waits for a peer that is roaming. */
void restart_on_packet(struct overlay *o, struct peer *p, uint64_t now_us);
/* The peer or the rendezvous is there again: what waits for it goes at once. */
void restart_hurry(struct overlay *o, struct peer *p, uint64_t now_us);
void restart_on_new_socket(struct overlay *o, uint64_t now_us, uint16_t local_preference);
/* Before the engine is told: see overlay_set_preferences(). */
void restart_on_preferences(struct overlay *o, uint64_t now_us,
			    const struct overlay_preference *list, size_t count);
/* The sessions whose path goes over @socket (to @to, if not NULL) want a restart. */
void restart_on_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
		       const struct netaddr *to, enum overlay_restart_cause cause);

/* relaying.c */
/* Return: whether there was something to do. */
bool relaying_drain(struct overlay *o, uint64_t now_us);
void relaying_on_deadline(struct overlay *o, uint64_t now_us);
/* Adds to a PATH event how the data plane gets there. */
void relaying_describe(struct overlay *o, uint64_t now_us, struct overlay_event *e);
/* @path does not work, or is doubted: if it is relayed, our relays are looked after. */
void relaying_doubt(struct overlay *o, uint64_t now_us, const struct ice_path *path);
/* Return: false when the datagram is none of a relay's. */
bool relaying_input(struct overlay *o, uint64_t now_us, uint16_t socket, const struct netaddr *from,
		    const uint8_t *buf, size_t len, enum err *ret_err);
/* Wraps what is for a relay, in place. Return: false when there is nothing to send to a socket. */
bool relaying_wrap(struct overlay *o, struct ice_transmit *t, uint8_t *buf, size_t cap);

/* idle.c */
/* Data goes or comes. */
void idle_on_use(struct overlay *o, struct peer *p, uint64_t now_us);
void idle_on_deadline(struct peer *p, uint64_t now_us);
uint64_t idle_deadline(const struct peer *p);
/* Consent of the path of the current session has lapsed. */
void idle_on_lapsed(struct overlay *o, struct peer *p);

/* mtu.c */
/* The path of @s, as the data plane is about to be told; adds its size to @e. */
void mtu_on_path(struct overlay *o, struct peer *p, const struct session *s, uint64_t now_us,
		 struct overlay_event *e);
/* The next path is another one, even if it looks the same. */
void mtu_forget(struct peer *p);
/* Packets have been sent; they may not arrive. */
void mtu_on_use(struct overlay *o, struct peer *p, uint64_t now_us);
void mtu_on_doubt(struct overlay *o, struct peer *p, uint64_t now_us);
void mtu_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
uint64_t mtu_deadline(const struct peer *p);
/* PROBE and PROBED of @s. */
enum err mtu_on_control(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
			const struct control_message *m);

/* trickle.c */
/* Tells @s, which has keys, all our candidates. */
void trickle_send(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us);
/* Our candidates have changed, or gathering is done. */
void trickle_on_local(struct overlay *o, uint64_t now_us);
void trickle_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
uint64_t trickle_deadline(const struct peer *p);
/* The peer can be reached again: it may have missed something. */
void trickle_hurry(struct peer *p, uint64_t now_us);
enum err trickle_on_message(struct peer *p, struct session *s, uint64_t now_us, const uint8_t *body,
			    size_t len);

/* moved.c */
/* ICE has told the path of @s, the current session; the one that it told before was @before. */
void moved_on_path(struct overlay *o, struct session *s, uint64_t now_us,
		   const struct ice_path *before);
enum err moved_on_control(const struct peer *p, struct session *s, uint64_t now_us,
			  const struct control_message *m);
void moved_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
uint64_t moved_deadline(const struct peer *p);

/* rekey.c */
/* The present keys were used; the data plane's busiest lane has sealed @packets with them. */
void rekey_on_use(struct overlay *o, struct peer *p, uint64_t now_us, uint64_t packets);
/* Begins a renewal that is due; ends a session whose keys have expired. */
void rekey_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
/* Return: true when a renewal was under way and its message went out again. */
bool rekey_retry(struct overlay *o, struct peer *p, uint64_t now_us);
enum err rekey_on_offer(struct overlay *o, struct peer *p, uint64_t now_us, const uint8_t *body,
			size_t len);
enum err rekey_on_answer(struct overlay *o, struct peer *p, uint64_t now_us, const uint8_t *body,
			 size_t len);

/* session.c */
/* Return: OK with a session that has an ICE agent and an index; ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err session_create(struct overlay *o, struct peer *p, uint64_t now_us, bool initiator,
				 struct session **ret);
/* The agent that @s runs on: its own, or that of the session which it is to follow. */
struct ice_agent *session_agent(const struct peer *p, const struct session *s);
/* An agent of its own for a session that has none. Return: OK, ERR_NO_MEMORY, ERR_LIMIT. */
MUST_USE enum err session_open_agent(struct overlay *o, struct peer *p, struct session *s,
				     uint64_t now_us);
/* The same without an agent: new keys for the session that p->current is. */
MUST_USE enum err session_create_keys(struct overlay *o, struct peer *p, bool initiator,
				      struct session **ret);
void session_destroy(struct overlay *o, struct session *s, uint64_t now_us);
/* It is given up, or replaced: it only opens what the peer may still send. Without keys it is
 * destroyed. NULL is fine. The caller forgets it. */
void session_retire(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us);
/* Takes the keys of a finished handshake, for s->cipher, and announces the session. @lanes: that
 * the peer will use. Return: OK, ERR_*. */
MUST_USE enum err session_start(struct overlay *o, struct peer *p, struct session *s,
				struct noise *n, uint32_t remote_index, uint8_t lanes,
				uint64_t now_us);
/* It is not used for some time: keeps what cannot be made again only, until `rests` is false
 * again. */
void session_rest(struct session *s);
/* New keys go over the path of the old ones. The ICE generation of that is not theirs yet. */
void session_take_path(struct session *s, const struct session *from);
struct session *session_of_index(struct peer *p, uint32_t local_index);
struct session *session_of_agent(struct peer *p, const struct ice_agent *agent);
/* Seals one packet on the control lane and queues it for the session's path.
 * Return: OK; ERR_WRONG_STATE without a path, or while the peer may not have the keys; ERR_*. */
/* Sends what waited, if the current session has a path. */
void session_send_waiting(struct overlay *o, struct peer *p);
MUST_USE enum err session_send(struct overlay *o, struct session *s, const uint8_t *plain,
			       size_t len);
MUST_USE enum err session_send_control(struct overlay *o, struct session *s,
				       const struct control_message *m);
/* The same through the rendezvous. Return: OK; ERR_WRONG_STATE without keys; ERR_*. */
MUST_USE enum err session_forward_control(struct overlay *o, const struct peer *p,
					  struct session *s, const struct control_message *m);
/* Tells the data plane the path of @s, which carries the data. */
void session_tell_path(struct overlay *o, struct peer *p, const struct session *s, uint64_t now_us);
/* Tells it that there is none. */
void session_tell_no_path(struct overlay *o, struct peer *p);
/* ICE found or moved the path of @s. */
void session_on_path(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
		     const struct ice_path *path);
/* The peer is known to have the keys of @s. */
void session_on_shared(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us);
/* Authenticated data came over @s: where it is the next session, it becomes the current one. @uses:
 * it was no question, so the peer sends with these keys from now on and with none before them. */
void session_on_heard(struct overlay *o, struct peer *p, struct session *s, uint64_t now_us,
		      bool uses);
/* p->next, new keys for the path of the present ones, takes over: the answer has shown that the
 * peer has them, too. */
void session_take_over(struct overlay *o, struct peer *p, uint64_t now_us);
void session_on_deadline(struct overlay *o, struct peer *p, uint64_t now_us);
uint64_t session_deadline(const struct peer *p);

#endif
