#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/signaling/frame.h"

static struct signal_frame configuration(void)
{
	struct signal_frame f = {.type = SIGNAL_FRAME_CONFIGURE};

	memset(f.config.server_key, 1, SIGNAL_CURVE_BYTES);
	memset(f.config.curve_secret, 2, SIGNAL_CURVE_BYTES);
	memset(f.config.curve_public, 3, SIGNAL_CURVE_BYTES);
	strcpy(f.config.endpoint[0], "tcp://rv.example.org:4510");
	strcpy(f.config.endpoint[1], "tcp://[2001:db8::1]:4510");
	f.config.endpoint_count = 2;
	return f;
}

static void test_round_trip(void **state)
{
	const struct signal_frame config = configuration();
	const struct signal_frame frames[] = {
		config,
		{.type = SIGNAL_FRAME_SEND, .payload = (const uint8_t *)"abc", .payload_len = 3},
		{.type = SIGNAL_FRAME_MESSAGE, .payload = (const uint8_t *)"d", .payload_len = 1},
		{.type = SIGNAL_FRAME_RECONNECT},
		{.type = SIGNAL_FRAME_STATE,
		 .state = SIGNAL_LINK_DOWN,
		 .reason = SIGNAL_LINK_SERVER_KEY,
		 .detail = "tcp://192.0.2.1:4510"},
	};
	uint8_t buf[SIGNAL_FRAME_MAX_BYTES];
	struct signal_frame out;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		assert_int_equal(signal_frame_encode(&frames[i], buf, sizeof(buf), &len), OK);
		assert_int_equal(signal_frame_decode(buf, len, &out), OK);
		assert_int_equal(out.type, frames[i].type);
		assert_memory_equal(&out.config, &frames[i].config, sizeof(out.config));
		assert_int_equal(out.state, frames[i].state);
		assert_int_equal(out.reason, frames[i].reason);
		assert_string_equal(out.detail, frames[i].detail);
		assert_int_equal(out.payload_len, frames[i].payload_len);
		if (out.payload_len)
			assert_memory_equal(out.payload, frames[i].payload, out.payload_len);
		/* It fits exactly, and no byte less will do. */
		assert_int_equal(signal_frame_encode(&frames[i], buf, len, &len), OK);
		assert_int_equal(signal_frame_encode(&frames[i], buf, len - 1, &len), ERR_NO_SPACE);
	}
}

static void test_cut_and_longer(void **state)
{
	const struct signal_frame config = configuration();
	uint8_t buf[1024] = {0};
	struct signal_frame out;
	size_t len;

	(void)state;
	assert_int_equal(signal_frame_encode(&config, buf, sizeof(buf), &len), OK);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, buf, cut);
		assert_int_equal(signal_frame_decode(exact, cut, &out),
				 cut ? DROP_MALFORMED : DROP_TRUNCATED);
		free(exact);
	}
	assert_int_equal(signal_frame_decode(buf, len + 1, &out), DROP_MALFORMED);
	/* The secret does not stay behind. */
	for (size_t i = 0; i < SIGNAL_CURVE_BYTES; i++)
		assert_int_equal(out.config.curve_secret[i], 0);
}

static void test_wrong_frames(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		enum err err;
	} rows[] = {
		{{0}, 1, DROP_UNKNOWN_TYPE},
		{{99, 1}, 2, DROP_UNKNOWN_TYPE},
		{{SIGNAL_FRAME_RECONNECT, 0}, 2, DROP_MALFORMED},
		{{SIGNAL_FRAME_STATE, SIGNAL_LINK_STATE_COUNT, 0}, 3, DROP_MALFORMED},
		{{SIGNAL_FRAME_STATE, 0, SIGNAL_LINK_REASON_COUNT}, 3, DROP_MALFORMED},
		{{SIGNAL_FRAME_STATE, 0}, 2, DROP_MALFORMED},
		{{SIGNAL_FRAME_STATE, 0, 0, '\n'}, 4, DROP_MALFORMED},
		{{SIGNAL_FRAME_STATE, 0, 0, 'x'}, 4, OK},
	};
	static uint8_t large[SIGNAL_FRAME_MAX_BYTES + 1] = {SIGNAL_FRAME_SEND};
	struct signal_frame f = {.type = SIGNAL_FRAME_SEND, .payload = large};
	struct signal_frame out;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(signal_frame_decode(rows[i].bytes, rows[i].len, &out),
				 rows[i].err);
	assert_int_equal(signal_frame_decode(large, sizeof(large), &out), DROP_TOO_LONG);
	assert_int_equal(signal_frame_decode(large, sizeof(large) - 1, &out), OK);
	f.payload_len = SIGNAL_FRAME_PAYLOAD_BYTES + 1;
	assert_int_equal(signal_frame_encode(&f, large, sizeof(large), &len), ERR_NO_SPACE);
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL = refused */
		const char *port;
	} rows[] = {
		{"tcp://a:1", "a", "1"},
		{"tcp://rv.example.org:65535", "rv.example.org", "65535"},
		{"tcp://[::1]:4510", "::1", "4510"},
		{"tcp://192.0.2.1:4510", "192.0.2.1", "4510"},
		{"tcp://a", NULL, NULL},
		{"tcp://a:", NULL, NULL},
		{"tcp://:1", NULL, NULL},
		{"tcp://[]:1", NULL, NULL},
		{"tcp://a:0", NULL, NULL},
		{"tcp://a:65536", NULL, NULL},
		{"tcp://a:1x", NULL, NULL},
		{"tcp://::1:1", NULL, NULL},
		{"tcp://*:1", NULL, NULL},
		{"tcp://src;a:1", NULL, NULL},
		{"ipc://a:1", NULL, NULL},
		{"", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char host[SIGNAL_ENDPOINT_BYTES] = "";
		char port[6] = "";
		enum err err = signal_endpoint_split(rows[i].text, host, port);

		if (err != (rows[i].host ? OK : ERR_INVALID))
			fail_msg("%s: %s", rows[i].text, err_name(err));
		assert_string_equal(host, rows[i].host ? rows[i].host : "");
		assert_string_equal(port, rows[i].port ? rows[i].port : "");
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < SIGNAL_LINK_REASON_COUNT; i++) {
		const enum signal_link_reason reason = (enum signal_link_reason)i;

		assert_string_not_equal(signal_link_reason_name(reason), "unknown");
		assert_string_not_equal(signal_link_reason_text(reason), "the reason is not known");
	}
	for (int i = 0; i < SIGNAL_LINK_STATE_COUNT; i++)
		assert_string_not_equal(signal_link_state_name((enum signal_link_state)i),
					"unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_wrong_frames), cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
