#include "tests/sim/ice_rules.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"

#define MAX_ALLOWED	 8192
#define MAX_TRANSACTIONS 8192 /* a power of two */
#define PROBES		 32
#define MAX_PAIRS	 16384
#define MAX_GENERATIONS	 256
#define MAX_INPUTS	 64
#define MAX_PASSWORDS	 16
#define RTO_MIN_US	 (500 * US_PER_MS)
#define TRANSACTION_US	 (39500 * US_PER_MS)
#define FORGET_US	 (60 * US_PER_S)
/* Of two answers that are under way the second does not count for the engine. */
#define SLACK_US   (2 * US_PER_S)
#define SUSPECT_US (12 * US_PER_S - SLACK_US)
#define EXPIRY_US  (30 * US_PER_S - SLACK_US)
#define REGAIN_US  (10 * US_PER_S - SLACK_US)
#define SENDS_MAX  7

struct transaction {
	uint8_t txid[STUN_TXID_BYTES];
	bool in_use, nominates, is_answered;
	size_t pair;
	unsigned int sends;
	uint64_t started_us, last_us;
};

/* A pair of one generation, by its via and remote address. */
struct pair {
	uint64_t generation; /* hash of our username fragment */
	uint16_t socket, relay;
	struct netaddr to;
	bool is_valid, is_gone, was_lost;
	uint64_t answered_us;
	bool peer_nominated; /* has USE-CANDIDATE of the other end */
	bool is_nominated, nomination_failed, nomination_confirmed;
	uint64_t nominated_us;
};

struct input {
	uint8_t txid[STUN_TXID_BYTES];
	size_t len;
};

struct ice_rules {
	struct netaddr allowed[MAX_ALLOWED];
	size_t allowed_count, server_count; /* servers are the first */
	struct transaction transactions[MAX_TRANSACTIONS];
	struct pair pairs[MAX_PAIRS];
	size_t pair_count;
	uint64_t generations[MAX_GENERATIONS]; /* by number */
	struct input inputs[MAX_INPUTS];
	size_t input_count;
	char passwords[MAX_PASSWORDS][ICE_PWD_MAX_BYTES + 1]; /* the other end's */
	size_t password_count;
	uint64_t ta_us, last_new_us, last_check_us, last_gather_us;
	size_t nominations;
	bool has_path;
	struct ice_path path;
	uint64_t data_us, busy_us; /* when idleness ended */
	uint64_t described_us;
	bool was_idle;
};

struct ice_rules *ice_rules_create(void)
{
	struct ice_rules *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	return r;
}

void ice_rules_destroy(struct ice_rules *r)
{
	free(r);
}

size_t ice_rules_nominations(const struct ice_rules *r)
{
	return r->nominations;
}

/* --- what is known --- */

bool ice_rules_is_allowed(const struct ice_rules *r, const struct netaddr *a)
{
	for (size_t i = 0; i < r->allowed_count; i++)
		if (netaddr_equal(&r->allowed[i], a))
			return true;
	return false;
}

void ice_rules_allow(struct ice_rules *r, const struct netaddr *a)
{
	if (ice_rules_is_allowed(r, a))
		return;
	if (r->allowed_count == MAX_ALLOWED)
		abort();
	r->allowed[r->allowed_count++] = *a;
}

void ice_rules_allow_server(struct ice_rules *r, const struct netaddr *a)
{
	ice_rules_allow(r, a);
	r->server_count = r->allowed_count;
}

static bool is_server(const struct ice_rules *r, const struct netaddr *a)
{
	for (size_t i = 0; i < r->server_count; i++)
		if (netaddr_equal(&r->allowed[i], a))
			return true;
	return false;
}

void ice_rules_set_ta(struct ice_rules *r, uint64_t ta_us)
{
	r->ta_us = ta_us;
}

static uint64_t hash(const void *bytes, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
	return h;
}

void ice_rules_set_generation(struct ice_rules *r, uint32_t number, const char *ufrag)
{
	if (number >= MAX_GENERATIONS)
		abort();
	r->generations[number] = hash(ufrag, strlen(ufrag));
}

/* The number of a relay says it all. */
static uint16_t socket_of(uint16_t socket, uint16_t relay)
{
	return relay ? ICE_NO_SOCKET : socket;
}

