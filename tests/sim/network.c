#include "tests/sim/network.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/heap.h"
#include "daemon/core/crypto/random.h"

#define REORDER_EXTRA_US (10 * US_PER_MS)
#define ORDER_BITS	 16
#define MAX_PACKETS	 (1u << ORDER_BITS)
#define NOBODY		 SIZE_MAX

enum node_kind {
	NODE_INTERNET,
	NODE_ROUTER,
	NODE_HOST,
};

struct node {
	enum node_kind kind;
	size_t above;
	struct simnet_link link;
	struct netaddr addresses[SIMNET_ADDRESSES_PER_HOST];
	size_t address_count;
	struct nat *translator; /* routers with an outside address */
	struct nat *filter;	/* routers: what is not translated */
	struct netaddr outside;
	bool hairpin;
	bool blocked;
};

enum hop {
	HOP_IN_NETWORK, /* has come into the network of `node` and looks for its destination */
	HOP_AT_OUTSIDE, /* has reached the router `node` from outside */
	HOP_AT_HOST,
};

struct packet {
	struct heap_node node_in_heap;
	uint64_t at_us;
	enum hop hop;
	size_t node;
	struct netaddr from, to;
	bool is_genuine;
	size_t len;
	uint8_t bytes[SIMNET_MTU_BYTES];
};

struct simnet {
	struct random_seeded seeded;
	struct random_source random;
	struct node *nodes;
	size_t node_count;
	struct heap heap; /* of packets under way, by time and order */
	uint64_t last_number;
	struct simnet_counters counters;
	FILE *trace;
};

/* Packets of one microsecond keep the order in which they were pushed. */
static void push(struct simnet *net, struct packet *p)
{
	if (net->heap.count == MAX_PACKETS)
		abort();
	heap_set(&net->heap, &p->node_in_heap,
		 p->at_us << ORDER_BITS | (net->last_number++ & (MAX_PACKETS - 1)));
}

/* The first packet whose time has come, or NULL. */
static struct packet *pop(struct simnet *net, uint64_t now_us)
{
	uint64_t last = now_us >> (64 - ORDER_BITS) ? UINT64_MAX : ((now_us + 1) << ORDER_BITS) - 1;
	struct heap_node *n = heap_pop_due(&net->heap, last);

	return n ? container_of(n, struct packet, node_in_heap) : NULL;
}

static void trace(struct simnet *net, const struct packet *p, const char *what)
{
	char from[NETADDR_TEXT_BYTES], to[NETADDR_TEXT_BYTES];

	if (!net->trace)
		return;
	fprintf(net->trace, "%10" PRIu64 " us  node %zu  %s > %s  %zu bytes: %s\n", p->at_us,
		p->node, netaddr_format(&p->from, from), netaddr_format(&p->to, to), p->len, what);
}

/* Ends the life of a packet, counted under its fate. */
static void drop(struct simnet *net, struct packet *p, uint64_t *counter, const char *why)
{
	trace(net, p, why);
	(*counter)++;
	free(p);
}

static bool chance(struct simnet *net, uint16_t permille)
{
	return permille > 0 && random_below(&net->random, 1000) < permille;
}

static uint64_t crossing_time(struct simnet *net, const struct simnet_link *link)
{
	uint64_t us = link->delay_us;

	if (link->jitter_us > 0)
		us += random_below(&net->random, link->jitter_us + 1);
	if (chance(net, link->reorder_permille))
		us += link->delay_us + REORDER_EXTRA_US;
	return us;
}

/* Sends the packet over the link of node @over; then it is at @hop of @node. */
static void cross(struct simnet *net, struct packet *p, size_t over, enum hop hop, size_t node)
{
	const struct simnet_link *link = &net->nodes[over].link;
	uint64_t start_us = p->at_us;

	if (chance(net, link->loss_permille)) {
		drop(net, p, &net->counters.lost, "lost");
		return;
	}
	p->hop = hop;
	p->node = node;
	if (p->len > 0 && chance(net, link->corrupt_permille)) {
		uint32_t bit = random_below(&net->random, (uint32_t)p->len * 8);

		p->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		p->is_genuine = false;
	}
	if (chance(net, link->duplicate_permille)) {
		struct packet *copy = malloc(sizeof(*copy));

		if (!copy)
			abort();
		*copy = *p;
		heap_node_init(&copy->node_in_heap);
		copy->at_us = start_us + crossing_time(net, link);
		push(net, copy);
	}
	p->at_us = start_us + crossing_time(net, link);
	push(net, p);
}

static bool host_has(const struct node *host, const struct netaddr *addr)
{
	for (size_t i = 0; i < host->address_count; i++)
		if (netaddr_ip_equal(&host->addresses[i], addr))
			return true;
	return false;
}

static bool is_below(const struct simnet *net, size_t node, size_t router)
{
	while (node != SIMNET_INTERNET && node != router)
		node = net->nodes[node].above;
	return node == router;
}

static bool is_translated(const struct node *router, const struct netaddr *addr)
{
	return router->translator && addr->family == router->outside.family;
}

