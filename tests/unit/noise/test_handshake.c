#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/noise/handshake.h"

#define MESSAGE_CAP 512

/* A message on its way. */
struct message {
	uint8_t bytes[MESSAGE_CAP];
	size_t len;
};

struct pair {
	struct random_seeded seeded;
	struct dh_keypair initiator_key, responder_key;
	struct noise_params initiator_params, responder_params;
	struct noise *initiator, *responder;
};

static const char hello[] = "hello";

/* Keys and parameters, without objects. */
static void pair_prepare(struct pair *p)
{
	struct random_source random;

	memset(p, 0, sizeof(*p));
	random_seeded_init(&p->seeded, 7);
	random = random_seeded_source(&p->seeded);
	dh_generate(&p->initiator_key, &random);
	dh_generate(&p->responder_key, &random);
	p->initiator_params = (struct noise_params){
		.static_secret = p->initiator_key.secret,
		.static_public = p->initiator_key.public,
		.remote_static = p->responder_key.public,
		.prologue = "net",
		.prologue_len = 3,
		.random = random,
		.use_psk = true,
	};
	p->responder_params = p->initiator_params;
	p->responder_params.static_secret = p->responder_key.secret;
	p->responder_params.static_public = p->responder_key.public;
	p->responder_params.remote_static = NULL;
}

static void pair_create(struct pair *p)
{
	assert_int_equal(noise_create_initiator(&p->initiator, &p->initiator_params), OK);
	assert_int_equal(noise_create_responder(&p->responder, &p->responder_params), OK);
}

static void pair_init(struct pair *p)
{
	pair_prepare(p);
	pair_create(p);
}

static void pair_fini(struct pair *p)
{
	noise_destroy(p->initiator);
	noise_destroy(p->responder);
}

static struct message write_hello(struct noise *n)
{
	struct message m;

	assert_int_equal(noise_write(n, hello, sizeof(hello), m.bytes, sizeof(m.bytes), &m.len),
			 OK);
	return m;
}

static enum err read_message(struct noise *n, const struct message *m)
{
	uint8_t payload[MESSAGE_CAP];
	size_t len = 0;
	enum err e = noise_read(n, m->bytes, m->len, payload, sizeof(payload), &len);

	if (e == OK) {
		assert_int_equal(len, sizeof(hello));
		assert_memory_equal(payload, hello, len);
	} else {
		assert_int_equal(len, 0);
	}
	return e;
}

static void assert_finishes(struct pair *p)
{
	uint8_t a_send[32], a_recv[32], a_hash[64], b_send[32], b_recv[32], b_hash[64];

	assert_int_equal(noise_split(p->initiator, a_send, a_recv, a_hash), OK);
	assert_int_equal(noise_split(p->responder, b_send, b_recv, b_hash), OK);
	assert_memory_equal(a_send, b_recv, 32);
	assert_memory_equal(a_recv, b_send, 32);
	assert_memory_equal(a_hash, b_hash, 64);
	assert_memory_not_equal(a_send, a_recv, 32);
}

static void test_both_ends_agree(void **state)
{
	struct pair p;
	struct message m1, m2;
	uint8_t key[NOISE_KEY_BYTES];

	(void)state;
	pair_init(&p);
	m1 = write_hello(p.initiator);
	assert_int_equal(m1.len, sizeof(hello) + NOISE_MESSAGE1_OVERHEAD);
	assert_int_equal(noise_remote_static(p.responder, key), ERR_WRONG_STATE);
	assert_int_equal(read_message(p.responder, &m1), OK);
	assert_int_equal(noise_remote_static(p.responder, key), OK);
	assert_memory_equal(key, p.initiator_key.public, sizeof(key));
	m2 = write_hello(p.responder);
	assert_int_equal(m2.len, sizeof(hello) + NOISE_MESSAGE2_OVERHEAD);
	assert_int_equal(read_message(p.initiator, &m2), OK);
	assert_finishes(&p);
	pair_fini(&p);
	noise_destroy(NULL);
}

