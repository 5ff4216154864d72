/*
 * WATCH and PRESENCE.
 *
 * Who watches one name stands in a hash by that name. Who watches everybody reads the registry's
 * list of changes: it has a mark, the last change it was told, and gets what is newer in portions,
 * so that a large network does not overflow the queue of its connection. A host that does not keep
 * up loses single presences by name; the whole-network list it gets later, but completely.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/time.h"
#include "rendezvous/service_internal.h"

/* The macros of uthash expand here. */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"

/* Below the send queue of a connection, with room for other messages. */
#define PORTION	    16
#define PORTIONS_US (20 * US_PER_MS)

struct watch {
	struct member *watcher;
	struct watched *watched;
	struct watch *of_name_prev, *of_name_next;
	struct watch *of_watcher_prev, *of_watcher_next;
};

struct watched {
	char name[IDENTIFIER_BYTES];
	struct watch *watches;
	UT_hash_handle hh;
};

static enum transport_result tell(struct service *s, const struct member *watcher,
				  const struct member *about)
{
	struct signal_message m = {
		.type = SIGNAL_PRESENCE,
		.online = about->state == MEMBER_ONLINE,
		.certificate = about->certificate,
		.certificate_len = about->certificate_len,
	};

	memcpy(m.name, about->name, sizeof(m.name));
	return service_send(s, watcher->connection, &m);
}

static void remove_watch(struct service *s, struct watch *w)
{
	struct watched *watched = w->watched;

	DL_DELETE2(w->watcher->watches, w, of_watcher_prev, of_watcher_next);
	w->watcher->watch_count--;
	DL_DELETE2(watched->watches, w, of_name_prev, of_name_next);
	free(w);
	if (watched->watches)
		return;
	HASH_DEL(s->watched, watched);
	free(watched);
}

void presence_stop(struct service *s, struct member *m)
{
	m->is_watching_all = false;
	while (m->watches)
		remove_watch(s, m->watches);
}

/* Finds or makes the entry of a name. Return: NULL when memory is short. */
static struct watched *get_watched(struct service *s, const char *name)
{
	struct watched *watched;

	HASH_FIND_STR(s->watched, name, watched);
	if (watched)
		return watched;
	watched = calloc(1, sizeof(*watched));
	if (!watched)
		return NULL;
	memcpy(watched->name, name, strlen(name) + 1);
	HASH_ADD_STR(s->watched, name, watched);
	if (watched->hh.tbl)
		return watched;
	free(watched);
	return NULL;
}

static enum err watch_name(struct service *s, struct member *m, const char *name)
{
	struct watched *watched;
	struct watch *w;

	for (w = m->watches; w; w = w->of_watcher_next) {
		if (!strcmp(w->watched->name, name))
			return OK;
	}
	if (m->watch_count >= SERVICE_MAX_WATCHES)
		return DROP_LIMIT;
	w = calloc(1, sizeof(*w));
	if (!w)
		return DROP_LIMIT;
	watched = get_watched(s, name);
	if (!watched) {
		free(w);
		return DROP_LIMIT;
	}
	w->watcher = m;
	w->watched = watched;
	DL_APPEND2(m->watches, w, of_watcher_prev, of_watcher_next);
	m->watch_count++;
	DL_APPEND2(watched->watches, w, of_name_prev, of_name_next);
	return OK;
}

enum err presence_on_watch(struct service *s, uint64_t now_us, struct member *m, const char *name)
{
	const struct member *about;
	enum err err;

	if (!name[0]) {
		if (m->is_watching_all)
			return OK;
		/* Not answered when there are too many: an error without an exchange would be one
		 * about the registration. It begins when there are fewer. */
		m->is_watching_all = true;
		m->seen = 0;
		presence_pump(s, now_us);
		return OK;
	}
	err = watch_name(s, m, name);
	if (err != OK)
		return err;
	about = registry_find(&s->registry, name);
	if (about)
		tell(s, m, about);
	return OK;
}

void presence_on_change(struct service *s, uint64_t now_us, struct member *m)
{
	struct watched *watched;

	HASH_FIND_STR(s->watched, m->name, watched);
	for (struct watch *w = watched ? watched->watches : NULL; w; w = w->of_name_next)
		tell(s, w->watcher, m);
	/* Not at once: changes of the next moments go in the same turn, and telling may find that a
	 * watcher is gone while the caller still works on @m. */
	s->presence_at_us = deadline_min(s->presence_at_us, now_us);
}

/* The oldest change that @watcher has not seen, or NULL. */
static struct member *first_unseen(struct service *s, const struct member *watcher)
{
	struct member *first = NULL;
	struct member *m = s->registry.changes ? s->registry.changes->change_prev : NULL;

	/* From the newest backwards; the list's head is its own end that way. */
	while (m && m->change > watcher->seen) {
		first = m;
		m = m == s->registry.changes ? NULL : m->change_prev;
	}
	return first;
}

/* Return: true when the watcher is up to date. */
static bool tell_portion(struct service *s, uint64_t now_us, struct member *watcher)
{
	struct member *m = first_unseen(s, watcher);

	for (int sent = 0; m; m = m->change_next) {
		if (m != watcher && sent++ == PORTION)
			return false;
		if (m != watcher) {
			enum transport_result result = tell(s, watcher, m);

			if (result == TRANSPORT_GONE)
				service_set_gone(s, now_us, watcher);
			if (result != TRANSPORT_SENT)
				return result == TRANSPORT_GONE;
		}
		watcher->seen = m->change;
	}
	return true;
}

void presence_pump(struct service *s, uint64_t now_us)
{
	bool is_done = true;
	struct member *next;

	s->presence_at_us = DEADLINE_NONE;
	if (s->registry.online_count > s->params.watch_members_max)
		return;
	for (struct member *m = s->registry.online; m; m = next) {
		next = m->lease_next;
		if (m->is_watching_all && !tell_portion(s, now_us, m))
			is_done = false;
	}
	if (!is_done)
		s->presence_at_us = deadline_min(s->presence_at_us, now_us + PORTIONS_US);
}
