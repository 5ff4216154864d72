/* How the service hands messages to connections; the router in the server, a table in tests. */
#ifndef ICETUN_RENDEZVOUS_TRANSPORT_H
#define ICETUN_RENDEZVOUS_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

enum transport_result {
	TRANSPORT_SENT, /* queued to the connection, no more is known */
	TRANSPORT_BUSY, /* the other end does not keep up; try later */
	TRANSPORT_GONE, /* there is no such connection any more */
};

struct transport {
	enum transport_result (*send)(void *ctx, uint32_t connection, const uint8_t *buf,
				      size_t len);
	void *ctx;
};

#endif
