/*
 * The handshake reader in each state. The input is a message as it is, or a list of changes to the
 * real one. Only the real message is taken, once and in its state; and whatever came before it, the
 * handshake ends with the same keys at both ends.
 */
#include <stdbool.h>
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/noise/handshake.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE_MAX 4096

enum stage {
	STAGE_RESPONDER_NEW,  /* message 1 is expected */
	STAGE_INITIATOR_SENT, /* message 2 is expected */
	STAGE_INITIATOR_NEW,  /* from here on none is */
	STAGE_RESPONDER_READ,
	STAGE_RESPONDER_DONE,
	STAGE_INITIATOR_DONE,
	STAGE_SPLIT,
	STAGE_COUNT,
};

struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t len;
};

static const char hello[] = "hello";

static struct random_seeded seeded;
static struct noise *initiator, *responder;

static void create_both(bool use_psk)
{
	static struct dh_keypair keys[2];
	struct noise_params params = {.prologue = "fuzz", .prologue_len = 4, .use_psk = use_psk};

	random_seeded_init(&seeded, 1);
	params.random = random_seeded_source(&seeded);
	dh_generate(&keys[0], &params.random);
	dh_generate(&keys[1], &params.random);
	params.static_secret = keys[0].secret;
	params.static_public = keys[0].public;
	params.remote_static = keys[1].public;
	fuzz_check(noise_create_initiator(&initiator, &params) == OK);
	params.static_secret = keys[1].secret;
	params.static_public = keys[1].public;
	params.remote_static = NULL;
	fuzz_check(noise_create_responder(&responder, &params) == OK);
}

static struct message write_message(struct noise *n)
{
	struct message m;

	fuzz_check(noise_write(n, hello, sizeof(hello), m.bytes, sizeof(m.bytes), &m.len) == OK);
	return m;
}

/* Into a buffer of exactly the size that is asked for, so that a sanitizer sees each byte
 * behind. */
static enum err read_message(struct noise *n, const uint8_t *msg, size_t len)
{
	size_t overhead = n == initiator ? NOISE_MESSAGE2_OVERHEAD : NOISE_MESSAGE1_OVERHEAD;
	size_t cap = len > overhead ? len - overhead : 0, got = SIZE_MAX;
	uint8_t *payload = malloc(cap ? cap : 1);
	enum err e;

	fuzz_check(payload);
	e = noise_read(n, msg, len, payload, cap, &got);
	if (e == OK)
		fuzz_check(got == sizeof(hello) && memcmp(payload, hello, got) == 0);
	else
		fuzz_check(got == SIZE_MAX && err_is_drop(e));
	free(payload);
	return e;
}

static void take(struct noise *n, const struct message *m)
{
	fuzz_check(read_message(n, m->bytes, m->len) == OK);
	fuzz_check(read_message(n, m->bytes, m->len) == DROP_STATE);
}

/* The input as it is, or the real message with bytes changed and then cut. */
static struct message make_message(struct rd *r, const struct message *real)
{
	struct message m = *real;

	if (rd_u8(r) & 1) {
		m.len = rd_left(r) < sizeof(m.bytes) ? rd_left(r) : sizeof(m.bytes);
		rd_copy(r, m.bytes, m.len);
		return m;
	}
	while (rd_left(r) >= 3) {
		size_t at = rd_u16be(r);

		if (at < m.len)
			m.bytes[at] ^= rd_u8(r);
		else
			m.len = at % (m.len + 1);
	}
	return m;
}

static void split_both(void)
{
	uint8_t a[2][NOISE_KEY_BYTES], b[2][NOISE_KEY_BYTES], hash[2][NOISE_HASH_BYTES];

	fuzz_check(noise_split(initiator, a[0], a[1], hash[0]) == OK);
	fuzz_check(noise_split(responder, b[1], b[0], hash[1]) == OK);
	fuzz_check(memcmp(a, b, sizeof(a)) == 0);
	fuzz_check(memcmp(hash[0], hash[1], NOISE_HASH_BYTES) == 0);
	fuzz_check(noise_split(initiator, a[0], a[1], hash[0]) == ERR_WRONG_STATE);
	fuzz_check(noise_split(responder, a[0], a[1], hash[0]) == ERR_WRONG_STATE);
}

/* Tries the input on @n if this is the stage to do so. Return: whether it was the real message. */
static bool attack(struct rd *r, enum stage now, enum stage stage, struct noise *n,
		   const struct message *real, bool expecting)
{
	struct message m;
	enum err e;

	if (now != stage)
		return false;
	m = make_message(r, real);
	e = read_message(n, m.bytes, m.len);
	fuzz_check(expecting || e == DROP_STATE);
	fuzz_check((e == OK) ==
		   (expecting && m.len == real->len && memcmp(m.bytes, real->bytes, m.len) == 0));
	return e == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	uint8_t first = rd_u8(&r);
	enum stage stage = (enum stage)((first & 0x7f) % STAGE_COUNT);
	struct message m1 = {.len = 0}, m2;

	fuzz_check(crypto_start() == OK);
	create_both(!(first & 0x80));
	attack(&r, STAGE_INITIATOR_NEW, stage, initiator, &m1, false);
	m1 = write_message(initiator);
	if (!attack(&r, STAGE_RESPONDER_NEW, stage, responder, &m1, true))
		take(responder, &m1);
	attack(&r, STAGE_RESPONDER_READ, stage, responder, &m1, false);
	m2 = write_message(responder);
	attack(&r, STAGE_RESPONDER_DONE, stage, responder, &m1, false);
	if (!attack(&r, STAGE_INITIATOR_SENT, stage, initiator, &m2, true))
		take(initiator, &m2);
	attack(&r, STAGE_INITIATOR_DONE, stage, initiator, &m2, false);
	split_both();
	attack(&r, STAGE_SPLIT, stage, responder, &m1, false);
	noise_destroy(initiator);
	noise_destroy(responder);
	return 0;
}
