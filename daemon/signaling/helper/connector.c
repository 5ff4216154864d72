#include "daemon/signaling/helper/connector.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/netaddr.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/signaling/helper/link.h"

#define CANDIDATES_MAX	    16
#define CANDIDATES_PER_NAME 6
#define RACERS_MAX	    3
#define STAGGER_MS	    300
#define BACKOFF_FIRST_MS    400
#define BACKOFF_BASE_MS	    1000
#define BACKOFF_MAX_MS	    60000
#define STABLE_MS	    10000
#define LINGER_MS	    200

/* A name being looked up. Owned by the loop; may outlive the round and the connector. */
struct lookup {
	uv_getaddrinfo_t request;
	struct connector *connector; /* NULL when nobody waits any more */
};

struct connector {
	struct connector_params params;
	struct signal_link_config *config; /* secret memory */
	uv_timer_t stagger_timer;
	uv_timer_t backoff_timer;
	unsigned open_handles;

	/* The present round. */
	struct lookup *lookups[SIGNAL_ENDPOINTS_MAX];
	struct netaddr candidates[CANDIDATES_MAX];
	size_t candidate_count;
	size_t candidate_next;
	struct link *racers[RACERS_MAX];
	enum signal_link_reason worst;
	char detail[SIGNAL_DETAIL_BYTES]; /* what the reason is about */

	struct link *link; /* the winner */
	uint64_t up_since_ms;
	unsigned failures;
};

static void next_step(struct connector *c);
static void start_round(struct connector *c);

uint64_t connector_backoff_ms(unsigned failures)
{
	if (failures == 0)
		return BACKOFF_FIRST_MS;
	if (failures > 6)
		return BACKOFF_MAX_MS;
	return (uint64_t)BACKOFF_BASE_MS << (failures - 1);
}

static void on_backoff(uv_timer_t *timer)
{
	start_round(timer->data);
}

static void go_down(struct connector *c, enum signal_link_reason reason, const char *detail)
{
	uint64_t wait_ms =
		random_below(&c->params.random, (uint32_t)connector_backoff_ms(c->failures) + 1);

	c->failures++;
	uv_timer_stop(&c->stagger_timer);
	uv_timer_start(&c->backoff_timer, on_backoff, wait_ms, 0);
	c->params.on_state(c->params.ctx, SIGNAL_LINK_DOWN, reason, detail);
}

/* Reasons in the order of what an operator wants to hear first when several addresses failed. */
static unsigned reason_weight(enum signal_link_reason reason)
{
	switch (reason) {
	case SIGNAL_LINK_SERVER_KEY:
		return 5;
	case SIGNAL_LINK_REFUSED:
		return 4;
	case SIGNAL_LINK_UNREACHABLE:
		return 3;
	case SIGNAL_LINK_RESOLVER:
		return 2;
	case SIGNAL_LINK_NAME:
		return 1;
	case SIGNAL_LINK_NO_REASON:
	case SIGNAL_LINK_CLOSED:
	case SIGNAL_LINK_HELPER:
	case SIGNAL_LINK_REASON_COUNT:
		break;
	}
	return 0;
}

static void note_failure(struct connector *c, enum signal_link_reason reason, const char *detail)
{
	if (reason_weight(reason) <= reason_weight(c->worst))
		return;
	c->worst = reason;
	snprintf(c->detail, sizeof(c->detail), "%s", detail);
}

static void drop_racers(struct connector *c)
{
	for (size_t i = 0; i < RACERS_MAX; i++) {
		if (c->racers[i])
			link_destroy(c->racers[i], 0);
		c->racers[i] = NULL;
	}
}

/* Ends the round and the connection, whatever they are at. */
static void drop_all(struct connector *c, int linger_ms)
{
	uv_timer_stop(&c->stagger_timer);
	uv_timer_stop(&c->backoff_timer);
	drop_racers(c);
	if (c->link)
		link_destroy(c->link, linger_ms);
	c->link = NULL;
	for (size_t i = 0; i < SIGNAL_ENDPOINTS_MAX; i++) {
		if (!c->lookups[i])
			continue;
		c->lookups[i]->connector = NULL;
		uv_cancel((uv_req_t *)&c->lookups[i]->request);
		c->lookups[i] = NULL;
	}
	c->candidate_count = c->candidate_next = 0;
	c->worst = SIGNAL_LINK_NO_REASON;
	c->detail[0] = '\0';
}

