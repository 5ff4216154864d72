/*
 * The whole protocol of one host, without any I/O.
 *
 * An overlay knows the peers of the network, finds the best path to each with ICE, agrees keys with
 * each through the rendezvous, and says what the data plane is to use. It is driven like every core
 * object: bytes and time go in; bytes, events and a deadline come out. The daemon drives it with
 * real sockets; the simulator drives two or more of them over a virtual network with the same
 * calls.
 *
 *	rendezvous frames ---> overlay_on_signal()        overlay_pop_signal()  ---> rendezvous
 *	STUN datagrams ------> overlay_on_datagram()      overlay_pop_transmit() --> UDP sockets
 *	TCP, TLS to TURN ----> overlay_on_stream_bytes()  overlay_pop_stream() ----> streams
 *	opened control ------> overlay_on_control()       overlay_pop_event() -----> the shell
 *	packets with no path > overlay_on_packet()        overlay_pop_inject() ---> data plane
 *
 * Life of a connection, seen from the host that wants it:
 *
 *	IDLE -> LOOKUP      a packet or a ping for a peer whose certificate is not known
 *	     -> OFFERING    Noise message 1 with our ICE description goes through the rendezvous,
 *	                    again with the same exchange id after 1, 2 and 4 s
 *	     -> CHECKING    the answer is there: keys exist, ICE checks pairs
 *	     -> CONNECTED   the first pair is valid: packets flow, queued ones first. ICE may still
 *	                    move to a better pair until it has nominated one
 *	     -> ROAMING     the path is lost, the session is not: packets wait while a restart looks
 *	                    for another path; back to CONNECTED, or after a while to FAILED
 *	     -> FAILED      with the reason; the next packet tries again after a pause that grows
 *
 * The host that is offered to goes from any state to CHECKING with its answer. When both offer at
 * once, the offer of the higher identifier stands (DESIGN: glare). An offer for a peer that is
 * connected makes a second session beside the first; the first carries data until authenticated
 * data came over the second.
 *
 * Restarts (RFC 8445 s. 9). When an address comes or goes, when the path stops working or could
 * become direct, or when somebody asks, a connected peer gets an offer of the same session: a next
 * ICE generation of its agent and fresh keys. It goes inside the tunnel, if that has a path, and
 * through the rendezvous; the first copy counts. The old path carries data until authenticated data
 * came over the new one; then both ends switch. restart.c has the rules.
 *
 * Data packets never enter here: the shell gives keys and path of each SESSION event to the data
 * plane, which hands back only what it cannot place: STUN, control packets (first nibble of the
 * plaintext is 0, see control.h), and packets whose peer has no path yet. Those are queued here, at
 * most OVERLAY_QUEUE_PACKETS a peer, and sealed on the control lane when the path is there.
 *
 * Relays. The shell gives TURN servers with overlay_set_relay_servers(); everything else about them
 * is done here (relay.h). Over UDP the data plane wraps packets for a relay itself, by a channel;
 * until there is one, and over streams, packets come to overlay_on_packet() and leave through the
 * control lane.
 *
 * What a stranger can make grow is bounded at creation: peers, queued packets, frames, events.
 */
#ifndef ICETUN_PEER_OVERLAY_H
#define ICETUN_PEER_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"
#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/member.h"
#include "daemon/core/cert/stamp.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/sign.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/route/table.h"
#include "daemon/core/signal/message.h"
#include "daemon/core/turn/allocation.h"
#include "daemon/core/turn/uri.h"

/* Packets that wait for one peer while it is being connected. */
#define OVERLAY_QUEUE_PACKETS 64
/* No peer: the packet's destination belongs to nobody we know. */
#define OVERLAY_NO_PEER		  UINT32_MAX
#define OVERLAY_MAX_RELAY_SERVERS 8
#define OVERLAY_MAX_RELAY_TARGETS 8

struct overlay;

