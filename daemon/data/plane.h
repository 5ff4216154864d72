/*
 * The data plane: packets between the TUN device and the peers, and nothing else.
 *
 * Theory of operation
 *
 * One control thread calls every function below. Workers, threads with an epoll loop of their own,
 * move packets and decide nothing: what to do with a packet stands in blocks that the control
 * thread makes, never changes again, and publishes by one atomic pointer:
 *
 *	routes    overlay address -> peer number			data_plane_set_routes()
 *	sessions  receiver index -> keys, peer, addresses it may use	data_plane_add_session()
 *	paths     peer number -> session, socket, remote address	data_plane_set_path()
 *
 * A block that was replaced is freed once every worker has been seen outside the loop that might
 * still use it (qsbr.h). What changes with each packet (the counter of the worker's lane, replay
 * windows, statistics) belongs to the session and is written by the worker only. So the packet path
 * has no lock and no allocation, and a path may change under full load: the session goes on with
 * the next counter, packets under way stay valid because they are found by index, not by address.
 *
 * A datagram's first byte decides: 0-3 STUN, 64-79 TURN's ChannelData, 192-255 ours, anything else
 * is dropped. ChannelData counts only from a server that was added to the socket it came to; what
 * is in it is either ours, and opened where it stands, or the control thread's. Packets are opened
 * by receiver index; the inner source must lie in the session's `allowed`.
 *
 * Packets move in trains. What the kernel hands out of the TUN as one superpacket is cut and sealed
 * straight into the send slab (core/tunnel/segment.h), and goes to the kernel as one datagram of 64
 * KiB with the size to cut it to (UDP_SEGMENT), several of them with one call. What the kernel has
 * joined of a peer's datagrams (UDP_GRO) is opened where it lies, put in order, joined flow by flow
 * (core/tunnel/coalesce.h), and written to the TUN as one superpacket. A train is what is there,
 * never what may come: a single packet leaves at once. Each direction takes at most a budget per
 * turn, so neither starves the other.
 *
 * Each of these offloads is looked for when a plane or a socket is made, has a switch in struct
 * data_params, and is given up for good when the kernel refuses it later, packet by packet, without
 * losing what was under way; data_plane_offloads() says what is in use.
 *
 * Everything that needs thought goes to the control thread through bounded rings, one for each kind
 * of sender, so that a flood of one kind cannot push out another: inputs that are authenticated or
 * our own, STUN from anyone or through a relay, packets that wait for a path. data_plane_pop()
 * takes them in this order.
 *
 * A tunnel packet that came another way, inside a TURN indication, over a stream, or through the
 * rendezvous, goes from the control thread to the worker by data_plane_inject(): windows and
 * statistics stay where they are.
 *
 * Workers share nothing that one packet changes. Worker w owns queue w of the TUN and socket w of
 * each local address, and seals with lane 1 + w; the control thread sends on socket 0, with lane 0.
 * Several sockets on one address are a reuseport group, which net_udp_open_group() has told to hand
 * each datagram to the socket of its lane: so a flow that one worker of the peer sends stays with
 * one worker here, and in order. Nothing depends on it: the kernel may join datagrams of two lanes,
 * and a peer may have more workers than we. Any worker opens any packet, for replay windows are
 * made for that (core/tunnel/window.h), and each has a prepared key of its own.
 */
#ifndef ICETUN_DATA_PLANE_H
#define ICETUN_DATA_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/route/table.h"

#define DATA_NO_PEER	      UINT32_MAX
#define DATA_NO_SOCKET	      UINT16_MAX /* the rendezvous: no path */
#define DATA_MAX_WORKERS      8
#define DATA_FIRST_LANE	      1 /* worker w seals with this lane + w; below is control's */
#define DATA_MAX_SOCKETS      256
#define DATA_MAX_SERVERS      16 /* of one socket */
#define DATA_MAX_ALLOWED      16
#define DATA_MAX_PACKET_BYTES 65535

struct data_plane;

/* In data_params: what may be used. From data_plane_offloads(): what is. */
struct data_offloads {
	bool vnet_header; /* the TUN has headers (tun/vnet.h) in front of packets */
	bool tun_tcp;	  /* TCP superpackets are written to the TUN; needs the header */
	bool tun_udp;	  /* the same of UDP */
	bool udp_segment; /* trains to the network */
	bool udp_gro;	  /* trains from the network */
	bool partial;	  /* checksums stay partial where the peer takes that; needs the header */
};

