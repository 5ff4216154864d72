/*
 * The stamps of other hosts' offers on disk: the file `stamps` beside those of state.h, under the
 * same rules. It may be lost without harm but this: an offer from before could be replayed once.
 */
#ifndef ICETUN_CONFIG_STAMPS_H
#define ICETUN_CONFIG_STAMPS_H

#include "daemon/config/state.h"
#include "daemon/core/cert/stamp.h"

/* Adds what is on disk to @t; a missing or damaged file adds nothing (the latter is logged).
 * Return: OK, ERR_PERMISSION, ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err stamps_load(const char *directory, struct stamp_table *t,
			      char error[static STATE_ERROR_BYTES]);
/* Return: OK, ERR_PERMISSION, ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err stamps_save(const char *directory, const struct stamp_table *t,
			      char error[static STATE_ERROR_BYTES]);

#endif
