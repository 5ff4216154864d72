/*
 * The issuer's database: its tables, and how it is opened. For issuer.c.
 *
 * A database of an older version is brought up to date when it is opened, in one transaction.
 */
#ifndef ICETUN_RENDEZVOUS_ISSUER_DATABASE_H
#define ICETUN_RENDEZVOUS_ISSUER_DATABASE_H

#include <sqlite3.h>

#include "rendezvous/issuer.h"

struct issuer {
	sqlite3 *db;
	struct issuer_params params;
};

/* @result: of any function of SQLite. */
enum err issuer_from_sqlite(int result);

#endif
