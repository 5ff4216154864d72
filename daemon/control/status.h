/*
 * What the daemon says about itself: plain values that the application fills in from what it has
 * at hand, without probing or waiting. The control server turns them into the JSON that
 * docs/icetun.varlink defines; a test holds the two together, names of states included.
 *
 * Truthfulness: a state comes from what happened last (a registration that was answered, a packet
 * that authenticated), never from what is intended. Times are ages in milliseconds at the moment
 * of asking, so the reader needs no clock in common with us; CONTROL_NEVER means that it never
 * happened and is left out of the JSON.
 *
 * Strings are NUL-terminated; empty means unknown or not applicable, and is left out as well.
 */
#ifndef ICETUN_CONTROL_STATUS_H
#define ICETUN_CONTROL_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

#define CONTROL_STATUS_SCHEMA "icetun.status/1"
#define CONTROL_PEERS_SCHEMA  "icetun.peers/1"

#define CONTROL_NEVER UINT64_MAX

#define CONTROL_NAME_BYTES	64
#define CONTROL_ENDPOINT_BYTES	288
#define CONTROL_TEXT_BYTES	256
#define CONTROL_TRANSPORT_BYTES 8
#define CONTROL_MAX_ADDRESSES	4
#define CONTROL_MAX_SERVERS	8
#define CONTROL_MAX_CANDIDATES	32

/* The daemon as a whole. */
#define CONTROL_STATE_TABLE(X)                                                                     \
	X(UNJOINED, "unjoined") /* no membership: ictl join */                                     \
	X(DOWN, "down")		/* joined, no device: ictl up */                                   \
	X(STARTING, "starting") /* device, sockets, first registration under way */                \
	X(UP, "up")		/* registered with the rendezvous server */                        \
	X(OFFLINE, "offline")	/* tunnels may live, the server is not reached */                  \
	X(FAILED, "failed")	/* cannot come up without help; see problem */

/* Something that we are a client of: the rendezvous server, a STUN or TURN server. */
#define CONTROL_SERVER_STATE_TABLE(X)                                                              \
	X(OFF, "off")		    /* not in use now */                                           \
	X(CONNECTING, "connecting") /* asked, no answer yet */                                     \
	X(READY, "ready")	    /* registered; the server answered; it relays for us */        \
	X(STANDBY, "standby")	    /* it would relay for us; others do */                         \
	X(WAITING, "waiting")	    /* failed, the next attempt has a time */                      \
	X(REFUSED, "refused")	    /* it answered no; see reason */

/* The helper process that speaks to the rendezvous server. */
#define CONTROL_HELPER_STATE_TABLE(X)                                                              \
	X(STOPPED, "stopped")                                                                      \
	X(RUNNING, "running")                                                                      \
	X(RESTARTING, "restarting") /* it ended and will be started again */

/* One other host. */
#define CONTROL_PEER_STATE_TABLE(X)                                                                \
	X(IDLE, "idle")		    /* no session and no traffic that wants one */                 \
	X(LOOKING_UP, "looking_up") /* asking the server who it is */                              \
	X(EXCHANGING, "exchanging") /* offer sent, answer awaited */                               \
	X(CHECKING, "checking")	    /* ICE tries the paths */                                      \
	X(CONNECTED, "connected")   /* authenticated packets come and go */                        \
	X(ROAMING, "roaming")	    /* the path is lost, the session looks for another */          \
	X(LOST, "lost")		    /* no other path was found; the next packet tries again */     \
	X(ABSENT, "absent")	    /* the server says it is not online */                         \
	X(FAILED, "failed")	    /* no path worked; see last_error */

#define CONTROL_EVENT_KIND_TABLE(X)                                                                \
	X(PEER, "peer")                                                                            \
	X(PATH, "path")                                                                            \
	X(RESTART, "restart")                                                                      \
	X(RENDEZVOUS, "rendezvous")                                                                \
	X(ADDRESSES, "addresses")

#define CONTROL_CANDIDATE_TYPE_TABLE(X)                                                            \
	X(HOST, "host")                                                                            \
	X(SRFLX, "srflx")                                                                          \
	X(PRFLX, "prflx")                                                                          \
	X(RELAY, "relay")

