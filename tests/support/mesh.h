/*
 * Whole hosts (struct overlay) with virtual time, a flat network and a rendezvous that only
 * forwards: enough to test the peer room without I/O. Time moves only in mesh_run(), from event to
 * event.
 *
 * A test may look at each datagram and frame on its way, and drop it (`filter_*`). Hosts have the
 * names "alice", "bob", "carol", "host4" and so on, the overlay addresses 10.77.0.1, .2, .3 ... and
 * one socket each at 192.0.2.1, .2, .3 ... A host has keys for all peers, but sends packets of its
 * TUN to the last one that it got a path for. With `nat` each of them is behind a NAT of its own,
 * seen as 198.51.100.1, .2, .3 and reached there only; a STUN server at 203.0.113.1 answers after
 * `stun_delay_us`.
 *
 * Hosts move by mesh_add_address() and mesh_remove_socket(); nobody translates further addresses.
 *
 * There are two TURN servers, at 203.0.113.10 and .20, port 3478 for UDP, 3479 for streams. Hosts
 * learn of them from the test. What goes from host to host without a relay is lost while
 * `direct_blocked`; with `udp_blocked` a host has streams only.
 */
#ifndef ICETUN_TESTS_MESH_H
#define ICETUN_TESTS_MESH_H

#include "daemon/core/crypto/random.h"
#include "daemon/core/peer/overlay.h"
#include "daemon/core/tunnel/keys.h"
#include "tests/support/turn_server.h"

#define MESH_MAX_TURN	 2
#define MESH_MAX_STREAMS 8
#define MESH_MAX_HOSTS	 200
#define MESH_MAX_MOVES	 64
#define MESH_FIRST_MOVE	 100 /* number of the socket at the first further address */
#define MESH_DELAY_US	 (10 * US_PER_MS)

struct mesh;

struct mesh_session {
	uint32_t peer, index;
	struct tunnel_tx *tx;
	struct tunnel_rx *rx;
};

struct mesh_server {
	uint16_t socket; /* 0: free */
	struct netaddr addr;
};

struct mesh_stream {
	uint32_t number; /* 0 = none */
	struct turn_server *server;
};

struct mesh_host {
	struct mesh *mesh;
	char name[16];
	struct dh_keypair noise;
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
	struct overlay *overlay;
	struct netaddr socket, address;
	bool link_up;
	bool is_registered; /* at the server */
	uint64_t epoch;
	struct stamp_table stamps; /* kept over a restart */
	/* The data plane. */
	struct mesh_session *sessions;
	size_t session_places;
	bool has_path; /* that the data plane can use */
	uint32_t path_session;
	struct ice_path path;
	struct netaddr path_server;
	uint16_t path_channel;
	bool path_by_overlay;
	uint16_t path_bytes;
	bool path_is_found;
	struct mesh_server servers[8]; /* whose ChannelData is taken */
	/* Streams to TURN servers. */
	struct mesh_stream streams[MESH_MAX_STREAMS];
	/* From the next start on. */
	enum ice_policy policy;
	size_t mtu;	   /* 0: 1280 */
	bool is_old;	   /* knows no features */
	size_t link_bytes; /* datagrams that are longer are refused; 0: none */
	bool udp_blocked, tcp_blocked, no_spare;
	uint16_t next_socket;			/* 1 is the first; a spare one has another port */
	bool first_is_gone;			/* socket 1 and its spares */
	struct netaddr further[MESH_MAX_MOVES]; /* of socket MESH_FIRST_MOVE + i, or NETADDR_NONE */
	/* What the test asks about. */
	struct overlay_event log[512];
	size_t log_count;
	uint8_t last_packet[2048];
	size_t last_packet_len;
	size_t packets;	   /* IP packets received */
	uint64_t sequence; /* of the next packet sent */
};

struct mesh_message; /* on its way */

