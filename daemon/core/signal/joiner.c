#include "daemon/core/signal/joiner.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"

#define GIVE_UP_US	 (15 * US_PER_S)
#define FIRST_REPEAT_US	 (1 * US_PER_S)
#define LAST_REPEAT_US	 (4 * US_PER_S)
#define RETRY_DEFAULT_US (1 * US_PER_S)

struct joiner {
	enum joiner_state state;
	struct signal_message join;
	bool transmit; /* JOIN is to be sent */
	uint64_t repeat_us;
	uint64_t interval_us; /* before the repetition after the next */
	uint64_t give_up_us;  /* DEADLINE_NONE before the first JOIN */
	enum signal_error code;
	char detail[SIGNAL_ERROR_DETAIL_BYTES];
	uint8_t certificate[CERT_MAX_BYTES];
	size_t certificate_len;
};

/* The one place where the state changes. */
static void set_state(struct joiner *j, enum joiner_state state)
{
	j->state = state;
	j->transmit = false;
	j->repeat_us = DEADLINE_NONE;
	if (state == JOINER_DONE || state == JOINER_FAILED) {
		j->give_up_us = DEADLINE_NONE;
		secret_wipe(j->join.secret, sizeof(j->join.secret));
	}
}

enum err joiner_create(struct joiner **ret, const struct joiner_params *params)
{
	struct joiner *j;

	if (!identifier_is_valid(params->name))
		return ERR_INVALID;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ERR_NO_MEMORY;
	j->join.type = SIGNAL_JOIN;
	random_bytes(&params->random, j->join.xid, sizeof(j->join.xid));
	memcpy(j->join.name, params->name, strlen(params->name));
	memcpy(j->join.secret, params->secret, sizeof(j->join.secret));
	memcpy(j->join.noise_public, params->noise_public, sizeof(j->join.noise_public));
	memcpy(j->join.curve_public, params->curve_public, sizeof(j->join.curve_public));
	j->give_up_us = DEADLINE_NONE;
	set_state(j, JOINER_DOWN);
	*ret = j;
	return OK;
}

void joiner_destroy(struct joiner *j)
{
	if (!j)
		return;
	secret_wipe(j, sizeof(*j));
	free(j);
}

static bool is_final(const struct joiner *j)
{
	return j->state == JOINER_DONE || j->state == JOINER_FAILED;
}

void joiner_on_link_up(struct joiner *j, uint64_t now_us)
{
	if (is_final(j))
		return;
	set_state(j, JOINER_ASKING);
	j->transmit = true;
	j->interval_us = FIRST_REPEAT_US;
	j->repeat_us = now_us + j->interval_us;
	if (j->give_up_us == DEADLINE_NONE)
		j->give_up_us = now_us + GIVE_UP_US;
}

void joiner_on_link_down(struct joiner *j, uint64_t now_us)
{
	(void)now_us;
	if (!is_final(j))
		set_state(j, JOINER_DOWN);
}

static void on_error(struct joiner *j, uint64_t now_us, const struct signal_message *m)
{
	uint64_t retry_us = m->retry_ms ? m->retry_ms * US_PER_MS : RETRY_DEFAULT_US;

	j->code = m->code;
	memcpy(j->detail, m->detail, sizeof(j->detail));
	if (m->code == SIGNAL_ERROR_BUSY || m->code == SIGNAL_ERROR_RATE) {
		j->transmit = false;
		j->repeat_us = now_us + retry_us;
	} else {
		set_state(j, JOINER_FAILED);
	}
}

static void on_joined(struct joiner *j, const struct signal_message *m)
{
	memcpy(j->certificate, m->certificate, m->certificate_len);
	j->certificate_len = m->certificate_len;
	set_state(j, JOINER_DONE);
}

void joiner_on_message(struct joiner *j, uint64_t now_us, const struct signal_message *m)
{
	bool mine = memcmp(m->xid, j->join.xid, sizeof(m->xid)) == 0;

	if (j->state != JOINER_ASKING)
		return;
	if (m->type == SIGNAL_JOINED && mine)
		on_joined(j, m);
	/* A server of another version cannot read the xid. */
	else if (m->type == SIGNAL_ERROR && (mine || m->code == SIGNAL_ERROR_VERSION))
		on_error(j, now_us, m);
}

uint64_t joiner_next_deadline(const struct joiner *j)
{
	return deadline_min(j->repeat_us, j->give_up_us);
}

void joiner_on_deadline(struct joiner *j, uint64_t now_us)
{
	if (now_us >= j->give_up_us) {
		set_state(j, JOINER_FAILED);
	} else if (now_us >= j->repeat_us) {
		j->transmit = true;
		if (j->interval_us < LAST_REPEAT_US)
			j->interval_us *= 2;
		j->repeat_us = now_us + j->interval_us;
	}
}

bool joiner_pop_transmit(struct joiner *j, uint8_t *buf, size_t cap, size_t *ret_len)
{
	if (!j->transmit)
		return false;
	j->transmit = false;
	return signal_message_encode(&j->join, buf, cap, ret_len) == OK;
}

enum joiner_state joiner_state(const struct joiner *j)
{
	return j->state;
}

enum signal_error joiner_code(const struct joiner *j)
{
	return j->code;
}

const char *joiner_detail(const struct joiner *j)
{
	return j->detail;
}

const uint8_t *joiner_certificate(const struct joiner *j, size_t *ret_len)
{
	*ret_len = j->certificate_len;
	return j->certificate_len ? j->certificate : NULL;
}