static void on_link_up(void *ctx, struct link *l)
{
	struct connector *c = ctx;

	for (size_t i = 0; i < RACERS_MAX; i++) {
		if (c->racers[i] == l)
			c->racers[i] = NULL;
	}
	drop_all(c, 0);
	c->link = l;
	c->up_since_ms = uv_now(c->params.loop);
	c->params.on_state(c->params.ctx, SIGNAL_LINK_UP, SIGNAL_LINK_NO_REASON, link_address(l));
}

static void on_link_end(void *ctx, struct link *l, enum signal_link_reason reason)
{
	struct connector *c = ctx;
	char address[SIGNAL_ENDPOINT_BYTES];

	snprintf(address, sizeof(address), "%s", link_address(l));
	link_destroy(l, 0);
	if (l == c->link) {
		c->link = NULL;
		if (uv_now(c->params.loop) - c->up_since_ms >= STABLE_MS)
			c->failures = 0;
		go_down(c, SIGNAL_LINK_CLOSED, address);
		return;
	}
	for (size_t i = 0; i < RACERS_MAX; i++) {
		if (c->racers[i] == l)
			c->racers[i] = NULL;
	}
	note_failure(c, reason, address);
	next_step(c);
}

static void on_link_message(void *ctx, const uint8_t *buf, size_t len)
{
	struct connector *c = ctx;

	c->params.on_message(c->params.ctx, buf, len);
}

static void try_candidate(struct connector *c, size_t slot)
{
	char text[NETADDR_TEXT_BYTES];
	char address[SIGNAL_ENDPOINT_BYTES];
	struct link_params params = {
		.loop = c->params.loop,
		.zmq = c->params.zmq,
		.config = c->config,
		.address = address,
		.ctx = c,
		.on_up = on_link_up,
		.on_end = on_link_end,
		.on_message = on_link_message,
	};

	netaddr_format(&c->candidates[c->candidate_next++], text);
	snprintf(address, sizeof(address), "tcp://%s", text);
	if (link_create(&c->racers[slot], &params) != OK) {
		c->racers[slot] = NULL;
		note_failure(c, SIGNAL_LINK_UNREACHABLE, address);
	}
}

static void on_stagger(uv_timer_t *timer)
{
	next_step(timer->data);
}

/* Starts the next candidate if its time has come, and ends the round when nothing is left. */
static void next_step(struct connector *c)
{
	size_t racing = 0;
	size_t slot = RACERS_MAX;
	size_t before = c->candidate_next;
	bool is_looking_up = false;

	for (size_t i = 0; i < SIGNAL_ENDPOINTS_MAX; i++)
		is_looking_up |= c->lookups[i] != NULL;
	for (size_t i = 0; i < RACERS_MAX; i++) {
		if (c->racers[i])
			racing++;
		else
			slot = i;
	}
	while (slot < RACERS_MAX && c->candidate_next < c->candidate_count && !c->racers[slot])
		try_candidate(c, slot);
	if (slot < RACERS_MAX && c->racers[slot])
		racing++;
	if (c->candidate_next < c->candidate_count || (c->candidate_next > before && racing > 0))
		uv_timer_start(&c->stagger_timer, on_stagger, STAGGER_MS, 0);
	else if (racing == 0 && !is_looking_up)
		go_down(c, c->worst, c->detail);
}

/* Adds what a name resolved to, IPv6 and IPv4 in turn, each family in the system's order. */
static void add_candidates(struct connector *c, const struct addrinfo *list)
{
	struct netaddr found[2][CANDIDATES_PER_NAME];
	size_t count[2] = {0, 0};

	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		const uint8_t *sa = (const uint8_t *)ai->ai_addr;
		size_t f = ai->ai_family == AF_INET6 ? 0 : 1;
		struct sockaddr_in6 in6;
		struct sockaddr_in in;

		if (count[f] == CANDIDATES_PER_NAME)
			continue;
		if (ai->ai_family == AF_INET6) {
			memcpy(&in6, sa, sizeof(in6));
			found[f][count[f]] =
				netaddr_from_ip6(in6.sin6_addr.s6_addr, ntohs(in6.sin6_port));
			found[f][count[f]++].scope_id = in6.sin6_scope_id;
		} else if (ai->ai_family == AF_INET) {
			memcpy(&in, sa, sizeof(in));
			found[f][count[f]++] =
				netaddr_from_ip4((const uint8_t *)&in.sin_addr, ntohs(in.sin_port));
		}
	}
	for (size_t i = 0; i < CANDIDATES_PER_NAME; i++) {
		for (size_t f = 0; f < 2; f++) {
			if (i < count[f] && c->candidate_count < CANDIDATES_MAX)
				c->candidates[c->candidate_count++] = found[f][i];
		}
	}
}