struct overlay_params {
	struct random_source random;
	size_t max_peers;
	size_t queue_packets; /* shared by all peers */
	size_t mtu;	      /* largest inner packet in bytes */
	uint16_t ta_ms;	      /* pacing that we propose, 0 = default */
	enum ice_policy policy;
	uint8_t lanes;	   /* that our data plane sends on, and the control lane */
	uint32_t features; /* that peers are told of: SIGNAL_FEATURE_* (signal/handshake.h) */
	uint16_t max_sockets;
	const struct dh_keypair *noise; /* copied to secret memory */
	const uint8_t *certificate;	/* our own, copied */
	size_t certificate_len;
	const uint8_t *authority_public; /* SIGN_PUBLIC_BYTES */
	uint64_t epoch;			 /* higher with every start of the daemon */
	uint64_t last_stamp_us; /* stamp of the newest offer of an earlier life, 0 = none */
	const struct stamp_table *stamps; /* of other hosts' offers, copied; NULL = none */
	uint64_t now_us;
	uint64_t unix_us; /* wall clock at now_us, for validity and stamps */
};

/* How to reach a TURN server. */
struct overlay_relay_target {
	enum turn_transport transport; /* UDP, TCP or TLS */
	struct netaddr address;
};

/* A TURN server whose name has been resolved. */
struct overlay_relay_server {
	uint32_t id;			/* unique in the list; kept when the rest changes */
	char name[TURN_URI_HOST_BYTES]; /* what its certificate has to be for */
	/* Best first; none while its name is not resolved. */
	struct overlay_relay_target targets[OVERLAY_MAX_RELAY_TARGETS];
	size_t target_count;
	const char *username, *password; /* copied */
	uint64_t expires_us;		 /* when the password ends; DEADLINE_NONE = never */
};

enum overlay_relay_state {
	/* There is no target, or no socket of the family of one. */
	OVERLAY_RELAY_UNUSED,
	/* Asked, no answer yet. */
	OVERLAY_RELAY_TRYING,
	/* There is an allocation. */
	OVERLAY_RELAY_READY,
	/* It works; others before it in the list serve. */
	OVERLAY_RELAY_STANDBY,
	/* It does not work: `problem`. It is tried again at `retry_us`. */
	OVERLAY_RELAY_WAITING,
};

/* One TURN server for people. */
struct overlay_relay_info {
	uint32_t id;
	enum overlay_relay_state state;
	uint64_t since_us;
	uint64_t retry_us; /* of the next attempt, DEADLINE_NONE when there is none */
	struct overlay_relay_target target; /* of the allocation or of the last attempt */
	struct netaddr relayed;		    /* of the allocation, or NETADDR_NONE */
	uint64_t rtt_us;		    /* 0 = not known */
	/* What went wrong last, even if it works again. */
	uint64_t problem_us; /* 0 = never */
	enum turn_problem problem;
	uint16_t code; /* the STUN error code, or 0 */
	/* The stream could not be opened or was closed: the shell knows why. */
	bool is_stream_problem;
};

/* Each state is explained above. */
enum overlay_peer_state {
	OVERLAY_PEER_IDLE,
	OVERLAY_PEER_LOOKUP,
	OVERLAY_PEER_OFFERING,
	OVERLAY_PEER_CHECKING,
	OVERLAY_PEER_CONNECTED,
	OVERLAY_PEER_ROAMING,
	OVERLAY_PEER_FAILED,
	OVERLAY_PEER_STATE_COUNT,
};

/* Why the last attempt ended, for people: see overlay_reason_text(). */
enum overlay_reason {
	OVERLAY_REASON_NONE,
	OVERLAY_REASON_ABSENT,	/* the rendezvous says that the peer is not registered */
	OVERLAY_REASON_UNKNOWN, /* the rendezvous knows no such member */
	OVERLAY_REASON_NO_ANSWER,
	OVERLAY_REASON_NO_PATH,	    /* ICE found no working pair */
	OVERLAY_REASON_LOST,	    /* the path stopped working */
	OVERLAY_REASON_CLOSED,	    /* the peer said goodbye */
	OVERLAY_REASON_OFFLINE,	    /* no connection to the rendezvous */
	OVERLAY_REASON_CERTIFICATE, /* the peer's certificate is not acceptable */
	OVERLAY_REASON_REFUSED,	    /* the rendezvous refused to forward */
	OVERLAY_REASON_COUNT,
};

#define OVERLAY_MAX_PREFERENCES 16

struct overlay_preference {
	uint16_t socket;
	uint16_t local_preference; /* as for overlay_add_socket() */
};

