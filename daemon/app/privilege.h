/*
 * What the process may do after its start: as little as it needs.
 *
 * The daemon makes a TUN device, addresses and routes, now and when `ictl up` is said later, so it
 * keeps CAP_NET_ADMIN. As root it also keeps what it needs to start its helper, which becomes
 * nobody, and to end it. Everything else goes, for good: capabilities, the bounding set, new
 * privileges by exec, core files, and being traced by others.
 */
#ifndef ICETUN_APP_PRIVILEGE_H
#define ICETUN_APP_PRIVILEGE_H

#include "daemon/core/base/err.h"

/* Becomes @user (or stays, when it is "") with the capabilities that are named above.
 * Return: OK, ERR_NOT_FOUND for an unknown user, ERR_PERMISSION. */
MUST_USE enum err privilege_drop(const char *user);
/* No core files, no tracing by others: before there is a secret in memory. */
void privilege_protect_memory(void);

#endif
