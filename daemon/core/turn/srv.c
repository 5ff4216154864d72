#include "daemon/core/turn/srv.h"

#include <stdio.h>
#include <string.h>

static size_t add_service(const struct turn_uri *uri, enum turn_transport transport,
			  const char *prefix, struct turn_srv_service *ret, size_t at)
{
	ret[at] = (struct turn_srv_service){.transport = transport};
	snprintf(ret[at].name, sizeof(ret[at].name), "%s.%.253s", prefix, uri->host);
	return at + 1;
}

size_t turn_srv_services(const struct turn_uri *uri, struct turn_srv_service *ret)
{
	size_t n = 0;

	if (uri->has_port || uri->address.family != NETADDR_NONE)
		return 0;
	switch (uri->scheme) {
	case TURN_SCHEME_STUN:
		n = add_service(uri, TURN_TRANSPORT_UDP, "_stun._udp", ret, n);
		break;
	case TURN_SCHEME_TURN:
		if (!uri->has_transport || uri->transport == TURN_TRANSPORT_UDP)
			n = add_service(uri, TURN_TRANSPORT_UDP, "_turn._udp", ret, n);
		if (!uri->has_transport || uri->transport == TURN_TRANSPORT_TCP)
			n = add_service(uri, TURN_TRANSPORT_TCP, "_turn._tcp", ret, n);
		break;
	case TURN_SCHEME_TURNS:
		if (uri->transport == TURN_TRANSPORT_TLS)
			n = add_service(uri, TURN_TRANSPORT_TLS, "_turns._tcp", ret, n);
		break;
	case TURN_SCHEME_STUNS:
		break;
	}
	return n;
}

/* The next record: of the lowest priority that is left, by weight. Those of weight 0 count as the
 * first of the list, so they are taken only when the number is 0. */
static size_t pick(const struct turn_srv *list, size_t count, const struct random_source *random)
{
	uint16_t priority = UINT16_MAX;
	uint32_t sum = 0, want, passed = 0;
	size_t last = 0;

	for (size_t i = 0; i < count; i++) {
		if (list[i].priority < priority)
			priority = list[i].priority;
	}
	for (size_t i = 0; i < count; i++)
		sum += list[i].priority == priority ? list[i].weight : 0;
	want = random_below(random, sum + 1);
	for (size_t i = 0; want == 0 && i < count; i++) {
		if (list[i].priority == priority && list[i].weight == 0)
			return i;
	}
	for (size_t i = 0; i < count; i++) {
		if (list[i].priority != priority)
			continue;
		last = i;
		passed += list[i].weight;
		if (passed >= want)
			break;
	}
	return last;
}

void turn_srv_sort(struct turn_srv *list, size_t count, const struct random_source *random)
{
	for (size_t i = 0; i < count; i++) {
		size_t best = i + pick(list + i, count - i, random);
		struct turn_srv r = list[best];

		list[best] = list[i];
		list[i] = r;
	}
}

/* Through the parser of URIs, which knows what a host may be. */
static bool make_uri(const struct turn_uri *origin, enum turn_transport transport,
		     const struct turn_srv *record, struct turn_uri *ret)
{
	struct turn_uri u = *origin;
	char text[TURN_URI_TEXT_BYTES];

	snprintf(u.host, sizeof(u.host), "%s", record->target);
	u.port = record->port;
	u.has_port = true;
	u.transport = transport;
	u.has_transport = origin->scheme == TURN_SCHEME_TURN || origin->has_transport;
	return turn_uri_parse(turn_uri_format(&u, text), ret) == OK &&
	       ret->address.family == NETADDR_NONE;
}

/* Return: how many there are then. */
static size_t add_server(struct turn_uri *list, size_t count, const struct turn_uri *uri)
{
	char a[TURN_URI_TEXT_BYTES], b[TURN_URI_TEXT_BYTES];
	struct turn_uri bare = *uri, other;

	bare.has_transport = false;
	for (size_t i = 0; i < count; i++) {
		other = list[i];
		other.has_transport = false;
		if (strcmp(turn_uri_format(&bare, a), turn_uri_format(&other, b)) != 0)
			continue;
		if (list[i].transport != uri->transport) {
			list[i].transport = TURN_TRANSPORT_UDP;
			list[i].has_transport = false;
		}
		return count;
	}
	if (count < TURN_SRV_SERVERS_MAX)
		list[count++] = *uri;
	return count;
}

size_t turn_srv_expand(const struct turn_uri *uri, struct turn_srv_service *services, size_t count,
		       const struct random_source *random, struct turn_uri *ret)
{
	struct turn_uri list[TURN_SRV_SERVERS_MAX], one;
	size_t found = 0, n = 0;

	for (size_t s = 0; s < count; s++)
		turn_srv_sort(services[s].records, services[s].record_count, random);
	/* The best of each transport before the second best of any, so that none is crowded out. */
	for (size_t i = 0; i < TURN_SRV_RECORDS_MAX; i++) {
		for (size_t s = 0; s < count; s++) {
			if (i < services[s].record_count &&
			    make_uri(uri, services[s].transport, &services[s].records[i], &one))
				found = add_server(list, found, &one);
		}
	}
	for (size_t i = 0; i < found; i++) {
		if (list[i].transport == TURN_TRANSPORT_UDP)
			ret[n++] = list[i];
	}
	for (size_t i = 0; i < found; i++) {
		if (list[i].transport != TURN_TRANSPORT_UDP)
			ret[n++] = list[i];
	}
	return n;
}
