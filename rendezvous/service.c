#include "rendezvous/service.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/time.h"
#include "daemon/core/crypto/secret.h"
#include "rendezvous/service_internal.h"

/* The macros of uthash expand here. */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"

#define LINK_IDLE_US  (300 * US_PER_S)
#define JOIN_TRIES    5
#define BUSY_RETRY_MS 1000

static const struct bucket_rate message_rate = {.interval_us = US_PER_S / 50, .burst = 200};
static const struct bucket_rate challenge_rate = {.interval_us = US_PER_S / 2, .burst = 4};
static const struct bucket_rate offer_rate = {.interval_us = US_PER_S / 10, .burst = 30};
static const struct bucket_rate join_rate = {.interval_us = US_PER_S / 10, .burst = 20};

struct service_params service_default_params(void)
{
	return (struct service_params){
		.lease_ms = 75000,
		.ping_ms = 20000,
		.max_members = 65536,
		.max_connections = 65536,
		.watch_members_max = 256,
	};
}

enum err service_create(struct service **ret, const struct service_params *params)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NO_MEMORY;
	s->params = *params;
	s->presence_at_us = DEADLINE_NONE;
	registry_init(&s->registry, params->max_members, params->lease_ms * US_PER_MS);
	*ret = s;
	return OK;
}

static void forget_link(struct service *s, struct link *l)
{
	HASH_DEL(s->links, l);
	DL_DELETE(s->links_used, l);
	s->link_count--;
	free(l);
}

void service_destroy(struct service *s)
{
	if (!s)
		return;
	while (s->links_used)
		forget_link(s, s->links_used);
	for (struct member *m = s->registry.online; m; m = m->lease_next)
		presence_stop(s, m);
	registry_fini(&s->registry);
	free(s);
}

enum transport_result service_send(struct service *s, uint32_t connection,
				   const struct signal_message *m)
{
	size_t len;

	/* What does not encode was decoded from a message with wider limits: not possible. */
	if (signal_message_encode(m, s->out, sizeof(s->out), &len) != OK)
		return TRANSPORT_GONE;
	return s->params.transport.send(s->params.transport.ctx, connection, s->out, len);
}

void service_event(struct service *s, enum service_event event, const char *name)
{
	if (s->params.on_event)
		s->params.on_event(s->params.event_ctx, event, name);
}

void service_set_gone(struct service *s, uint64_t now_us, struct member *m)
{
	presence_stop(s, m);
	registry_set_gone(&s->registry, now_us, m);
	service_event(s, SERVICE_EVENT_GONE, m->name);
	presence_on_change(s, now_us, m);
}

/* Finds or makes what is remembered of the connection. Return: NULL when memory is short. */
static struct link *get_link(struct service *s, uint64_t now_us, uint32_t connection,
			     const uint8_t *key)
{
	struct link *l;

	HASH_FIND(hh, s->links, &connection, sizeof(connection), l);
	if (l && memcmp(l->key, key, sizeof(l->key))) {
		/* The number came back as another host's connection. */
		forget_link(s, l);
		l = NULL;
	}
	if (l) {
		DL_DELETE(s->links_used, l);
	} else {
		if (s->link_count >= s->params.max_connections)
			forget_link(s, s->links_used);
		l = calloc(1, sizeof(*l));
		if (!l)
			return NULL;
		l->connection = connection;
		memcpy(l->key, key, sizeof(l->key));
		l->joins_left = JOIN_TRIES;
		HASH_ADD(hh, s->links, connection, sizeof(l->connection), l);
		if (!l->hh.tbl) {
			free(l);
			return NULL;
		}
		s->link_count++;
	}
	l->used_us = now_us;
	DL_APPEND(s->links_used, l);
	return l;
}

/* Return: the member that is registered on this connection with this key, or NULL. */
static struct member *member_of(struct service *s, const struct link *l)
{
	struct member *m = registry_find_connection(&s->registry, l->connection);

	return m && !memcmp(m->key, l->key, sizeof(m->key)) ? m : NULL;
}

enum err service_challenge(struct service *s, uint64_t now_us, int64_t unix_s, struct link *l)
{
	struct signal_message m = {.type = SIGNAL_CHALLENGE, .server_time_s = (uint64_t)unix_s};

	if (!bucket_take(&l->challenges, now_us, &challenge_rate))
		return DROP_LIMIT;
	/* One nonce until it is used: challenges that cross do not make each other void. */
	if (!l->has_nonce)
		random_bytes(&s->params.random, l->nonce, sizeof(l->nonce));
	l->has_nonce = true;
	memcpy(m.nonce, l->nonce, sizeof(m.nonce));
	s->counters.challenges++;
	service_send(s, l->connection, &m);
	return OK;
}

/* Answers an exchange with an error. */
static void send_error(struct service *s, const struct link *l, const struct signal_message *about,
		       enum signal_error code, uint64_t retry_us)
{
	struct signal_message m = {.type = SIGNAL_ERROR, .code = code};

	memcpy(m.xid, about->xid, sizeof(m.xid));
	m.retry_ms = (uint32_t)((retry_us + US_PER_MS - 1) / US_PER_MS);
	service_send(s, l->connection, &m);
}