/* The class of CVE-2026-99059: a message that arrives twice must not make a session twice. */
static void test_each_step_once(void **state)
{
	struct pair p;
	struct message m1, m2;
	uint8_t send[32], recv[32], hash[64], buf[MESSAGE_CAP];
	size_t len;

	(void)state;
	pair_init(&p);
	assert_int_equal(noise_split(p.initiator, send, recv, hash), ERR_WRONG_STATE);
	assert_int_equal(noise_write(p.responder, NULL, 0, buf, sizeof(buf), &len),
			 ERR_WRONG_STATE);
	m1 = write_hello(p.initiator);
	assert_int_equal(read_message(p.initiator, &m1), DROP_HANDSHAKE);
	assert_int_equal(noise_write(p.initiator, NULL, 0, buf, sizeof(buf), &len),
			 ERR_WRONG_STATE);
	assert_int_equal(noise_split(p.initiator, send, recv, hash), ERR_WRONG_STATE);
	assert_int_equal(read_message(p.responder, &m1), OK);
	assert_int_equal(read_message(p.responder, &m1), DROP_STATE);
	assert_int_equal(noise_split(p.responder, send, recv, hash), ERR_WRONG_STATE);
	m2 = write_hello(p.responder);
	assert_int_equal(read_message(p.responder, &m1), DROP_STATE);
	assert_int_equal(noise_write(p.responder, NULL, 0, buf, sizeof(buf), &len),
			 ERR_WRONG_STATE);
	assert_int_equal(read_message(p.initiator, &m2), OK);
	assert_int_equal(read_message(p.initiator, &m2), DROP_STATE);
	assert_finishes(&p);
	assert_int_equal(noise_split(p.initiator, send, recv, hash), ERR_WRONG_STATE);
	assert_int_equal(noise_split(p.responder, send, recv, hash), ERR_WRONG_STATE);
	assert_int_equal(read_message(p.initiator, &m2), DROP_STATE);
	assert_int_equal(read_message(p.responder, &m1), DROP_STATE);
	assert_int_equal(noise_write(p.initiator, NULL, 0, buf, sizeof(buf), &len),
			 ERR_WRONG_STATE);
	assert_int_equal(noise_remote_static(p.initiator, send), ERR_WRONG_STATE);
	pair_fini(&p);
}

static void test_read_before_write(void **state)
{
	struct pair p;
	struct message m = {.len = 200};

	(void)state;
	pair_init(&p);
	assert_int_equal(read_message(p.initiator, &m), DROP_STATE);
	pair_fini(&p);
}

/* Flips each bit of @m and cuts it at each length: @n refuses all and then takes the real one. */
static void assert_only_the_real_one(struct noise *n, const struct message *m, size_t overhead)
{
	for (size_t i = 0; i < m->len * 8; i++) {
		struct message forged = *m;

		forged.bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(read_message(n, &forged), DROP_HANDSHAKE);
	}
	for (size_t len = 0; len < m->len; len++) {
		struct message cut = *m;

		cut.len = len;
		assert_int_equal(read_message(n, &cut),
				 len < overhead ? DROP_TRUNCATED : DROP_HANDSHAKE);
	}
	for (size_t more = 1; more < 3; more++) {
		struct message longer = *m;

		longer.bytes[m->len] = 0;
		longer.bytes[m->len + 1] = 0;
		longer.len += more;
		assert_int_equal(read_message(n, &longer), DROP_HANDSHAKE);
	}
	assert_int_equal(read_message(n, m), OK);
}

static void test_forged_messages_change_nothing(void **state)
{
	struct pair p;
	struct message m;

	(void)state;
	pair_init(&p);
	m = write_hello(p.initiator);
	assert_only_the_real_one(p.responder, &m, NOISE_MESSAGE1_OVERHEAD);
	m = write_hello(p.responder);
	assert_only_the_real_one(p.initiator, &m, NOISE_MESSAGE2_OVERHEAD);
	assert_finishes(&p);
	pair_fini(&p);
}

