#include "daemon/config/state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config/state_file.h"
#include "daemon/core/base/cursor.h"
#include "daemon/core/cbor/item.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/log/log.h"

#define FORMAT_VERSION 1
/* More than either file can be. */
#define FILE_MAX_BYTES 4096

static const char member_file[] = "member";
static const char run_file[] = "run";

/* Keys of the two maps. */
enum member_key {
	MEMBER_VERSION,
	MEMBER_NETWORK,
	MEMBER_NAME,
	MEMBER_AUTHORITY_KEY,
	MEMBER_SERVER_KEY,
	MEMBER_ENDPOINTS,
	MEMBER_NOISE_SECRET,
	MEMBER_CURVE_SECRET,
	MEMBER_CERTIFICATE,
	MEMBER_COUNT
};

enum run_key { RUN_VERSION, RUN_WANTED_UP, RUN_EPOCH, RUN_STAMP_US, RUN_PORT, RUN_COUNT };

struct state *state_create(void)
{
	return secret_alloc(sizeof(struct state));
}

void state_destroy(struct state *s)
{
	secret_free(s);
}

uint64_t state_next_epoch(struct state *s, uint64_t unix_s)
{
	s->epoch = s->epoch + 1 > unix_s ? s->epoch + 1 : unix_s;
	return s->epoch;
}

/* --- Encoding ------------------------------------------------------------------------------- */

static void encode_member(struct wr *w, const struct state *s)
{
	item_wr_map(w, MEMBER_COUNT);
	item_wr_uint(w, MEMBER_VERSION);
	item_wr_uint(w, FORMAT_VERSION);
	item_wr_uint(w, MEMBER_NETWORK);
	item_wr_text(w, s->network);
	item_wr_uint(w, MEMBER_NAME);
	item_wr_text(w, s->name);
	item_wr_uint(w, MEMBER_AUTHORITY_KEY);
	item_wr_bytes(w, s->authority_key, sizeof(s->authority_key));
	item_wr_uint(w, MEMBER_SERVER_KEY);
	item_wr_bytes(w, s->server_key, sizeof(s->server_key));
	item_wr_uint(w, MEMBER_ENDPOINTS);
	item_wr_array(w, s->endpoint_count);
	for (size_t i = 0; i < s->endpoint_count; i++)
		item_wr_text(w, s->endpoints[i]);
	item_wr_uint(w, MEMBER_NOISE_SECRET);
	item_wr_bytes(w, s->noise.secret, sizeof(s->noise.secret));
	item_wr_uint(w, MEMBER_CURVE_SECRET);
	item_wr_bytes(w, s->curve.secret, sizeof(s->curve.secret));
	item_wr_uint(w, MEMBER_CERTIFICATE);
	item_wr_bytes(w, s->certificate, s->certificate_len);
}

static void encode_run(struct wr *w, const struct state *s)
{
	item_wr_map(w, RUN_COUNT);
	item_wr_uint(w, RUN_VERSION);
	item_wr_uint(w, FORMAT_VERSION);
	item_wr_uint(w, RUN_WANTED_UP);
	item_wr_bool(w, s->wanted_up);
	item_wr_uint(w, RUN_EPOCH);
	item_wr_uint(w, s->epoch);
	item_wr_uint(w, RUN_STAMP_US);
	item_wr_uint(w, s->stamp_us);
	item_wr_uint(w, RUN_PORT);
	item_wr_uint(w, s->port);
}

static void decode_endpoints(struct item_rd *r, struct state *s)
{
	s->endpoint_count = item_rd_array(r, STATE_MAX_ENDPOINTS);
	for (size_t i = 0; i < s->endpoint_count && item_rd_ok(r); i++)
		item_rd_text_copy(r, s->endpoints[i], sizeof(s->endpoints[i]), 1);
}

static void decode_certificate(struct item_rd *r, struct state *s)
{
	const uint8_t *bytes = item_rd_bytes(r, &s->certificate_len);

	if (!bytes || s->certificate_len > sizeof(s->certificate))
		item_rd_fail(r);
	else
		memcpy(s->certificate, bytes, s->certificate_len);
}