/* Why a restart was begun, for people: see overlay_restart_cause_text(). */
enum overlay_restart_cause {
	OVERLAY_RESTART_NONE,
	OVERLAY_RESTART_ADDRESS_LOST, /* the path's local address has gone */
	OVERLAY_RESTART_ADDRESS_NEW,  /* there is a better local address */
	OVERLAY_RESTART_MAPPING,      /* a server sees us at another address than before */
	OVERLAY_RESTART_REROUTED,     /* the path's local address leads into another network */
	OVERLAY_RESTART_PATH_LOST,    /* nothing came back on the path */
	OVERLAY_RESTART_SEND_ERROR,   /* the system refused to send on the path */
	OVERLAY_RESTART_RELAY_GOES,   /* the allocation that the path goes over is given up */
	OVERLAY_RESTART_RELAYED,      /* the path is relayed: perhaps a direct one works now */
	OVERLAY_RESTART_RESUMED,      /* the host has slept */
	OVERLAY_RESTART_ASKED,	      /* overlay_restart() */
	OVERLAY_RESTART_PEER,	      /* the peer began it */
	OVERLAY_RESTART_CAUSE_COUNT,
};

enum overlay_restart_step {
	OVERLAY_RESTART_BEGUN,
	OVERLAY_RESTART_SWITCHED, /* the new path carries the data */
	OVERLAY_RESTART_FAILED,	  /* nothing came of it; the old path stays, if it works */
};

const char *overlay_restart_cause_text(enum overlay_restart_cause c);
const char *overlay_peer_state_name(enum overlay_peer_state s);
const char *overlay_reason_text(enum overlay_reason r);

enum overlay_event_type {
	/* peer: state changed; old_state, state, reason */
	OVERLAY_EVENT_PEER_STATE,
	/* peer, session: keys are there; fetch them with overlay_session_keys() */
	OVERLAY_EVENT_SESSION_ADD,
	/* peer, session: forget its keys */
	OVERLAY_EVENT_SESSION_REMOVE,
	/* peer, session, path: send the peer's packets with this session on this path. By a channel
	 * of `server` when `channel` is not 0. When `by_overlay` is true the data plane cannot:
	 * packets come to overlay_on_packet(), as if there were no path. `is_new_path`: its
	 * addresses are not those that were told last, so that it is news for people as well. */
	OVERLAY_EVENT_PATH,
	/* peer, max_bytes, is_found: its path carries packets of another length */
	OVERLAY_EVENT_PATH_SIZE,
	/* peer: no path any more; packets come to overlay_on_packet() */
	OVERLAY_EVENT_PATH_CLEAR,
	/* peer: its number is free and may become another peer's */
	OVERLAY_EVENT_PEER_FORGOTTEN,
	/* the routing table changed: fetch it with overlay_routes() */
	OVERLAY_EVENT_ROUTES,
	/* registered with the rendezvous; servers in overlay_servers() */
	OVERLAY_EVENT_REGISTERED,
	/* overlay_servers() has new ones, or new credentials for them */
	OVERLAY_EVENT_SERVERS,
	/* no longer registered; it is tried again without help */
	OVERLAY_EVENT_UNREGISTERED,
	/* the rendezvous refused us for good: signal_error */
	OVERLAY_EVENT_REFUSED,
	/* the link to the rendezvous is dead though the system has not noticed: make a new one */
	OVERLAY_EVENT_LINK_DEAD,
	/* peer answered ping_id */
	OVERLAY_EVENT_PONG,
	/* gathering is done, or a local candidate came or went */
	OVERLAY_EVENT_LOCAL_CANDIDATES,
	/* stamp_us went out in an offer: keep it on disk */
	OVERLAY_EVENT_STAMP,
	/* an offer of peer was accepted: keep overlay_stamps() on disk */
	OVERLAY_EVENT_PEER_STAMP,
	/* socket, server: ChannelData may come to the socket from this TURN server, or not any
	 * more */
	OVERLAY_EVENT_RELAY_SERVER_ADD,
	OVERLAY_EVENT_RELAY_SERVER_REMOVE,
	/* socket: open one more at the same address, on another port: overlay_add_spare_socket() */
	OVERLAY_EVENT_WANT_SOCKET,
	/* stream, server, tls: open a stream to this TURN server, with overlay_stream_name() in its
	 * certificate; then overlay_on_stream_open() or overlay_on_stream_closed() */
	OVERLAY_EVENT_STREAM_OPEN,
	/* stream: close it; nothing more is to be said about it */
	OVERLAY_EVENT_STREAM_CLOSE,
	/* peer: restart_step of a restart because of restart_cause */
	OVERLAY_EVENT_RESTART,
};