static struct pair *find_pair(struct ice_rules *r, uint64_t generation, uint16_t socket,
			      uint16_t relay, const struct netaddr *to)
{
	for (size_t i = r->pair_count; i-- > 0;) {
		struct pair *p = &r->pairs[i];

		if (p->generation == generation && p->socket == socket_of(socket, relay) &&
		    p->relay == relay && netaddr_equal(&p->to, to))
			return p;
	}
	return NULL;
}

static struct pair *add_pair(struct ice_rules *r, uint64_t generation, const struct ice_transmit *t)
{
	struct pair *p = find_pair(r, generation, t->socket, t->relay, &t->to);

	if (p)
		return p;
	if (r->pair_count == MAX_PAIRS)
		abort();
	p = &r->pairs[r->pair_count++];
	*p = (struct pair){.generation = generation,
			   .socket = socket_of(t->socket, t->relay),
			   .relay = t->relay,
			   .to = t->to};
	return p;
}

static struct pair *pair_of_path(struct ice_rules *r, const struct ice_path *path)
{
	return find_pair(r, r->generations[path->generation], path->socket, path->relay,
			 &path->remote);
}

void ice_rules_drop_base(struct ice_rules *r, uint16_t socket, uint16_t relay)
{
	for (size_t i = 0; i < r->pair_count; i++)
		if (r->pairs[i].relay == relay && r->pairs[i].socket == socket_of(socket, relay))
			r->pairs[i].is_gone = true;
}

/* Return: the transaction with this id, or a place for it. */
static struct transaction *find_transaction(struct ice_rules *r, uint64_t now_us,
					    const uint8_t *txid, bool add)
{
	uint64_t h = hash(txid, STUN_TXID_BYTES);
	struct transaction *free_one = NULL;

	for (uint64_t i = 0; i < PROBES; i++) {
		struct transaction *x = &r->transactions[(h + i) % MAX_TRANSACTIONS];

		if (x->in_use && memcmp(x->txid, txid, STUN_TXID_BYTES) == 0)
			return x;
		if (!free_one && (!x->in_use || now_us > x->started_us + FORGET_US))
			free_one = x;
	}
	if (!add)
		return NULL;
	if (!free_one)
		abort();
	*free_one = (struct transaction){.in_use = true, .started_us = now_us};
	memcpy(free_one->txid, txid, STUN_TXID_BYTES);
	return free_one;
}

/* --- in --- */

void ice_rules_add_password(struct ice_rules *r, const char *pwd)
{
	char *to = r->passwords[r->password_count++ % MAX_PASSWORDS];

	memcpy(to, pwd, strlen(pwd) + 1);
}

static bool is_authentic(const struct ice_rules *r, const struct stun_message *m)
{
	for (size_t i = 0; i < MAX_PASSWORDS; i++)
		if (r->passwords[i][0] &&
		    stun_check_integrity(m, r->passwords[i], strlen(r->passwords[i])) == OK)
			return true;
	return false;
}

/* The fragments of a request to us stand the other way round. */
static void note_nomination(struct ice_rules *r, uint16_t socket, uint16_t relay,
			    const struct netaddr *from, const struct stun_message *m)
{
	const uint8_t *colon = memchr(m->username.p, ':', m->username.len);
	struct ice_transmit t = {.socket = socket, .relay = relay, .to = *from};

	if (colon && stun_has(m, STUN_USERNAME))
		add_pair(r, hash(m->username.p, (size_t)(colon - m->username.p)), &t)
			->peer_nominated = true;
}

void ice_rules_on_input(struct ice_rules *r, uint64_t now_us, uint16_t socket, uint16_t relay,
			const struct netaddr *from, const uint8_t *buf, size_t len)
{
	struct input *in = &r->inputs[r->input_count++ % MAX_INPUTS];
	struct transaction *x;
	struct stun_message m;
	struct pair *p;

	ice_rules_allow(r, from);
	if (stun_decode(&m, buf, len) != OK)
		return;
	memcpy(in->txid, m.txid, sizeof(in->txid));
	in->len = len;
	if (m.class == STUN_CLASS_REQUEST && stun_has(&m, STUN_USE_CANDIDATE))
		note_nomination(r, socket, relay, from, &m);
	x = find_transaction(r, now_us, m.txid, false);
	if (!x || x->pair == SIZE_MAX || x->is_answered || !is_authentic(r, &m))
		return;
	p = &r->pairs[x->pair];
	if (p->socket != socket_of(socket, relay) || p->relay != relay ||
	    !netaddr_equal(&p->to, from))
		return;
	x->is_answered = true;
	if (m.class == STUN_CLASS_SUCCESS) {
		p->is_valid = true;
		p->answered_us = now_us;
		p->nomination_confirmed |= x->nominates;
	} else if (m.class == STUN_CLASS_ERROR && x->nominates) {
		p->nomination_failed = true;
	}
}