static enum signal_link_reason name_failure(int status)
{
	return status == UV_EAI_NONAME || status == UV_EAI_NODATA ? SIGNAL_LINK_NAME
								  : SIGNAL_LINK_RESOLVER;
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct lookup *lookup = request->data;
	struct connector *c = lookup->connector;

	if (c) {
		for (size_t i = 0; i < SIGNAL_ENDPOINTS_MAX; i++) {
			if (c->lookups[i] != lookup)
				continue;
			c->lookups[i] = NULL;
			if (status || !list)
				note_failure(c, name_failure(status), c->config->endpoint[i]);
			else
				add_candidates(c, list);
		}
	}
	uv_freeaddrinfo(list);
	free(lookup);
	/* A candidate that is being tried keeps its 300 ms. */
	if (c && !uv_is_active((const uv_handle_t *)&c->stagger_timer))
		next_step(c);
}

static void start_lookup(struct connector *c, size_t i)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	char host[SIGNAL_ENDPOINT_BYTES];
	char port[6];
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return;
	lookup->connector = c;
	lookup->request.data = lookup;
	if (signal_endpoint_split(c->config->endpoint[i], host, port) != OK ||
	    uv_getaddrinfo(c->params.loop, &lookup->request, on_lookup, host, port, &hints)) {
		note_failure(c, SIGNAL_LINK_NAME, c->config->endpoint[i]);
		free(lookup);
		return;
	}
	c->lookups[i] = lookup;
}

static void start_round(struct connector *c)
{
	bool was_up = c->link != NULL;

	drop_all(c, 0);
	if (was_up)
		c->params.on_state(c->params.ctx, SIGNAL_LINK_DOWN, SIGNAL_LINK_CLOSED,
				   "connecting again as told");
	c->params.on_state(c->params.ctx, SIGNAL_LINK_CONNECTING, SIGNAL_LINK_NO_REASON,
			   c->config->endpoint[0]);
	for (size_t i = 0; i < c->config->endpoint_count; i++)
		start_lookup(c, i);
	next_step(c);
}

enum err connector_create(struct connector **ret, const struct connector_params *params)
{
	struct connector *c = calloc(1, sizeof(*c));

	if (!c)
		return ERR_NO_MEMORY;
	c->params = *params;
	uv_timer_init(params->loop, &c->stagger_timer);
	uv_timer_init(params->loop, &c->backoff_timer);
	c->stagger_timer.data = c->backoff_timer.data = c;
	c->open_handles = 2;
	*ret = c;
	return OK;
}

static void on_closed(uv_handle_t *handle)
{
	struct connector *c = handle->data;

	if (--c->open_handles == 0)
		free(c);
}

void connector_destroy(struct connector *c)
{
	if (!c)
		return;
	drop_all(c, LINGER_MS);
	secret_free(c->config);
	c->config = NULL;
	uv_close((uv_handle_t *)&c->stagger_timer, on_closed);
	uv_close((uv_handle_t *)&c->backoff_timer, on_closed);
}

enum err connector_configure(struct connector *c, const struct signal_link_config *config)
{
	if (!c->config)
		c->config = secret_alloc(sizeof(*c->config));
	if (!c->config)
		return ERR_NO_MEMORY;
	*c->config = *config;
	c->failures = 0;
	start_round(c);
	return OK;
}

void connector_reconnect(struct connector *c)
{
	if (!c->config)
		return;
	c->failures = 0;
	start_round(c);
}

enum err connector_send(struct connector *c, const uint8_t *buf, size_t len)
{
	return c->link ? link_send(c->link, buf, len) : ERR_WRONG_STATE;
}
