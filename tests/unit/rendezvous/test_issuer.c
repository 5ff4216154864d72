#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "rendezvous/issuer.h"

#define NOW_S 1000000000

struct fixture {
	char path[64];
	struct issuer *issuer;
	struct random_seeded seed;
	struct random_source random;
	uint8_t public[SIGN_PUBLIC_BYTES];
	uint8_t secret[SIGN_SECRET_BYTES];
};

/* @prefix6: NULL = none */
static void open_issuer6(struct fixture *f, const char *prefix, const char *prefix6)
{
	struct issuer_params params = {.path = f->path, .authority_secret = f->secret};

	assert_int_equal(netprefix_parse(prefix, &params.prefix), OK);
	if (prefix6)
		assert_int_equal(netprefix_parse(prefix6, &params.prefix6), OK);
	issuer_close(f->issuer);
	f->issuer = NULL;
	assert_int_equal(issuer_open(&f->issuer, &params), OK);
}

static void open_issuer(struct fixture *f, const char *prefix)
{
	open_issuer6(f, prefix, NULL);
}

static int setup(void **state)
{
	static const uint8_t seed[SIGN_SEED_BYTES] = {1};
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_non_null(f);
	assert_int_equal(crypto_start(), OK);
	random_seeded_init(&f->seed, 1);
	f->random = random_seeded_source(&f->seed);
	sign_keypair(seed, f->public, f->secret);
	strcpy(f->path, "/tmp/icetun-issuer-XXXXXX");
	fd = mkstemp(f->path);
	assert_return_code(fd, 0);
	close(fd);
	assert_int_equal(issuer_create_database(f->path), ERR_EXISTS);
	unlink(f->path);
	assert_int_equal(issuer_create_database(f->path), OK);
	open_issuer(f, "100.96.0.0/24");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[80];

	issuer_close(f->issuer);
	unlink(f->path);
	snprintf(path, sizeof(path), "%s-wal", f->path);
	unlink(path);
	snprintf(path, sizeof(path), "%s-shm", f->path);
	unlink(path);
	free(f);
	return 0;
}

static void make_token(struct fixture *f, int64_t uses, uint8_t *ret)
{
	assert_int_equal(issuer_token_create(f->issuer, &f->random, NOW_S, uses, NOW_S + 3600, ret),
			 OK);
}

struct result {
	enum issuer_result result;
	uint8_t certificate[CERT_MAX_BYTES];
	size_t len;
	struct cert cert;
};

/* A host with keys that are @number. */
static struct result join(struct fixture *f, int64_t now_s, const uint8_t *token, const char *name,
			  uint8_t number)
{
	uint8_t noise[DH_BYTES];
	uint8_t curve[DH_BYTES];
	const struct issuer_request request = {
		.token = token, .name = name, .noise_public = noise, .curve_public = curve};
	struct result r = {.len = 0};

	memset(noise, number, sizeof(noise));
	memset(curve, number + 100, sizeof(curve));
	r.result = issuer_join(f->issuer, now_s, &request, r.certificate, &r.len);
	if (r.result == ISSUER_OK)
		assert_int_equal(cert_verify(r.certificate, r.len, f->public, now_s, &r.cert), OK);
	return r;
}

static void check_address(const struct result *r, const char *text)
{
	char buf[NETADDR_TEXT_BYTES];

	assert_int_equal(r->result, ISSUER_OK);
	assert_string_equal(netaddr_format_ip(&r->cert.addresses[0], buf), text);
}

static void test_certificate(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	char prefix[NETPREFIX_TEXT_BYTES];
	struct result r;
	struct cert late;

	make_token(f, 1, token);
	r = join(f, NOW_S, token, "alice", 1);
	check_address(&r, "100.96.0.1");
	assert_string_equal(r.cert.name, "alice");
	assert_int_equal(r.cert.noise_public[0], 1);
	assert_int_equal(r.cert.curve_public[0], 101);
	assert_int_equal(r.cert.network_count, 1);
	assert_string_equal(netprefix_format(&r.cert.networks[0], prefix), "100.96.0.0/24");
	assert_int_equal(r.cert.not_after_s, NOW_S + 365 * 86400);
	assert_true(r.cert.not_before_s < NOW_S);
	assert_int_equal(cert_verify(r.certificate, r.len, f->public, r.cert.not_after_s, &late),
			 DROP_EXPIRED);
}