struct overlay_event {
	enum overlay_event_type type;
	uint32_t peer;
	uint32_t session; /* our receiver index */
	enum overlay_peer_state old_state, state;
	enum overlay_reason reason;
	struct ice_path path;
	bool by_overlay, is_new_path;
	uint16_t max_bytes; /* the longest inner packet that the path carries */
	bool is_found;	    /* max_bytes is the result of a search: see tunnel/pmtu.h */
	uint16_t channel;
	uint16_t socket;
	struct netaddr server;
	uint32_t relay_server; /* the id of the server of a path over a relay or of a stream */
	uint32_t stream;
	bool tls;
	enum overlay_restart_cause restart_cause;
	enum overlay_restart_step restart_step;
	uint64_t ping_id;
	uint64_t stamp_us;
	enum signal_error signal_error;
};

/* What the data plane needs of one session. */
struct overlay_session_keys {
	uint32_t local_index;
	uint32_t remote_index;
	enum aead_cipher cipher;
	uint8_t lanes;	   /* that the peer may send on */
	uint32_t features; /* of the peer: SIGNAL_FEATURE_* */
	uint8_t send_key[AEAD_KEY_BYTES];
	uint8_t receive_key[AEAD_KEY_BYTES];
};

/* One peer for people. Strings live until the next call into the overlay. */
struct overlay_peer_info {
	uint32_t peer;
	uint32_t session;	     /* the one that carries data, 0 = none */
	const char *name;	     /* "" while only an address is known */
	const struct member *member; /* of its certificate; NULL while that is not known */
	bool present;		     /* registered, as far as the rendezvous told */
	enum overlay_peer_state state;
	enum overlay_reason reason;
	uint64_t since_us; /* when it entered the state */
	bool has_path;
	struct ice_path path;
	/* What would carry the data at once if the path were lost. */
	struct ice_path standby[ICE_MAX_STANDBY];
	size_t standby_count;
	uint16_t path_bytes; /* the longest inner packet that it carries; 0: no path */
	enum aead_cipher cipher;
	/* What the overlay has sent itself: control, packets that waited for a path, and all
	 * packets to a peer that is reached over a stream; the data plane counts the others.
	 * `sent_us`: the last packet of `session` that came from the device; 0: none. */
	uint64_t tx_packets, tx_bytes, sent_us;
	/* The last restart, and how many there were, how many led to a switch and how many to
	 * nothing. */
	enum overlay_restart_cause restart_cause;
	uint64_t restart_us; /* 0 = never */
	uint32_t restarts, switches, restart_failures;
};

/* Return: OK; ERR_NO_MEMORY; ERR_INVALID for our own certificate (why is a DROP_* in *ret_why). */
MUST_USE enum err overlay_create(struct overlay **ret, const struct overlay_params *params,
				 enum err *ret_why);
/* Wipes and frees. Queue goodbyes with overlay_close_peers() first and pop their transmits. */
void overlay_destroy(struct overlay *o);

/* The wall clock, when it was set or jumped. */
void overlay_set_wall_clock(struct overlay *o, uint64_t now_us, uint64_t unix_us);
const struct cert *overlay_own_cert(const struct overlay *o);

/* --- the rendezvous --- */

/* The connection to the rendezvous came up or went down. */
void overlay_on_link(struct overlay *o, uint64_t now_us, bool up);
/* One frame from the rendezvous. Return: OK or why it was ignored (counted). */
enum err overlay_on_signal(struct overlay *o, uint64_t now_us, const uint8_t *frame, size_t len);
/* Return: true with the next frame of *ret_len bytes for the rendezvous. @cap is at least
 * SIGNAL_MESSAGE_MAX_BYTES. */
bool overlay_pop_signal(struct overlay *o, uint8_t *buf, size_t cap, size_t *ret_len);
/* Return: true with the next sealed packet that came another way, and which the data plane opens
 * like any other: through a relay from the peer's address *ret_from, or through the rendezvous,
 * which is no path: then *ret_from is NETADDR_NONE. */
bool overlay_pop_inject(struct overlay *o, struct netaddr *ret_from, uint8_t *buf, size_t cap,
			size_t *ret_len);
