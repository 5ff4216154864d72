/*
 * What the parts of the mesh share: mesh_network.c is the way of a datagram, mesh_turn.c the TURN
 * servers and the streams to them, mesh_server.c the rendezvous, mesh.c the hosts and the time.
 */
#ifndef ICETUN_TESTS_SUPPORT_MESH_INTERNAL_H
#define ICETUN_TESTS_SUPPORT_MESH_INTERNAL_H

#include "tests/support/mesh.h"

#include "daemon/core/signal/message.h"

#define TURN_UDP_PORT	 3478
#define TURN_STREAM_PORT 3479
#define STREAM_PORTS	 20000

/* On its way from someone to someone else. */
struct mesh_message {
	struct mesh_message *next;
	uint64_t at_us;
	struct mesh_host *to;
	struct turn_server *turn; /* or to this server: from a client, or for a relayed address */
	bool is_frame, is_opening, is_closing, is_lost;
	struct netaddr from, dest;
	uint32_t stream; /* 0 = UDP */
	size_t len;
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
};

/* Puts a message on its way. Return: it, whose addressee is to be filled in. */
struct mesh_message *mesh_fly_raw(struct mesh *m, uint64_t delay_us, const uint8_t *buf,
				  size_t len);
/* To a host; from and dest may be NULL. */
void mesh_fly_after(struct mesh *m, uint64_t delay_us, struct mesh_host *to, bool is_frame,
		    const struct netaddr *from, const struct netaddr *dest, const uint8_t *buf,
		    size_t len);
/* The same after the usual time, with jitter. */
void mesh_fly(struct mesh *m, struct mesh_host *to, bool is_frame, const struct netaddr *from,
	      const struct netaddr *dest, const uint8_t *buf, size_t len);

struct netaddr mesh_stun_server(void);
/* How the others see socket @number of @h. */
struct netaddr mesh_outside(const struct mesh_host *h, uint16_t number);
/* Return: the number of the socket of @h that others see at @addr, or 0. */
uint16_t mesh_socket_at(const struct mesh_host *h, const struct netaddr *addr);
/* Return: who is seen at @addr, or NULL. */
struct mesh_host *mesh_host_at(struct mesh *m, const struct netaddr *addr);
void mesh_send_datagram(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
			const uint8_t *buf, size_t len);

struct netaddr mesh_turn_address(size_t i, uint16_t port);
/* Return: the TURN server with this IP address, or NULL. */
struct turn_server *mesh_turn_at(struct mesh *m, const struct netaddr *addr);
/* From a client, or for a relayed address. */
void mesh_turn_deliver(struct mesh *m, const struct mesh_message *f);
void mesh_open_stream(struct mesh_host *h, const struct overlay_event *e);
void mesh_close_stream(struct mesh_host *h, uint32_t number);
/* Sends what the overlay has for its streams. */
void mesh_write_streams(struct mesh_host *h);
void mesh_deliver_stream(struct mesh_host *h, const struct mesh_message *f);

/* A message of @from to the rendezvous. */
void mesh_on_frame(struct mesh_host *from, const uint8_t *buf, size_t len);

#endif