#define CONTROL_PATH_KIND_TABLE(X)                                                                 \
	X(DIRECT, "direct")                                                                        \
	X(RELAYED, "relayed")

#define CONTROL_CIPHER_TABLE(X)                                                                    \
	X(NONE, "")                                                                                \
	X(AES_256_GCM, "AES-256-GCM")                                                              \
	X(CHACHA20_POLY1305, "ChaCha20-Poly1305")

enum control_state {
#define X(code, name) CONTROL_STATE_##code,
	CONTROL_STATE_TABLE(X)
#undef X
		CONTROL_STATE_COUNT
};

enum control_server_state {
#define X(code, name) CONTROL_SERVER_##code,
	CONTROL_SERVER_STATE_TABLE(X)
#undef X
		CONTROL_SERVER_STATE_COUNT
};

enum control_helper_state {
#define X(code, name) CONTROL_HELPER_##code,
	CONTROL_HELPER_STATE_TABLE(X)
#undef X
		CONTROL_HELPER_STATE_COUNT
};

enum control_peer_state {
#define X(code, name) CONTROL_PEER_##code,
	CONTROL_PEER_STATE_TABLE(X)
#undef X
		CONTROL_PEER_STATE_COUNT
};

enum control_event_kind {
#define X(code, name) CONTROL_EVENT_##code,
	CONTROL_EVENT_KIND_TABLE(X)
#undef X
		CONTROL_EVENT_KIND_COUNT
};

/* In the order of enum ice_candidate_type. */
enum control_candidate_type {
#define X(code, name) CONTROL_CANDIDATE_##code,
	CONTROL_CANDIDATE_TYPE_TABLE(X)
#undef X
		CONTROL_CANDIDATE_TYPE_COUNT
};

enum control_path_kind {
#define X(code, name) CONTROL_PATH_##code,
	CONTROL_PATH_KIND_TABLE(X)
#undef X
		CONTROL_PATH_KIND_COUNT
};

enum control_cipher {
#define X(code, name) CONTROL_CIPHER_##code,
	CONTROL_CIPHER_TABLE(X)
#undef X
		CONTROL_CIPHER_COUNT
};

const char *control_state_name(enum control_state s);
const char *control_server_state_name(enum control_server_state s);
const char *control_helper_state_name(enum control_helper_state s);
const char *control_peer_state_name(enum control_peer_state s);
const char *control_candidate_type_name(enum control_candidate_type t);
const char *control_event_kind_name(enum control_event_kind v);
const char *control_path_kind_name(enum control_path_kind k);
const char *control_cipher_name(enum control_cipher c);

/* A server that we use. */
struct control_server_status {
	/* "tcp://host:port", "stun:host:port", "turns:host?transport=tcp" */
	char endpoint[CONTROL_ENDPOINT_BYTES];
	char transport[CONTROL_TRANSPORT_BYTES]; /* of a TURN server: "udp", "tcp", "tls" */
	enum control_server_state state;
	uint64_t since_ms;		     /* how long it has been in this state */
	char reason[CONTROL_TEXT_BYTES];     /* a sentence: why it is in this state */
	char last_error[CONTROL_TEXT_BYTES]; /* a sentence; stays when it works again */
	uint64_t last_error_ms;		     /* how long ago, or CONTROL_NEVER */
	uint64_t retry_ms;		     /* until the next attempt, or CONTROL_NEVER */
	uint64_t rtt_us;		     /* 0: not measured */
};

struct control_candidate {
	enum control_candidate_type type;
	struct netaddr addr;
};

/* Names of the configuration's [Data] Offloads. */
#define CONTROL_OFFLOAD_TABLE(X)                                                                   \
	X(TUN_TCP, "tun-tcp")                                                                      \
	X(TUN_UDP, "tun-udp")                                                                      \
	X(UDP_SEGMENT, "udp-segment")                                                              \
	X(UDP_GRO, "udp-gro")                                                                      \
	X(PARTIAL_CHECKSUMS, "partial-checksums")                                                  \
	X(TUN_QUEUES, "tun-queues")

