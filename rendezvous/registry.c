#include "rendezvous/registry.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/time.h"

/* The macros of uthash expand here. */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"

void registry_init(struct registry *r, size_t max_members, uint64_t lease_us)
{
	memset(r, 0, sizeof(*r));
	r->max_members = max_members;
	r->lease_us = lease_us;
}

static void unindex_addresses(struct registry *r, struct member *m)
{
	for (size_t i = 0; i < m->address_count; i++) {
		struct member_address *a = &m->addresses[i];

		if (a->member)
			HASH_DELETE(by_address, r->by_address, a);
		a->member = NULL;
	}
	m->address_count = 0;
}

static void index_addresses(struct registry *r, struct member *m, const struct cert *cert)
{
	for (size_t i = 0; i < cert->address_count; i++) {
		struct member_address *a = &m->addresses[i];
		struct member_address *other;

		memset(a, 0, sizeof(*a));
		a->addr = cert->addresses[i];
		a->addr.port = 0;
		HASH_FIND(by_address, r->by_address, &a->addr, sizeof(a->addr), other);
		m->address_count = i + 1;
		if (other)
			continue;
		a->member = m;
		HASH_ADD(by_address, r->by_address, addr, sizeof(a->addr), a);
		if (!a->by_address.tbl)
			a->member = NULL;
	}
}

/* Takes the entry out of everything but the index by name and the list of changes. */
static void detach(struct registry *r, struct member *m)
{
	unindex_addresses(r, m);
	if (m->state == MEMBER_ONLINE) {
		DL_DELETE2(r->online, m, lease_prev, lease_next);
		HASH_DELETE(by_connection, r->by_connection, m);
		r->online_count--;
	} else {
		DL_DELETE2(r->gone, m, lease_prev, lease_next);
	}
}

static void free_member(struct registry *r, struct member *m)
{
	detach(r, m);
	DL_DELETE2(r->changes, m, change_prev, change_next);
	HASH_DELETE(by_name, r->by_name, m);
	r->count--;
	free(m);
}

void registry_fini(struct registry *r)
{
	struct member *m;
	struct member *next;

	HASH_ITER (by_name, r->by_name, m, next) {
		free_member(r, m);
	}
}

struct member *registry_find(struct registry *r, const char *name)
{
	struct member *m;

	HASH_FIND(by_name, r->by_name, name, strlen(name), m);
	return m;
}

struct member *registry_find_connection(struct registry *r, uint32_t connection)
{
	struct member *m;

	HASH_FIND(by_connection, r->by_connection, &connection, sizeof(connection), m);
	return m;
}

struct member *registry_find_address(struct registry *r, const struct netaddr *addr)
{
	struct netaddr key = *addr;
	struct member_address *a;

	key.port = 0;
	HASH_FIND(by_address, r->by_address, &key, sizeof(key), a);
	return a ? a->member : NULL;
}

/* The newest change is the last in the list. */
static void note_change(struct registry *r, struct member *m)
{
	if (m->change)
		DL_DELETE2(r->changes, m, change_prev, change_next);
	m->change = ++r->last_change;
	DL_APPEND2(r->changes, m, change_prev, change_next);
}

/* A new entry, GONE, so that there is one way to become ONLINE. */
static enum err add_member(struct registry *r, const char *name, struct member **ret)
{
	struct member *m;

	if (r->count >= r->max_members && r->gone)
		free_member(r, r->gone);
	if (r->count >= r->max_members)
		return ERR_LIMIT;
	m = calloc(1, sizeof(*m));
	if (!m)
		return ERR_NO_MEMORY;
	memcpy(m->name, name, strlen(name) + 1);
	HASH_ADD_KEYPTR(by_name, r->by_name, m->name, strlen(m->name), m);
	if (!m->by_name.tbl) {
		free(m);
		return ERR_NO_MEMORY;
	}
	m->state = MEMBER_GONE;
	DL_APPEND2(r->gone, m, lease_prev, lease_next);
	note_change(r, m);
	r->count++;
	*ret = m;
	return OK;
}

enum err registry_set_online(struct registry *r, uint64_t now_us, uint32_t connection,
			     uint64_t epoch, const struct cert *cert, const uint8_t *encoded,
			     size_t encoded_len, struct member **ret)
{
	struct member *m = registry_find(r, cert->name);

	if (encoded_len > sizeof(m->certificate))
		return ERR_LIMIT;
	if (!m) {
		enum err err = add_member(r, cert->name, &m);

		if (err != OK)
			return err;
	}
	detach(r, m);
	m->connection = connection;
	HASH_ADD(by_connection, r->by_connection, connection, sizeof(m->connection), m);
	if (!m->by_connection.tbl) {
		m->state = MEMBER_GONE;
		m->deadline_us = now_us + REGISTRY_GONE_US;
		DL_APPEND2(r->gone, m, lease_prev, lease_next);
		return ERR_NO_MEMORY;
	}
	m->state = MEMBER_ONLINE;
	r->online_count++;
	m->deadline_us = now_us + r->lease_us;
	DL_APPEND2(r->online, m, lease_prev, lease_next);
	m->epoch = epoch;
	m->serial = cert->serial;
	memcpy(m->key, cert->curve_public, sizeof(m->key));
	memcpy(m->certificate, encoded, encoded_len);
	m->certificate_len = encoded_len;
	index_addresses(r, m, cert);
	note_change(r, m);
	*ret = m;
	return OK;
}

void registry_renew(struct registry *r, uint64_t now_us, struct member *m)
{
	DL_DELETE2(r->online, m, lease_prev, lease_next);
	m->deadline_us = now_us + r->lease_us;
	DL_APPEND2(r->online, m, lease_prev, lease_next);
}

void registry_set_gone(struct registry *r, uint64_t now_us, struct member *m)
{
	detach(r, m);
	m->state = MEMBER_GONE;
	m->deadline_us = now_us + REGISTRY_GONE_US;
	m->is_watching_all = false;
	DL_APPEND2(r->gone, m, lease_prev, lease_next);
	note_change(r, m);
}

uint64_t registry_next_deadline(const struct registry *r)
{
	return deadline_min(r->online ? r->online->deadline_us : DEADLINE_NONE,
			    r->gone ? r->gone->deadline_us : DEADLINE_NONE);
}

struct member *registry_expired(struct registry *r, uint64_t now_us)
{
	return r->online && r->online->deadline_us <= now_us ? r->online : NULL;
}

void registry_forget(struct registry *r, uint64_t now_us)
{
	while (r->gone && r->gone->deadline_us <= now_us)
		free_member(r, r->gone);
}
