/* Every vector of tests/vectors/noise_ik_blake2b.json: handshake, hash and transport messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "daemon/core/crypto/aead.h"
#include "daemon/core/crypto/dh.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/noise/handshake.h"
#include "tests/support/hex.h"

#define FIELD_MAX_BYTES 1024

struct field {
	uint8_t bytes[FIELD_MAX_BYTES];
	size_t len;
};

static void hex_to_field(const char *text, struct field *ret)
{
	assert_true(strlen(text) / 2 <= sizeof(ret->bytes));
	ret->len = hex(text, ret->bytes);
}

static struct field get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct field f;

	assert_non_null(text);
	hex_to_field(text, &f);
	return f;
}

static void assert_field(const struct field *expected, const uint8_t *got, size_t len)
{
	assert_int_equal(len, expected->len);
	assert_memory_equal(got, expected->bytes, len);
}

/* A random source that has exactly one answer. */
struct fixed {
	struct field secret;
	int calls;
};

static void fill_fixed(void *ctx, void *buf, size_t len)
{
	struct fixed *f = ctx;

	assert_int_equal(len, f->secret.len);
	memcpy(buf, f->secret.bytes, len);
	f->calls++;
}

struct end {
	struct noise *noise;
	struct fixed ephemeral;
	uint8_t send[NOISE_KEY_BYTES], recv[NOISE_KEY_BYTES], hash[NOISE_HASH_BYTES];
};

static void open_end(struct end *end, const json_t *v, bool initiator)
{
	struct field secret = get(v, initiator ? "init_static" : "resp_static");
	struct field prologue = get(v, initiator ? "init_prologue" : "resp_prologue");
	json_t *psks = json_object_get(v, initiator ? "init_psks" : "resp_psks");
	bool use_psk = strstr(json_string_value(json_object_get(v, "protocol_name")), "psk2");
	uint8_t public[DH_BYTES];
	struct field remote, psk;
	struct noise_params params = {
		.static_secret = secret.bytes,
		.static_public = public,
		.prologue = prologue.bytes,
		.prologue_len = prologue.len,
		.random = {.fill = fill_fixed, .ctx = &end->ephemeral},
		.use_psk = use_psk,
	};

	end->ephemeral =
		(struct fixed){.secret = get(v, initiator ? "init_ephemeral" : "resp_ephemeral")};
	dh_public(secret.bytes, public);
	assert_int_equal(json_array_size(psks), use_psk ? 1 : 0);
	if (use_psk) {
		hex_to_field(json_string_value(json_array_get(psks, 0)), &psk);
		params.psk = psk.bytes;
	}
	if (initiator) {
		remote = get(v, "init_remote_static");
		params.remote_static = remote.bytes;
		assert_int_equal(noise_create_initiator(&end->noise, &params), OK);
	} else {
		assert_int_equal(noise_create_responder(&end->noise, &params), OK);
	}
}

static void pass_handshake_message(struct end *from, struct end *to, const json_t *message)
{
	struct field payload = get(message, "payload"), ciphertext = get(message, "ciphertext");
	uint8_t sealed[FIELD_MAX_BYTES], opened[FIELD_MAX_BYTES];
	size_t len;

	assert_int_equal(
		noise_write(from->noise, payload.bytes, payload.len, sealed, sizeof(sealed), &len),
		OK);
	assert_field(&ciphertext, sealed, len);
	assert_int_equal(noise_read(to->noise, sealed, len, opened, sizeof(opened), &len), OK);
	assert_field(&payload, opened, len);
}

/* Transport messages (Noise s. 5.2): both implementations of ChaChaPoly have to agree. */
static void pass_transport_message(const uint8_t *send, const uint8_t *recv, uint64_t counter,
				   const json_t *message)
{
	struct field payload = get(message, "payload"), ciphertext = get(message, "ciphertext");
	uint8_t sealed[FIELD_MAX_BYTES], opened[FIELD_MAX_BYTES];
	struct aead *aead;

	aead_chacha_seal(send, counter, NULL, 0, payload.bytes, payload.len, sealed);
	assert_field(&ciphertext, sealed, payload.len + AEAD_TAG_BYTES);
	assert_int_equal(aead_create(&aead, AEAD_CHACHA20_POLY1305, recv), OK);
	assert_int_equal(
		aead_open(aead, counter, NULL, 0, ciphertext.bytes, ciphertext.len, opened), OK);
	assert_field(&payload, opened, payload.len);
	assert_int_equal(aead_seal(aead, counter, NULL, 0, payload.bytes, payload.len, sealed), OK);
	assert_field(&ciphertext, sealed, payload.len + AEAD_TAG_BYTES);
	aead_destroy(aead);
}

static void run_vector(const json_t *v)
{
	json_t *messages = json_object_get(v, "messages");
	struct end initiator, responder;
	struct field hash;

	open_end(&initiator, v, true);
	open_end(&responder, v, false);
	pass_handshake_message(&initiator, &responder, json_array_get(messages, 0));
	pass_handshake_message(&responder, &initiator, json_array_get(messages, 1));
	assert_int_equal(initiator.ephemeral.calls, 1);
	assert_int_equal(responder.ephemeral.calls, 1);
	assert_int_equal(
		noise_split(initiator.noise, initiator.send, initiator.recv, initiator.hash), OK);
	assert_int_equal(
		noise_split(responder.noise, responder.send, responder.recv, responder.hash), OK);
	assert_memory_equal(initiator.hash, responder.hash, NOISE_HASH_BYTES);
	if (json_object_get(v, "handshake_hash")) {
		hash = get(v, "handshake_hash");
		assert_field(&hash, initiator.hash, sizeof(initiator.hash));
	}
	for (size_t i = 2; i < json_array_size(messages); i++) {
		struct end *from = i % 2 ? &responder : &initiator;
		struct end *to = i % 2 ? &initiator : &responder;

		pass_transport_message(from->send, to->recv, i / 2 - 1,
				       json_array_get(messages, i));
	}
	noise_destroy(initiator.noise);
	noise_destroy(responder.noise);
}

static void test_every_vector(void **state)
{
	json_error_t error;
	json_t *root = json_load_file(TEST_SOURCE_DIR "/vectors/noise_ik_blake2b.json", 0, &error);
	size_t with_psk = 0, without_psk = 0, i;
	json_t *vectors, *v;

	(void)state;
	assert_non_null(root);
	vectors = json_object_get(root, "vectors");
	json_array_foreach(vectors, i, v)
	{
		const char *name = json_string_value(json_object_get(v, "protocol_name"));

		print_message("vector %zu: %s\n", i, name);
		if (strcmp(name, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b") == 0)
			with_psk++;
		else if (strcmp(name, "Noise_IK_25519_ChaChaPoly_BLAKE2b") == 0)
			without_psk++;
		else
			fail_msg("a protocol that we do not have: %s", name);
		run_vector(v);
	}
	assert_true(with_psk >= 1);
	assert_true(without_psk >= 2);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_vector),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
