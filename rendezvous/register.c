/* REGISTER: who may have which name. The rules stand in service.h. */
#include <string.h>

#include "daemon/core/base/time.h"
#include "rendezvous/service_internal.h"

#define FREEZE_US     (60 * US_PER_S)
#define FULL_RETRY_US (5 * US_PER_S)

static const struct bucket_rate register_rate = {.interval_us = US_PER_S / 2, .burst = 4};
static const struct bucket_rate takeover_rate = {.interval_us = 12 * US_PER_S, .burst = 5};

static enum err refuse(struct service *s, const struct link *l, enum signal_error code,
		       uint64_t retry_us, enum err drop)
{
	const struct signal_message m = {
		.type = SIGNAL_ERROR,
		.code = code,
		.retry_ms = (uint32_t)((retry_us + US_PER_MS - 1) / US_PER_MS),
	};

	s->counters.refused_registers++;
	service_send(s, l->connection, &m);
	return drop;
}

/* The same run of the same program: it has moved, and is nobody's rival. */
static bool is_same_start(uint64_t a, uint64_t b)
{
	return a >> SIGNAL_EPOCH_COUNTER_BITS == b >> SIGNAL_EPOCH_COUNTER_BITS;
}

/* Ends the registration of @old so that the same host on @l can have it.
 * Return: OK, or a DROP_* after the newcomer was refused. */
static enum err take_over(struct service *s, uint64_t now_us, const struct link *l,
			  struct member *old, uint64_t epoch)
{
	const struct signal_message replaced = {.type = SIGNAL_ERROR,
						.code = SIGNAL_ERROR_REPLACED};
	bool is_same = is_same_start(epoch, old->epoch);

	if (epoch <= old->epoch)
		return refuse(s, l, SIGNAL_ERROR_REPLACED, 0, DROP_STALE);
	if (!is_same && old->frozen_until_us <= now_us &&
	    bucket_wait_us(&old->takeovers, now_us, &takeover_rate)) {
		old->frozen_until_us = now_us + FREEZE_US;
		service_event(s, SERVICE_EVENT_FROZEN, old->name);
	}
	if (!is_same && old->frozen_until_us > now_us)
		return refuse(s, l, SIGNAL_ERROR_RATE, old->frozen_until_us - now_us, DROP_LIMIT);
	/* A connection that is closed already is no rival: the host has just moved. */
	if (service_send(s, old->connection, &replaced) != TRANSPORT_GONE) {
		if (!is_same)
			(void)bucket_take(&old->takeovers, now_us, &takeover_rate);
		service_event(s, SERVICE_EVENT_TAKEN_OVER, old->name);
	}
	return OK;
}

static enum err check_name(struct service *s, uint64_t now_us, const struct link *l,
			   const struct cert *cert, uint64_t epoch)
{
	struct member *old = registry_find(&s->registry, cert->name);

	if (!old || old->state != MEMBER_ONLINE)
		return OK;
	if (memcmp(old->key, cert->curve_public, sizeof(old->key))) {
		service_event(s, SERVICE_EVENT_NAME_CONFLICT, old->name);
		return refuse(s, l, SIGNAL_ERROR_NAME_TAKEN, 0, DROP_IDENTITY);
	}
	if (old->connection == l->connection)
		return epoch < old->epoch ? DROP_STALE : OK;
	return take_over(s, now_us, l, old, epoch);
}

static enum err check_certificate(struct service *s, int64_t unix_s, const struct link *l,
				  const struct signal_message *m, struct cert *ret)
{
	enum err err = cert_verify(m->certificate, m->certificate_len, s->params.authority_public,
				   unix_s, ret);

	if (err == DROP_EXPIRED)
		return refuse(s, l, SIGNAL_ERROR_EXPIRED, 0, err);
	if (err == OK && memcmp(ret->curve_public, l->key, sizeof(l->key)))
		err = DROP_IDENTITY;
	if (err != OK)
		return refuse(s, l, SIGNAL_ERROR_CERTIFICATE, 0, err);
	return OK;
}

/* New credentials come with a PING: one has to come well before the old ones end. */
static uint32_t ping_ms(const struct service *s)
{
	uint32_t quarter_ms = servers_lifetime_s(&s->params.servers) * 1000 / 4;

	return quarter_ms && quarter_ms < s->params.ping_ms ? quarter_ms : s->params.ping_ms;
}

void service_confirm(struct service *s, uint64_t now_us, int64_t unix_s, struct member *member)
{
	struct signal_message out = {
		.type = SIGNAL_REGISTERED,
		.lease_ms = s->params.lease_ms,
		.ping_ms = ping_ms(s),
	};

	out.server_count = servers_fill(&s->params.servers, member->name, unix_s, out.servers);
	member->told_us = now_us;
	service_send(s, member->connection, &out);
}

/* Who begins with REGISTER answers no challenge. */
static bool is_answer(struct service *s, const struct link *l, const uint8_t *nonce)
{
	static const uint8_t none[SIGNAL_NONCE_BYTES];

	if (l->has_nonce)
		return memcmp(l->nonce, nonce, sizeof(l->nonce)) == 0;
	return memcmp(none, nonce, sizeof(none)) == 0 &&
	       !registry_find_connection(&s->registry, l->connection);
}

enum err service_on_register(struct service *s, uint64_t now_us, int64_t unix_s, struct link *l,
			     const struct signal_message *m)
{
	struct cert cert;
	struct member *member;
	enum err err;

	/* The cheap checks first: a signature costs more than a message. */
	if (!bucket_take(&l->registers, now_us, &register_rate))
		return refuse(s, l, SIGNAL_ERROR_RATE,
			      bucket_wait_us(&l->registers, now_us, &register_rate), DROP_LIMIT);
	if (!is_answer(s, l, m->nonce))
		return service_challenge(s, now_us, unix_s, l);
	l->has_nonce = false;
	err = check_certificate(s, unix_s, l, m, &cert);
	if (err == OK)
		err = check_name(s, now_us, l, &cert, m->epoch);
	if (err != OK)
		return err;
	/* A connection has one registration. */
	member = registry_find_connection(&s->registry, l->connection);
	if (member && strcmp(member->name, cert.name))
		service_set_gone(s, now_us, member);
	member = registry_find(&s->registry, cert.name);
	if (member && member->state == MEMBER_ONLINE)
		presence_stop(s, member);
	if (registry_set_online(&s->registry, now_us, l->connection, m->epoch, &cert,
				m->certificate, m->certificate_len, &member) != OK)
		return refuse(s, l, SIGNAL_ERROR_BUSY, FULL_RETRY_US, DROP_LIMIT);
	s->counters.registered++;
	service_event(s, SERVICE_EVENT_REGISTERED, member->name);
	service_confirm(s, now_us, unix_s, member);
	presence_on_change(s, now_us, member);
	return OK;
}
