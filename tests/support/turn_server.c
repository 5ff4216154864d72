#include "tests/support/turn_server.h"

#include <stdio.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/hash.h"
#include "daemon/core/stun/writer.h"

#define PERMISSION_US (300 * US_PER_S)
#define CHANNEL_US    (600 * US_PER_S)
#define QUARANTINE_US (300 * US_PER_S)
#define FIRST_PORT    50000
#define CHANNEL_MIN   0x4000
#define CHANNEL_MAX   0x4fff

static const uint8_t list_sha256[] = {0, 2, 0, 0, 0, 1, 0, 0};
static const uint8_t list_md5[] = {0, 1, 0, 0};
static const uint8_t list_unknown[] = {0, 99, 0, 0};

struct request {
	struct turn_server *s;
	uint64_t now_us;
	struct netaddr from;
	const struct stun_message *m;
	struct turn_server_allocation *a; /* NULL: none */
	bool authentic, sha256;
	struct stun_bytes user;
	uint8_t key[SHA256_BYTES];
	size_t key_len;
};

/* RFC 8489 s. 18.1: the features "password algorithms" and "username anonymity", in base64. */
static void new_nonce(struct turn_server *s, uint64_t now_us)
{
	static const char *const features[2][4] = {
		{"AAAA", "gAAA", "QAAA", "wAAA"},
		{"AAAA", "AAAB", "AAAC", "AAAD"},
	};
	size_t bits = (s->config.algorithms != TURN_SERVER_MD5_SHA1) + 2u * s->config.anonymous;

	snprintf(s->nonce, sizeof(s->nonce), "obMatJos2%s%08x",
		 features[s->config.lowest_first][bits], random_u32(&s->random));
	s->nonce_us = now_us;
}

void turn_server_init(struct turn_server *s, const struct netaddr *address, uint64_t now_us,
		      uint64_t seed)
{
	*s = (struct turn_server){
		.config = {.realm = "example.org",
			   .username = "user",
			   .password = "secret",
			   .ip4 = true,
			   .ip6 = true,
			   .lifetime_s = 600,
			   .nonce_life_us = 3600 * US_PER_S},
		.address = *address,
		.next_port = FIRST_PORT,
	};
	random_seeded_init(&s->seed, seed);
	s->random = random_seeded_source(&s->seed);
	new_nonce(s, now_us);
}

void turn_server_restart(struct turn_server *s, uint64_t now_us)
{
	memset(s->allocations, 0, sizeof(s->allocations));
	s->queue_count = 0;
	new_nonce(s, now_us);
}

static void expire(struct turn_server *s, uint64_t now_us)
{
	for (size_t i = 0; i < TURN_SERVER_ALLOCATIONS; i++) {
		struct turn_server_allocation *a = &s->allocations[i];

		if (a->client.family != NETADDR_NONE && now_us >= a->expires_us)
			memset(a, 0, sizeof(*a));
	}
}

struct turn_server_allocation *turn_server_find(struct turn_server *s, const struct netaddr *client)
{
	for (size_t i = 0; i < TURN_SERVER_ALLOCATIONS; i++) {
		if (netaddr_equal(&s->allocations[i].client, client))
			return &s->allocations[i];
	}
	return NULL;
}

size_t turn_server_count(const struct turn_server *s)
{
	size_t n = 0;

	for (size_t i = 0; i < TURN_SERVER_ALLOCATIONS; i++)
		n += s->allocations[i].client.family != NETADDR_NONE;
	return n;
}

static struct turn_server_allocation *find_relayed(const struct turn_server *s,
						   const struct netaddr *to)
{
	for (size_t i = 0; i < TURN_SERVER_ALLOCATIONS; i++) {
		const struct turn_server_allocation *a = &s->allocations[i];

		if (a->client.family != NETADDR_NONE &&
		    (netaddr_equal(&a->relayed[0], to) || netaddr_equal(&a->relayed[1], to)))
			return (struct turn_server_allocation *)(uintptr_t)a;
	}
	return NULL;
}

bool turn_server_owns(const struct turn_server *s, const struct netaddr *to)
{
	return netaddr_equal(to, &s->address) || find_relayed(s, to);
}

