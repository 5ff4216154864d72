#include "rendezvous/issuer_database.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* "icet" */
#define APPLICATION_ID 0x69636574
/* 1 had no IPv6 addresses. */
#define SCHEMA_VERSION 2

#define TEXT_OF(x)	 TEXT_OF_VALUE(x)
#define TEXT_OF_VALUE(x) #x

/* From version 1 to 2. The address is NULL for those who joined while there was no IPv6 prefix. */
#define UPGRADE                                                                                    \
	"ALTER TABLE member ADD COLUMN address6 BLOB;"                                             \
	"CREATE UNIQUE INDEX member_address6 ON member (address6);"                                \
	"PRAGMA user_version = " TEXT_OF(SCHEMA_VERSION) ";"

static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"BEGIN;"
	"CREATE TABLE token ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" hash BLOB NOT NULL UNIQUE,"
	" uses INTEGER NOT NULL,"
	" used INTEGER NOT NULL DEFAULT 0,"
	" created_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL,"
	" revoked_s INTEGER"
	") STRICT;"
	"CREATE TABLE member ("
	" serial INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL UNIQUE,"
	" noise_public BLOB NOT NULL UNIQUE,"
	" curve_public BLOB NOT NULL UNIQUE,"
	" address INTEGER NOT NULL UNIQUE," /* IPv4, as a number */
	" token INTEGER NOT NULL REFERENCES token (id),"
	" joined_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL,"
	" certificate BLOB NOT NULL"
	") STRICT;"
	"PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";" UPGRADE "COMMIT;";

enum err issuer_from_sqlite(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return OK;
	case SQLITE_CANTOPEN:
		return ERR_NOT_FOUND;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return ERR_PERMISSION;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return ERR_INVALID;
	case SQLITE_NOMEM:
		return ERR_NO_MEMORY;
	default:
		return ERR_IO;
	}
}

enum err issuer_create_database(const char *path)
{
	/* SQLite would take the mode from the umask. */
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	sqlite3 *db = NULL;
	int result;

	if (fd < 0)
		return access(path, F_OK) == 0 ? ERR_EXISTS : ERR_IO;
	close(fd);
	result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_exec(db, schema, NULL, NULL, NULL);
	sqlite3_close(db);
	if (result != SQLITE_OK)
		unlink(path);
	return result == SQLITE_OK ? OK : ERR_IO;
}

/* The first column of a statement that gives one number. */
static enum err query_number(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int result = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_step(st);
	if (result == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return result == SQLITE_DONE ? ERR_NOT_FOUND : issuer_from_sqlite(result);
}

/* Another process may do the same at the same time: the second one finds it done. */
static enum err upgrade(sqlite3 *db)
{
	int64_t version = 0;
	enum err err = issuer_from_sqlite(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));

	if (err != OK)
		return err;
	err = query_number(db, "PRAGMA user_version", &version);
	if (err == OK && version < SCHEMA_VERSION)
		err = issuer_from_sqlite(sqlite3_exec(db, UPGRADE, NULL, NULL, NULL));
	if (err == OK)
		err = issuer_from_sqlite(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	if (err != OK)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static enum err check_database(sqlite3 *db)
{
	int64_t id = 0;
	int64_t version = 0;
	enum err err = query_number(db, "PRAGMA application_id", &id);

	if (err == OK)
		err = query_number(db, "PRAGMA user_version", &version);
	if (err == OK && (id != APPLICATION_ID || version < 1 || version > SCHEMA_VERSION))
		err = ERR_INVALID;
	if (err == OK && version < SCHEMA_VERSION)
		err = upgrade(db);
	return err;
}

enum err issuer_open(struct issuer **ret, const struct issuer_params *params)
{
	struct issuer *i = calloc(1, sizeof(*i));
	enum err err;

	if (!i)
		return ERR_NO_MEMORY;
	i->params = *params;
	i->params.path = NULL;
	if (access(params->path, F_OK))
		err = ERR_NOT_FOUND;
	else if (access(params->path, R_OK | W_OK))
		err = ERR_PERMISSION;
	else
		err = issuer_from_sqlite(
			sqlite3_open_v2(params->path, &i->db, SQLITE_OPEN_READWRITE, NULL));
	if (err == OK) {
		sqlite3_busy_timeout(i->db, (int)params->busy_ms);
		err = check_database(i->db);
	}
	if (err == OK)
		err = issuer_from_sqlite(
			sqlite3_exec(i->db, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;",
				     NULL, NULL, NULL));
	if (err != OK) {
		issuer_close(i);
		return err;
	}
	*ret = i;
	return OK;
}

void issuer_close(struct issuer *i)
{
	if (!i)
		return;
	sqlite3_close(i->db);
	free(i);
}
