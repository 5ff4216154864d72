#include "tests/unit/rendezvous/fixture.h"

#include "daemon/core/crypto/secret.h"

static enum transport_result send_message(void *ctx, uint32_t connection, const uint8_t *buf,
					  size_t len)
{
	struct fixture *f = ctx;
	struct peer *p = &f->peers[connection];

	assert_true(connection < CONNECTIONS);
	if (p->is_gone)
		return TRANSPORT_GONE;
	if (p->room == 0)
		return TRANSPORT_BUSY;
	if (p->room > 0)
		p->room--;
	memcpy(p->bytes, buf, len);
	assert_int_equal(signal_message_decode(p->bytes, len, &p->last), OK);
	p->seen[p->last.type]++;
	p->count++;
	return TRANSPORT_SENT;
}

static enum issuer_result join(void *ctx, int64_t now_s, const struct issuer_request *request,
			       uint8_t *ret, size_t *ret_len)
{
	struct fixture *f = ctx;

	assert_int_equal(now_s, UNIX_S);
	assert_int_equal(request->token[0], 0x77);
	f->joins++;
	ret[0] = 1;
	*ret_len = 1;
	return f->join_result;
}

/* Knows "offline" only. */
static enum err find(void *ctx, const char *name, const struct netaddr *address, uint8_t *ret,
		     size_t *ret_len)
{
	(void)ctx;
	if (name ? strcmp(name, "offline") : address->ip[3] != 99)
		return ERR_NOT_FOUND;
	ret[0] = 2;
	*ret_len = 1;
	return OK;
}

static void on_event(void *ctx, enum service_event event, const char *name)
{
	struct fixture *f = ctx;

	assert_true(name[0] != '\0');
	f->events[event]++;
}

int fixture_setup(void **state)
{
	static const uint8_t seed[SIGN_SEED_BYTES] = {9};
	struct fixture *f = calloc(1, sizeof(*f));
	struct service_params params = service_default_params();

	assert_non_null(f);
	assert_int_equal(crypto_start(), OK);
	random_seeded_init(&f->seed, 1);
	sign_keypair(seed, f->public, f->secret);
	for (size_t i = 0; i < CONNECTIONS; i++)
		f->peers[i].room = -1;
	f->now_us = 1000 * US_PER_S;
	params.random = random_seeded_source(&f->seed);
	memcpy(params.authority_public, f->public, sizeof(params.authority_public));
	params.servers = (struct servers){.uri = {"stun:192.0.2.1:3478", "turn:192.0.2.1"},
					  .count = 2,
					  .turn_secret = "north",
					  .lifetime_s = 60};
	params.issuer = (struct service_issuer){.join = join, .find = find, .ctx = f};
	params.transport = (struct transport){.send = send_message, .ctx = f};
	params.max_connections = CONNECTIONS / 2;
	params.max_members = CONNECTIONS / 2;
	params.watch_members_max = 100;
	params.on_event = on_event;
	params.event_ctx = f;
	assert_int_equal(service_create(&f->service, &params), OK);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	service_destroy(f->service);
	free(f);
	return 0;
}

enum err say_bytes(struct fixture *f, struct voice v, const void *buf, size_t len)
{
	uint8_t key[DH_BYTES];

	memset(key, v.key, sizeof(key));
	return service_input(f->service, f->now_us, UNIX_S, v.connection, key, buf, len);
}

enum err say(struct fixture *f, struct voice v, const struct signal_message *m)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	assert_int_equal(signal_message_encode(m, buf, sizeof(buf), &len), OK);
	return say_bytes(f, v, buf, len);
}

size_t make_certificate(struct fixture *f, const char *name, uint8_t key,
			uint8_t ret[static CERT_MAX_BYTES])
{
	struct cert c = {
		.serial = key,
		.address_count = 1,
		.network_count = 1,
		.issued_s = UNIX_S,
		.not_before_s = UNIX_S,
		.not_after_s = UNIX_S + 10,
	};
	size_t len;

	snprintf(c.name, sizeof(c.name), "%s", name);
	memset(c.noise_public, key, sizeof(c.noise_public));
	memset(c.curve_public, key, sizeof(c.curve_public));
	c.addresses[0] = netaddr_from_ip4((const uint8_t[]){100, 96, 0, key}, 0);
	assert_int_equal(netprefix_parse("100.96.0.0/16", &c.networks[0]), OK);
	assert_int_equal(cert_sign(&c, f->secret, ret, CERT_MAX_BYTES, &len), OK);
	return len;
}

enum err try_register(struct fixture *f, struct voice v, const char *name, uint64_t epoch)
{
	struct peer *p = &f->peers[v.connection];
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = epoch};
	unsigned challenges = p->seen[SIGNAL_CHALLENGE];
	uint8_t certificate[CERT_MAX_BYTES];
	const struct signal_message ping = {.type = SIGNAL_PING, .seq = 1};

	if (p->count == 0)
		assert_int_equal(say_bytes(f, v, "", 0), OK);
	else
		assert_int_equal(say(f, v, &ping), OK);
	assert_int_equal(p->seen[SIGNAL_CHALLENGE], challenges + 1);
	memcpy(m.nonce, p->last.nonce, sizeof(m.nonce));
	m.certificate = certificate;
	m.certificate_len = make_certificate(f, name, v.key, certificate);
	return say(f, v, &m);
}

struct voice member(struct fixture *f, uint32_t connection, uint8_t key, const char *name)
{
	struct voice v = {.connection = connection, .key = key};

	assert_int_equal(try_register(f, v, name, 1), OK);
	assert_int_equal(f->peers[connection].last.type, SIGNAL_REGISTERED);
	return v;
}

enum err forward(struct fixture *f, struct voice from, const char *to, uint8_t xid)
{
	struct signal_message m = {
		.type = SIGNAL_FORWARD, .kind = 1, .body = (const uint8_t *)"body", .body_len = 4};

	snprintf(m.to, sizeof(m.to), "%s", to);
	memset(m.xid, xid, sizeof(m.xid));
	return say(f, from, &m);
}

void check_error(const struct peer *p, enum signal_error code, uint8_t xid)
{
	assert_int_equal(p->last.type, SIGNAL_ERROR);
	assert_string_equal(signal_error_name(p->last.code), signal_error_name(code));
	assert_int_equal(p->last.xid[7], xid);
}

void pass_second(struct fixture *f)
{
	uint64_t until_us = f->now_us + US_PER_S;

	while (service_next_deadline(f->service) <= until_us) {
		if (service_next_deadline(f->service) > f->now_us)
			f->now_us = service_next_deadline(f->service);
		service_on_deadline(f->service, f->now_us);
	}
	f->now_us = until_us;
}