static void send_to(struct turn_server *s, const struct netaddr *from, const struct netaddr *to,
		    const uint8_t *bytes, size_t len)
{
	struct turn_server_datagram *d;

	if (s->queue_count == TURN_SERVER_QUEUE || len > TURN_SERVER_BYTES)
		return;
	d = &s->queue[(s->queue_head + s->queue_count++) % TURN_SERVER_QUEUE];
	d->from = *from;
	d->to = *to;
	d->len = len;
	memcpy(d->bytes, bytes, len);
}

bool turn_server_pop(struct turn_server *s, struct turn_server_datagram *ret)
{
	if (s->queue_count == 0)
		return false;
	*ret = s->queue[s->queue_head];
	s->queue_head = (s->queue_head + 1) % TURN_SERVER_QUEUE;
	s->queue_count--;
	return true;
}

/* --- answers --- */

static void begin(const struct request *r, struct stun_writer *w, uint8_t *buf,
		  enum stun_class class)
{
	stun_write_begin(w, buf, TURN_SERVER_BYTES, class, r->m->method, r->m->txid);
}

static void finish(const struct request *r, struct stun_writer *w, bool bare)
{
	const uint8_t *key = r->authentic && !bare ? r->key : NULL;
	size_t len;
	enum err e = r->sha256 ? stun_write_finish_sha256(w, key, r->key_len, true, &len)
			       : stun_write_finish(w, key, r->key_len, true, &len);

	if (e == OK)
		send_to(r->s, &r->s->address, &r->from, w->wr.start, len);
}

static void write_challenge(const struct turn_server *s, struct stun_writer *w)
{
	const uint8_t *list = NULL;
	size_t len = 0;

	stun_write_bytes(w, STUN_REALM, s->config.realm, strlen(s->config.realm));
	stun_write_bytes(w, STUN_NONCE, s->nonce, strlen(s->nonce));
	switch (s->config.algorithms) {
	case TURN_SERVER_MD5_SHA1:
	case TURN_SERVER_DOWNGRADED:
		return;
	case TURN_SERVER_SHA256:
		list = list_sha256;
		len = sizeof(list_sha256);
		break;
	case TURN_SERVER_MD5:
		list = list_md5;
		len = sizeof(list_md5);
		break;
	case TURN_SERVER_UNKNOWN:
		list = list_unknown;
		len = sizeof(list_unknown);
		break;
	}
	stun_write_bytes(w, STUN_PASSWORD_ALGORITHMS, list, len);
}

static void answer_error(const struct request *r, uint16_t code)
{
	uint8_t buf[TURN_SERVER_BYTES];
	struct stun_writer w;

	begin(r, &w, buf, STUN_CLASS_ERROR);
	stun_write_error(&w, code);
	if (code == STUN_ERROR_UNAUTHENTICATED || code == STUN_ERROR_STALE_NONCE) {
		r->s->challenges++;
		write_challenge(r->s, &w);
	}
	if (code == STUN_ERROR_TRY_ALTERNATE && r->s->config.alternate.family != NETADDR_NONE)
		stun_write_address(&w, STUN_ALTERNATE_SERVER, &r->s->config.alternate);
	finish(r, &w, r->s->config.error_bare);
}

static void answer_success(const struct request *r)
{
	uint8_t buf[TURN_SERVER_BYTES];
	struct stun_writer w;

	begin(r, &w, buf, STUN_CLASS_SUCCESS);
	finish(r, &w, false);
}

/* RFC 8656 s. 7.2: of the two families that were asked for, IPv6 is not there. */
static void write_address_error(struct stun_writer *w)
{
	static const uint8_t ip6_not_supported[] = {0x80, 0x01, 0, 4, 2, 0, 4, 40};

	wr_bytes(&w->wr, ip6_not_supported, sizeof(ip6_not_supported));
}

static void answer_lifetime(const struct request *r, uint32_t lifetime_s)
{
	uint8_t buf[TURN_SERVER_BYTES];
	struct stun_writer w;

	begin(r, &w, buf, STUN_CLASS_SUCCESS);
	if (r->m->method == STUN_METHOD_ALLOCATE) {
		for (size_t i = 0; i < 2; i++) {
			if (r->a->relayed[i].family != NETADDR_NONE)
				stun_write_address(&w, STUN_XOR_RELAYED_ADDRESS, &r->a->relayed[i]);
		}
		if (stun_has(r->m, STUN_ADDITIONAL_ADDRESS_FAMILY) && !r->s->config.ip6)
			write_address_error(&w);
		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, &r->from);
	}
	stun_write_number(&w, STUN_LIFETIME, lifetime_s);
	finish(r, &w, false);
}