static void test_token_limits(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	uint8_t other[TOKEN_SECRET_BYTES] = {0};
	struct result first;
	struct result again;

	make_token(f, 2, token);
	first = join(f, NOW_S, token, "alice", 1);
	assert_int_equal(first.result, ISSUER_OK);
	assert_int_equal(join(f, NOW_S + 3600, token, "bob", 2).result, ISSUER_TOKEN_EXPIRED);
	assert_int_equal(join(f, NOW_S + 3599, token, "bob", 2).result, ISSUER_OK);
	assert_int_equal(join(f, NOW_S, token, "carol", 3).result, ISSUER_TOKEN_USED);
	assert_int_equal(join(f, NOW_S, other, "carol", 3).result, ISSUER_TOKEN_UNKNOWN);
	/* The same host again: no use, no limit, the same certificate. */
	again = join(f, NOW_S + 5000, token, "alice", 1);
	assert_int_equal(again.result, ISSUER_OK);
	assert_int_equal(again.len, first.len);
	assert_memory_equal(again.certificate, first.certificate, first.len);
	/* But not after the token was withdrawn. */
	assert_int_equal(issuer_token_revoke(f->issuer, NOW_S, 1), OK);
	assert_int_equal(issuer_token_revoke(f->issuer, NOW_S, 1), OK);
	assert_int_equal(issuer_token_revoke(f->issuer, NOW_S, 2), ERR_NOT_FOUND);
	assert_int_equal(join(f, NOW_S, token, "alice", 1).result, ISSUER_TOKEN_UNKNOWN);
	assert_int_equal(issuer_token_create(f->issuer, &f->random, NOW_S, 0, NOW_S + 1, other),
			 ERR_INVALID);
	assert_int_equal(issuer_token_create(f->issuer, &f->random, NOW_S, 1, NOW_S, other),
			 ERR_INVALID);
}

static void test_names_and_keys_are_unique(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	uint8_t second[TOKEN_SECRET_BYTES];

	make_token(f, 9, token);
	make_token(f, 9, second);
	assert_int_equal(join(f, NOW_S, token, "alice", 1).result, ISSUER_OK);
	assert_int_equal(join(f, NOW_S, token, "alice", 2).result, ISSUER_NAME_TAKEN);
	assert_int_equal(join(f, NOW_S, token, "alia", 1).result, ISSUER_NAME_TAKEN);
	assert_int_equal(join(f, NOW_S, second, "alice", 1).result, ISSUER_NAME_TAKEN);
	assert_int_equal(join(f, NOW_S, token, "Alice", 3).result, ISSUER_NAME_INVALID);
	assert_int_equal(join(f, NOW_S, token, "", 3).result, ISSUER_NAME_INVALID);
	assert_int_equal(join(f, NOW_S, token, "a'; DROP TABLE member; --", 3).result,
			 ISSUER_NAME_INVALID);
	assert_int_equal(join(f, NOW_S, token, "bob", 3).result, ISSUER_OK);
}

static void run_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	char name[16];
	struct result r;

	make_token(f, 99, token);
	open_issuer(f, "100.96.0.0/29");
	for (uint8_t i = 1; i <= 6; i++) {
		snprintf(name, sizeof(name), "host-%d", i);
		r = join(f, NOW_S, token, name, i);
		snprintf(name, sizeof(name), "100.96.0.%d", i);
		check_address(&r, name);
		assert_int_equal(r.cert.serial, i);
	}
	assert_int_equal(join(f, NOW_S, token, "late", 7).result, ISSUER_NO_ADDRESS);
	/* Gaps are filled when the end was reached; serials are never used again. */
	run_sql(f, "DELETE FROM member WHERE serial IN (3, 6)");
	r = join(f, NOW_S, token, "late", 7);
	check_address(&r, "100.96.0.6");
	assert_int_equal(r.cert.serial, 7);
	r = join(f, NOW_S, token, "later", 8);
	check_address(&r, "100.96.0.3");
	run_sql(f, "DELETE FROM member WHERE serial = 1");
	r = join(f, NOW_S, token, "latest", 9);
	check_address(&r, "100.96.0.1");
	/* A prefix that was widened goes on. */
	open_issuer(f, "100.96.0.0/28");
	r = join(f, NOW_S, token, "wide", 10);
	check_address(&r, "100.96.0.7");
}

