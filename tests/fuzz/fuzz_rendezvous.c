/*
 * A few hosts and strangers talk to the rendezvous service. The input is a list of steps: what
 * kind, on which connection, with which key. A step sends bytes as they are in the input, or a
 * message that is made from them and encodes; REGISTER is given the nonce and a true certificate,
 * since no fuzzer guesses a signature. Connections may be slow or gone, and time goes on.
 *
 * Whatever they do: the answers to one message are few, only ones that decode, only to connections
 * that spoke before, and the service's deadlines never lie in the past once they were served.
 */
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/base/time.h"
#include "rendezvous/service.h"
#include "tests/fuzz/fuzz.h"

#define UNIX_S	    1000000000
#define HOSTS	    6
#define CONNECTIONS 16
#define STEPS_MAX   400

struct fuzz {
	struct rd in;
	struct service *service;
	uint64_t now_us;
	uint64_t random;
	unsigned sent; /* in this step */
	bool has_spoken[CONNECTIONS];
	enum transport_result result[CONNECTIONS];
	uint8_t nonce[CONNECTIONS][SIGNAL_NONCE_BYTES];
};

/* Names of hosts; the certificates of the first four are made once. The last two share a name. */
static const char *const names[HOSTS] = {"a", "b", "host-c", "d", "e", "a"};
static struct {
	uint8_t bytes[CERT_MAX_BYTES];
	size_t len;
} certificates[HOSTS];
static uint8_t authority_public[SIGN_PUBLIC_BYTES];

static void fill_random(void *ctx, void *buf, size_t len)
{
	struct fuzz *f = ctx;
	uint8_t *p = buf;

	while (len--)
		*p++ = (uint8_t)(f->random++ * 37);
}

static enum transport_result send_message(void *ctx, uint32_t connection, const uint8_t *buf,
					  size_t len)
{
	struct fuzz *f = ctx;
	struct signal_message m;

	fuzz_check(connection < CONNECTIONS && f->has_spoken[connection]);
	fuzz_check(signal_message_decode(buf, len, &m) == OK);
	f->sent++;
	if (f->result[connection] == TRANSPORT_SENT && m.type == SIGNAL_CHALLENGE)
		memcpy(f->nonce[connection], m.nonce, sizeof(m.nonce));
	return f->result[connection];
}

static enum issuer_result join(void *ctx, int64_t now_s, const struct issuer_request *request,
			       uint8_t *ret, size_t *ret_len)
{
	(void)ctx;
	(void)now_s;
	if (request->token[0] % 8)
		return (enum issuer_result)(request->token[0] % 8);
	*ret = 0;
	*ret_len = 1;
	return ISSUER_OK;
}

static enum err find(void *ctx, const char *name, const struct netaddr *address, uint8_t *ret,
		     size_t *ret_len)
{
	(void)ctx;
	if (name ? name[0] != 'o' : address->ip[3] != 'o')
		return ERR_NOT_FOUND;
	*ret = 0;
	*ret_len = 1;
	return OK;
}

static void key_of(uint8_t host, uint8_t ret[static DH_BYTES])
{
	memset(ret, host + 1, DH_BYTES);
}

static void make_certificates(void)
{
	static const uint8_t seed[SIGN_SEED_BYTES] = {4};
	uint8_t secret[SIGN_SECRET_BYTES];

	sign_keypair(seed, authority_public, secret);
	for (uint8_t i = 0; i < HOSTS; i++) {
		const uint8_t ip[4] = {10, 0, 0, (uint8_t)(i % 4)};
		struct cert c = {
			.serial = i,
			.address_count = 1,
			.network_count = 1,
			.issued_s = UNIX_S,
			.not_before_s = UNIX_S,
			.not_after_s = UNIX_S + 100000,
		};

		snprintf(c.name, sizeof(c.name), "%s", names[i]);
		key_of(i, c.noise_public);
		key_of(i, c.curve_public);
		c.addresses[0] = netaddr_from_ip4(ip, 0);
		c.networks[0] = netprefix_of(&c.addresses[0], 8);
		fuzz_check(cert_sign(&c, secret, certificates[i].bytes, CERT_MAX_BYTES,
				     &certificates[i].len) == OK);
	}
}

static void give(struct fuzz *f, uint8_t connection, uint8_t host, const uint8_t *buf, size_t len)
{
	uint8_t key[DH_BYTES];

	key_of(host, key);
	f->has_spoken[connection] = true;
	f->sent = 0;
	(void)!service_input(f->service, f->now_us, UNIX_S, connection, key, buf, len);
	/* An answer, a word to somebody else, and news to each watcher. */
	fuzz_check(f->sent <= 4 + 3 * CONNECTIONS);
	fuzz_check(service_online_count(f->service) <= HOSTS);
}