/* --- credentials --- */

static bool text_is(const struct stun_bytes *b, const char *text)
{
	return b->len == strlen(text) && memcmp(b->p, text, b->len) == 0;
}

/* The list has to come back as it went out, with a choice from it (RFC 8489 s. 9.2.4). */
static bool algorithms_are_right(struct request *r, bool *ret_sha256_key)
{
	const struct stun_message *m = r->m;
	bool offered = r->s->config.algorithms == TURN_SERVER_SHA256 ||
		       r->s->config.algorithms == TURN_SERVER_MD5;
	const uint8_t *list =
		r->s->config.algorithms == TURN_SERVER_SHA256 ? list_sha256 : list_md5;
	size_t len = r->s->config.algorithms == TURN_SERVER_SHA256 ? sizeof(list_sha256)
								   : sizeof(list_md5);

	*ret_sha256_key = false;
	if (!offered)
		return !stun_has(m, STUN_PASSWORD_ALGORITHM);
	if (!stun_has(m, STUN_PASSWORD_ALGORITHMS) || !stun_has(m, STUN_PASSWORD_ALGORITHM) ||
	    m->password_algorithms.len != len || memcmp(m->password_algorithms.p, list, len) != 0)
		return false;
	*ret_sha256_key = m->password_algorithm.p[1] == 2;
	r->sha256 = true;
	return true;
}

/* Return: false for none, a wrong one, or one that is told though anonymity is wanted (s.
 * 9.2.4). */
static bool find_user(struct request *r)
{
	const struct turn_server_config *c = &r->s->config;
	const struct stun_message *m = r->m;
	uint8_t hash[SHA256_BYTES];
	char text[256];
	int len;

	if (!c->anonymous) {
		r->user = m->username;
		return !c->username || text_is(&m->username, c->username);
	}
	len = snprintf(text, sizeof(text), "%s:%s", c->username, c->realm);
	r->user = (struct stun_bytes){.p = (const uint8_t *)c->username,
				      .len = (uint16_t)strlen(c->username)};
	return hash_sha256(text, (size_t)len, hash) == OK && m->userhash.len == sizeof(hash) &&
	       memcmp(m->userhash.p, hash, sizeof(hash)) == 0;
}

static bool make_key(struct request *r, bool sha256_key)
{
	const struct turn_server_config *c = &r->s->config;
	char text[512];
	size_t len = (size_t)snprintf(text, sizeof(text), "%.*s:%s:%s", r->user.len,
				      (const char *)r->user.p, c->realm, c->password);

	r->key_len = sha256_key ? SHA256_BYTES : MD5_BYTES;
	return (sha256_key ? hash_sha256(text, len, r->key) : hash_md5(text, len, r->key)) == OK;
}

/* Return: the error, or 0 when the request is authentic. */
static uint16_t authenticate(struct request *r)
{
	const struct turn_server_config *c = &r->s->config;
	const struct stun_message *m = r->m;
	bool sha256_key;
	enum err e;

	if (c->open)
		return 0;
	if (!stun_has(m, STUN_MESSAGE_INTEGRITY) && !stun_has(m, STUN_MESSAGE_INTEGRITY_SHA256))
		return STUN_ERROR_UNAUTHENTICATED;
	if (!stun_has(m, c->anonymous ? STUN_USERHASH : STUN_USERNAME) ||
	    !stun_has(m, STUN_REALM) || !stun_has(m, STUN_NONCE) ||
	    (stun_has(m, STUN_USERHASH) && stun_has(m, STUN_USERNAME))) {
		r->s->violations++;
		return STUN_ERROR_BAD_REQUEST;
	}
	if (!text_is(&m->nonce, r->s->nonce) || r->now_us >= r->s->nonce_us + c->nonce_life_us) {
		if (text_is(&m->nonce, r->s->nonce))
			new_nonce(r->s, r->now_us);
		return STUN_ERROR_STALE_NONCE;
	}
	if (!algorithms_are_right(r, &sha256_key)) {
		r->s->violations++;
		return STUN_ERROR_BAD_REQUEST;
	}
	if (!find_user(r) || !make_key(r, sha256_key))
		return STUN_ERROR_UNAUTHENTICATED;
	e = r->sha256 ? stun_check_integrity_sha256(m, r->key, r->key_len)
		      : stun_check_integrity(m, r->key, r->key_len);
	if (e != OK)
		return STUN_ERROR_UNAUTHENTICATED;
	r->authentic = true;
	r->s->sha256_requests += r->sha256;
	/* RFC 8656 s. 5: an allocation belongs to a user. */
	if (r->a && m->method != STUN_METHOD_ALLOCATE && !text_is(&r->user, r->a->username))
		return STUN_ERROR_WRONG_CREDENTIALS;
	return 0;
}

