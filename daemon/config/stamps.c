#include "daemon/config/stamps.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/config/state_file.h"
#include "daemon/core/cbor/item.h"
#include "daemon/log/log.h"

#define MAX_STAMPS 16384
/* An array of pairs: 1 + (2 + identifier) + 9 bytes each. */
#define FILE_BYTES (16 + MAX_STAMPS * (1 + 2 + IDENTIFIER_BYTES + 9))

static const char file[] = "stamps";

static bool decode(const uint8_t *buf, size_t len, struct stamp_table *t)
{
	struct item_rd r = item_rd_init(buf, len);
	size_t count = item_rd_array(&r, MAX_STAMPS);

	for (size_t i = 0; i < count && item_rd_ok(&r); i++) {
		char name[IDENTIFIER_BYTES];
		uint64_t stamp_us;

		if (item_rd_array(&r, 2) != 2)
			return false;
		item_rd_text_copy(&r, name, sizeof(name), 1);
		stamp_us = item_rd_uint(&r);
		if (item_rd_ok(&r) && identifier_is_valid(name))
			stamp_set(t, name, stamp_us);
	}
	return item_rd_at_end(&r);
}

enum err stamps_load(const char *directory, struct stamp_table *t,
		     char error[static STATE_ERROR_BYTES])
{
	uint8_t *buf = malloc(FILE_BYTES);
	size_t len = 0;
	int dir = -1;
	enum err e;

	if (!buf)
		return state_file_fail(error, ERR_NO_MEMORY, directory, file,
				       err_text(ERR_NO_MEMORY));
	e = state_directory_open(directory, &dir, error);
	if (e == OK) {
		e = state_file_read(dir, directory, file, buf, FILE_BYTES, &len, error);
		close(dir);
	}
	if (e == DROP_MALFORMED || (e == OK && len && !decode(buf, len, t))) {
		log_warning("state.stamps_damaged", "directory=%s", log_quote(directory).text);
		e = OK;
	}
	free(buf);
	return e;
}

enum err stamps_save(const char *directory, const struct stamp_table *t,
		     char error[static STATE_ERROR_BYTES])
{
	uint8_t *buf = malloc(FILE_BYTES);
	struct wr w = wr_init(buf, FILE_BYTES);
	size_t count = t->count < MAX_STAMPS ? t->count : MAX_STAMPS;
	int dir = -1;
	enum err e;

	if (!buf)
		return state_file_fail(error, ERR_NO_MEMORY, directory, file,
				       err_text(ERR_NO_MEMORY));
	item_wr_array(&w, count);
	for (size_t i = 0; i < count; i++) {
		item_wr_array(&w, 2);
		item_wr_text(&w, t->stamps[i].name);
		item_wr_uint(&w, t->stamps[i].stamp_us);
	}
	e = state_directory_open(directory, &dir, error);
	if (e == OK) {
		e = state_file_write(dir, directory, file, buf, wr_len(&w), error);
		close(dir);
	}
	free(buf);
	return e;
}