void ice_rules_on_description(struct ice_rules *r, uint64_t now_us)
{
	r->described_us = now_us;
}

const char *ice_rules_on_failed(const struct ice_rules *r, uint64_t now_us)
{
	return now_us < r->described_us + TRANSACTION_US ? "it gives up too early" : NULL;
}

void ice_rules_on_data(struct ice_rules *r, uint64_t now_us)
{
	r->data_us = now_us;
}

void ice_rules_on_idle(struct ice_rules *r, uint64_t now_us)
{
	r->was_idle = true;
	r->busy_us = now_us;
}

/* --- out --- */

/* RFC 7675: a request on the path of a generation that is connected already. */
static bool is_consent(const struct ice_transmit *t, const struct stun_message *m,
		       const struct ice_path *path)
{
	return path && path->relay == t->relay && (t->relay || path->socket == t->socket) &&
	       netaddr_equal(&path->remote, &t->to) && !stun_has(m, STUN_USE_CANDIDATE);
}

static const char *check_nomination(struct ice_rules *r, uint64_t now_us, struct pair *p)
{
	for (size_t i = 0; i < r->pair_count; i++) {
		const struct pair *other = &r->pairs[i];

		if (other == p || !other->is_nominated || other->generation != p->generation ||
		    other->nominated_us < p->nominated_us)
			continue;
		if (!other->nomination_confirmed && now_us >= other->nominated_us + TRANSACTION_US)
			continue;
		if (!other->nomination_failed && !other->is_gone && !other->was_lost &&
		    now_us < other->answered_us + SUSPECT_US)
			return "a second pair is nominated";
	}
	if (!p->is_nominated)
		r->nominations++;
	if (!p->is_valid)
		return "a pair is nominated that is not valid";
	p->is_nominated = true;
	p->nomination_failed = false;
	p->nominated_us = now_us;
	return NULL;
}

static uint64_t own_fragment(const struct stun_message *m)
{
	const uint8_t *colon = memchr(m->username.p, ':', m->username.len);
	size_t at = colon ? (size_t)(colon - m->username.p) + 1 : m->username.len;

	return hash(m->username.p + at, m->username.len - at);
}

static bool is_too_soon(uint64_t *last_us, uint64_t now_us, uint64_t gap_us)
{
	bool is = *last_us && now_us - *last_us < gap_us;

	*last_us = now_us;
	return is;
}

static const char *check_new(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
			     const struct stun_message *m, struct transaction *x)
{
	struct pair *p;

	x->pair = SIZE_MAX;
	if (is_server(r, &t->to) && !t->relay)
		return is_too_soon(&r->last_gather_us, now_us, ICE_GATHER_INTERVAL_US)
			       ? "two requests to STUN servers begin within 50 ms"
			       : NULL;
	p = add_pair(r, own_fragment(m), t);
	x->pair = (size_t)(p - r->pairs);
	x->nominates = stun_has(m, STUN_USE_CANDIDATE);
	return x->nominates ? check_nomination(r, now_us, p) : NULL;
}

static const char *check_request(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
				 const struct stun_message *m, bool is_consent)
{
	struct transaction *x = find_transaction(r, now_us, m->txid, true);
	uint64_t last_us = x->last_us;
	const char *broken;

	x->last_us = now_us;
	if (x->sends++ > 0) {
		if (now_us - last_us < RTO_MIN_US)
			return "a request is repeated within 500 ms";
		return x->sends > SENDS_MAX ? "a request is sent more than seven times" : NULL;
	}
	broken = check_new(r, now_us, t, m, x);
	if (broken || is_consent)
		return broken;
	if (is_too_soon(&r->last_new_us, now_us, ICE_PACER_FLOOR_US))
		return "two transactions begin within 5 ms";
	if (x->pair != SIZE_MAX && is_too_soon(&r->last_check_us, now_us, r->ta_us))
		return "two checks begin within Ta";
	return NULL;
}

