#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config/state.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"

struct fixture {
	char root[64];	    /* a fresh directory */
	char directory[80]; /* inside of it, not made yet */
	char error[STATE_ERROR_BYTES];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || crypto_start() != OK)
		return -1;
	strcpy(f->root, "/tmp/icetun-state-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	snprintf(f->directory, sizeof(f->directory), "%s/state", f->root);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[160];
	int status;

	snprintf(command, sizeof(command), "rm -rf '%s'", f->root);
	status = system(command);
	free(f);
	return status;
}

static const char *path_of(const struct fixture *f, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->directory, file);
	return path;
}

static struct state *make_member(void)
{
	struct random_seeded seeded;
	struct random_source random = random_seeded_source(&seeded);
	struct state *s = state_create();

	random_seeded_init(&seeded, 1);
	assert_non_null(s);
	s->joined = true;
	strcpy(s->network, "home");
	strcpy(s->name, "alice");
	random_bytes(&random, s->authority_key, sizeof(s->authority_key));
	random_bytes(&random, s->server_key, sizeof(s->server_key));
	strcpy(s->endpoints[0], "tcp://192.0.2.1:7000");
	strcpy(s->endpoints[1], "tcp://rv.example:7000");
	s->endpoint_count = 2;
	dh_generate(&s->noise, &random);
	dh_generate(&s->curve, &random);
	random_bytes(&random, s->certificate, sizeof(s->certificate));
	s->certificate_len = sizeof(s->certificate);
	s->wanted_up = true;
	s->epoch = UINT64_MAX - 1;
	s->stamp_us = 1234567890123456;
	s->port = 40001;
	return s;
}

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member(), *back = state_create();
	struct stat st;

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	assert_int_equal(state_load(f->directory, back, f->error), OK);
	assert_memory_equal(s, back, sizeof(*s));
	assert_int_equal(stat(f->directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path_of(f, "member"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of(f, "run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	state_destroy(s);
	state_destroy(back);
}

static void test_nothing_there(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member(), *empty = state_create();

	assert_int_equal(state_load(f->directory, s, f->error), OK);
	assert_memory_equal(s, empty, sizeof(*s));
	state_destroy(s);
	state_destroy(empty);
	state_destroy(NULL);
}

static void test_leave_keeps_what_never_goes_back(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member();

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	assert_int_equal(state_leave(f->directory, s, f->error), OK);
	assert_int_equal(access(path_of(f, "member"), F_OK), -1);
	for (int i = 0; i < 2; i++) {
		static const uint8_t zero[32];

		assert_false(s->joined);
		assert_false(s->wanted_up);
		assert_memory_equal(s->noise.secret, zero, 32);
		assert_int_equal(s->epoch, UINT64_MAX - 1);
		assert_int_equal(s->stamp_us, 1234567890123456);
		assert_int_equal(s->port, 40001);
		assert_int_equal(state_load(f->directory, s, f->error), OK);
	}
	assert_int_equal(state_leave(f->directory, s, f->error), OK);
	state_destroy(s);
}

static void test_looser_modes_are_refused(void **state)
{
	static const struct {
		const char *file; /* "" = the directory */
		mode_t mode;
	} rows[] = {{"", 0750}, {"", 0701}, {"member", 0640}, {"member", 0604}, {"run", 0660}};
	struct fixture *f = *state;
	struct state *s = make_member();

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *path = path_of(f, rows[i].file);

		assert_int_equal(chmod(path, rows[i].mode), 0);
		s->port = 7;
		if (state_load(f->directory, s, f->error) != ERR_PERMISSION)
			fail_msg("%s with %o was taken", path, rows[i].mode);
		assert_int_equal(s->port, 7);
		assert_non_null(strstr(f->error, "has mode"));
		assert_int_equal(chmod(path, *rows[i].file ? 0600 : 0700), 0);
		assert_int_equal(state_load(f->directory, s, f->error), OK);
	}
	assert_int_equal(chmod(f->directory, 0755), 0);
	assert_int_equal(state_save(f->directory, s, f->error), ERR_PERMISSION);
	assert_int_equal(state_save_run(f->directory, s, f->error), ERR_PERMISSION);
	assert_int_equal(state_leave(f->directory, s, f->error), ERR_PERMISSION);
	assert_true(s->joined);
	state_destroy(s);
}

static void test_other_owner_and_kinds(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member();
	char moved[80];

	snprintf(moved, sizeof(moved), "%s/moved", f->root);
	assert_int_equal(state_save(f->directory, s, f->error), OK);
	assert_int_equal(rename(path_of(f, "member"), moved), 0);
	assert_int_equal(symlink(moved, path_of(f, "member")), 0);
	assert_int_equal(state_load(f->directory, s, f->error), ERR_PERMISSION);
	assert_non_null(strstr(f->error, "symbolic link"));
	assert_int_equal(unlink(path_of(f, "member")), 0);
	assert_int_equal(unlink(moved), 0);
	assert_int_equal(mkfifo(path_of(f, "member"), 0600), 0);
	assert_int_equal(state_load(f->directory, s, f->error), ERR_PERMISSION);
	assert_int_equal(unlink(path_of(f, "member")), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(f->directory, 12345, 12345), 0);
		assert_int_equal(state_load(f->directory, s, f->error), ERR_PERMISSION);
		assert_non_null(strstr(f->error, "belongs to user 12345"));
	}
	state_destroy(s);
}

/* Every shorter file, and every file with one byte changed, either loads or is told as damaged. */
static void test_damaged(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member();
	uint8_t buf[4096];
	enum err e;
	ssize_t len;
	int fd;

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	fd = open(path_of(f, "member"), O_RDWR);
	len = read(fd, buf, sizeof(buf));
	assert_true(len > 1000);
	for (ssize_t n = 0; n < len; n++) {
		assert_int_equal(ftruncate(fd, len - 1 - n), 0);
		assert_int_equal(state_load(f->directory, s, f->error), DROP_MALFORMED);
	}
	/* Heads of items all stand in the first bytes and before the certificate. */
	for (ssize_t n = 0; n < 300; n++) {
		buf[n] ^= 0xff;
		assert_int_equal(pwrite(fd, buf, (size_t)len, 0), len);
		buf[n] ^= 0xff;
		e = state_load(f->directory, s, f->error);
		if (e != OK && e != DROP_MALFORMED)
			fail_msg("byte %zd: %s", n, f->error);
	}
	buf[len] = 0;
	assert_int_equal(pwrite(fd, buf, (size_t)len + 1, 0), len + 1);
	assert_int_equal(state_load(f->directory, s, f->error), DROP_MALFORMED);
	assert_int_equal(state_leave(f->directory, s, f->error), OK);
	close(fd);
	state_destroy(s);
}

static void test_lost_run_keeps_the_membership(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member();

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	assert_int_equal(truncate(path_of(f, "run"), 5), 0);
	assert_int_equal(state_load(f->directory, s, f->error), OK);
	assert_true(s->joined);
	assert_int_equal(s->epoch, 0);
	assert_false(s->wanted_up);
	assert_int_equal(state_next_epoch(s, 1700000000), 1700000000);
	assert_int_equal(state_next_epoch(s, 1700000000), 1700000001);
	assert_int_equal(state_next_epoch(s, 5), 1700000002);
	state_destroy(s);
}

/* A temporary file of a daemon that was killed in the middle does no harm. */
static void test_leftover_temporary_file(void **state)
{
	struct fixture *f = *state;
	struct state *s = make_member();
	int fd;

	assert_int_equal(state_save(f->directory, s, f->error), OK);
	fd = open(path_of(f, "run.new"), O_CREAT | O_WRONLY, 0666);
	assert_true(fd >= 0);
	close(fd);
	s->port = 9;
	assert_int_equal(state_save_run(f->directory, s, f->error), OK);
	assert_int_equal(access(path_of(f, "run.new"), F_OK), -1);
	s->port = 0;
	assert_int_equal(state_load(f->directory, s, f->error), OK);
	assert_int_equal(s->port, 9);
	state_destroy(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_nothing_there),
		TEST(test_leave_keeps_what_never_goes_back),
		TEST(test_looser_modes_are_refused),
		TEST(test_other_owner_and_kinds),
		TEST(test_damaged),
		TEST(test_lost_run_keeps_the_membership),
		TEST(test_leftover_temporary_file),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
