#include <fcntl.h>
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

#include "daemon/config/stamps.h"

static char directory[64], path[128], error[STATE_ERROR_BYTES];

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/icetun-stamps-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/stamps", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void comes_back(void **state)
{
	struct stamp_table saved, loaded;

	(void)state;
	assert_int_equal(stamp_table_init(&saved, 1024), OK);
	assert_int_equal(stamp_table_init(&loaded, 1024), OK);
	assert_int_equal(stamps_load(directory, &loaded, error), OK);
	assert_int_equal(loaded.count, 0);
	for (unsigned int i = 0; i < 1024; i++) {
		char name[IDENTIFIER_BYTES];

		memset(name, 'a', sizeof(name) - 1);
		name[sizeof(name) - 1] = '\0';
		name[0] = (char)('a' + i % 26);
		name[1] = (char)('a' + i / 26 % 26);
		name[2] = (char)('a' + i / 676);
		stamp_set(&saved, name, UINT64_MAX - i);
	}
	assert_int_equal(stamps_save(directory, &saved, error), OK);
	assert_int_equal(stamps_load(directory, &loaded, error), OK);
	assert_int_equal(loaded.count, 1024);
	for (size_t i = 0; i < saved.count; i++)
		assert_true(stamp_get(&loaded, saved.stamps[i].name) == saved.stamps[i].stamp_us);
	stamp_table_fini(&saved);
	stamp_table_fini(&loaded);
}

static void write_raw(const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void damaged_is_as_good_as_none(void **state)
{
	static const uint8_t bad[][8] = {
		{0x81, 0x82, 0x61, 'a', 0x61, 'b'},  /* a stamp that is text */
		{0x9a, 0xff, 0xff, 0xff, 0xff},	     /* a count that is not there */
		{0x81, 0x82, 0x61, 'A', 0x01, 0x00}, /* trailing bytes */
		{0xff},
	};
	struct stamp_table t;

	(void)state;
	assert_int_equal(stamp_table_init(&t, 4), OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_raw(bad[i], sizeof(bad[i]));
		assert_int_equal(stamps_load(directory, &t, error), OK);
		assert_int_equal(t.count, 0);
	}
	write_raw("", 0);
	assert_int_equal(stamps_load(directory, &t, error), OK);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(stamps_load(directory, &t, error), ERR_PERMISSION);
	assert_non_null(strstr(error, "stamps"));
	stamp_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_is_as_good_as_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