static void decode_version(struct item_rd *r)
{
	if (item_rd_uint(r) != FORMAT_VERSION)
		item_rd_fail(r);
}

static void decode_member_field(struct item_rd *r, uint64_t key, struct state *s)
{
	switch (key) {
	case MEMBER_VERSION:
		decode_version(r);
		break;
	case MEMBER_NETWORK:
		item_rd_text_copy(r, s->network, sizeof(s->network), 1);
		break;
	case MEMBER_NAME:
		item_rd_text_copy(r, s->name, sizeof(s->name), 1);
		break;
	case MEMBER_AUTHORITY_KEY:
		item_rd_bytes_exact(r, s->authority_key, sizeof(s->authority_key));
		break;
	case MEMBER_SERVER_KEY:
		item_rd_bytes_exact(r, s->server_key, sizeof(s->server_key));
		break;
	case MEMBER_ENDPOINTS:
		decode_endpoints(r, s);
		break;
	case MEMBER_NOISE_SECRET:
		item_rd_bytes_exact(r, s->noise.secret, sizeof(s->noise.secret));
		break;
	case MEMBER_CURVE_SECRET:
		item_rd_bytes_exact(r, s->curve.secret, sizeof(s->curve.secret));
		break;
	case MEMBER_CERTIFICATE:
		decode_certificate(r, s);
		break;
	default:
		item_rd_skip(r);
	}
}

/* Fills in the part of @s that is in the file. Return: false when it is damaged; *s is then a
 * mix. */
static bool decode_member(const uint8_t *buf, size_t len, struct state *s)
{
	struct item_rd r = item_rd_init(buf, len);
	unsigned int seen = 0;
	struct item_map map;
	uint64_t key;

	item_rd_map(&r, &map);
	while (item_map_next(&r, &map, &key)) {
		decode_member_field(&r, key, s);
		if (key < MEMBER_COUNT)
			seen |= 1u << key;
	}
	if (!item_rd_at_end(&r) || seen != (1u << MEMBER_COUNT) - 1)
		return false;
	dh_public(s->noise.secret, s->noise.public);
	dh_public(s->curve.secret, s->curve.public);
	s->joined = true;
	return true;
}

static bool decode_run(const uint8_t *buf, size_t len, struct state *s)
{
	struct item_rd r = item_rd_init(buf, len);
	struct item_map map;
	uint64_t key;

	item_rd_map(&r, &map);
	while (item_map_next(&r, &map, &key)) {
		switch (key) {
		case RUN_VERSION:
			decode_version(&r);
			break;
		case RUN_WANTED_UP:
			s->wanted_up = item_rd_bool(&r);
			break;
		case RUN_EPOCH:
			s->epoch = item_rd_uint(&r);
			break;
		case RUN_STAMP_US:
			s->stamp_us = item_rd_uint(&r);
			break;
		case RUN_PORT:
			s->port = (uint16_t)item_rd_uint_max(&r, UINT16_MAX);
			break;
		default:
			item_rd_skip(&r);
		}
	}
	return item_rd_at_end(&r);
}

static enum err save(int dir, const char *directory, const char *file,
		     void (*encode)(struct wr *w, const struct state *s), const struct state *s,
		     char error[static STATE_ERROR_BYTES])
{
	uint8_t *buf = secret_alloc(FILE_MAX_BYTES);
	struct wr w = wr_init(buf, FILE_MAX_BYTES);
	enum err e;

	if (!buf)
		return state_file_fail(error, ERR_NO_MEMORY, directory, file,
				       err_text(ERR_NO_MEMORY));
	encode(&w, s);
	if (wr_ok(&w))
		e = state_file_write(dir, directory, file, buf, wr_len(&w), error);
	else
		e = state_file_fail(error, ERR_INVALID, directory, file, "does not fit");
	secret_free(buf);
	return e;
}

