#include <string.h>

#include "daemon/core/base/fnv.h"
#include "daemon/core/cert/identifier.h"
#include "daemon/core/peer/peer.h"

struct peer *directory_get(struct overlay *o, uint32_t number)
{
	if (number >= o->peer_limit || !o->peers[number].in_use)
		return NULL;
	return &o->peers[number];
}

static uint64_t name_hash(const char *name)
{
	return fnv_hash(FNV_SEED, name, strlen(name));
}

static uint64_t address_hash(const struct netaddr *a)
{
	return fnv_hash(FNV_SEED, a->ip, sizeof(a->ip));
}

static uint64_t xid_hash(const uint8_t xid[static SIGNAL_XID_BYTES])
{
	uint64_t h;

	memcpy(&h, xid, sizeof(h));
	return h;
}

static uint64_t known_hash(const struct peer *p)
{
	return p->name[0] ? name_hash(p->name) : address_hash(&p->address);
}

struct peer *directory_find_name(const struct overlay *o, const char *name)
{
	for (struct table_node *n = table_first(&o->known, name_hash(name)); n; n = n->next) {
		struct peer *p = container_of(n, struct peer, known);

		if (p->name[0] && strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

struct peer *directory_find_address(struct overlay *o, const struct netaddr *address)
{
	uint32_t number = route_table_lookup(o->routes, address);

	if (number <= ROUTE_MAX_PEER)
		return directory_get(o, number);
	for (struct table_node *n = table_first(&o->known, address_hash(address)); n; n = n->next) {
		struct peer *p = container_of(n, struct peer, known);

		if (!p->name[0] && netaddr_ip_equal(&p->address, address))
			return p;
	}
	return NULL;
}

bool directory_is_overlay_address(const struct overlay *o, const struct netaddr *address)
{
	uint32_t target = route_table_lookup(o->routes, address);

	return target == ROUTE_UNRESOLVED || target <= ROUTE_MAX_PEER;
}

static void forget(struct overlay *o, struct peer *p, uint64_t now_us)
{
	peer_drop_sessions(o, p, now_us);
	o->drops.count[DROP_NO_ROUTE] += packet_clear(o->pool, &p->queue);
	heap_set(&o->timers, &p->timer, DEADLINE_NONE);
	if (p->member) {
		route_table_remove_target(o->routes, p->number);
		event_push(o, OVERLAY_EVENT_ROUTES, p->number);
	}
	event_push(o, OVERLAY_EVENT_PEER_FORGOTTEN, p->number);
	directory_end_lookup(o, p);
	table_remove(&o->known, known_hash(p), &p->known);
	member_destroy(p->member);
	p->member = NULL;
	p->in_use = false;
	p->next_free = o->free_peer;
	o->free_peer = p->number + 1;
}

/* All numbers are in use. */
static struct peer *longest_idle(struct overlay *o)
{
	struct peer *idle = NULL;

	for (uint32_t n = 0; n < o->peer_limit; n++) {
		struct peer *p = &o->peers[n];

		if ((p->state == OVERLAY_PEER_IDLE || p->state == OVERLAY_PEER_FAILED) &&
		    !p->wants_connection && (!idle || p->since_us < idle->since_us))
			idle = p;
	}
	return idle;
}

static struct peer *add(struct overlay *o, uint64_t now_us)
{
	struct peer *p;

	if (!o->free_peer && o->peer_limit == o->params.max_peers) {
		p = longest_idle(o);
		if (!p)
			return NULL;
		forget(o, p, now_us);
	}
	if (o->free_peer) {
		p = &o->peers[o->free_peer - 1];
		o->free_peer = p->next_free;
	} else {
		p = &o->peers[o->peer_limit++];
	}
	peer_init(p, (uint32_t)(p - o->peers), now_us);
	return p;
}

struct peer *directory_add_name(struct overlay *o, uint64_t now_us, const char *name)
{
	struct peer *p = add(o, now_us);

	if (!p)
		return NULL;
	memcpy(p->name, name, strlen(name) + 1);
	table_add(&o->known, known_hash(p), &p->known);
	return p;
}

struct peer *directory_add_address(struct overlay *o, uint64_t now_us,
				   const struct netaddr *address)
{
	struct peer *p = add(o, now_us);

	if (!p)
		return NULL;
	p->address = *address;
	table_add(&o->known, known_hash(p), &p->known);
	return p;
}

/* The name belongs to the address that was looked up. */
static void set_name(struct overlay *o, struct peer *p, const char *name)
{
	table_remove(&o->known, known_hash(p), &p->known);
	memcpy(p->name, name, strlen(name) + 1);
	table_add(&o->known, known_hash(p), &p->known);
}

static void add_routes(struct overlay *o, const struct peer *p)
{
	const struct member *m = p->member;

	for (size_t i = 0; i < m->prefix_count; i++) {
		bool is_address = i < m->address_count;
		struct netaddr address = member_address(m, i);

		if (is_address && !directory_is_overlay_address(o, &address))
			continue;
		if (route_table_add(o->routes, &m->prefixes[i], p->number) != OK)
			o->drops.count[DROP_LIMIT]++;
	}
	event_push(o, OVERLAY_EVENT_ROUTES, p->number);
}

/* @p has a new certificate, its first one or another one. */
static enum err set_member(struct overlay *o, struct peer *p, uint64_t now_us,
			   const struct cert *cert)
{
	struct member *m, *before = p->member;
	enum err e = member_create(&m, cert);
	bool moved;

	if (e != OK)
		return e;
	moved = !before || !member_is_same_place(before, m);
	if (before && memcmp(before->noise_public, m->noise_public, DH_BYTES) != 0)
		peer_drop_sessions(o, p, now_us);
	/* Goes through the whole table, so not for a peer that is new. */
	if (before && moved)
		route_table_remove_target(o->routes, p->number);
	member_destroy(before);
	p->member = m;
	if (!p->name[0])
		set_name(o, p, cert->name);
	if (moved)
		add_routes(o, p);
	return OK;
}

enum err directory_learn(struct overlay *o, uint64_t now_us, const uint8_t *buf, size_t len,
			 struct peer *p, struct peer **ret)
{
	struct cert cert;
	struct peer *named;
	enum err e = cert_verify(buf, len, o->authority_public,
				 (int64_t)(overlay_unix_us(o, now_us) / US_PER_S), &cert);

	if (e != OK)
		return e;
	if (strcmp(cert.name, o->own.name) == 0)
		return DROP_IDENTITY;
	if (p && p->name[0] && strcmp(p->name, cert.name) != 0)
		return DROP_IDENTITY;
	/* What waits for an address goes to nobody else. */
	if (p && !p->name[0] && !cert_allows_source(&cert, &p->address))
		return DROP_IDENTITY;
	named = directory_find_name(o, cert.name);
	if (named && p && named != p) {
		/* An address was looked up whose owner is known under its name already. */
		packet_move(o->pool, &named->queue, &p->queue);
		forget(o, p, now_us);
		p = named;
	} else if (!p) {
		p = named ? named : directory_add_name(o, now_us, cert.name);
	}
	if (!p)
		return DROP_LIMIT;
	/* Of two certificates for one name the newer stands (the authority issued it later). */
	if (p->member && cert.serial < p->member->serial)
		return DROP_STALE;
	e = set_member(o, p, now_us, &cert);
	if (e == OK)
		*ret = p;
	return e;
}

void directory_begin_lookup(struct overlay *o, struct peer *p)
{
	directory_end_lookup(o, p);
	random_bytes(&o->random, p->lookup_xid, sizeof(p->lookup_xid));
	table_add(&o->lookups, xid_hash(p->lookup_xid), &p->looked);
}

void directory_end_lookup(struct overlay *o, struct peer *p)
{
	table_remove(&o->lookups, xid_hash(p->lookup_xid), &p->looked);
}

struct peer *directory_find_lookup(const struct overlay *o,
				   const uint8_t xid[static SIGNAL_XID_BYTES])
{
	for (struct table_node *n = table_first(&o->lookups, xid_hash(xid)); n; n = n->next) {
		struct peer *p = container_of(n, struct peer, looked);

		if (memcmp(p->lookup_xid, xid, SIGNAL_XID_BYTES) == 0)
			return p;
	}
	return NULL;
}

void directory_send_lookup(struct overlay *o, struct peer *p)
{
	struct signal_message m = {.type = SIGNAL_LOOKUP};

	memcpy(m.xid, p->lookup_xid, sizeof(m.xid));
	if (p->name[0])
		memcpy(m.name, p->name, sizeof(p->name));
	else
		m.address = p->address;
	frame_send(o, &m);
}

enum err directory_on_found(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	struct peer *p = directory_find_lookup(o, m->xid), *learned;
	enum err e;

	if (!p)
		return DROP_STALE;
	e = directory_learn(o, now_us, m->certificate, m->certificate_len, p, &learned);
	if (e != OK) {
		peer_fail(o, p, now_us, OVERLAY_REASON_CERTIFICATE);
		return e;
	}
	learned->present = m->online;
	if (learned == p || learned->state == OVERLAY_PEER_LOOKUP)
		peer_set_state(o, learned, now_us, OVERLAY_PEER_IDLE, OVERLAY_REASON_NONE);
	if (learned != p)
		session_send_waiting(o, learned);
	peer_connect(o, learned, now_us);
	return OK;
}

enum err directory_on_presence(struct overlay *o, uint64_t now_us, const struct signal_message *m)
{
	struct peer *p = directory_find_name(o, m->name);
	enum err e;

	if (strcmp(m->name, o->own.name) == 0)
		return OK;
	if (m->certificate_len > 0) {
		e = directory_learn(o, now_us, m->certificate, m->certificate_len, p, &p);
		if (e != OK)
			return e;
	}
	if (!p)
		return OK;
	p->present = m->online;
	if (p->present)
		restart_hurry(o, p, now_us);
	if (p->present && p->state == OVERLAY_PEER_FAILED) {
		/* It came back: the pause that its absence earned is over. */
		p->pause_us = 0;
		p->pause_until_us = now_us;
		if (p->wants_connection)
			peer_connect(o, p, now_us);
	}
	return OK;
}