struct data_params {
	/* One for each worker, nonblocking, one packet a read; stay the caller's. */
	int tun_fds[DATA_MAX_WORKERS];
	unsigned int workers; /* 1..DATA_MAX_WORKERS */
	size_t max_peers;     /* peer numbers are below this; 1..2^20 */
	size_t max_sessions;  /* 1..2^21; old and new key of a peer are two */
	size_t ring_bytes; /* of each of the four rings of a worker, 4096..2^26, a power of two */
	struct data_offloads offloads; /* vnet_header must be what the TUN has */
};

/* Starts the workers, with all signals blocked in them. Return: OK; ERR_INVALID for a parameter out
 * of its range (more workers than there can be, too); ERR_NO_MEMORY; ERR_SYSTEM. */
MUST_USE enum err data_plane_create(struct data_plane **ret, const struct data_params *params);
/* Stops and joins the workers, wipes the keys. Closes neither the TUN nor the sockets. NULL is
 * fine. */
void data_plane_destroy(struct data_plane *d);

/* --- sockets --------------------------------------------------------------------------------- */

/* @fds: @count nonblocking UDP sockets on one address, one for each worker, or a single one, which
 * then all workers use. They stay the caller's and must stay open until data_plane_remove_socket()
 * has returned. Return: OK; ERR_INVALID for DATA_NO_SOCKET or another @count; ERR_EXISTS;
 * ERR_LIMIT; ERR_NO_MEMORY; ERR_SYSTEM when a descriptor cannot be polled. */
MUST_USE enum err data_plane_add_socket(struct data_plane *d, uint16_t socket, const int *fds,
					size_t count);
/* Also clears every path over this socket. When it returns, no worker uses the descriptor.
 * An unknown @socket is fine. */
void data_plane_remove_socket(struct data_plane *d, uint16_t socket);

/* From now on ChannelData (RFC 8656 s. 12.4) that comes to @socket from exactly this address is
 * taken: a packet of ours in it is opened, and says in struct data_input that it came from @server;
 * anything else comes up as DATA_INPUT_RELAYED. Paths may use a channel of a server with or without
 * this. Return: OK; ERR_NOT_FOUND for an unknown socket; ERR_INVALID for no address or no port;
 * ERR_EXISTS; ERR_LIMIT; ERR_NO_MEMORY. */
MUST_USE enum err data_plane_add_server(struct data_plane *d, uint16_t socket,
					const struct netaddr *server);
/* An unknown socket or server is fine; data_plane_remove_socket() removes its servers, too. */
void data_plane_remove_server(struct data_plane *d, uint16_t socket, const struct netaddr *server);

/* --- sessions, paths, routes ----------------------------------------------------------------- */

struct data_session_params {
	uint32_t peer;
	uint32_t local_index;  /* what stands in packets to us; unique among live sessions */
	uint32_t remote_index; /* what stands in packets to the peer */
	enum aead_cipher cipher;
	const uint8_t *send_key; /* AEAD_KEY_BYTES each, copied */
	const uint8_t *receive_key;
	uint8_t lanes;			 /* lanes that the peer may use, 1..TUNNEL_LANES_MAX */
	bool takes_partial;		 /* TUNNEL_TYPE_PARTIAL may be sent */
	const struct netprefix *allowed; /* inner sources that are the peer's, copied */
	size_t allowed_count;		 /* 0..DATA_MAX_ALLOWED */
};

/* From now on packets for @local_index are opened. The keys must never have been given before, here
 * or to another plane: counters begin at zero, so nonces would repeat. Return: OK; ERR_INVALID;
 * ERR_EXISTS for a used index; ERR_LIMIT; ERR_NO_MEMORY; ERR_CRYPTO. */
MUST_USE enum err data_plane_add_session(struct data_plane *d,
					 const struct data_session_params *params);
/* Also clears the peer's path when it uses this session. Its statistics stay in the peer's. An
 * unknown index is fine. */
void data_plane_remove_session(struct data_plane *d, uint32_t local_index);

/* Prepared keys of sessions that have moved nothing since @before_us, CLOCK_MONOTONIC, are given
 * back: they take a kilobyte for each worker and direction. The next packet prepares them again.
 * Return: how many. */
size_t data_plane_rest(struct data_plane *d, uint64_t before_us);