static void test_forged_payload_is_wiped(void **state)
{
	static const uint8_t zero[sizeof(hello)];
	struct pair p;
	struct message m;
	uint8_t payload[sizeof(hello)];
	size_t len;

	(void)state;
	pair_init(&p);
	m = write_hello(p.initiator);
	/* wrong in e, in s and in the payload */
	for (size_t at = 0; at < m.len; at += (m.len - 1) / 2) {
		m.bytes[at] ^= 1;
		memset(payload, 'x', sizeof(payload));
		assert_int_equal(
			noise_read(p.responder, m.bytes, m.len, payload, sizeof(payload), &len),
			DROP_HANDSHAKE);
		assert_memory_equal(payload, zero, sizeof(zero));
		m.bytes[at] ^= 1;
	}
	pair_fini(&p);
}

/* What the two do not agree on; @at_message is where it must show. */
static void assert_refused(struct pair *p, int at_message)
{
	struct message m;

	pair_create(p);
	m = write_hello(p->initiator);
	assert_int_equal(read_message(p->responder, &m), at_message == 1 ? DROP_HANDSHAKE : OK);
	if (at_message == 2) {
		m = write_hello(p->responder);
		assert_int_equal(read_message(p->initiator, &m), DROP_HANDSHAKE);
	}
	pair_fini(p);
}

static void test_disagreement(void **state)
{
	static const uint8_t psk[NOISE_KEY_BYTES] = {1};
	struct pair p;

	(void)state;
	pair_prepare(&p);
	p.responder_params.prologue = "not";
	assert_refused(&p, 1);

	pair_prepare(&p);
	p.responder_params.prologue_len = 2;
	assert_refused(&p, 1);

	pair_prepare(&p);
	p.initiator_params.remote_static = p.initiator_key.public;
	assert_refused(&p, 1);

	pair_prepare(&p);
	p.initiator_params.use_psk = false;
	assert_refused(&p, 1);

	/* The psk comes in with message 2 only. */
	pair_prepare(&p);
	p.responder_params.psk = psk;
	assert_refused(&p, 2);

	/* Somebody who claims a public key without its secret. */
	pair_prepare(&p);
	p.initiator_params.static_public = p.responder_key.public;
	assert_refused(&p, 1);
}

/* No psk and a psk of zeros are the same network. */
static void test_absent_psk_is_zero(void **state)
{
	static const uint8_t psk[NOISE_KEY_BYTES];
	struct pair p;
	struct message m;

	(void)state;
	pair_prepare(&p);
	p.responder_params.psk = psk;
	pair_create(&p);
	m = write_hello(p.initiator);
	assert_int_equal(read_message(p.responder, &m), OK);
	m = write_hello(p.responder);
	assert_int_equal(read_message(p.initiator, &m), OK);
	assert_finishes(&p);
	pair_fini(&p);
}

/* The points of order 1, 2, 4 and 8 on Curve25519 and its twist, with the encodings that are not
 * reduced (RFC 7748 s. 6.1, 7). */
static const uint8_t low_order[][NOISE_KEY_BYTES] = {
	{0},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
	 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
	 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static void test_low_order_points(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(low_order); i++) {
		uint8_t point[NOISE_KEY_BYTES];
		struct noise *none = NULL;
		struct pair p;
		struct message m;

		/* Each also with the top bit set, which X25519 does not look at. */
		memcpy(point, low_order[i / 2], sizeof(point));
		if (i % 2)
			point[31] = (uint8_t)(point[31] | 0x80);

		/* as the key of the host to connect to */
		pair_prepare(&p);
		p.initiator_params.remote_static = point;
		assert_int_equal(noise_create_initiator(&none, &p.initiator_params), ERR_KEY);
		assert_null(none);

		/* as the static key of who connects */
		pair_prepare(&p);
		p.initiator_params.static_public = point;
		pair_create(&p);
		m = write_hello(p.initiator);
		assert_int_equal(read_message(p.responder, &m), DROP_HANDSHAKE);
		pair_fini(&p);

		/* as the ephemeral key of either message */
		pair_init(&p);
		m = write_hello(p.initiator);
		memcpy(m.bytes, point, sizeof(point));
		assert_int_equal(read_message(p.responder, &m), DROP_HANDSHAKE);
		memcpy(m.bytes + 32, m.bytes, 32);
		m.len = sizeof(hello) + NOISE_MESSAGE2_OVERHEAD;
		assert_int_equal(read_message(p.initiator, &m), DROP_HANDSHAKE);
		pair_fini(&p);
	}
}