/* Told of all that happens. Each may be NULL. */
struct mesh_watch {
	void (*sent)(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
		     const uint8_t *buf, size_t len);
	void (*received)(struct mesh_host *h, uint16_t socket, const struct netaddr *from,
			 const uint8_t *buf, size_t len);
	/* What was sealed: @plain is NULL when it did not open; else it was of @session. */
	void (*opened)(struct mesh_host *h, uint32_t session, bool over_path, const uint8_t *buf,
		       size_t len, const uint8_t *plain, size_t plain_len);
	/* A frame of the rendezvous, and what the host said to it. */
	void (*frame)(struct mesh_host *h, const uint8_t *buf, size_t len, enum err result);
	void (*event)(struct mesh_host *h, const struct overlay_event *e);
};

struct mesh {
	uint64_t now_us;
	struct random_seeded seed;
	uint8_t authority_public[SIGN_PUBLIC_BYTES], authority_secret[SIGN_SECRET_BYTES];
	struct mesh_host *hosts;
	size_t host_count;
	struct mesh_message *flying; /* sorted by arrival */
	uint16_t next_port;	     /* of a further address */
	size_t max_peers;	     /* of hosts that start from now on; 0: as many as needed */
	bool server_down;
	bool nat;
	uint64_t stun_delay_us;
	struct turn_server turn[MESH_MAX_TURN];
	bool direct_blocked;
	struct netaddr dead; /* what is sent to it is lost */
	/* Datagrams and frames between hosts take up to this much longer, each on its own. */
	uint64_t jitter_us, frame_jitter_us;
	uint32_t twice_permille; /* of the datagrams between hosts arrive twice */
	const struct mesh_watch *watch;
	/* Return: false to drop. NULL: everything passes. */
	bool (*filter_datagram)(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
				size_t len);
	bool (*filter_frame)(struct mesh *m, const struct mesh_host *from,
			     struct signal_message *message);
};

/* @hosts: at most MESH_MAX_HOSTS. */
void mesh_create(struct mesh *m, size_t hosts, uint64_t seed);
/* From now on behind NATs; the hosts are told of the STUN server. */
void mesh_set_nat(struct mesh *m, uint64_t stun_delay_us);
/* How to reach TURN server @i; for overlay_set_relay_servers(). */
struct overlay_relay_target mesh_turn_target(size_t i, enum turn_transport transport);
/* The server closes all its streams. */
void mesh_break_streams(struct mesh *m, struct turn_server *server);
void mesh_destroy(struct mesh *m);
/* Stops and starts the daemon of @h: sessions are forgotten, the identity stays. */
void mesh_restart(struct mesh_host *h);
/* Its place is taken by another host, for which nobody is prepared: number @number, from 1 to
 * 65533. The data planes of the others forget it, too; their overlays do not know that it has
 * gone. */
void mesh_replace(struct mesh_host *h, uint16_t number);
/* The connections to the server, all at once. */
void mesh_set_server(struct mesh *m, bool up);
/* Until @done says so or @limit_us have passed. Return: whether it was done. */
bool mesh_run(struct mesh *m, uint64_t limit_us, bool (*done)(struct mesh *m));
/* The host has one more address, with a socket. Return: its number. */
uint16_t mesh_add_address(struct mesh_host *h, const struct netaddr *address, uint16_t preference);
/* The address of a socket has gone. */
void mesh_remove_socket(struct mesh_host *h, uint16_t number);
/* Whether what @h sends from @socket to @to arrives at a host, and what that sends back too, but
 * for chance. */
bool mesh_is_alive(struct mesh_host *h, uint16_t socket, const struct netaddr *to);
/* An IPv4 packet of @len bytes (20..1280) from @h to @to goes into the TUN of @h. With 28 bytes or
 * more it has h->sequence in it, after the header. */
void mesh_send_packet(struct mesh_host *h, const struct mesh_host *to, size_t len);
enum overlay_peer_state mesh_state(const struct mesh_host *h, const char *peer);
/* How many events of @type the host has seen. */
size_t mesh_count(const struct mesh_host *h, enum overlay_event_type type);

#endif