struct data_path {
	uint16_t socket;
	struct netaddr remote;
	/* 0, or the TURN channel (0x4000..0x4fff): each datagram is then sent as ChannelData
	 * (RFC 8656 s. 12.4) and @remote is the TURN server. */
	uint16_t channel;
	uint16_t max_bytes; /* longest inner packet that it takes; 0: no limit is known */
	/* max_bytes is known, not assumed: hosts are told when their packets are longer. */
	bool is_found;
	/* Packets leave by this device, 0 = as the socket and the routes say. IPv4 only. A default
	 * route over another device then takes no packet from a path that works. */
	int ifindex;
};

/* From now on packets for @peer are sealed with this session and sent on this path. Of what is
 * longer than the path takes, TCP is cut, and IPv4 without DF fragmented. IPv6 up to 1,280 bytes,
 * which every path has to carry, is sent in a datagram without DF. The rest is DROP_TOO_LONG; if
 * the size is_found its sender is told by an ICMP message into the TUN, so often in a second
 * (tx_too_big), and the MSS of SYNs is lowered to it in both directions. A path that is set again
 * for the same session keeps the device that it had: that is the one it was checked over.
 * Return: OK; ERR_NOT_FOUND for an unknown session or socket; ERR_INVALID when the session is
 * another peer's, or the remote address or channel is none; ERR_NO_MEMORY. */
MUST_USE enum err data_plane_set_path(struct data_plane *d, uint32_t peer, uint32_t local_index,
				      const struct data_path *path);
/* The same path carries packets of another length. Return: OK; ERR_NOT_FOUND without a path;
 * ERR_NO_MEMORY. */
MUST_USE enum err data_plane_set_path_size(struct data_plane *d, uint32_t peer, uint16_t max_bytes,
					   bool is_found);
/* From now on packets for @peer come up as DATA_INPUT_UNROUTED. */
void data_plane_clear_path(struct data_plane *d, uint32_t peer);
/* Removes path and sessions, waits for the workers, and forgets the statistics: @peer may then be
 * another peer's number. */
void data_plane_remove_peer(struct data_plane *d, uint32_t peer);

/* Copies @table. Return: OK, ERR_NO_MEMORY. */
MUST_USE enum err data_plane_set_routes(struct data_plane *d, const struct route_table *table);

/* --- inputs for the control thread ----------------------------------------------------------- */

enum data_input_kind {
	/* An opened control message of a peer; the bytes are its plaintext. */
	DATA_INPUT_CONTROL,
	/* The system refused to send on a path: at most once for each data_plane_set_path(). */
	DATA_INPUT_SEND_ERROR,
	/* The system refused to send packets on a path because they are too long for the link: at
	 * most once for each data_plane_set_path() and data_plane_set_path_size(). */
	DATA_INPUT_TOO_LONG,
	/* The TUN device is gone; nothing is read from it any more. */
	DATA_INPUT_TUN_LOST,
	/* A datagram that is framed as STUN; nothing in it is checked. */
	DATA_INPUT_STUN,
	/* ChannelData from a server, with header and any padding, whose length is right and which
	 * holds no packet of ours: STUN through the relay, or nothing. */
	DATA_INPUT_RELAYED,
	/* An IP packet from the TUN, for a peer without a path or an address that is
	 * ROUTE_UNRESOLVED. */
	DATA_INPUT_UNROUTED,
};

/* In brackets: the kinds in which the field means something; it is zero in the others. */
struct data_input {
	enum data_input_kind kind;
	enum err error;	      /* as net_error() has it [SEND_ERROR, TOO_LONG], ERR_IO [TUN_LOST] */
	uint32_t peer;	      /* [CONTROL, SEND_ERROR, TOO_LONG, UNROUTED: or DATA_NO_PEER] */
	uint32_t local_index; /* [CONTROL, SEND_ERROR, TOO_LONG] */
	/* Where it came in [CONTROL: or DATA_NO_SOCKET; STUN, RELAYED] or went out
	 * [SEND_ERROR, TOO_LONG]. */
	uint16_t socket;
	/* The datagram's source [CONTROL, STUN, RELAYED] or destination [SEND_ERROR, TOO_LONG]; the
	 * inner packet's destination with port 0 [UNROUTED]. */
	struct netaddr remote;
	uint64_t now_us; /* CLOCK_MONOTONIC when the worker had it */
	size_t len;	 /* bytes that came along [CONTROL, STUN, RELAYED, UNROUTED] */
};