enum control_offload {
#define X(code, name) CONTROL_OFFLOAD_##code,
	CONTROL_OFFLOAD_TABLE(X)
#undef X
		CONTROL_OFFLOAD_COUNT
};

const char *control_offload_name(enum control_offload o);

/* The threads that move packets, and where each packet went since the network came up:
 *	tun_in = tx_sent + tx_unrouted + tx_drops
 *	udp_in + rx_injected = rx_tun + rx_control + rx_stun + rx_relayed + rx_empty + rx_drops */
struct control_data {
	uint32_t workers;		      /* 0: not up */
	bool offloads[CONTROL_OFFLOAD_COUNT]; /* in use now */
	uint64_t tun_in, tx_sent, tx_unrouted;
	uint64_t tx_too_big; /* messages to hosts */
	struct drop_counters tx_drops;
	uint64_t udp_in, rx_injected, rx_tun, rx_control, rx_stun, rx_relayed, rx_empty;
	struct drop_counters rx_drops;
	uint64_t rx_overflow; /* what the system had no room for: not in udp_in */
};

struct control_status {
	char network[CONTROL_NAME_BYTES];
	char name[CONTROL_NAME_BYTES];			 /* this host's identifier */
	struct netaddr addresses[CONTROL_MAX_ADDRESSES]; /* in the overlay; the port is not shown */
	size_t address_count;
	char interface[16];
	uint32_t mtu_bytes; /* 0: no device */

	enum control_state state;
	uint64_t since_ms;
	char reason[CONTROL_TEXT_BYTES]; /* a sentence for STARTING, OFFLINE and FAILED */
	bool wanted_up;			 /* comes up by itself when the daemon starts */
	uint64_t certificate_left_s;	 /* until the membership ends, or CONTROL_NEVER */

	struct control_server_status rendezvous;
	struct control_server_status stun[CONTROL_MAX_SERVERS];
	size_t stun_count;
	struct control_server_status turn[CONTROL_MAX_SERVERS];
	size_t turn_count;
	struct control_candidate candidates[CONTROL_MAX_CANDIDATES];
	size_t candidate_count;

	enum control_helper_state helper;
	uint32_t helper_restarts;
	struct drop_counters drops; /* of the whole daemon, by reason */
	struct control_data data;
};

struct control_path {
	enum control_path_kind kind;
	enum control_candidate_type local_type;
	struct netaddr local;
	enum control_candidate_type remote_type;
	struct netaddr remote;
	uint64_t rtt_us; /* 0: not measured */
	bool nominated;
	uint32_t mtu_bytes; /* the longest packet of the overlay that it carries; 0: not said */
	/* The TURN server of ours that it goes over; "" for none, or only the peer's. */
	char relay[CONTROL_ENDPOINT_BYTES];
};

#define CONTROL_MAX_STANDBY 2

struct control_peer {
	char name[CONTROL_NAME_BYTES];
	struct netaddr addresses[CONTROL_MAX_ADDRESSES];
	size_t address_count;
	bool online_known; /* whether the server has told */
	bool online;
	enum control_peer_state state;
	uint64_t since_ms;
	bool has_path;
	struct control_path path;
	struct control_path standby[CONTROL_MAX_STANDBY]; /* in case the path is lost */
	size_t standby_count;
	enum control_cipher cipher;
	uint64_t last_received_ms;   /* ago: the last packet that authenticated; or CONTROL_NEVER */
	uint64_t tx_bytes, rx_bytes; /* inside the tunnel */
	uint64_t tx_packets, rx_packets;
	/* ICE restarts. */
	uint32_t restarts, switches, restart_failures;
	uint64_t restart_ms; /* age of the last one */
	char restart_cause[CONTROL_TEXT_BYTES];
	char last_error[CONTROL_TEXT_BYTES]; /* a sentence */
	uint64_t last_error_ms;		     /* ago, or CONTROL_NEVER */
};

/* All zero, and every age at CONTROL_NEVER: what the server hands to the application to fill in. */
void control_status_init(struct control_status *ret);
void control_peer_init(struct control_peer *ret);

#endif
