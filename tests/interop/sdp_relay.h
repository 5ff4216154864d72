/*
 * One TURN server for icetun-sdp-agent: the allocation of core/turn with a socket, over UDP, TCP or
 * TLS.
 *
 * Each server has a socket of its own, so that its 5-tuple is nobody else's. Connecting blocks:
 * this is a test program that has nothing else to do meanwhile. TLS verifies the server's
 * certificate against the system's store, or the file that SSL_CERT_FILE names.
 */
#ifndef ICETUN_TESTS_INTEROP_SDP_RELAY_H
#define ICETUN_TESTS_INTEROP_SDP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/turn/allocation.h"

struct sdp_relay;

/* Connects, and begins to allocate. Ends the program with a sentence if that is not possible. */
struct sdp_relay *sdp_relay_open(const char *uri, const char *user, const char *password,
				 const struct netaddr *bind_to, uint64_t now_us);
void sdp_relay_close(struct sdp_relay *r);
int sdp_relay_fd(const struct sdp_relay *r);
struct turn_allocation *sdp_relay_allocation(struct sdp_relay *r);
/* Sends what the allocation wants to send. */
void sdp_relay_pump(struct sdp_relay *r);
/* Sends @len bytes to @peer through the server. */
void sdp_relay_send(struct sdp_relay *r, uint64_t now_us, const struct netaddr *peer,
		    const uint8_t *buf, size_t len);
/* Reads what has arrived. Return: true with the next datagram of a peer in *ret, whose bytes live
 * until the next call; false when there is none (left). */
bool sdp_relay_read(struct sdp_relay *r, uint64_t now_us, struct turn_data *ret);

#endif