bool overlay_is_registered(const struct overlay *o);
/* STUN and TURN servers of the last registration. */
const struct signal_server *overlay_servers(const struct overlay *o, size_t *ret_count);

/* --- the network --- */

/* Local sockets and servers: see ice/engine.h, same arguments and errors. */
MUST_USE enum err overlay_add_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
				     const struct netaddr *base, uint16_t local_preference);
void overlay_remove_socket(struct overlay *o, uint64_t now_us, uint16_t socket);
/* The local addresses have another order. A session whose path's address was better than another
 * one and is not any more is restarted. At most OVERLAY_MAX_PREFERENCES count. */
void overlay_set_preferences(struct overlay *o, uint64_t now_us,
			     const struct overlay_preference *preferences, size_t count);
/* @socket has the same address, but its packets go to another gateway: mappings are stale. The
 * servers are asked anew, the sessions whose path goes over it restarted. */
void overlay_on_rerouted(struct overlay *o, uint64_t now_us, uint16_t socket);
MUST_USE enum err overlay_set_stun_servers(struct overlay *o, uint64_t now_us,
					   const struct netaddr *servers, size_t count);
/* See ice_engine_stun_server_info(). */
bool overlay_stun_server_info(const struct overlay *o, size_t i, struct ice_stun_server_info *ret);
const struct ice_candidate *overlay_local_candidates(const struct overlay *o, size_t *ret_count);

/* The TURN servers, best first; credentials may change at any time, those of an allocation that
 * stands are replaced in good time without a cut. Return: OK; ERR_LIMIT above
 * OVERLAY_MAX_RELAY_SERVERS; ERR_INVALID: an id that stands twice, or an address, transport or text
 * that cannot be; then nothing was changed. */
MUST_USE enum err overlay_set_relay_servers(struct overlay *o, uint64_t now_us,
					    const struct overlay_relay_server *servers,
					    size_t count);
/* After WANT_SOCKET: a second socket at an address, for allocations only, removed like any
 * other. */
void overlay_add_spare_socket(struct overlay *o, uint64_t now_us, uint16_t socket,
			      const struct netaddr *base, uint16_t local_preference);
/* Server @i of the list. Return: false when there are fewer. */
bool overlay_relay_info(const struct overlay *o, size_t i, struct overlay_relay_info *ret);
/* Which server @path goes over. Return: false when it goes over none of ours. */
bool overlay_relay_of_path(const struct overlay *o, const struct ice_path *path, uint32_t *ret_id,
			   enum turn_transport *ret_transport);

/* Streams to TURN servers, see STREAM_OPEN. A stream that is not known is ignored. */
void overlay_on_stream_open(struct overlay *o, uint64_t now_us, uint32_t stream);
void overlay_on_stream_bytes(struct overlay *o, uint64_t now_us, uint32_t stream,
			     const uint8_t *buf, size_t len);
/* It has ended, or could not be opened. */
void overlay_on_stream_closed(struct overlay *o, uint64_t now_us, uint32_t stream);
/* The next bytes for @stream; pop them only while it takes them, the queue behind this is bounded
 * and drops what is too much. @cap as for overlay_pop_transmit(). Return: false when there are
 * none. */
bool overlay_pop_stream(struct overlay *o, uint32_t stream, uint8_t *buf, size_t cap,
			size_t *ret_len);
/* What the certificate of the other end has to be for; valid until the next call. NULL when the
 * stream is not known. */
const char *overlay_stream_name(const struct overlay *o, uint32_t stream);

/* One datagram that arrived on @socket and is STUN (first byte 0..3), or ChannelData of a TURN
 * server that the data plane did not want (64..79). Return: OK or why it was ignored (counted). */
enum err overlay_on_datagram(struct overlay *o, uint64_t now_us, uint16_t socket,
			     const struct netaddr *from, const uint8_t *buf, size_t len);
/* The system refused to send to @to. */
void overlay_on_send_error(struct overlay *o, uint64_t now_us, uint16_t socket,
			   const struct netaddr *to);
/* The system refused to send @len bytes to @to because that is too long for the link (EMSGSIZE). */
void overlay_on_too_long(struct overlay *o, uint64_t now_us, uint16_t socket,
			 const struct netaddr *to, size_t len);