static const char *check_shape(const struct ice_rules *r, const struct ice_transmit *t,
			       const struct stun_message *m)
{
	if (is_server(r, &t->to) && !t->relay)
		return NULL;
	if (!stun_has(m, STUN_USERNAME) || !stun_has(m, STUN_MESSAGE_INTEGRITY) ||
	    !stun_has(m, STUN_PRIORITY))
		return "a check lacks username, integrity or priority";
	if (stun_has(m, STUN_ICE_CONTROLLING) == stun_has(m, STUN_ICE_CONTROLLED))
		return "a check has not exactly one role";
	if (stun_has(m, STUN_USE_CANDIDATE) && !stun_has(m, STUN_ICE_CONTROLLING))
		return "the controlled end nominates";
	return NULL;
}

static const char *check_answer(const struct ice_rules *r, const struct ice_transmit *t,
				const struct stun_message *m)
{
	if (stun_has(m, STUN_MESSAGE_INTEGRITY))
		return NULL;
	for (size_t i = 0; i < MAX_INPUTS; i++) {
		const struct input *in = &r->inputs[i];

		if (in->len && memcmp(in->txid, m->txid, sizeof(in->txid)) == 0)
			return t->len > 3 * in->len ? "an answer to a stranger is too long" : NULL;
	}
	return "an answer to nothing";
}

const char *ice_rules_check(struct ice_rules *r, uint64_t now_us, const struct ice_transmit *t,
			    const uint8_t *buf, const struct ice_path *path,
			    const struct ice_path *next)
{
	struct stun_message m;
	const char *broken;

	if (t->len > STUN_SAFE_BYTES || stun_decode(&m, buf, t->len) != OK ||
	    !stun_has(&m, STUN_FINGERPRINT))
		return "a datagram is no STUN of ours";
	if (!ice_rules_is_allowed(r, &t->to))
		return "a datagram goes where nobody asked for it";
	if (m.class == STUN_CLASS_INDICATION)
		return NULL;
	if (m.class != STUN_CLASS_REQUEST)
		return check_answer(r, t, &m);
	broken = check_shape(r, t, &m);
	if (broken)
		return broken;
	return check_request(r, now_us, t, &m, is_consent(t, &m, path) || is_consent(t, &m, next));
}

/* --- paths --- */

static bool is_same(const struct ice_path *a, const struct ice_path *b)
{
	return a->relay == b->relay && (a->relay || a->socket == b->socket) &&
	       netaddr_equal(&a->remote, &b->remote) && a->generation == b->generation;
}

const char *ice_rules_on_next_path(struct ice_rules *r, const struct ice_path *path,
				   uint32_t generation)
{
	const struct pair *p = path ? pair_of_path(r, path) : NULL;

	if (path)
		return p && p->is_valid ? NULL : "a path over a pair that is not valid";
	for (size_t i = 0; i < r->pair_count; i++)
		r->pairs[i].was_lost |= r->pairs[i].generation == r->generations[generation];
	return NULL;
}

static const char *check_leaving(struct ice_rules *r, uint64_t now_us, const struct pair *old,
				 const struct ice_path *path)
{
	uint64_t alive_us = old->answered_us > r->data_us ? old->answered_us : r->data_us;

	if (old->is_gone)
		return NULL;
	if (!path) {
		if (r->was_idle ? now_us >= alive_us + REGAIN_US : now_us >= alive_us + EXPIRY_US)
			return NULL;
		return "a path is given up that lives";
	}
	if (r->path.nominated && now_us < old->answered_us + SUSPECT_US &&
	    !pair_of_path(r, path)->peer_nominated)
		return "a nominated path is left though it answers";
	return NULL;
}

const char *ice_rules_on_path(struct ice_rules *r, uint64_t now_us, const struct ice_path *path)
{
	const char *broken = path ? ice_rules_on_next_path(r, path, path->generation) : NULL;
	struct pair *old = r->has_path ? pair_of_path(r, &r->path) : NULL;

	bool is_left = r->has_path && (!path || !is_same(path, &r->path));

	if (!broken && old && is_left && (!path || path->generation == r->path.generation))
		broken = check_leaving(r, now_us, old, path);
	if (old && is_left)
		old->was_lost = true;
	/* What has come over the old one says nothing of the new one. */
	if (is_left)
		r->data_us = 0;
	r->has_path = path != NULL;
	if (path)
		r->path = *path;
	return broken;
}
