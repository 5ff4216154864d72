/* Every message comes back as it went; what is not exactly as it should be does not decode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cbor/item.h"
#include "tests/support/hex.h"
#include "tests/support/samples.h"

static struct sample_message samples[SAMPLE_MESSAGES];
static size_t sample_count;
static uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES + 1];
static size_t len;

static void encode(const struct signal_message *m)
{
	assert_int_equal(signal_message_encode(m, buf, sizeof(buf), &len), OK);
}

static enum err decode_hex(const char *text, struct signal_message *ret)
{
	uint8_t *exact = malloc(strlen(text) / 2 + 1);
	enum err err;

	assert_non_null(exact);
	err = signal_message_decode(exact, hex(text, exact), ret);
	free(exact); /* callers look at no pointer */
	return err;
}

static void assert_refused(const char *text, enum err expected)
{
	static struct signal_message m, before;

	memset(&before, 0x5a, sizeof(before));
	m = before;
	assert_int_equal(decode_hex(text, &m), expected);
	assert_memory_equal(&m, &before, sizeof(m));
}

static void test_round_trip(void **state)
{
	static uint8_t again[SIGNAL_MESSAGE_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		struct signal_message m;
		size_t again_len;

		encode(&samples[i].m);
		assert_int_equal(signal_message_decode(buf, len, &m), OK);
		assert_int_equal(m.type, samples[i].m.type);
		assert_int_equal(signal_message_encode(&m, again, sizeof(again), &again_len), OK);
		assert_int_equal(again_len, len);
		assert_memory_equal(again, buf, len);
	}
}

/* The fields by value, as the other side sees them. */
static void test_fields(void **state)
{
	struct signal_message m = {.type = SIGNAL_FORWARD}, n;

	(void)state;
	sample_fill(&m);
	encode(&m);
	assert_int_equal(signal_message_decode(buf, len, &n), OK);
	assert_memory_equal(n.xid, m.xid, sizeof(m.xid));
	assert_string_equal(n.to, m.to);
	assert_int_equal(n.kind, UINT8_MAX);
	assert_int_equal(n.body_len, SIGNAL_BODY_MAX_BYTES);
	assert_memory_equal(n.body, m.body, m.body_len);
	assert_true(n.body > buf && n.body < buf + len);
	assert_string_equal(n.from, ""); /* not of this type */
	assert_int_equal(n.certificate_len, 0);

	m.type = SIGNAL_REGISTERED;
	encode(&m);
	assert_int_equal(signal_message_decode(buf, len, &n), OK);
	assert_int_equal(n.server_count, SIGNAL_MAX_SERVERS);
	assert_memory_equal(n.servers, m.servers, sizeof(m.servers));
	assert_int_equal(n.lease_ms, UINT32_MAX);
	assert_int_equal(n.revocation_len, REVOCATION_MAX_BYTES);

	m.type = SIGNAL_ERROR;
	encode(&m);
	assert_int_equal(signal_message_decode(buf, len, &n), OK);
	assert_int_equal(n.code, m.code);
	assert_string_equal(n.detail, m.detail);
}

static void test_truncated_and_trailing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		struct signal_message m;

		encode(&samples[i].m);
		for (size_t n = 0; n < len; n += n < 300 ? 1 : 97) {
			uint8_t *exact = malloc(n ? n : 1);

			assert_non_null(exact);
			memcpy(exact, buf, n);
			assert_int_equal(signal_message_decode(exact, n, &m), DROP_MALFORMED);
			free(exact);
		}
		buf[len] = 0;
		assert_int_equal(signal_message_decode(buf, len + 1, &m), DROP_MALFORMED);
	}
	assert_int_equal(signal_message_decode(buf, sizeof(buf), &(struct signal_message){0}),
			 DROP_TOO_LONG);
}

/* A required field that is missing: each key of each smallest message taken out. */
static void test_every_required_field(void **state)
{
	size_t refused = 0;

	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		struct item_rd r;
		struct item_map map;
		uint64_t key;

		if (samples[i].full)
			continue;
		encode(&samples[i].m);
		r = item_rd_init(buf, len);
		item_rd_map(&r, &map);
		while (item_map_next(&r, &map, &key)) {
			uint8_t less[256];
			struct rd value = item_rd_raw(&r);
			size_t key_bytes = key < 24 ? 1 : 2;
			size_t before = (size_t)(value.p - buf) - key_bytes;
			size_t after = (size_t)(buf + len - value.end);
			struct signal_message m;

			memcpy(less, buf, before);
			memcpy(less + before, value.end, after);
			less[0]--; /* the number of keys, below 24 */
			assert_int_equal(signal_message_decode(less, before + after, &m),
					 DROP_MALFORMED);
			refused++;
		}
	}
	assert_int_equal(refused, 69);
}