/* --- methods --- */

static struct netaddr new_relayed(struct turn_server *s, bool ip6)
{
	static const uint8_t ip6_base[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0xff};
	struct netaddr a = s->address;

	if (ip6)
		a = netaddr_from_ip6(ip6_base, 0);
	else if (a.family != NETADDR_IP4)
		a = netaddr_from_ip4((const uint8_t[]){203, 0, 113, 200}, 0);
	a.port = s->next_port++;
	return a;
}

static void on_allocate(struct request *r)
{
	struct turn_server *s = r->s;
	bool ip6 = r->m->requested_address_family == 2;
	bool both = stun_has(r->m, STUN_ADDITIONAL_ADDRESS_FAMILY);

	if (r->a) {
		answer_error(r, STUN_ERROR_ALLOCATION_MISMATCH);
		return;
	}
	if (r->m->requested_transport != 17 ||
	    (both && stun_has(r->m, STUN_REQUESTED_ADDRESS_FAMILY))) {
		s->violations++;
		answer_error(r, STUN_ERROR_BAD_REQUEST);
		return;
	}
	if (ip6 ? !s->config.ip6 : !s->config.ip4) {
		answer_error(r, STUN_ERROR_FAMILY_NOT_SUPPORTED);
		return;
	}
	r->a = turn_server_find(s, &(struct netaddr){0});
	if (!r->a) {
		answer_error(r, STUN_ERROR_INSUFFICIENT_CAPACITY);
		return;
	}
	r->a->client = r->from;
	snprintf(r->a->username, sizeof(r->a->username), "%.*s", r->user.len,
		 (const char *)r->user.p);
	r->a->relayed[0] = new_relayed(s, ip6 != s->config.wrong_family);
	if (both && s->config.ip6)
		r->a->relayed[1] = new_relayed(s, true);
	r->a->expires_us = r->now_us + s->config.lifetime_s * US_PER_S;
	answer_lifetime(r, s->config.lifetime_s);
}

static void on_refresh(struct request *r)
{
	struct turn_server *s = r->s;
	bool release = stun_has(r->m, STUN_LIFETIME) && r->m->lifetime_s == 0;

	if (!r->a) {
		answer_error(r, STUN_ERROR_ALLOCATION_MISMATCH);
		return;
	}
	if (release) {
		s->releases++;
		memset(r->a, 0, sizeof(*r->a));
		answer_lifetime(r, 0);
		return;
	}
	r->a->expires_us = r->now_us + s->config.lifetime_s * US_PER_S;
	answer_lifetime(r, s->config.lifetime_s);
}

static void permit(struct turn_server_allocation *a, const struct netaddr *addr, uint64_t now_us)
{
	struct turn_server_peer *free_row = NULL;

	for (size_t i = 0; i < TURN_SERVER_PEERS; i++) {
		struct turn_server_peer *p = &a->permissions[i];

		if (p->addr.family == NETADDR_NONE) {
			free_row = free_row ? free_row : p;
		} else if (netaddr_ip_equal(&p->addr, addr)) {
			free_row = p;
			break;
		}
	}
	if (!free_row)
		return;
	free_row->addr = *addr;
	free_row->expires_us = now_us + PERMISSION_US;
}

