/* ICE descriptions on the wire: the whole value comes back, what we cannot use is passed over, what
 * is wrong fails. Candidates are put together by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cbor/address.h"
#include "daemon/core/signal/description.h"
#include "tests/support/samples.h"

static uint8_t buf[16384];

/* A candidate as another implementation would write it; NULL and 0 leave a key out. */
struct parts {
	const char *foundation;
	uint64_t component;
	const char *transport;
	uint64_t priority;
	const char *type;
	const char *address; /* NULL: a name instead */
	uint64_t port;
	const char *extra; /* an extension that is too long for us */
	bool later;	   /* has a key of a later version */
};

static const struct parts usual = {
	.foundation = "1",
	.transport = "udp",
	.priority = 1000,
	.type = "host",
	.address = "192.0.2.1",
	.port = 5000,
};

static void write_parts(struct wr *w, const struct parts *p)
{
	item_wr_map(w, (size_t)6 - !p->foundation - !p->transport - !p->type + (p->component != 0) +
			       (p->extra != NULL) + p->later);
	if (p->foundation) {
		item_wr_uint(w, 1);
		item_wr_text(w, p->foundation);
	}
	if (p->component) {
		item_wr_uint(w, 2);
		item_wr_uint(w, p->component);
	}
	if (p->transport) {
		item_wr_uint(w, 3);
		item_wr_text(w, p->transport);
	}
	item_wr_uint(w, 4);
	item_wr_uint(w, p->priority);
	if (p->type) {
		item_wr_uint(w, 5);
		item_wr_text(w, p->type);
	}
	item_wr_uint(w, 6);
	if (p->address) {
		struct netaddr a = sample_ip(p->address, 0);

		item_wr_ip(w, &a);
	} else {
		item_wr_text(w, "0b1c.local");
	}
	item_wr_uint(w, 7);
	item_wr_uint(w, p->port);
	if (p->extra) {
		item_wr_uint(w, 9);
		item_wr_array(w, 2);
		item_wr_array(w, 2);
		item_wr_text(w, p->extra);
		item_wr_text(w, "x");
		item_wr_array(w, 2);
		item_wr_text(w, "generation");
		item_wr_text(w, "0");
	}
	if (p->later) {
		item_wr_uint(w, 10);
		item_wr_map(w, 0);
	}
}

enum outcome {
	USED,
	PASSED_OVER,
	FAILED,
};

static enum outcome read_parts(const struct parts *p, struct ice_candidate *ret)
{
	struct wr w = wr_init(buf, sizeof(buf));
	struct item_rd r;
	bool used;

	write_parts(&w, p);
	assert_true(wr_ok(&w));
	r = item_rd_init(buf, wr_len(&w));
	used = signal_candidate_read(&r, ret);
	if (!item_rd_ok(&r)) {
		assert_false(used);
		return FAILED;
	}
	assert_true(item_rd_at_end(&r));
	return used ? USED : PASSED_OVER;
}