static enum err on_forward(struct service *s, uint64_t now_us, const struct link *l,
			   struct member *sender, const struct signal_message *m)
{
	struct signal_message out = {.type = SIGNAL_DELIVER, .kind = m->kind};
	struct member *target = registry_find(&s->registry, m->to);
	enum transport_result result = TRANSPORT_GONE;

	if (!bucket_take(&sender->offers, now_us, &offer_rate)) {
		send_error(s, l, m, SIGNAL_ERROR_RATE,
			   bucket_wait_us(&sender->offers, now_us, &offer_rate));
		return DROP_LIMIT;
	}
	if (target && target->state == MEMBER_ONLINE) {
		memcpy(out.xid, m->xid, sizeof(out.xid));
		memcpy(out.from, sender->name, sizeof(out.from));
		out.body = m->body;
		out.body_len = m->body_len;
		result = service_send(s, target->connection, &out);
		if (result == TRANSPORT_GONE)
			service_set_gone(s, now_us, target);
	}
	switch (result) {
	case TRANSPORT_SENT:
		s->counters.forwarded++;
		out = (struct signal_message){.type = SIGNAL_ACK};
		memcpy(out.xid, m->xid, sizeof(out.xid));
		service_send(s, l->connection, &out);
		break;
	case TRANSPORT_BUSY:
		s->counters.busy++;
		send_error(s, l, m, SIGNAL_ERROR_BUSY, BUSY_RETRY_MS * US_PER_MS);
		break;
	case TRANSPORT_GONE:
		s->counters.absent++;
		send_error(s, l, m, SIGNAL_ERROR_ABSENT, 0);
		break;
	}
	return OK;
}

static enum err on_lookup(struct service *s, const struct link *l, const struct signal_message *m)
{
	struct signal_message out = {.type = SIGNAL_FOUND};
	const char *name = m->name[0] ? m->name : NULL;
	uint8_t certificate[CERT_MAX_BYTES];
	const struct member *found = name ? registry_find(&s->registry, name)
					  : registry_find_address(&s->registry, &m->address);
	enum err err = OK;

	memcpy(out.xid, m->xid, sizeof(out.xid));
	if (found) {
		out.certificate = found->certificate;
		out.certificate_len = found->certificate_len;
		out.online = found->state == MEMBER_ONLINE;
	} else {
		err = s->params.issuer.find(s->params.issuer.ctx, name, &m->address, certificate,
					    &out.certificate_len);
		out.certificate = certificate;
	}
	if (err == OK)
		service_send(s, l->connection, &out);
	else if (err == ERR_NOT_FOUND)
		send_error(s, l, m, SIGNAL_ERROR_UNKNOWN, 0);
	else
		send_error(s, l, m, SIGNAL_ERROR_BUSY, BUSY_RETRY_MS * US_PER_MS);
	return OK;
}

static enum signal_error join_error(enum issuer_result result)
{
	switch (result) {
	case ISSUER_TOKEN_UNKNOWN:
		return SIGNAL_ERROR_TOKEN_INVALID;
	case ISSUER_TOKEN_EXPIRED:
		return SIGNAL_ERROR_TOKEN_EXPIRED;
	case ISSUER_TOKEN_USED:
		return SIGNAL_ERROR_TOKEN_USED;
	case ISSUER_NAME_INVALID:
		return SIGNAL_ERROR_NAME_INVALID;
	case ISSUER_NAME_TAKEN:
		return SIGNAL_ERROR_NAME_TAKEN;
	case ISSUER_NO_ADDRESS:
		return SIGNAL_ERROR_NO_ADDRESS;
	case ISSUER_OK:
	case ISSUER_FAILED:
		break;
	}
	return SIGNAL_ERROR_BUSY;
}

static enum err on_join(struct service *s, uint64_t now_us, int64_t unix_s, struct link *l,
			const struct signal_message *m)
{
	const struct issuer_request request = {
		.token = m->secret,
		.name = m->name,
		.noise_public = m->noise_public,
		.curve_public = m->curve_public,
	};
	struct signal_message out = {.type = SIGNAL_JOINED};
	uint8_t certificate[CERT_MAX_BYTES];
	enum issuer_result result;

	if (l->joins_left == 0)
		return DROP_LIMIT;
	if (memcmp(m->curve_public, l->key, sizeof(l->key))) {
		l->joins_left--;
		send_error(s, l, m, SIGNAL_ERROR_BAD, 0);
		return DROP_IDENTITY;
	}
	if (!bucket_take(&s->joins, now_us, &join_rate)) {
		send_error(s, l, m, SIGNAL_ERROR_BUSY,
			   bucket_wait_us(&s->joins, now_us, &join_rate));
		return DROP_LIMIT;
	}
	result = s->params.issuer.join(s->params.issuer.ctx, unix_s, &request, certificate,
				       &out.certificate_len);
	if (result != ISSUER_OK) {
		l->joins_left--;
		s->counters.refused_joins++;
		service_event(s, SERVICE_EVENT_JOIN_REFUSED, m->name);
		send_error(s, l, m, join_error(result),
			   result == ISSUER_FAILED ? BUSY_RETRY_MS * US_PER_MS : 0);
		return OK;
	}
	s->counters.joined++;
	service_event(s, SERVICE_EVENT_JOINED, m->name);
	memcpy(out.xid, m->xid, sizeof(out.xid));
	out.certificate = certificate;
	service_send(s, l->connection, &out);
	return OK;
}