static void give_message(struct fuzz *f, uint8_t connection, uint8_t host,
			 const struct signal_message *m)
{
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	size_t len;

	if (signal_message_encode(m, buf, sizeof(buf), &len) == OK)
		give(f, connection, host, buf, len);
}

static void take_name(struct fuzz *f, char *ret)
{
	snprintf(ret, IDENTIFIER_BYTES, "%s", names[rd_u8(&f->in) % HOSTS]);
}

/* A message that encodes, from a few bytes of the input. */
static void step_message(struct fuzz *f, uint8_t connection, uint8_t host)
{
	static const uint8_t body[1000];
	static const enum signal_type types[] = {SIGNAL_PING,	 SIGNAL_LOOKUP, SIGNAL_LOOKUP,
						 SIGNAL_FORWARD, SIGNAL_WATCH,	SIGNAL_WATCH,
						 SIGNAL_JOIN,	 SIGNAL_BYE};
	uint8_t choice = rd_u8(&f->in);
	struct signal_message m = {.type = types[choice % ARRAY_SIZE(types)], .kind = 1};

	memset(m.xid, choice, sizeof(m.xid));
	m.body = body;
	m.body_len = (size_t)(choice / 8) * 30 + 1;
	take_name(f, m.to);
	if (choice % ARRAY_SIZE(types) != 2 && choice % ARRAY_SIZE(types) != 5)
		take_name(f, m.name);
	else if (m.type == SIGNAL_LOOKUP)
		m.address = netaddr_from_ip4((const uint8_t[]){10, 0, 0, rd_u8(&f->in)}, 0);
	m.secret[0] = rd_u8(&f->in);
	m.secret[1] = 1;
	key_of(host, m.noise_public);
	key_of(choice & 64 ? HOSTS : host, m.curve_public);
	give_message(f, connection, host, &m);
}

static void step_register(struct fuzz *f, uint8_t connection, uint8_t host)
{
	uint8_t choice = rd_u8(&f->in);
	uint8_t whose = choice & 128 ? (choice >> 4) % HOSTS : host % HOSTS;
	struct signal_message m = {.type = SIGNAL_REGISTER, .epoch = choice % 16};

	memcpy(m.nonce, f->nonce[connection], sizeof(m.nonce));
	m.certificate = certificates[whose].bytes;
	m.certificate_len = certificates[whose].len;
	give_message(f, connection, host, &m);
}

static void step_time(struct fuzz *f, uint8_t shift)
{
	uint64_t until_us = f->now_us + (1000ULL << shift % 20);

	for (unsigned i = 0; service_next_deadline(f->service) <= until_us; i++) {
		fuzz_check(i < 100000);
		if (service_next_deadline(f->service) > f->now_us)
			f->now_us = service_next_deadline(f->service);
		service_on_deadline(f->service, f->now_us);
	}
	f->now_us = until_us;
}

static void step(struct fuzz *f)
{
	uint8_t kind = rd_u8(&f->in);
	uint8_t who = rd_u8(&f->in);
	uint8_t connection = who % CONNECTIONS;
	uint8_t host = kind & 64 ? (who >> 4) : connection % HOSTS;
	struct rd bytes;

	switch (kind % 6) {
	case 0:
		give(f, connection, host, (const uint8_t *)"", 0);
		break;
	case 1:
		step_register(f, connection, host);
		break;
	case 2:
		step_message(f, connection, host);
		break;
	case 3:
		bytes = rd_sub(&f->in, rd_u8(&f->in));
		give(f, connection, host, bytes.p, rd_left(&bytes));
		break;
	case 4:
		f->result[connection] = (enum transport_result)((who >> 4) % 3);
		break;
	default:
		step_time(f, who);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.in = rd_init(data, size), .now_us = US_PER_S};
	struct service_params params = service_default_params();

	if (!certificates[0].len)
		make_certificates();
	params.random = (struct random_source){.fill = fill_random, .ctx = &f};
	memcpy(params.authority_public, authority_public, sizeof(authority_public));
	params.servers.turn_secret = "";
	params.issuer = (struct service_issuer){.join = join, .find = find, .ctx = &f};
	params.transport = (struct transport){.send = send_message, .ctx = &f};
	params.max_members = 4;
	params.max_connections = 5;
	params.watch_members_max = 3;
	fuzz_check(service_create(&f.service, &params) == OK);
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&f.in); i++)
		step(&f);
	service_destroy(f.service);
	return 0;
}