/* Readable while data_plane_pop() has something. Poll it only; pop reads it. */
int data_plane_wakeup_fd(const struct data_plane *d);
/* @buf takes the bytes; with @cap >= DATA_MAX_PACKET_BYTES nothing is ever too long, otherwise an
 * input that is longer is lost (counted in pop_too_long). Return: false when nothing is waiting;
 * the wakeup descriptor is quiet then. */
bool data_plane_pop(struct data_plane *d, struct data_input *ret, uint8_t *buf, size_t cap);

/* Hands one IP packet, checked by the caller, to the TUN. Return: OK, DROP_QUEUE_FULL,
 * DROP_SEND. */
MUST_USE enum err data_plane_write_tun(struct data_plane *d, const uint8_t *packet, size_t len);

/* Hands one tunnel packet to the worker, which opens it like a datagram that arrived on @socket
 * from @from; @socket need not be one that was added. DATA_NO_SOCKET: it came through the
 * rendezvous. Then it is opened and counted as any, but is no sign of life of a path: last_rx_us
 * stays as it is. @packet is copied. Return: OK; DROP_QUEUE_FULL when the ring to the worker is
 * full; DROP_TRUNCATED, DROP_TOO_LONG, DROP_UNKNOWN_TYPE when it cannot be a tunnel packet. Only
 * what was taken is counted, by the worker. */
MUST_USE enum err data_plane_inject(struct data_plane *d, const uint8_t *packet, size_t len,
				    uint16_t socket, const struct netaddr *from);

/* --- statistics ------------------------------------------------------------------------------ */

struct data_stats {
	uint64_t rx_packets; /* authentic packets of any kind, empty ones too */
	uint64_t rx_bytes;   /* what was inside them */
	uint64_t tx_packets; /* packets that the system took */
	uint64_t tx_bytes;   /* what was inside them */
	uint64_t last_rx_us; /* CLOCK_MONOTONIC; 0: none yet. Not of DATA_NO_SOCKET. */
	uint64_t last_tx_us;
};

/* Over all sessions that @peer has had since data_plane_remove_peer(); all zero when unknown. */
void data_plane_peer_stats(const struct data_plane *d, uint32_t peer, struct data_stats *ret);
/* Of one live session. Return: false for an unknown index. */
bool data_plane_session_stats(const struct data_plane *d, uint32_t local_index,
			      struct data_stats *ret);

/*
 * Where every packet went. Once no packet is under way:
 *	tun_in = tx_sent + tx_unrouted + sum of tx_drops
 *	udp_in + rx_injected = rx_tun + rx_control + rx_stun + rx_relayed + rx_empty
 *		+ sum of rx_drops
 * What is in a ring but not popped yet counts as handed over; what did not fit is DROP_QUEUE_FULL.
 */
struct data_counters {
	uint64_t tun_in;      /* packets read from the TUN, those in superpackets singly */
	uint64_t tx_sent;     /* of these: sent to a peer */
	uint64_t tx_unrouted; /* of these: handed to control */
	struct drop_counters tx_drops;
	/* messages to the TUN that a packet was too long: see data_plane_set_path() */
	uint64_t tx_too_big;
	uint64_t udp_in;      /* datagrams received, those that came joined singly */
	uint64_t rx_injected; /* packets taken from data_plane_inject() */
	uint64_t rx_tun;      /* of both: written to the TUN */
	uint64_t rx_control;  /* of both: handed to control */
	uint64_t rx_stun;     /* of these: handed to control */
	uint64_t rx_relayed;  /* of these: handed to control */
	uint64_t rx_empty;    /* of both: authentic and empty (a keepalive) */
	struct drop_counters rx_drops;
	uint64_t overflow; /* datagrams that the system had no room for: in none of the above */
	uint64_t tun_from_control; /* packets that data_plane_write_tun() has written */
	uint64_t pop_too_long;	   /* inputs that did not fit the buffer of data_plane_pop() */
};

/* Switches those that differ from what was asked for before, here or in data_params: on, also when
 * the kernel has refused one meanwhile, or off. vnet_header is not looked at. What is under way is
 * finished as it was begun. */
void data_plane_set_offloads(struct data_plane *d, const struct data_offloads *wanted);
/* What is in use now. */
void data_plane_offloads(const struct data_plane *d, struct data_offloads *ret);
/* Sums of all workers. */
void data_plane_counters(const struct data_plane *d, struct data_counters *ret);
/* tx_drops + rx_drops, by reason. */
void data_plane_drops(const struct data_plane *d, struct drop_counters *ret);

#endif