static void test_sizes(void **state)
{
	uint8_t *big = calloc(1, NOISE_MESSAGE_MAX_BYTES + 1);
	uint8_t *out = calloc(1, NOISE_MESSAGE_MAX_BYTES + 1);
	size_t max = NOISE_MESSAGE_MAX_BYTES - NOISE_MESSAGE1_OVERHEAD;
	size_t len = 0;
	struct pair p;

	(void)state;
	assert_non_null(big);
	assert_non_null(out);
	pair_init(&p);
	assert_int_equal(noise_write(p.initiator, big, max + 1, out, SIZE_MAX, &len), ERR_LIMIT);
	assert_int_equal(noise_write(p.initiator, big, SIZE_MAX, out, SIZE_MAX, &len), ERR_LIMIT);
	assert_int_equal(noise_write(p.initiator, big, max, out, max, &len), ERR_NO_SPACE);
	assert_int_equal(noise_write(p.initiator, big, max, out, NOISE_MESSAGE_MAX_BYTES - 1, &len),
			 ERR_NO_SPACE);
	assert_int_equal(len, 0);
	assert_int_equal(noise_write(p.initiator, big, max, out, NOISE_MESSAGE_MAX_BYTES, &len),
			 OK);
	assert_int_equal(len, NOISE_MESSAGE_MAX_BYTES);
	assert_int_equal(noise_read(p.responder, out, len + 1, big, len, &len), DROP_TOO_LONG);
	assert_int_equal(noise_read(p.responder, out, len, big, max - 1, &len), ERR_NO_SPACE);
	assert_int_equal(noise_read(p.responder, out, len, big, max, &len), OK);
	assert_int_equal(len, max);
	/* an empty payload needs neither a buffer to come from nor one to go to */
	assert_int_equal(noise_write(p.responder, NULL, 0, out, NOISE_MESSAGE2_OVERHEAD, &len), OK);
	assert_int_equal(len, NOISE_MESSAGE2_OVERHEAD);
	assert_int_equal(noise_read(p.initiator, out, len, NULL, 0, &len), OK);
	assert_int_equal(len, 0);
	assert_finishes(&p);
	pair_fini(&p);
	free(big);
	free(out);
}

static void test_invalid_params(void **state)
{
	static const uint8_t psk[NOISE_KEY_BYTES];
	struct noise *n = NULL;
	struct noise_params params;
	struct pair p;

	(void)state;
	pair_prepare(&p);
	params = p.initiator_params;
	params.remote_static = NULL;
	assert_int_equal(noise_create_initiator(&n, &params), ERR_INVALID);
	params = p.initiator_params;
	params.static_secret = NULL;
	assert_int_equal(noise_create_initiator(&n, &params), ERR_INVALID);
	params = p.responder_params;
	params.static_public = NULL;
	assert_int_equal(noise_create_responder(&n, &params), ERR_INVALID);
	params = p.responder_params;
	params.random.fill = NULL;
	assert_int_equal(noise_create_responder(&n, &params), ERR_INVALID);
	params = p.responder_params;
	params.remote_static = p.initiator_key.public;
	assert_int_equal(noise_create_responder(&n, &params), ERR_INVALID);
	params = p.responder_params;
	params.prologue = NULL;
	assert_int_equal(noise_create_responder(&n, &params), ERR_INVALID);
	params = p.responder_params;
	params.use_psk = false;
	params.psk = psk;
	assert_int_equal(noise_create_responder(&n, &params), ERR_INVALID);
	assert_null(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_agree),
		cmocka_unit_test(test_each_step_once),
		cmocka_unit_test(test_read_before_write),
		cmocka_unit_test(test_forged_messages_change_nothing),
		cmocka_unit_test(test_forged_payload_is_wiped),
		cmocka_unit_test(test_disagreement),
		cmocka_unit_test(test_absent_psk_is_zero),
		cmocka_unit_test(test_low_order_points),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_invalid_params),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
