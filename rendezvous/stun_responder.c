#include "rendezvous/stun_responder.h"

#include <stdlib.h>

#include "daemon/core/base/time.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "rendezvous/bucket.h"

#define BUCKETS 4096

static const struct bucket_rate source_rate = {.interval_us = US_PER_S / 20, .burst = 40};

struct stun_responder {
	uint64_t hash_key;
	struct bucket buckets[BUCKETS];
	struct drop_counters drops;
};

enum err stun_responder_create(struct stun_responder **ret, const struct random_source *random)
{
	struct stun_responder *r = calloc(1, sizeof(*r));

	if (!r)
		return ERR_NO_MEMORY;
	r->hash_key = random_u64(random);
	*ret = r;
	return OK;
}

void stun_responder_destroy(struct stun_responder *r)
{
	free(r);
}

static struct bucket *bucket_of(struct stun_responder *r, const struct netaddr *from)
{
	size_t n = from->family == NETADDR_IP4 ? 4 : 8;
	uint64_t hash = r->hash_key;

	for (size_t i = 0; i < n; i++) {
		hash = (hash ^ from->ip[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	return &r->buckets[hash % BUCKETS];
}

static enum err respond(const struct stun_message *m, const struct netaddr *from, uint8_t *out,
			size_t *ret_len)
{
	bool is_unknown = m->unknown.count > 0;
	struct stun_writer w;

	stun_write_begin(&w, out, STUN_REPLY_MAX_BYTES,
			 is_unknown ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS, STUN_METHOD_BINDING,
			 m->txid);
	if (is_unknown) {
		stun_write_error(&w, STUN_ERROR_UNKNOWN_ATTRIBUTE);
		stun_write_unknown(&w, &m->unknown);
	} else {
		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, from);
	}
	return stun_write_finish(&w, NULL, 0, stun_has(m, STUN_FINGERPRINT), ret_len);
}

static enum err input(struct stun_responder *r, uint64_t now_us, const struct netaddr *from,
		      const uint8_t *buf, size_t len, uint8_t *out, size_t *ret_len)
{
	struct stun_message m;
	enum err err = stun_decode(&m, buf, len);

	if (err != OK)
		return err;
	if (m.class != STUN_CLASS_REQUEST || m.method != STUN_METHOD_BINDING)
		return DROP_UNKNOWN_TYPE;
	if (!bucket_take(bucket_of(r, from), now_us, &source_rate))
		return DROP_LIMIT;
	return respond(&m, from, out, ret_len);
}

enum err stun_responder_input(struct stun_responder *r, uint64_t now_us, const struct netaddr *from,
			      const uint8_t *buf, size_t len,
			      uint8_t out[static STUN_REPLY_MAX_BYTES], size_t *ret_len)
{
	return drop_count(&r->drops, input(r, now_us, from, buf, len, out, ret_len));
}

const struct drop_counters *stun_responder_drops(const struct stun_responder *r)
{
	return &r->drops;
}
