/*
 * The servers behind a name: SRV records (RFC 2782) as RFC 5928 s. 3 and RFC 8489 s. 8.1 want them.
 *
 * turn_srv_services() says which records to ask for; the shell asks, and turn_srv_expand() makes
 * URIs of the answers, best first. No records at all: the name itself is the server, at the
 * scheme's own port. Only a URI with a name and without a port is looked up in this way. NAPTR
 * records, which RFC 5928 puts before them, would only choose between transports; all transports
 * that there are get tried anyway.
 */
#ifndef ICETUN_TURN_SRV_H
#define ICETUN_TURN_SRV_H

#include "daemon/core/base/random.h"
#include "daemon/core/turn/uri.h"

#define TURN_SRV_SERVICES_MAX 2
#define TURN_SRV_RECORDS_MAX  16 /* of one service; further ones are ignored */
#define TURN_SRV_SERVERS_MAX  4	 /* of one URI */
/* "_turns._tcp." and a host */
#define TURN_SRV_NAME_BYTES (TURN_URI_HOST_BYTES + 12)

struct turn_srv {
	uint16_t priority, weight, port;
	char target[TURN_URI_HOST_BYTES]; /* "" for the root: there is no such service */
};

/* One question, and its answer. */
struct turn_srv_service {
	enum turn_transport transport;
	char name[TURN_SRV_NAME_BYTES]; /* "_turn._udp.example.org" */
	bool is_answered;		/* false: it could not be found out */
	struct turn_srv records[TURN_SRV_RECORDS_MAX];
	size_t record_count;
};

/* What to ask for: at most TURN_SRV_SERVICES_MAX, UDP first. Return: 0 when @uri needs no look-up,
 * or is of a kind that icetun does not use. */
size_t turn_srv_services(const struct turn_uri *uri, struct turn_srv_service *ret);

/* Orders by priority, and at random by weight where it is equal, as RFC 2782 says. */
void turn_srv_sort(struct turn_srv *list, size_t count, const struct random_source *random);

/*
 * The servers that the answers to turn_srv_services(@uri) name, at most TURN_SRV_SERVERS_MAX, best
 * first; each has a name and a port. One that is there for both transports is one server, without a
 * transport. Orders the records of @services. Targets that are no host names are left out. Return:
 * how many.
 */
size_t turn_srv_expand(const struct turn_uri *uri, struct turn_srv_service *services, size_t count,
		       const struct random_source *random, struct turn_uri *ret);

#endif