/* Both addresses of a member: the second, or "" for none, and what the list says. */
static void check_both(const struct result *r, const char *ip4, const char *ip6)
{
	char buf[NETADDR_TEXT_BYTES];

	check_address(r, ip4);
	assert_int_equal(r->cert.address_count, ip6[0] ? 2 : 1);
	assert_int_equal(r->cert.network_count, r->cert.address_count);
	if (ip6[0]) {
		assert_string_equal(netaddr_format_ip(&r->cert.addresses[1], buf), ip6);
		assert_true(netprefix_contains(&r->cert.networks[1], &r->cert.addresses[1]));
	}
}

struct seen {
	size_t count;
	char text[8][2 * NETADDR_TEXT_BYTES];
};

static void on_member(void *ctx, const struct issuer_member *m)
{
	struct seen *s = ctx;

	assert_true(s->count < ARRAY_SIZE(s->text));
	snprintf(s->text[s->count++], sizeof(s->text[0]), "%s %s", m->address, m->address6);
}

/* The same host number in both; a prefix that is added or taken away counts from then on. */
static void test_addresses6(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	struct seen seen = {0};
	struct result r;

	make_token(f, 99, token);
	r = join(f, NOW_S, token, "alice", 1);
	check_both(&r, "100.96.0.1", "");
	open_issuer6(f, "100.96.0.0/16", "fd12:3456:789a::/64");
	r = join(f, NOW_S, token, "bob", 2);
	check_both(&r, "100.96.0.2", "fd12:3456:789a::2");
	/* Who asks again has what it had. */
	r = join(f, NOW_S, token, "alice", 1);
	check_both(&r, "100.96.0.1", "");
	run_sql(f, "UPDATE member SET address = address + 70000 WHERE name = 'bob'");
	open_issuer6(f, "100.0.0.0/8", "fd12:3456:789a::/104");
	r = join(f, NOW_S, token, "carol", 3);
	check_both(&r, "100.97.17.115", "fd12:3456:789a::61:1173");
	open_issuer(f, "100.0.0.0/8");
	r = join(f, NOW_S, token, "dave", 4);
	check_both(&r, "100.97.17.116", "");
	assert_int_equal(issuer_member_list(f->issuer, on_member, &seen), OK);
	assert_int_equal(seen.count, 4);
	assert_string_equal(seen.text[0], "100.96.0.1 ");
	assert_string_equal(seen.text[2], "100.97.17.115 fd12:3456:789a::61:1173");
}

/* Another IPv4 prefix counts from the beginning again; the IPv6 addresses are not free again. */
static void test_host_number_is_taken(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	struct result r;

	make_token(f, 99, token);
	open_issuer6(f, "100.96.0.0/24", "fd00:0:0:10::/60");
	r = join(f, NOW_S, token, "alice", 1);
	check_both(&r, "100.96.0.1", "fd00:0:0:10::1");
	run_sql(f, "UPDATE member SET address6 = x'fd0000000000001000000000000000ff'");
	r = join(f, NOW_S, token, "bob", 2);
	check_both(&r, "100.96.0.2", "fd00:0:0:10::2");
	open_issuer6(f, "10.0.0.0/24", "fd00:0:0:10::/60");
	r = join(f, NOW_S, token, "carol", 3);
	check_both(&r, "10.0.0.1", "fd00:0:0:10::1");
	r = join(f, NOW_S, token, "dave", 4);
	check_both(&r, "10.0.0.2", "fd00:0:0:10::100");
	/* The end of the block. */
	run_sql(f, "UPDATE member SET address6 = x'fd0000000000001fffffffffffffffff'"
		   " WHERE name = 'dave'");
	run_sql(f, "UPDATE member SET address6 = x'fd000000000000100000000000000003'"
		   " WHERE name = 'alice'");
	assert_int_equal(join(f, NOW_S, token, "erin", 5).result, ISSUER_NO_ADDRESS);
}

