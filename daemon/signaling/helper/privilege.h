/* Gives up what the helper does not need: it talks to the internet and needs nothing else. */
#ifndef ICETUN_SIGNALING_HELPER_PRIVILEGE_H
#define ICETUN_SIGNALING_HELPER_PRIVILEGE_H

#include "daemon/core/base/err.h"

/* Root becomes nobody (where the system allows it: a user namespace may have no such user), all
 * capabilities go from every set, no program started from here can gain any, no core file is
 * written and no other process of the user may read this one's memory. Before the first thread is
 * made.
 * Return: OK; ERR_SYSTEM when a capability is left. */
MUST_USE enum err privilege_drop(void);

#endif