/* The router in the network @above through which @addr is reached from outside. */
static bool leads_to(const struct simnet *net, size_t router, const struct netaddr *addr)
{
	const struct node *r = &net->nodes[router];

	if (is_translated(r, addr))
		return netaddr_ip_equal(&r->outside, addr);
	for (size_t i = 0; i < net->node_count; i++) {
		const struct node *n = &net->nodes[i];

		if (i == router || !is_below(net, i, router))
			continue;
		if (n->kind == NODE_HOST
			    ? host_has(n, addr)
			    : is_translated(n, addr) && netaddr_ip_equal(&n->outside, addr))
			return true;
	}
	return false;
}

static size_t find_in_network(const struct simnet *net, size_t above, const struct netaddr *addr)
{
	for (size_t i = 1; i < net->node_count; i++) {
		const struct node *n = &net->nodes[i];

		if (n->above != above)
			continue;
		if (n->kind == NODE_HOST ? host_has(n, addr) : leads_to(net, i, addr))
			return i;
	}
	return NOBODY;
}

/* From outside through the router's table into its network. */
static void enter(struct simnet *net, struct packet *p)
{
	struct node *r = &net->nodes[p->node];
	struct nat *nat = is_translated(r, &p->to) ? r->translator : r->filter;

	if (r->blocked || !nat_inbound(nat, p->at_us, &p->from, &p->to, &p->to)) {
		drop(net, p, &net->counters.filtered, "filtered");
		return;
	}
	p->hop = HOP_IN_NETWORK;
	push(net, p);
}

/* From inside through the router's table: out, or back in. */
static void leave(struct simnet *net, struct packet *p)
{
	struct node *r = &net->nodes[p->node];
	bool translated = is_translated(r, &p->to);
	bool back = translated && netaddr_ip_equal(&r->outside, &p->to);

	if (r->blocked || (back && !r->hairpin)) {
		drop(net, p, &net->counters.filtered, back ? "no hairpin" : "blocked");
		return;
	}
	p->from = nat_outbound(translated ? r->translator : r->filter, p->at_us, &p->from, &p->to);
	if (p->from.family == NETADDR_NONE)
		drop(net, p, &net->counters.filtered, "no port");
	else if (back)
		enter(net, p);
	else
		cross(net, p, p->node, HOP_IN_NETWORK, r->above);
}

static void route(struct simnet *net, struct packet *p)
{
	size_t next = find_in_network(net, p->node, &p->to);

	trace(net, p, "in network");
	if (next != NOBODY)
		cross(net, p, next,
		      net->nodes[next].kind == NODE_HOST ? HOP_AT_HOST : HOP_AT_OUTSIDE, next);
	else if (p->node == SIMNET_INTERNET)
		drop(net, p, &net->counters.unroutable, "nobody has the address");
	else
		leave(net, p);
}

static size_t add_node(struct simnet *net, enum node_kind kind, size_t above,
		       const struct simnet_link *link)
{
	struct node *n;

	net->nodes = realloc(net->nodes, (net->node_count + 1) * sizeof(*net->nodes));
	if (!net->nodes || (net->node_count > 0 &&
			    (above >= net->node_count || net->nodes[above].kind == NODE_HOST)))
		abort();
	n = &net->nodes[net->node_count];
	memset(n, 0, sizeof(*n));
	n->kind = kind;
	n->above = above;
	n->link = *link;
	return net->node_count++;
}

struct simnet *simnet_create(uint64_t seed)
{
	static const struct simnet_link none;
	struct simnet *net = calloc(1, sizeof(*net));

	if (!net || heap_init(&net->heap, MAX_PACKETS) != OK)
		abort();
	random_seeded_init(&net->seeded, seed);
	net->random = random_seeded_source(&net->seeded);
	add_node(net, NODE_INTERNET, 0, &none);
	return net;
}

void simnet_destroy(struct simnet *net)
{
	if (!net)
		return;
	for (size_t i = 0; i < net->node_count; i++) {
		nat_destroy(net->nodes[i].translator);
		nat_destroy(net->nodes[i].filter);
	}
	while (net->heap.count > 0)
		free(pop(net, DEADLINE_NONE));
	heap_fini(&net->heap);
	free(net->nodes);
	free(net);
}

struct random_source simnet_random(struct simnet *net)
{
	return net->random;
}

size_t simnet_add_router(struct simnet *net, size_t above, const struct simnet_link *link,
			 const struct nat_params *nat)
{
	size_t i = add_node(net, NODE_ROUTER, above, link);
	struct nat_params params = *nat;
	struct node *r = &net->nodes[i];

	params.random = net->random;
	r->outside = nat->outside;
	r->outside.port = 0;
	r->hairpin = nat->hairpin;
	if (nat->outside.family != NETADDR_NONE)
		r->translator = nat_create(&params);
	params.outside = (struct netaddr){0};
	params.mapping = NAT_INDEPENDENT; /* there is one endpoint only */
	r->filter = nat_create(&params);
	return i;
}