static void test_candidates(void **state)
{
	static const char long_name[] = "an-extension-with-a-name-that-is-far-too-long";
	struct parts p = usual;
	struct ice_candidate c;

	(void)state;
#define OUTCOME(change, expected)                                                                  \
	p = usual;                                                                                 \
	change;                                                                                    \
	assert_int_equal(read_parts(&p, &c), expected)

	OUTCOME(, USED);
	assert_int_equal(c.type, ICE_CANDIDATE_HOST);
	assert_int_equal(c.addr.port, 5000);
	assert_int_equal(c.related.family, NETADDR_NONE);
	OUTCOME(p.type = "srflx", USED);
	assert_int_equal(c.type, ICE_CANDIDATE_SRFLX);
	OUTCOME(p.type = "prflx", USED);
	OUTCOME(p.type = "relay", USED);
	OUTCOME(p.component = 1, USED);
	OUTCOME(p.later = true, USED);
	OUTCOME(p.priority = UINT32_MAX, USED);
	assert_int_equal(c.priority, ICE_PRIORITY_MAX);
	OUTCOME(p.extra = "x", USED);
	assert_int_equal(c.extension_count, 2);
	assert_string_equal(c.extensions[0].name, "x");
	OUTCOME(p.extra = long_name, USED);
	assert_int_equal(c.extension_count, 1);
	assert_string_equal(c.extensions[0].name, "generation");
	OUTCOME(p.foundation = "abcdefghijklmnopqrstuvwxyzABCD+/", USED);

	OUTCOME(p.transport = "tcp", PASSED_OVER);
	OUTCOME(p.transport = "", PASSED_OVER);
	OUTCOME(p.type = "quantum", PASSED_OVER);
	OUTCOME(p.component = 2, PASSED_OVER);
	OUTCOME(p.address = NULL, PASSED_OVER);
	OUTCOME((p.transport = "tcp", p.port = 9, p.extra = "tcptype"), PASSED_OVER);

	OUTCOME(p.foundation = NULL, FAILED);
	OUTCOME(p.foundation = "", FAILED);
	OUTCOME(p.foundation = "a b", FAILED);
	OUTCOME(p.foundation = "a-b", FAILED);
	OUTCOME(p.foundation = "abcdefghijklmnopqrstuvwxyzABCD+/x", FAILED);
	OUTCOME(p.transport = NULL, FAILED);
	OUTCOME(p.type = NULL, FAILED);
	OUTCOME(p.priority = 0, FAILED);
	OUTCOME(p.priority = (uint64_t)UINT32_MAX + 1, FAILED);
	OUTCOME(p.port = 0, FAILED);
	OUTCOME(p.port = 65536, FAILED);
	OUTCOME(p.extra = "", FAILED);
#undef OUTCOME
}

static void write_start(struct wr *w, size_t keys, const char *ufrag, const char *pwd)
{
	item_wr_map(w, keys);
	item_wr_uint(w, 1);
	item_wr_text(w, ufrag);
	item_wr_uint(w, 2);
	item_wr_text(w, pwd);
}

static bool is_read(const struct wr *w, struct ice_description *ret)
{
	struct item_rd r = item_rd_init(buf, wr_len(w));

	assert_true(wr_ok(w));
	signal_description_read(&r, ret);
	return item_rd_at_end(&r);
}

#define UFRAG "abcd"
#define PWD   "abcdefghijklmnopqrstuv"

/* Those that we can use are kept, in their order, whatever stands between them. */
static void test_mixed_candidates(void **state)
{
	static const char *const types[] = {"host", "new", "srflx", "newer", "relay"};
	static struct ice_description d;
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	write_start(&w, 3, UFRAG, PWD);
	item_wr_uint(&w, 3);
	item_wr_array(&w, ARRAY_SIZE(types));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct parts p = usual;

		p.type = types[i];
		write_parts(&w, &p);
	}
	assert_true(is_read(&w, &d));
	assert_int_equal(d.candidate_count, 3);
	assert_int_equal(d.candidates[1].type, ICE_CANDIDATE_SRFLX);
	assert_int_equal(d.candidates[2].type, ICE_CANDIDATE_RELAY);
	assert_int_equal(d.ta_ms, 0);
	assert_false(d.lite);
}

static void test_number_of_candidates(void **state)
{
	static struct ice_description d;

	(void)state;
	for (size_t n = 0; n <= ICE_MAX_CANDIDATES + 1; n++) {
		struct wr w = wr_init(buf, sizeof(buf));

		write_start(&w, 3, UFRAG, PWD);
		item_wr_uint(&w, 3);
		item_wr_array(&w, n);
		for (size_t i = 0; i < n; i++)
			write_parts(&w, &usual);
		assert_int_equal(is_read(&w, &d), n <= ICE_MAX_CANDIDATES);
		if (n <= ICE_MAX_CANDIDATES)
			assert_int_equal(d.candidate_count, n);
	}
}