static void test_version_and_type(void **state)
{
	struct signal_message m;

	(void)state;
	assert_int_equal(decode_hex("a2000101"
				    "10",
				    &m),
			 OK); /* BYE */
	assert_refused("a200020110", DROP_VERSION);
	assert_refused("a200000110", DROP_VERSION);
	assert_refused("a1001bffffffffffffffff", DROP_VERSION);
	assert_refused("a20002f6f6", DROP_VERSION); /* who knows what its keys are */
	assert_refused("a200010111", DROP_UNKNOWN_TYPE);
	assert_refused("a200010100", DROP_UNKNOWN_TYPE);
	assert_refused("a20001011bffffffffffffffff", DROP_UNKNOWN_TYPE);
	assert_refused("a2000101f6", DROP_MALFORMED);
	assert_refused("a200f60110", DROP_MALFORMED);
	assert_refused("a2010"
		       "10010",
		       DROP_MALFORMED);
	assert_refused("a10110", DROP_MALFORMED);
	assert_refused("a0", DROP_MALFORMED);
	assert_refused("80", DROP_MALFORMED);
	assert_refused("", DROP_MALFORMED);
	assert_refused("bf00010110ff", DROP_MALFORMED); /* indefinite */
	assert_refused("a20001011810", DROP_MALFORMED); /* not the shortest */
	assert_refused("b80200010110", DROP_MALFORMED);
}

/* Keys of later versions, and fields that another type has, are passed over. */
static void test_unknown_keys(void **state)
{
	struct signal_message m;

	(void)state;
	assert_int_equal(decode_hex("a3000101101819f5", &m), OK);
	assert_int_equal(decode_hex("a30001011019ffff83010203", &m), OK);
	assert_int_equal(decode_hex("a4000101"
				    "10036161"
				    "04f5",
				    &m),
			 OK);
	assert_string_equal(m.to, "");
	assert_int_equal(decode_hex("a40001010"
				    "40f0718"
				    "1900",
				    &m),
			 OK); /* PING */
	assert_int_equal(m.seq, 7);
	assert_refused("a3000101101819", DROP_MALFORMED);
	assert_refused("a300010110187ff7", DROP_MALFORMED);
}

#define XID "0250000102030405060708090a0b0c0d0e0f"

static void test_bad_fields(void **state)
{
	static const char *const bad[] = {
		"a30001010"
		"40f20", /* PING: negative seq */
		"a30001010"
		"40f4107", /* PING: bytes */
		"a40001010"
		"40f070f07",	    /* twice */
		"a30001010a0241aa", /* ACK: xid too short */
		"a30001010a0251000102030405060708090a0b0c0d0e0f10",
		"a30001010c1060", /* WATCH: empty name */
		"a30001010c10614"
		"1", /* WATCH: capital */
		"a30001010c1063612"
		"f62",		    /* WATCH: a/b */
		"a30001010c104161", /* WATCH: bytes */
		"a30001010c1061c3", /* no text at all */
		"a30001010b1300ff", /* trailing */
		"a40001010b13011"
		"41b0000000100000000",	  /* ERROR: retry_ms above 32 bit */
		"a40001010b13011562c3a4", /* ERROR: detail not ASCII */
		"a40001010b13011"
		"5620a0a",
		"a600010108" XID "036161"
		"0500"
		"0641aa", /* kind 0 */
		"a600010108" XID "036161"
		"05190100"
		"0641aa",
		"a600010108" XID "036161"
		"0501"
		"0640", /* no body */
		"a400010106" XID "104161",
		"a400010106" XID "1141"
		"0a",		  /* LOOKUP: address of 1 byte */
		"a300010106" XID, /* LOOKUP: by nothing */
		"a500010106" XID "106161"
		"11440a000001", /* LOOKUP: by both */
		"a400010106" XID "115000000000000000000000ffff0a000001",
		"a5000101030b010c010d"
		"81a0", /* server without URI */
		"a5000101030b010c010d"
		"81a10160",
		"a5000101030b010c010d"
		"a0",
		"a5000101030b010c010d"
		"89a10161"
		"61a1016161a1016161a1016161a1016161a1016161a1016161"
		"a1016161a1016161",
		"a5000101030b010c010d"
		"81a2016161041b0000000100000000",
		"a5000101030b010c010e40", /* empty revocation list */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i], DROP_MALFORMED);
}