/* The same of a packet of the data plane to @peer. */
void overlay_on_packet_too_long(struct overlay *o, uint64_t now_us, uint32_t peer);
/* Return: true with the next datagram; @cap is at least 2560 bytes and mtu + 128. */
bool overlay_pop_transmit(struct overlay *o, struct ice_transmit *ret, uint8_t *buf, size_t cap);

/* --- what the data plane hands over --- */

/* A control packet that @session of @peer opened. @over_path: it came from the network, and not
 * through the rendezvous (overlay_pop_inject()). Return: OK or why it was ignored (counted). */
enum err overlay_on_control(struct overlay *o, uint64_t now_us, uint32_t peer, uint32_t session,
			    bool over_path, const uint8_t *text, size_t len);
/* A packet from the TUN device that had no path. It is queued and its peer is connected.
 * Return: OK; DROP_NO_ROUTE; DROP_QUEUE_FULL; DROP_LIMIT; DROP_TRUNCATED, DROP_MALFORMED,
 * DROP_TOO_LONG. */
enum err overlay_on_packet(struct overlay *o, uint64_t now_us, const uint8_t *packet, size_t len);
/* Authenticated packets came from @peer since the last call: ICE counts them as liveness. With
 * @session's key the data plane's busiest lane has sealed @sealed_packets: keys wear out by use. */
void overlay_on_authenticated(struct overlay *o, uint64_t now_us, uint32_t peer, uint32_t session,
			      uint64_t sealed_packets);

/* Packets go out to @peer, and nothing authenticated has come back for a second: the peer is asked
 * for an answer, and where the path goes over a relay of ours, its server whether it still knows
 * us. If there is still nothing a second later, a restart looks for another path. To be repeated
 * each second. */
void overlay_on_unanswered(struct overlay *o, uint64_t now_us, uint32_t peer);

/* --- peers --- */

/* Finds a peer by identifier, and starts to connect it at once where it is not. For a name that is
 * not known yet a lookup starts. Return: OK with *ret_peer; ERR_INVALID for a name that is no
 * identifier or our own; ERR_LIMIT. */
MUST_USE enum err overlay_connect(struct overlay *o, uint64_t now_us, const char *name,
				  uint32_t *ret_peer);
/* Sends a ping inside the tunnel. Return: OK, ERR_WRONG_STATE while there is no path,
 * ERR_NOT_FOUND. */
MUST_USE enum err overlay_ping(struct overlay *o, uint64_t now_us, uint32_t peer, uint64_t ping_id);
/* Begins a restart now. Return: OK; ERR_NOT_FOUND; ERR_WRONG_STATE when there is no session to
 * restart, or one is under way. */
MUST_USE enum err overlay_restart(struct overlay *o, uint64_t now_us, uint32_t peer);
/* The host has slept: nobody knows what the NATs have kept. Asks STUN and TURN servers anew,
 * restarts every session. */
void overlay_on_resume(struct overlay *o, uint64_t now_us);
/* Says goodbye to every peer that is connected and to the rendezvous, and gives the relays back:
 * overlay_pop_transmit() has that when the goodbyes over them are popped. */
void overlay_close_peers(struct overlay *o, uint64_t now_us);

/* Walks over the peers: *cursor starts at 0. Return: false at the end. */
bool overlay_next_peer(const struct overlay *o, uint32_t *cursor, struct overlay_peer_info *ret);
MUST_USE enum err overlay_peer(const struct overlay *o, uint32_t peer,
			       struct overlay_peer_info *ret);
/* Return: OK, ERR_NOT_FOUND. Wipe *ret with secret_wipe(). */
MUST_USE enum err overlay_session_keys(struct overlay *o, uint32_t peer, uint32_t session,
				       struct overlay_session_keys *ret);
const struct route_table *overlay_routes(const struct overlay *o);
/* Of other hosts' offers: what overlay_params.stamps wants at the next start. */
const struct stamp_table *overlay_stamps(const struct overlay *o);
const struct drop_counters *overlay_drops(const struct overlay *o);
const struct drop_counters *overlay_ice_drops(const struct overlay *o);

/* --- time and events --- */

uint64_t overlay_next_deadline(const struct overlay *o);
void overlay_on_deadline(struct overlay *o, uint64_t now_us);
bool overlay_pop_event(struct overlay *o, struct overlay_event *ret);
/* Something waits for one of the pop functions. */
bool overlay_has_output(const struct overlay *o);

#endif