/* A database of before IPv6 is brought up to date, once. */
static void test_upgrade(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	struct result first, r;
	uint8_t buf[CERT_MAX_BYTES];
	size_t len;

	make_token(f, 9, token);
	first = join(f, NOW_S, token, "alice", 1);
	issuer_close(f->issuer);
	f->issuer = NULL;
	run_sql(f, "DROP INDEX member_address6; ALTER TABLE member DROP COLUMN address6;"
		   "PRAGMA user_version = 1");
	for (int i = 0; i < 2; i++) {
		open_issuer6(f, "100.96.0.0/24", "fd12::/64");
		assert_int_equal(issuer_find(f->issuer, "alice", NULL, buf, &len), OK);
		assert_int_equal(len, first.len);
		assert_memory_equal(buf, first.certificate, len);
	}
	r = join(f, NOW_S, token, "bob", 2);
	check_both(&r, "100.96.0.2", "fd12::2");
}

static void test_find(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	uint8_t buf[CERT_MAX_BYTES];
	struct netaddr address;
	struct result r;
	size_t len;

	make_token(f, 9, token);
	r = join(f, NOW_S, token, "alice", 1);
	assert_int_equal(issuer_find(f->issuer, "alice", NULL, buf, &len), OK);
	assert_int_equal(len, r.len);
	assert_memory_equal(buf, r.certificate, len);
	assert_int_equal(issuer_find(f->issuer, "bob", NULL, buf, &len), ERR_NOT_FOUND);
	address = r.cert.addresses[0];
	assert_int_equal(issuer_find(f->issuer, NULL, &address, buf, &len), OK);
	address.ip[3] = 77;
	assert_int_equal(issuer_find(f->issuer, NULL, &address, buf, &len), ERR_NOT_FOUND);
	address.family = NETADDR_IP6;
	assert_int_equal(issuer_find(f->issuer, NULL, &address, buf, &len), ERR_NOT_FOUND);
	open_issuer6(f, "100.96.0.0/24", "fd12::/64");
	r = join(f, NOW_S, token, "bob", 2);
	assert_int_equal(issuer_find(f->issuer, NULL, &r.cert.addresses[1], buf, &len), OK);
	assert_int_equal(len, r.len);
	assert_memory_equal(buf, r.certificate, len);
	/* Of alice, who joined before. */
	r.cert.addresses[1].ip[15] = 1;
	assert_int_equal(issuer_find(f->issuer, NULL, &r.cert.addresses[1], buf, &len),
			 ERR_NOT_FOUND);
}

/* Another process holds the write lock: the caller is told, and nothing is half done. */
static void test_busy(void **state)
{
	struct fixture *f = *state;
	uint8_t token[TOKEN_SECRET_BYTES];
	sqlite3 *db;

	make_token(f, 9, token);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(join(f, NOW_S, token, "alice", 1).result, ISSUER_FAILED);
	sqlite3_close(db);
	assert_int_equal(join(f, NOW_S, token, "alice", 1).result, ISSUER_OK);
}

static void test_not_a_database(void **state)
{
	struct fixture *f = *state;
	struct issuer_params params = {.path = f->path};
	struct issuer *issuer;
	FILE *out;

	run_sql(f, "PRAGMA user_version = 99");
	assert_int_equal(issuer_open(&issuer, &params), ERR_INVALID);
	issuer_close(f->issuer);
	f->issuer = NULL;
	unlink(f->path);
	assert_int_equal(issuer_open(&issuer, &params), ERR_NOT_FOUND);
	out = fopen(f->path, "w");
	assert_non_null(out);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", out);
	fclose(out);
	assert_int_equal(issuer_open(&issuer, &params), ERR_INVALID);
}

static void test_file_mode(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_return_code(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_certificate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_and_keys_are_unique, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_number_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_mode, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
