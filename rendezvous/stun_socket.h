/*
 * The UDP socket of the STUN responder, on a libuv loop.
 *
 * A reply leaves from the very address that the request came to, also on a host with several
 * addresses: ICE ignores a response from another one (RFC 8445 s. 7.2.5.2.1).
 */
#ifndef ICETUN_RENDEZVOUS_STUN_SOCKET_H
#define ICETUN_RENDEZVOUS_STUN_SOCKET_H

#include <stdint.h>
#include <uv.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"

struct stun_socket;
struct stun_responder;

/* Binds to @listen (family NETADDR_NONE: all addresses; IPv6 and IPv4 where the host has both) and
 * answers with @responder, which must outlive the socket.
 * Return: OK; ERR_EXISTS the port is in use; ERR_NOT_FOUND the address is not of this host;
 * ERR_PERMISSION; ERR_SYSTEM; ERR_NO_MEMORY. */
MUST_USE enum err stun_socket_create(struct stun_socket **ret, uv_loop_t *loop,
				     const struct netaddr *listen,
				     struct stun_responder *responder);
/* The handle is closed in the next turn of the loop. NULL is fine. */
void stun_socket_destroy(struct stun_socket *s);
/* The port that is bound. */
uint16_t stun_socket_port(const struct stun_socket *s);

#endif