static void test_credentials(void **state)
{
	static const struct {
		const char *ufrag, *pwd;
		bool good;
	} rows[] = {
		{UFRAG, PWD, true},
		{"ab+/", PWD, true},
		{"abc", PWD, false},
		{UFRAG, "abcdefghijklmnopqrstu", false},
		{"abc:", PWD, false},
		{"abc ", PWD, false},
		{UFRAG, "abcdefghijklmnopqrstu=", false},
	};
	static struct ice_description d;
	char longest[ICE_UFRAG_MAX_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wr w = wr_init(buf, sizeof(buf));

		write_start(&w, 2, rows[i].ufrag, rows[i].pwd);
		assert_int_equal(is_read(&w, &d), rows[i].good);
	}
	for (size_t n = 0; n < 2; n++) {
		struct wr w = wr_init(buf, sizeof(buf));

		memset(longest, 'x', sizeof(longest));
		longest[ICE_UFRAG_MAX_BYTES + n] = '\0';
		write_start(&w, 2, longest, longest);
		assert_int_equal(is_read(&w, &d), n == 0);
	}
}

/* More options and extensions than we keep. */
static void test_surplus(void **state)
{
	static struct ice_description d;
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	write_start(&w, 5, UFRAG, PWD);
	item_wr_uint(&w, 5);
	item_wr_array(&w, 20);
	item_wr_text(&w, "an-option-with-a-name-that-is-far-too-long");
	for (size_t i = 1; i < 20; i++)
		item_wr_text(&w, i == 1 ? "ice2" : "other");
	item_wr_uint(&w, 8);
	item_wr_array(&w, 20);
	for (size_t i = 0; i < 20; i++) {
		item_wr_array(&w, 2);
		item_wr_text(&w, "name");
		item_wr_text(&w, "");
	}
	item_wr_uint(&w, 99);
	item_wr_bool(&w, true);
	assert_true(is_read(&w, &d));
	assert_int_equal(d.option_count, ICE_MAX_OPTIONS);
	assert_true(ice_description_has_option(&d, "ice2"));
	assert_int_equal(d.extension_count, ICE_MAX_EXTENSIONS);
}

static void test_round_trip(void **state)
{
	static struct signal_handshake h;
	static struct ice_description d;

	(void)state;
	for (int full = 0; full < 2; full++) {
		struct wr w = wr_init(buf, sizeof(buf));

		h = sample_handshake(full != 0, NULL, 0);
		signal_description_write(&w, &h.ice);
		assert_true(is_read(&w, &d));
		assert_memory_equal(&d, &h.ice, sizeof(d));
	}
}

/* The message of trickle: an array of its end and candidates. */
static void test_later_candidates(void **state)
{
	static struct signal_candidates in, out;
	struct signal_handshake h = sample_handshake(true, NULL, 0);
	uint8_t text[8192];
	size_t len;

	(void)state;
	in.end = true;
	in.local = h.ice.candidates;
	in.count = h.ice.candidate_count;
	assert_int_equal(signal_candidates_encode(&in, text, sizeof(text), &len), OK);
	for (size_t cap = 0; cap < len; cap++) {
		size_t ignored;

		assert_int_equal(signal_candidates_encode(&in, text, cap, &ignored), ERR_NO_SPACE);
	}
	assert_int_equal(signal_candidates_encode(&in, text, sizeof(text), &len), OK);
	assert_int_equal(signal_candidates_decode(text, len, &out), OK);
	assert_true(out.end);
	assert_int_equal(out.count, in.count);
	for (size_t i = 0; i < out.count; i++)
		assert_true(netaddr_equal(&out.remote[i].addr, &in.local[i].addr));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(signal_candidates_decode(text, cut, &out), DROP_MALFORMED);
	text[len] = 0;
	assert_int_equal(signal_candidates_decode(text, len + 1, &out), DROP_MALFORMED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_mixed_candidates),
		cmocka_unit_test(test_number_of_candidates),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_surplus),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_later_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
