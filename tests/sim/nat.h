/*
 * One NAT box, as RFC 4787 describes them: a table of mappings, and time as an argument.
 *
 * A mapping belongs to an inside endpoint (address and port) and, depending on the kind of mapping,
 * to the outside address or endpoint that it first sent to. It has one outside port. Each mapping
 * remembers to whom it was used, and filtering asks that memory: as in boxes that track sessions,
 * what one mapping has learned does not open another mapping of the same endpoint.
 *
 * A box without an outside address translates nothing: then it is the stateful filter that guards
 * IPv6 networks, and the outside endpoint of a mapping is the inside one.
 */
#ifndef ICETUN_SIM_NAT_H
#define ICETUN_SIM_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/base/netaddr.h"
#include "daemon/core/base/random.h"

/* What an outside endpoint may depend on, and who may send to it. */
enum nat_dependence {
	NAT_INDEPENDENT,      /* EIM, EIF: on nothing; anybody */
	NAT_ADDRESS,	      /* ADM, ADF: on the other address; addresses that were sent to */
	NAT_ADDRESS_AND_PORT, /* APDM, APDF: on the other endpoint; endpoints that were sent to */
};

struct nat_params {
	enum nat_dependence mapping;
	enum nat_dependence filtering;
	struct netaddr outside;	     /* port not looked at; NETADDR_NONE: filter only */
	bool hairpin;		     /* inside endpoints reach each other over outside endpoints */
	bool random_ports;	     /* else the inside port is kept when it is free */
	bool inbound_refresh;	     /* packets from outside also prolong a mapping */
	uint64_t lifetime_us;	     /* of a mapping that is not used */
	struct random_source random; /* must outlive the box */
};

struct nat;

/* Ends the program when there is no memory: this is a test. */
struct nat *nat_create(const struct nat_params *params);
void nat_destroy(struct nat *n);

/* A packet from inside @from to @to. Return: its source outside; NETADDR_NONE when no port is
 * free. */
struct netaddr nat_outbound(struct nat *n, uint64_t now_us, const struct netaddr *from,
			    const struct netaddr *to);
/* A packet from outside @from to @to, an outside endpoint. Return: true with the inside endpoint
 * that gets it; false when it is filtered. */
bool nat_inbound(struct nat *n, uint64_t now_us, const struct netaddr *from,
		 const struct netaddr *to, struct netaddr *ret_inside);
/* Forgets every mapping. */
void nat_reboot(struct nat *n);
/* Mappings that have not expired. */
size_t nat_count(const struct nat *n, uint64_t now_us);

#endif