/* Credentials whose life is half over are replaced. */
static void on_ping(struct service *s, uint64_t now_us, int64_t unix_s, struct member *member,
		    uint64_t seq)
{
	struct signal_message out = {.type = SIGNAL_PONG, .seq = seq};
	uint64_t life_us = servers_lifetime_s(&s->params.servers) * US_PER_S;

	if (life_us && now_us >= member->told_us + life_us / 2)
		service_confirm(s, now_us, unix_s, member);
	service_send(s, member->connection, &out);
}

/* A message that only members may send. */
static enum err on_member_message(struct service *s, uint64_t now_us, int64_t unix_s,
				  struct link *l, struct member *member,
				  const struct signal_message *m)
{
	registry_renew(&s->registry, now_us, member);
	switch (m->type) {
	case SIGNAL_PING:
		on_ping(s, now_us, unix_s, member, m->seq);
		return OK;
	case SIGNAL_FORWARD:
		return on_forward(s, now_us, l, member, m);
	case SIGNAL_LOOKUP:
		return on_lookup(s, l, m);
	case SIGNAL_WATCH:
		return presence_on_watch(s, now_us, member, m->name);
	case SIGNAL_BYE:
		service_set_gone(s, now_us, member);
		return OK;
	/* Not for us, or handled before. */
	case SIGNAL_NONE:
	case SIGNAL_CHALLENGE:
	case SIGNAL_REGISTER:
	case SIGNAL_REGISTERED:
	case SIGNAL_PONG:
	case SIGNAL_FOUND:
	case SIGNAL_DELIVER:
	case SIGNAL_ACK:
	case SIGNAL_ERROR:
	case SIGNAL_PRESENCE:
	case SIGNAL_JOIN:
	case SIGNAL_JOINED:
	case SIGNAL_TYPE_COUNT:
		break;
	}
	return DROP_UNKNOWN_TYPE;
}

static enum err on_undecoded(struct service *s, uint64_t now_us, struct link *l, enum err err)
{
	const struct signal_message m = {.type = SIGNAL_ERROR, .code = SIGNAL_ERROR_VERSION};

	if (err == DROP_VERSION && bucket_take(&l->challenges, now_us, &challenge_rate))
		service_send(s, l->connection, &m);
	return err;
}

static enum err input(struct service *s, uint64_t now_us, int64_t unix_s, uint32_t connection,
		      const uint8_t *key, const uint8_t *buf, size_t len)
{
	struct link *l = get_link(s, now_us, connection, key);
	struct signal_message m;
	struct member *member;
	enum err err;

	if (!l || !bucket_take(&l->messages, now_us, &message_rate))
		return DROP_LIMIT;
	member = member_of(s, l);
	if (len == 0)
		return member ? DROP_STATE : service_challenge(s, now_us, unix_s, l);
	err = signal_message_decode(buf, len, &m);
	if (err != OK)
		return on_undecoded(s, now_us, l, err);
	if (m.type == SIGNAL_REGISTER)
		return service_on_register(s, now_us, unix_s, l, &m);
	if (m.type == SIGNAL_JOIN) {
		err = on_join(s, now_us, unix_s, l, &m);
		secret_wipe(m.secret, sizeof(m.secret));
		return err;
	}
	if (!member)
		return m.type == SIGNAL_BYE ? DROP_STATE : service_challenge(s, now_us, unix_s, l);
	return on_member_message(s, now_us, unix_s, l, member, &m);
}

enum err service_input(struct service *s, uint64_t now_us, int64_t unix_s, uint32_t connection,
		       const uint8_t key[static DH_BYTES], const uint8_t *buf, size_t len)
{
	return drop_count(&s->counters.drops, input(s, now_us, unix_s, connection, key, buf, len));
}

uint64_t service_next_deadline(const struct service *s)
{
	uint64_t at = deadline_min(registry_next_deadline(&s->registry), s->presence_at_us);

	return deadline_min(at,
			    s->links_used ? s->links_used->used_us + LINK_IDLE_US : DEADLINE_NONE);
}

void service_on_deadline(struct service *s, uint64_t now_us)
{
	struct member *m;

	while ((m = registry_expired(&s->registry, now_us)))
		service_set_gone(s, now_us, m);
	registry_forget(&s->registry, now_us);
	while (s->links_used && s->links_used->used_us + LINK_IDLE_US <= now_us)
		forget_link(s, s->links_used);
	if (s->presence_at_us <= now_us)
		presence_pump(s, now_us);
}

size_t service_online_count(const struct service *s)
{
	return s->registry.online_count;
}

const struct service_counters *service_counters(const struct service *s)
{
	return &s->counters;
}