static bool is_permitted(const struct turn_server_allocation *a, const struct netaddr *addr,
			 uint64_t now_us)
{
	for (size_t i = 0; i < TURN_SERVER_PEERS; i++) {
		if (a->permissions[i].addr.family != NETADDR_NONE &&
		    netaddr_ip_equal(&a->permissions[i].addr, addr))
			return now_us < a->permissions[i].expires_us;
	}
	return false;
}

/* Return: 0 or the error. */
static uint16_t check_peer(const struct request *r, const struct netaddr *peer)
{
	if (peer->family != r->a->relayed[0].family && peer->family != r->a->relayed[1].family)
		return STUN_ERROR_PEER_FAMILY_MISMATCH;
	return netaddr_ip_equal(peer, &r->s->config.refused) ? STUN_ERROR_FORBIDDEN : 0;
}

static void on_create_permission(struct request *r)
{
	struct netaddr peer;
	uint16_t code = 0;
	size_t n = 0;

	if (!r->a) {
		answer_error(r, STUN_ERROR_ALLOCATION_MISMATCH);
		return;
	}
	for (; code == 0 && stun_find_address(r->m, STUN_XOR_PEER_ADDRESS, n, &peer); n++)
		code = check_peer(r, &peer);
	if (n == 0) {
		r->s->violations++;
		code = STUN_ERROR_BAD_REQUEST;
	}
	if (code) {
		answer_error(r, code);
		return;
	}
	for (n = 0; stun_find_address(r->m, STUN_XOR_PEER_ADDRESS, n, &peer); n++)
		permit(r->a, &peer, r->now_us);
	answer_success(r);
}

/* A number belongs to one peer until its quarantine is over, and a peer has one number. */
static struct turn_server_peer *channel_row(const struct request *r, uint16_t number,
					    const struct netaddr *peer)
{
	struct turn_server_peer *free_row = NULL;

	for (size_t i = 0; i < TURN_SERVER_PEERS; i++) {
		struct turn_server_peer *c = &r->a->channels[i];
		bool lives = r->now_us < c->expires_us;
		bool rests = r->now_us < c->expires_us + QUARANTINE_US;

		if (c->addr.family == NETADDR_NONE) {
			free_row = free_row ? free_row : c;
			continue;
		}
		if (c->channel == number && netaddr_equal(&c->addr, peer))
			return c;
		if ((c->channel == number && rests) || (netaddr_equal(&c->addr, peer) && lives))
			return NULL;
	}
	return free_row;
}

static void on_channel_bind(struct request *r)
{
	uint16_t number = r->m->channel_number;
	const struct netaddr *peer = &r->m->xor_peer_address;
	struct turn_server_peer *row;
	uint16_t code;

	if (!r->a) {
		answer_error(r, STUN_ERROR_ALLOCATION_MISMATCH);
		return;
	}
	code = check_peer(r, peer);
	if (code) {
		answer_error(r, code);
		return;
	}
	row = channel_row(r, number, peer);
	if (!row || number < CHANNEL_MIN || number > CHANNEL_MAX) {
		r->s->violations++;
		answer_error(r, STUN_ERROR_BAD_REQUEST);
		return;
	}
	row->addr = *peer;
	row->channel = number;
	row->expires_us = r->now_us + CHANNEL_US;
	permit(r->a, peer, r->now_us);
	answer_success(r);
}

static void on_binding(const struct request *r)
{
	uint8_t buf[TURN_SERVER_BYTES];
	struct stun_writer w;

	if (r->s->config.no_keepalive)
		return;
	begin(r, &w, buf, STUN_CLASS_SUCCESS);
	stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, &r->from);
	finish(r, &w, true);
}

static void on_request(struct request *r)
{
	struct turn_server_config *c = &r->s->config;
	uint16_t code;

	if (r->m->len > r->s->largest_request)
		r->s->largest_request = (uint16_t)r->m->len;
	r->a = turn_server_find(r->s, &r->from);
	if (r->m->method == STUN_METHOD_BINDING) {
		on_binding(r);
		return;
	}
	code = authenticate(r);
	if (code) {
		answer_error(r, code);
		return;
	}
	r->s->requests[r->m->method & 15]++;
	if (c->error_code && c->error_method == r->m->method && c->error_times > 0) {
		c->error_times--;
		answer_error(r, c->error_code);
		return;
	}
	switch (r->m->method) {
	case STUN_METHOD_ALLOCATE:
		on_allocate(r);
		return;
	case STUN_METHOD_REFRESH:
		on_refresh(r);
		return;
	case STUN_METHOD_CREATE_PERMISSION:
		on_create_permission(r);
		return;
	case STUN_METHOD_CHANNEL_BIND:
		on_channel_bind(r);
		return;
	default:
		answer_error(r, STUN_ERROR_BAD_REQUEST);
	}
}