size_t simnet_add_host(struct simnet *net, size_t above, const struct simnet_link *link)
{
	return add_node(net, NODE_HOST, above, link);
}

static struct node *node_of(struct simnet *net, size_t i, enum node_kind kind)
{
	if (i >= net->node_count || net->nodes[i].kind != kind)
		abort();
	return &net->nodes[i];
}

void simnet_add_address(struct simnet *net, size_t host, const struct netaddr *addr)
{
	struct node *n = node_of(net, host, NODE_HOST);

	if (n->address_count == SIMNET_ADDRESSES_PER_HOST)
		abort();
	n->addresses[n->address_count++] = *addr;
}

void simnet_remove_address(struct simnet *net, size_t host, const struct netaddr *addr)
{
	struct node *n = node_of(net, host, NODE_HOST);

	for (size_t i = n->address_count; i-- > 0;)
		if (netaddr_ip_equal(&n->addresses[i], addr))
			n->addresses[i] = n->addresses[--n->address_count];
}

void simnet_set_link(struct simnet *net, size_t node, const struct simnet_link *link)
{
	if (node == SIMNET_INTERNET || node >= net->node_count)
		abort();
	net->nodes[node].link = *link;
}

void simnet_move_host(struct simnet *net, size_t host, size_t above)
{
	struct node *n = node_of(net, host, NODE_HOST);

	if (above >= net->node_count || net->nodes[above].kind == NODE_HOST)
		abort();
	n->above = above;
	n->address_count = 0;
}

void simnet_reboot(struct simnet *net, size_t router)
{
	struct node *r = node_of(net, router, NODE_ROUTER);

	if (r->translator)
		nat_reboot(r->translator);
	nat_reboot(r->filter);
}

void simnet_set_blocked(struct simnet *net, size_t router, bool blocked)
{
	node_of(net, router, NODE_ROUTER)->blocked = blocked;
}

static struct packet *new_packet(struct simnet *net, uint64_t now_us, const struct netaddr *from,
				 const struct netaddr *to, const void *buf, size_t len)
{
	struct packet *p = malloc(sizeof(*p));

	if (!p || len > SIMNET_MTU_BYTES)
		abort();
	heap_node_init(&p->node_in_heap);
	p->at_us = now_us;
	p->from = *from;
	p->to = *to;
	p->len = len;
	memcpy(p->bytes, buf, len);
	net->counters.sent++;
	return p;
}

bool simnet_send(struct simnet *net, uint64_t now_us, size_t host, const struct netaddr *from,
		 const struct netaddr *to, const void *buf, size_t len)
{
	struct node *n = node_of(net, host, NODE_HOST);
	struct packet *p;

	if (!host_has(n, from) || len > SIMNET_MTU_BYTES)
		return false;
	p = new_packet(net, now_us, from, to, buf, len);
	p->is_genuine = true;
	p->node = host;
	trace(net, p, "sent");
	cross(net, p, host, HOP_IN_NETWORK, n->above);
	return true;
}

void simnet_inject(struct simnet *net, uint64_t now_us, const struct netaddr *from,
		   const struct netaddr *to, const void *buf, size_t len)
{
	struct packet *p = new_packet(net, now_us, from, to, buf, len);

	p->is_genuine = false;
	p->node = SIMNET_INTERNET;
	p->hop = HOP_IN_NETWORK;
	trace(net, p, "injected");
	push(net, p);
}

uint64_t simnet_next_deadline(const struct simnet *net)
{
	uint64_t first = heap_next_deadline(&net->heap);

	return first == DEADLINE_NONE ? DEADLINE_NONE : first >> ORDER_BITS;
}

/* Return: true when @p, which has reached its host, is delivered. */
static bool deliver(struct simnet *net, struct packet *p, struct simnet_delivery *ret, uint8_t *buf,
		    size_t cap)
{
	if (!host_has(&net->nodes[p->node], &p->to)) {
		drop(net, p, &net->counters.unroutable, "the host has the address no more");
		return false;
	}
	trace(net, p, "delivered");
	net->counters.delivered++;
	*ret = (struct simnet_delivery){
		.host = p->node,
		.from = p->from,
		.to = p->to,
		.len = p->len < cap ? p->len : cap,
		.at_us = p->at_us,
		.is_genuine = p->is_genuine,
	};
	memcpy(buf, p->bytes, ret->len);
	free(p);
	return true;
}

bool simnet_pop_delivery(struct simnet *net, uint64_t now_us, struct simnet_delivery *ret,
			 uint8_t *buf, size_t cap)
{
	struct packet *p;

	while ((p = pop(net, now_us))) {
		switch (p->hop) {
		case HOP_IN_NETWORK:
			route(net, p);
			break;
		case HOP_AT_OUTSIDE:
			enter(net, p);
			break;
		case HOP_AT_HOST:
			if (deliver(net, p, ret, buf, cap))
				return true;
			break;
		}
	}
	return false;
}

const struct simnet_counters *simnet_counters(const struct simnet *net)
{
	return &net->counters;
}

void simnet_set_trace(struct simnet *net, FILE *f)
{
	net->trace = f;
}