static void test_good_fields(void **state)
{
	struct signal_message m;

	(void)state;
	assert_int_equal(decode_hex("a500010103"
				    "0b010c010d"
				    "81a2016161"
				    "18ff00",
				    &m),
			 OK);
	assert_string_equal(m.servers[0].uri, "a");
	assert_int_equal(decode_hex("a400010106" XID "106161", &m), OK);
	assert_string_equal(m.name, "a");
	assert_int_equal(decode_hex("a400010106" XID "11440a000001", &m), OK);
	assert_int_equal(m.address.family, NETADDR_IP4);
	assert_int_equal(m.address.port, 0);
	/* Codes of later versions. */
	assert_int_equal(decode_hex("a30001010b131903e8", &m), OK);
	assert_int_equal(m.code, SIGNAL_ERROR_OTHER);
	assert_int_equal(decode_hex("a30001010b131bffffffffffffffff", &m), OK);
	assert_int_equal(m.code, SIGNAL_ERROR_OTHER);
	assert_int_equal(decode_hex("a30001010b1302", &m), OK);
	assert_int_equal(m.code, SIGNAL_ERROR_ABSENT);
}

static void assert_not_encoded(const struct signal_message *m)
{
	assert_int_equal(signal_message_encode(m, buf, sizeof(buf), &len), ERR_INVALID);
}

static void test_encode_refuses(void **state)
{
	static struct signal_message m;

	(void)state;
#define CHANGED(type_, change)                                                                     \
	m = (struct signal_message){.type = type_};                                                \
	sample_fill(&m);                                                                           \
	change;                                                                                    \
	assert_not_encoded(&m)

	CHANGED(SIGNAL_NONE, );
	CHANGED(SIGNAL_TYPE_COUNT, );
	CHANGED(SIGNAL_FORWARD, m.to[0] = '\0');
	CHANGED(SIGNAL_FORWARD, m.to[0] = 'T');
	CHANGED(SIGNAL_FORWARD, m.body = NULL);
	CHANGED(SIGNAL_FORWARD, m.body_len = 0);
	CHANGED(SIGNAL_FORWARD, m.body_len++);
	CHANGED(SIGNAL_FORWARD, m.kind = 0);
	CHANGED(SIGNAL_DELIVER, memset(m.from, 'f', sizeof(m.from)));
	CHANGED(SIGNAL_REGISTER, m.certificate_len++);
	CHANGED(SIGNAL_REGISTERED, m.server_count++);
	CHANGED(SIGNAL_REGISTERED, m.servers[7].uri[0] = '\0');
	CHANGED(SIGNAL_REGISTERED, m.servers[7].uri[0] = '\n');
	CHANGED(SIGNAL_REGISTERED, memset(m.servers[0].username, 'u', SIGNAL_USERNAME_BYTES));
	CHANGED(SIGNAL_REGISTERED, m.revocation_len++);
	CHANGED(SIGNAL_ERROR, m.code = SIGNAL_ERROR_OTHER);
	CHANGED(SIGNAL_ERROR, m.code = SIGNAL_ERROR_COUNT);
	CHANGED(SIGNAL_ERROR, m.detail[0] = '\x7f');
	CHANGED(SIGNAL_ERROR, memset(m.detail, 'd', sizeof(m.detail)));
	CHANGED(SIGNAL_LOOKUP, m.address = sample_ip("10.0.0.1", 0));
	CHANGED(SIGNAL_LOOKUP, m.name[0] = '\0');
	CHANGED(SIGNAL_WATCH, m.name[0] = '.');
	CHANGED(SIGNAL_JOIN, m.name[0] = '\0');
#undef CHANGED
}

static void test_no_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		uint8_t *small;
		size_t n;

		encode(&samples[i].m);
		for (n = 0; n < len; n += n + 1 < len && n > 200 ? 61 : 1) {
			small = malloc(n ? n : 1);
			assert_non_null(small);
			assert_int_equal(
				signal_message_encode(&samples[i].m, small, n, &(size_t){0}),
				ERR_NO_SPACE);
			free(small);
		}
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(signal_type_name(SIGNAL_CHALLENGE), "challenge");
	assert_string_equal(signal_type_name(SIGNAL_BYE), "bye");
	assert_string_equal(signal_type_name(SIGNAL_NONE), "none");
	assert_string_equal(signal_type_name(SIGNAL_TYPE_COUNT), "none");
	assert_string_equal(signal_error_name(SIGNAL_ERROR_TOKEN_USED), "token_used");
	assert_string_equal(signal_error_name(SIGNAL_ERROR_COUNT), "other");
	assert_string_equal(signal_error_text(SIGNAL_ERROR_ABSENT),
			    "that host is not registered at the moment");
	for (int i = 0; i < SIGNAL_ERROR_COUNT; i++)
		assert_non_null(signal_error_text((enum signal_error)i));
	for (int i = 1; i < SIGNAL_TYPE_COUNT; i++)
		assert_non_null(signal_type_name((enum signal_type)i));
}

static int start(void **state)
{
	(void)state;
	sample_count = sample_messages(samples);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_truncated_and_trailing),
		cmocka_unit_test(test_every_required_field),
		cmocka_unit_test(test_version_and_type),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_good_fields),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