/* --- data --- */

static void to_peer(struct turn_server *s, struct turn_server_allocation *a, uint64_t now_us,
		    const struct netaddr *peer, const uint8_t *bytes, size_t len)
{
	const struct netaddr *from =
		peer->family == a->relayed[0].family ? &a->relayed[0] : &a->relayed[1];

	if (is_permitted(a, peer, now_us))
		send_to(s, from, peer, bytes, len);
}

static void on_channel_data(struct turn_server *s, struct turn_server_allocation *a,
			    uint64_t now_us, const uint8_t *buf, size_t len)
{
	struct rd r = rd_init(buf, len);
	uint16_t number = rd_u16be(&r);
	size_t data_len = rd_u16be(&r);
	const uint8_t *bytes = rd_bytes(&r, data_len);

	for (size_t i = 0; bytes && i < TURN_SERVER_PEERS; i++) {
		const struct turn_server_peer *c = &a->channels[i];

		if (c->channel == number && now_us < c->expires_us) {
			to_peer(s, a, now_us, &c->addr, bytes, data_len);
			return;
		}
	}
	s->violations++;
}

static void to_client(struct turn_server *s, struct turn_server_allocation *a, uint64_t now_us,
		      const struct netaddr *peer, const uint8_t *bytes, size_t len)
{
	uint8_t buf[TURN_SERVER_BYTES], txid[STUN_TXID_BYTES];
	struct stun_writer w;
	struct wr wr = wr_init(buf, sizeof(buf));

	for (size_t i = 0; i < TURN_SERVER_PEERS; i++) {
		const struct turn_server_peer *c = &a->channels[i];

		if (!netaddr_equal(&c->addr, peer) || now_us >= c->expires_us)
			continue;
		wr_u16be(&wr, c->channel);
		wr_u16be(&wr, (uint16_t)len);
		wr_bytes(&wr, bytes, len);
		if (wr_ok(&wr))
			send_to(s, &s->address, &a->client, buf, wr_len(&wr));
		return;
	}
	random_bytes(&s->random, txid, sizeof(txid));
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_DATA, txid);
	stun_write_address(&w, STUN_XOR_PEER_ADDRESS, peer);
	stun_write_bytes(&w, STUN_DATA, bytes, len);
	if (stun_write_finish(&w, NULL, 0, false, &len) == OK)
		send_to(s, &s->address, &a->client, buf, len);
}

static void on_send(struct turn_server *s, struct turn_server_allocation *a, uint64_t now_us,
		    const struct stun_message *m)
{
	if (!is_permitted(a, &m->xor_peer_address, now_us))
		s->violations++;
	to_peer(s, a, now_us, &m->xor_peer_address, m->data.p, m->data.len);
}

void turn_server_input(struct turn_server *s, uint64_t now_us, const struct netaddr *to,
		       const struct netaddr *from, const uint8_t *buf, size_t len)
{
	struct turn_server_allocation *a;
	struct stun_message m;

	expire(s, now_us);
	if (s->config.silent)
		return;
	if (!netaddr_equal(to, &s->address)) {
		a = find_relayed(s, to);
		if (a && is_permitted(a, from, now_us))
			to_client(s, a, now_us, from, buf, len);
		return;
	}
	a = turn_server_find(s, from);
	if (len > 0 && buf[0] >= 0x40 && buf[0] <= 0x4f) {
		if (a)
			on_channel_data(s, a, now_us, buf, len);
		return;
	}
	if (stun_decode(&m, buf, len) != OK) {
		s->violations++;
		return;
	}
	if (m.class == STUN_CLASS_REQUEST)
		on_request(&(struct request){.s = s, .now_us = now_us, .from = *from, .m = &m});
	else if (m.class == STUN_CLASS_INDICATION && m.method == STUN_METHOD_SEND && a)
		on_send(s, a, now_us, &m);
}