/* --- The interface -------------------------------------------------------------------------- */

/* @buf: FILE_MAX_BYTES of secret memory; @into: where what is read goes. */
static enum err load(int dir, const char *directory, uint8_t *buf, struct state *into,
		     char error[static STATE_ERROR_BYTES])
{
	struct state *run;
	size_t len;
	enum err e;

	e = state_file_read(dir, directory, member_file, buf, FILE_MAX_BYTES, &len, error);
	if (e != OK)
		return e;
	if (len && !decode_member(buf, len, into))
		return state_file_fail(error, DROP_MALFORMED, directory, member_file, "is damaged");
	e = state_file_read(dir, directory, run_file, buf, FILE_MAX_BYTES, &len, error);
	if (e != OK && e != DROP_MALFORMED)
		return e;
	run = state_create();
	if (!run)
		return state_file_fail(error, ERR_NO_MEMORY, directory, run_file,
				       err_text(ERR_NO_MEMORY));
	if (e == OK && len && decode_run(buf, len, run)) {
		into->wanted_up = run->wanted_up;
		into->epoch = run->epoch;
		into->stamp_us = run->stamp_us;
		into->port = run->port;
	} else if (e != OK || len) {
		log_warning("state.run_damaged", "directory=%s", log_quote(directory).text);
	}
	state_destroy(run);
	return OK;
}

enum err state_load(const char *directory, struct state *ret, char error[static STATE_ERROR_BYTES])
{
	struct state *loaded = state_create();
	uint8_t *buf = secret_alloc(FILE_MAX_BYTES);
	enum err e;
	int dir = -1;

	if (!loaded || !buf)
		e = state_file_fail(error, ERR_NO_MEMORY, directory, NULL, err_text(ERR_NO_MEMORY));
	else
		e = state_directory_open(directory, &dir, error);
	if (e == OK) {
		e = load(dir, directory, buf, loaded, error);
		close(dir);
	}
	if (e == OK)
		*ret = *loaded;
	secret_free(buf);
	state_destroy(loaded);
	return e;
}

static enum err remove_member(int dir, const char *directory, char error[static STATE_ERROR_BYTES])
{
	if (unlinkat(dir, member_file, 0) == 0)
		return fsync(dir) == 0 ? OK : state_file_fail_errno(error, directory, member_file);
	return errno == ENOENT ? OK : state_file_fail_errno(error, directory, member_file);
}

enum err state_save(const char *directory, const struct state *s,
		    char error[static STATE_ERROR_BYTES])
{
	enum err e;
	int dir = -1;

	e = state_directory_open(directory, &dir, error);
	if (e != OK)
		return e;
	if (s->joined)
		e = save(dir, directory, member_file, encode_member, s, error);
	else
		e = remove_member(dir, directory, error);
	if (e == OK)
		e = save(dir, directory, run_file, encode_run, s, error);
	close(dir);
	return e;
}

enum err state_save_run(const char *directory, const struct state *s,
			char error[static STATE_ERROR_BYTES])
{
	enum err e;
	int dir = -1;

	e = state_directory_open(directory, &dir, error);
	if (e != OK)
		return e;
	e = save(dir, directory, run_file, encode_run, s, error);
	close(dir);
	return e;
}

enum err state_leave(const char *directory, struct state *s, char error[static STATE_ERROR_BYTES])
{
	struct state *left = state_create();
	enum err e;
	int dir = -1;

	if (!left)
		return state_file_fail(error, ERR_NO_MEMORY, directory, NULL,
				       err_text(ERR_NO_MEMORY));
	left->epoch = s->epoch;
	left->stamp_us = s->stamp_us;
	left->port = s->port;
	e = state_directory_open(directory, &dir, error);
	if (e == OK) {
		e = remove_member(dir, directory, error);
		close(dir);
	}
	if (e == OK)
		e = state_save_run(directory, left, error);
	if (e == OK)
		*s = *left;
	state_destroy(left);
	return e;
}
